//! The journal of a check. What is in it survives `kill -9`.

use std::path::Path;

use anyhow::Context as _;
use kbisect_core::gate::{GateEvent, GateLine, GateResult};
use kbisect_report::{GATE_JOURNAL_NAME, gate_line, read_gate_journal};

use super::files::now_ms;
use super::lines::{Durable, Lines};
use crate::ui::Ui;

/// The journal of a check, held by this process alone.
pub struct GateLog {
    file: Lines,
    /// Everything that is in it.
    pub lines: Vec<GateLine>,
}

impl GateLog {
    /// Begins the journal of a new check.
    ///
    /// # Errors
    /// When it cannot be written, or another kbisect has it.
    pub fn create(folder: &Path) -> anyhow::Result<Self> {
        let file = Lines::open(folder, GATE_JOURNAL_NAME)?;
        Ok(Self { file, lines: Vec::new() })
    }

    /// Goes on with the journal of a check. A line that was being written is cut off.
    ///
    /// # Errors
    /// When it is damaged, or another kbisect has it.
    pub fn resume(folder: &Path, ui: &Ui) -> anyhow::Result<Self> {
        let mut log = Self::create(folder)?;
        let found = read_gate_journal(folder)?;
        if let Some(warning) = &found.warning {
            ui.note(&warning.to_string());
        }
        log.file.cut(found.intact_bytes)?;
        Ok(Self { lines: found.lines, ..log })
    }

    /// Appends an event; it is on the disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written: the check must not go on then.
    pub fn append(&mut self, event: GateEvent) -> anyhow::Result<()> {
        let at_ms = now_ms();
        let bytes = gate_line(at_ms, &event)?;
        self.file.append(&bytes, Durable::Yes)?;
        self.lines.push(GateLine { at_ms, event });
        Ok(())
    }

    /// The result so far.
    ///
    /// # Errors
    /// When there is no plan in it.
    pub fn result(&self, folder: &Path) -> anyhow::Result<GateResult> {
        GateResult::from_journal(&self.lines, &folder.display().to_string())
            .context("the journal has no plan")
    }
}
