//! What was observed in a trial.

use std::collections::BTreeMap;

use crate::disturbed::{Gaps, Window};
use crate::fault::ScenarioFault;
use crate::flow::Loss;
use crate::trial::{CheckResult, ConsoleReport, Phase};
use crate::wrong::Wrong;

/// How the candidate machine ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MachineEnd {
    /// It was running until we switched it off.
    #[default]
    Running,
    /// It no longer answered, and nothing on the host explains it.
    Silent {
        /// Seconds without a sign of life.
        seconds: u32,
    },
    /// It restarted: QEMU said so, or a second kernel banner was seen.
    Restarted,
    /// It switched itself off.
    PoweredOff,
    /// The guest channel carried something that is no message.
    ChannelBroken(String),
    /// QEMU ended by itself.
    QemuEnded(String),
}

/// A step that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Step name.
    pub step: String,
    /// Node.
    pub node: String,
    /// Whether it loads packet filter rules.
    pub rules: bool,
    /// Whether the node runs the candidate kernel.
    pub on_candidate: bool,
    /// Whether it was ended at its deadline.
    pub timed_out: bool,
    /// When it ran.
    pub window: Window,
    /// What the program said.
    pub output: String,
}

/// Everything that the verdict rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// Last phase that was begun.
    pub phase: Phase,
    /// Our own or the host's failure, if there was one.
    pub infra: Option<String>,
    /// Whether the candidate's user space said hello.
    pub hello: bool,
    /// What user space said when it could not come up.
    pub boot_error: Option<String>,
    /// Whether the guest said through pvpanic that it panicked.
    pub panicked: bool,
    /// Whether the guest's watchdog ran out: its user space was stuck, not only the channel.
    pub watchdog: bool,
    /// Seconds that the kernel had to boot, when it was not up by then.
    pub boot_timeout: Option<u32>,
    /// How the candidate ended.
    pub end: MachineEnd,
    /// Reports on the candidate's console.
    pub reports: Vec<ConsoleReport>,
    /// The step that stopped the trial.
    pub refused: Option<Refused>,
    /// The service that failed.
    pub service: Option<ServiceDown>,
    /// What is, or may be, wrong with the scenario.
    pub fault: Option<ScenarioFault>,
    /// Whether that is a node of the reference kernel that cannot be made.
    pub fault_at_reference: bool,
    /// Features that the kernel lacks, so that it refused what it was asked for.
    pub lacks: Vec<String>,
    /// Checks.
    pub checks: Vec<CheckResult>,
    /// Losses that were located, with the check that they belong to.
    pub losses: Vec<(String, Loss)>,
    /// Why time in the candidate's guest cannot be trusted, if so: its stalls and time-outs then mean
    /// nothing.
    pub clock: Option<String>,
    /// The same of the peer: its time-outs then mean nothing.
    pub peer_clock: Option<String>,
    /// Whether the candidate answered after the last check: the positive proof.
    pub answered_at_end: bool,
    /// When something on our own side was not alive.
    pub gaps: Gaps,
    /// How long the candidate was waited for, when its boot took too long.
    pub booting: Window,
    /// The silence that `end` rests on, when that is silence.
    pub silence: Window,
    /// For each of `reports` the time that it rests on: a stall is a statement about time.
    pub report_windows: Vec<Option<Window>>,
    /// When checks were made, by name.
    pub check_windows: BTreeMap<String, Window>,
    /// What was wrong with failed checks, by name.
    pub wrong: BTreeMap<String, Wrong>,
    /// Checks that could not tell, by name, and whether the verdict needs them.
    pub unclear: BTreeMap<String, bool>,
}

impl Default for Observation {
    fn default() -> Self {
        Self {
            phase: Phase::Boot,
            infra: None,
            hello: false,
            boot_error: None,
            panicked: false,
            watchdog: false,
            boot_timeout: None,
            end: MachineEnd::Running,
            reports: Vec::new(),
            refused: None,
            service: None,
            fault: None,
            fault_at_reference: false,
            lacks: Vec::new(),
            checks: Vec::new(),
            losses: Vec::new(),
            clock: None,
            peer_clock: None,
            answered_at_end: false,
            gaps: Gaps::default(),
            booting: Window::default(),
            silence: Window::default(),
            report_windows: Vec::new(),
            check_windows: BTreeMap::new(),
            wrong: BTreeMap::new(),
            unclear: BTreeMap::new(),
        }
    }
}

/// A service that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceDown {
    /// Service name.
    pub service: String,
    /// Node.
    pub node: String,
    /// Whether the node runs the candidate kernel.
    pub on_candidate: bool,
    /// Path or name of its program.
    pub program: String,
    /// How.
    pub how: ServiceEnd,
    /// From the request for it to its end, or until it was given up.
    pub window: Window,
    /// The numbers and the last lines of its output.
    pub error: String,
}

/// How a service failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceEnd {
    /// It could not be started.
    NotStarted,
    /// It ran, and was not ready in time.
    NotReady,
    /// It ended with this status.
    Status(i32),
    /// It was ended by this signal.
    Signal(i32),
    /// The kernel killed it, or what it was running, for want of memory.
    OutOfMemory,
}
