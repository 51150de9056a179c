//! Forms of a report.

use std::fmt;
use std::str::FromStr;

use kbisect_core::gate::GateResult;
use serde::Serialize;

use crate::dossier::{Dossier, Subject};
use crate::fields::{State, fields};
use crate::gate::{github_check, html_check, markdown_check, sarif_check, svg_map};
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
    /// What keeps the gate of a check shut, in SARIF 2.1.0.
    Sarif,
    /// The same as annotations of GitHub Actions.
    Github,
}

/// A word that names no form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no form of report")]
pub struct FormatError(String);

impl FormatError {
    /// The words there are.
    pub fn hint(&self) -> String {
        format!("forms are: {}", Format::words(false))
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
    /// A form of what keeps a gate shut.
    #[error("only a check (`kbisect check`) has findings in the form {0}")]
    NoGate(Format),
    /// A form that makes no sense for a check.
    #[error("a check has no report of the form {0}; its forms are: {of}", of = Format::words(true))]
    NotOfCheck(Format),
    /// Cannot happen with the documents of this program.
    #[error("the result cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Markdown,
        Self::Html,
        Self::Text,
        Self::Json,
        Self::Junit,
        Self::Ktap,
        Self::BisectLog,
        Self::Svg,
        Self::Sarif,
        Self::Github,
    ];

    /// All that there is to say of a form.
    fn form(self) -> Form {
        match self {
            Self::Markdown => Form {
                word: "md",
                file: "report.md",
                run: |dossier| Ok(markdown(dossier)),
                check: Some(|result| Ok(markdown_check(result))),
            },
            Self::Html => Form {
                word: "html",
                file: "report.html",
                run: |dossier| Ok(crate::html(dossier)),
                check: Some(|result| Ok(html_check(result))),
            },
            Self::Text => Form {
                word: "text",
                file: "report.txt",
                run: |dossier| Ok(crate::mail::mail(dossier)),
                check: None,
            },
            Self::Json => Form {
                word: "json",
                file: "result.json",
                run: |dossier| match &dossier.subject {
                    Subject::Bisection(result) => json(result),
                    Subject::Trial(result) => json(result),
                },
                check: Some(json),
            },
            Self::Junit => Form {
                word: "junit",
                file: "junit.xml",
                run: |dossier| Ok(crate::junit::junit(dossier)),
                check: Some(|result| Ok(crate::junit_check(result))),
            },
            Self::Ktap => Form {
                word: "ktap",
                file: "report.ktap",
                run: |dossier| Ok(crate::ktap::ktap(dossier)),
                check: None,
            },
            Self::BisectLog => Form {
                word: "bisect-log",
                file: "bisect.log",
                run: |dossier| crate::bisect_log::bisect_log(dossier).ok_or(RenderError::NoSearch),
                check: None,
            },
            Self::Svg => Form {
                word: "svg",
                file: "map.svg",
                run: |_| Err(RenderError::NoMap),
                check: Some(|result| svg_map(result).ok_or(RenderError::NoRange)),
            },
            Self::Sarif => Form {
                word: "sarif",
                file: "findings.sarif",
                run: |_| Err(RenderError::NoGate(Self::Sarif)),
                check: Some(|result| Ok(sarif_check(result)?)),
            },
            Self::Github => Form {
                word: "github",
                file: "annotations.txt",
                run: |_| Err(RenderError::NoGate(Self::Github)),
                check: Some(|result| Ok(github_check(result))),
            },
        }
    }

    /// The word on the command line.
    pub fn word(self) -> &'static str {
        self.form().word
    }

    /// Name of a file that holds it.
    pub fn file_name(self) -> &'static str {
        self.form().file
    }

    /// The words of all forms; of those of a check, if that is asked.
    pub fn words(of_checks: bool) -> String {
        let all = Self::ALL.into_iter().map(Self::form);
        let words = all.filter(|form| !of_checks || form.check.is_some()).map(|form| form.word);
        words.collect::<Vec<_>>().join(", ")
    }

    /// Writes the report.
    ///
    /// # Errors
    /// [`RenderError`], when the run has none of this form.
    pub fn render(self, dossier: &Dossier) -> Result<String, RenderError> {
        (self.form().run)(dossier)
    }

    /// Writes the report of a check.
    ///
    /// # Errors
    /// [`RenderError`], when a check has none of this form.
    pub fn render_check(self, result: &GateResult) -> Result<String, RenderError> {
        (self.form().check.ok_or(RenderError::NotOfCheck(self))?)(result)
    }
}

type Rendered = Result<String, RenderError>;

/// A form of report: its names, and how it is made.
struct Form {
    /// On the command line.
    word: &'static str,
    /// Name of a file that holds it.
    file: &'static str,
    /// Of a search or a single trial.
    run: fn(&Dossier) -> Rendered,
    /// Of a check, where that has it.
    check: Option<fn(&GateResult) -> Rendered>,
}

fn json(document: &impl Serialize) -> Result<String, RenderError> {
    Ok(serde_json::to_string_pretty(document)? + "\n")
}

pub(crate) fn markdown(dossier: &Dossier) -> String {
    let text = match &dossier.subject {
        Subject::Bisection(result) => crate::markdown(result, &dossier.extra),
        Subject::Trial(result) => crate::markdown_run(result),
    };
    text + &not_available(dossier)
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
        assert!(
            error
                .hint()
                .contains("md, html, text, json, junit, ktap, bisect-log, svg, sarif, github")
        );
    }
}
