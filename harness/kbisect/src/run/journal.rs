//! The journal: an append-only file, one event a line. What is in it survives `kill -9`.

use std::path::Path;

use kbisect_core::run::{Environment, JournalLine, RunEvent};
use kbisect_report::{JOURNAL_NAME, journal_line, read_journal_of};

use super::files::{now_ms, write_whole};
use super::lines::{Durable, Lines};
use super::stop::StopWatch;
use crate::ui::Ui;

/// The journal of a run, held by this process alone.
pub struct Journal {
    file: Lines,
    /// Everything that is in it.
    pub lines: Vec<JournalLine>,
    ui: Ui,
    _stop: StopWatch,
}

impl Journal {
    /// Begins the journal of a new run.
    pub fn create(folder: &Path, ui: &Ui) -> anyhow::Result<Self> {
        let file = Lines::open(folder, JOURNAL_NAME)?;
        let stop = StopWatch::begin(folder, ui)?;
        Ok(Self { file, lines: Vec::new(), ui: ui.clone(), _stop: stop })
    }

    /// Goes on with the journal of a run that was interrupted. A line that was being written is cut
    /// off.
    pub fn resume(folder: &Path, ui: &Ui) -> anyhow::Result<Self> {
        if !folder.join(JOURNAL_NAME).exists() {
            // A check of before: from here on it has today's journal.
            let found = read_journal_of(folder)?;
            let whole = found.lines.iter().map(|line| journal_line(line.at_ms, &line.event));
            let whole: Vec<Vec<u8>> = whole.collect::<Result<_, _>>()?;
            write_whole(&folder.join(JOURNAL_NAME), &whole.concat())?;
        }
        let mut file = Lines::open(folder, JOURNAL_NAME)?;
        let found = read_journal_of(folder)?;
        if let Some(warning) = &found.warning {
            ui.note(&warning.to_string());
        }
        file.cut(found.intact_bytes)?;
        for line in &found.lines {
            ui.replay(&line.event);
        }
        let stop = StopWatch::begin(folder, ui)?;
        Ok(Self { file, lines: found.lines, ui: ui.clone(), _stop: stop })
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
                | RunEvent::CheckBegan { .. }
                | RunEvent::RunBegan { .. }
                | RunEvent::SelftestBegan { .. }
                | RunEvent::MinimizeBegan { .. }
                | RunEvent::ReferenceTried { .. }
                | RunEvent::Completed
                | RunEvent::TrialEnded { .. }
                | RunEvent::SymptomChosen { .. }
                | RunEvent::Weighed { .. }
                | RunEvent::BudgetSet { .. }
                | RunEvent::Ended { .. }
                | RunEvent::Decided { .. }
                | RunEvent::WentOn { .. }
                | RunEvent::Further { .. }
        );
        self.file.append(&bytes, if durable { Durable::Yes } else { Durable::No })?;
        self.ui.event(&event);
        self.lines.push(JournalLine { at_ms, event });
        Ok(())
    }

    /// Where the run takes place, as far as the journal tells.
    pub fn environment(&self) -> Option<&Environment> {
        self.events().rev().find_map(|event| match event {
            RunEvent::Began { plan } => Some(&plan.environment),
            RunEvent::CheckBegan { environment, .. }
            | RunEvent::RunBegan { environment, .. }
            | RunEvent::SelftestBegan { environment, .. }
            | RunEvent::MinimizeBegan { environment, .. }
            | RunEvent::EnvironmentChanged { environment } => Some(environment),
            _ => None,
        })
    }

    /// Notes where the run takes place now, if it did not there before.
    pub fn runs_in(&mut self, environment: Environment) -> anyhow::Result<()> {
        if self.environment() == Some(&environment) {
            return Ok(());
        }
        self.append(RunEvent::EnvironmentChanged { environment: Box::new(environment) })
    }

    pub fn events(&self) -> impl DoubleEndedIterator<Item = &RunEvent> + Clone {
        self.lines.iter().map(|line| &line.event)
    }
}
