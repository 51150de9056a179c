//! `http`: GET requests, made by the guest's program.

use std::time::Duration;

use kbisect_core::scenario::{Check, HttpProbe, HttpSeen, Kind as _, Made};
use kbisect_core::wrong::Wrong;
use kbisect_proto::{HttpAttempt, HttpRequest, ProbeAnswer, ProbeRequest};

use super::super::{Stop, Trial};
use super::Outcome;
use super::guest::{Answer, Asked, failure_of};

impl Trial<'_> {
    pub(super) async fn http(&mut self, check: &Check, probe: &HttpProbe) -> Result<Outcome, Stop> {
        let timeout = self.timeout(check);
        let Some(server) = probe.server() else { return Err(Stop) };
        let asked = Asked {
            request: ProbeRequest::Http(request(probe, probe.connections, timeout)),
            server,
            limit: timeout * probe.connections.max(1) + self.lab.settings().timing.answer,
            lost: Wrong::NoConnection,
        };
        let attempts = match self.ask_probe(check, asked).await? {
            Answer::Probed(ProbeAnswer::Http(attempts)) => attempts,
            Answer::Probed(other) => return Err(self.nonsense(&other)),
            Answer::Over(failure) => return Ok(Err(failure)),
        };
        let seen: Vec<HttpSeen> = attempts.iter().map(seen).collect();
        let outcome = probe.judge(&seen);
        let last =
            attempts.last().and_then(|last| Some((last.local, failure_of(last.error.as_ref()?))));
        Ok(self.explained_connection(check, server, outcome, last).await)
    }
}

/// The requests of a probe.
pub(in crate::trial) fn request(
    probe: &HttpProbe,
    connections: u32,
    timeout: Duration,
) -> HttpRequest {
    HttpRequest {
        host: probe.host,
        port: probe.port,
        path: probe.path.clone(),
        connections,
        timeout_ms: timeout.as_millis() as u64,
        equals: probe.body.equals.clone(),
        contains: probe.body.contains.clone(),
    }
}

fn seen(attempt: &HttpAttempt) -> HttpSeen {
    HttpSeen {
        status: attempt.status,
        body: attempt.body.clone(),
        body_matches: attempt.body_matches,
        made: Made { bytes: attempt.bytes, millis: attempt.millis },
        failure: attempt.error.as_ref().map(failure_of),
    }
}
