//! QEMU's monitor.

// The file itself: to build kbisect-vm means to build the guest program too, and with the fuzzer's
// flags that fails.
#[path = "../../../kbisect-vm/src/qmp.rs"]
#[allow(dead_code, reason = "commands are not sent here")]
mod reader;

use reader::QmpReader;

use super::pieces;

pub(super) fn target(input: &[u8]) {
    let events = QmpReader::default().push(input);
    let lines = input.iter().filter(|byte| **byte == b'\n').count();
    assert!(events.len() <= lines, "{} events in {lines} lines", events.len());
    let mut reader = QmpReader::default();
    let mut again = Vec::new();
    pieces(input, |piece| again.extend(reader.push(piece)));
    assert_eq!(again, events, "the pieces in which the bytes came matter");
}
