//! The journal of a check of before searches and checks had one.

use kbisect_report::{
    JournalError, check_result, html_check, journal_line, markdown_check,
    read_earlier_check_journal, read_journal,
};

pub(super) fn target(input: &[u8]) {
    let journal = match read_earlier_check_journal(input) {
        Ok(journal) => journal,
        Err(error) => return assert!(!matches!(error, JournalError::Read { .. })),
    };
    let passed_over = journal.warning.as_ref().map_or(0, |warning| warning.bytes);
    assert_eq!(journal.intact_bytes as usize + passed_over, input.len());
    let written: Vec<u8> = journal
        .lines
        .iter()
        .flat_map(|line| journal_line(line.at_ms, &line.event).expect("events can be written"))
        .collect();
    let second = read_journal(&written).expect("what was written can be read");
    assert_eq!(second.lines.len(), journal.lines.len());
    if let Some(result) = check_result(&journal.lines, "/run") {
        let _ = (markdown_check(&result), html_check(&result));
    }
}
