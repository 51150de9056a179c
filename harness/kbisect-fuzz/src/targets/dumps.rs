//! Dumps of a production host: rules, routes, interfaces, sysctls. An input holds several files,
//! each behind a line `=== NAME`.

use std::collections::{BTreeMap, BTreeSet};

use kbisect_core::import::{ImportError, Options, from_dumps};

pub(super) fn target(input: &[u8]) {
    let dumps = files(input);
    let options = Options { node: "gateway".to_owned(), ignored: BTreeSet::new() };
    let made = from_dumps("made", &dumps, &options);
    match &made {
        Ok(made) => {
            let text = made.files.get("scenario.toml").expect("a scenario has its file");
            let text = std::str::from_utf8(text).expect("a scenario is text");
            let odd = |c: char| c.is_control() && c != '\n' && c != '\t';
            assert!(!text.contains(odd), "control characters in the scenario");
            let outside = |path: &str| path.starts_with('/') || path.split('/').any(|p| p == "..");
            assert!(!made.files.keys().any(|path| outside(path)), "{:?}", made.files.keys());
        }
        Err(ImportError::Generated(error)) => panic!("what was made is no scenario: {error}"),
        Err(error @ ImportError::Dumps { findings, ignorable }) => {
            assert!(!findings.is_empty() && error.hint().is_some());
            // What is advised helps: it is at least another answer.
            if !ignorable.is_empty() {
                let ignored = ignorable.iter().cloned().collect();
                let next = from_dumps("made", &dumps, &Options { ignored, ..options.clone() });
                assert_ne!(made, next, "leaving {ignorable:?} out changes nothing");
            }
        }
    }
    assert_eq!(from_dumps("made", &dumps, &options), made, "the same dumps, another answer");
}

fn files(input: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut name = "dump".to_owned();
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_prefix(b"=== ") {
            Some(rest) if files.len() < 16 => {
                name = String::from_utf8_lossy(rest).trim().to_owned();
                files.entry(name.clone()).or_default();
            }
            _ => files.entry(name.clone()).or_insert_with(Vec::new).extend(line),
        }
    }
    files
}
