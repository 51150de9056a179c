//! `idempotent`: a step is done again, and the node's state compared.

use std::time::Duration;

use kbisect_core::command::{CommandEnd, Ran};
use kbisect_core::scenario::{Check, IdempotentProbe};

use super::super::states::state_command;
use super::super::steps::step_command;
use super::super::{Stop, Trial};
use super::Outcome;

impl Trial<'_> {
    pub(super) async fn idempotent(
        &mut self,
        check: &Check,
        probe: &IdempotentProbe,
    ) -> Result<Outcome, Stop> {
        let scenario = self.lab.scenario().clone();
        let mut steps = scenario.setup.iter().chain(&scenario.replay);
        let step = steps.find(|step| step.name == probe.step && step.node == check.node);
        let Some(step) = step else {
            return Err(self.infra(format!("the scenario has no step `{}`", probe.step)));
        };
        let mut before = self.state(check).await?;
        for round in 1..=probe.times {
            let timeout = self.lab.patience(Duration::from_secs_f64(step.timeout_s));
            let ran = self.exec(&step.node, step_command(&step.action), timeout).await?;
            if ran.end != CommandEnd::Status(0) {
                return Ok(Err(probe.refused(round, &ran)));
            }
            let after = self.state(check).await?;
            if let Err(failure) = probe.judge(round, &before, &after) {
                return Ok(Err(self.not_started(check, failure, &after)));
            }
            before = after;
        }
        Ok(Ok(format!("done {} more times, and nothing changed", probe.times)))
    }

    async fn state(&mut self, check: &Check) -> Result<Ran, Stop> {
        self.exec(&check.node, state_command(), self.timeout(check)).await
    }
}
