//! `commands`: shell texts in the node, one after the other.

use kbisect_core::scenario::{Check, CommandsProbe};
use kbisect_proto::Command;

use super::super::{Stop, Trial};
use super::Outcome;

impl Trial<'_> {
    pub(super) async fn commands(
        &mut self,
        check: &Check,
        probe: &CommandsProbe,
    ) -> Result<Outcome, Stop> {
        let mut seen = String::new();
        for (index, command) in probe.list.iter().enumerate() {
            let argv = CommandsProbe::argv(command);
            let command = Command { argv, stdin: Vec::new(), keep: CommandsProbe::KEPT };
            let ran = self.exec(&check.node, command, self.timeout(check)).await?;
            match probe.judge(index, &ran) {
                Ok(said) => seen = said,
                Err(failure) => return Ok(Err(self.not_started(check, failure, &ran))),
            }
        }
        Ok(Ok(seen))
    }
}
