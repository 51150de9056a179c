//! What a check is to do.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::WaysPlan;
use crate::kernel::Kernel;
use crate::options::MachineChoices;

/// What is tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GatePlan {
    /// Run id: folder name below the results folder.
    pub run_id: String,
    /// kbisect's version.
    pub tool_version: String,
    /// The command as typed.
    pub command: Vec<String>,
    /// The kernels under test, in the order asked for, each once.
    pub kernels: Vec<Kernel>,
    /// The kernel that the others are compared with.
    pub baseline: Option<Kernel>,
    /// The scenarios, in the order asked for, each once.
    pub scenarios: Vec<GateScenario>,
    /// Kernels of a range that are known to be untestable.
    pub left_out: Vec<LeftOutKernel>,
    /// The kernel of the reference nodes.
    pub reference: Kernel,
    /// What could not be tested keeps nobody from passing who gave an answer at all.
    pub allow_skips: bool,
    /// Failures that the baseline shows as well, and that keep nobody from passing: names of checks, or
    /// `all` for failures of any kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_broken: Vec<String>,
    /// The ranges among what was asked for, as typed: where there is one, maps are drawn.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<String>,
    /// The suite whose newest kernel was asked for; empty when it was that of all suites.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_of: Option<String>,
    /// It begins with one trial, widens as trials pass, and ends with the first that does not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub canary: bool,
    /// Scenarios whose ways are compared, which all are among the scenarios.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ways: Vec<WaysPlan>,
}

/// A scenario of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GateScenario {
    /// Its name or path, as typed.
    pub name: String,
    /// One line.
    pub summary: String,
    /// SHA-256 over its files.
    pub sha256: String,
}

/// A kernel that is not tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOutKernel {
    /// Identity.
    pub kernel: Kernel,
    /// Why it cannot be tested.
    pub reason: String,
}

/// What has no part in the result, and is needed to go on with a check.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateOptions {
    /// Trials side by side; nothing for as many as the host can take.
    pub workers: Option<NonZeroU32>,
    /// Absolute path of the JUnit file that is to be written.
    pub junit: Option<String>,
    /// Every kernel boots, also one that has a saved state.
    #[serde(default)]
    pub cold: bool,
    /// What else was chosen of how machines run.
    #[serde(default)]
    pub machine: MachineChoices,
}

impl GatePlan {
    /// The kernels that are tried, the baseline first unless it is under test; whether each is under
    /// test.
    #[must_use]
    pub fn rows(&self) -> Vec<(&Kernel, bool)> {
        let tested = |kernel: &&Kernel| self.kernels.iter().any(|other| other.id == kernel.id);
        let baseline = self.baseline.as_ref().filter(|kernel| !tested(kernel));
        let under_test = self.kernels.iter().map(|kernel| (kernel, true));
        baseline.map(|kernel| (kernel, false)).into_iter().chain(under_test).collect()
    }
}
