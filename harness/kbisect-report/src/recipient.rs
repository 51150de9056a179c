//! A report for whoever reads it.

use std::fmt::Write as _;
use std::str::FromStr;

use kbisect_core::search::Direction;

use crate::dossier::{Dossier, Subject};
use crate::mail::{folded, introduced_by, mail, mail_body, subject, titled};
use crate::text::{line, plain_lines};
use crate::{doubt, words};

/// Widest line.
const WIDTH: usize = 76;

/// Who reads a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// Debian's bug tracker.
    Debian,
    /// The kernel's lists.
    Upstream,
    /// A ticket system that shows Markdown.
    Ticket,
    /// A chat: a few lines.
    Chat,
    /// Somebody who decides, and knows nothing of kernels.
    Manager,
}

/// A word that names nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no recipient; there are debian, upstream, ticket, chat, manager")]
pub struct RecipientError(String);

impl FromStr for Recipient {
    type Err = RecipientError;

    fn from_str(word: &str) -> Result<Self, RecipientError> {
        Ok(match word {
            "debian" => Self::Debian,
            "upstream" => Self::Upstream,
            "ticket" => Self::Ticket,
            "chat" => Self::Chat,
            "manager" => Self::Manager,
            _ => return Err(RecipientError(word.to_owned())),
        })
    }
}

impl Recipient {
    /// Writes the report.
    pub fn render(self, dossier: &Dossier) -> String {
        match self {
            Self::Debian => debian(dossier),
            Self::Upstream => mail(dossier),
            Self::Ticket => crate::format::markdown(dossier),
            Self::Chat => chat(dossier),
            Self::Manager => manager(dossier),
        }
    }
}

/// A mail to the bug tracker (https://www.debian.org/Bugs/Reporting).
fn debian(dossier: &Dossier) -> String {
    let failing = dossier.bad().map(|trial| &trial.kernel);
    let version = failing.map(|kernel| kernel.package_version.to_string()).unwrap_or_default();
    let (_, title) = titled(dossier);
    let mut to = format!(
        "To: submit@bugs.debian.org\n{}\n\nPackage: src:linux\nVersion: {}\nSeverity: important\n",
        folded(&format!("Subject: linux: {}", line(&title, 200))),
        line(&version, 60)
    );
    if introduced_by(dossier).is_some() {
        to += "Tags: upstream\n";
    }
    to.push('\n');
    to += &mail_body(dossier, false);
    to
}

fn headline(dossier: &Dossier) -> String {
    let headline = dossier.story().and_then(|story| story.headline());
    headline.map_or_else(|| dossier.verdict(), |headline| headline.sentences())
}

fn sure(dossier: &Dossier) -> Option<String> {
    let Subject::Bisection(result) = &dossier.subject else { return None };
    let confidence = &result.confidence;
    (confidence.level != "none")
        .then(|| format!("{}: {}", doubt::level(confidence), confidence.statement))
}

fn chat(dossier: &Dossier) -> String {
    let mut to = format!("{}\n{}\n", line(&subject(dossier), 200), line(&headline(dossier), 600));
    if let Some(commit) = dossier.story().and_then(|story| story.culprit()) {
        let _ = writeln!(to, "Commit: {}", line(&words::named(commit), 200));
    }
    if let Some(sure) = sure(dossier) {
        let _ = writeln!(to, "How sure: {}", line(&sure, 300));
    }
    if let Some((_, command)) = dossier.commands().first() {
        let _ = writeln!(to, "Repeat: {}", line(command, 300));
    }
    to
}

/// A sentence begins with a capital letter.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

fn manager(dossier: &Dossier) -> String {
    let mut to = String::new();
    let mut answer = |question: &str, said: &str| {
        let said = line(said, 600);
        if !said.is_empty() {
            let text = format!("{question} {said}");
            let _ = writeln!(to, "{}\n", textwrap::fill(&text, plain_lines(WIDTH)));
        }
    };
    let story = dossier.story();
    match story.as_ref().and_then(|story| story.headline()) {
        Some(headline) => {
            answer("What broke?", &headline.broken);
            answer("Which kernels?", &format!("{}.", headline.affected));
            if let Some(good) = headline.good {
                answer("Which are safe?", &format!("{good}."));
            }
            answer("Is it fixed?", &headline.is_it_fixed);
            answer("What to do?", &format!("{}.", capital(&headline.advice)));
        }
        None => answer("What came out?", &dossier.verdict()),
    }
    if let Subject::Bisection(result) = &dossier.subject {
        if let Some(sure) = sure(dossier) {
            answer("How sure is that?", &format!("{}.", capital(&sure)));
        }
        let was_shown =
            result.revert.as_ref().filter(|_| result.direction == Direction::Regression);
        if let Some(test) = was_shown {
            answer("Was it tested?", &format!("{}.", words::revert(test, result.direction)));
        }
    }
    answer(
        "What was it tested with?",
        &format!("scenario {}: {}.", dossier.scenario(), dossier.extra.scenario_summary),
    );
    to.truncate(to.trim_end().len());
    to.push('\n');
    to
}
