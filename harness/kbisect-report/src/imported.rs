//! What an import of checks made.

use kbisect_core::adopt::{Adopted, Note};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Checks that were taken over: the document `kbisect.import/1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportDocument {
    /// `kbisect.import/1`.
    pub schema: String,
    /// What the file is: `cmd-checklist`, `plugins`, `ktap` or `goss`.
    pub format: String,
    /// The file's name.
    pub file: String,
    /// Folder of the scenario that was written; nothing where nothing was.
    pub folder: Option<String>,
    /// The checks, in the order of the file.
    pub checks: Vec<ImportedCheck>,
    /// Files that go with them, by path in the scenario's folder.
    pub files: Vec<String>,
    /// What could not be taken over.
    pub left_out: Vec<ImportNote>,
    /// What was taken over and should be looked at.
    pub remarks: Vec<ImportNote>,
    /// What was written, or would be: text of a `scenario.toml`.
    pub toml: String,
}

/// A check that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportedCheck {
    /// Its name.
    pub name: String,
    /// The node that it runs on.
    pub node: String,
    /// What the file calls it.
    pub title: String,
    /// Line of the file, from 1.
    pub line: usize,
}

/// What an import has to say about a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportNote {
    /// Line of the file, from 1.
    pub line: usize,
    /// What it is about, as the file calls it.
    pub title: String,
    /// Why it was left out, or should be looked at.
    pub reason: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl ImportDocument {
    /// Makes the document.
    #[must_use]
    pub fn new(
        format: &str,
        file: &str,
        made: &Adopted,
        folder: Option<String>,
        toml: &str,
    ) -> Self {
        let notes = |notes: &[Note]| notes.iter().map(ImportNote::of).collect();
        let checks = made.checks.iter().map(|check| ImportedCheck {
            name: check.name.clone(),
            node: check.node.clone(),
            title: check.title.clone(),
            line: check.line,
        });
        Self {
            schema: "kbisect.import/1".to_owned(),
            format: format.to_owned(),
            file: file.to_owned(),
            folder,
            checks: checks.collect(),
            files: made.files.keys().cloned().collect(),
            left_out: notes(&made.left_out),
            remarks: notes(&made.remarks),
            toml: toml.to_owned(),
        }
    }
}

impl ImportNote {
    fn of(note: &Note) -> Self {
        Self {
            line: note.line,
            title: note.title.clone(),
            reason: note.reason.to_string(),
            hint: note.reason.hint(),
        }
    }
}
