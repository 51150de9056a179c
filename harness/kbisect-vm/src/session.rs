//! The blocking face of this crate: trials one after the other in one lab.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::lab::{Lab, LabSettings};
use crate::shell;
use crate::trial::{Notice, Order, Trial, TrialResult};

/// Set when the user wants to stop; whoever waits looks at it.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(pub Arc<AtomicBool>);

impl Interrupt {
    /// Whether the user wants to stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    async fn wait(&self) {
        while !self.is_set() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The user stopped it. No machine of the trial runs any more.
    #[error("interrupted")]
    Interrupted,
    /// Its answer is not needed any more. The candidate machine is gone, the lab stays.
    #[error("cancelled")]
    Cancelled,
    /// No runtime.
    #[error("cannot start the runtime")]
    Runtime(#[from] io::Error),
}

/// A lab with its runtime. Machines are started on the calling thread, which must live as long as
/// they do: their death signal is tied to it.
pub struct Session {
    runtime: tokio::runtime::Runtime,
    lab: Option<Lab>,
    interrupt: Interrupt,
    cancel: Interrupt,
}

impl Session {
    /// Makes a lab; machines are started by the first trial.
    pub fn new(settings: LabSettings, interrupt: Interrupt) -> Result<Self, SessionError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let cancel = Interrupt::default();
        Ok(Self { runtime, lab: Some(Lab::new(settings)), interrupt, cancel })
    }

    /// Ends a trial when this is set, without ending the session.
    #[must_use]
    pub fn cancelled_by(mut self, cancel: Interrupt) -> Self {
        self.cancel = cancel;
        self
    }

    /// Runs one trial.
    ///
    /// # Errors
    /// [`SessionError::Interrupted`], [`SessionError::Cancelled`]; everything else is part of the result.
    pub fn trial(
        &mut self,
        order: &Order<'_>,
        notify: &mut dyn FnMut(Notice),
    ) -> Result<TrialResult, SessionError> {
        let Some(lab) = self.lab.as_mut() else { return Err(SessionError::Interrupted) };
        let (interrupt, cancel) = (self.interrupt.clone(), self.cancel.clone());
        let result = self.runtime.block_on(async {
            let trial = async {
                let mut trial = Trial::run(lab, order, notify).await;
                if let Some(shell) = order.shell {
                    trial.tell(Notice::ShellBegins);
                    shell::offer(&trial, shell).await;
                }
                trial.finish().await
            };
            tokio::select! {
                result = trial => Ok(result),
                () = interrupt.wait() => Err(SessionError::Interrupted),
                () = cancel.wait() => Err(SessionError::Cancelled),
            }
        });
        if matches!(result, Err(SessionError::Interrupted | SessionError::Runtime(_))) {
            // Dropping the machines kills them; let the runtime reap what it holds.
            self.close();
        }
        result
    }

    /// Switches everything off.
    pub fn close(&mut self) {
        if let Some(lab) = self.lab.take() {
            self.runtime.block_on(lab.close());
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.close();
    }
}
