//! Trials side by side: which worker tries what, and what becomes of the answers.
//!
//! The search names one version after the other, each time beside those under way. Everything follows
//! from the journal and the trials under way, so that a run can be resumed with another number of
//! workers; the main thread alone writes it.

use kbisect_core::answer::Trial;
use kbisect_core::bayes::RangeReason;
use kbisect_core::boots::BOOTS_DISAGREE;
use kbisect_core::fault::{ScenarioFault, Whose, whose};
use kbisect_core::mark::needs_target;
use kbisect_core::method::{Method, Next, disagreement_words};
use kbisect_core::run::{RunEvent, target_symptom};
use kbisect_core::search::{Direction, Mark, Role};
use kbisect_core::trial::{TrialRecord, Verdict};
use kbisect_vm::lab::Coming;

use super::bisect::Bisection;
use super::files::write_json;
use super::pool::{From, Job, News, Pool, Told};
use super::prefetch::Prefetch;
use super::symptom;
use super::trial::{forget, full_disk, host_failed};
use crate::errors;

/// Kernels that are fetched ahead, for each worker.
const AHEAD: usize = 2;

/// Why a trial is ended before its time.
const MOOT: &str = "another trial told what it would have told";
const OVER: &str = "the search is over";

/// A trial under way.
struct Task {
    /// Who makes it; nobody any more when its record waits for the target symptom.
    worker: Option<usize>,
    number: u32,
    index: usize,
    role: Role,
    estimated_left: usize,
    reason: Option<String>,
    coming: Coming,
    /// How often it failed for our own reasons.
    attempt: u32,
    begun: bool,
    cancelled: Option<&'static str>,
    /// What it came to, while that cannot be compared yet.
    held: Option<Box<TrialRecord>>,
}

/// A search on several workers.
pub struct Dispatch<'a, 'run> {
    run: &'a mut Bisection<'run>,
    pool: &'a Pool,
    prefetch: Prefetch,
    /// In the order in which they began.
    tasks: Vec<Task>,
    /// Why the run ends as soon as those under way did.
    failed: Option<anyhow::Error>,
    /// How the search ended.
    over: Option<RunEvent>,
    /// Whether there is somebody to ask which symptom is looked for.
    may_ask: bool,
}

impl<'a, 'run> Dispatch<'a, 'run> {
    /// A search that is about to begin, or to go on.
    pub fn new(run: &'a mut Bisection<'run>, pool: &'a Pool, may_ask: bool) -> Self {
        let base = &run.context.base;
        let prefetch = Prefetch::start(base, run.context.choices.boot);
        Self { run, pool, prefetch, tasks: Vec::new(), failed: None, over: None, may_ask }
    }

    /// Runs to the end. When something fails, trials under way are waited for and count.
    ///
    /// # Errors
    /// What failed.
    pub fn finish(mut self) -> anyhow::Result<()> {
        loop {
            self.hand_out()?;
            if self.tasks.iter().all(|task| task.worker.is_none()) {
                break;
            }
            // Events of trials change nothing that is handed out.
            while !self.take()? {}
        }
        if let Some(error) = self.failed {
            return Err(error);
        }
        let over =
            self.over.take().ok_or_else(|| anyhow::anyhow!("the search waits for nothing"))?;
        self.drop_held()?;
        if let Some(fault) = self.fault_of_scenario()? {
            return Err(errors::scenario(fault));
        }
        self.run.journal.append(over)
    }

    /// What is wrong with the scenario, if no kernel passed and the reference kernel fails as the
    /// others do. That kernel is tried for it, once in a run.
    fn fault_of_scenario(&mut self) -> anyhow::Result<Option<ScenarioFault>> {
        let ended = || {
            self.run.journal.events().filter_map(|event| match event {
                RunEvent::TrialEnded { record, mark, .. } => Some((record.as_ref(), *mark)),
                _ => None,
            })
        };
        let passed = ended().any(|(_, mark)| mark == Some(Mark::Good));
        let bad = |(record, _): &(&TrialRecord, Option<Mark>)| {
            whose(record, passed, None) == Whose::AskReference
        };
        let Some((record, _)) = ended().find(bad) else { return Ok(None) };
        let record = Box::new(record.clone());
        let tried = self.run.journal.events().find_map(|event| match event {
            RunEvent::ReferenceTried { record } => Some(record.clone()),
            _ => None,
        });
        let reference = match tried {
            Some(tried) => tried,
            None => {
                let run = &mut *self.run;
                let kernel = &run.context.reference.kernel;
                let journal = &mut run.journal;
                let tried = self.pool.ask_reference(kernel, &mut |event| journal.append(event))?;
                let tried = Box::new(tried);
                journal.append(RunEvent::ReferenceTried { record: tried.clone() })?;
                tried
            }
        };
        let is_scenarios = whose(&record, passed, Some(&reference)) == Whose::Scenario;
        Ok(record.fault.filter(|_| is_scenarios))
    }

    /// Gives each idle worker the trial that tells most beside those under way, and ends those that
    /// tell nothing any more.
    fn hand_out(&mut self) -> anyhow::Result<()> {
        if self.failed.is_some() || self.over.is_some() {
            return Ok(());
        }
        while let Some(event) =
            symptom::settle(self.run.journal.events(), &self.run.context.base, self.may_ask)?
        {
            if matches!(event, RunEvent::Decided { .. }) {
                return self.end(event);
            }
            self.run.journal.append(event)?;
        }
        let method = self.method()?;
        if method.boots_disagree() {
            self.say_once(BOOTS_DISAGREE)?;
        }
        if let Some(at) = method.disagreed() {
            let words = disagreement_words(self.run.plan.series[at].kernel.label());
            self.say_once(&words)?;
        }
        self.cancel(MOOT, |task| method.is_moot(task.index, task.role))?;
        let mut method = self.method()?;
        for worker in 0..self.pool.count() {
            if self.tasks.iter().any(|task| task.worker == Some(worker)) {
                continue;
            }
            let mut next = self.next(&method);
            if next == Next::Wait && self.tasks.iter().all(|task| task.worker.is_none()) {
                // What is held waits for a symptom that will not show.
                self.drop_held()?;
                method = self.method()?;
                next = self.next(&method);
            }
            match next {
                Next::Wait => break,
                Next::Done(event) => return self.end(event),
                Next::Try { index, role, estimated_left, reason, coming } => {
                    method.begin(index, role)?;
                    let number = self.free_number();
                    self.start(Task {
                        worker: Some(worker),
                        number,
                        index,
                        role,
                        estimated_left,
                        reason,
                        coming,
                        attempt: 0,
                        begun: false,
                        cancelled: None,
                        held: None,
                    });
                }
            }
        }
        let likely = method.likely_next(AHEAD * self.pool.count());
        self.prefetch.ask(likely.into_iter().map(|index| self.run.series[index].clone()));
        Ok(())
    }

    /// Notes what is to be known once in a run, also when it is resumed.
    fn say_once(&mut self, words: &str) -> anyhow::Result<()> {
        let said = |event: &RunEvent| matches!(event, RunEvent::Note { text } if text == words);
        if self.run.journal.events().any(said) {
            return Ok(());
        }
        self.run.journal.append(RunEvent::Note { text: words.to_owned() })
    }

    fn end(&mut self, event: RunEvent) -> anyhow::Result<()> {
        self.over = Some(event);
        self.cancel(OVER, |task| task.worker.is_some())
    }

    fn next(&self, method: &Method) -> Next {
        match (self.run.is_spent(), self.tasks.is_empty()) {
            (false, _) => method.next(),
            (true, true) => method.give_up(RangeReason::Budget),
            (true, false) => Next::Wait,
        }
    }

    /// The search as the journal has it, and the trials under way.
    fn method(&self) -> anyhow::Result<Method> {
        // From the start: what the bad end shows decides which kernels can answer at all.
        let mut method = self.run.search_so_far()?;
        for task in self.tasks.iter().filter(|task| task.cancelled.is_none()) {
            method.begin(task.index, task.role)?;
        }
        Ok(method)
    }

    fn start(&mut self, task: Task) {
        if let Some(worker) = task.worker {
            let kernel = self.run.plan.series[task.index].kernel.clone();
            let from = From::Candidate(Box::new(self.run.series[task.index].clone()));
            self.pool.start(worker, Job { number: task.number, kernel, from, coming: task.coming });
        }
        self.tasks.push(task);
    }

    /// The lowest number that no trial has: one that was cut off leaves its own to another.
    fn free_number(&self) -> u32 {
        let ended = self.run.journal.events().filter_map(|event| match event {
            RunEvent::TrialEnded { record, .. } => Some(record.number),
            _ => None,
        });
        let used: std::collections::BTreeSet<u32> =
            ended.chain(self.tasks.iter().map(|task| task.number)).collect();
        (1..).find(|number| !used.contains(number)).unwrap_or(u32::MAX)
    }

    /// Takes what a worker tells. Says whether there may be something to hand out.
    fn take(&mut self) -> anyhow::Result<bool> {
        let Told { worker, news } = self.pool.next()?;
        let Some(at) = self.tasks.iter().position(|task| task.worker == Some(worker)) else {
            return Ok(false);
        };
        match news {
            News::Begins => {
                let several = self.pool.count() > 1;
                let task = &mut self.tasks[at];
                task.begun = true;
                self.run.journal.append(RunEvent::TrialBegan {
                    number: task.number,
                    index: task.index,
                    role: task.role,
                    estimated_left: task.estimated_left,
                    reason: task.reason.clone(),
                    worker: several.then_some(worker as u32 + 1),
                })?;
                Ok(false)
            }
            News::Event(_) if self.tasks[at].cancelled.is_some() => Ok(false),
            News::Event(event) => self.run.journal.append(event).map(|()| false),
            News::Ended(result) => {
                let task = self.tasks.remove(at);
                match result {
                    Err(error) => {
                        self.failed.get_or_insert(error);
                    }
                    Ok(Some(record)) if task.cancelled.is_none() => {
                        self.answer(at, task, record)?
                    }
                    // What came of it meanwhile does not count: the choice was made without it.
                    Ok(_) => self.forget(&task)?,
                }
                Ok(true)
            }
        }
    }

    /// Takes the answer of a trial, or keeps it until it can be compared with the target symptom.
    fn answer(&mut self, at: usize, task: Task, record: Box<TrialRecord>) -> anyhow::Result<()> {
        if needs_target(&record) && self.must_wait(at, &task) {
            self.tasks.insert(at, Task { worker: None, held: Some(record), ..task });
            return Ok(());
        }
        self.settle(task, record)?;
        while let Some(at) = (0..self.tasks.len())
            .find(|at| self.tasks[*at].held.is_some() && !self.must_wait(*at, &self.tasks[*at]))
        {
            let mut task = self.tasks.remove(at);
            let Some(record) = task.held.take() else { continue };
            if self.run.search_so_far()?.is_moot(task.index, task.role) {
                self.forget(&task)?;
            } else {
                self.settle(task, record)?;
            }
        }
        Ok(())
    }

    /// Whether the symptom looked for is still to be shown by another trial: by that of the bad end,
    /// or, when that one is taken for granted, by one that began before this one.
    fn must_wait(&self, at: usize, task: &Task) -> bool {
        if target_symptom(self.run.journal.events()).is_some() {
            return false;
        }
        let options = &self.run.plan.options;
        let (bad_end, assumed) = match self.run.plan.direction {
            Direction::Regression => (self.run.series.len() - 1, options.assume_new),
            Direction::Fix => (0, options.assume_old),
        };
        if assumed { at > 0 } else { task.index != bad_end }
    }

    /// Journals an answer. One that is none, for our own reasons, is tried again.
    fn settle(&mut self, task: Task, record: Box<TrialRecord>) -> anyhow::Result<()> {
        let run = &mut *self.run;
        let named = run.plan.options.symptom.as_ref();
        let (mark, taken) = symptom::mark_of(&record, task.role, run.journal.events(), named);
        let trial = Trial::new(&record, &taken);
        write_json(&run.folder.join(&record.directory).join("trial.json"), &trial)?;
        let error = record.reason.clone().unwrap_or_default();
        let disturbed = record.disturbed.clone();
        let verdict = record.verdict();
        run.journal.append(RunEvent::TrialEnded { index: task.index, record, mark, taken })?;
        if mark.is_some() || self.failed.is_some() || self.over.is_some() {
            return Ok(());
        }
        if let Verdict::Scenario(fault) = verdict {
            self.failed = Some(errors::scenario(fault));
            return Ok(());
        }
        if full_disk(run.folder).is_some() || task.attempt >= run.plan.options.infra_retries {
            let kernel = &run.plan.series[task.index].kernel;
            self.failed = Some(host_failed(kernel, &error, &disturbed, run.folder));
            return Ok(());
        }
        run.journal.append(RunEvent::Note { text: format!("tried again: {error}") })?;
        let number = self.free_number();
        self.start(Task { number, attempt: task.attempt + 1, begun: false, ..task });
        Ok(())
    }

    /// Ends trials before their time.
    fn cancel(&mut self, why: &'static str, which: impl Fn(&Task) -> bool) -> anyhow::Result<()> {
        for at in (0..self.tasks.len()).rev() {
            let task = &mut self.tasks[at];
            if task.cancelled.is_some() || !which(task) {
                continue;
            }
            task.cancelled = Some(why);
            match task.worker {
                // It is a task until its worker is idle.
                Some(worker) => self.pool.cancel(worker),
                None => {
                    let task = self.tasks.remove(at);
                    self.forget(&task)?;
                }
            }
        }
        Ok(())
    }

    /// Gives up what waits for a symptom that does not show, and says what it was.
    fn drop_held(&mut self) -> anyhow::Result<()> {
        while let Some(at) = self.tasks.iter().position(|task| task.held.is_some()) {
            let task = self.tasks.remove(at);
            if let Some(record) = &task.held {
                let what = record.symptom.as_ref().map_or_else(
                    || record.reason.clone().unwrap_or_default(),
                    |symptom| format!("{}: {}", symptom.kind, symptom.title),
                );
                let label = record.kernel.label();
                let text = format!(
                    "{label} failed beside it ({what}), which counts for nothing: the bad end showed no \
                     symptom to compare it with"
                );
                self.run.journal.append(RunEvent::Note { text })?;
            }
            self.forget(&task)?;
        }
        Ok(())
    }

    /// Leaves nothing of a trial that does not count.
    fn forget(&mut self, task: &Task) -> anyhow::Result<()> {
        forget(self.run.folder, task.number);
        if !task.begun {
            return Ok(());
        }
        let reason = task.cancelled.unwrap_or(OVER).to_owned();
        self.run.journal.append(RunEvent::TrialCancelled { number: task.number, reason })
    }
}
