//! Reads the journal of a check: one JSON object a line, one line an event.

use std::fs;
use std::path::Path;

use kbisect_core::gate::{GateEvent, GateLine, GateResult};

use crate::dossier::DossierError;
use crate::journal::{JournalError, JournalWarning};

/// File name of the journal in a check's folder. It is not that of a search, so that neither is taken
/// for the other.
pub const GATE_JOURNAL_NAME: &str = "check.jsonl";

/// Events that this version understands.
const EVENTS: [&str; 4] = ["began", "resumed", "trial-ended", "ended"];

/// What the journal of a check holds.
#[derive(Clone, Debug, PartialEq)]
pub struct GateJournal {
    /// The events in order.
    pub lines: Vec<GateLine>,
    /// Set when the end of the file was passed over.
    pub warning: Option<JournalWarning>,
    /// Length in bytes of the lines above.
    pub intact_bytes: u64,
}

/// Reads the journal in a check's folder. A last line without its line break is passed over with a
/// warning.
///
/// # Errors
/// [`JournalError`]: the file cannot be read, a line is damaged, or another version wrote it.
pub fn read_gate_journal(folder: &Path) -> Result<GateJournal, JournalError> {
    let path = folder.join(GATE_JOURNAL_NAME);
    let bytes = fs::read(&path).map_err(|source| JournalError::Read { path, source })?;
    read_gate_journal_bytes(&bytes)
}

/// As [`read_gate_journal`], from memory.
pub fn read_gate_journal_bytes(bytes: &[u8]) -> Result<GateJournal, JournalError> {
    let intact = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let (whole, rest) = bytes.split_at(intact);
    let mut lines = Vec::new();
    for (index, text) in whole.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let line = index + 1;
        let damaged = |source| JournalError::Damaged { line, source };
        let value: serde_json::Value = serde_json::from_slice(text).map_err(damaged)?;
        if let Some(event) = value["event"].as_str().filter(|event| !EVENTS.contains(event)) {
            return Err(JournalError::UnknownEvent { line, event: event.to_owned() });
        }
        lines.push(serde_json::from_value(value).map_err(damaged)?);
    }
    let line = lines.len() + 1;
    let warning = (!rest.is_empty()).then_some(JournalWarning { line, bytes: rest.len() });
    Ok(GateJournal { lines, warning, intact_bytes: intact as u64 })
}

/// The line of an event, line break included.
pub fn gate_line(at_ms: u64, event: &GateEvent) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec(&GateLine { at_ms, event: event.clone() })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads the folder of a check: its journal; for one that was written before there was one, its
/// result. Nothing when it is no check's. What was passed over of a journal comes along.
pub fn read_check(
    folder: &Path,
) -> Result<Option<(GateResult, Option<JournalWarning>)>, DossierError> {
    let run_dir = folder.display().to_string();
    if folder.join(GATE_JOURNAL_NAME).is_file() {
        let journal = read_gate_journal(folder)?;
        let result = GateResult::from_journal(&journal.lines, &run_dir)
            .ok_or_else(|| DossierError::NotBegun(folder.to_owned()))?;
        return Ok(Some((result, journal.warning)));
    }
    let path = folder.join("result.json");
    let Ok(bytes) = fs::read(&path) else { return Ok(None) };
    let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if value["schema"] != "kbisect.check/1" {
        return Ok(None);
    }
    let mut result: GateResult =
        serde_json::from_value(value).map_err(|source| DossierError::Result { path, source })?;
    result.run_dir = run_dir;
    Ok(Some((result, None)))
}

#[cfg(test)]
mod tests {
    use kbisect_core::run::Environment;

    use super::*;

    fn line() -> Vec<u8> {
        gate_line(7, &GateEvent::Resumed { environment: Environment::default() }).unwrap()
    }

    #[test]
    fn a_cut_last_line_is_passed_over_and_a_damaged_one_is_named() {
        let whole = [line(), line()].concat();
        let journal = read_gate_journal_bytes(&whole).unwrap();
        assert_eq!((journal.lines.len(), journal.warning), (2, None));
        assert_eq!(journal.lines[1].at_ms, 7);
        let cut = read_gate_journal_bytes(&whole[..whole.len() - 3]).unwrap();
        assert_eq!((cut.lines.len(), cut.intact_bytes), (1, line().len() as u64));
        assert_eq!(cut.warning.unwrap().line, 2);
        let damaged = [line(), b"{\"at_ms\"\n".to_vec()].concat();
        assert!(matches!(
            read_gate_journal_bytes(&damaged),
            Err(JournalError::Damaged { line: 2, .. })
        ));
        let other = read_gate_journal_bytes(b"{\"at_ms\":1,\"event\":\"paused\"}\n").unwrap_err();
        assert!(other.to_string().contains("`paused`"), "{other}");
    }
}
