//! What the classifier says.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One failure found on a console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Coarse kind: that of the result contract.
    pub kind: ReportKind,
    /// Stable title: what happened and the first function to blame, nothing that changes with
    /// the build.
    pub title: String,
    /// The function to blame, without suffixes and offsets.
    pub function: Option<String>,
    /// The module that holds the function, when the trace names one.
    pub module: Option<String>,
    /// The trace is missing, cut off or mixed with another one: do not compare functions.
    pub corrupted: bool,
    /// 1-based line of the log at which the report starts.
    pub line: usize,
    /// The report as printed, cleaned of control sequences, bounded.
    pub text: String,
    /// What detected it.
    pub class: Class,
    /// The kernel went on to panic, or this is a panic: it does not run any more.
    pub fatal: bool,
    /// Not about the kernel: user space gave up (init was killed, for example), or a test made the
    /// kernel report (KUnit, lkdtm, a test module).
    pub suppressed: bool,
    /// Other titles for the same failure; two reports whose sets of titles intersect are taken
    /// for the same.
    #[serde(default)]
    pub alt_titles: Vec<String>,
    /// Offset of the first line, in bytes from the start of the log.
    pub offset: u64,
    /// Functions of the trace, innermost first, helpers included; without `?` frames.
    #[serde(default)]
    pub frames: Vec<String>,
}

impl Report {
    /// A second kernel that starts although nobody asked for it.
    pub(super) fn reboot(line: usize, offset: u64, banner: &str) -> Self {
        Self {
            kind: ReportKind::Reboot,
            title: "unexpected kernel reboot".to_owned(),
            function: None,
            module: None,
            corrupted: false,
            line,
            text: format!("{banner}\n"),
            class: Class::Reboot,
            fatal: true,
            suppressed: false,
            alt_titles: Vec::new(),
            offset,
            frames: Vec::new(),
        }
    }

    /// The title and the alternatives.
    pub fn titles(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.title.as_str()).chain(self.alt_titles.iter().map(String::as_str))
    }
}

/// Coarse kind of a failure, as in the result contract.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ReportKind {
    /// The kernel gave up by itself.
    Panic,
    /// An exception or a broken invariant in kernel code; the task died at least.
    Oops,
    /// The kernel complained and went on.
    Warning,
    /// Something does not move: lockup, stall, hung task.
    Hang,
    /// The machine started again although nobody asked for it.
    Reboot,
    /// The kernel found no root file system or no init.
    BootFailed,
}

/// What detected a failure.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// `panic()`.
    Panic,
    /// `BUG()` and failed invariants that end the same way.
    Bug,
    /// A bad address: paging request, NULL pointer.
    BadAccess,
    /// Any other processor exception.
    Trap,
    /// The kernel stack ran over.
    StackOverflow,
    /// List debugging.
    List,
    /// `WARN()`.
    Warning,
    /// Reference counters.
    Refcount,
    /// A task that stays blocked.
    HungTask,
    /// Soft, hard and workqueue lockups.
    Lockup,
    /// An RCU grace period that does not end.
    RcuStall,
    /// Lock debugging.
    Lockdep,
    /// Sleeping or scheduling where it is forbidden.
    Atomic,
    /// Address sanitizer.
    Kasan,
    /// Uninitialised memory sanitizer.
    Kmsan,
    /// Sampling memory error detector.
    Kfence,
    /// Data race sanitizer.
    Kcsan,
    /// Undefined behaviour sanitizer.
    Ubsan,
    /// Memory that nobody refers to.
    Leak,
    /// Damaged memory management state: page tables, slabs, counters.
    Memory,
    /// The out-of-memory killer.
    Oom,
    /// A network device that is stuck.
    Device,
    /// The machine started again.
    Reboot,
    /// No root file system, no init.
    Boot,
    /// A program crashed, the kernel did not.
    UserSpace,
    /// A complaint of no known form.
    Other,
}

impl Class {
    /// How long the kernel watches before it complains of this, in seconds, where it says that
    /// something did not go on. Debian's settings: twice `watchdog_thresh`, the time-outs of RCU, of
    /// hung tasks, of a device's queue.
    pub fn watches_s(self) -> Option<u64> {
        match self {
            Self::HungTask => Some(120),
            Self::Lockup => Some(20),
            Self::RcuStall => Some(21),
            Self::Device => Some(5),
            _ => None,
        }
    }

    /// The coarse kind.
    pub fn kind(self) -> ReportKind {
        match self {
            Self::Panic => ReportKind::Panic,
            Self::Bug
            | Self::BadAccess
            | Self::Trap
            | Self::StackOverflow
            | Self::List
            | Self::Kasan
            | Self::Kfence
            | Self::Memory => ReportKind::Oops,
            Self::Warning
            | Self::Refcount
            | Self::Lockdep
            | Self::Atomic
            | Self::Kmsan
            | Self::Kcsan
            | Self::Ubsan
            | Self::Leak
            | Self::Oom
            | Self::UserSpace
            | Self::Other => ReportKind::Warning,
            Self::HungTask | Self::Lockup | Self::RcuStall | Self::Device => ReportKind::Hang,
            Self::Reboot => ReportKind::Reboot,
            Self::Boot => ReportKind::BootFailed,
        }
    }
}

/// What a [`crate::console::Scanner`] tells while the log comes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A report begins; its trace is still being printed. Read on until the console is quiet.
    Opened {
        /// Kind of the report, as far as its first line shows it.
        kind: ReportKind,
        /// 1-based line.
        line: usize,
        /// The first line, cleaned.
        text: String,
    },
    /// A report is complete.
    Report(Box<Report>),
    /// The guest reached a point that is worth knowing.
    Milestone(Milestone),
}

/// A point in the life of the guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Milestone {
    /// Which one.
    #[serde(flatten)]
    pub kind: MilestoneKind,
    /// 1-based line.
    pub line: usize,
}

/// Which point it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "milestone")]
pub enum MilestoneKind {
    /// A kernel starts: `Linux version ...`. A second one without [`Self::Restarting`] before it
    /// is a silent reset.
    LinuxBanner {
        /// What `uname -r` will say.
        release: String,
        /// 1 for the first banner of the log.
        nth: u32,
    },
    /// `Kernel panic - not syncing`.
    Panic,
    /// `reboot: Restarting system`, `sysrq: Resetting`, `Starting new kernel` of kexec.
    Restarting,
    /// `reboot: Power down`.
    PowerDown,
    /// `reboot: System halted`.
    Halted,
}
