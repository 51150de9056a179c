//! Whether a range is the wrong way round: the end that should fail passes, and the other one fails.

use super::{Beside, Plan, RunEvent, Tried, end_of_search};
use crate::bayes::Ending;
use crate::search::{Direction, Outcome};
use crate::trial::VerdictKind;

/// The trial of the end that should pass, after the one that should fail did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherEnd {
    /// Its position in the series.
    pub index: usize,
    /// Whether it fails; nothing where it was not tried, or gave no answer.
    pub fails: Option<bool>,
    is_tried: bool,
}

impl OtherEnd {
    /// What is known of it; nothing where nobody asks. Commits are left out: it may have to be built.
    pub fn of<'a>(
        plan: &Plan,
        events: impl IntoIterator<Item = &'a RunEvent, IntoIter: DoubleEndedIterator> + Clone,
    ) -> Option<Self> {
        let is_asked = matches!(
            end_of_search(events.clone())?,
            RunEvent::Ended { outcome: Outcome::NotReproduced }
                | RunEvent::Decided { ending: Ending::NotReproduced { .. } }
        );
        if !is_asked || plan.options.commits.is_some() {
            return None;
        }
        let index = match plan.direction {
            Direction::Regression => 0,
            Direction::Fix => plan.series.len().checked_sub(1)?,
        };
        let failing = plan.series.len().checked_sub(1)? - index;
        let has_failed = events.clone().into_iter().any(|event| {
            matches!(event, RunEvent::TrialEnded { tried: Tried::Version { index: at }, record, .. }
                if *at == failing && record.verdict == VerdictKind::Bad)
        });
        // It fails in another way than was asked for.
        if has_failed {
            return None;
        }
        let is_of_it = |tried: &Tried| match tried {
            Tried::Version { index: at } => *at == index,
            Tried::Beside { beside } => *beside == Beside::OtherEnd,
            Tried::Scenario { .. } | Tried::Revert { .. } => false,
        };
        let verdicts = events.into_iter().filter_map(|event| match event {
            RunEvent::TrialEnded { tried, record, .. } if is_of_it(tried) => Some(record.verdict),
            _ => None,
        });
        let verdicts: Vec<VerdictKind> = verdicts.collect();
        let fails = match verdicts.last() {
            Some(VerdictKind::Bad) => Some(true),
            Some(VerdictKind::Good) => Some(false),
            _ => None,
        };
        Some(Self { index, fails, is_tried: !verdicts.is_empty() })
    }

    /// Whether it is still to be tried.
    pub fn is_due(&self) -> bool {
        !self.is_tried
    }
}
