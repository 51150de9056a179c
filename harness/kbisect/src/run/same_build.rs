//! Commits that change nothing in what is built: one is tried for all of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kbisect_core::boot::Coming;
use kbisect_core::evidence::Evidence;
use kbisect_core::job::{Job, Limits};
use kbisect_core::scenario::Scenario;
use kbisect_core::trial::{TrialRecord, VerdictKind};
use kbisect_report::words;

/// Answers of kernels that were built, of one run.
#[derive(Default)]
pub struct Builds(Mutex<Vec<Tried>>);

struct Tried {
    content: String,
    scenario: Arc<Scenario>,
    record: TrialRecord,
}

impl Builds {
    /// Keeps an answer for others of the same content.
    pub fn add(&self, content: &str, job: &Job, record: &TrialRecord) {
        if is_plain(job) && matches!(record.verdict, VerdictKind::Good | VerdictKind::Bad) {
            self.list().push(Tried::new(content, job, record));
        }
    }

    /// The answer of another commit whose image and modules are the very same, for a commit that was not
    /// tried yet. It is given once: repeats, of which confidence is made, are made. `directory` is that of the
    /// trial.
    pub fn answer(&self, content: &str, job: &Job, directory: &str) -> Option<TrialRecord> {
        if !is_plain(job) {
            return None;
        }
        let mut list = self.list();
        let same = list
            .iter()
            .filter(|other| other.content == content && other.scenario == job.subject.scenario);
        if same.clone().any(|other| other.record.kernel.id == job.kernel.id) {
            return None;
        }
        let known = &{ same }.next()?.record;
        let mut record = known.clone();
        record.notes.push(words::same_build(known.kernel.label(), known.number));
        (record.number, record.kernel) = (job.number, job.kernel.clone());
        (record.directory, record.evidence) = (directory.to_owned(), Evidence::default());
        // The boot stays, under its own id: one of the very same bits, which counts once.
        record.wall_s = 0.0;
        list.push(Tried::new(content, job, &record));
        Some(record)
    }

    fn list(&self) -> MutexGuard<'_, Vec<Tried>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tried {
    fn new(content: &str, job: &Job, record: &TrialRecord) -> Self {
        let (content, scenario) = (content.to_owned(), Arc::clone(&job.subject.scenario));
        Self { content, scenario, record: record.clone() }
    }
}

/// Whether nothing but kernel and scenario makes a trial what it is.
fn is_plain(job: &Job) -> bool {
    let as_usual = job.coming == Coming::Any && job.limits == Limits::default();
    as_usual && job.fault.is_none() && job.shell.is_none() && !job.by_hand
}
