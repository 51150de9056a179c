//! Whose fault a failure is: the kernel's or the scenario's.

use crate::trial::{Match, TrialRecord, Verdict};

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The kernel's, as far as anybody can tell.
    Kernel,
    /// The scenario's.
    Scenario,
    /// A trial with the reference kernel in the candidate's place has to tell.
    AskReference,
}

/// Decides whose fault a failed trial is. `passed` says whether a kernel of the run passed: then it
/// is no fault of the scenario, whatever older kernels lack. `reference` is the trial with the
/// reference kernel in the candidate's place, once it was made.
pub fn whose(trial: &TrialRecord, passed: bool, reference: Option<&TrialRecord>) -> Whose {
    let Some(fault) = &trial.fault else { return Whose::Kernel };
    if fault.cause.is_certain() || matches!(trial.verdict(), Verdict::Scenario(_)) {
        return Whose::Scenario;
    }
    if passed {
        return Whose::Kernel;
    }
    let Some(reference) = reference else { return Whose::AskReference };
    let same_fault = reference.fault.as_ref().is_some_and(|other| fault.is_also_in(other));
    let same_failure = match (&trial.symptom, &reference.symptom) {
        (Some(one), Some(two)) => one.compare(two) != Match::Different,
        _ => false,
    };
    if same_fault && same_failure { Whose::Scenario } else { Whose::Kernel }
}
