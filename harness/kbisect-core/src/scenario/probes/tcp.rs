//! `tcp`: connections to an address and port, with a text to send and an answer to expect.

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::super::cursor::Item;
use super::super::kept_rules::{Checked, KeptCheck, invalid, rule, within};
use super::super::words;
use super::body::first_line;
use super::connection::{CONNECTIONS, ConnectionFailure, Made, all_made, several};
use super::kind::{Kind, Reading, Server};
use crate::wrong::{CheckFailure, Wrong};

/// Bytes that an answer can be asked to have at least.
const LEAST_BYTES: RangeInclusive<u64> = 1..=64 * 1024 * 1024;
/// Longest text that is sent or looked for, in bytes.
const LONGEST_TEXT: usize = 64 * 1024;

/// TCP connections, one after the other: the first that fails ends the check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpProbe {
    /// Address and port of the server.
    pub to: SocketAddr,
    /// What is sent once a connection stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<String>,
    /// What must come back.
    #[serde(default, skip_serializing_if = "Expected::is_empty")]
    pub expect: Expected,
    /// How many connections.
    pub connections: u32,
}

/// What an answer must be like; all that are set must hold, and nothing set means that a connection
/// is enough.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expected {
    /// The whole answer after trimming white space at both ends.
    pub equals: Option<String>,
    /// A part of it.
    pub contains: Option<String>,
    /// How many bytes must come at least.
    pub least_bytes: Option<u64>,
}

/// How one connection went.
#[derive(Clone, Debug, PartialEq)]
pub struct TcpSeen {
    /// The first bytes that came.
    pub start: Vec<u8>,
    /// Whether the answer is what was expected; true when nothing was.
    pub matches: bool,
    /// How many bytes came, and how long it took.
    pub made: Made,
    /// Why it failed, if it did.
    pub failure: Option<ConnectionFailure>,
}

impl Expected {
    /// Whether nothing is expected.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// `` an answer that is `x` ``, for titles: what came may be another on each run, this is not.
impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| words::shown(text.trim());
        match (&self.equals, &self.contains, self.least_bytes) {
            (Some(whole), ..) => write!(f, "`{}`", shown(whole)),
            (None, Some(part), _) => write!(f, "an answer with `{}`", shown(part)),
            (None, None, least) => write!(f, "at least {} bytes", least.unwrap_or_default()),
        }
    }
}

impl TcpProbe {
    pub(super) fn read(item: &Item<'_>, _: &mut Reading<'_>) -> Option<Self> {
        let table = item.table()?;
        let to = table.require("to", "address and port, such as `192.0.2.1:25`");
        let to = to.and_then(|item| item.parsed(words::socket));
        let send = table.get("send").map(|item| item.parsed(payload));
        let connections = table.get("connections").and_then(|item| item.number(CONNECTIONS));
        let expect = table.get("expect").and_then(|item| item.table()).map(|table| {
            let text = |key| table.get(key).map(|item| item.parsed(payload));
            let (equals, contains) = (text("equals"), text("contains"));
            let least = table.get("least_bytes").map(|item| item.number(LEAST_BYTES));
            if equals.is_none() && contains.is_none() && least.is_none() {
                table.wrong("one of `equals`, `contains`, `least_bytes` is needed");
            }
            table.finish();
            let (equals, contains) = (equals.flatten(), contains.flatten());
            Expected { equals, contains, least_bytes: least.flatten() }
        });
        table.finish();
        Some(Self {
            to: to?,
            send: send.flatten(),
            expect: expect.unwrap_or_default(),
            connections: connections.unwrap_or(1),
        })
    }

    /// Says whether the connections went as they must: what was seen, or what was wrong.
    ///
    /// # Errors
    /// What was wrong with the first that did not.
    pub fn judge(&self, seen: &[TcpSeen]) -> Result<String, CheckFailure> {
        for (index, one) in seen.iter().enumerate() {
            let number = format!("connection {} of {}", index + 1, self.connections);
            let TcpSeen { made, .. } = one;
            let late = match &one.failure {
                // Something came, and it is not what was expected: that says more than the time.
                Some(ConnectionFailure::ReadTimeout) if made.bytes > 0 => {
                    format!(" within {:.1} s", made.millis as f64 / 1000.0)
                }
                Some(failure) => {
                    let detail = format!("{number}: {}", failure.describe(*made, "bytes"));
                    return Err(CheckFailure::wrong(detail, failure.wrong()));
                }
                None if one.matches => continue,
                None => String::new(),
            };
            let text = first_line(&String::from_utf8_lossy(&one.start));
            let expected = &self.expect;
            let detail = format!(
                "{number}: {} bytes came{late}, `{}`, expected {expected}",
                made.bytes,
                text.escape_debug()
            );
            let wrong = Wrong::Other("tcp", format!("another answer, expected {expected}"));
            return Err(CheckFailure::wrong(detail, wrong));
        }
        all_made(self.connections, seen.iter().map(|one| one.made))
    }
}

/// A text that is sent or looked for.
fn payload(text: &str) -> Result<String, String> {
    match text.len() {
        0 => Err("must not be empty".to_owned()),
        1..=LONGEST_TEXT => Ok(text.to_owned()),
        length => Err(format!("must have at most {LONGEST_TEXT} bytes, not {length}")),
    }
}

impl Kind for TcpProbe {
    fn verifies_payload(&self) -> bool {
        !self.expect.is_empty()
    }

    fn server(&self) -> Option<Server> {
        Some(Server::tcp(self.to.ip(), self.to.port(), "tcp.to"))
    }

    fn summary(&self) -> String {
        let connections = several(self.connections);
        let send = if self.send.is_some() { ", sends a text" } else { "" };
        let expect = match self.expect.is_empty() {
            true => String::new(),
            false => format!(", expects {}", self.expect),
        };
        format!("TCP {}{connections}{send}{expect}", self.to)
    }

    fn check_kept(&self, check: &KeptCheck<'_>) -> Checked {
        let Self { to, send, expect, connections } = self;
        if to.port() == 0 {
            return Err(invalid(check.key, "the port must not be 0"));
        }
        for text in [send, &expect.equals, &expect.contains].into_iter().flatten() {
            rule(check.key, payload(text))?;
        }
        if let Some(least) = expect.least_bytes {
            within(check.key, least, LEAST_BYTES)?;
        }
        within(check.key, *connections, CONNECTIONS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(expect: Expected) -> TcpProbe {
        let to = "192.0.2.1:25".parse().expect("a socket");
        TcpProbe { to, send: None, expect, connections: 2 }
    }

    fn greeting() -> Expected {
        Expected { contains: Some("220 ".to_owned()), ..Expected::default() }
    }

    fn seen(start: &str, matches: bool, failure: Option<ConnectionFailure>) -> TcpSeen {
        let made = Made { bytes: start.len() as u64, millis: 1500 };
        TcpSeen { start: start.into(), matches, made, failure }
    }

    fn title(probe: &TcpProbe, one: TcpSeen) -> String {
        let failure = probe.judge(&[seen("220 x", true, None), one]).expect_err("it is wrong");
        assert!(failure.detail.starts_with("connection 2 of 2: "), "{}", failure.detail);
        failure.wrong.expect("it is known").to_string()
    }

    #[test]
    fn connections_that_went_as_they_must_are_counted() {
        let good = || seen("220 x", true, None);
        assert_eq!(
            probe(greeting()).judge(&[good(), good()]),
            Ok("2 connections, 10 bytes".into())
        );
        let short = probe(greeting()).judge(&[good()]).expect_err("one is missing");
        assert_eq!(short.detail, "1 of 2 connections were made");
    }

    /// Titles are compared between kernels, so they say what was expected and not what came.
    #[test]
    fn another_answer_is_told_with_what_was_expected() {
        let greeting = probe(greeting());
        let expected = "tcp: another answer, expected an answer with `220`";
        assert_eq!(title(&greeting, seen("554 no", false, None)), expected);
        assert_eq!(title(&greeting, seen("", false, None)), expected);
        // It came in time, and is another one: no time-out.
        let late = seen("554 no", false, Some(ConnectionFailure::ReadTimeout));
        assert_eq!(title(&greeting, late.clone()), expected);
        let detail = greeting.judge(&[late]).expect_err("it is wrong").detail;
        assert_eq!(
            detail,
            "connection 1 of 2: 6 bytes came within 1.5 s, `554 no`, expected an answer with `220`"
        );
        let least = probe(Expected { least_bytes: Some(9), ..Expected::default() });
        let few = title(&least, seen("554 no", false, None));
        assert_eq!(few, "tcp: another answer, expected at least 9 bytes");
    }

    #[test]
    fn every_way_to_fail_has_its_name() {
        let greeting = probe(greeting());
        for (failure, name) in [
            (ConnectionFailure::Local("x".into()), "the kernel refused: x"),
            (ConnectionFailure::Refused("x".into()), "connection refused"),
            (ConnectionFailure::ConnectTimeout, "no connection in time"),
            (ConnectionFailure::Reset("x".into()), "connection reset"),
            (ConnectionFailure::ReadTimeout, "connected, no whole answer in time"),
        ] {
            assert_eq!(title(&greeting, seen("", false, Some(failure))), name);
        }
    }
}
