//! `plugin`: a monitoring plugin in the node.

use kbisect_core::command::CommandEnd;
use kbisect_core::scenario::{Check, PluginProbe};
use kbisect_proto::{ASSETS_DIR, Command};

use super::super::{Stop, Trial};
use super::Outcome;

impl Trial<'_> {
    pub(super) async fn plugin(
        &mut self,
        check: &Check,
        probe: &PluginProbe,
    ) -> Result<Outcome, Stop> {
        let argv = probe.argv(ASSETS_DIR);
        let command = Command { argv, stdin: Vec::new(), keep: PluginProbe::KEPT };
        let ran = self.exec(&check.node, command, self.timeout(check)).await?;
        let judged = probe.judge(&ran);
        // What a plugin prints is about what it asks; only its own start can be the scenario's fault.
        Ok(match &ran.end {
            CommandEnd::NotStarted(_) => {
                judged.map_err(|failure| self.not_started(check, failure, &ran))
            }
            _ => judged,
        })
    }
}
