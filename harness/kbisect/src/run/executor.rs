//! Makes the trials that a plan asks for, side by side, and writes the journal.
//!
//! A plan ([`Work`]) says what is tried next and what an answer means; workers make trials. Everything
//! follows from the journal and the trials under way, so that a run can be resumed with another number of
//! workers; the main thread alone writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context as _;
use kbisect_core::boot::Coming;
use kbisect_core::inject::Fault;
use kbisect_core::job::{Job, Limits, ShellRequest, Subject};
use kbisect_core::run::{Aim, RunEvent};
use kbisect_core::trial::{TrialRecord, VerdictKind};
use kbisect_kernels::Candidate;
use kbisect_report::words;
use kbisect_vm::accel::Probe;

use super::context::Context;
use super::files::full_disk;
use super::journal::Journal;
use super::pool::{From, News, Pool, Told, with_workers};
use super::prefetch::Prefetch;
use super::trial::{forget, host_failed, reference_job};
use crate::errors;

/// Trials in a row that may fail for reasons of a worker that is another process.
const SICK: u32 = 2;
/// Kernels that are fetched ahead, for each worker.
const AHEAD: usize = 2;

/// What decides which trials are made, and what their answers mean.
pub trait Work {
    /// Gives trials to idle workers, and ends those that tell nothing any more.
    ///
    /// # Errors
    /// What ends the run at once.
    fn hand_out(&mut self, crew: &mut Crew<'_>) -> anyhow::Result<()>;

    /// Takes what a trial came to. It was at `at` among those under way.
    ///
    /// # Errors
    /// What ends the run at once.
    fn ended(
        &mut self,
        crew: &mut Crew<'_>,
        at: usize,
        task: Task,
        record: Box<TrialRecord>,
    ) -> anyhow::Result<()>;

    /// Nothing is under way, nothing was handed out, and nothing failed.
    ///
    /// # Errors
    /// That the answers are none.
    fn close(&mut self, crew: &mut Crew<'_>) -> anyhow::Result<()>;
}

/// A trial under way.
pub struct Task {
    /// Who makes it; nobody any more when its record waits for something.
    pub worker: Option<usize>,
    /// Its number.
    pub number: u32,
    /// What it is made for.
    pub aim: Aim,
    /// The kernel.
    pub candidate: Candidate,
    /// How the kernel comes up.
    pub coming: Coming,
    /// What it is tried with.
    pub with: With,
    /// How often it failed for our own reasons.
    attempt: u32,
    begun: bool,
    /// Why it is ended before its time.
    pub cancelled: Option<&'static str>,
    /// What it came to, while that cannot be used yet.
    pub held: Option<Box<TrialRecord>>,
    /// Who failed with it last, for reasons of its own.
    avoid: Option<usize>,
}

/// What a kernel is tried with.
#[derive(Clone)]
pub struct With {
    /// The scenario.
    pub subject: Subject,
    /// What is broken on purpose.
    pub fault: Option<Fault>,
    /// What is waited for less than by its own deadline.
    pub limits: Limits,
    /// Whether somebody wants to look into a node before it is over.
    pub shell: Option<ShellRequest>,
    /// Whether somebody decides of each thing that is done in it.
    pub by_hand: bool,
}

impl With {
    /// The scenario, and nothing beside it.
    #[must_use]
    pub fn only(subject: Subject) -> Self {
        Self { subject, fault: None, limits: Limits::default(), shell: None, by_hand: false }
    }
}

/// The workers of a run, what they are at, and the journal.
pub struct Crew<'a> {
    /// What all trials have in common.
    pub context: &'a Context,
    /// The run's folder.
    pub folder: &'a Path,
    /// The journal.
    pub journal: &'a mut Journal,
    /// Trials under way, in the order in which they began.
    pub tasks: Vec<Task>,
    pool: &'a Pool,
    prefetch: &'a Prefetch,
    /// How often a trial that failed for our own reasons is repeated.
    retries: u32,
    failed: Option<anyhow::Error>,
    /// Workers that are there no more.
    lost: BTreeSet<usize>,
    /// Workers that are not there yet.
    absent: BTreeSet<usize>,
    /// Trials whose workers were lost.
    orphans: Vec<Task>,
    /// How many trials in a row failed for reasons of a worker that is another process.
    sick: BTreeMap<usize, u32>,
}

/// Where and how trials are made.
pub struct Site<'a> {
    /// What all trials have in common.
    pub context: &'a Context,
    /// The run's folder.
    pub folder: &'a Path,
    /// How many trials run side by side.
    pub workers: usize,
    /// Who fetches kernels before they are needed.
    pub prefetch: &'a Prefetch,
    /// How often a trial that failed for our own reasons is repeated.
    pub retries: u32,
}

/// Makes trials until there is nothing left to do. When something fails, those under way are waited for
/// and count. Tells how guests run, as far as the trials have shown.
///
/// # Errors
/// What failed.
pub fn execute(
    site: &Site<'_>,
    journal: &mut Journal,
    work: &mut dyn Work,
) -> anyhow::Result<(anyhow::Result<()>, Probe)> {
    with_workers(site.context, site.folder, site.workers, |pool| {
        let mut crew = Crew {
            context: site.context,
            folder: site.folder,
            journal,
            tasks: Vec::new(),
            pool,
            prefetch: site.prefetch,
            retries: site.retries,
            failed: None,
            lost: BTreeSet::new(),
            absent: BTreeSet::new(),
            orphans: Vec::new(),
            sick: BTreeMap::new(),
        };
        loop {
            if crew.failed.is_none() {
                crew.place_orphans();
                work.hand_out(&mut crew)?;
            }
            if crew.rests() {
                break;
            }
            // Events of trials change nothing that is handed out.
            while !crew.take(work)? {}
        }
        match crew.failed.take() {
            Some(error) => Err(error),
            None => work.close(&mut crew),
        }
    })
}

/// As [`execute`], with kernels fetched ahead for this work alone; `workers` trials side by side, each repeated up to
/// `retries` times when it fails for our own reasons.
///
/// # Errors
/// As [`execute`].
pub fn execute_alone(
    context: &Context,
    folder: &Path,
    (workers, retries): (usize, u32),
    journal: &mut Journal,
    work: &mut dyn Work,
) -> anyhow::Result<(anyhow::Result<()>, Probe)> {
    let prefetch = Prefetch::start(&context.base, context.choices.boot);
    let site = Site { context, folder, workers, prefetch: &prefetch, retries };
    execute(&site, journal, work)
}

impl Crew<'_> {
    /// How many workers there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.pool.count()
    }

    /// A worker that makes no trial.
    #[must_use]
    pub fn idle(&self) -> Option<usize> {
        (0..self.count()).find(|worker| self.is_idle(*worker))
    }

    fn is_idle(&self, worker: usize) -> bool {
        let works = self.tasks.iter().any(|task| task.worker == Some(worker));
        !works && self.is_there(worker)
    }

    /// Hands trials that wait for a worker to one, if there is one that did not fail with them.
    fn place_orphans(&mut self) {
        for task in std::mem::take(&mut self.orphans) {
            let is_avoided = |worker: &usize| task.avoid == Some(*worker) && self.others(*worker);
            let mut idle = (0..self.count()).filter(|worker| self.is_idle(*worker));
            match idle.find(|worker| !is_avoided(worker)) {
                Some(worker) => {
                    let number = self.free_number();
                    self.hand(Task { worker: Some(worker), number, begun: false, ..task });
                }
                None => self.orphans.push(task),
            }
        }
    }

    fn is_there(&self, worker: usize) -> bool {
        !self.lost.contains(&worker) && !self.absent.contains(&worker)
    }

    /// Whether there are workers beside one.
    fn others(&self, worker: usize) -> bool {
        (0..self.count()).any(|other| other != worker && self.is_there(other))
    }

    /// Takes note of whether a worker that is another process can make trials at all.
    fn look_at(&mut self, worker: usize, record: &TrialRecord) -> anyhow::Result<()> {
        if record.verdict != VerdictKind::Infra {
            self.sick.remove(&worker);
            return Ok(());
        }
        let in_row = self.sick.entry(worker).or_default();
        *in_row += 1;
        if *in_row >= SICK && self.pool.is_elsewhere(worker) && self.others(worker) {
            let reason = record.reason.clone().unwrap_or_default();
            return self.lose(worker, None, &reason);
        }
        Ok(())
    }

    /// A worker is there no more: its trial, if it had one, is made elsewhere.
    fn lose(&mut self, worker: usize, task: Option<Task>, reason: &str) -> anyhow::Result<()> {
        self.lost.insert(worker);
        self.absent.remove(&worker);
        let text = words::worker_lost(worker + 1, reason);
        self.journal.append(RunEvent::Note { text })?;
        if let Some(task) = task {
            self.take_away(task, words::ITS_WORKER_IS_GONE)?;
        }
        if self.lost.len() == self.count() {
            self.fail(errors::infrastructure(
                format!("no worker is left; the last one: {reason}"),
                "try the command with `kbisect pool check COMMAND`, and go on",
            ));
        }
        Ok(())
    }

    /// Takes a trial from its worker: it is made by another one, unless it is of no use any more.
    fn take_away(&mut self, mut task: Task, why: &'static str) -> anyhow::Result<()> {
        let is_moot = task.cancelled.is_some();
        task.cancelled.get_or_insert(why);
        self.forget(&task)?;
        if !is_moot {
            self.orphans.push(Task { worker: None, cancelled: None, ..task });
        }
        Ok(())
    }

    /// Whether no worker makes a trial.
    #[must_use]
    pub fn rests(&self) -> bool {
        self.tasks.iter().all(|task| task.worker.is_none())
            && (self.orphans.is_empty() || self.has_failed())
    }

    /// Ends the run with an error as soon as the trials under way did; the first one counts.
    pub fn fail(&mut self, error: anyhow::Error) {
        self.failed.get_or_insert(error);
    }

    /// Whether the run is to end with an error.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// Has an idle worker try a kernel.
    pub fn start(
        &mut self,
        worker: usize,
        aim: Aim,
        candidate: Candidate,
        coming: Coming,
        with: With,
    ) {
        self.hand(Task {
            worker: Some(worker),
            number: self.free_number(),
            aim,
            candidate,
            coming,
            with,
            attempt: 0,
            begun: false,
            cancelled: None,
            held: None,
            avoid: None,
        });
    }

    fn hand(&mut self, task: Task) {
        if let Some(worker) = task.worker {
            let With { subject, fault, limits, shell, by_hand } = task.with.clone();
            let (kernel, coming) = (task.candidate.kernel.clone(), task.coming);
            let number = task.number;
            let job = Job { number, kernel, coming, subject, fault, limits, shell, by_hand };
            self.pool.start(worker, job, From::Candidate(Box::new(task.candidate.clone())));
        }
        self.tasks.push(task);
    }

    /// Keeps what a trial came to until it can be used, in its place among those under way.
    pub fn hold(&mut self, at: usize, task: Task, record: Box<TrialRecord>) {
        self.tasks.insert(at, Task { worker: None, held: Some(record), ..task });
    }

    /// Tries again what failed for our own reasons; too often, and the run ends with that.
    pub fn try_again(&mut self, task: Task, record: &TrialRecord) -> anyhow::Result<()> {
        if self.has_failed() {
            return Ok(());
        }
        let error = record.reason.as_deref().unwrap_or_default();
        if full_disk(self.folder).is_some() || task.attempt >= self.retries {
            let kernel = &task.candidate.kernel;
            self.fail(host_failed(kernel, error, &record.disturbed, self.folder));
            return Ok(());
        }
        self.journal.append(RunEvent::Note { text: format!("tried again: {error}") })?;
        let attempt = task.attempt + 1;
        if let Some(worker) = task.worker.filter(|worker| self.pool.is_elsewhere(*worker)) {
            // It may be that machine alone.
            self.orphans.push(Task { worker: None, avoid: Some(worker), attempt, ..task });
            return Ok(());
        }
        let number = self.free_number();
        self.hand(Task { number, attempt, begun: false, ..task });
        Ok(())
    }

    /// Fetches kernels that are likely to be tried next, of which `likely` names as many as it is asked
    /// for.
    pub fn look_ahead(&self, likely: impl FnOnce(usize) -> Vec<Candidate>) {
        let needed = self.tasks.iter().filter(|task| task.worker.is_some());
        let needed = needed.map(|task| task.candidate.kernel.id.clone());
        self.prefetch.ask(likely(AHEAD * self.count()), needed);
    }

    /// Tries the reference kernel in the candidate's place. Nothing else may be under way.
    ///
    /// # Errors
    /// That it gave no answer.
    pub fn ask_reference(
        &mut self,
        subject: &Subject,
        scenario: Option<String>,
    ) -> anyhow::Result<TrialRecord> {
        let mut maker: Option<usize> = None;
        let record = loop {
            if maker.is_none() {
                maker = self.idle();
                if let Some(worker) = maker {
                    let job = reference_job(self.context, subject.clone());
                    self.pool.start(worker, job, From::Reference);
                } else if let Some(error) = self.failed.take() {
                    return Err(error);
                }
            }
            let Told { worker, news } = self.pool.next()?;
            let is_its = maker == Some(worker);
            match news {
                News::Here => {
                    self.absent.remove(&worker);
                }
                News::Absent => {
                    self.absent.insert(worker);
                    maker = maker.filter(|_| !is_its);
                }
                News::Lost(reason) => {
                    maker = maker.filter(|_| !is_its);
                    self.lose(worker, None, &reason)?;
                }
                News::Event(event) if is_its => self.journal.append(*event)?,
                News::Ended(record) if is_its => {
                    break record?.context("the trial of the reference kernel was cancelled")?;
                }
                News::Ended(Err(error)) => return Err(error),
                News::Begins | News::Event(_) | News::Ended(_) => {}
            }
        };
        self.journal.append(RunEvent::ReferenceTried { scenario, record: record.clone() })?;
        Ok(*record)
    }

    /// The lowest number that no trial has: one that was cut off leaves its own to another.
    fn free_number(&self) -> u32 {
        let ended = self.journal.events().filter_map(|event| match event {
            RunEvent::TrialEnded { record, .. } => Some(record.number),
            _ => None,
        });
        let used: BTreeSet<u32> = ended.chain(self.tasks.iter().map(|task| task.number)).collect();
        (1..).find(|number| !used.contains(number)).unwrap_or(u32::MAX)
    }

    /// Takes what a worker tells. Says whether there may be something to hand out.
    fn take(&mut self, work: &mut dyn Work) -> anyhow::Result<bool> {
        let Told { worker, news } = self.pool.next()?;
        let at = self.tasks.iter().position(|task| task.worker == Some(worker));
        match (news, at) {
            (News::Here, _) => {
                self.absent.remove(&worker);
                Ok(true)
            }
            (News::Lost(reason), at) => {
                let task = at.map(|at| self.tasks.remove(at));
                self.lose(worker, task, &reason).map(|()| true)
            }
            (News::Ended(Err(error)), None) => {
                self.fail(error);
                Ok(true)
            }
            (_, None) => Ok(false),
            (News::Absent, Some(at)) => {
                self.absent.insert(worker);
                let task = self.tasks.remove(at);
                let text = words::worker_awaited(worker + 1);
                self.journal.append(RunEvent::Note { text })?;
                self.take_away(task, words::ITS_WORKER_IS_NOT_THERE).map(|()| true)
            }
            (News::Begins, Some(at)) => {
                let several = self.count() > 1;
                let task = &mut self.tasks[at];
                task.begun = true;
                self.journal.append(RunEvent::TrialBegan {
                    number: task.number,
                    aim: task.aim.clone(),
                    worker: several.then_some(worker as u32 + 1),
                })?;
                Ok(false)
            }
            (News::Event(_), Some(at)) if self.tasks[at].cancelled.is_some() => Ok(false),
            (News::Event(event), Some(_)) => self.journal.append(*event).map(|()| false),
            (News::Ended(result), Some(at)) => {
                let task = self.tasks.remove(at);
                match result {
                    Err(error) => self.fail(error),
                    Ok(Some(record)) if task.cancelled.is_none() => {
                        self.look_at(worker, &record)?;
                        work.ended(self, at, task, record)?;
                    }
                    Ok(None) if task.cancelled.is_none() && !self.has_failed() => {
                        self.take_away(task, words::ITS_WORKER_IS_GONE)?;
                    }
                    // What came of it meanwhile does not count: the choice was made without it.
                    Ok(_) => self.forget(&task)?,
                }
                Ok(true)
            }
        }
    }

    /// Ends trials before their time.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn cancel(
        &mut self,
        why: &'static str,
        which: impl Fn(&Task) -> bool,
    ) -> anyhow::Result<()> {
        self.orphans.retain(|task| !which(task));
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

    /// Leaves nothing of a trial that does not count.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn forget(&mut self, task: &Task) -> anyhow::Result<()> {
        forget(self.folder, &task.with.subject, task.number);
        if !task.begun {
            return Ok(());
        }
        let reason = task.cancelled.unwrap_or("the search is over").to_owned();
        self.journal.append(RunEvent::TrialCancelled { number: task.number, reason })
    }
}
