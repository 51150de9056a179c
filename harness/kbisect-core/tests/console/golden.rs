//! Consoles of stock kernels in QEMU, recorded by this project. Header lines say what must be read
//! in them: `TITLE:` of the only report (none: there is none), `KIND:`, `FATAL: Y`,
//! `SUPPRESSED: Y`; an empty line ends the header.

use std::collections::BTreeMap;
use std::path::Path;

use kbisect_core::console::classify;

#[test]
fn recorded_consoles_are_read_as_their_headers_say() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/console/golden");
    let mut count = 0;
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let (header, log) = split(&bytes);
        let get = |key: &str| header.get(key).map(String::as_str);
        let reports = classify(log);
        let name = path.display();
        let titles: Vec<&str> = reports.iter().map(|report| report.title.as_str()).collect();
        assert_eq!(titles, get("TITLE").into_iter().collect::<Vec<_>>(), "{name}");
        for report in &reports {
            let kind = serde_json::to_value(report.kind).unwrap();
            assert_eq!(kind.as_str(), get("KIND"), "{name}");
            assert_eq!(report.fatal, get("FATAL").is_some(), "{name}");
            assert_eq!(report.suppressed, get("SUPPRESSED").is_some(), "{name}");
            assert!(!report.corrupted, "{name}");
        }
        count += 1;
    }
    assert!(count >= 7, "{count} logs in {}", directory.display());
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
