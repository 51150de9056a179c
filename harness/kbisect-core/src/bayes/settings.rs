//! What the user can choose.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::search::Direction;

/// Choices of a search. They go into the plan, so that a resumed run has no choice left.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// What is looked for.
    pub direction: Direction,
    /// Probability from which on one version is named, above 0.5 and below 1.
    pub stop: f64,
    /// Compare the culprit and its neighbour until chance explains the difference with 1 %
    /// instead of 5 %.
    pub strict: bool,
    /// The lowest failure rate that is worth searching, above 0, at most 1: decides how often a bad
    /// end that passes is run again.
    pub p_min: f64,
    /// Runs after which the search ends, whatever is known by then.
    pub budget: Option<u32>,
    /// Every bad version has a failure rate of its own.
    pub robust: bool,
    /// What trials cost.
    pub costs: Costs,
    /// The end without the symptom is taken for granted.
    pub assume_good: bool,
    /// The end with the symptom is taken for granted.
    pub assume_bad: bool,
}

/// What trials cost, in any unit: only ratios matter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Costs {
    /// One run of a kernel that is at hand.
    pub run: f64,
    /// To get a kernel: its build or download.
    pub prepare: f64,
}

/// Why a search cannot be set up that way.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// The stop probability is out of bounds.
    #[error("cannot stop at a probability of {stop}: it lies between 0.5 and 1")]
    Stop {
        /// What was asked for.
        stop: f64,
    },
    /// The lowest failure rate is out of bounds.
    #[error("{p_min} is no failure rate: it lies above 0 and is at most 1")]
    PMin {
        /// What was asked for.
        p_min: f64,
    },
    /// Costs cannot be compared.
    #[error("a trial cannot cost {cost}")]
    Cost {
        /// What was given.
        cost: f64,
    },
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            direction: Direction::Regression,
            stop: 0.99,
            strict: false,
            p_min: 0.05,
            budget: None,
            robust: false,
            costs: Costs::default(),
            assume_good: false,
            assume_bad: false,
        }
    }
}

impl Default for Costs {
    fn default() -> Self {
        Self { run: 1.0, prepare: 0.0 }
    }
}

impl Settings {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`SettingsError`] names the first value that is out of them.
    pub fn check(&self) -> Result<(), SettingsError> {
        if !(self.stop > 0.5 && self.stop < 1.0) {
            return Err(SettingsError::Stop { stop: self.stop });
        }
        if !(self.p_min > 0.0 && self.p_min <= 1.0) {
            return Err(SettingsError::PMin { p_min: self.p_min });
        }
        let Costs { run, prepare } = self.costs;
        if !(run > 0.0 && run.is_finite()) {
            return Err(SettingsError::Cost { cost: run });
        }
        if !(prepare >= 0.0 && prepare.is_finite()) {
            return Err(SettingsError::Cost { cost: prepare });
        }
        Ok(())
    }

    /// How often chance may explain the difference between the culprit and its neighbour.
    pub(super) fn chance(&self) -> f64 {
        if self.strict { 0.01 } else { 0.05 }
    }
}
