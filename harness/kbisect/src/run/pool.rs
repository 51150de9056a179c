//! Workers: threads that make trials, each with machines, wires and a lab of its own.
//!
//! A machine dies with the thread that started it, so a worker ends only after its machines are gone.
//! Workers write no journal and choose nothing: they are handed trials and tell what comes of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, Scope};

use anyhow::{Context as _, anyhow};
use kbisect_core::job::Job;
use kbisect_core::run::RunEvent;
use kbisect_core::trial::TrialRecord;
use kbisect_kernels::Candidate;
use kbisect_vm::accel::Probe;
use kbisect_vm::session::Interrupt;

use super::bench::{Bench, Parts};
use super::context::Context;
use super::kernels;
use super::remote::{Absent, Line, Lost, Shared};
use super::trial::{Place, Trials};
use crate::errors;

/// Where the kernel of a trial comes from, here.
#[derive(Clone, Debug)]
pub enum From {
    /// A store or an archive.
    Candidate(Box<Candidate>),
    /// It is the kernel of the reference nodes, in the candidate's place.
    Reference,
}

/// What a worker tells.
pub struct Told {
    /// Which worker, from 0.
    pub worker: usize,
    /// What.
    pub news: News,
}

/// What happened.
pub enum News {
    /// The kernel is at hand: the trial begins.
    Begins,
    /// An event of the trial.
    Event(Box<RunEvent>),
    /// The worker is not there yet: its trial is to be made elsewhere.
    Absent,
    /// It is there now.
    Here,
    /// The worker is there no more, and why: its trial is to be made elsewhere.
    Lost(String),
    /// The trial ended; without a record it was cancelled.
    Ended(anyhow::Result<Option<Box<TrialRecord>>>),
}

/// Workers at work.
pub struct Pool {
    workers: Vec<Worker>,
    told: Receiver<Told>,
}

struct Worker {
    jobs: Sender<(Job, From)>,
    cancel: Interrupt,
    is_elsewhere: bool,
}

/// Lends workers to `work`; all have ended, and their machines are gone, when this returns. Tells how
/// guests run, as far as the trials have shown.
///
/// # Errors
/// When threads cannot be started.
pub fn with_workers<T>(
    context: &Context,
    folder: &Path,
    count: usize,
    work: impl FnOnce(&Pool) -> T,
) -> anyhow::Result<(T, Probe)> {
    thread::scope(|scope| {
        let (tell, told) = channel();
        let mut workers = Vec::new();
        let mut threads = Vec::new();
        for (number, place) in places(context, folder, count)?.into_iter().enumerate() {
            let (jobs, queue) = channel();
            let (place, cancel) = place;
            let is_elsewhere = matches!(place, Place::There(_));
            let trials = Trials::new(context, folder, place, cancel.clone());
            threads.push(start(scope, context, number, trials, queue, tell.clone())?);
            workers.push(Worker { jobs, cancel, is_elsewhere });
        }
        let count = workers.len();
        drop(tell);
        let pool = Pool { workers, told };
        let done = work(&pool);
        // What is still under way is of no use to anybody.
        (0..count).for_each(|worker| pool.cancel(worker));
        drop(pool);
        let mut probe = context.probe.clone();
        for thread in threads {
            let found = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            if found != context.probe {
                probe = found;
            }
        }
        Ok((done, probe))
    })
}

/// Where trials are made: so many places here, if any, and all those of the pools.
fn places(
    context: &Context,
    folder: &Path,
    count: usize,
) -> anyhow::Result<Vec<(Place, Interrupt)>> {
    let pools = &context.pools;
    let here = if pools.only { 0 } else { count };
    let several = here + pools.workers.len() > 1;
    let mut places = Vec::new();
    let parts = (here > 0).then(|| Parts::of(context));
    for (number, parts) in parts.iter().cycle().take(here).enumerate() {
        let lab = several.then(|| format!("worker-{}", number + 1));
        let (probe, cancel) = (context.probe.clone(), Interrupt::default());
        let bench = Bench::new(parts.clone(), probe, folder, lab, cancel.clone());
        places.push((Place::Here(Box::new(bench)), cancel));
    }
    if !pools.workers.is_empty() {
        let shared = Arc::new(Shared::of(context)?);
        for words in &pools.workers {
            let line = Line::new(words.clone(), Arc::clone(&shared));
            places.push((Place::There(Box::new(line)), Interrupt::default()));
        }
    }
    Ok(places)
}

fn start<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    context: &'env Context,
    worker: usize,
    mut trials: Trials<'env>,
    queue: Receiver<(Job, From)>,
    tell: Sender<Told>,
) -> anyhow::Result<thread::ScopedJoinHandle<'scope, Probe>> {
    let work = move || {
        for (job, from) in queue {
            // Nobody listens when the run failed: the trial is cancelled then.
            let send = |news| {
                let _ = tell.send(Told { worker, news });
            };
            let make = AssertUnwindSafe(|| make(context, &mut trials, &job, &from, &send));
            // A bug must not leave the others waiting for ever.
            let ended = catch_unwind(make).unwrap_or_else(|_| Err(anyhow!("a worker panicked")));
            let ended = match ended {
                Err(error) if error.is::<Absent>() => {
                    send(News::Absent);
                    match trials.wait() {
                        Err(error) => Err(error),
                        Ok(_) if context.base.interrupt.is_set() => {
                            Err(errors::interrupted("interrupted", None))
                        }
                        // One that nobody waits for any more may be asked again, too.
                        Ok(_) => {
                            send(News::Here);
                            continue;
                        }
                    }
                }
                ended => ended,
            };
            match ended.as_ref().err().and_then(|error| error.downcast_ref::<Lost>()) {
                Some(lost) => send(News::Lost(lost.0.clone())),
                None => send(News::Ended(ended.map(|record| record.map(Box::new)))),
            }
        }
        trials.probe().clone()
    };
    thread::Builder::new()
        .name(format!("worker-{}", worker + 1))
        .spawn_scoped(scope, work)
        .context("cannot start a thread for a worker")
}

/// Makes one trial.
fn make(
    context: &Context,
    trials: &mut Trials<'_>,
    job: &Job,
    from: &From,
    send: &dyn Fn(News),
) -> anyhow::Result<Option<TrialRecord>> {
    let candidate = match from {
        From::Candidate(candidate) => candidate,
        From::Reference => {
            let mut tell = |event| {
                send(News::Event(Box::new(event)));
                Ok(())
            };
            return trials.run_reference(&job.subject, &mut tell).map(Some);
        }
    };
    let kernel = kernels::to_try_unless(&context.base, candidate, trials.cancel());
    // What is not done since it was interrupted did not fail.
    context.base.go_on()?;
    if trials.cancel().is_set() {
        return Ok(None);
    }
    let kernel = kernel?;
    send(News::Begins);
    trials.run_unless_cancelled(job, kernel.as_ref(), &mut |event| {
        send(News::Event(Box::new(event)));
        Ok(())
    })
}

impl Pool {
    /// How many workers there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.workers.len()
    }

    /// Whether a worker is another process.
    #[must_use]
    pub fn is_elsewhere(&self, worker: usize) -> bool {
        self.workers[worker].is_elsewhere
    }

    /// Hands a trial to an idle worker.
    pub fn start(&self, worker: usize, job: Job, from: From) {
        self.workers[worker].cancel.0.store(false, Ordering::SeqCst);
        // The thread takes jobs until the pool is gone; if it panicked, `next` says so.
        let _ = self.workers[worker].jobs.send((job, from));
    }

    /// Ends the trial of a worker, which tells when that is done.
    pub fn cancel(&self, worker: usize) {
        self.workers[worker].cancel.0.store(true, Ordering::SeqCst);
    }

    /// Waits for what the next one tells.
    ///
    /// # Errors
    /// When no worker is left to tell anything.
    pub fn next(&self) -> anyhow::Result<Told> {
        self.told.recv().context("all workers have ended")
    }
}
