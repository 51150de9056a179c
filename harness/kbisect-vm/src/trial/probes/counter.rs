//! `counter`: what the packet filter of a node counted.

use kbisect_core::judge::fault_of_absent;
use kbisect_core::scenario::{Check, CounterProbe};
use kbisect_proto::Command;

use super::super::{Stop, Trial};
use super::Outcome;

impl Trial<'_> {
    pub(super) async fn counter(
        &mut self,
        check: &Check,
        probe: &CounterProbe,
    ) -> Result<Outcome, Stop> {
        let command = Command { argv: probe.argv(), stdin: Vec::new(), keep: CounterProbe::KEPT };
        let ran = self.exec(&check.node, command, self.timeout(check)).await?;
        let mut missing = None;
        let judged = probe.judge(&ran, &mut missing);
        if let Some(what) = missing.filter(|_| !check.record_only) {
            self.seen.fault.get_or_insert_with(|| fault_of_absent(check, what));
        }
        Ok(judged.map_err(|failure| self.not_started(check, failure, &ran)))
    }
}
