//! Checks that the guest's program makes: for each kind what it is asked, and what came of it.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// What a check does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ProbeRequest {
    /// HTTP requests.
    Http(HttpRequest),
    /// A question to a DNS server.
    Dns(DnsRequest),
    /// TCP connections.
    Tcp(TcpRequest),
}

/// What came of a check, of the kind that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ProbeAnswer {
    /// The connections, in order; fewer than asked for when one failed.
    Http(Vec<HttpAttempt>),
    /// The DNS server's answer.
    Dns(DnsAnswer),
    /// The connections, in order; fewer than asked for when one failed.
    Tcp(Vec<TcpAttempt>),
}

impl ProbeRequest {
    /// The kind's name, as scenarios write it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Http(_) => "http",
            Self::Dns(_) => "dns",
            Self::Tcp(_) => "tcp",
        }
    }
}

/// HTTP/1.1 GET requests, a connection each, one after the other; ends at the first failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HttpRequest {
    /// Server.
    pub host: IpAddr,
    /// Port.
    pub port: u16,
    /// Path and query.
    pub path: String,
    /// How many connections.
    pub connections: u32,
    /// Milliseconds for each connection, from `connect` to the last byte.
    pub timeout_ms: u64,
    /// What the whole body must be, after trimming white space at both ends.
    pub equals: Option<String>,
    /// What the body must contain.
    pub contains: Option<String>,
}

/// A question to a DNS server over UDP, asked again every second until the time is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DnsRequest {
    /// Server.
    pub server: SocketAddr,
    /// Name.
    pub name: String,
    /// Whether AAAA is asked for instead of A.
    pub ipv6: bool,
    /// Milliseconds in all.
    pub timeout_ms: u64,
}

/// How a question was answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DnsAnswer {
    /// Own address and port.
    pub local: Option<SocketAddr>,
    /// The addresses in the answer.
    pub addresses: Vec<IpAddr>,
    /// Why there is none, if so.
    pub error: Option<String>,
    /// Whether that is because none came in time.
    pub timed_out: bool,
    /// How often it was asked.
    pub asked: u32,
}

/// How many bytes of a body travel back to the harness: for people to read. It is compared in the
/// guest, so that large bodies need not fit into a message.
pub const BODY_SENT_BACK: usize = 512;

/// How one connection went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HttpAttempt {
    /// Own address and port, once bound.
    pub local: Option<SocketAddr>,
    /// Status code, once received.
    pub status: Option<u16>,
    /// Body length in bytes.
    pub bytes: u64,
    /// `Content-Length`, when the server sent one.
    pub announced: Option<u64>,
    /// The first bytes of the body, at most [`BODY_SENT_BACK`].
    pub body: Vec<u8>,
    /// Whether the body is what was asked for; true when nothing was.
    pub body_matches: bool,
    /// Why it failed, if it did.
    pub error: Option<ConnectionError>,
    /// Milliseconds from `connect` to the end.
    pub millis: u64,
}

/// TCP connections, one after the other; ends at the first failure, and at the first answer that is
/// another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TcpRequest {
    /// Server.
    pub server: SocketAddr,
    /// What is sent; may be nothing.
    pub send: Vec<u8>,
    /// How many connections.
    pub connections: u32,
    /// Milliseconds for each connection, from `connect` to the last byte that is waited for.
    pub timeout_ms: u64,
    /// What the whole answer must be, after trimming white space at both ends.
    pub equals: Option<Vec<u8>>,
    /// What the answer must contain.
    pub contains: Option<Vec<u8>>,
    /// How many bytes must come at least.
    pub least_bytes: u64,
}

/// How many bytes of an answer travel back to the harness, for people to read.
pub const ANSWER_SENT_BACK: usize = 512;

/// How one TCP connection went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TcpAttempt {
    /// Own address and port, once bound.
    pub local: Option<SocketAddr>,
    /// How many bytes came.
    pub bytes: u64,
    /// The first of them, at most [`ANSWER_SENT_BACK`].
    pub start: Vec<u8>,
    /// Whether the answer is what was expected; true when nothing was and the connection stood.
    pub matches: bool,
    /// Why it failed, if it did.
    pub error: Option<ConnectionError>,
    /// Milliseconds from `connect` to the end.
    pub millis: u64,
}

/// Where a connection failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConnectionError {
    /// No socket, or no way to the server: the kernel refused at once.
    Local(String),
    /// The connection was refused or the handshake got a reset.
    Refused(String),
    /// The handshake did not end in time.
    ConnectTimeout,
    /// The connection stood, then was reset.
    Reset(String),
    /// The connection stood, then nothing (more) arrived in time.
    ReadTimeout,
    /// What arrived is no answer of its protocol, or it ended early.
    Malformed(String),
}
