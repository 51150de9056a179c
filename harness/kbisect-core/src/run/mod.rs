//! A run: its plan, its events, and the result that follows from them.
//!
//! The journal is the list of events. Everything that a report says is a function of it, so that a
//! report made again later is the same, byte by byte.

mod conclude;
mod doubt;
mod events;
mod plan;
mod result;
mod score;
mod single;
mod target;

pub use events::{
    Aim, JournalLine, RunEvent, RunKind, Tried, end_of_search, is_over, wall_seconds,
};
pub use plan::{Environment, EvidenceChoices, Plan, PlanOptions, PlannedKernel};
pub use result::{
    Aborted, BisectResult, Confidence, Doubt, OutcomeWord, RunResult, SeriesEntry, SeriesVerdict,
};
pub use score::{Scored, score_again};
pub use single::KernelPlan;
pub use target::{
    ChosenBy, Due, SymptomChoice, SymptomCount, SymptomName, SymptomNameError, choice_due,
    choice_words, named_is_missing, symptoms_of_bad_end, target_symptom,
};

/// Begins what is said of rules that do not load on the good end.
pub const FAULT_OF_SCENARIO: &str =
    "rules that do not load on a kernel that should be good are the scenario's fault";

/// Follows `good` or `bad` in the reason of a run that ended at an end without an answer.
pub(crate) const NO_ANSWER: &str = "end of the range gives no answer";
