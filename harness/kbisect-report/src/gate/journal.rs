//! Reads the folder of a check.

use std::fs;
use std::path::Path;

use kbisect_core::gate::GateResult;
use kbisect_core::run::RunKind;

use crate::dossier::DossierError;
use crate::journal::{EARLIER_CHECK_JOURNAL, JOURNAL_NAME, JournalWarning, read_journal_of};

/// Reads the folder of a check: its journal; for one that was written before there was one, its
/// result. Nothing when it is no check's. What was passed over of a journal comes along.
pub fn read_check(
    folder: &Path,
) -> Result<Option<(GateResult, Option<JournalWarning>)>, DossierError> {
    let run_dir = folder.display().to_string();
    let earlier = folder.join(EARLIER_CHECK_JOURNAL).is_file();
    if earlier || folder.join(JOURNAL_NAME).is_file() {
        let journal = read_journal_of(folder)?;
        if !earlier
            && RunKind::of(journal.lines.iter().map(|line| &line.event)) != Some(RunKind::Check)
        {
            return Ok(None);
        }
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
