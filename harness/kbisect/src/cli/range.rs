//! `GOOD..BAD` as it is typed.

use std::fmt;
use std::str::FromStr;

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
        let new = new.strip_prefix('.').unwrap_or(new);
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
        write!(f, "{}..{}", self.old, self.new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_taken_as_typed() {
        let range: Range = "6.12.57..6.12.90-2~bpo12+1".parse().unwrap();
        assert_eq!((range.old.as_str(), range.new.as_str()), ("6.12.57", "6.12.90-2~bpo12+1"));
        assert_eq!(range.to_string(), "6.12.57..6.12.90-2~bpo12+1");
        // git users write three dots.
        assert_eq!("5.10...6.1".parse::<Range>().unwrap().new, "6.1");
    }

    #[test]
    fn half_a_range_is_refused_with_its_form() {
        for (text, says) in [
            ("6.12", "a range is GOOD..BAD"),
            ("..6.12", "left end"),
            ("6.12..", "right end"),
            ("6.1..6.2..6.3", "more than two"),
        ] {
            let error = text.parse::<Range>().unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
