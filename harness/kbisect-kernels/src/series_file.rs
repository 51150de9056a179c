//! A series that is written down: `kbisect.series/1`.

use std::fmt;

use kbisect_core::scenario::{Problem, nearest};
use toml::de::{DeTable, DeValue};

use crate::candidate::Candidate;
use crate::catalog::Catalog;

/// What the file's `schema` key must say.
const SCHEMA: &str = "kbisect.series/1";
const KEYS: [&str; 3] = ["schema", "summary", "kernels"];

/// An ordered list of kernels from any source: the first is the old end of the series, the last the
/// new end. Versions play no part in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeriesFile {
    /// The file, as the caller named it.
    pub file: String,
    /// What the series is, when the file says so.
    pub summary: Option<String>,
    entries: Vec<Entry>,
    text: String,
}

/// A kernel as it is written, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    spec: String,
    key: String,
    offset: usize,
}

/// A series cannot be used: every reason that was found, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", Lines(.problems))]
pub struct SeriesFileError {
    /// The reasons; never empty.
    pub problems: Vec<Problem>,
}

impl SeriesFileError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(format!(
            "a series is `schema = \"{SCHEMA}\"` and `kernels = [\"6.12.43\", \"my-kernel\", ...]`, the \
             older end first; `kbisect kernels list` shows what there is"
        ))
    }
}

impl SeriesFile {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// Text that is no TOML, an unknown or missing key, a value of another kind.
    pub fn parse(file: &str, text: &str) -> Result<Self, SeriesFileError> {
        let mut findings = Findings { file, text, problems: Vec::new() };
        let document = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            findings.add(at, "", error.message().trim().to_owned());
            findings.take()
        })?;
        let mut series = Self {
            file: file.to_owned(),
            summary: None,
            entries: Vec::new(),
            text: text.to_owned(),
        };
        let table = document.get_ref();
        for (key, value) in table {
            let (name, at): (&str, usize) = (key.get_ref(), key.span().start);
            match (name, value.get_ref()) {
                ("schema", DeValue::String(tag)) if tag == SCHEMA => {}
                ("schema", _) => findings.add(at, name, format!("must be \"{SCHEMA}\"")),
                ("summary", DeValue::String(text)) => series.summary = Some(text.to_string()),
                ("summary", _) => findings.add(at, name, "must be a text"),
                ("kernels", DeValue::Array(kernels)) => {
                    for (n, kernel) in kernels.iter().enumerate() {
                        let (key, offset) = (format!("kernels[{n}]"), kernel.span().start);
                        match kernel.get_ref() {
                            DeValue::String(spec) => {
                                let spec = spec.trim().to_owned();
                                series.entries.push(Entry { spec, key, offset });
                            }
                            _ => findings.add(offset, &key, "must be a text that names a kernel"),
                        }
                    }
                }
                ("kernels", _) => findings.add(at, name, "must be an array of kernels"),
                (other, _) => findings.add(at, other, unknown_key(other)),
            }
        }
        for key in ["schema", "kernels"] {
            if table.iter().all(|(name, _)| name.get_ref() != key) {
                findings.add(0, "", format!("`{key}` is missing"));
            }
        }
        series.check(&mut findings);
        findings.end()?;
        Ok(series)
    }

    /// Finds the kernels.
    ///
    /// # Errors
    /// A kernel that is not there, with the nearest one, or that is listed twice under whatever
    /// names.
    pub fn resolve(&self, catalog: &Catalog) -> Result<Vec<Candidate>, SeriesFileError> {
        let mut findings = Findings { file: &self.file, text: &self.text, problems: Vec::new() };
        let mut found: Vec<(&Entry, Candidate)> = Vec::new();
        for entry in &self.entries {
            let candidate = match catalog.resolve(&entry.spec) {
                Ok(candidate) => candidate,
                Err(error) => {
                    let names = catalog.names();
                    let near = nearest(&entry.spec, &names);
                    let near = near.map(|name| format!("; did you mean `{name}`?"));
                    let message = format!("{error}{}", near.unwrap_or_default());
                    findings.add(entry.offset, &entry.key, message);
                    continue;
                }
            };
            let id = &candidate.kernel.id;
            match found.iter().find(|(_, other)| other.kernel.id == *id) {
                Some((first, _)) => {
                    let message = if first.spec == entry.spec {
                        format!("`{}` is listed twice, first as {}", entry.spec, first.key)
                    } else {
                        format!(
                            "`{}` is the same kernel as `{}` in {}",
                            entry.spec, first.spec, first.key
                        )
                    };
                    findings.add(entry.offset, &entry.key, message);
                }
                None => found.push((entry, candidate)),
            }
        }
        findings.end()?;
        Ok(found.into_iter().map(|(_, candidate)| candidate).collect())
    }

    /// Looks for what can be seen without a catalog.
    fn check(&self, findings: &mut Findings<'_>) {
        for entry in &self.entries {
            let spec = entry.spec.as_str();
            if spec.ends_with(".toml") {
                let message = format!("`{spec}`: a series lists kernels, not other series");
                findings.add(entry.offset, &entry.key, message);
            } else if spec.contains("..") {
                let message =
                    format!("`{spec}` is a range: the kernels are to be listed one by one");
                findings.add(entry.offset, &entry.key, message);
            } else if spec.is_empty() {
                findings.add(entry.offset, &entry.key, "is empty");
            }
        }
        if findings.problems.is_empty() && self.entries.len() < 2 {
            let message = format!("a series needs two ends, and here is {}", self.entries.len());
            findings.add(self.entries.first().map_or(0, |entry| entry.offset), "kernels", message);
        }
    }
}

fn unknown_key(key: &str) -> String {
    let near = nearest(key, &KEYS).map(|near| format!("; did you mean `{near}`?"));
    format!("unknown key (known here: `{}`{})", KEYS.join("`, `"), near.unwrap_or_default())
}

/// Collects what is wrong with a text.
struct Findings<'a> {
    file: &'a str,
    text: &'a str,
    problems: Vec<Problem>,
}

impl Findings<'_> {
    fn add(&mut self, offset: usize, key: &str, message: impl Into<String>) {
        let before = self.text.get(..offset).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        self.problems.push(Problem {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
            key: key.to_owned(),
            message: message.into(),
        });
    }

    fn take(&mut self) -> SeriesFileError {
        let mut problems = std::mem::take(&mut self.problems);
        problems.sort_by_key(|problem| (problem.line, problem.column));
        SeriesFileError { problems }
    }

    fn end(mut self) -> Result<(), SeriesFileError> {
        if self.problems.is_empty() { Ok(()) } else { Err(self.take()) }
    }
}

struct Lines<'a>(&'a [Problem]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if n == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<SeriesFile, String> {
        SeriesFile::parse("s.toml", text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_order_is_that_of_the_file() {
        let series = parse(
            "schema = \"kbisect.series/1\"\nsummary = \"mixed\"\nkernels = [\n  \"6.12.57\", # stock\n  \
             \" lab-x \",\n  \"5.10.218\",\n]\n",
        )
        .unwrap();
        let specs: Vec<_> = series.entries.iter().map(|entry| entry.spec.as_str()).collect();
        assert_eq!(specs, ["6.12.57", "lab-x", "5.10.218"]);
        assert_eq!(series.summary.as_deref(), Some("mixed"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let head = "schema = \"kbisect.series/1\"\n";
        for (text, told) in [
            ("kernels = [\"a\", \"b\"]\n".to_owned(), "s.toml:1:1: `schema` is missing"),
            (head.to_owned(), "s.toml:1:1: `kernels` is missing"),
            (
                "schema = \"kbisect.series/2\"\nkernels = [\"a\", \"b\"]".to_owned(),
                "s.toml:1:1: schema: must be \"kbisect.series/1\"",
            ),
            (format!("{head}kernels = \"a\""), "s.toml:2:1: kernels: must be an array of kernels"),
            (
                format!("{head}kernels = [\"a\"]"),
                "s.toml:2:12: kernels: a series needs two ends, and here is 1",
            ),
            (
                format!("{head}kernels = []"),
                "s.toml:1:1: kernels: a series needs two ends, and here is 0",
            ),
            (
                format!("{head}kernels = [\n\"a\",\n  7]"),
                "s.toml:4:3: kernels[1]: must be a text that names a kernel",
            ),
            (
                format!("{head}kernels = [\"a\", \"more.toml\"]"),
                "s.toml:2:17: kernels[1]: `more.toml`: a series lists kernels, not other series",
            ),
            (
                format!("{head}kernels = [\"6.1..6.2\", \"b\"]"),
                "s.toml:2:12: kernels[0]: `6.1..6.2` is a range: the kernels are to be listed one by one",
            ),
            (
                format!("{head}kernel = []\nkernels = [\"a\", \"b\"]"),
                "s.toml:2:1: kernel: unknown key (known here: `schema`, `summary`, `kernels`; did you mean \
                 `kernels`?)",
            ),
        ] {
            assert_eq!(parse(&text).unwrap_err(), told, "{text}");
        }
        let broken = parse("schema = \n").unwrap_err();
        assert!(broken.starts_with("s.toml:1:"), "{broken}");
    }

    #[test]
    fn all_findings_are_told_at_once() {
        let error = parse("summary = 1\nkernels = [2]\n").unwrap_err();
        assert_eq!(error.lines().count(), 3, "{error}");
    }
}
