//! When things happened within a trial.

use kbisect_core::answer::Trial;
use kbisect_core::run::{JournalLine, RunEvent};
use kbisect_core::trial::{CheckStatus, Phase};

/// What happened in a trial and when, in nanoseconds since 1970-01-01 UTC.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Times {
    pub(crate) began: Option<u64>,
    /// Phases in order, with their ends.
    pub(crate) phases: Vec<(Phase, u64, u64)>,
    /// Checks in order, with their ends. Those that were not run are left out.
    pub(crate) checks: Vec<(String, CheckStatus, u64, u64)>,
}

/// Nanoseconds of so many seconds; nonsense is none.
pub(crate) fn nanos(seconds: f64) -> u64 {
    (seconds.clamp(0.0, 1e9) * 1e9) as u64
}

impl Times {
    /// Takes the times from the journal, or from the record alone when there is none (a single
    /// trial): then phases and checks are taken to follow each other without gaps.
    pub(crate) fn of(record: &Trial, journal: &[JournalLine]) -> Self {
        let mut times = Self::default();
        let mut ended = None;
        for line in journal {
            let at = line.at_ms.saturating_mul(1_000_000);
            match &line.event {
                RunEvent::TrialBegan { number, .. } if *number == record.number => {
                    // A trial that was cut off by an interruption is repeated under its number.
                    times = Self { began: Some(at), ..Self::default() };
                }
                RunEvent::PhaseBegan { number, phase } if *number == record.number => {
                    if let Some((_, _, end)) = times.phases.last_mut() {
                        *end = at;
                    }
                    times.phases.push((*phase, at, at));
                }
                RunEvent::Checked { number, result } if *number == record.number => {
                    let began = at.saturating_sub(nanos(result.wall_s));
                    if result.status != CheckStatus::NotRun {
                        times.checks.push((result.name.clone(), result.status, began, at));
                    }
                }
                RunEvent::TrialEnded { record: ended_record, .. }
                    if ended_record.number == record.number =>
                {
                    ended = Some(at);
                }
                _ => {}
            }
        }
        if let (Some(at), Some((_, _, end))) = (ended, times.phases.last_mut()) {
            *end = at;
        }
        if times.phases.is_empty() {
            times.guess(record);
        }
        times
    }

    fn guess(&mut self, record: &Trial) {
        let Some(began) = self.began.or(record.began_ms.map(|ms| ms.saturating_mul(1_000_000)))
        else {
            return;
        };
        self.began = Some(began);
        let mut at = began;
        for phase in Phase::ALL {
            let Some(seconds) = record.timings_s.get(&phase.to_string()) else { continue };
            let end = at.saturating_add(nanos(*seconds));
            self.phases.push((phase, at, end));
            if phase == Phase::Checks {
                let mut from = at;
                for check in record.checks.iter().filter(|c| c.status != CheckStatus::NotRun) {
                    let to = from.saturating_add(nanos(check.wall_s));
                    self.checks.push((check.name.clone(), check.status, from, to));
                    from = to;
                }
            }
            at = end;
        }
    }
}
