//! Whose fault failures of a check are, once the reference kernel was tried in the candidate's place.

use super::GateTrial;
use crate::trial::{TrialRecord, Verdict};
use crate::whose::{Whose, whose};

/// Whether a scenario passed with any kernel.
fn passed(trials: &[GateTrial], scenario: &str) -> bool {
    let of_scenario = trials.iter().filter(|trial| trial.scenario == scenario);
    of_scenario.map(|trial| trial.record.verdict()).any(|verdict| verdict == Verdict::Good)
}

/// Whether a trial with the reference kernel has to tell whose fault the failures of a scenario are.
#[must_use]
pub fn asks_reference(trials: &[GateTrial], scenario: &str) -> bool {
    let passed = passed(trials, scenario);
    let of_scenario = trials.iter().filter(|trial| trial.scenario == scenario);
    of_scenario.map(|trial| &trial.record).any(|record| {
        matches!(record.verdict(), Verdict::Bad(_))
            && whose(record, passed, None) == Whose::AskReference
    })
}

/// Takes failures that the reference kernel shows as well for faults of their scenario.
pub fn settle(trials: &mut [GateTrial], references: &[GateTrial]) {
    for reference in references {
        let scenario = &reference.scenario;
        let passed = passed(trials, scenario);
        let bad = |record: &TrialRecord| matches!(record.verdict(), Verdict::Bad(_));
        let of_scenario = trials.iter_mut().filter(|trial| trial.scenario == *scenario);
        for record in of_scenario.map(|trial| &mut trial.record).filter(|record| bad(record)) {
            if whose(record, passed, Some(&reference.record)) == Whose::Scenario {
                *record = record.as_fault();
            }
        }
    }
}
