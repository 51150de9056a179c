//! `dns`: a question to a DNS server, asked by the guest's program.

use std::time::Duration;

use kbisect_core::scenario::{Check, DnsProbe, DnsSeen, Kind as _};
use kbisect_core::wrong::Wrong;
use kbisect_proto::{DnsRequest, ProbeAnswer, ProbeRequest};

use super::super::{Stop, Trial};
use super::Outcome;
use super::guest::{Answer, Asked, Broken};

impl Trial<'_> {
    pub(super) async fn dns(&mut self, check: &Check, probe: &DnsProbe) -> Result<Outcome, Stop> {
        let timeout = self.timeout(check);
        let Some(server) = probe.server() else { return Err(Stop) };
        let asked = Asked {
            request: ProbeRequest::Dns(DnsRequest {
                server: server.at,
                name: probe.name.clone(),
                ipv6: probe.answer.is_ipv6(),
                timeout_ms: timeout.as_millis() as u64,
            }),
            server,
            limit: timeout + Duration::from_secs(60),
            lost: Wrong::NoAnswer,
        };
        let answer = match self.ask_probe(check, asked).await? {
            Answer::Probed(ProbeAnswer::Dns(answer)) => answer,
            Answer::Probed(other) => return Err(self.nonsense(&other)),
            Answer::Over(failure) => return Ok(Err(failure)),
        };
        let (local, waited) = (answer.local, answer.timed_out);
        let seen = DnsSeen {
            addresses: answer.addresses,
            error: answer.error,
            timed_out: answer.timed_out,
        };
        let broken = seen.error.is_some().then_some(local).flatten();
        let broken = broken.map(|local| Broken { local, waited });
        Ok(self.explained(check, server, probe.judge(&seen), broken).await)
    }
}
