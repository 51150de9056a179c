//! What a search asks for, and how it ends.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::changes::SeveralChanges;
use super::tally::Tally;
use crate::run::OutcomeWord;

/// Why a version is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// The end that must show the symptom: nothing can be found unless it does.
    BadEnd,
    /// The end that must pass.
    GoodEnd,
    /// It tells most about where the change is.
    Cut,
    /// The culprit or its neighbour, to rule out chance.
    Confirm,
    /// It failed though it was thought good.
    Recheck,
}

/// What makes a trial worth its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The bad end has to fail [`FAILURES`](super::FAILURES) times; its runs so far.
    BadEndFails(Tally),
    /// The good end seems to fail as well; its runs so far.
    GoodEndFails(Tally),
    /// A run is expected to tell so many hundredths of a bit about the change.
    Tells(u32),
    /// It failed though it was thought good.
    Surprise,
    /// What brought the change has to fail [`FAILURES`](super::FAILURES) times; its runs so far.
    CulpritFails(Tally),
    /// The same, in boots of its own.
    CulpritFailsInBoots,
    /// Its neighbour fails; so many more passes in a row would rule out chance.
    NeighbourPasses(u32),
    /// Both sides of the change that halving found are tried again.
    BothSides,
    /// A boot as shipped has to show what quick trials showed.
    Boot,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum NoisyStep {
    /// Try this version.
    Try {
        /// Its position.
        index: usize,
        /// Why.
        purpose: Purpose,
        /// What it is worth.
        reason: Why,
        /// Whether only a boot of its own tells what is wanted.
        boot: bool,
    },
    /// Trials under way decide what comes next.
    Wait,
    /// The search is over.
    Done(Ending),
}

/// How a search ended. Positions are those of the history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Ending {
    /// One version brought the change, and the difference to its neighbour was confirmed.
    Found {
        /// The version.
        first_new: usize,
        /// Those right before it: one in a list, the parents in a graph.
        last_old: Vec<usize>,
        /// Probability.
        probability: f64,
        /// Versions elsewhere that gave no answer, ascending.
        skipped: Vec<usize>,
    },
    /// One of several.
    Range {
        /// Why it is not narrower.
        why: RangeReason,
        /// The candidates, ascending.
        possible: Vec<usize>,
        /// Probability that the change came with one of them.
        probability: f64,
        /// Versions that gave no answer, ascending.
        skipped: Vec<usize>,
    },
    /// The bad end does not fail, or fails less often than is worth searching.
    NotReproduced {
        /// Its counts.
        tally: Tally,
    },
    /// Failures are as frequent at the good end as elsewhere, and rare: nothing changed.
    NothingChanged {
        /// Probability.
        probability: f64,
    },
    /// The good end has the symptom, too.
    GoodFails {
        /// Its counts.
        tally: Tally,
        /// Probability.
        probability: f64,
    },
    /// An end gives no answer.
    EndSkipped {
        /// [`Purpose::BadEnd`] or [`Purpose::GoodEnd`].
        which: Purpose,
    },
}

/// Why a search ended with several candidates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "because")]
pub enum RangeReason {
    /// The versions between cannot be tested; the difference around them was confirmed.
    Untestable,
    /// All runs of the budget were made.
    Budget,
    /// The search was ended from outside.
    Stopped,
    /// The symptom comes and goes: no single version brought it.
    SeveralChanges(SeveralChanges),
    /// No version can be tried that would tell more.
    Exhausted,
}

/// Something that a user should know about the answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Notice {
    /// A version failed that was thought good; it is run again.
    FailedThoughGood {
        /// The version.
        index: usize,
        /// How sure it was that it is good.
        good: f64,
    },
    /// Bad versions fail at different rates: rates of their own would fit better.
    RatesDiffer {
        /// How much better.
        odds: f64,
    },
    /// The symptom comes and goes.
    SeveralChanges(SeveralChanges),
    /// A version cannot be tested for this symptom.
    Untestable {
        /// The version.
        index: usize,
        /// Its counts.
        tally: Tally,
    },
}

impl Ending {
    /// The contract's word for it.
    pub fn word(&self) -> OutcomeWord {
        match self {
            Self::Found { skipped, .. } if skipped.is_empty() => OutcomeWord::Found,
            Self::Found { .. } => OutcomeWord::FoundDespiteSkips,
            Self::Range { .. } => OutcomeWord::Range,
            Self::NotReproduced { .. } | Self::NothingChanged { .. } => OutcomeWord::NotReproduced,
            Self::GoodFails { .. } => OutcomeWord::GoodFails,
            Self::EndSkipped { .. } => OutcomeWord::Aborted,
        }
    }
}
