//! What a trial tells the search.
//!
//! A kernel that lacks a feature which the scenario requires gives no answer, unless lacking it is
//! what is looked for: that is so when the end that should be bad lacks it.

use crate::answer::{NoAnswer, Taken};
use crate::run::{Plan, SymptomName};
use crate::search::{Direction, Mark, Role};
use crate::trial::{Match, Symptom, SymptomKind, TrialRecord, Untestable, Verdict, VerdictKind};

/// The symptom that a lack of features amounts to. Two kernels that lack one feature in common have the
/// same symptom.
pub fn lack_symptom(features: &[String]) -> Symptom {
    let title = |features: &[String]| Untestable::Lacks { features: features.to_vec() }.to_string();
    let alone = |feature: &String| title(std::slice::from_ref(feature));
    Symptom {
        kind: SymptomKind::CheckFailed,
        title: title(features),
        detail: format!(
            "the scenario requires {}, which the kernel's package does not have: nothing was booted",
            features.join(" and ")
        ),
        place: None,
        alt_titles: features.iter().filter(|_| features.len() > 1).map(alone).collect(),
        frames: Vec::new(),
        lacks: features.to_vec(),
        loss: None,
    }
}

/// The symptom that it amounts to that a kernel cannot answer; none unless it lacks features.
pub fn as_symptom(untestable: &Untestable) -> Option<Symptom> {
    untestable.lacks().map(lack_symptom)
}

/// Kernels of the plan that need no trial since they cannot answer. `target` is the symptom looked
/// for, once it is known.
pub fn untestable(plan: &Plan, target: Option<&Symptom>) -> Vec<usize> {
    let bad_end = match plan.direction {
        Direction::Regression => plan.series.last(),
        Direction::Fix => plan.series.first(),
    };
    let planned = bad_end.and_then(|end| as_symptom(end.untestable.as_ref()?));
    let target = target.or(planned.as_ref());
    let is_answer = |why: &Untestable| match (target, as_symptom(why)) {
        (Some(target), Some(lack)) => target.compare(&lack) != Match::Different,
        _ => false,
    };
    let reasons = plan.series.iter().map(|planned| planned.untestable.as_ref()).enumerate();
    reasons.filter_map(|(index, reason)| (!is_answer(reason?)).then_some(index)).collect()
}

/// What a trial tells the search, and what its record was taken for.
pub type Marked = (Option<Mark>, Taken);

/// As [`mark`], where the user named the symptom and it was not seen yet: a failure of another kind
/// is no answer.
pub fn mark_named(record: &TrialRecord, role: Role, name: &SymptomName) -> Marked {
    if let Verdict::Bad(symptom) = record.verdict()
        && !name.names(&symptom)
    {
        let no_answer = Some(NoAnswer::NotNamed { name: name.clone() });
        return (Some(Mark::Skip), Taken { no_answer, ..Taken::default() });
    }
    if let Verdict::Skip(why) = record.verdict()
        && as_symptom(&why).is_some_and(|lack| !name.names(&lack))
    {
        return (Some(Mark::Skip), Taken::default());
    }
    mark(record, role, None)
}

/// As [`mark`], of a recorded trial, now that the symptom looked for may be another one than when it
/// ended.
pub fn mark_again(
    record: &TrialRecord,
    (mark, taken): (Option<Mark>, &Taken),
    target: Option<&Symptom>,
) -> Marked {
    let again = remark(record, (mark, taken), target);
    // Only failures have another mark now.
    match (target, taken.symptom(record)) {
        (Some(_), Some(symptom)) if again != mark => {
            let lack = taken.lack.clone();
            (again, Taken { lack, ..Taken::compared(target, symptom) })
        }
        _ => (mark, taken.clone()),
    }
}

/// The mark of a recorded trial for a symptom.
pub fn remark(
    record: &TrialRecord,
    (mark, taken): (Option<Mark>, &Taken),
    target: Option<&Symptom>,
) -> Option<Mark> {
    let failed = record.verdict == VerdictKind::Bad || taken.lack.is_some();
    match (mark, target, taken.symptom(record)) {
        (Some(_), Some(target), Some(symptom)) if failed => Some(match target.compare(symptom) {
            Match::Different => Mark::Skip,
            _ => Mark::Bad,
        }),
        _ => mark,
    }
}

/// What a trial tells the search; nothing when it failed for our own reasons. A failure with another
/// symptom than `target` is no answer.
pub fn mark(record: &TrialRecord, role: Role, target: Option<&Symptom>) -> Marked {
    match record.verdict() {
        Verdict::Good => (Some(Mark::Good), Taken::default()),
        Verdict::Infra(_) | Verdict::Scenario(_) => (None, Taken::default()),
        Verdict::Skip(why) => {
            let lack = as_symptom(&why).filter(|lack| match target {
                Some(target) => target.compare(lack) != Match::Different,
                None => role == Role::BadEnd,
            });
            let Some(lack) = lack else { return (Some(Mark::Skip), Taken::default()) };
            let compared = Taken::compared(target, &lack);
            (Some(Mark::Bad), Taken { lack: Some(Box::new(lack)), ..compared })
        }
        Verdict::Bad(symptom) => {
            let taken = Taken::compared(target, &symptom);
            (Some(if taken.no_answer.is_some() { Mark::Skip } else { Mark::Bad }), taken)
        }
    }
}

/// Whether what a trial tells depends on the symptom looked for. While that is not known, the trial of
/// another version than the bad end has to wait for it.
pub fn needs_target(record: &TrialRecord) -> bool {
    match record.verdict() {
        Verdict::Bad(_) => true,
        Verdict::Skip(why) => as_symptom(&why).is_some(),
        Verdict::Good | Verdict::Infra(_) | Verdict::Scenario(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lack(features: &[&str]) -> Symptom {
        let features: Vec<String> = features.iter().map(|feature| (*feature).to_owned()).collect();
        lack_symptom(&features)
    }

    #[test]
    fn a_feature_in_common_makes_two_lacks_the_same() {
        assert_eq!(lack(&["vrf"]).compare(&lack(&["vrf"])), Match::Title);
        assert_eq!(lack(&["vrf"]).compare(&lack(&["ebtables", "vrf"])), Match::AltTitle);
        assert_eq!(lack(&["vrf"]).compare(&lack(&["ebtables"])), Match::Different);
        assert_eq!(lack(&["ebtables", "vrf"]).lacks, ["ebtables", "vrf"]);
    }

    #[test]
    fn other_reasons_are_no_lack() {
        let said = || "the archive holds no modules for it".to_owned();
        assert_eq!(as_symptom(&Untestable::NoPackages { said: said() }), None);
        let modules = vec!["virtio_blk".to_owned()];
        assert_eq!(as_symptom(&Untestable::LacksForBoot { modules }), None);
    }
}
