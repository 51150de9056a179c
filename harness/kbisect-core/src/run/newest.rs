//! Whom a failure concerns: which kernels have it, and whether the newest one of the series still has.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::revert::{MOST_REPEATS, of_version, repeats};
use super::{Beside, Plan, PlannedKernel, RunEvent, Tried, end_of_search};
use crate::bayes::{Answer, Ending, Tally};
use crate::boots::IN_VAIN;
use crate::kernel::Kernel;
use crate::search::{Direction, Mark, Outcome};
use crate::trial::TrialRecord;

/// What is known beyond the newer end of a range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "known")]
pub enum Beyond {
    /// This is the newest kernel of the same series and the same distribution.
    Newer {
        /// The kernel.
        newest: Box<PlannedKernel>,
    },
    /// The newer end is the newest one that is known.
    Nothing,
}

/// Trials of the newest kernel of a series, once it is known which one broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewestTest {
    /// The first bad kernel: its position in the series.
    culprit: usize,
    quick: bool,
}

/// The newest kernel of a series, and what its trials came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Newest {
    /// The kernel.
    pub kernel: Kernel,
    /// Its trials.
    pub trials: Tally,
    /// Whether it still fails; nothing where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails: Option<bool>,
    /// Why that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Which kernels a failure concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Affected {
    /// The oldest kernel that is known to fail.
    pub from: Kernel,
    /// The newest kernel that was seen to fail.
    pub to: Kernel,
    /// The oldest and the newest kernel that were seen to pass before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<[Kernel; 2]>,
    /// The first kernel that passes again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<Kernel>,
    /// The newest kernel of the series, where it was to be tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Newest>,
    /// Whether no kernel of the series is known that is newer than `to`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub to_the_newest: bool,
}

impl NewestTest {
    /// The trials that the answer of a search asks for: none where no single kernel broke, or where nothing
    /// newer than the range is known.
    pub fn of<'a>(
        plan: &Plan,
        events: impl IntoIterator<Item = &'a RunEvent, IntoIter: DoubleEndedIterator>,
    ) -> Option<Self> {
        if plan.direction != Direction::Regression
            || !matches!(plan.beyond, Some(Beyond::Newer { .. }))
        {
            return None;
        }
        match end_of_search(events)? {
            RunEvent::Ended {
                outcome:
                    Outcome::Found { first_new, .. } | Outcome::FoundDespiteSkips { first_new, .. },
            }
            | RunEvent::Decided { ending: Ending::Found { first_new, .. } } => {
                Some(Self { culprit: *first_new, quick: plan.options.quick })
            }
            _ => None,
        }
    }

    /// Trials that are still to be made, those under way left out of it.
    pub fn left<'a>(
        &self,
        events: impl IntoIterator<Item = &'a RunEvent> + Clone,
        under_way: u32,
    ) -> u32 {
        let tally = tally(events.clone());
        // One failure tells all, and what gives no answer gives none the next time.
        if tally.fails > 0 || tally.others + tally.skips >= IN_VAIN {
            return 0;
        }
        self.wanted(events).saturating_sub(tally.passes + under_way)
    }

    /// What the trials came to.
    pub fn result<'a>(
        &self,
        plan: &Plan,
        events: impl IntoIterator<Item = &'a RunEvent> + Clone,
    ) -> Option<Newest> {
        let Some(Beyond::Newer { newest }) = &plan.beyond else { return None };
        let trials = tally(events.clone());
        let fails = match trials {
            Tally { fails: 1.., .. } => Some(true),
            Tally { passes, .. } if passes >= self.wanted(events.clone()) => Some(false),
            _ => None,
        };
        let reason = match fails {
            Some(_) => None,
            None => records(events).filter_map(|(record, _)| record.reason.clone()).last(),
        };
        Some(Newest { kernel: newest.kernel.clone(), trials, fails, reason })
    }

    /// Passes that are believed, by how often the first bad kernel fails.
    fn wanted<'a>(&self, events: impl IntoIterator<Item = &'a RunEvent>) -> u32 {
        let shown = of_version(events, self.culprit);
        match self.quick {
            true => 1,
            false => repeats(shown.fails, shown.passes).min(MOST_REPEATS),
        }
    }
}

fn tally<'a>(events: impl IntoIterator<Item = &'a RunEvent>) -> Tally {
    let mut tally = Tally::default();
    records(events).for_each(|(record, mark)| tally.add(Answer::of(record, mark)));
    tally
}

fn records<'a>(
    events: impl IntoIterator<Item = &'a RunEvent>,
) -> impl Iterator<Item = (&'a TrialRecord, Option<Mark>)> {
    events.into_iter().filter_map(|event| match event {
        RunEvent::TrialEnded {
            tried: Tried::Beside { beside: Beside::Newest },
            record,
            mark,
            ..
        } => Some((record.as_ref(), *mark)),
        _ => None,
    })
}
