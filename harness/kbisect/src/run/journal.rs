//! The journal: an append-only file, one event a line. What is in it survives `kill -9`.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use kbisect_core::run::{JournalLine, RunEvent};
use kbisect_report::{JOURNAL_NAME, journal_line, read_journal_of};
use rustix::fs::FlockOperation;

use super::files::now_ms;
use crate::errors;
use crate::ui::Ui;

/// How often the lock is tried, and how long after each other.
const LOOKS: u32 = 5;
const LOOK: Duration = Duration::from_millis(20);

/// The journal of a run, held by this process alone.
pub struct Journal {
    file: File,
    path: PathBuf,
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
        Self::open(folder, Vec::new(), ui)
    }

    /// Goes on with the journal of a run that was interrupted. A line that was being written is cut
    /// off.
    ///
    /// # Errors
    /// When it is damaged, or another kbisect has it.
    pub fn resume(folder: &Path, ui: &Ui) -> anyhow::Result<Self> {
        let lock = Self::open(folder, Vec::new(), ui)?;
        let found = read_journal_of(folder)?;
        if let Some(warning) = &found.warning {
            ui.note(&warning.to_string());
        }
        lock.file
            .set_len(found.intact_bytes)
            .with_context(|| format!("cannot write {}", lock.path.display()))?;
        for line in &found.lines {
            ui.replay(&line.event);
        }
        Ok(Self { lines: found.lines, ..lock })
    }

    fn open(folder: &Path, lines: Vec<JournalLine>, ui: &Ui) -> anyhow::Result<Self> {
        let path = folder.join(JOURNAL_NAME);
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        // The lock goes with the process, however that ends.
        if !is_locked(&file) {
            return Err(errors::infrastructure(
                format!("another kbisect works on {}", folder.display()),
                "wait for it, or stop it first",
            ));
        }
        Ok(Self { file, path, lines, ui: ui.clone() })
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
        let written = self
            .file
            .write_all(&bytes)
            .and_then(|()| if durable { self.file.sync_data() } else { Ok(()) });
        written.with_context(|| format!("cannot write {}", self.path.display()))?;
        self.ui.event(&event);
        self.lines.push(JournalLine { at_ms, event });
        Ok(())
    }

    /// The events.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = &RunEvent> + Clone {
        self.lines.iter().map(|line| &line.event)
    }
}

/// Takes the lock. Whoever watches the run takes it for a moment to see whether it is free.
pub(super) fn is_locked(file: &File) -> bool {
    (0..LOOKS).any(|look| {
        if look > 0 {
            std::thread::sleep(LOOK);
        }
        rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive).is_ok()
    })
}
