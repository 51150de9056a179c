//! The journal of checks as it was before checks and searches had one: `check.jsonl`. It is read, and
//! written no more.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{GateOptions, GatePlan, GateTrial};
use crate::answer::Taken;
use crate::run::{Environment, JournalLine, RunEvent, Tried};

/// What happens in a check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum GateEvent {
    /// It begins.
    Began {
        /// What is to be tried.
        plan: Box<GatePlan>,
        /// How it is resumed.
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

impl GateLine {
    /// The same as today's events; none where they have no event for it.
    #[must_use]
    pub fn into_lines(self) -> Vec<JournalLine> {
        let at_ms = self.at_ms;
        let events = match self.event {
            GateEvent::Began { plan, options, environment } => {
                let (options, environment) = (Box::new(options), Box::new(environment));
                vec![RunEvent::CheckBegan { plan, options, environment }]
            }
            GateEvent::Resumed { environment } => {
                vec![RunEvent::Resumed, changed(environment)]
            }
            GateEvent::TrialEnded { trial } => vec![RunEvent::TrialEnded {
                tried: Tried::Scenario {
                    scenario: trial.scenario,
                    injected: None,
                    without: Vec::new(),
                },
                record: Box::new(trial.record),
                mark: None,
                taken: Taken::default(),
            }],
            GateEvent::ReferenceTried { trial } => vec![RunEvent::ReferenceTried {
                scenario: Some(trial.scenario),
                record: Box::new(trial.record),
            }],
            GateEvent::Ended { aborted, environment } => vec![
                changed(environment),
                aborted.map_or(RunEvent::Completed, |error| RunEvent::Failed { error }),
            ],
        };
        events.into_iter().map(|event| JournalLine { at_ms, event }).collect()
    }
}

fn changed(environment: Environment) -> RunEvent {
    RunEvent::EnvironmentChanged { environment: Box::new(environment) }
}
