//! What was wrong with a check that failed.

use std::fmt;

/// What was wrong. Its words make the title of a symptom, so they have no numbers that change from
/// run to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// No connection came about in time.
    NoConnection,
    /// A connection, and no whole answer in time.
    NoWholeAnswer,
    /// No answer to a question in time.
    NoAnswer,
    /// The node's own kernel refused.
    Local(String),
    /// The connection was refused.
    Refused,
    /// The connection was reset.
    Reset,
    /// The answer is of another kind.
    Malformed,
    /// Another status.
    Status {
        /// What came.
        got: u16,
        /// What should have.
        expected: u16,
    },
    /// Another number of bytes.
    Length {
        /// What should have come.
        expected: u64,
    },
    /// Another body.
    Body,
    /// Another answer of the name server.
    Answer {
        /// What came.
        got: String,
        /// What should have.
        expected: String,
    },
    /// Another output of a command.
    Output,
    /// A command ended in another way.
    Ended {
        /// How.
        how: String,
        /// Status that it should have ended with.
        expected: i32,
    },
    /// A command did not end in time.
    NotEnded,
    /// The machine gave no answer.
    NotAlive,
    /// Something else that a kind of check has its own words for: its name, and what was wrong.
    Other(&'static str, String),
    /// Nothing is known to be wrong: the check could not tell.
    Unclear,
    /// The reference side is at fault, for this reason.
    Reference(String),
}

impl Wrong {
    /// Why it is never charged to the candidate, if so.
    pub fn of_reference(&self) -> Option<&str> {
        match self {
            Self::Reference(why) => Some(why),
            _ => None,
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConnection => f.write_str("no connection in time"),
            Self::NoWholeAnswer => f.write_str("connected, no whole answer in time"),
            Self::NoAnswer => f.write_str("no answer in time"),
            Self::Local(why) => write!(f, "the kernel refused: {why}"),
            Self::Refused => f.write_str("connection refused"),
            Self::Reset => f.write_str("connection reset"),
            Self::Malformed => f.write_str("the answer makes no sense"),
            Self::Status { got, expected } => write!(f, "status {got}, expected {expected}"),
            Self::Length { expected } => write!(f, "not the {expected} body bytes expected"),
            Self::Body => f.write_str("not the body expected"),
            Self::Answer { got, expected } => write!(f, "answer [{got}], expected {expected}"),
            Self::Output => f.write_str("not the output expected"),
            Self::Ended { how, expected } => write!(f, "{how}, expected status {expected}"),
            Self::NotEnded => f.write_str("did not end in time"),
            Self::NotAlive => f.write_str("the machine does not answer"),
            Self::Other(kind, what) => write!(f, "{kind}: {what}"),
            Self::Unclear => f.write_str("could not tell"),
            Self::Reference(why) => f.write_str(why),
        }
    }
}

/// A check that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckFailure {
    /// What was seen, with the numbers.
    pub detail: String,
    /// What was wrong, where that is known.
    pub wrong: Option<Wrong>,
}

impl CheckFailure {
    /// One of which no more is known.
    pub fn of(detail: String) -> Self {
        Self { detail, wrong: None }
    }

    /// One that is none: the check could not tell.
    pub fn unclear(detail: String) -> Self {
        Self::wrong(detail, Wrong::Unclear)
    }

    /// One of which is known what was wrong.
    pub fn wrong(detail: String, wrong: Wrong) -> Self {
        Self { detail, wrong: Some(wrong) }
    }
}
