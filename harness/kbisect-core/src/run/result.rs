//! What came of it: the documents `kbisect.bisect/1` and `kbisect.run/1`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Affected, Environment, Further, PlannedCommit, Rates, RevertResult, SymptomChoice};
use crate::answer::Trial;
use crate::bayes;
use crate::changes::{Forgone, Weighed, WhatChanged};
use crate::fault::ScenarioFault;
use crate::kernel::Kernel;
use crate::search::Direction;
use crate::trial::{Symptom, VerdictKind};

/// The word for how a bisection ended. The contract's closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeWord {
    /// One kernel brought the change.
    Found,
    /// The same, though kernels elsewhere gave no answer.
    FoundDespiteSkips,
    /// Kernels without an answer lie between: one of several.
    Range,
    /// The bad end is good.
    NotReproduced,
    /// The good end is bad.
    GoodFails,
    /// No answer.
    Aborted,
}

/// How sure the answer is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Confidence {
    /// `confirmed` (by repeats on either side of the change, or by the stop rule of the search under
    /// doubt), `unconfirmed` (each version was tried once, or the search ended before) or `none`.
    pub level: String,
    /// Probability of the answer after repeats; that of a search under doubt is in `doubt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// In words.
    pub statement: String,
}

/// What became of a kernel of the series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SeriesVerdict {
    /// It passed.
    Good,
    /// It failed.
    Bad,
    /// It could not answer in its trials.
    Skip,
    /// Its trials failed for our own or the host's reasons.
    Infra,
    /// Its trials showed that the scenario is wrong.
    ScenarioError,
    /// It was known beforehand that it cannot answer.
    Untestable,
    /// It was not tried.
    Untested,
}

impl SeriesVerdict {
    /// The word of the contract.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => VerdictKind::Good.word(),
            Self::Bad => VerdictKind::Bad.word(),
            Self::Skip => VerdictKind::Skip.word(),
            Self::Infra => VerdictKind::Infra.word(),
            Self::ScenarioError => VerdictKind::ScenarioError.word(),
            Self::Untestable => "untestable",
            Self::Untested => "untested",
        }
    }

    /// Whether it says on which side of the change the kernel is.
    pub fn is_answer(self) -> bool {
        matches!(self, Self::Good | Self::Bad)
    }
}

impl std::fmt::Display for SeriesVerdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

impl From<VerdictKind> for SeriesVerdict {
    fn from(kind: VerdictKind) -> Self {
        match kind {
            VerdictKind::Good => Self::Good,
            VerdictKind::Bad => Self::Bad,
            VerdictKind::Skip => Self::Skip,
            VerdictKind::Infra => Self::Infra,
            VerdictKind::ScenarioError => Self::ScenarioError,
        }
    }
}

/// Why a run ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Aborted {
    /// The user wanted it to.
    Interrupted,
    /// An end of the range cannot answer.
    EndUntestable {
        /// Whether it is the end that should be good.
        good: bool,
    },
    /// The scenario is wrong.
    ScenarioError,
    /// Our failure, or the host's.
    Failed,
}

/// One kernel of the series and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeriesEntry {
    /// Identity.
    pub kernel: Kernel,
    /// What became of it.
    pub verdict: SeriesVerdict,
    /// Why, for skips.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The commit, where the series is one of commits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<PlannedCommit>,
    /// Under doubt: its runs, counted, and what is believed of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub belief: Option<bayes::VersionBelief>,
}

/// What the search under doubt believes at its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Doubt {
    /// Probability that the change came with one of the candidates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Failure rate of bad kernels, with the interval that holds it with 90 % probability.
    pub bad_rate: bayes::Estimate,
    /// Failure rate of good kernels, likewise.
    pub good_rate: bayes::Estimate,
    /// Candidates that hold the change with 95 % probability: positions in the series.
    pub credible: Vec<usize>,
    /// Probability that the good end is bad as well.
    pub good_end_bad: f64,
    /// Probability that nothing changed.
    pub nothing: f64,
    /// Runs that the search counted.
    pub runs: u32,
    /// Bits that are unknown about where the change is.
    #[serde(default)]
    pub entropy: f64,
    /// Runs that are still needed, where the search did not come to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<bayes::RunsLeft>,
    /// What the user should know of the answers.
    pub notices: Vec<bayes::Notice>,
}

/// The result of a bisection: the document `kbisect.bisect/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BisectResult {
    /// `kbisect.bisect/1`.
    pub schema: String,
    /// How it ended.
    pub outcome: OutcomeWord,
    /// Newest good kernel below the first bad one (not with `--find-fix`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good: Option<Kernel>,
    /// First bad kernel (not with `--find-fix`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_bad: Option<Kernel>,
    /// Newest bad kernel below the first good one (with `--find-fix`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_bad: Option<Kernel>,
    /// First good kernel (with `--find-fix`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_good: Option<Kernel>,
    /// Kernels that can have brought the change; one when found.
    pub candidates: Vec<Kernel>,
    /// The symptom that was looked for.
    pub symptom: Option<Symptom>,
    /// Who chose it and from what, where the bad end fails in several ways or one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symptom_choice: Option<SymptomChoice>,
    /// How sure the answer is.
    pub confidence: Confidence,
    /// Why there is no answer, when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same, typed, when the run ended early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aborted: Option<Aborted>,
    /// What was said where the end that should be good refused the scenario's rules: then those are at
    /// fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules_refused: Option<String>,
    /// What is wrong with the scenario, where that is why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<ScenarioFault>,
    /// Under doubt: failure rates, credible candidates, what is left unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Doubt>,
    /// What changed between the two sides, the most suspect first, or why that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<WhatChanged>,
    /// What staying on the last good kernel forgoes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgone: Option<Forgone>,
    /// Which kernels the failure concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affected: Option<Affected>,
    /// How commits were weighed, where that decided which were tried first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior: Option<Weighed>,
    /// The bad end with the culprit's change taken back, or with the fix applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert: Option<RevertResult>,
    /// What runs found that went on from here: further culprits, the commit in a release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<Further>,
    /// All trials of the search, in order.
    pub trials: Vec<Trial>,
    /// Trials beside the search: those that test its answer, of the newest kernel, of the other end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Trial>,
    /// The series with what became of each kernel.
    pub series: Vec<SeriesEntry>,
    /// What the user must know before believing the answer.
    pub warnings: Vec<String>,
    /// Scenario name.
    pub scenario: String,
    /// What a failure of it means to people, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub says: String,
    /// Regression or fix.
    pub direction: Direction,
    /// The kernel of the reference nodes.
    pub reference: Kernel,
    /// Where it ran.
    pub environment: Environment,
    /// Seconds that the run took, without the time between an interruption and its resumption.
    pub wall_s: f64,
    /// Folder of the run.
    pub run_dir: String,
    /// Command that repeats the trial of the first bad kernel, or of the bad end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<String>,
    /// kbisect's version.
    pub tool_version: String,
}

impl BisectResult {
    /// All trials in the order of their numbers.
    pub fn all_trials(&self) -> Vec<&Trial> {
        let mut all: Vec<&Trial> = self.trials.iter().chain(&self.beside).collect();
        all.sort_by_key(|trial| trial.number);
        all
    }

    /// The end that was expected to be good, or to be bad.
    #[must_use]
    pub fn end(&self, good: bool) -> Option<&SeriesEntry> {
        match (self.direction, good) {
            (Direction::Regression, true) | (Direction::Fix, false) => self.series.first(),
            (Direction::Regression, false) | (Direction::Fix, true) => self.series.last(),
        }
    }
}

/// The result of one trial: the document `kbisect.run/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunResult {
    /// `kbisect.run/1`.
    pub schema: String,
    /// Scenario name.
    pub scenario: String,
    /// The trial: its verdict, symptom, checks and timings are members of this document.
    #[serde(flatten)]
    pub trial: Trial,
    /// How often each check failed, where the trial was repeated: then it is the first that is bad, else the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
    /// The kernel of the reference nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Kernel>,
    /// Where it ran.
    pub environment: Environment,
    /// Folder of the run.
    pub run_dir: String,
    /// kbisect's version.
    pub tool_version: String,
}
