//! Why a version is tried, and how its symptom compares.

use kbisect_core::bayes::{FAILURES, Why};
use kbisect_core::trial::{Match, Matching};

use super::answer::runs_failed;

/// Why a version is tried, in words that fit behind "because".
#[must_use]
pub fn why(why: Why) -> String {
    match why {
        Why::BadEndFails(tally) => format!(
            "the end that should fail has to fail {FAILURES} times; {} so far",
            runs_failed(tally)
        ),
        Why::GoodEndFails(tally) => {
            format!("the end that should pass seems to fail, too; {} so far", runs_failed(tally))
        }
        Why::Tells(hundredths) => {
            let bits = f64::from(hundredths) / 100.0;
            format!("a run is expected to tell {bits:.2} bit about the change")
        }
        Why::Surprise => "it failed though it was thought good".to_owned(),
        Why::CulpritFails(tally) => format!(
            "what brought the change has to fail {FAILURES} times; {} so far",
            runs_failed(tally)
        ),
        Why::CulpritFailsInBoots => {
            format!("what brought the change has to fail in {FAILURES} boots")
        }
        Why::NeighbourPasses(missing) => {
            format!("its neighbour fails; {missing} more passes in a row would rule out chance")
        }
        Why::BothSides => "both sides of the change are tried again".to_owned(),
        Why::Boot => "a boot has to show what a quick trial showed".to_owned(),
    }
}

/// Says that the counts of a scored run do not decide, and what would be tried next.
#[must_use]
pub fn undecided(kernel: &str, next: Option<Why>) -> String {
    let because = next.map(why).unwrap_or_default();
    format!("the counts do not decide; next would be {kernel}: {because}")
}

/// How a symptom compares with the one that is looked for.
#[must_use]
pub fn matching(matching: &Matching) -> String {
    match matching.how {
        Match::Title => "same kind and title".to_owned(),
        Match::AltTitle => {
            format!("same alternative title `{}`", matching.title.as_deref().unwrap_or_default())
        }
        Match::Stack => format!("shared stack functions {}", matching.functions.join(", ")),
        Match::Different => format!("different from `{}`", matching.target),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kbisect_core::bayes::Tally;

    #[test]
    fn a_reason_is_a_fragment() {
        let tally = Tally::default();
        for reason in [
            Why::BadEndFails(tally),
            Why::GoodEndFails(tally),
            Why::Tells(50),
            Why::Surprise,
            Why::CulpritFails(tally),
            Why::CulpritFailsInBoots,
            Why::NeighbourPasses(3),
            Why::BothSides,
            Why::Boot,
        ] {
            let reason = why(reason);
            assert!(!reason.is_empty() && !reason.ends_with('.'), "{reason}");
        }
    }

    #[test]
    fn functions_in_common_are_named() {
        let shared = Matching {
            how: Match::Stack,
            target: "panic: x".to_owned(),
            title: None,
            functions: vec!["nft_synproxy_do_eval".to_owned()],
        };
        assert!(matching(&shared).contains("nft_synproxy_do_eval"));
    }
}
