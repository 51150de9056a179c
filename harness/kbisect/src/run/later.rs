//! What is found out about a run after it ended.

use std::path::Path;

use kbisect_core::run::{RunEvent, RunKind};

use super::culprit::Culprit;
use super::ending::write;
use super::journal::Journal;
use super::single::Single;
use crate::cli::Global;
use crate::ui::Ui;

/// Adds an event to a run that ended, and writes its reports again.
///
/// # Errors
/// When the journal is damaged or in use, or files cannot be written.
pub fn add(folder: &Path, event: RunEvent) -> anyhow::Result<()> {
    // Replaying the run on the display would tell it all again.
    let silent = Ui::new(&Global { quiet: true, ..Global::default() });
    let mut journal = Journal::resume(folder, &silent)?;
    journal.append(event)?;
    match RunKind::of(journal.events()) {
        Some(RunKind::Run) => write(&Single, &journal, folder).map(drop),
        _ => write(&Culprit::default(), &journal, folder).map(drop),
    }
}
