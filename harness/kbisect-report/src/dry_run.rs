//! What a command would do: the document `kbisect.dry-run/1`, and its text.

use kbisect_core::kernel::Kernel;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plain::{bytes, table};

/// What `run`, `check`, `scenario selftest` and `minimize` would do: the document `kbisect.dry-run/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DryRunDocument {
    /// `kbisect.dry-run/1`.
    pub schema: String,
    /// The command.
    pub command: String,
    /// The kernel of the reference nodes.
    pub reference: Kernel,
    /// Trials that are made in any case, in their order; some may be left out when the answer is clear before.
    pub trials: Vec<PlannedTrial>,
    /// What a trial does in its nodes, in order, with the commands: of `run`. What may be left out: of `minimize`.
    pub steps: Vec<String>,
}

/// A trial that would be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedTrial {
    /// The kernel.
    pub kernel: Kernel,
    /// Bytes that are to be downloaded for it.
    pub download_bytes: u64,
    /// The scenario.
    pub scenario: String,
    /// What is broken on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

impl DryRunDocument {
    /// The document as text.
    #[must_use]
    pub fn text(&self) -> String {
        let count = self.trials.len();
        let trials = if count == 1 { "trial" } else { "trials" };
        let mut text = format!(
            "{}: {count} {trials}; nothing is done now\nreference nodes run {}\n\n",
            self.command, self.reference.package_version
        );
        let rows: Vec<Vec<String>> = self
            .trials
            .iter()
            .map(|trial| {
                let state = match trial.download_bytes {
                    0 => "in the store".to_owned(),
                    size => format!("to download: {}", bytes(size)),
                };
                let kernel = &trial.kernel;
                let version = kernel.package_version.to_string();
                let fault = trial.fault.clone().unwrap_or_default();
                vec![kernel.label().to_owned(), version, trial.scenario.clone(), state, fault]
            })
            .collect();
        text += &table(&rows);
        if !self.steps.is_empty() {
            text += "\nin order:\n\n";
            text += &self.steps.join("\n");
        }
        text
    }
}
