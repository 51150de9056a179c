//! The checks of a trial.

use std::time::{Duration, Instant};

use kbisect_core::disturbed::SHORTEST_MS;
use kbisect_core::judge::MachineEnd;
use kbisect_core::scenario::Check;
use kbisect_core::trial::{CheckResult, CheckStatus};
use kbisect_core::wrong::{CheckFailure, Wrong};
use kbisect_proto::{Event, Request};

use super::{Notice, Stop, Trial};
use crate::machine::CallError;

/// Shortest time that anything is judged by.
const SHORTEST: Duration = Duration::from_millis(SHORTEST_MS);

/// A deadline, or less where less is enough.
pub(super) fn limited(own: Duration, limit_s: Option<f64>) -> Duration {
    limit_s.map_or(own, |limit| own.min(Duration::from_secs_f64(limit)))
}

impl Trial<'_> {
    pub(super) async fn check(&mut self, index: usize, check: &Check) -> Result<(), Stop> {
        (self.notify)(Notice::Doing(format!("check {}", check.name)));
        let began = Instant::now();
        self.asked = began;
        let outcome = match self.off.contains(&check.node) {
            true => Err(CheckFailure::of(format!("{} is switched off", check.node))),
            false => self.probe(check).await?,
        };
        // One run of a program may serve several checks.
        let window = self.lab.pulse().window(self.asked.min(began));
        self.seen.check_windows.insert(check.name.clone(), window);
        let (status, detail) = match outcome {
            Ok(detail) => (CheckStatus::Pass, detail),
            Err(CheckFailure { detail, wrong: Some(Wrong::Unclear) }) => {
                self.seen.unclear.insert(check.name.clone(), !check.record_only);
                (CheckStatus::NotRun, format!("could not tell: {detail}"))
            }
            Err(CheckFailure { detail, wrong }) => {
                self.seen.wrong.extend(wrong.map(|wrong| (check.name.clone(), wrong)));
                let status =
                    if check.record_only { CheckStatus::Recorded } else { CheckStatus::Fail };
                (status, detail)
            }
        };
        let result = CheckResult {
            name: check.name.clone(),
            status,
            detail,
            wall_s: began.elapsed().as_secs_f64(),
        };
        (self.notify)(Notice::Check(result.clone()));
        self.seen.checks[index] = result;
        Ok(())
    }

    /// How long a check may take. Less than a second would decide nothing.
    pub(super) fn timeout(&self, check: &Check) -> Duration {
        let own = self.lab.patience(Duration::from_secs_f64(check.timeout_s));
        limited(own, self.limits.check_s).max(SHORTEST)
    }

    /// The positive proof: after everything, whatever is under test still answers.
    pub(super) async fn answers_at_end(&mut self) -> Result<(), Stop> {
        let deadline = self.lab.patience(Duration::from_secs(10));
        let asked = Instant::now();
        let mut answers = Vec::new();
        for (_, machine) in self.under_test() {
            let id = machine.next_id();
            answers.push(machine.call(id, &Request::Ping { id }, deadline).await);
        }
        let answered = |answer: &_| matches!(answer, Ok(Event::Done { .. }));
        if !answers.is_empty() && answers.iter().all(answered) {
            self.seen.answered_at_end = true;
            return Ok(());
        }
        if answers.contains(&Err(CallError::Deadline)) {
            self.seen.end = MachineEnd::Silent { seconds: deadline.as_secs() as u32 };
            self.seen.silence = self.lab.pulse().window(asked);
        }
        Err(Stop)
    }
}
