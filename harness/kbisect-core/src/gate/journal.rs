//! The journal of a check: what it is to do, each trial, how it ended.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::faults::settle;
use super::{GateEnd, GatePlan, GateResult, GateTrial};
use crate::boot::MachineChoices;
use crate::run::Environment;

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

/// What happens in a check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum GateEvent {
    /// It begins.
    Began {
        /// What is to be tried.
        plan: Box<GatePlan>,
        /// How it is gone on with.
        options: GateOptions,
        /// Where it runs.
        environment: Environment,
    },
    /// It goes on after an interruption.
    Resumed {
        /// Where it runs now.
        environment: Environment,
    },
    /// A trial ended.
    TrialEnded {
        /// Scenario and record.
        trial: Box<GateTrial>,
    },
    /// The reference kernel was tried in the candidate's place, to tell a kernel's fault from the
    /// scenario's. It is no kernel of the check.
    ReferenceTried {
        /// Scenario and record.
        trial: Box<GateTrial>,
    },
    /// It ended, or stopped.
    Ended {
        /// Why it stopped before it had all answers.
        aborted: Option<String>,
        /// Where it ran.
        environment: Environment,
    },
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateLine {
    /// Milliseconds since 1970-01-01 UTC.
    pub at_ms: u64,
    /// The event.
    #[serde(flatten)]
    pub event: GateEvent,
}

impl GateResult {
    /// Makes the result from a journal; `None` when the journal has no plan. A check without an end
    /// was killed, or still runs: it is aborted.
    #[must_use]
    pub fn from_journal(lines: &[GateLine], run_dir: &str) -> Option<Self> {
        let (mut plan, mut environment) = (None, Environment::default());
        let mut trials: Vec<GateTrial> = Vec::new();
        let mut references: Vec<GateTrial> = Vec::new();
        let mut aborted = None;
        for line in lines {
            aborted = Some("it was cut off".to_owned());
            match &line.event {
                GateEvent::Began { plan: begun, environment: host, .. } => {
                    plan = Some(begun.as_ref().clone());
                    environment = host.clone();
                }
                GateEvent::Resumed { environment: host } => environment = host.clone(),
                GateEvent::TrialEnded { trial } => trials.push(trial.as_ref().clone()),
                GateEvent::ReferenceTried { trial } => references.push(trial.as_ref().clone()),
                GateEvent::Ended { aborted: reason, environment: host } => {
                    aborted.clone_from(reason);
                    environment = host.clone();
                }
            }
        }
        // Those that ran side by side ended in any order.
        trials.sort_by_key(|trial| trial.record.number);
        settle(&mut trials, &references);
        let end =
            GateEnd { aborted, environment, wall_s: seconds(lines), run_dir: run_dir.to_owned() };
        Some(Self::new(plan?, trials, end))
    }
}

/// Seconds that the check took, without the time before each resumption.
fn seconds(lines: &[GateLine]) -> f64 {
    let millis: u64 = lines
        .windows(2)
        .filter(|pair| !matches!(pair[1].event, GateEvent::Resumed { .. }))
        .map(|pair| pair[1].at_ms.saturating_sub(pair[0].at_ms))
        .sum();
    millis as f64 / 1000.0
}
