//! `command`: a shell text in the node.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::super::assets::AssetRef;
use super::super::cursor::Item;
use super::super::kept_rules::{Checked, KeptCheck, rule, within};
use super::super::words;
use super::body::first_line;
use super::kind::{Kind, Reading};
use crate::command::{CommandEnd, Ran};
use crate::wrong::{CheckFailure, Wrong};

/// Exit status of a program.
const EXIT_STATUS: RangeInclusive<i32> = 0..=255;

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

impl CommandProbe {
    pub(super) fn read(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<Self> {
        let table = item.table()?;
        let run = table.require("run", "shell text for the guest");
        let run = run.and_then(|item| AssetRef::script(&item, reading.assets));
        let text = |key| table.get(key).and_then(|item| item.text()).map(str::to_owned);
        let (stdout, stdout_contains) = (text("stdout"), text("stdout_contains"));
        let status = table.get("status").and_then(|item| item.number(EXIT_STATUS));
        let payload = table.get("payload").and_then(|item| item.truth());
        let connection = table.get("connection").and_then(|item| item.table()).and_then(|table| {
            let connection = table.exactly_one(&["tcp", "udp"]).and_then(|(key, item)| {
                let to = item.parsed(words::socket)?;
                Some(if key == "tcp" { Connection::Tcp(to) } else { Connection::Udp(to) })
            });
            table.finish();
            connection
        });
        table.finish();
        Some(Self {
            run: run?,
            status: status.unwrap_or(0),
            stdout,
            stdout_contains,
            payload: payload.unwrap_or(false),
            connection,
        })
    }

    /// Says whether the command ended as it must.
    ///
    /// # Errors
    /// What was wrong.
    pub fn judge(&self, ran: &Ran) -> Result<String, CheckFailure> {
        let stdout = String::from_utf8_lossy(&ran.stdout);
        if ran.end != CommandEnd::Status(self.status) {
            let wrong = match &ran.end {
                CommandEnd::TimedOut => Wrong::NotEnded,
                end => Wrong::Ended { how: end.to_string(), expected: self.status },
            };
            return Err(CheckFailure::wrong(ran.describe(), wrong));
        }
        let said = |text: &str| format!("the output is `{}`", text.trim().escape_debug());
        match (&self.stdout, &self.stdout_contains) {
            (Some(whole), _) if whole.trim() != stdout.trim() => {
                let whole = whole.trim().escape_debug();
                let detail = format!("{}, expected `{whole}`", said(&stdout));
                Err(CheckFailure::wrong(detail, Wrong::Output))
            }
            (_, Some(part)) if !stdout.contains(part) => {
                let detail = format!("{}, without `{}`", said(&stdout), part.escape_debug());
                Err(CheckFailure::wrong(detail, Wrong::Output))
            }
            _ => Ok(first_line(&stdout)),
        }
    }
}

impl Kind for CommandProbe {
    fn texts(&self) -> Vec<&str> {
        vec![self.run.as_str()]
    }

    fn verifies_payload(&self) -> bool {
        self.payload
    }

    fn uses_network(&self) -> bool {
        self.payload || self.connection.is_some()
    }

    /// It has to fail by itself: whether it can is the question.
    fn needs_frames(&self) -> bool {
        false
    }

    fn protocols(&self) -> Vec<&'static str> {
        if self.run.contains("ping") { vec!["icmp"] } else { Vec::new() }
    }

    fn summary(&self) -> String {
        format!("runs {}", self.run.trim().lines().next().unwrap_or_default())
    }

    fn advice(&self) -> &'static str {
        "it looks at what was there before, or at nothing that arrives: let it fetch something new and \
         compare it, or take `payload` and `connection` off"
    }

    fn check_kept(&self, check: &KeptCheck<'_>) -> Checked {
        rule(check.key, words::script(&self.run))?;
        within(check.key, self.status, EXIT_STATUS)
    }
}
