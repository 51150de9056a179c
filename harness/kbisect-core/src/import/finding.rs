//! What an import has to say about dumps, and where.

use std::fmt;

use crate::scenario::ScenarioError;

/// One finding about a dump: a reason to stop, or something that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// File of the dump, as it was handed in; empty for the dumps as a whole.
    pub file: String,
    /// Line from 1; none where a file is one long line, as `ip -j` writes it.
    pub line: Option<usize>,
    /// What it is about, such as an interface or `[3]`, an index from 0. Can be empty.
    pub place: String,
    /// What is wrong, or what was done about it.
    pub message: String,
}

impl Finding {
    pub(super) fn new(file: &str, place: &str, message: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line: None, place: place.to_owned(), message: message.into() }
    }

    pub(super) fn at(file: &str, line: usize, message: impl Into<String>) -> Self {
        Self { line: Some(line), ..Self::new(file, "", message) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            f.write_str(&self.file)?;
            if let Some(line) = self.line {
                write!(f, ":{line}")?;
            }
            f.write_str(": ")?;
        }
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.message)
    }
}

/// No scenario can be made of the dumps.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The dumps are incomplete, broken, or hold what cannot be rebuilt.
    #[error("{}", lines(.findings))]
    Dumps {
        /// Every reason that was found; never empty.
        findings: Vec<Finding>,
        /// Interfaces that are a reason, and could be left out.
        ignorable: Vec<String>,
    },
    /// What was made of them is not a valid scenario.
    #[error("the scenario that was made of the dumps is not valid: {0}")]
    Generated(ScenarioError),
}

impl ImportError {
    pub(super) fn one(finding: Finding) -> Self {
        Self::Dumps { findings: vec![finding], ignorable: Vec::new() }
    }

    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Dumps { ignorable, .. } if !ignorable.is_empty() => {
                let options: Vec<String> =
                    ignorable.iter().map(|name| format!("--ignore-interface {name}")).collect();
                Some(format!(
                    "leave out what the test does not need, with what hangs on it: {}",
                    options.join(" ")
                ))
            }
            Self::Dumps { .. } => Some(
                "take the dumps with scripts/host-dump, as root, on the host itself".to_owned(),
            ),
            Self::Generated(_) => {
                Some("this is a fault of kbisect: report it, with the dumps if you can".to_owned())
            }
        }
    }
}

fn lines(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
