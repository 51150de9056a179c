//! TCP connections that the guest's program makes for a check.

use std::ops::RangeInclusive;

use crate::wrong::{CheckFailure, Wrong};

/// Connections of a check.
pub(super) const CONNECTIONS: RangeInclusive<u32> = 1..=1000;

/// Where a connection failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionFailure {
    /// The node's own kernel refused at once.
    Local(String),
    /// It was refused.
    Refused(String),
    /// The handshake did not end in time.
    ConnectTimeout,
    /// It stood, then was reset.
    Reset(String),
    /// It stood, then nothing (more) arrived in time.
    ReadTimeout,
    /// What arrived is no answer.
    Malformed(String),
}

/// What a connection brought in before it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Bytes that count.
    pub bytes: u64,
    /// Milliseconds from `connect` to the end.
    pub millis: u64,
}

impl ConnectionFailure {
    /// What was wrong.
    pub fn wrong(&self) -> Wrong {
        match self {
            Self::Local(why) => Wrong::Local(why.clone()),
            Self::Refused(_) => Wrong::Refused,
            Self::ConnectTimeout => Wrong::NoConnection,
            Self::Reset(_) => Wrong::Reset,
            Self::ReadTimeout => Wrong::NoWholeAnswer,
            Self::Malformed(_) => Wrong::Malformed,
        }
    }

    /// Whether something was waited for in vain: it may be lost. What came whole, and is another
    /// answer, was not.
    pub fn is_wait(&self) -> bool {
        matches!(self, Self::ConnectTimeout | Self::ReadTimeout)
    }

    /// The same for people; `what` are the bytes that count, such as `body bytes`.
    pub(super) fn describe(&self, made: Made, what: &str) -> String {
        let (bytes, seconds) = (made.bytes, made.millis as f64 / 1000.0);
        match self {
            Self::Local(why) => format!("the kernel refused: {why}"),
            Self::Refused(why) => format!("refused: {why}"),
            Self::ConnectTimeout => format!("no connection within {seconds:.1} s"),
            Self::Reset(why) => format!("reset after {bytes} {what}: {why}"),
            Self::ReadTimeout => {
                format!("connected, but only {bytes} {what} within {seconds:.1} s")
            }
            Self::Malformed(why) => why.clone(),
        }
    }
}

/// Says what connections brought in of which none failed, and fails where they are fewer than wanted.
pub(super) fn all_made(
    wanted: u32,
    made: impl ExactSizeIterator<Item = Made>,
) -> Result<String, CheckFailure> {
    let count = made.len();
    if count < wanted as usize {
        return Err(CheckFailure::of(format!("{count} of {wanted} connections were made")));
    }
    let bytes: u64 = made.map(|made| made.bytes).sum();
    let plural = if count == 1 { "" } else { "s" };
    Ok(format!("{count} connection{plural}, {bytes} bytes"))
}

/// The number of connections in a summary, where there are several.
pub(super) fn several(connections: u32) -> String {
    match connections {
        1 => String::new(),
        n => format!(", {n} connections"),
    }
}
