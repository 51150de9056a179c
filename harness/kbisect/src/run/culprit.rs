//! The answer of a bisection, from its journal.

use std::path::{Path, PathBuf};

use kbisect_core::run::{BisectResult, JournalLine, OutcomeWord};
use kbisect_report::{Dossier, Format, Style};

use super::ending::Answers;
use super::files::{write_json, write_whole};
use crate::cli::Global;
use crate::exit;

/// The answer of a bisection: which version brought the change.
#[derive(Default)]
pub struct Culprit {
    is_silent: bool,
}

/// Who hears of an answer, where runs go on from one to the next.
#[derive(Clone, Debug, Default)]
pub struct Telling {
    /// The runs that led to this one, the first one first.
    pub before: Vec<PathBuf>,
}

impl Telling {
    /// The run that it all began with; none where it is this one.
    #[must_use]
    pub fn root(&self) -> Option<&Path> {
        self.before.first().map(PathBuf::as_path)
    }

    /// The answer of a run. There is one document of all: that of the first run, once the last one is over.
    #[must_use]
    pub fn culprit(&self, global: &Global, is_last: bool) -> Culprit {
        Culprit { is_silent: global.json && (self.root().is_some() || !is_last) }
    }
}

impl Answers for Culprit {
    type Answer = BisectResult;
    const TELLS_PARTS: bool = false;

    fn is_silent(&self) -> bool {
        self.is_silent
    }

    fn read(&self, lines: &[JournalLine], folder: &Path) -> anyhow::Result<Option<BisectResult>> {
        Ok(kbisect_report::bisect_result(lines, &folder.display().to_string()))
    }

    fn write(
        &self,
        result: &BisectResult,
        lines: &[JournalLine],
        folder: &Path,
    ) -> anyhow::Result<()> {
        write_json(&folder.join("result.json"), result)?;
        let dossier = Dossier::of_journal(folder, lines.to_vec(), None)?;
        write_whole(&folder.join("report.html"), kbisect_report::html(&dossier).as_bytes())?;
        write_whole(&folder.join("report.md"), Format::Markdown.render(&dossier)?.as_bytes())?;
        Ok(())
    }

    fn text(&self, result: &BisectResult, style: Style) -> String {
        // Whoever reads it types commands in this folder.
        let here = std::env::current_dir().unwrap_or_default();
        let run_dir = Path::new(&result.run_dir);
        let short = run_dir.strip_prefix(here).unwrap_or(run_dir).display().to_string();
        let run_dir = if short.is_empty() { ".".to_owned() } else { short };
        kbisect_report::terminal_summary(&BisectResult { run_dir, ..result.clone() }, style)
    }

    fn code(&self, result: &BisectResult) -> u8 {
        match result.outcome {
            OutcomeWord::Found | OutcomeWord::FoundDespiteSkips => exit::OK,
            _ => exit::NO_CULPRIT,
        }
    }
}
