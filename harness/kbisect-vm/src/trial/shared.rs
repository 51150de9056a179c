//! A run of a program that several checks look at.

use std::time::Instant;

use kbisect_core::command::Ran;

/// Which program it was, and what came of it.
pub(super) struct SharedRun {
    /// Where it ran.
    pub(super) node: String,
    /// Program and arguments.
    pub(super) argv: Vec<String>,
    /// When it began: what checks are judged by happened since.
    pub(super) began: Instant,
    /// What came of it.
    pub(super) ran: Ran,
}
