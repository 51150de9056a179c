//! The journal: an append-only file, one event a line. What is in it survives `kill -9`.

use std::path::Path;

use kbisect_core::run::{JournalLine, RunEvent};
use kbisect_report::{JOURNAL_NAME, journal_line, read_journal_of};

use super::files::now_ms;
use super::lines::{Durable, Lines};
use crate::ui::Ui;

/// The journal of a run, held by this process alone.
pub struct Journal {
    file: Lines,
    /// Everything that is in it.
    pub lines: Vec<JournalLine>,
    ui: Ui,
}

impl Journal {
    /// Begins the journal of a new run.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(folder: &Path, ui: &Ui) -> anyhow::Result<Self> {
        let file = Lines::open(folder, JOURNAL_NAME)?;
        Ok(Self { file, lines: Vec::new(), ui: ui.clone() })
    }

    /// Goes on with the journal of a run that was interrupted. A line that was being written is cut
    /// off.
    ///
    /// # Errors
    /// When it is damaged, or another kbisect has it.
    pub fn resume(folder: &Path, ui: &Ui) -> anyhow::Result<Self> {
        let mut file = Lines::open(folder, JOURNAL_NAME)?;
        let found = read_journal_of(folder)?;
        if let Some(warning) = &found.warning {
            ui.note(&warning.to_string());
        }
        file.cut(found.intact_bytes)?;
        for line in &found.lines {
            ui.replay(&line.event);
        }
        Ok(Self { file, lines: found.lines, ui: ui.clone() })
    }

    /// Appends an event and shows it. Results are on the disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written: the run must not go on then.
    pub fn append(&mut self, event: RunEvent) -> anyhow::Result<()> {
        let at_ms = now_ms();
        let bytes = journal_line(at_ms, &event)?;
        let durable = matches!(
            event,
            RunEvent::Began { .. }
                | RunEvent::TrialEnded { .. }
                | RunEvent::SymptomChosen { .. }
                | RunEvent::BudgetSet { .. }
                | RunEvent::Ended { .. }
                | RunEvent::Decided { .. }
        );
        self.file.append(&bytes, if durable { Durable::Yes } else { Durable::No })?;
        self.ui.event(&event);
        self.lines.push(JournalLine { at_ms, event });
        Ok(())
    }

    /// The events.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = &RunEvent> + Clone {
        self.lines.iter().map(|line| &line.event)
    }
}
