//! Verdicts that rest on time, and whether the time was anybody's.

use super::seen::{Observation, Refused};
use crate::disturbed::{Cause, Gaps, Standing, Whose, Window};
use crate::trial::ConsoleReport;

/// What a verdict rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Basis {
    /// On no time: it stands whatever we did.
    Stands,
    /// On something that did not happen, or happened again, in this time: it must have been long
    /// enough, too.
    Proof(Window),
    /// On something that failed in this time. That may have had no reason but the time.
    Failed(Window),
    /// On what the candidate did not do or say in this time.
    Silence(Window),
}

/// Why a verdict cannot be drawn, if so, and from what cause where it is a disturbance.
pub(super) fn undecided(gaps: &Gaps, basis: Basis) -> Option<(String, Option<Cause>)> {
    let (window, whose, alone) = match basis {
        Basis::Stands => return None,
        Basis::Proof(window) => (window, Whose::Everyone, true),
        Basis::Failed(window) => (window, Whose::Everyone, false),
        Basis::Silence(window) => (window, Whose::Candidate, false),
    };
    match gaps.standing(window, whose) {
        Standing::Sound => None,
        Standing::Short if !alone => None,
        Standing::Short => {
            let seconds = seconds(window.ms());
            Some((format!("it was looked at for {seconds} s only"), None))
        }
        Standing::Disturbed { cause, ms } => Some((
            format!("{cause} ({} of {} s were disturbed)", seconds(ms), seconds(window.ms())),
            Some(cause),
        )),
    }
}

fn seconds(ms: u64) -> String {
    format!("{:.1}", ms as f64 / 1000.0)
}

impl Refused {
    /// What the refusal rests on. The packet filter's word on rules does not depend on time.
    pub(super) fn basis(&self) -> Basis {
        if self.rules && !self.timed_out { Basis::Stands } else { Basis::Failed(self.window) }
    }
}

impl Observation {
    /// What a report of the kernel rests on: a stall on time, a crash on none.
    pub(super) fn rests_on(&self, report: &ConsoleReport) -> Basis {
        let at = self.reports.iter().position(|known| std::ptr::eq(known, report));
        let window = at.and_then(|at| *self.report_windows.get(at)?);
        window.map_or(Basis::Stands, Basis::Silence)
    }
}
