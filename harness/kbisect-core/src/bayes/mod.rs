//! The search under doubt: where the change is, when a failure shows in some runs only.
//!
//! Noisy binary search with Bayesian inference. Counts of failures and passes are kept for each
//! version; hypotheses are "version c brought it", "the good end has it, too" and "nothing changed";
//! unknown failure rates are integrated out. The version tried next is the one that tells most about
//! the culprit for what it costs, and a culprit is named when its probability reaches the stop
//! rule's and a comparison with its neighbour rules out chance.

mod atoms;
mod changes;
mod estimate;
mod gain;
mod history;
mod likelihood;
mod noisy;
mod posterior;
mod replay;
mod rules;
mod settings;
mod step;
mod stop;
mod tally;
#[cfg(test)]
mod tests;
mod view;

pub use changes::SeveralChanges;
pub use estimate::{Belief, Estimate, RunsLeft, VersionBelief};
pub use history::{History, HistoryError};
pub use noisy::{NoisySearch, NoisySearchError};
pub use settings::{Costs, Settings, SettingsError};
pub use step::{Ending, NoisyStep, Notice, Purpose, RangeReason, Why};
pub use stop::{FAILURES, RUNS_A_BOOT, patience};
pub use tally::{Answer, Tally};
