//! `kbisect check`: kernels times scenarios, one trial each.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use kbisect_core::gate::{
    GateEnd, GateOutcome, GatePlan, GateResult, GateScenario, GateTrial, LeftOutKernel,
};
use kbisect_core::run::RunEvent;
use kbisect_core::search::Role;
use kbisect_core::trial::Verdict;
use kbisect_core::workers::Workers;
use kbisect_kernels::{Candidate, CandidateState};
use kbisect_report::junit_check;
use kbisect_vm::accel::Probe;

use super::context::{Base, Context};
use super::files::{keep_scenario, new_run, write_json, write_whole};
use super::plan::{INFRA_RETRIES, check_testable};
use super::pool::{Job, Labs, News, Pool, Told, with_workers};
use super::prefetch::Prefetch;
use super::trial::{host_failed, is_full};
use super::workers::workers;
use super::{kernels, matrix};
use crate::cli::{CheckArgs, Global, Kernels};
use crate::settings::scenario::{LoadedScenario, load};
use crate::{errors, exit, output};

/// Kernels that are fetched ahead, for each worker.
const AHEAD: usize = 2;

/// Tries all kernels with all scenarios.
///
/// # Errors
/// Bad arguments, the host's failures, an interruption; what was found by then is written first.
pub fn check(args: &CheckArgs, global: &Global) -> anyhow::Result<ExitCode> {
    // Before the archive is asked: a typing error is to show at once.
    let scenarios = scenarios(&args.scenarios)?;
    if let Some(file) = &args.junit {
        check_junit(file)?;
    }
    let base = Base::new(global)?;
    let started = Instant::now();
    for warning in scenarios.iter().flat_map(|(_, loaded)| &loaded.warnings) {
        base.ui.note(&format!("warning: {warning}"));
    }
    let chosen = Chosen::of(args, &base)?;
    for note in chosen.rows.iter().flat_map(|candidate| &candidate.notes) {
        base.ui.note(note);
    }
    let reference = kernels::reference(&base, args.setting.reference.as_deref())?;
    let (name, first) = &scenarios[0];
    let placement = args.setting.placement;
    let context = Context::new(base, &args.machine, first.clone(), name, reference, placement)?;
    let (run_id, folder) = new_run(&args.setting.results, &what(args))?;
    let plan = GatePlan {
        run_id,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        command: std::env::args().collect(),
        kernels: chosen.under_test,
        baseline: chosen.baseline,
        scenarios: scenarios
            .iter()
            .map(|(name, loaded)| GateScenario {
                name: name.clone(),
                summary: loaded.scenario.summary.clone(),
                sha256: loaded.sha256.clone(),
            })
            .collect(),
        left_out: chosen.left_out,
        reference: context.reference.kernel.clone(),
        allow_skips: args.allow_skips,
    };
    let mut matrix = Matrix {
        folder: &folder,
        rows: &chosen.rows,
        wish: args.workers.wish(),
        numbers: 0,
        trials: Vec::new(),
    };
    let (context, ended) = matrix.try_all(context, scenarios);
    context.base.ui.finish();
    let end = GateEnd {
        aborted: ended.as_ref().err().map(errors::message),
        environment: context.environment(),
        wall_s: started.elapsed().as_secs_f64(),
        run_dir: folder.display().to_string(),
    };
    let result = GateResult::new(plan, matrix.trials, end);
    conclude(&result, ended, args, global)
}

/// Writes and prints the result.
fn conclude(
    result: &GateResult,
    ended: anyhow::Result<()>,
    args: &CheckArgs,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let write = || -> anyhow::Result<()> {
        write_json(&Path::new(&result.run_dir).join("result.json"), result)?;
        let Some(file) = &args.junit else { return Ok(()) };
        write_whole(&std::path::absolute(file)?, junit_check(result).as_bytes())
    };
    let written = write();
    if let Err(error) = ended {
        // The disk may be the very thing that failed.
        if let Err(second) = written {
            output::say(&format!("warning: {}", errors::message(&second)));
        }
        errors::report(&error, false);
        print(result, global)?;
        return Ok(exit::code(errors::class(&error).code(false)));
    }
    written?;
    print(result, global)?;
    Ok(exit::code(match result.outcome {
        GateOutcome::Passed => exit::OK,
        GateOutcome::Regressed | GateOutcome::NotTested => exit::REGRESSED,
        GateOutcome::Aborted => exit::INFRASTRUCTURE,
    }))
}

fn print(result: &GateResult, global: &Global) -> anyhow::Result<()> {
    if global.json { output::json(result) } else { output::print(&matrix::text(result)) }
}

/// The kernels that were asked for.
struct Chosen {
    /// To be tried, in the plan's order of rows.
    rows: Vec<Candidate>,
    under_test: Vec<kbisect_core::kernel::Kernel>,
    baseline: Option<kbisect_core::kernel::Kernel>,
    left_out: Vec<LeftOutKernel>,
}

impl Chosen {
    /// Finds the kernels; one that is named outright must be testable.
    fn of(args: &CheckArgs, base: &Base) -> anyhow::Result<Self> {
        let (mut rows, mut left_out): (Vec<Candidate>, Vec<LeftOutKernel>) = Default::default();
        for asked in &args.kernels {
            let candidates = match asked {
                Kernels::One(spec) => {
                    let candidate = base.catalog.resolve(spec)?;
                    check_testable(&candidate)?;
                    vec![candidate]
                }
                Kernels::Between(range) => base.catalog.series(&range.old, &range.new)?,
            };
            for candidate in candidates {
                let known = |id| rows.iter().any(|row| row.kernel.id == id);
                match &candidate.state {
                    CandidateState::Untestable { reason } => left_out.push(LeftOutKernel {
                        kernel: candidate.kernel.clone(),
                        reason: reason.clone(),
                    }),
                    _ if known(candidate.kernel.id.clone()) => {}
                    _ => rows.push(candidate),
                }
            }
        }
        if rows.is_empty() {
            return Err(errors::usage(
                "none of these kernels can be tested",
                "name others; `kbisect kernels list` says which can be tested",
            ));
        }
        let under_test: Vec<_> = rows.iter().map(|row| row.kernel.clone()).collect();
        let baseline = match &args.baseline {
            None => None,
            Some(spec) => {
                let candidate = base.catalog.resolve(spec)?;
                check_testable(&candidate)?;
                let kernel = candidate.kernel.clone();
                if !under_test.iter().any(|other| other.id == kernel.id) {
                    rows.insert(0, candidate);
                }
                Some(kernel)
            }
        };
        Ok(Self { rows, under_test, baseline, left_out })
    }
}

/// The trials of a check while they are made.
struct Matrix<'a> {
    folder: &'a Path,
    rows: &'a [Candidate],
    wish: Workers,
    /// The last number that a trial was given.
    numbers: u32,
    trials: Vec<GateTrial>,
}

/// A trial under way.
struct Task {
    worker: usize,
    number: u32,
    row: usize,
    /// How often it failed for our own reasons.
    attempt: u32,
}

impl Matrix<'_> {
    /// Tries scenario by scenario, so that the peer machines can stay up. The context comes back as
    /// the trials left it.
    fn try_all(
        &mut self,
        mut context: Context,
        scenarios: Vec<(String, LoadedScenario)>,
    ) -> (Context, anyhow::Result<()>) {
        let base = &context.base;
        let prefetch = Prefetch::start(base.store.clone(), base.settings.clone(), base.progress());
        let all = scenarios.len() * self.rows.len();
        for (done, (name, loaded)) in scenarios.into_iter().enumerate() {
            context = context.with_scenario(loaded, &name);
            let accelerator = &context.probe.accelerator;
            let count = self.rows.len();
            context.base.ui.note(&format!("{name}: kernels to try: {count}, {accelerator}"));
            let place = (done * count, all);
            match self.try_scenario(&context, &prefetch, place) {
                Ok(probe) => context.probe = probe,
                Err(error) => return (context, Err(error)),
            }
        }
        (context, Ok(()))
    }

    fn try_scenario(
        &mut self,
        context: &Context,
        prefetch: &Prefetch,
        place: (usize, usize),
    ) -> anyhow::Result<Probe> {
        let lab = plain(&context.scenario_name);
        keep_scenario(&self.folder.join("scenarios").join(&lab), &context.scenario)?;
        let count = workers(self.wish, context).get() as usize;
        let labs = Labs { folder: self.folder, lab: Some(&lab) };
        let made = with_workers(context, labs, count.min(self.rows.len()), |pool| {
            self.try_rows(context, pool, prefetch, place)
        });
        // Those that run side by side end in any order.
        self.trials.sort_by_key(|trial| trial.record.number);
        let (ended, probe) = made?;
        ended.map(|()| probe)
    }

    /// Tries all kernels with one scenario. When one fails for our own reasons, those under way are
    /// waited for and count.
    fn try_rows(
        &mut self,
        context: &Context,
        pool: &Pool,
        prefetch: &Prefetch,
        (before, all): (usize, usize),
    ) -> anyhow::Result<()> {
        let ui = &context.base.ui;
        let mut rows = 0..self.rows.len();
        let mut tasks: Vec<Task> = Vec::new();
        let mut failed = None;
        loop {
            for worker in 0..pool.count() {
                if failed.is_some() || tasks.iter().any(|task| task.worker == worker) {
                    continue;
                }
                let Some(row) = rows.next() else { break };
                let (label, number) = (self.rows[row].kernel.label(), before + row + 1);
                ui.doing(&format!("{number} of {all}: {label} with {}", context.scenario_name));
                tasks.push(self.start(pool, worker, row, 0));
                let ahead = AHEAD * pool.count();
                prefetch.ask(self.rows.iter().skip(row + 1).take(ahead).cloned());
            }
            if tasks.is_empty() {
                return failed.map_or(Ok(()), Err);
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
            let verdict = record.verdict();
            self.trials.push(GateTrial { scenario, record: (*record).clone() });
            ui.event(&RunEvent::TrialEnded { index: 0, record, mark: None });
            let Verdict::Infra(error) = verdict else { continue };
            if is_full(&error) || task.attempt >= INFRA_RETRIES {
                let kernel = &self.rows[task.row].kernel;
                failed.get_or_insert(host_failed(kernel, &error, self.folder));
            } else if failed.is_none() {
                ui.note(&format!("tried again: {error}"));
                tasks.push(self.start(pool, worker, task.row, task.attempt + 1));
            }
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

    fn start(&mut self, pool: &Pool, worker: usize, row: usize, attempt: u32) -> Task {
        self.numbers += 1;
        let number = self.numbers;
        let candidate = self.rows[row].clone();
        pool.start(
            worker,
            Job { number, kernel: candidate.kernel.clone(), candidate, cold: false },
        );
        Task { worker, number, row, attempt }
    }
}

/// Loads the scenarios, each once.
fn scenarios(names: &[String]) -> anyhow::Result<Vec<(String, LoadedScenario)>> {
    let mut loaded: Vec<(String, LoadedScenario)> = Vec::new();
    for name in names {
        if !loaded.iter().any(|(known, _)| known == name) {
            loaded.push((name.clone(), load(name)?));
        }
    }
    Ok(loaded)
}

/// Refuses a file that could not be written after all the work.
fn check_junit(file: &Path) -> anyhow::Result<()> {
    let parent = std::path::absolute(file)?.parent().map(Path::to_owned);
    if parent.is_some_and(|parent| parent.is_dir()) && !file.is_dir() {
        return Ok(());
    }
    Err(errors::usage(
        format!("cannot write `{}`: its folder is not there, or it is one", file.display()),
        "make the folder first, and name a file in it",
    ))
}

/// What the run's folder is called after.
fn what(args: &CheckArgs) -> String {
    let first = match args.kernels.first() {
        Some(Kernels::One(spec)) => spec.clone(),
        Some(Kernels::Between(range)) => range.to_string(),
        None => String::new(),
    };
    let more = if args.kernels.len() > 1 { "+" } else { "" };
    format!("check-{first}{more}")
}

/// A scenario's name as that of a folder.
fn plain(name: &str) -> String {
    let name = name.trim_matches(['.', '/']);
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' })
        .collect()
}
