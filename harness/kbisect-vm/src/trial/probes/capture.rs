//! `capture`: captured traffic that is sent through the candidate.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kbisect_core::capture;
use kbisect_core::disturbed::Whose;
use kbisect_core::flow::{Direction, Hop, Loss, fingerprint};
use kbisect_core::rewrite::Rewrite;
use kbisect_core::scenario::{CaptureProbe, Check};
use kbisect_core::trial::SymptomKind;
use kbisect_core::wrong::CheckFailure;

use super::super::{Stop, Trial};
use super::Outcome;

/// Longest pause between two frames. A capture may hold hours.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

impl Trial<'_> {
    /// Sends the frames of a capture into the check's node and waits for them on the other side.
    pub(super) async fn capture(
        &mut self,
        check: &Check,
        probe: &CaptureProbe,
    ) -> Result<Outcome, Stop> {
        // A node that is down explains everything; look before sending.
        self.machine(&check.node)?;
        let plan = self.lab.plan();
        let (Some(suspect), Some(sender)) =
            (plan.plug(&probe.enter, &check.node), plan.plug(&probe.enter, &probe.from))
        else {
            return Err(self.infra(format!("check {}: the nodes are not on the link", check.name)));
        };
        let content = self.lab.scenario().assets.get(&probe.file).cloned().unwrap_or_default();
        let frames = match capture::read(&content) {
            Ok(frames) => frames,
            Err(error) => return Err(self.infra(format!("{}: {error}", probe.file))),
        };
        let rewrite = Rewrite {
            to: suspect.mac,
            from: sender.mac,
            vlan: probe.vlan,
            addresses: probe.rewrite.clone(),
        };
        let wires = self.lab.wires().clone();
        let hop = Hop { wire: probe.leave.clone(), from: check.node.clone() };
        let rewritten = || frames.iter().filter_map(|frame| rewrite.frame(&frame.data));
        let wanted: BTreeSet<u64> =
            rewritten().filter_map(|bytes| fingerprint(&bytes)).map(|(_, print)| print).collect();
        wires.expect(hop, &wanted);
        let mut sent: Vec<(Direction, u64)> = Vec::new();
        let mut before = Duration::ZERO;
        for frame in &frames {
            let Some(bytes) = rewrite.frame(&frame.data) else { continue };
            tokio::time::sleep(frame.at.saturating_sub(before).min(LONGEST_PAUSE)).await;
            before = frame.at;
            wires.inject(sender.link, sender.port, &bytes).await;
            sent.extend(fingerprint(&bytes));
        }
        if sent.is_empty() {
            return Err(self.infra(format!("{} holds no TCP or UDP over IP", probe.file)));
        }
        let (all_sent, pulse) = (Instant::now(), self.lab.pulse().clone());
        let patience = self.lab.patience(Duration::from_secs_f64(check.timeout_s));
        let missing = || wires.with_flows(|flows| flows.missing()).unwrap_or_default();
        let all_passed = async {
            while missing() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let _ = pulse.timeout(patience, Whose::Everyone, all_passed).await;
        let missing = missing();
        let (whole, passed) = (wanted.len(), wanted.len() - missing);
        let CaptureProbe { file, enter, leave, .. } = probe;
        if passed == whole {
            return Ok(Ok(format!("{whole} different frames passed from {enter} to {leave}")));
        }
        let node = &check.node;
        let is_missing = |print| wires.with_flows(|flows| flows.is_missing(print)) == Some(true);
        let lost = sent.iter().find(|(_, print)| is_missing(*print));
        let first =
            lost.map(|(direction, _)| format!(", the first is {direction}")).unwrap_or_default();
        let detail = format!("{passed} of {whole} frames left {node} on {leave}{first}");
        if wires.are_broken() {
            return Ok(Err(CheckFailure::of(detail)));
        }
        self.seen.losses.push((
            check.name.clone(),
            Loss {
                kind: SymptomKind::LostIngress,
                title: format!("replayed frames of {file} lost inside {node}"),
                detail: format!("they entered on {enter}; {detail}"),
                place: None,
                window: Some(pulse.window(all_sent)),
            },
        ));
        Ok(Err(CheckFailure::of(detail)))
    }
}
