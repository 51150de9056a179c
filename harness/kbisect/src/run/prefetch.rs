//! Fetches and unpacks what is likely to be needed next while a trial runs.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use kbisect_core::boot::BootWay;
use kbisect_core::kernel::KernelId;
use kbisect_kernels::{Candidate, Progress, ProgressItem, Silent};

use super::context::Base;

/// A thread that fetches kernels one after the other, always the likeliest of what was asked for last.
pub struct Prefetch {
    wishes: Arc<Wishes>,
}

#[derive(Default)]
struct Wishes {
    list: Mutex<List>,
    changed: Condvar,
}

#[derive(Default)]
struct List {
    /// The likeliest first.
    wanted: Vec<Candidate>,
    /// Tried already, with or without luck.
    tried: BTreeSet<KernelId>,
    over: bool,
}

/// Tells nothing, but can be stopped.
struct Quiet(Arc<dyn Progress>);

impl Progress for Quiet {
    fn begin(&self, what: &str, total: Option<u64>) -> Box<dyn ProgressItem> {
        self.0.begin(&format!("{what} (ahead)"), total)
    }
    fn note(&self, line: &str) {
        Silent.note(line);
    }
    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}

impl Prefetch {
    /// Starts the thread. It ends with this handle, or with the process; a download that is cut off
    /// leaves nothing in the store.
    pub fn start(base: &Base, way: BootWay) -> Self {
        let (store, settings) = (base.store.clone(), base.settings.clone());
        let progress = base.progress();
        let wishes = Arc::new(Wishes::default());
        let theirs = Arc::clone(&wishes);
        std::thread::spawn(move || {
            // Unpacking competes with emulated machines for the processors; let them go first. On
            // Linux the call is about this thread alone.
            let _ = rustix::process::nice(10);
            let quiet = Quiet(progress);
            while let Some(candidate) = theirs.next() {
                if quiet.cancelled() {
                    return;
                }
                // A failure shows again, and is told, when the kernel is really needed.
                if let Ok(kernel) = store.ensure(&candidate, &settings, &quiet)
                    && way == BootWay::Pvh
                {
                    let _ = store.unpacked(&kernel);
                }
            }
        });
        Self { wishes }
    }

    /// Asks for kernels, the most likely first, in place of those that were asked for before and have
    /// not been begun. Each is fetched once.
    pub fn ask(&self, candidates: impl IntoIterator<Item = Candidate>) {
        self.wishes.list().wanted = candidates.into_iter().collect();
        self.wishes.changed.notify_one();
    }
}

impl Drop for Prefetch {
    fn drop(&mut self) {
        self.wishes.list().over = true;
        self.wishes.changed.notify_one();
    }
}

impl Wishes {
    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next kernel to fetch; nothing when nobody asks any more.
    fn next(&self) -> Option<Candidate> {
        let mut list = self.list();
        loop {
            if list.over {
                return None;
            }
            if let Some(candidate) = list.take() {
                return Some(candidate);
            }
            list = self.changed.wait(list).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl List {
    fn take(&mut self) -> Option<Candidate> {
        let at = self.wanted.iter().position(|one| !self.tried.contains(&one.kernel.id))?;
        let candidate = self.wanted.remove(at);
        self.tried.insert(candidate.kernel.id.clone());
        Some(candidate)
    }
}

#[cfg(test)]
mod tests {
    use kbisect_kernels::CandidateState;

    use super::*;
    use crate::ui::tests::kernel;

    fn candidate(version: &str) -> Candidate {
        Candidate {
            kernel: kernel(version),
            packages: Vec::new(),
            state: CandidateState::Downloadable { bytes: 5 },
            also_in: Vec::new(),
            other_builds: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn taken(list: &mut List) -> Vec<String> {
        let next = || list.take().map(|candidate| candidate.kernel.version);
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn what_was_asked_for_last_comes_first_and_once() {
        let wanted = ["6.1.1", "6.1.2", "6.1.3"].map(candidate).into();
        let mut list = List { wanted, ..List::default() };
        assert_eq!(list.take().unwrap().kernel.version, "6.1.1");
        // The others are not likely any more.
        list.wanted = ["6.1.9", "6.1.1", "6.1.2"].map(candidate).into();
        assert_eq!(taken(&mut list), ["6.1.9", "6.1.2"]);
        list.wanted = ["6.1.9"].map(candidate).into();
        assert_eq!(taken(&mut list), [""; 0]);
    }

    #[test]
    fn nobody_waits_for_wishes_that_cannot_come() {
        let wishes = Arc::new(Wishes::default());
        let theirs = Arc::clone(&wishes);
        let waits = std::thread::spawn(move || theirs.next());
        drop(Prefetch { wishes });
        assert!(waits.join().unwrap().is_none());
    }
}
