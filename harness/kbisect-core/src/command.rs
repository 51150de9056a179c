//! Programs that ran in a guest, and how they ended.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommandEnd {
    /// With this status.
    Status(i32),
    /// By this signal.
    Signal(i32),
    /// It did not end in time.
    TimedOut,
    /// It could not be started.
    NotStarted(String),
}

impl fmt::Display for CommandEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "ended with status {status}"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
            Self::TimedOut => f.write_str("did not end in time"),
            Self::NotStarted(why) => write!(f, "did not start ({why})"),
        }
    }
}

/// A command that ran.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// How it ended.
    pub end: CommandEnd,
    /// The last bytes of its standard output.
    pub stdout: Vec<u8>,
    /// The last bytes of its standard error.
    pub stderr: Vec<u8>,
}

impl Ran {
    /// What it printed: complaints, else whatever there is.
    pub fn said(&self) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        let said = [text(&self.stderr), text(&self.stdout)];
        said.into_iter().find(|text| !text.is_empty()).unwrap_or_default()
    }

    /// How it ended, and what it printed.
    pub fn describe(&self) -> String {
        match self.said() {
            said if said.is_empty() => self.end.to_string(),
            said => format!("{}: {said}", self.end),
        }
    }
}
