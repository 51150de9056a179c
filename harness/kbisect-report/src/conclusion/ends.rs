//! What both kinds of searches say of their ends, and of a run without one.

use kbisect_core::kernel::Kernel;
use kbisect_core::run::{Aborted, BisectResult, OutcomeWord, RunEvent, Tried};
use kbisect_core::search::Mark;
use kbisect_core::trial::SymptomKind;

use crate::words;

/// Notes that the good end is bad, and what rules it refused, if it is that.
pub(super) fn good_fails(result: &mut BisectResult) {
    result.outcome = OutcomeWord::GoodFails;
    result.rules_refused = refused_rules(result);
}

/// Notes that an end gives no answer.
pub(super) fn end_skipped(result: &mut BisectResult, good: bool) {
    result.aborted = Some(Aborted::EndUntestable { good });
    if good {
        result.rules_refused = refused_rules(result);
    }
    result.reason = Some(words::end_skipped(result, good));
}

/// What was said where rules do not even load on the end that should be good.
fn refused_rules(result: &BisectResult) -> Option<String> {
    let end = result.end(true)?;
    result.trials.iter().rev().find_map(|trial| {
        let symptom = trial.symptom.as_ref()?;
        let refused = symptom.kind == SymptomKind::RulesRefused;
        (refused && end.kernel.id == trial.kernel.id).then(|| symptom.detail.clone())
    })
}

/// Says why the run ended before its search did.
pub(super) fn stop(result: &mut BisectResult, events: &[RunEvent]) {
    let stopped = events.iter().rev().find_map(|event| {
        let why = match event {
            RunEvent::Failed { .. } => Aborted::Failed,
            RunEvent::Interrupted => Aborted::Interrupted,
            RunEvent::ScenarioError { .. } => Aborted::ScenarioError,
            _ => return None,
        };
        Some((why, words::stopped(event)))
    });
    (result.aborted, result.reason) = stopped.unzip();
}

/// Whether what saved states showed of the versions around a change was shown by boots as well; nothing
/// where boots alone showed it.
pub(super) fn by_boots(events: &[RunEvent], old: usize, new: usize) -> Option<bool> {
    let answered = |index: usize, restored: bool| {
        events.iter().any(|event| match event {
            RunEvent::TrialEnded {
                tried: Tried::Version { index: at },
                record,
                mark: Some(Mark::Good | Mark::Bad),
                ..
            } => *at == index && record.is_quick() == restored,
            _ => false,
        })
    };
    (answered(old, true) || answered(new, true))
        .then(|| answered(old, false) && answered(new, false))
}

/// The kernels at these positions.
pub(super) fn kernels(result: &BisectResult, positions: &[usize]) -> Vec<Kernel> {
    let of = |at: &usize| result.series.get(*at).map(|entry| entry.kernel.clone());
    positions.iter().filter_map(of).collect()
}
