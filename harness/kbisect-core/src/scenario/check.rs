//! Checks: what must hold.

use serde::{Deserialize, Serialize};

use super::probes::Probe;

/// One thing that must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Unique name.
    pub name: String,
    /// Where it runs.
    pub node: String,
    /// What is done.
    pub probe: Probe,
    /// Deadline in seconds for one attempt, before scaling.
    pub timeout_s: f64,
    /// Whether its failure is only recorded, not judged.
    pub record_only: bool,
    /// The step of the replay that it is made after; with the others at the end without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Line of `scenario.toml`, from 1; 0 where it is not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub line: u32,
}

pub(super) fn is_zero(line: &u32) -> bool {
    *line == 0
}
