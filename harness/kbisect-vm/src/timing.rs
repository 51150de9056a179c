//! How long a machine may be silent before that says something.

use std::time::Duration;

/// Limits, as they are under KVM. What depends on the guest's speed is multiplied by the
/// accelerator's slowness where it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From the start of QEMU until user space says hello.
    pub boot: Duration,
    /// How much longer than its own deadline a request may take to be answered: the guest keeps the
    /// deadline, and if it does not even answer, it hangs.
    pub answer: Duration,
    /// A trace counts as complete when nothing was printed for this long.
    pub quiet: Duration,
    /// As `quiet`, while the trace is visibly not complete: the end of a panic is slow to come on
    /// an emulated machine, and without it nobody knows that it was one.
    pub quiet_in_trace: Duration,
    /// Without a sign of life for this long a machine counts as hung. Longer than the kernel's own
    /// soft lock-up watchdog needs (2 x watchdog_thresh = 20 s, then some), so that the kernel can
    /// say what it is.
    pub silence: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            boot: Duration::from_secs(15),
            answer: Duration::from_secs(60),
            quiet: Duration::from_millis(700),
            quiet_in_trace: Duration::from_secs(5),
            silence: Duration::from_secs(32),
        }
    }
}
