//! Forms of a report.

use std::fmt;
use std::str::FromStr;

use crate::dossier::{Dossier, Subject};
use crate::fields::{State, fields};
use crate::text::prose;

/// A form of report. All are made from a run's folder, at any later time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Markdown: the body of a ticket.
    Markdown,
    /// One HTML file.
    Html,
    /// Plain text: a mail to a kernel list.
    Text,
    /// The result document.
    Json,
    /// JUnit XML: a case for each check and kernel.
    Junit,
    /// KTAP (Documentation/dev-tools/ktap.rst).
    Ktap,
    /// `git bisect log`, or the list of packages in its form.
    BisectLog,
    /// The map of a check as a drawing.
    Svg,
}

/// A word that names no form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no form of report")]
pub struct FormatError(String);

impl FormatError {
    /// The words there are.
    #[must_use]
    pub fn hint(&self) -> String {
        let words: Vec<&str> = Format::ALL.iter().map(|format| format.word()).collect();
        format!("forms are: {}", words.join(", "))
    }
}

/// Why a run has no report of a form.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A single trial has no search.
    #[error("a single trial has no bisection log")]
    NoSearch,
    /// Only a check has a map.
    #[error("only a check (`kbisect check A..B`) has a map")]
    NoMap,
    /// The check is none of a range.
    #[error("only the check of a range (`kbisect check A..B`) has a map")]
    NoRange,
    /// A form that makes no sense for a check.
    #[error("a check has no report of the form {0}; its forms are: md, html, json, junit, svg")]
    NotOfCheck(Format),
    /// Cannot happen with the documents of this program.
    #[error("the result cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Markdown,
        Self::Html,
        Self::Text,
        Self::Json,
        Self::Junit,
        Self::Ktap,
        Self::BisectLog,
        Self::Svg,
    ];

    /// The word on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Markdown => "md",
            Self::Html => "html",
            Self::Text => "text",
            Self::Json => "json",
            Self::Junit => "junit",
            Self::Ktap => "ktap",
            Self::BisectLog => "bisect-log",
            Self::Svg => "svg",
        }
    }

    /// Name of a file that holds it.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Markdown => "report.md",
            Self::Html => "report.html",
            Self::Text => "report.txt",
            Self::Json => "result.json",
            Self::Junit => "junit.xml",
            Self::Ktap => "report.ktap",
            Self::BisectLog => "bisect.log",
            Self::Svg => "map.svg",
        }
    }

    /// Writes the report.
    ///
    /// # Errors
    /// [`RenderError`], when the run has none of this form.
    pub fn render(self, dossier: &Dossier) -> Result<String, RenderError> {
        Ok(match self {
            Self::Markdown => {
                let text = match &dossier.subject {
                    Subject::Bisection(result) => crate::markdown(result, &dossier.extra),
                    Subject::Trial(result) => crate::markdown_run(result),
                };
                text + &not_available(dossier)
            }
            Self::Html => crate::html(dossier),
            Self::Text => crate::mail::mail(dossier),
            Self::Json => {
                let mut text = match &dossier.subject {
                    Subject::Bisection(result) => serde_json::to_string_pretty(result)?,
                    Subject::Trial(result) => serde_json::to_string_pretty(result)?,
                };
                text.push('\n');
                text
            }
            Self::Junit => crate::junit::junit(dossier),
            Self::Ktap => crate::ktap::ktap(dossier),
            Self::BisectLog => {
                crate::bisect_log::bisect_log(dossier).ok_or(RenderError::NoSearch)?
            }
            Self::Svg => return Err(RenderError::NoMap),
        })
    }
}

/// What recipients ask for and the run does not have, as a section of Markdown.
fn not_available(dossier: &Dossier) -> String {
    let mut text = "\n## Not in this report\n\n".to_owned();
    for field in fields(dossier) {
        if let State::Missing(why) | State::Partly(why) = &field.state {
            text += &format!("- {}: {}\n", field.name, prose(why, 400));
        }
    }
    text
}

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(word: &str) -> Result<Self, FormatError> {
        let found = Self::ALL.into_iter().find(|format| format.word() == word);
        found.ok_or_else(|| FormatError(word.to_owned()))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_and_others_are_answered_with_the_list() {
        for format in Format::ALL {
            assert_eq!(format.word().parse(), Ok(format));
        }
        let error = "pdf".parse::<Format>().unwrap_err();
        assert_eq!(error.to_string(), "`pdf` is no form of report");
        assert!(error.hint().contains("md, html, text, json, junit, ktap, bisect-log, svg"));
    }
}
