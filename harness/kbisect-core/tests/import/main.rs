//! Scenarios from dumps. The folders beside this file were taken with scripts/host-dump in guests
//! that were set up for it, and cut down to what matters.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod dumps;
mod golden;
mod hostile;
mod topology;

use std::collections::{BTreeMap, BTreeSet};

use kbisect_core::import::{ImportError, Imported, Options, from_dumps};
use kbisect_core::scenario::Scenario;

type Dumps = BTreeMap<String, Vec<u8>>;

/// Reads one of the folders with dumps.
fn folder(name: &str) -> Dumps {
    let path = format!("{}/tests/import/{name}", env!("CARGO_MANIFEST_DIR"));
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.unwrap();
        (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
    };
    std::fs::read_dir(path).unwrap().map(read).collect()
}

/// The least that an import needs, from the texts of `ip -j addr` and `ip -j route`.
fn small(addresses: &str, routes: &str) -> Dumps {
    let file = |name: &str, text: &str| (name.to_owned(), text.as_bytes().to_vec());
    BTreeMap::from([file("addr.json", addresses), file("route.json", routes)])
}

fn import(dumps: &Dumps, ignored: &[&str]) -> Result<Imported, ImportError> {
    let ignored: BTreeSet<String> = ignored.iter().map(|name| (*name).to_owned()).collect();
    from_dumps("made", dumps, &Options { node: "gateway".to_owned(), ignored })
}

/// The text of a file that was made.
fn text(made: &Imported, name: &str) -> String {
    let content =
        made.files.get(name).unwrap_or_else(|| panic!("no {name}: {:?}", made.files.keys()));
    String::from_utf8(content.clone()).unwrap()
}

/// Reads what was made as `scenario check` does; there must be nothing to warn of.
fn scenario(made: &Imported) -> Scenario {
    let text = text(made, "scenario.toml");
    let mut files = made.files.clone();
    files.remove("scenario.toml");
    let parsed =
        Scenario::parse("made", "scenario.toml", &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let (scenario, warnings) = parsed.with_assets(files).unwrap();
    assert!(warnings.is_empty(), "{warnings:#?}\n{text}");
    scenario
}

fn warnings(made: &Imported) -> String {
    made.warnings.iter().map(|warning| format!("{warning}\n")).collect()
}
