//! What ARCHITECTURE.md says of the shape of the source: arrows between crates and files, sizes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod files;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use files::{Source, circles, sources};
use regex::Regex;
use words::{STILL_SAY, is_room, sentences};

/// Most lines of a file: what is longer is two things.
const MOST_LINES: usize = 600;

/// The crates of the workspace, each with those that it may build on.
const ARROWS: [(&str, &[&str]); 11] = [
    ("kbisect-proto", &[]),
    ("kbisect-process", &[]),
    ("kbisect-symbols", &[]),
    ("kbisect-core", &[]),
    ("kbisect-guest", &["kbisect-proto"]),
    ("kbisect-fake-qemu", &["kbisect-core", "kbisect-proto"]),
    ("kbisect-kernels", &["kbisect-core", "kbisect-process"]),
    ("kbisect-report", &["kbisect-core"]),
    ("kbisect-vm", &["kbisect-core", "kbisect-process", "kbisect-proto"]),
    (
        "kbisect",
        &[
            "kbisect-core",
            "kbisect-kernels",
            "kbisect-process",
            "kbisect-report",
            "kbisect-symbols",
            "kbisect-vm",
        ],
    ),
    (
        "kbisect-fuzz",
        &[
            "kbisect-core",
            "kbisect-guest",
            "kbisect-kernels",
            "kbisect-proto",
            "kbisect-report",
            "kbisect-symbols",
        ],
    ),
];

fn harness() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn crates() -> impl Iterator<Item = &'static str> {
    ARROWS.iter().map(|(name, _)| *name)
}

#[test]
fn crates_build_on_those_that_the_drawing_shows() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(harness())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut found = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let own = package["dependencies"].as_array().unwrap().iter().filter(|dependency| {
            // What tests build on is no arrow.
            dependency["kind"] != "dev" && dependency["path"].is_string()
        });
        let names: BTreeSet<&str> = own.map(|own| own["name"].as_str().unwrap()).collect();
        found.insert(package["name"].as_str().unwrap(), names);
    }
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        ARROWS.iter().map(|(name, on)| (*name, on.iter().copied().collect())).collect();
    assert_eq!(found, allowed);
}

#[test]
fn no_file_has_become_two() {
    let long: Vec<String> = crates()
        .flat_map(|name| sources(&harness().join(name)))
        .filter(|source| source.text.lines().count() > MOST_LINES)
        .map(|source| source.path.display().to_string())
        .collect();
    assert_eq!(long, Vec::<String>::new(), "more than {MOST_LINES} lines");
}

#[test]
fn files_go_in_no_circles() {
    let mut found: Vec<String> = Vec::new();
    for name in crates() {
        let files = sources(&harness().join(name));
        found.extend(circles(&files).into_iter().map(|circle| format!("{name}: {circle}")));
    }
    assert_eq!(found, Vec::<String>::new());
}

/// A new kind of check touches its own files and the lists of kinds; the rest asks `Kind`.
#[test]
fn kinds_of_checks_are_told_apart_in_their_lists_only() {
    let kind = Regex::new(r"\bProbe::[A-Z]\w*").unwrap();
    let mut lists = BTreeSet::new();
    for name in crates() {
        let tell = sources(&harness().join(name)).into_iter().filter(|source| {
            let text = source.text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let is_test = source.module.iter().any(|name| name == "tests");
            !is_test && kind.is_match(text)
        });
        lists.extend(tell.map(|source| format!("{name}: {}", source.module.join("::"))));
    }
    let lists: Vec<&str> = lists.iter().map(String::as_str).collect();
    assert_eq!(lists, ["kbisect-core: scenario::probes", "kbisect-vm: trial::probes"]);
}

/// A sentence is made in a room for words; elsewhere a fact is handed on.
#[test]
fn sentences_are_made_in_rooms_for_words() {
    for (name, left) in STILL_SAY {
        let files = sources(&harness().join(name));
        let tell = files.iter().filter(|file| !is_room(name, file) && !sentences(file).is_empty());
        let mut found: Vec<String> = tell.map(|file| file.module.join("::")).collect();
        found.sort();
        assert_eq!(found, *left, "{name}");
    }
}

#[test]
fn a_sentence_is_found() {
    let text = concat!(
        "//! a comment of four words\n#[error(\"an error of four words\")]\n",
        "fn f() -> String {\n    let _ = 'a' == '\"' && g::<'_>().expect(\"it holds in all cases\");\n",
        "    let _ = anyhow!(\"there is {no} such thing\");\n",
        "    errors::usage(format!(\"there is no {x} here\"), \"name one of these things\");\n",
        "    let _ = [r#\"a raw \"string\" of words\"#, \"three words {a} {b} only\", \"--a --b c d\"];\n",
        "    format!(\"{a} has {b} of them, too\")\n}\n",
        "#[cfg(test)]\nmod tests {\n    const A: &str = \"what a test would say\";\n}\n"
    );
    let source = Source { path: PathBuf::new(), module: Vec::new(), text: text.to_owned() };
    assert_eq!(sentences(&source), ["a raw \"string\" of words", "{a} has {b} of them, too"]);
}

/// The search for circles finds them.
#[test]
fn a_circle_is_found() {
    let source = |module: &str, text: &str| Source {
        path: PathBuf::from(format!("{module}.rs")),
        module: module.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect(),
        text: text.to_owned(),
    };
    let files = [
        source("", "mod a;\npub use a::Thing;\n"),
        source("a", "use crate::{b::{self, c}, d};\n"),
        source("b", "fn f(_: super::a::Thing) {}\n"),
        source("d", "use crate::e::X;\n#[cfg(test)]\nmod tests {\n    use crate::a::Thing;\n}\n"),
        source("e", "// use crate::d::Y;\n"),
    ];
    assert_eq!(circles(&files), ["a, b"]);
}
