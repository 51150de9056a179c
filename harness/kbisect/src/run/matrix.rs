//! The answer of a check, from its journal.

use std::path::Path;

use kbisect_core::gate::{GateOutcome, GateResult};
use kbisect_core::run::JournalLine;
use kbisect_report::{Style, check_result, html_check, junit_check, markdown_check};

use super::ending::Answers;
use super::files::{write_json, write_whole};
use crate::exit;

/// The answer of a check: its matrix.
#[derive(Default)]
pub struct Matrix<'a> {
    /// File for JUnit XML.
    pub junit: Option<&'a str>,
}

impl Answers for Matrix<'_> {
    type Answer = GateResult;
    const TELLS_PARTS: bool = true;

    fn read(&self, lines: &[JournalLine], folder: &Path) -> anyhow::Result<Option<GateResult>> {
        Ok(check_result(lines, &folder.display().to_string()))
    }

    fn write(&self, result: &GateResult, _: &[JournalLine], folder: &Path) -> anyhow::Result<()> {
        write_json(&folder.join("result.json"), result)?;
        write_whole(&folder.join("report.md"), markdown_check(result).as_bytes())?;
        write_whole(&folder.join("report.html"), html_check(result).as_bytes())?;
        if let Some(file) = self.junit {
            write_whole(Path::new(file), junit_check(result).as_bytes())?;
        }
        Ok(())
    }

    fn text(&self, result: &GateResult, _: Style) -> String {
        kbisect_report::terminal_summary_check(result)
    }

    fn code(&self, result: &GateResult) -> u8 {
        match result.outcome {
            GateOutcome::Passed => exit::OK,
            GateOutcome::Regressed | GateOutcome::AlreadyBroken | GateOutcome::NotTested => {
                exit::REGRESSED
            }
            GateOutcome::ScenarioError => exit::SCENARIO,
            GateOutcome::Aborted => exit::INFRASTRUCTURE,
        }
    }
}
