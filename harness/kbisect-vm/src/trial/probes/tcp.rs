//! `tcp`: connections, made by the guest's program.

use kbisect_core::scenario::{Check, Kind as _, Made, TcpProbe, TcpSeen};
use kbisect_core::wrong::Wrong;
use kbisect_proto::{ProbeAnswer, ProbeRequest, TcpAttempt, TcpRequest};

use super::super::{Stop, Trial};
use super::Outcome;
use super::guest::{Answer, Asked, failure_of};

impl Trial<'_> {
    pub(super) async fn tcp(&mut self, check: &Check, probe: &TcpProbe) -> Result<Outcome, Stop> {
        let timeout = self.timeout(check);
        let Some(server) = probe.server() else { return Err(Stop) };
        let bytes = |text: &Option<String>| text.as_ref().map(|text| text.clone().into_bytes());
        let asked = Asked {
            request: ProbeRequest::Tcp(TcpRequest {
                server: server.at,
                send: bytes(&probe.send).unwrap_or_default(),
                connections: probe.connections,
                timeout_ms: timeout.as_millis() as u64,
                equals: bytes(&probe.expect.equals),
                contains: bytes(&probe.expect.contains),
                least_bytes: probe.expect.least_bytes.unwrap_or_default(),
            }),
            server,
            limit: timeout * probe.connections + self.lab.settings().timing.answer,
            lost: Wrong::NoConnection,
        };
        let attempts = match self.ask_probe(check, asked).await? {
            Answer::Probed(ProbeAnswer::Tcp(attempts)) => attempts,
            Answer::Probed(other) => return Err(self.nonsense(&other)),
            Answer::Over(failure) => return Ok(Err(failure)),
        };
        let seen: Vec<TcpSeen> = attempts.iter().map(seen).collect();
        let last = attempts.last();
        let last = last.and_then(|last| Some((last.local, failure_of(last.error.as_ref()?))));
        Ok(self.explained_connection(check, server, probe.judge(&seen), last).await)
    }
}

fn seen(attempt: &TcpAttempt) -> TcpSeen {
    TcpSeen {
        start: attempt.start.clone(),
        matches: attempt.matches,
        made: Made { bytes: attempt.bytes, millis: attempt.millis },
        failure: attempt.error.as_ref().map(failure_of),
    }
}
