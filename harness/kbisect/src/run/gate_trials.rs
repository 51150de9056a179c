//! The trials of a check: scenario by scenario, kernel by kernel, side by side where that was asked for.

use std::path::Path;
use std::time::Instant;

use kbisect_core::answer::Taken;
use kbisect_core::boot::Coming;
use kbisect_core::gate::{GateEvent, GateTrial, asks_reference, still_to_try};
use kbisect_core::run::RunEvent;
use kbisect_core::search::Role;
use kbisect_core::trial::Verdict;
use kbisect_core::workers::Workers;
use kbisect_kernels::Candidate;
use kbisect_vm::accel::Probe;

use super::context::Context;
use super::gate_log::GateLog;
use super::plan::INFRA_RETRIES;
use super::pool::{From, Job, Labs, News, Pool, Told, with_workers};
use super::prefetch::Prefetch;
use super::trial::{full_disk, host_failed};
use super::workers::workers;
use crate::errors;
use crate::settings::scenario::LoadedScenario;

/// Kernels that are fetched ahead, for each worker.
const AHEAD: usize = 2;

/// Told before a kernel boots that failed from a saved state, or by its PVH entry.
const BOOTS_AGAIN: &str = "it failed in a quick trial: it boots as shipped before that is believed";

/// A scenario of a check.
#[derive(Clone)]
pub struct Tested {
    /// As typed.
    pub name: String,
    /// Its folder below `scenarios` and `lab`.
    pub folder: String,
    /// The scenario.
    pub loaded: LoadedScenario,
}

/// The trials of a check while they are made.
pub struct Matrix<'a> {
    folder: &'a Path,
    rows: &'a [Candidate],
    wish: Workers,
    log: &'a mut GateLog,
    /// The last number that a trial was given.
    numbers: u32,
    /// The trials so far.
    trials: Vec<GateTrial>,
    /// How many are to be tried yet, when the first one began, and how many were since.
    left: usize,
    began: Instant,
    made: usize,
}

/// A trial under way.
struct Task {
    worker: usize,
    number: u32,
    row: usize,
    /// How often it failed for our own reasons.
    attempt: u32,
}

impl<'a> Matrix<'a> {
    /// What is in the journal is not tried again, except where it was no answer.
    pub fn new(
        folder: &'a Path,
        rows: &'a [Candidate],
        wish: Workers,
        log: &'a mut GateLog,
    ) -> Self {
        let trials: Vec<GateTrial> = log
            .lines
            .iter()
            .filter_map(|line| match &line.event {
                GateEvent::TrialEnded { trial } => Some(trial.as_ref().clone()),
                _ => None,
            })
            .collect();
        let numbers = trials.iter().map(|trial| trial.record.number).max().unwrap_or(0);
        let (left, began, made) = (0, Instant::now(), 0);
        Self { folder, rows, wish, log, numbers, trials, left, began, made }
    }

    /// Tries scenario by scenario, so that the peer machines can stay up. The context comes back as
    /// the trials left it.
    pub fn try_all(
        mut self,
        mut context: Context,
        scenarios: Vec<Tested>,
    ) -> (Context, anyhow::Result<()>) {
        let base = &context.base;
        let prefetch = Prefetch::start(base, context.choices.boot);
        let all = scenarios.len() * self.rows.len();
        self.left = scenarios.iter().map(|tested| self.open(tested).len()).sum();
        if self.left < all {
            base.ui.note(&format!("{} of {all} trials are in the journal", all - self.left));
        }
        // States that serve all scenarios, where there are several.
        context.preload = scenarios.len() == 1;
        for tested in scenarios {
            let open = self.open(&tested);
            if open.is_empty() {
                continue;
            }
            let lab = tested.folder;
            context = context.with_scenario(tested.loaded, &tested.name);
            let accelerator = &context.probe.accelerator;
            let note = format!("{}: kernels to try: {}, {accelerator}", tested.name, open.len());
            context.base.ui.note(&note);
            match self.try_scenario(&context, &prefetch, &lab, &open) {
                Ok(probe) => context.probe = probe,
                Err(error) => return (context, Err(error)),
            }
        }
        (context, Ok(()))
    }

    /// Rows that have no answer yet.
    fn open(&self, tested: &Tested) -> Vec<usize> {
        // One kernel shows that a scenario is wrong.
        let wrong = |trial: &GateTrial| {
            trial.scenario == tested.name && matches!(trial.record.verdict(), Verdict::Scenario(_))
        };
        if self.trials.iter().any(wrong) {
            return Vec::new();
        }
        (0..self.rows.len()).filter(|row| self.still_to_try(&tested.name, *row).is_some()).collect()
    }

    fn still_to_try(&self, scenario: &str, row: usize) -> Option<Coming> {
        still_to_try(&self.trials, scenario, &self.rows[row].kernel)
    }

    fn try_scenario(
        &mut self,
        context: &Context,
        prefetch: &Prefetch,
        lab: &str,
        open: &[usize],
    ) -> anyhow::Result<Probe> {
        let count = workers(self.wish, context).get() as usize;
        let labs = Labs { folder: self.folder, lab: Some(lab) };
        let (ended, probe) = with_workers(context, labs, count.min(open.len()), |pool| {
            self.try_rows(context, pool, prefetch, open)
        })?;
        ended.map(|()| probe)
    }

    /// Tries all kernels with one scenario. When one fails for our own reasons, those under way are
    /// waited for and count.
    fn try_rows(
        &mut self,
        context: &Context,
        pool: &Pool,
        prefetch: &Prefetch,
        open: &[usize],
    ) -> anyhow::Result<()> {
        let ui = &context.base.ui;
        let mut rows = open.iter().copied();
        let mut tasks: Vec<Task> = Vec::new();
        let mut failed = None;
        loop {
            for worker in 0..pool.count() {
                if failed.is_some() || tasks.iter().any(|task| task.worker == worker) {
                    continue;
                }
                let Some(row) = rows.next() else { break };
                let label = self.rows[row].kernel.label();
                let left = self.left_in_words(pool.count());
                ui.doing(&format!("{label} with {}; {left}", context.scenario_name));
                tasks.push(self.start(pool, context, worker, row, 0));
                let ahead = AHEAD * pool.count();
                let next = rows.clone().take(ahead);
                prefetch.ask(next.map(|row| self.rows[row].clone()));
            }
            if tasks.is_empty() {
                return match failed {
                    Some(error) => Err(error),
                    None => self.ask_reference(context, pool),
                };
            }
            let Told { worker, news } = pool.next()?;
            let Some(at) = tasks.iter().position(|task| task.worker == worker) else { continue };
            let record = match news {
                News::Begins => {
                    if pool.count() > 1 {
                        self.tell_beginning(context, &tasks[at]);
                    }
                    continue;
                }
                News::Event(event) => {
                    ui.event(&event);
                    continue;
                }
                News::Ended(Ok(Some(record))) => record,
                News::Ended(Ok(None)) => return Err(errors::interrupted("interrupted", None)),
                News::Ended(Err(error)) => {
                    tasks.remove(at);
                    failed.get_or_insert(error);
                    continue;
                }
            };
            let task = tasks.remove(at);
            let scenario = context.scenario_name.clone();
            let (verdict, disturbed) = (record.verdict(), record.disturbed.clone());
            let trial = GateTrial { scenario, record: (*record).clone() };
            self.trials.push(trial.clone());
            self.log.append(GateEvent::TrialEnded { trial: Box::new(trial) })?;
            ui.event(&RunEvent::TrialEnded {
                index: 0,
                record,
                mark: None,
                taken: Taken::default(),
            });
            let Verdict::Infra(error) = verdict else {
                let again = self.still_to_try(&context.scenario_name, task.row).is_some();
                if again && failed.is_none() {
                    ui.note(BOOTS_AGAIN);
                    tasks.push(self.start(pool, context, worker, task.row, 0));
                    continue;
                }
                // What is wrong with the scenario for one kernel is so for all.
                if matches!(verdict, Verdict::Scenario(_)) {
                    self.left = self.left.saturating_sub(rows.by_ref().count());
                }
                self.left = self.left.saturating_sub(1);
                self.made += 1;
                continue;
            };
            if full_disk(self.folder).is_some() || task.attempt >= INFRA_RETRIES {
                let kernel = &self.rows[task.row].kernel;
                failed.get_or_insert(host_failed(kernel, &error, &disturbed, self.folder));
            } else if failed.is_none() {
                ui.note(&format!("tried again: {error}"));
                tasks.push(self.start(pool, context, worker, task.row, task.attempt + 1));
            }
        }
    }

    /// Tries the reference kernel in the candidate's place where that tells whose fault failures are.
    fn ask_reference(&mut self, context: &Context, pool: &Pool) -> anyhow::Result<()> {
        let scenario = &context.scenario_name;
        let (mut trials, mut asked) = (Vec::new(), false);
        for line in &self.log.lines {
            match &line.event {
                GateEvent::TrialEnded { trial } => trials.push(trial.as_ref().clone()),
                GateEvent::ReferenceTried { trial } => asked |= trial.scenario == *scenario,
                GateEvent::Began { .. } | GateEvent::Resumed { .. } | GateEvent::Ended { .. } => {}
            }
        }
        if asked || !asks_reference(&trials, scenario) {
            return Ok(());
        }
        let (ui, kernel) = (&context.base.ui, &context.reference.kernel);
        let record = pool.ask_reference(kernel, &mut |event| {
            ui.event(&event);
            Ok(())
        })?;
        ui.event(&RunEvent::ReferenceTried { record: Box::new(record.clone()) });
        let trial = Box::new(GateTrial { scenario: scenario.clone(), record });
        self.log.append(GateEvent::ReferenceTried { trial })
    }

    /// How many trials are left, and how long they take if they go on as those before.
    fn left_in_words(&self, workers: usize) -> String {
        let left = self.left;
        // The first ones say little: they start the peers.
        if self.made < 2 * workers {
            return format!("{left} left");
        }
        let each = self.began.elapsed().as_secs_f64() / self.made as f64;
        match (each * left as f64).round() as u64 {
            seconds @ 0..100 => format!("{left} left, about {seconds} s"),
            seconds => format!("{left} left, about {} min", seconds.div_ceil(60)),
        }
    }

    /// Says which of several trials begins.
    fn tell_beginning(&self, context: &Context, task: &Task) {
        let (number, worker) = (task.number, task.worker as u32 + 1);
        let (label, name) = (self.rows[task.row].kernel.label(), &context.scenario_name);
        let ui = &context.base.ui;
        ui.note(&format!("trial {number}, worker {worker}: {label} with {name}"));
        // It belongs to no series.
        ui.replay(&RunEvent::TrialBegan {
            number,
            index: usize::MAX,
            role: Role::Bisect,
            estimated_left: 1,
            reason: None,
            worker: Some(worker),
        });
    }

    fn start(
        &mut self,
        pool: &Pool,
        context: &Context,
        worker: usize,
        row: usize,
        attempt: u32,
    ) -> Task {
        self.numbers += 1;
        let number = self.numbers;
        let candidate = self.rows[row].clone();
        let kernel = candidate.kernel.clone();
        let coming = self.still_to_try(&context.scenario_name, row).unwrap_or_default();
        let from = From::Candidate(Box::new(candidate));
        pool.start(worker, Job { number, kernel, from, coming });
        Task { worker, number, row, attempt }
    }
}
