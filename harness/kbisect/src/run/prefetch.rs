//! Fetches what is likely to be needed next while a trial runs.

use std::collections::BTreeSet;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use kbisect_core::kernel::KernelId;
use kbisect_kernels::{Candidate, Progress, ProgressItem, Settings, Silent, Store};

/// A thread that fetches kernels one after the other.
pub struct Prefetch {
    wanted: Sender<Candidate>,
    asked: Arc<Mutex<BTreeSet<KernelId>>>,
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
    /// Starts the thread. It ends with the last handle, or with the process; a download that is cut
    /// off leaves nothing in the store.
    #[must_use]
    pub fn start(store: Store, settings: Settings, progress: Arc<dyn Progress>) -> Self {
        let (wanted, queue) = channel::<Candidate>();
        std::thread::spawn(move || {
            // Unpacking competes with emulated machines for the processors; let them go first. On
            // Linux the call is about this thread alone.
            let _ = rustix::process::nice(10);
            let quiet = Quiet(progress);
            for candidate in queue {
                if quiet.cancelled() {
                    return;
                }
                // A failure shows again, and is told, when the kernel is really needed.
                let _ = store.ensure(&candidate, &settings, &quiet);
            }
        });
        Self { wanted, asked: Arc::default() }
    }

    /// Asks for kernels, the most likely first. Each is asked for once.
    pub fn ask(&self, candidates: impl IntoIterator<Item = Candidate>) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        for candidate in candidates {
            if candidate.download_bytes() > 0 && asked.insert(candidate.kernel.id.clone()) {
                let _ = self.wanted.send(candidate);
            }
        }
    }
}
