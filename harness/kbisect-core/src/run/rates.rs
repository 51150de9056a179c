//! How often each check fails on one kernel, by trials of it that were repeated.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bayes::Estimate;
use crate::trial::{BootId, CheckStatus, TrialRecord, VerdictKind};

/// Standard normal quantile of an interval of 95 %.
const Z: f64 = 1.959_964;

/// What repeated trials of one kernel came to, check by check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rates {
    /// Trials that were made.
    pub trials: u32,
    /// Those that gave no answer for our own or the host's reasons, or since the scenario is wrong.
    pub unanswered: u32,
    /// Boots that they rest on: of one boot a few go on.
    pub boots: u32,
    /// Checks, in the order of the scenario.
    pub checks: Vec<CheckRate>,
}

/// How often one check failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckRate {
    /// Its name.
    pub name: String,
    /// Trials in which it failed, also where that is only recorded.
    pub failed: u32,
    /// Trials in which it passed.
    pub passed: u32,
    /// Trials in which it could not tell, or was not made.
    pub untold: u32,
    /// Its rate of failures, with the interval that holds it with 95 % (Wilson 1927); nothing where it never
    /// told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Estimate>,
}

impl Rates {
    /// Counts what trials of one kernel came to.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a TrialRecord>) -> Self {
        let mut rates = Self { trials: 0, unanswered: 0, boots: 0, checks: Vec::new() };
        let mut boots: BTreeSet<&BootId> = BTreeSet::new();
        for record in records {
            rates.trials += 1;
            match &record.boot_id {
                Some(boot) => drop(boots.insert(boot)),
                None => rates.boots += u32::from(record.boot.is_some()),
            }
            // What failed on our own side says nothing of a check either.
            let counts = !matches!(record.verdict, VerdictKind::Infra | VerdictKind::ScenarioError);
            rates.unanswered += u32::from(!counts);
            for check in &record.checks {
                let known = rates.checks.iter().position(|rate| rate.name == check.name);
                let at = known.unwrap_or_else(|| {
                    let name = check.name.clone();
                    rates.checks.push(CheckRate {
                        name,
                        failed: 0,
                        passed: 0,
                        untold: 0,
                        rate: None,
                    });
                    rates.checks.len() - 1
                });
                let rate = &mut rates.checks[at];
                match check.status {
                    _ if !counts => rate.untold += 1,
                    CheckStatus::Pass => rate.passed += 1,
                    CheckStatus::Fail | CheckStatus::Recorded => rate.failed += 1,
                    CheckStatus::NotRun => rate.untold += 1,
                }
            }
        }
        rates.boots += boots.len() as u32;
        for check in &mut rates.checks {
            check.rate = estimate(check.failed, check.passed);
        }
        rates
    }

    /// Checks that failed in some trials and passed in others.
    pub fn flaky(&self) -> impl Iterator<Item = &CheckRate> {
        self.checks.iter().filter(|check| check.failed > 0 && check.passed > 0)
    }
}

/// The share of failures, with Wilson's interval.
fn estimate(failed: u32, passed: u32) -> Option<Estimate> {
    let n = f64::from(failed + passed);
    if n == 0.0 {
        return None;
    }
    let share = f64::from(failed) / n;
    let width = 1.0 + Z * Z / n;
    let middle = (share + Z * Z / (2.0 * n)) / width;
    let half = Z / width * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let (low, high) = ((middle - half).max(0.0), (middle + half).min(1.0));
    // Of what never happened, and of what always did, the ends are known; the sum has a rounding error.
    let (low, high) = (if failed == 0 { 0.0 } else { low }, if passed == 0 { 1.0 } else { high });
    Some(Estimate { mean: share, low, high })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_wilsons() {
        let of = |failed, passed| {
            let Estimate { mean, low, high } = estimate(failed, passed).expect("some runs");
            [mean, low, high].map(|value| (value * 1000.0).round() / 1000.0)
        };
        // Against the tables of Newcombe 1998.
        assert_eq!(of(0, 20), [0.0, 0.0, 0.161]);
        assert_eq!(of(20, 0), [1.0, 0.839, 1.0]);
        assert_eq!(of(81, 182), [0.308, 0.255, 0.366]);
        assert_eq!(of(1, 28), [0.034, 0.006, 0.172]);
        assert_eq!(estimate(0, 0), None);
    }
}
