//! `GOOD..BAD` as it is typed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The kernels of a bisection, as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Series {
    /// All kernels between two ends.
    Range(Range),
    /// Those that a file lists.
    File(PathBuf),
}

impl Series {
    /// Whether a word names a file: no version and no name of a kernel looks like one.
    pub fn is_file(word: &str) -> bool {
        // Branches of a git tree may have slashes.
        let is_range = word.split_once("..").is_some_and(|(old, new)| {
            let no_path = !old.is_empty() && !old.ends_with('/') && !new.starts_with('/');
            no_path && !new.is_empty()
        });
        (word.contains('/') && !is_range)
            || Path::new(word).extension().is_some_and(|extension| extension == "toml")
    }
}

impl FromStr for Series {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if Self::is_file(text) {
            return Ok(Self::File(PathBuf::from(text)));
        }
        text.parse().map(Self::Range)
    }
}

impl fmt::Display for Series {
    /// The range as typed, or the file's name without its folder and suffix.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(range) => range.fmt(f),
            Self::File(path) => {
                f.write_str(&path.file_stem().unwrap_or_default().to_string_lossy())
            }
        }
    }
}

/// A range of kernels: its left end is the older one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The older end, as typed.
    pub old: String,
    /// The newer end, as typed.
    pub new: String,
}

impl FromStr for Range {
    type Err = String;

    /// Splits at `..`; what the ends mean is found out later, with the catalog at hand.
    fn from_str(text: &str) -> Result<Self, String> {
        let form = "a range is GOOD..BAD, such as 6.12.43..6.12.96";
        let Some((old, new)) = text.split_once("..") else { return Err(form.to_owned()) };
        if let Some(new) = new.strip_prefix('.') {
            return Err(format!(
                "what lies between two kernels is written with two dots: {old}..{new}"
            ));
        }
        match (old.trim(), new.trim()) {
            ("", _) => Err(format!("the left end is missing; {form}")),
            (_, "") => Err(format!("the right end is missing; {form}")),
            (_, new) if new.contains("..") => Err(format!("there are more than two ends; {form}")),
            (old, new) => Ok(Self { old: old.to_owned(), new: new.to_owned() }),
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", short(&self.old), short(&self.new))
    }
}

/// The beginning of the id of a commit; all else as it is.
fn short(end: &str) -> &str {
    const DIGITS: usize = 12;
    let is_id = matches!(end.len(), 40 | 64) && end.bytes().all(|b| b.is_ascii_hexdigit());
    if is_id { &end[..DIGITS] } else { end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_taken_as_typed() {
        let range: Range = "6.12.57..6.12.90-2~bpo12+1".parse().unwrap();
        assert_eq!((range.old.as_str(), range.new.as_str()), ("6.12.57", "6.12.90-2~bpo12+1"));
        assert_eq!(range.to_string(), "6.12.57..6.12.90-2~bpo12+1");
        let ids: Range = format!("{}..main", "0123456789".repeat(4)).parse().unwrap();
        assert_eq!(ids.to_string(), "012345678901..main");
    }

    #[test]
    fn files_are_told_from_ranges() {
        for (text, name) in [
            ("series.toml", "series"),
            ("lab/vrf-from-5.10.251.toml", "vrf-from-5.10.251"),
            ("../a..b.toml", "a..b"),
            ("./list", "list"),
            ("../lists/../list", "list"),
        ] {
            let series: Series = text.parse().unwrap();
            assert_eq!(series, Series::File(PathBuf::from(text)));
            assert_eq!(series.to_string(), name);
        }
        let series: Series = "origin/one..origin/two".parse().unwrap();
        assert!(matches!(&series, Series::Range(range) if range.new == "origin/two"));
        let series: Series = "6.1..mine".parse().unwrap();
        assert!(matches!(&series, Series::Range(range) if range.new == "mine"));
        assert_eq!(series.to_string(), "6.1..mine");
        assert!("6.1".parse::<Series>().unwrap_err().contains("GOOD..BAD"));
    }

    #[test]
    fn half_a_range_is_refused_with_its_form() {
        for (text, says) in [
            ("6.12", "a range is GOOD..BAD"),
            ("..6.12", "left end"),
            ("6.12..", "right end"),
            ("6.1..6.2..6.3", "more than two"),
            ("6.1...6.2", "two dots: 6.1..6.2"),
        ] {
            let error = text.parse::<Range>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
