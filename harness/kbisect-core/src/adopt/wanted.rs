//! What an import is asked for, and what it makes.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Note;
use crate::scenario::ListedCommand;

/// What the user says of a file.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Name of the file, for comments.
    pub file: String,
    /// Node that what is not sent elsewhere runs on.
    pub node: String,
    /// Nodes by what the file calls them: their names, addresses, and what the user mapped.
    pub hosts: BTreeMap<String, String>,
    /// Variables that are set already, so that the file's own values do not count.
    pub env: BTreeMap<String, String>,
    /// Names of checks that are taken.
    pub taken: BTreeSet<String>,
    /// Deadline of each check in seconds.
    pub timeout_s: f64,
}

/// What was made of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adopted {
    /// Checks, in the order of the file.
    pub checks: Vec<NewCheck>,
    /// Files that go with them, by path in the scenario's folder.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Packages that the root image needs for them.
    pub packages: BTreeSet<String>,
    /// What could not be taken over.
    pub left_out: Vec<Note>,
    /// What was taken over and should be looked at.
    pub remarks: Vec<Note>,
}

/// A check that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewCheck {
    /// Its name in the scenario.
    pub name: String,
    /// Where it runs.
    pub node: String,
    /// What the file calls it.
    pub title: String,
    /// Line of the file, from 1.
    pub line: usize,
    /// What it does.
    pub made: Made,
}

/// What a check was made into.
#[derive(Clone, Debug, PartialEq)]
pub enum Made {
    /// `commands`.
    Commands(Vec<ListedCommand>),
    /// `plugin`, with its words.
    Plugin(Vec<String>),
    /// `ktap`, with its words.
    Ktap(Vec<String>),
    /// `ktap` of a self-test of the kernel.
    SelfTest {
        /// Its words.
        run: Vec<String>,
        /// The one case that counts.
        case: Option<String>,
        /// Whether the other cases and its end count.
        rest: bool,
        /// Whether its failure is only recorded.
        record_only: bool,
    },
}

impl Made {
    pub(super) fn is_record_only(&self) -> bool {
        matches!(self, Self::SelfTest { record_only: true, .. })
    }

    /// Makes its failure count.
    pub(super) fn count(&mut self) {
        if let Self::SelfTest { record_only, .. } = self {
            *record_only = false;
        }
    }
}
