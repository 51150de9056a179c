//! One kernel: a single trial, or the self-test of a scenario. Its plan, and what came of a single trial.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Environment, EvidenceChoices, JournalLine, Rates, RunEvent, RunResult, is_over};
use crate::answer::Trial;
use crate::gate::GateScenario;
use crate::kernel::Kernel;
use crate::trial::{Symptom, VerdictKind};
use crate::whose::{Whose, whose};

/// What is to be done with one kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KernelPlan {
    /// Run id: folder name below the results folder.
    pub run_id: String,
    /// kbisect's version.
    pub tool_version: String,
    /// The command as typed.
    pub command: Vec<String>,
    /// The kernel.
    pub kernel: Kernel,
    /// The scenario.
    pub scenario: GateScenario,
    /// The kernel of the reference nodes.
    pub reference: Kernel,
    /// The failure that a failure is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub like: Option<Box<Symptom>>,
    /// How often a failure must be missing before that is believed; of a single trial, how often it is made.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub repeats: u32,
    /// A self-test without faults, but for the cut of all wires.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_faults: bool,
    /// Texts of which a fault's name has one, or it is left out of a self-test; so are flavours then. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only_faults: Vec<String>,
    /// Somebody decides of each thing that is done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_hand: bool,
    /// What is kept of failures.
    #[serde(flatten)]
    pub evidence: EvidenceChoices,
}

fn once() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_once(repeats: &u32) -> bool {
    *repeats == 1
}

impl RunResult {
    /// The result of a single trial, from its journal; nothing when it has no answer yet.
    #[must_use]
    pub fn from_journal(lines: &[JournalLine], run_dir: &str) -> Option<Self> {
        let mut begun: Option<(&KernelPlan, &Environment)> = None;
        let (mut ended, mut reference, mut decoded) = (Vec::new(), None, None);
        for line in lines {
            match &line.event {
                RunEvent::RunBegan { plan, environment, .. } => begun = Some((plan, environment)),
                RunEvent::EnvironmentChanged { environment } => {
                    begun = begun.map(|(plan, _)| (plan, environment.as_ref()));
                }
                RunEvent::TrialEnded { record, taken, .. } => ended.push((record, taken)),
                RunEvent::ReferenceTried { record, .. } => reference = Some(record.as_ref()),
                RunEvent::Decoded { decoded: found, .. } => decoded = Some(found.clone()),
                _ => {}
            }
        }
        if !is_over(lines.iter().map(|line| &line.event)) {
            return None;
        }
        let bad = ended.iter().position(|(record, _)| record.verdict == VerdictKind::Bad);
        let told = ended.get(bad.unwrap_or(ended.len().saturating_sub(1)));
        let ((plan, environment), (record, taken)) = (begun?, *told?);
        let rates =
            (plan.repeats > 1).then(|| Rates::of(ended.iter().map(|(record, _)| record.as_ref())));
        // A kernel that is the reference kernel has told already.
        let is_it = plan.kernel.id == plan.reference.id;
        let reference = reference.or_else(|| is_it.then_some(record.as_ref()));
        let mut trial = Trial::new(record, taken);
        if whose(record, false, reference) == Whose::Scenario {
            trial.record = trial.record.as_fault();
        }
        trial.record.evidence.decoded = decoded.or(trial.record.evidence.decoded);
        Some(Self {
            schema: "kbisect.run/1".to_owned(),
            scenario: plan.scenario.name.clone(),
            trial,
            rates,
            reference: Some(plan.reference.clone()),
            environment: environment.clone(),
            run_dir: run_dir.to_owned(),
            tool_version: plan.tool_version.clone(),
        })
    }
}
