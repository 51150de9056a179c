//! `dns`: a question to a DNS server.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::super::cursor::Item;
use super::super::kept_rules::{Checked, KeptCheck, rule};
use super::super::words;
use super::kind::{Kind, Reading, Server};
use crate::wrong::{CheckFailure, Wrong};

/// A question to a DNS server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DnsProbe {
    /// Server address.
    pub server: IpAddr,
    /// Server port.
    #[serde(default = "dns_port")]
    pub port: u16,
    /// The name that is asked for.
    pub name: String,
    /// The address that must be among the answers; its family says whether A or AAAA is asked.
    pub answer: IpAddr,
}

fn dns_port() -> u16 {
    53
}

/// How the question was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct DnsSeen {
    /// The addresses in the answer.
    pub addresses: Vec<IpAddr>,
    /// Why there is none, if so.
    pub error: Option<String>,
    /// Whether that is because none came in time.
    pub timed_out: bool,
}

impl DnsProbe {
    pub(super) fn read(item: &Item<'_>, _: &mut Reading<'_>) -> Option<Self> {
        let table = item.table()?;
        let server = table.require("server", "the DNS server's address");
        let server = server.and_then(|item| item.parsed(words::host));
        let port = table.get("port").and_then(|item| item.number(1..=65_535));
        let name = table.require("name", "the name to ask for, such as `www.example.test`");
        let name = name.and_then(|item| item.parsed(words::domain));
        let answer = table.require("answer", "the address that must be the answer");
        let answer = answer.and_then(|item| item.parsed(words::host));
        table.finish();
        let port = port.unwrap_or_else(dns_port);
        Some(Self { server: server?, port, name: name?, answer: answer? })
    }

    /// Says whether the answer is the right one.
    ///
    /// # Errors
    /// What was wrong.
    pub fn judge(&self, seen: &DnsSeen) -> Result<String, CheckFailure> {
        let Self { name, answer: wanted, .. } = self;
        if let Some(error) = &seen.error {
            let wrong = if seen.timed_out { Wrong::NoAnswer } else { Wrong::Malformed };
            let server = std::net::SocketAddr::new(self.server, self.port);
            return Err(CheckFailure::wrong(format!("{server}: {error}"), wrong));
        }
        if seen.addresses.contains(wanted) {
            return Ok(format!("{name} is {wanted}"));
        }
        let got: Vec<String> = seen.addresses.iter().map(ToString::to_string).collect();
        let got = got.join(", ");
        let detail = format!("{name} is [{got}], expected {wanted}");
        Err(CheckFailure::wrong(detail, Wrong::Answer { got, expected: wanted.to_string() }))
    }
}

impl Kind for DnsProbe {
    fn verifies_payload(&self) -> bool {
        true
    }

    fn server(&self) -> Option<Server> {
        Some(Server::udp(self.server, self.port, "dns.server"))
    }

    fn summary(&self) -> String {
        format!("DNS {} at {}: {}", self.name, self.server, self.answer)
    }

    fn check_kept(&self, check: &KeptCheck<'_>) -> Checked {
        rule(check.key, words::domain(&self.name))
    }
}
