//! What is wrong with a scenario file, and where.

use std::fmt;

/// One finding about a scenario file: an error or a warning, by where it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file, as the caller named it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Path of the key, `checks[2].node`, indices from 0. Empty for the file as a whole.
    pub key: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.message)
    }
}

/// A scenario cannot be used: every reason that was found, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.problems))]
pub struct ScenarioError {
    /// The reasons; never empty.
    pub problems: Vec<Problem>,
}

impl ScenarioError {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        let file = self.problems.first().map(|problem| problem.file.as_str()).unwrap_or_default();
        Some(format!("every key is described in scenarios/README.md; correct {file} and try again"))
    }
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
