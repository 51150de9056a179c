//! How runs end: what was found is written and told; what failed is journaled, and how to go on is said.

use std::path::Path;
use std::process::ExitCode;

use kbisect_core::run::{JournalLine, RunEvent};
use kbisect_report::Style;
use serde::Serialize;

use super::journal::Journal;
use crate::cli::Global;
use crate::exit::Class;
use crate::{errors, exit, output};

/// From a journal to the answer of a kind of run.
pub trait Answers {
    /// The document of the answer.
    type Answer: Serialize;

    /// Whether what was found is told also when the run did not come to its end.
    const TELLS_PARTS: bool;

    /// Whether somebody else tells of it.
    fn is_silent(&self) -> bool {
        false
    }

    /// The answer so far; nothing when there is none yet.
    ///
    /// # Errors
    /// That something is missing beside the journal.
    fn read(&self, lines: &[JournalLine], folder: &Path) -> anyhow::Result<Option<Self::Answer>>;

    /// Writes an answer and its reports into the run's folder.
    ///
    /// # Errors
    /// Those of writing.
    fn write(
        &self,
        answer: &Self::Answer,
        lines: &[JournalLine],
        folder: &Path,
    ) -> anyhow::Result<()>;

    /// The answer for people.
    fn text(&self, answer: &Self::Answer, style: Style) -> String;

    /// The exit code of an answer that is whole.
    fn code(&self, answer: &Self::Answer) -> u8;

    /// The exit code of a run that failed.
    fn code_of_failure(&self, class: Class) -> u8 {
        class.code(false)
    }
}

/// What is said of a run without a plan.
pub fn not_begun(folder: &Path) -> anyhow::Error {
    errors::usage(
        format!("the run in `{}` was stopped before it began", folder.display()),
        "begin a new one",
    )
}

/// Writes and tells the answer of a run that came to its end.
pub fn conclude<A: Answers>(
    answers: &A,
    journal: &Journal,
    folder: &Path,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let answer = write(answers, journal, folder)?.ok_or_else(|| not_begun(folder))?;
    tell(answers, &answer, global)?;
    Ok(exit::code(answers.code(&answer)))
}

/// Writes the answer that a journal has by now, if it has one.
///
/// # Errors
/// Those of reading and writing.
pub fn write<A: Answers>(
    answers: &A,
    journal: &Journal,
    folder: &Path,
) -> anyhow::Result<Option<A::Answer>> {
    let answer = answers.read(&journal.lines, folder)?;
    if let Some(answer) = &answer {
        answers.write(answer, &journal.lines, folder)?;
    }
    Ok(answer)
}

/// Tells an answer.
///
/// # Errors
/// An output that is closed.
pub fn tell<A: Answers>(answers: &A, answer: &A::Answer, global: &Global) -> anyhow::Result<()> {
    if answers.is_silent() {
        return Ok(());
    }
    if global.json {
        return output::json(answer);
    }
    output::print(&answers.text(answer, super::style(global)))
}

/// Ends a run: as [`conclude`], or with what failed. `resume` is the command that goes on with it.
pub fn finish<A: Answers>(
    answers: &A,
    ended: anyhow::Result<()>,
    journal: &mut Journal,
    folder: &Path,
    global: &Global,
    resume: &str,
) -> anyhow::Result<ExitCode> {
    let Err(error) = ended else { return conclude(answers, journal, folder, global) };
    let class = errors::class(&error);
    let event = match (class, errors::fault(&error)) {
        (_, Some(fault)) => RunEvent::ScenarioError { fault: fault.clone() },
        (Class::Interrupted, None) => RunEvent::Interrupted,
        (_, None) => RunEvent::Failed { error: errors::message(&error) },
    };
    let hint = match (class, errors::hint(&error)) {
        (Class::Interrupted, _) => format!("resume with: {resume}"),
        (_, Some(hint)) => format!("{hint}; then resume with: {resume}"),
        (_, None) => format!("once the cause is removed, resume with: {resume}"),
    };
    let error = match class {
        Class::Interrupted => errors::interrupted("interrupted", Some(hint)),
        // To go on would be in vain: the run keeps the scenario that it began with.
        Class::Scenario => error,
        Class::Usage | Class::Infrastructure => {
            errors::infrastructure(errors::message(&error), hint)
        }
    };
    // The disk may be the very thing that failed.
    let _ = journal.append(event);
    let answer = match write(answers, journal, folder) {
        Ok(Some(answer)) if global.json || A::TELLS_PARTS => answer,
        Ok(_) => return Err(error),
        Err(second) => {
            output::say(&format!("warning: {}", errors::message(&second)));
            return Err(error);
        }
    };
    // The document of a run is its answer, also when that is `aborted`.
    errors::report(&error, false);
    tell(answers, &answer, global)?;
    Ok(exit::code(answers.code_of_failure(errors::class(&error))))
}
