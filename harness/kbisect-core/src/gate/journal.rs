//! From the journal of a check to its result.

use super::faults::settle;
use super::{GateEnd, GateResult, GateTrial};
use crate::run::{JournalLine, RunEvent, Tried, wall_seconds};

impl GateTrial {
    /// The trial that an event tells of, if it is one of a check.
    #[must_use]
    pub fn of(event: &RunEvent) -> Option<Self> {
        match event {
            RunEvent::TrialEnded { tried: Tried::Scenario { scenario, .. }, record, .. } => {
                Some(Self { scenario: scenario.clone(), record: record.as_ref().clone() })
            }
            _ => None,
        }
    }
}

impl GateResult {
    /// Makes the result from a journal; `None` when it has no plan of a check. A check without an end
    /// was killed, or still runs: it is aborted.
    #[must_use]
    pub fn from_journal(lines: &[JournalLine], run_dir: &str) -> Option<Self> {
        let mut begun = None;
        let mut trials: Vec<GateTrial> = Vec::new();
        let mut references: Vec<GateTrial> = Vec::new();
        let cut_off = || Some("it was cut off".to_owned());
        let mut aborted = cut_off();
        for event in lines.iter().map(|line| &line.event) {
            trials.extend(GateTrial::of(event));
            match event {
                RunEvent::CheckBegan { plan, environment, .. } => {
                    begun = Some((plan.as_ref().clone(), environment.as_ref().clone()));
                }
                RunEvent::EnvironmentChanged { environment: now } => {
                    if let Some((_, environment)) = &mut begun {
                        environment.clone_from(now.as_ref());
                    }
                }
                RunEvent::ReferenceTried { scenario: Some(scenario), record } => references
                    .push(GateTrial { scenario: scenario.clone(), record: (**record).clone() }),
                RunEvent::Resumed => aborted = cut_off(),
                RunEvent::Completed => aborted = None,
                RunEvent::Interrupted => aborted = Some("interrupted".to_owned()),
                RunEvent::Failed { error } => aborted = Some(error.clone()),
                _ => {}
            }
        }
        // Those that ran side by side ended in any order.
        trials.sort_by_key(|trial| trial.record.number);
        settle(&mut trials, &references);
        let (plan, environment) = begun?;
        let (wall_s, run_dir) = (wall_seconds(lines), run_dir.to_owned());
        Some(Self::new(plan, trials, GateEnd { aborted, environment, wall_s, run_dir }))
    }
}
