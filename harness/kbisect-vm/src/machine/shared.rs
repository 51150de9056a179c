//! What is known of a machine, and shared by its task and those who call it.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kbisect_core::disturbed::Window;
use kbisect_core::judge::MachineEnd;
use kbisect_core::trial::{ConsoleReport, Phase};
use kbisect_proto::{Event, RequestId};
use tokio::sync::{Notify, mpsc, oneshot};

use super::service::ServiceState;
use crate::lock::lock;

/// What the guest said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// `uname -r`.
    pub release: String,
    /// Boot modules that did not load.
    pub failed_modules: Vec<String>,
    /// Milliseconds that the guest was up then.
    pub uptime_ms: u64,
    /// From the start of QEMU to this message.
    pub after: Duration,
}

/// Why a state could not be saved. The machine goes on, or is down for a reason of its own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaveError {
    /// QEMU is not there any more.
    #[error("QEMU ended before its state was saved")]
    Gone,
    /// It takes too long.
    #[error("the state was not saved within {seconds} s")]
    Deadline {
        /// The deadline.
        seconds: u64,
    },
    /// The kernel complained: each trial is to see that for itself.
    #[error("the kernel complained while it booted")]
    Complained,
    /// QEMU could not write it.
    #[error("QEMU could not save the state: {0}")]
    Failed(String),
}

/// Everything known about a machine.
#[derive(Clone, Debug)]
pub struct MachineState {
    /// Set once user space is up.
    pub hello: Option<Hello>,
    /// What user space said when it could not come up.
    pub boot_error: Option<String>,
    /// Reports on the console.
    pub reports: Vec<ConsoleReport>,
    /// For each report the time that it rests on, in the trial's time: a stall is a statement about
    /// time.
    pub report_windows: Vec<Option<Window>>,
    /// The silence that `end` rests on, when that is silence.
    pub silence: Window,
    /// Set when the machine is down.
    pub end: Option<MachineEnd>,
    /// Services that were asked for.
    pub services: BTreeMap<RequestId, ServiceState>,
    /// What console.log leaves out, in words; nothing as a rule.
    pub console_left_out: Option<String>,
    /// Whether the guest said through pvpanic that it panicked.
    pub panicked: bool,
    /// Whether the guest's watchdog ran out.
    pub watchdog: bool,
    /// Last sign of life on the guest channel.
    pub heard: Instant,
    /// How far the guest's clock ran ahead of the host's: it says that it is older than its QEMU. A
    /// starved host makes kernels measure their TSC wrongly; time-outs and stall detectors in such a
    /// guest mean nothing.
    pub clock_ahead: Option<Duration>,
    pub(super) phase: Phase,
    pub(super) crashed: bool,
}

/// What the machine's task is told to do.
pub(super) enum Order {
    /// End QEMU.
    Quit,
    /// Stop the machine and dump its memory in this format; the answer is why that failed, if so.
    Dump(&'static str, oneshot::Sender<Option<String>>),
    /// Write the machine's state and go on; the answer is the console so far, or why it failed.
    Save(oneshot::Sender<Result<Vec<u8>, SaveError>>),
    /// Take the carrier of an interface, by its number, or give it back.
    Carrier(usize, bool),
}

/// What the task of a machine and those who call it have in common.
pub(super) struct Shared {
    pub(super) state: Mutex<MachineState>,
    pub(super) pending: Mutex<HashMap<RequestId, oneshot::Sender<Event>>>,
    pub(super) terminals: Mutex<HashMap<RequestId, mpsc::UnboundedSender<Vec<u8>>>>,
    pub(super) changed: Notify,
    pub(super) next_id: AtomicU32,
}

impl Shared {
    pub(super) fn new(started: Instant) -> Self {
        Self {
            state: Mutex::new(MachineState {
                hello: None,
                boot_error: None,
                reports: Vec::new(),
                report_windows: Vec::new(),
                silence: Window::default(),
                end: None,
                services: BTreeMap::new(),
                console_left_out: None,
                panicked: false,
                watchdog: false,
                heard: started,
                clock_ahead: None,
                phase: Phase::Boot,
                crashed: false,
            }),
            pending: Mutex::default(),
            terminals: Mutex::default(),
            changed: Notify::new(),
            next_id: AtomicU32::new(1),
        }
    }
}

/// Tells whether a machine is down, without holding it.
#[derive(Clone)]
pub struct Witness(pub(super) Arc<Shared>);

#[cfg(test)]
impl Default for Witness {
    fn default() -> Self {
        Self(Arc::new(Shared::new(Instant::now())))
    }
}

impl Witness {
    /// The machine's state, once it is down.
    pub fn down(&self) -> Option<MachineState> {
        let state = lock(&self.0.state);
        state.end.is_some().then(|| state.clone())
    }
}
