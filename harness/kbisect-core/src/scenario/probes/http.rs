//! `http`: GET requests.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::super::cursor::{Item, Table};
use super::super::kept_rules::{Checked, KeptCheck, invalid, rule, within};
use super::super::words;
use super::body::{Body, first_line};
use super::connection::{CONNECTIONS, ConnectionFailure, Made, all_made, several};
use super::kind::{Kind, Reading, Server};
use crate::wrong::{CheckFailure, Wrong};

/// Status of an HTTP answer (RFC 9110 §15).
pub(super) const STATUS: RangeInclusive<u16> = 100..=599;

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

/// How one connection went.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpSeen {
    /// Status code, once received.
    pub status: Option<u16>,
    /// The first bytes of the body.
    pub body: Vec<u8>,
    /// Whether the body is what was asked for, as far as its text goes.
    pub body_matches: bool,
    /// Length of the body, and how long it took.
    pub made: Made,
    /// Why it failed, if it did.
    pub failure: Option<ConnectionFailure>,
}

impl HttpProbe {
    pub(super) fn read(item: &Item<'_>, _: &mut Reading<'_>) -> Option<Self> {
        let table = item.table()?;
        let connections = table.get("connections").and_then(|item| item.number(CONNECTIONS));
        Self::read_rest(table, connections.unwrap_or(1))
    }

    /// Reads a request that a service is ready by: there is one connection.
    pub(in crate::scenario) fn read_one(item: &Item<'_>) -> Option<Self> {
        Self::read_rest(item.table()?, 1)
    }

    fn read_rest(table: Table<'_>, connections: u32) -> Option<Self> {
        let url = table.require("url", "such as `http://192.0.2.1/payload`");
        let url = url.and_then(|item| item.parsed(words::url));
        let status = table.get("status").and_then(|item| item.number(STATUS));
        let body = Body::read(&table);
        table.finish();
        let words::Url { host, port, path } = url?;
        Some(Self { host, port, path, connections, status: status.unwrap_or(200), body })
    }

    /// The rules for one in a kept scenario.
    pub(in crate::scenario) fn check(&self, key: &str) -> Checked {
        // The path was a part of an address, and goes into a request as it stands.
        rule(key, words::url(&format!("http://192.0.2.1{}", self.path)))?;
        if !self.path.starts_with('/') {
            return Err(invalid(key, "a path begins with `/`"));
        }
        within(key, self.connections, CONNECTIONS)?;
        within(key, self.status, STATUS)?;
        self.body.check_kept(key)
    }

    /// Says whether the connections went as they must: what was seen, or what was wrong.
    ///
    /// # Errors
    /// What was wrong with the first that did not.
    pub fn judge(&self, seen: &[HttpSeen]) -> Result<String, CheckFailure> {
        for (index, one) in seen.iter().enumerate() {
            let number = format!("connection {} of {}", index + 1, self.connections);
            if let Some(failure) = &one.failure {
                let detail = format!("{number}: {}", failure.describe(one.made, "body bytes"));
                return Err(CheckFailure::wrong(detail, failure.wrong()));
            }
            if one.status != Some(self.status) {
                let status = one.status.unwrap_or_default();
                let detail = format!("{number}: status {status}, expected {}", self.status);
                let wrong = Wrong::Status { got: status, expected: self.status };
                return Err(CheckFailure::wrong(detail, wrong));
            }
            if let Some(bytes) = self.body.bytes.filter(|bytes| *bytes != one.made.bytes) {
                let detail = format!("{number}: {} body bytes, expected {bytes}", one.made.bytes);
                return Err(CheckFailure::wrong(detail, Wrong::Length { expected: bytes }));
            }
            if !one.body_matches {
                let text = first_line(&String::from_utf8_lossy(&one.body));
                let expected = self.body.expected();
                let detail = format!("{number}: the body is `{text}`, expected `{expected}`");
                return Err(CheckFailure::wrong(detail, Wrong::Body));
            }
        }
        all_made(self.connections, seen.iter().map(|one| one.made))
    }
}

impl Kind for HttpProbe {
    fn verifies_payload(&self) -> bool {
        !self.body.is_empty()
    }

    fn server(&self) -> Option<Server> {
        Some(Server::tcp(self.host, self.port, "http.url"))
    }

    fn summary(&self) -> String {
        let connections = several(self.connections);
        let body = if self.body.is_empty() { "" } else { ", payload read" };
        let server = SocketAddr::new(self.host, self.port);
        format!("HTTP http://{server}{}{connections}{body}", self.path)
    }

    fn check_kept(&self, check: &KeptCheck<'_>) -> Checked {
        self.check(check.key)
    }
}
