//! Fetches and unpacks what is likely to be needed next while a trial runs.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kbisect_core::boot::BootWay;
use kbisect_core::kernel::KernelId;
use kbisect_kernels::{Candidate, Progress, ProgressItem, Silent};

use super::context::Base;

/// How often it looks whether it may go on.
const LOOK: Duration = Duration::from_millis(200);

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
    /// Kernels that trials under way wait for, or have.
    needed: BTreeSet<KernelId>,
    over: bool,
}

/// Tells nothing, but can be stopped.
struct Quiet {
    shown: Arc<dyn Progress>,
    wishes: Arc<Wishes>,
    /// A kernel that is built, for as long as it may be of use: it keeps others from being built.
    built: Option<KernelId>,
}

impl Progress for Quiet {
    fn begin(&self, what: &str, total: Option<u64>) -> Box<dyn ProgressItem> {
        self.shown.begin(&format!("{what} (ahead)"), total)
    }
    fn note(&self, line: &str) {
        Silent.note(line);
    }
    fn cancelled(&self) -> bool {
        let is_moot = || self.built.as_ref().is_some_and(|id| !self.wishes.list().is_of_use(id));
        self.shown.cancelled() || is_moot()
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
            let is_stored = |id: &KernelId| store.get(id).is_some();
            while let Some(candidate) = theirs.next(&is_stored) {
                if progress.cancelled() {
                    return;
                }
                let built = candidate.build.is_some().then(|| candidate.kernel.id.clone());
                let (shown, wishes) = (Arc::clone(&progress), Arc::clone(&theirs));
                let quiet = Quiet { shown, wishes, built };
                // A failure shows again, and is told, when the kernel is really needed.
                match store.ensure(&candidate, &settings, &quiet) {
                    Ok(kernel) if way == BootWay::Pvh => drop(store.unpacked(&kernel)),
                    Ok(_) => {}
                    // It may be asked for again.
                    Err(_) if quiet.cancelled() => {
                        theirs.list().tried.remove(&candidate.kernel.id);
                    }
                    Err(_) => {}
                }
            }
        });
        Self { wishes }
    }

    /// Asks for kernels, the most likely first, in place of those that were asked for before and have
    /// not been begun. Each is fetched once. A build that is neither asked for nor needed is stopped.
    pub fn ask(
        &self,
        candidates: impl IntoIterator<Item = Candidate>,
        needed: impl IntoIterator<Item = KernelId>,
    ) {
        let mut list = self.wishes.list();
        list.wanted = candidates.into_iter().collect();
        list.needed = needed.into_iter().collect();
        drop(list);
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
    fn next(&self, is_stored: &dyn Fn(&KernelId) -> bool) -> Option<Candidate> {
        let mut list = self.list();
        loop {
            if list.over {
                return None;
            }
            if let Some(candidate) = list.take(is_stored) {
                return Some(candidate);
            }
            // What is needed comes into the store without a word.
            list = match list.holds_back() {
                true => {
                    let waited = self.changed.wait_timeout(list, LOOK);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                false => self.changed.wait(list).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl List {
    fn is_of_use(&self, id: &KernelId) -> bool {
        !self.over
            && (self.needed.contains(id) || self.wanted.iter().any(|one| one.kernel.id == *id))
    }

    /// Whether something is to be built once that is there which trials wait for.
    fn holds_back(&self) -> bool {
        self.wanted.iter().any(|one| one.build.is_some() && !self.tried.contains(&one.kernel.id))
    }

    /// The likeliest that was not tried; what is built waits until that is there which trials wait for.
    fn take(&mut self, is_stored: &dyn Fn(&KernelId) -> bool) -> Option<Candidate> {
        let at = self.wanted.iter().position(|one| {
            let may_build = || self.needed.iter().all(is_stored);
            !self.tried.contains(&one.kernel.id) && (one.build.is_none() || may_build())
        })?;
        let candidate = self.wanted[at].clone();
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
        Candidate::new(kernel(version), CandidateState::Downloadable { bytes: 5 })
    }

    fn taken(list: &mut List) -> Vec<String> {
        let next = || list.take(&|_| true).map(|candidate| candidate.kernel.version);
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn what_was_asked_for_last_comes_first_and_once() {
        let wanted = ["6.1.1", "6.1.2", "6.1.3"].map(candidate).into();
        let mut list = List { wanted, ..List::default() };
        assert_eq!(list.take(&|_| true).unwrap().kernel.version, "6.1.1");
        // The others are not likely any more.
        list.wanted = ["6.1.9", "6.1.1", "6.1.2"].map(candidate).into();
        assert_eq!(taken(&mut list), ["6.1.9", "6.1.2"]);
        list.wanted = ["6.1.9"].map(candidate).into();
        assert_eq!(taken(&mut list), [""; 0]);
    }

    #[test]
    fn a_build_goes_on_for_as_long_as_it_may_be_of_use() {
        let mut list = List { wanted: vec![candidate("6.1.1")], ..List::default() };
        let id = list.take(&|_| true).unwrap().kernel.id;
        assert!(list.is_of_use(&id), "it is what is asked for");
        list.wanted = vec![candidate("6.1.9")];
        assert!(!list.is_of_use(&id));
        list.needed.insert(id.clone());
        assert!(list.is_of_use(&id), "a trial waits for it");
        list.over = true;
        assert!(!list.is_of_use(&id));
    }

    #[test]
    fn nobody_waits_for_wishes_that_cannot_come() {
        let wishes = Arc::new(Wishes::default());
        let theirs = Arc::clone(&wishes);
        let waits = std::thread::spawn(move || theirs.next(&|_| true));
        drop(Prefetch { wishes });
        assert!(waits.join().unwrap().is_none());
    }
}
