//! What trials answered, counted by version.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one trial answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The scenario passed.
    Pass,
    /// The target symptom showed.
    Fail,
    /// It failed with another symptom: says nothing about the target.
    Other,
    /// The kernel could not answer.
    Skip,
    /// Our own failure or the host's.
    Infra,
}

/// Answers of one version, counted. Verdicts are not kept: three failures of ten runs are a fact,
/// `bad` is an opinion.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(default)]
pub struct Tally {
    /// Runs with the target symptom.
    pub fails: u32,
    /// Runs that passed.
    pub passes: u32,
    /// Runs with another symptom.
    pub others: u32,
    /// Runs in which the kernel could not answer.
    pub skips: u32,
    /// Runs that failed for reasons of the host.
    pub infra: u32,
    /// Runs that passed or failed as others of the same boot did before, and count no more.
    #[serde(skip_serializing_if = "is_zero")]
    pub again: u32,
}

/// Runs from which on a version is given up when half of them gave no answer.
const ENOUGH: u32 = 6;

fn is_zero(runs: &u32) -> bool {
    *runs == 0
}

impl Tally {
    /// Counts one more answer.
    pub fn add(&mut self, answer: Answer) {
        match answer {
            Answer::Pass => self.passes += 1,
            Answer::Fail => self.fails += 1,
            Answer::Other => self.others += 1,
            Answer::Skip => self.skips += 1,
            Answer::Infra => self.infra += 1,
        }
    }

    /// Runs that count: with the target symptom, or passed.
    pub fn counted(&self) -> u32 {
        self.fails + self.passes
    }

    /// Runs that were made, those that failed for reasons of the host left out.
    pub fn runs(&self) -> u32 {
        self.counted() + self.others + self.skips + self.again
    }

    /// Whether the version cannot be tested for this symptom: it could not answer and never did,
    /// or half of six or more runs gave no answer.
    pub fn is_untestable(&self) -> bool {
        let silent = self.others + self.skips;
        (self.skips > 0 && self.counted() == 0)
            || (self.runs() >= ENOUGH && 2 * silent >= self.runs())
    }
}
