//! `conntrack`: connections that a node tracks.

use kbisect_core::scenario::{Check, ConntrackProbe};
use kbisect_proto::Command;

use super::super::{Stop, Trial};
use super::Outcome;

impl Trial<'_> {
    pub(super) async fn conntrack(
        &mut self,
        check: &Check,
        probe: &ConntrackProbe,
    ) -> Result<Outcome, Stop> {
        let command = Command { argv: probe.argv(), stdin: Vec::new(), keep: ConntrackProbe::KEPT };
        let ran = self.exec(&check.node, command, self.timeout(check)).await?;
        Ok(probe.judge(&ran).map_err(|failure| self.not_started(check, failure, &ran)))
    }
}
