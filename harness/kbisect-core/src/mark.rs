//! What a trial tells the search.
//!
//! A kernel that lacks a feature which the scenario requires gives no answer, unless lacking it is
//! what is looked for: that is so when the end that should be bad lacks it.

use crate::run::{Plan, SymptomName};
use crate::search::{Direction, Mark, Role};
use crate::trial::{Match, Matching, Symptom, SymptomKind, TrialRecord, Verdict};

/// Begins the reason why a kernel without a feature that the scenario requires is not booted.
const LACKS: &str = "the kernel lacks ";

/// Says that a kernel lacks features, in the form that [`lack_symptom`] reads again.
#[must_use]
pub fn lack_reason(features: &[String]) -> String {
    format!("{LACKS}{}", features.join(", "))
}

/// The symptom that a lack amounts to; `None` when the reason speaks of something else. Two kernels
/// that lack one feature in common have the same symptom.
#[must_use]
pub fn lack_symptom(reason: &str) -> Option<Symptom> {
    let features: Vec<&str> = reason.strip_prefix(LACKS)?.split(", ").collect();
    let alone = |feature: &&str| format!("{LACKS}{feature}");
    Some(Symptom {
        kind: SymptomKind::CheckFailed,
        title: reason.to_owned(),
        detail: format!(
            "the scenario requires {}, which the kernel's package does not have: nothing was booted",
            features.join(" and ")
        ),
        place: None,
        alt_titles: features.iter().filter(|_| features.len() > 1).map(alone).collect(),
        frames: Vec::new(),
    })
}

/// Whether a symptom is a lack.
#[must_use]
pub fn is_lack(symptom: &Symptom) -> bool {
    symptom.title.starts_with(LACKS)
}

/// Kernels of the plan that need no trial since they cannot answer. `target` is the symptom looked
/// for, once it is known.
#[must_use]
pub fn untestable(plan: &Plan, target: Option<&Symptom>) -> Vec<usize> {
    let bad_end = match plan.direction {
        Direction::Regression => plan.series.last(),
        Direction::Fix => plan.series.first(),
    };
    let planned = bad_end.and_then(|end| lack_symptom(end.untestable.as_deref()?));
    let target = target.or(planned.as_ref());
    let is_answer = |reason: &str| match (target, lack_symptom(reason)) {
        (Some(target), Some(lack)) => target.compare(&lack) != Match::Different,
        _ => false,
    };
    let reasons = plan.series.iter().map(|planned| planned.untestable.as_deref()).enumerate();
    reasons.filter_map(|(index, reason)| (!is_answer(reason?)).then_some(index)).collect()
}

/// As [`mark`], where the user named the symptom and it was not seen yet: a failure of another kind
/// is no answer.
#[must_use]
pub fn mark_named(record: &mut TrialRecord, role: Role, name: &SymptomName) -> Option<Mark> {
    if let Verdict::Bad(symptom) = record.verdict()
        && !name.names(&symptom)
    {
        record.reason = Some(format!("other symptom than `{name}`, which was named, so no answer"));
        return Some(Mark::Skip);
    }
    if let Verdict::Skip(reason) = record.verdict()
        && lack_symptom(&reason).is_some_and(|lack| !name.names(&lack))
    {
        return Some(Mark::Skip);
    }
    mark(record, role, None)
}

/// The mark of a recorded trial, now that the symptom looked for may be another one than when it
/// ended. The record is told how the two compare.
#[must_use]
pub fn mark_again(
    record: &mut TrialRecord,
    mark: Option<Mark>,
    target: Option<&Symptom>,
) -> Option<Mark> {
    let again = remark(record, mark, target);
    if again == mark {
        return mark;
    }
    // Only failures have another mark now.
    if let (Some(target), Some(symptom)) = (target, record.symptom.as_ref()) {
        let matching = target.matching(symptom);
        record.reason = (matching.how == Match::Different).then(|| other(&matching));
        record.matching = Some(matching);
    }
    again
}

/// The mark of a recorded trial for a symptom.
#[must_use]
pub fn remark(record: &TrialRecord, mark: Option<Mark>, target: Option<&Symptom>) -> Option<Mark> {
    match (mark, target, &record.symptom) {
        (Some(_), Some(target), Some(symptom)) if record.verdict == "bad" => {
            Some(match target.compare(symptom) {
                Match::Different => Mark::Skip,
                _ => Mark::Bad,
            })
        }
        _ => mark,
    }
}

fn other(matching: &Matching) -> String {
    format!("other symptom than `{}`, so no answer", matching.target)
}

/// What a trial tells the search; nothing when it failed for our own reasons. A failure with another
/// symptom than `target` is no answer. The record is told how the two compare.
#[must_use]
pub fn mark(record: &mut TrialRecord, role: Role, target: Option<&Symptom>) -> Option<Mark> {
    match record.verdict() {
        Verdict::Good => Some(Mark::Good),
        Verdict::Infra(_) | Verdict::Scenario(_) => None,
        Verdict::Skip(reason) => {
            let lack = lack_symptom(&reason).filter(|lack| match target {
                Some(target) => target.compare(lack) != Match::Different,
                None => role == Role::BadEnd,
            });
            let Some(lack) = lack else { return Some(Mark::Skip) };
            record.matching = target.map(|target| target.matching(&lack));
            record.verdict = Verdict::Bad(lack.clone()).word().to_owned();
            record.symptom = Some(lack);
            record.reason = None;
            Some(Mark::Bad)
        }
        Verdict::Bad(symptom) => {
            record.matching = target.map(|target| target.matching(&symptom));
            match &record.matching {
                Some(matching) if matching.how == Match::Different => {
                    record.reason = Some(other(matching));
                    Some(Mark::Skip)
                }
                _ => Some(Mark::Bad),
            }
        }
    }
}

/// Whether what a trial tells depends on the symptom looked for. While that is not known, the trial of
/// another version than the bad end has to wait for it.
#[must_use]
pub fn needs_target(record: &TrialRecord) -> bool {
    match record.verdict() {
        Verdict::Bad(_) => true,
        Verdict::Skip(reason) => lack_symptom(&reason).is_some(),
        Verdict::Good | Verdict::Infra(_) | Verdict::Scenario(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lack(features: &[&str]) -> Symptom {
        let features: Vec<String> = features.iter().map(|feature| (*feature).to_owned()).collect();
        lack_symptom(&lack_reason(&features)).expect("a lack")
    }

    #[test]
    fn a_feature_in_common_makes_two_lacks_the_same() {
        assert_eq!(lack(&["vrf"]).compare(&lack(&["vrf"])), Match::Title);
        assert_eq!(lack(&["vrf"]).compare(&lack(&["ebtables", "vrf"])), Match::AltTitle);
        assert_eq!(lack(&["vrf"]).compare(&lack(&["ebtables"])), Match::Different);
        assert!(is_lack(&lack(&["vrf"])));
    }

    #[test]
    fn other_reasons_are_no_lack() {
        assert_eq!(lack_symptom("the archive holds no modules for it"), None);
        assert_eq!(lack_symptom("the kernel cannot boot here: it lacks virtio_blk"), None);
    }
}
