//! What people see while something runs. Everything goes to standard error.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use kbisect_core::run::RunEvent;
use kbisect_kernels::{Progress, Silent};

use crate::cli::Global;
use crate::output;

/// The one consumer of the event stream that draws. Clones draw on the same terminal.
#[derive(Clone)]
pub struct Ui {
    stop: Arc<AtomicBool>,
}

impl Ui {
    /// A display for the terminal, or plain lines when standard error is none.
    #[must_use]
    pub fn new(_global: &Global) -> Self {
        Self { stop: Arc::default() }
    }
    /// Takes an event of a run.
    pub fn event(&self, _event: &RunEvent) {}
    /// Takes the events of a run that goes on, without drawing each.
    pub fn replay(&self, _event: &RunEvent) {}
    /// Says what the current step does; the next event or call replaces it.
    pub fn doing(&self, _text: &str) {}
    /// Where downloads and builds tell how far they are.
    #[must_use]
    pub fn progress(&self) -> Arc<dyn Progress> {
        Arc::new(Silent)
    }
    /// Prints one line that stays.
    pub fn note(&self, line: &str) {
        eprintln!("{}", output::clean(line));
    }
    /// The flag that ends downloads when it is set.
    #[must_use]
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }
    /// Takes everything off the terminal while `work` has it: a shell, for example.
    pub fn suspend<T>(&self, work: impl FnOnce() -> T) -> T {
        work()
    }
    /// Ends the display; what is to stay is on the terminal.
    pub fn finish(&self) {}
}
