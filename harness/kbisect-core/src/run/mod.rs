//! A run: its plan, its events, and the result that follows from them.
//!
//! The journal is the list of events. Everything that a report says is a function of it, so that a
//! report made again later is the same, byte by byte.

mod events;
mod newest;
mod other_end;
mod plan;
mod rates;
mod result;
mod revert;
mod score;
mod single;
mod target;

pub use events::{
    Aim, Beside, JournalLine, RunEvent, RunKind, Tried, end_of_search, is_over, wall_seconds,
};
pub use newest::{Affected, Beyond, Newest, NewestTest};
pub use other_end::OtherEnd;
pub use plan::{
    CommitChoices, CommitsPlan, ConfigurationKind, DrillPlan, Environment, EvidenceChoices, Plan,
    PlanOptions, PlannedCommit, PlannedKernel,
};
pub use rates::{CheckRate, Rates};
pub use result::{
    Aborted, BisectResult, Confidence, Doubt, OutcomeWord, RunResult, SeriesEntry, SeriesVerdict,
};
pub use revert::{Because, Further, RevertOutcome, RevertResult, RevertStep, RevertTest};
pub use score::{Scored, score_again};
pub use single::KernelPlan;
pub use target::{
    ChosenBy, Due, Missing, SymptomChoice, SymptomCount, SymptomName, SymptomNameError, choice_due,
    named_is_missing, symptoms_of_bad_end, target_symptom,
};
