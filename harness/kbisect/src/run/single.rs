//! The answer of a single trial, from its journal.

use std::path::Path;

use kbisect_core::run::{JournalLine, RunResult};
use kbisect_core::trial::VerdictKind;
use kbisect_report::{Dossier, Format, Style};

use super::ending::Answers;
use super::files::{write_json, write_whole};
use crate::exit::{self, Class};

/// The answer of a single trial: its verdict.
pub struct Single;

impl Answers for Single {
    type Answer = RunResult;
    const TELLS_PARTS: bool = false;

    fn read(&self, lines: &[JournalLine], folder: &Path) -> anyhow::Result<Option<RunResult>> {
        Ok(RunResult::from_journal(lines, &folder.display().to_string()))
    }

    fn write(&self, result: &RunResult, _: &[JournalLine], folder: &Path) -> anyhow::Result<()> {
        write_json(&folder.join(&result.trial.directory).join("trial.json"), &result.trial)?;
        write_result(folder, result)
    }

    fn text(&self, result: &RunResult, style: Style) -> String {
        kbisect_report::terminal_summary_run(result, style)
    }

    fn code(&self, result: &RunResult) -> u8 {
        match result.trial.verdict {
            VerdictKind::Good => exit::OK,
            VerdictKind::Bad => exit::BAD,
            VerdictKind::Skip => exit::SKIP,
            VerdictKind::Infra => exit::RUN_INFRASTRUCTURE,
            VerdictKind::ScenarioError => exit::RUN_SCENARIO,
        }
    }

    fn code_of_failure(&self, class: Class) -> u8 {
        class.code(true)
    }
}

/// Writes the result of a trial and its reports.
///
/// # Errors
/// Those of writing.
pub fn write_result(folder: &Path, result: &RunResult) -> anyhow::Result<()> {
    write_json(&folder.join("result.json"), result)?;
    let dossier = Dossier::of_trial(result.clone(), Some(folder));
    write_whole(&folder.join("report.md"), Format::Markdown.render(&dossier)?.as_bytes())?;
    write_whole(&folder.join("report.html"), kbisect_report::html(&dossier).as_bytes())
}
