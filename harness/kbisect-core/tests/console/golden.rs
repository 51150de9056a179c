//! Whole consoles: in `golden` those of stock kernels in QEMU, recorded by this project; in `made`
//! reports of each kind as kernels from 3.x to 7.x print them on x86-64, arm64 and riscv64, with
//! values of our own, and what must stay clean. Header lines say what must be read in them: `TITLE:`
//! of the only report (none: there is none), `KIND:`, `FATAL: Y`, `SUPPRESSED: Y`, `CORRUPTED: Y`;
//! an empty line ends the header.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::Path;

use kbisect_core::console::classify;

#[test]
fn recorded_consoles_are_read_as_their_headers_say() {
    assert!(read("golden") >= 7);
}

#[test]
fn made_consoles_are_read_as_their_headers_say() {
    assert!(read("made") >= 82);
}

/// Reads all logs of a folder; returns how many there are. Failures are told together.
fn read(folder: &str) -> usize {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/console").join(folder);
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let (header, log) = split(&bytes);
        let get = |key: &str| header.get(key).map(String::as_str);
        // The ends of lines are as on a serial line.
        let crlf = String::from_utf8_lossy(log).replace('\n', "\r\n");
        for reports in [classify(log), classify(crlf.as_bytes())] {
            let found: Vec<String> = reports
                .iter()
                .map(|report| {
                    let kind = serde_json::to_value(report.kind).unwrap();
                    let flags = [report.fatal, report.suppressed, report.corrupted];
                    format!("{} ({}) {flags:?}", report.title, kind.as_str().unwrap())
                })
                .collect();
            let expected = get("TITLE").map(|title| {
                let flags = ["FATAL", "SUPPRESSED", "CORRUPTED"].map(|key| get(key).is_some());
                format!("{title} ({}) {flags:?}", get("KIND").unwrap_or_default())
            });
            let expected: Vec<String> = expected.into_iter().collect();
            if found != expected {
                wrong.push(format!("{}: {found:?}, not {expected:?}", path.display()));
            }
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    count
}

fn split(bytes: &[u8]) -> (BTreeMap<String, String>, &[u8]) {
    let mut header = BTreeMap::new();
    let mut rest = bytes;
    loop {
        let end = rest.iter().position(|b| *b == b'\n').expect("an empty line ends the header");
        let (line, after) = rest.split_at(end);
        rest = &after[1..];
        if line.is_empty() {
            return (header, rest);
        }
        let line = std::str::from_utf8(line).expect("headers are text");
        let (key, value) = line.split_once(": ").expect("a header is a key and a value");
        header.insert(key.to_owned(), value.to_owned());
    }
}
