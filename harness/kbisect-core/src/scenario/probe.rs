//! Checks: what must hold, and how it is asked.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// One thing that must hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Unique name.
    pub name: String,
    /// Where it runs.
    pub node: String,
    /// What is done.
    pub probe: Probe,
    /// Deadline in seconds for one attempt, before scaling.
    pub timeout_s: f64,
    /// Whether its failure is only recorded, not judged.
    pub record_only: bool,
    /// Line of `scenario.toml`, from 1; 0 where it is not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub line: u32,
}

/// What a check does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// HTTP/1.1 GET requests, one connection each, one after the other.
    Http(HttpProbe),
    /// A question to a DNS server over UDP.
    Dns(DnsProbe),
    /// Captured traffic that must pass through the node.
    Capture(CaptureProbe),
    /// A command in the node.
    Command(CommandProbe),
    /// The node answers: its kernel runs and schedules user space.
    Alive,
}

impl Probe {
    /// Whether the probe looks at bytes that an application received.
    #[must_use]
    pub fn verifies_payload(&self) -> bool {
        match self {
            Self::Http(http) => !http.body.is_empty(),
            Self::Dns(_) | Self::Capture(_) => true,
            Self::Command(command) => command.payload,
            Self::Alive => false,
        }
    }
}

/// HTTP requests: the first connection that fails ends the check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HttpProbe {
    /// Server address; names are not resolved.
    pub host: IpAddr,
    /// Server port.
    pub port: u16,
    /// Path and query.
    pub path: String,
    /// How many connections.
    pub connections: u32,
    /// Expected status.
    pub status: u16,
    /// What the body must be like.
    pub body: Body,
}

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

/// Captured traffic: its frames enter the check's node on one link and must leave it on another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptureProbe {
    /// The capture, pcap or pcapng, a file of the scenario.
    pub file: String,
    /// Link on which the frames enter.
    pub enter: String,
    /// Node on that link in whose name they are sent.
    pub from: String,
    /// Link on which they must leave.
    pub leave: String,
    /// VLAN tag that they enter with.
    #[serde(default)]
    pub vlan: Option<u16>,
    /// Addresses to replace before they enter: captured address -> address in the scenario.
    #[serde(default)]
    pub rewrite: BTreeMap<IpAddr, IpAddr>,
}

/// What a body must be like; nothing set means that it is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Body {
    /// The whole body after trimming white space at both ends.
    pub equals: Option<String>,
    /// A part of it.
    pub contains: Option<String>,
    /// Its length in bytes.
    pub bytes: Option<u64>,
}

impl Body {
    /// Whether nothing is asked of the body.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A command and what it must answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandProbe {
    /// Shell script text, run by the guest's `sh -eu`.
    pub run: String,
    /// Expected exit status.
    #[serde(default)]
    pub status: i32,
    /// Expected standard output after trimming white space at both ends.
    #[serde(default)]
    pub stdout: Option<String>,
    /// A part that the standard output must have.
    #[serde(default)]
    pub stdout_contains: Option<String>,
    /// Whether the command verifies payload, so that `scenario check` does not warn.
    #[serde(default)]
    pub payload: bool,
    /// The connection that the command depends on: its frames explain a failure, and end the check
    /// once they show that it is lost.
    #[serde(default)]
    pub connection: Option<Connection>,
}

/// Where a connection of a command goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Connection {
    /// A TCP connection.
    Tcp(SocketAddr),
    /// UDP packets.
    Udp(SocketAddr),
}

pub(super) fn is_zero(line: &u32) -> bool {
    *line == 0
}
