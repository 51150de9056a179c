//! TCP connections that the guest's program makes for a check.

use crate::wrong::Wrong;

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
