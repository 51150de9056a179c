//! How long things may take on this host: deadlines are multiples of what was measured here.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use kbisect_core::boot::{Deadlines, SpeedSource};

/// What the probe takes where deadlines are as they are written: no machine with KVM needs much
/// less.
const PROBE_NOMINAL: Duration = Duration::from_millis(40);
/// What a stock kernel's boot takes there at most, beside another one, until user space says hello.
const BOOT_NOMINAL: Duration = Duration::from_millis(1500);
/// Emulation on an ordinary machine: taken where nothing could be measured.
const UNKNOWN: f64 = 4.0;
/// A measurement beyond this is no measurement: the host slept.
const SLOWEST: f64 = 200.0;

/// How much longer than on a fast machine with KVM guests take here.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Speed {
    slowness: f64,
    source: SpeedSource,
}

impl Speed {
    /// Nothing was measured.
    pub fn unknown() -> Self {
        Self { slowness: UNKNOWN, source: SpeedSource::Assumed }
    }

    /// From what the probe took.
    pub fn of_probe(took: Duration) -> Self {
        Self::measured(took, PROBE_NOMINAL, SpeedSource::Probe)
    }

    /// From what a kernel that is known to work took to boot.
    pub fn of_boot(took: Duration) -> Self {
        Self::measured(took, BOOT_NOMINAL, SpeedSource::Boot)
    }

    fn measured(took: Duration, nominal: Duration, source: SpeedSource) -> Self {
        let slowness = took.div_duration_f64(nominal).clamp(1.0, SLOWEST);
        Self { slowness, source }
    }

    /// The slower one of both: a host that was once slow can be slow again.
    #[must_use]
    pub fn or_slower(self, other: Self) -> Self {
        if other.slowness > self.slowness { other } else { self }
    }

    /// Factor to a fast machine with KVM, at least 1.
    pub fn slowness(self) -> f64 {
        self.slowness
    }

    /// How it is known.
    pub fn source(self) -> SpeedSource {
        self.source
    }
}

/// Limits for a host of some speed.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// The host's speed that they are for.
    pub speed: Speed,
    /// The user's own factor.
    pub slow: f64,
}

impl Timing {
    /// For a host of this speed; `slow` lengthens every deadline once more, for the user.
    pub fn new(speed: Speed, slow: f64) -> Self {
        let factor = speed.slowness * slow;
        // Those were found under emulation; only a slower host needs longer ones.
        let beyond = (factor / UNKNOWN).max(1.0);
        Self {
            boot: Duration::from_secs(15).mul_f64(factor),
            answer: Duration::from_secs(60).mul_f64(beyond),
            quiet: Duration::from_millis(700).mul_f64(beyond),
            quiet_in_trace: Duration::from_secs(5).mul_f64(beyond),
            silence: Duration::from_secs(32).mul_f64(factor.sqrt()),
            speed,
            slow,
        }
    }

    /// How long something may take that takes at most `base` on a fast machine with KVM.
    pub fn patience(&self, base: Duration) -> Duration {
        base.mul_f64(self.speed.slowness * self.slow)
    }

    /// What deadlines were multiplied by, for the record.
    pub fn deadlines(&self) -> Deadlines {
        Deadlines {
            slowness: (self.speed.slowness * 100.0).round() / 100.0,
            known_by: self.speed.source,
            slow: self.slow,
        }
    }

    /// The same on a host that proved slower.
    pub fn at_least(&self, speed: Speed) -> Self {
        let slower = self.speed.or_slower(speed);
        if slower == self.speed { *self } else { Self::new(slower, self.slow) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_follow_what_was_measured() {
        let usual = Timing::new(Speed::of_probe(PROBE_NOMINAL), 1.0);
        let slow = Timing::new(Speed::of_probe(PROBE_NOMINAL * 40), 1.0);
        assert_eq!(usual.boot, Duration::from_secs(15));
        assert_eq!(slow.boot, Duration::from_secs(600));
        assert!(slow.answer > usual.answer && slow.quiet > usual.quiet);
        assert!(slow.silence > usual.silence * 6);
        let fast = Timing::new(Speed::of_probe(Duration::from_millis(20)), 1.0);
        assert_eq!(fast, Timing { speed: fast.speed, ..usual }, "never shorter than as written");
        let asked = Timing::new(Speed::of_probe(PROBE_NOMINAL), 4.0);
        assert_eq!(asked.patience(Duration::from_secs(2)), Duration::from_secs(8));
    }

    #[test]
    fn a_boot_that_took_longer_lengthens_and_never_shortens() {
        let timing = Timing::new(Speed::of_probe(PROBE_NOMINAL * 4), 1.0);
        assert_eq!(timing.at_least(Speed::of_boot(Duration::from_millis(1600))), timing);
        let slower = timing.at_least(Speed::of_boot(Duration::from_secs(24)));
        assert_eq!(slower.boot, Duration::from_secs(240));
        assert_eq!(slower.deadlines().known_by, SpeedSource::Boot);
    }
}
