//! The journal of a check.

use kbisect_report::{
    JournalError, gate_line, html_check, markdown_check, read_gate_journal_bytes,
};

pub(super) fn target(input: &[u8]) {
    let journal = match read_gate_journal_bytes(input) {
        Ok(journal) => journal,
        Err(error) => return assert!(!matches!(error, JournalError::Read { .. })),
    };
    let passed_over = journal.warning.as_ref().map_or(0, |warning| warning.bytes);
    assert_eq!(journal.intact_bytes as usize + passed_over, input.len());
    let written: Vec<u8> = journal
        .lines
        .iter()
        .flat_map(|line| gate_line(line.at_ms, &line.event).expect("events can be written"))
        .collect();
    let second = read_gate_journal_bytes(&written).expect("what was written can be read");
    assert_eq!(second.lines.len(), journal.lines.len());
    if let Some(result) = kbisect_core::gate::GateResult::from_journal(&journal.lines, "/run") {
        let _ = (markdown_check(&result), html_check(&result));
    }
}
