//! Programs that report in KTAP, and goss, which reports in TAP.

use std::collections::BTreeMap;

use super::error::{AdoptError, Note, Reason};
use super::names::Names;
use super::wanted::{Adopted, Made, NewCheck, Wanted};

/// Where goss itself lies in a scenario's folder.
pub const GOSS_BINARY: &str = "goss";
/// And what it is to check.
const GOSS_FILE: &str = "goss.yaml";
/// How programs begin that a kernel can start: ELF, and scripts that name what reads them.
const STARTED: [&[u8]; 2] = [b"\x7fELF", b"#!"];

/// Makes a check of a program that reports in KTAP; what is neither ELF nor names its reader is read by
/// the guest's shell.
///
/// # Errors
/// [`AdoptError::Nothing`] for an empty file.
pub fn from_program(content: &[u8], wanted: &Wanted) -> Result<Adopted, AdoptError> {
    if content.is_empty() {
        return Err(AdoptError::Nothing { what: "program" });
    }
    let path = path_of(&wanted.file);
    let program = format!("{{assets}}/{path}");
    let run = match STARTED.iter().any(|begin| content.starts_with(begin)) {
        true => vec![program],
        false => vec!["sh".to_owned(), program],
    };
    let files = BTreeMap::from([(path, content.to_vec())]);
    Ok(one(wanted, run, files))
}

/// Makes a check of a goss file. The binary is none of kbisect's: it comes with the scenario.
///
/// # Errors
/// [`AdoptError::Nothing`] for an empty file.
pub fn from_goss(
    content: &str,
    binary: Option<&[u8]>,
    wanted: &Wanted,
) -> Result<Adopted, AdoptError> {
    if content.trim().is_empty() {
        return Err(AdoptError::Nothing { what: "goss file" });
    }
    let run = [
        &format!("{{assets}}/{GOSS_BINARY}"),
        "-g",
        &format!("{{assets}}/{GOSS_FILE}"),
        "validate",
        "--no-color",
        "--format",
        "tap",
    ];
    let mut files = BTreeMap::from([(GOSS_FILE.to_owned(), content.as_bytes().to_vec())]);
    files.extend(binary.map(|binary| (GOSS_BINARY.to_owned(), binary.to_vec())));
    let mut made = one(wanted, run.map(str::to_owned).into(), files);
    let other = content.lines().position(|line| line.trim_start().starts_with("gossfile:"));
    let note = |line| Note { line, title: String::new(), reason: Reason::OtherFiles };
    made.remarks.extend(other.map(|line| note(line + 1)));
    Ok(made)
}

fn one(wanted: &Wanted, run: Vec<String>, files: BTreeMap<String, Vec<u8>>) -> Adopted {
    let title = wanted.file.rsplit('/').next().unwrap_or_default().to_owned();
    let stem = title.rsplit_once('.').map_or(title.as_str(), |(stem, _)| stem);
    let name = Names::new(&wanted.taken).of(stem);
    let check = NewCheck { name, node: wanted.node.clone(), title, line: 1, made: Made::Ktap(run) };
    Adopted { checks: vec![check], files, ..Adopted::default() }
}

/// A file's own name, in the characters that paths of a scenario have.
fn path_of(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+@-".contains(c);
    let name: String = name.chars().map(|c| if plain(c) { c } else { '-' }).take(64).collect();
    match name.trim_start_matches('.') {
        "" | "scenario.toml" => "program".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(file: &str) -> Wanted {
        Wanted { file: file.to_owned(), node: "a".to_owned(), ..Wanted::default() }
    }

    #[test]
    fn programs_are_started_by_what_can() {
        for (file, content, run, path) in [
            ("x/net test.sh", &b"#!/bin/sh\n"[..], &["{assets}/net-test.sh"][..], "net-test.sh"),
            ("t", b"\x7fELF..", &["{assets}/t"], "t"),
            ("t.sh", b"echo ok 1\n", &["sh", "{assets}/t.sh"], "t.sh"),
            ("../scenario.toml", b"#!x", &["{assets}/program"], "program"),
            ("..", b"#!x", &["{assets}/program"], "program"),
        ] {
            let made = from_program(content, &wanted(file)).expect("a program");
            let run = Made::Ktap(run.iter().map(|word| (*word).to_owned()).collect());
            assert_eq!(made.checks[0].made, run, "{file}");
            assert_eq!(made.files.keys().collect::<Vec<_>>(), [path]);
        }
        assert!(from_program(b"", &wanted("t")).is_err());
    }

    #[test]
    fn goss_is_called_for_tap() {
        let made =
            from_goss("port: {}\ngossfile:\n  x: {}\n", Some(b"\x7fELF"), &wanted("web.yaml"));
        let made = made.expect("a file");
        assert_eq!(made.files.keys().collect::<Vec<_>>(), ["goss", "goss.yaml"]);
        assert_eq!(made.checks[0].name, "web");
        assert_eq!(made.remarks[0].line, 2);
        assert_eq!(from_goss("a: b", None, &wanted("x")).expect("a file").files.len(), 1);
    }
}
