//! `ktap`: a program in the node that reports in TAP or KTAP.

use kbisect_core::command::CommandEnd;
use kbisect_core::scenario::{Check, KtapProbe};
use kbisect_proto::{ASSETS_DIR, Command};

use super::super::{Stop, Trial};
use super::Outcome;

impl Trial<'_> {
    pub(super) async fn ktap(&mut self, check: &Check, probe: &KtapProbe) -> Result<Outcome, Stop> {
        let argv = probe.argv(ASSETS_DIR);
        let command = Command { argv, stdin: Vec::new(), keep: KtapProbe::KEPT };
        let ran = self.exec(&check.node, command, self.timeout(check)).await?;
        let judged = probe.judge(&ran);
        // What it prints is about what it tests; only its own start can be the scenario's fault.
        Ok(match &ran.end {
            CommandEnd::NotStarted(_) => {
                judged.map_err(|failure| self.not_started(check, failure, &ran))
            }
            _ => judged,
        })
    }
}
