//! What happens: the events of a run, and the lines of its journal.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Because, Environment, Further, KernelPlan, Plan, SymptomChoice};
use crate::answer::Taken;
use crate::bayes;
use crate::changes::{Forgone, Prior, WhatChanged};
use crate::evidence::Decoded;
use crate::fault::ScenarioFault;
use crate::gate::{GateOptions, GatePlan};
use crate::inject::Fault;
use crate::kernel::Kernel;
use crate::search::{Mark, Outcome, Role};
use crate::trial::{CheckResult, Phase, Symptom, TrialRecord};

/// What a trial is made for: its place in what is to be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Aim {
    /// A version of a series that is searched.
    Version {
        /// Position in the series.
        index: usize,
        /// Why this kernel.
        role: Role,
        /// Trials still to come with this one, if none is skipped; without luck, under doubt.
        estimated_left: usize,
        /// Why, in words, where it is not plain.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A kernel with a scenario of a check.
    Cell {
        /// Scenario.
        scenario: String,
        /// Kernel.
        kernel: Box<Kernel>,
        /// What is broken on purpose.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        injected: Option<Fault>,
        /// What is left out of the scenario: numbers of its ingredients.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        without: Vec<u32>,
        /// Trials still to come with this one, if each gives an answer.
        estimated_left: usize,
    },
    /// The bad end with the culprit's change taken back or the fix applied, or as it is.
    Revert {
        /// Whether it is changed.
        changed: bool,
        /// Kernel.
        kernel: Box<Kernel>,
        /// Trials still to come with this one.
        estimated_left: usize,
    },
    /// Beside the search, once that is over.
    Beside {
        /// What is asked.
        beside: Beside,
        /// Kernel.
        kernel: Box<Kernel>,
        /// Trials still to come with this one.
        estimated_left: usize,
    },
}

impl Aim {
    /// Trials still to come with this one.
    pub fn estimated_left(&self) -> usize {
        match self {
            Self::Version { estimated_left, .. }
            | Self::Cell { estimated_left, .. }
            | Self::Revert { estimated_left, .. }
            | Self::Beside { estimated_left, .. } => *estimated_left,
        }
    }
}

/// What a trial was made for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Tried {
    /// A version of a series that is searched.
    Version {
        /// Position in the series.
        index: usize,
    },
    /// A kernel with a scenario.
    Scenario {
        /// Scenario.
        scenario: String,
        /// What was broken on purpose.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        injected: Option<Fault>,
        /// What was left out of the scenario: numbers of its ingredients.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        without: Vec<u32>,
    },
    /// The bad end with the culprit's change taken back or the fix applied, or as it is.
    Revert {
        /// Whether it was changed.
        changed: bool,
    },
    /// Beside the search, once that was over.
    Beside {
        /// What was asked.
        beside: Beside,
    },
}

/// What is asked beside a search, once that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Beside {
    /// Whether the newest kernel of the series still fails.
    Newest,
    /// Whether the end fails that should pass, where the other one passes: the range is the wrong way round.
    OtherEnd,
}

/// One event of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum RunEvent {
    /// A search begins.
    Began {
        /// Its plan.
        plan: Box<Plan>,
    },
    /// A check begins.
    CheckBegan {
        /// Its plan.
        plan: Box<GatePlan>,
        /// How it is resumed.
        options: Box<GateOptions>,
        /// Where it runs.
        environment: Box<Environment>,
    },
    /// A single trial begins.
    RunBegan {
        /// Its plan.
        plan: Box<KernelPlan>,
        /// How it is resumed.
        options: Box<GateOptions>,
        /// Where it runs.
        environment: Box<Environment>,
    },
    /// The self-test of a scenario begins.
    SelftestBegan {
        /// Its plan.
        plan: Box<KernelPlan>,
        /// How it is resumed.
        options: Box<GateOptions>,
        /// Where it runs.
        environment: Box<Environment>,
    },
    /// The reduction of a scenario begins.
    MinimizeBegan {
        /// Its plan; `like` is the failure that must stay.
        plan: Box<KernelPlan>,
        /// How it is resumed.
        options: Box<GateOptions>,
        /// Where it runs.
        environment: Box<Environment>,
    },
    /// The run goes on after an interruption.
    Resumed,
    /// Where it runs is not what it was: it was resumed elsewhere, or KVM gave up.
    EnvironmentChanged {
        /// Where it runs now.
        environment: Box<Environment>,
    },
    /// The budget is another one from here on; an end for want of budget counts no more.
    BudgetSet {
        /// Runs, all those before included; no limit without.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        runs: Option<u32>,
        /// Seconds, likewise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seconds: Option<u64>,
    },
    /// A trial begins.
    TrialBegan {
        /// Number, from 1.
        number: u32,
        /// What it is made for: its members are members of the event.
        #[serde(flatten)]
        aim: Aim,
        /// Which worker makes it, from 1, where there are several.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        worker: Option<u32>,
    },
    /// A trial was ended since its answer could tell nothing any more, or since the search is over. It
    /// counts as one that was never made; its number is free again.
    TrialCancelled {
        /// Trial.
        number: u32,
        /// Why.
        reason: String,
    },
    /// A phase of a trial begins.
    PhaseBegan {
        /// Trial.
        number: u32,
        /// Phase.
        phase: Phase,
    },
    /// A check ended.
    Checked {
        /// Trial.
        number: u32,
        /// Result.
        result: CheckResult,
    },
    /// A trial ended.
    TrialEnded {
        /// What it was made for: its members are members of the event.
        #[serde(flatten)]
        tried: Tried,
        /// Everything about it.
        record: Box<TrialRecord>,
        /// What it tells a search; nothing when it was our own failure.
        mark: Option<Mark>,
        /// What the search took it for when it ended.
        #[serde(default, skip_serializing_if = "Taken::is_empty")]
        taken: Taken,
    },
    /// The reference kernel was tried in the candidate's place, to tell a kernel's fault from the
    /// scenario's. It is no kernel of the series.
    ReferenceTried {
        /// The scenario, where there are several.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scenario: Option<String>,
        /// Everything about it.
        record: Box<TrialRecord>,
    },
    /// The bad end fails in several ways, or one was named: which one the search is for.
    SymptomChosen {
        /// The symptom.
        symptom: Box<Symptom>,
        /// Who chose, and from what.
        choice: SymptomChoice,
    },
    /// How likely each commit is the culprit, by what it changes: the likely ones are tried first.
    Weighed {
        /// By position in the series.
        prior: Box<Prior>,
    },
    /// The trace of a failed trial was decoded, or could not be.
    Decoded {
        /// Trial.
        number: u32,
        /// What came of it.
        decoded: Decoded,
    },
    /// The changes between the two sides were ranked, or could not be. Of several, the last counts.
    Changes {
        /// What came of it.
        changes: Box<WhatChanged>,
    },
    /// What staying on the last good kernel forgoes. Of several, the last counts.
    Forgone {
        /// What.
        forgone: Box<Forgone>,
    },
    /// Something the user should know.
    Note {
        /// One line.
        text: String,
    },
    /// Another run goes on with what this one found.
    WentOn {
        /// Name of its folder, beside this run's.
        run_id: String,
        /// Why.
        because: Because,
    },
    /// The run that went on has ended, or can tell more than before. Of several, the last counts.
    Further {
        /// What came of it.
        further: Box<Further>,
    },
    /// The scenario is wrong: no kernel can answer.
    ScenarioError {
        /// What is wrong with it.
        fault: ScenarioFault,
    },
    /// The run was stopped by the user; it can be resumed.
    Interrupted,
    /// The run cannot go on; it can be resumed when the cause is gone.
    Failed {
        /// Why.
        error: String,
    },
    /// The search is over.
    Ended {
        /// How.
        outcome: Outcome,
    },
    /// The search under doubt is over.
    Decided {
        /// How.
        ending: bayes::Ending,
    },
    /// All that was to be tried has an answer: the end of what is no search.
    Completed,
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JournalLine {
    /// Milliseconds since 1970-01-01 UTC.
    pub at_ms: u64,
    /// The event.
    #[serde(flatten)]
    pub event: RunEvent,
}

/// The event that ended the search, if it is over.
pub fn end_of_search<'a>(
    events: impl IntoIterator<Item = &'a RunEvent, IntoIter: DoubleEndedIterator>,
) -> Option<&'a RunEvent> {
    let of_search = |event: &&RunEvent| {
        matches!(
            event,
            RunEvent::Ended { .. } | RunEvent::Decided { .. } | RunEvent::BudgetSet { .. }
        )
    };
    let last = events.into_iter().rev().find(of_search)?;
    (!matches!(last, RunEvent::BudgetSet { .. })).then_some(last)
}

/// Kinds of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunKind {
    /// A bisection.
    Search,
    /// Kernels times scenarios.
    Check,
    /// A single trial.
    Run,
    /// The self-test of a scenario.
    Selftest,
    /// The reduction of a scenario.
    Minimize,
}

impl RunKind {
    /// What kind of run a journal tells of; nothing when it was stopped before it began.
    #[must_use]
    pub fn of<'a>(events: impl IntoIterator<Item = &'a RunEvent>) -> Option<Self> {
        events.into_iter().find_map(|event| match event {
            RunEvent::Began { .. } => Some(Self::Search),
            RunEvent::CheckBegan { .. } => Some(Self::Check),
            RunEvent::RunBegan { .. } => Some(Self::Run),
            RunEvent::SelftestBegan { .. } => Some(Self::Selftest),
            RunEvent::MinimizeBegan { .. } => Some(Self::Minimize),
            _ => None,
        })
    }
}

/// Whether nothing is left to try.
pub fn is_over<'a>(
    events: impl IntoIterator<Item = &'a RunEvent, IntoIter: DoubleEndedIterator> + Clone,
) -> bool {
    end_of_search(events.clone()).is_some()
        || events.into_iter().any(|event| matches!(event, RunEvent::Completed))
}

/// Sums the time between events, leaving out the gap before each resumption, the time that a question
/// about the symptom waited for its answer, and the time that it
/// took to decode a trace or to rank changes: that can be done days later.
pub fn wall_seconds(lines: &[JournalLine]) -> f64 {
    let millis: u64 = lines
        .windows(2)
        .filter(|pair| {
            let later = &pair[1].event;
            !matches!(
                later,
                RunEvent::Resumed
                    | RunEvent::SymptomChosen { .. }
                    | RunEvent::Decoded { .. }
                    | RunEvent::Changes { .. }
                    | RunEvent::Forgone { .. }
                    | RunEvent::Further { .. }
                    | RunEvent::WentOn { .. }
            )
        })
        .map(|pair| pair[1].at_ms.saturating_sub(pair[0].at_ms))
        .sum();
    millis as f64 / 1000.0
}
