//! Kinds of checks, a file for each. What the rest of kbisect asks of a check are the methods of
//! [`Kind`]; nothing else tells kinds apart. This file is the list of them.

mod alive;
mod body;
mod capture;
mod command;
mod commands;
mod connection;
mod conntrack;
mod count;
mod counter;
mod dns;
mod http;
mod https;
mod idempotent;
mod kind;
mod ktap;
mod outcome;
mod own_lines;
mod plugin;
mod program;
mod tap;
mod tcp;

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::cursor::{Item, Table};

pub use alive::AliveProbe;
pub use body::Body;
pub use capture::CaptureProbe;
pub use command::{CommandProbe, Connection};
pub use commands::{CommandsProbe, ListedCommand};
pub use connection::{ConnectionFailure, Made};
pub use conntrack::{ConntrackProbe, State, Tracked};
pub use count::Count;
pub use counter::{Counter, CounterProbe, Family};
pub use dns::{DnsProbe, DnsSeen};
pub use http::{HttpProbe, HttpSeen};
pub use https::HttpsProbe;
pub use idempotent::IdempotentProbe;
pub use kind::{Kind, Server};
pub use ktap::{KtapFormat, KtapProbe, cases_of};
pub use outcome::Outcome;
pub use plugin::{PluginProbe, PluginWarning};
pub use tcp::{Expected, TcpProbe, TcpSeen};

pub(super) use kind::Reading;

/// What a check does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// HTTP/1.1 GET requests, one connection each, one after the other.
    Http(HttpProbe),
    /// A question to a DNS server over UDP.
    Dns(DnsProbe),
    /// TCP connections, with a text to send and an answer to expect.
    Tcp(TcpProbe),
    /// A GET request over TLS, made by the image's curl.
    Https(HttpsProbe),
    /// Captured traffic that must pass through the node.
    Capture(CaptureProbe),
    /// A command in the node.
    Command(CommandProbe),
    /// Commands in the node, one after the other.
    Commands(CommandsProbe),
    /// Packets that the packet filter counted.
    Counter(CounterProbe),
    /// Connections that the node tracks.
    Conntrack(ConntrackProbe),
    /// A monitoring plugin.
    Plugin(PluginProbe),
    /// A program that reports in TAP or KTAP.
    Ktap(KtapProbe),
    /// A step that is done again, and changes nothing.
    Idempotent(IdempotentProbe),
    /// The node answers: its kernel runs and schedules user space.
    Alive,
}

type Reader = fn(&Item<'_>, &mut Reading<'_>) -> Option<Probe>;

/// The key of each kind in a check's table, and how its value is read.
const KINDS: [(&str, Reader); 13] = [
    ("http", |item, reading| HttpProbe::read(item, reading).map(Probe::Http)),
    ("dns", |item, reading| DnsProbe::read(item, reading).map(Probe::Dns)),
    ("tcp", |item, reading| TcpProbe::read(item, reading).map(Probe::Tcp)),
    ("https", |item, reading| HttpsProbe::read(item, reading).map(Probe::Https)),
    ("capture", |item, reading| CaptureProbe::read(item, reading).map(Probe::Capture)),
    ("command", |item, reading| CommandProbe::read(item, reading).map(Probe::Command)),
    ("commands", |item, reading| CommandsProbe::read(item, reading).map(Probe::Commands)),
    ("counter", |item, reading| CounterProbe::read(item, reading).map(Probe::Counter)),
    ("conntrack", |item, reading| ConntrackProbe::read(item, reading).map(Probe::Conntrack)),
    ("plugin", |item, reading| PluginProbe::read(item, reading).map(Probe::Plugin)),
    ("ktap", |item, reading| KtapProbe::read(item, reading).map(Probe::Ktap)),
    ("idempotent", |item, reading| IdempotentProbe::read(item, reading).map(Probe::Idempotent)),
    ("alive", |item, _| AliveProbe::read(item).map(|_| Probe::Alive)),
];

impl Probe {
    /// Reads the one kind that a check's table has.
    pub(super) fn read(table: &Table<'_>, reading: &mut Reading<'_>) -> Option<Self> {
        let (key, item) = table.exactly_one(&KINDS.map(|(key, _)| key))?;
        let (_, read) = KINDS.iter().find(|(known, _)| *known == key)?;
        read(&item, reading)
    }
}

impl Deref for Probe {
    type Target = dyn Kind;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::Http(http) => http,
            Self::Dns(dns) => dns,
            Self::Tcp(tcp) => tcp,
            Self::Https(https) => https,
            Self::Capture(capture) => capture,
            Self::Command(command) => command,
            Self::Commands(commands) => commands,
            Self::Counter(counter) => counter,
            Self::Conntrack(conntrack) => conntrack,
            Self::Plugin(plugin) => plugin,
            Self::Ktap(ktap) => ktap,
            Self::Idempotent(idempotent) => idempotent,
            Self::Alive => &AliveProbe,
        }
    }
}
