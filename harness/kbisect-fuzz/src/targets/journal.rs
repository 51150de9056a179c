//! The journal of a run.

use kbisect_report::{JournalError, journal_line, read_journal};

pub(super) fn target(input: &[u8]) {
    let journal = match read_journal(input) {
        Ok(journal) => journal,
        Err(error) => {
            let lines = input.iter().filter(|byte| **byte == b'\n').count();
            let (JournalError::Damaged { line, .. }
            | JournalError::UnknownEvent { line, .. }
            | JournalError::UnknownPlan { line, .. }) = error
            else {
                panic!("nothing was read from a file: {error}");
            };
            assert!((1..=lines).contains(&line), "line {line} of {lines}");
            assert!(error.hint().is_some());
            return;
        }
    };
    let intact = usize::try_from(journal.intact_bytes).expect("bytes of the input");
    let passed_over = journal.warning.as_ref().map_or(0, |warning| warning.bytes);
    assert_eq!(intact + passed_over, input.len());
    // Once written by us it stays as it is: numbers may lose digits the first time.
    let written = write(&journal.lines);
    let second = read_journal(&written).expect("what was written can be read");
    assert_eq!(second.lines.len(), journal.lines.len());
    assert_eq!(second.warning, None);
    let third = read_journal(&write(&second.lines)).expect("and again");
    assert_eq!(third.lines.len(), second.lines.len());
}

fn write(lines: &[kbisect_core::run::JournalLine]) -> Vec<u8> {
    let line = |line: &kbisect_core::run::JournalLine| {
        journal_line(line.at_ms, &line.event).expect("events can be written")
    };
    lines.iter().flat_map(line).collect()
}
