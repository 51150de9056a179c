//! The console classifier.

use kbisect_core::console::{Event, Report, Scanner, classify};

use super::pieces;

/// Bounds that the classifier documents or that its users rely on.
const REPORTS: usize = 256;
const TITLE: usize = 160;
const TEXT: usize = 128 << 10;
const FRAMES: usize = 64;

pub(super) fn target(log: &[u8]) {
    let reports = classify(log);
    assert!(reports.len() <= REPORTS, "{} reports", reports.len());
    let lines = log.iter().filter(|byte| **byte == b'\n').count() + 1;
    for report in &reports {
        check(report, log.len(), lines);
    }
    assert!(reports.is_sorted_by_key(|report| report.offset), "reports are in order");

    // How the log comes in changes neither reports nor milestones.
    let mut whole = Scanner::new();
    let mut expected = whole.push(log);
    expected.extend(whole.finish());
    let mut scanner = Scanner::new();
    let mut events = Vec::new();
    pieces(log, |piece| events.extend(scanner.push(piece)));
    events.extend(scanner.finish());
    assert_eq!(sorted(events), sorted(expected), "the pieces in which the log came matter");
    assert!(!scanner.is_collecting(), "a console that ended goes on");
}

fn check(report: &Report, length: usize, lines: usize) {
    let title = &report.title;
    assert!(!title.is_empty() && title.len() <= TITLE, "title {title:?}");
    assert!(report.text.len() <= TEXT, "text of {} bytes", report.text.len());
    for text in report.titles().chain(report.function.as_deref()).chain(report.module.as_deref()) {
        assert!(!text.contains(char::is_control), "control characters in {text:?}");
        assert!(text.len() <= 4 * TITLE, "{} bytes", text.len());
    }
    let odd = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!report.text.contains(odd), "control characters in {:?}", report.text);
    assert!(report.offset <= length as u64, "offset {} of {length}", report.offset);
    assert!((1..=lines).contains(&report.line), "line {} of {lines}", report.line);
    assert!(report.frames.len() <= FRAMES && report.alt_titles.len() <= 8);
    assert_eq!(report.titles().next(), Some(report.title.as_str()));
}

/// A report whose trace is complete may come earlier or later, but it is the same report.
fn sorted(events: Vec<Event>) -> Vec<String> {
    let mut events: Vec<String> = events.iter().map(|event| format!("{event:?}")).collect();
    events.sort();
    events
}
