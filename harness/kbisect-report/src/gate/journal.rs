//! From the journal of a check to its result, and from its folder.

use std::fs;
use std::path::Path;

use kbisect_core::gate::{Answer, GateEnd, GateResult, GateTrial, WaysAnswer, settle};
use kbisect_core::node_state::Difference;
use kbisect_core::run::{JournalLine, RunEvent, RunKind, wall_seconds};

use super::words;
use crate::dossier::DossierError;
use crate::evidence::bounded;
use crate::journal::{EARLIER_CHECK_JOURNAL, JOURNAL_NAME, JournalWarning, read_journal_of};

/// Makes the result of a check from its journal; `None` when it has no plan of one. A check without an
/// end was killed, or still runs: it is aborted.
#[must_use]
pub fn check_result(lines: &[JournalLine], run_dir: &str) -> Option<GateResult> {
    let mut begun = None;
    let mut trials: Vec<GateTrial> = Vec::new();
    let mut references: Vec<GateTrial> = Vec::new();
    let cut_off = || Some(words::CUT_OFF.to_owned());
    let mut aborted = cut_off();
    for event in lines.iter().map(|line| &line.event) {
        trials.extend(GateTrial::of(event));
        match event {
            RunEvent::CheckBegan { plan, environment, .. } => {
                begun = Some((plan.as_ref().clone(), environment.as_ref().clone()));
            }
            RunEvent::EnvironmentChanged { environment: now } => {
                if let Some((_, environment)) = &mut begun {
                    environment.clone_from(now.as_ref());
                }
            }
            RunEvent::ReferenceTried { scenario: Some(scenario), record } => references
                .push(GateTrial { scenario: scenario.clone(), record: (**record).clone() }),
            RunEvent::Resumed => aborted = cut_off(),
            RunEvent::Completed => aborted = None,
            RunEvent::Interrupted => aborted = Some(words::INTERRUPTED.to_owned()),
            RunEvent::Failed { error } => aborted = Some(error.clone()),
            _ => {}
        }
    }
    // Those that ran side by side ended in any order.
    trials.sort_by_key(|trial| trial.record.number);
    settle(&mut trials, &references);
    let (plan, environment) = begun?;
    let (wall_s, run_dir) = (wall_seconds(lines), run_dir.to_owned());
    let end = GateEnd { aborted, environment, wall_s, run_dir };
    let mut result = GateResult::new(plan, trials, end);
    let reasons: Vec<_> =
        result.cells.iter().map(|cell| words::reason(cell, result.trial(cell))).collect();
    for (cell, reason) in result.cells.iter_mut().zip(reasons) {
        cell.reason = reason;
    }
    for kernel in
        result.maps.iter_mut().flat_map(|map| &mut map.series).flat_map(|s| &mut s.kernels)
    {
        if kernel.answer == Answer::None && kernel.trial.is_none() {
            kernel.reason = Some(words::NOT_TRIED.to_owned());
        }
    }
    for answer in &mut result.ways {
        compare_states(answer, Path::new(&result.run_dir));
    }
    Some(result)
}

/// Adds what differs between the states that ways end in, from the files of their trials.
fn compare_states(answer: &mut WaysAnswer, run_dir: &Path) {
    let Some(states) = &mut answer.states else { return };
    for node in &mut states.nodes {
        // The journal may be somebody else's.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if !node.node.chars().all(plain) {
            continue;
        }
        let read = |directory: &String| {
            let path = run_dir.join(directory).join("states").join(format!("{}.txt", node.node));
            Some(String::from_utf8_lossy(&bounded(&path)?).into_owned())
        };
        let [Some(first), Some(other)] = states.directories.each_ref().map(read) else { continue };
        let difference = Difference::between(&first, &other);
        node.sections = difference.sections().into_iter().map(str::to_owned).collect();
        (node.lines, node.more) = difference.told();
    }
}

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
        let result = check_result(&journal.lines, &run_dir)
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
