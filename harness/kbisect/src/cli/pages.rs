//! The commands on the pages are commands: README and docs/ are read, and each is given to the parser.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;

use super::form::{Refusal, parse};
use crate::settings;

/// All pages, by their paths.
fn pages(folder: &Path, to: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages(&path, to);
        } else if path.extension().is_some_and(|it| it == "md") {
            to.push(path);
        }
    }
}

/// The commands of a page: lines of blocks, fenced as `sh` or indented, that begin with the program's name.
fn commands(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut fence: Option<&str> = None;
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(info) = line.trim_start().strip_prefix("```") {
            fence = if fence.is_some() { None } else { Some(info.trim()) };
            continue;
        }
        let is_code = match fence {
            Some(info) => matches!(info, "sh" | "bash" | "console"),
            None => line.starts_with("    "),
        };
        let mut line = line.trim().trim_start_matches("$ ").to_owned();
        if !is_code || !line.starts_with("kbisect ") {
            continue;
        }
        while let Some(begin) = line.strip_suffix('\\') {
            line = format!("{begin} {}", lines.next().unwrap_or_default().trim());
        }
        found.push(line);
    }
    found
}

/// The words of a command, up to what the shell does with its output.
fn words(line: &str) -> Vec<String> {
    // The last line of a script in quotes has the closing one.
    let words = shlex::split(line).or_else(|| shlex::split(line.trim_end_matches('\'')));
    let words = words.unwrap_or_else(|| panic!("open quotes: {line}"));
    let is_shell =
        |word: &String| matches!(word.as_str(), "|" | ">" | ">>" | "&&" | "||" | ";" | "&");
    words.into_iter().take_while(|word| !is_shell(word)).collect()
}

fn check(page: &Path, line: &str) {
    let words = words(line);
    let arguments: Vec<OsString> = words.iter().map(OsString::from).collect();
    match parse(arguments) {
        Ok(_) => {}
        Err(Refusal::Clap(error))
            if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {}
        Err(refusal) => panic!("{}: `{line}`: {refusal:?}", page.display()),
    }
    let named = words.windows(2).filter(|pair| matches!(pair[0].as_str(), "--scenario" | "-s"));
    for name in named.flat_map(|pair| pair[1].split(',')) {
        let is_placeholder = name.chars().all(|c| c.is_ascii_uppercase());
        let is_known = settings::scenario::list().iter().any(|known| known.name == name);
        assert!(
            name.contains('/') || is_placeholder || is_known,
            "{}: `{line}`: no scenario `{name}`",
            page.display()
        );
    }
}

#[test]
fn every_command_on_a_page_is_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut all = vec![root.join("README.md"), root.join("scripts/README.md")];
    pages(&root.join("docs"), &mut all);
    let mut count = 0;
    for page in all {
        for line in commands(&fs::read_to_string(&page).unwrap()) {
            check(&page, &line);
            count += 1;
        }
    }
    assert!(count > 60, "only {count} commands were found");
}

#[test]
#[should_panic(expected = "no scenario `conlimit`")]
fn a_scenario_that_there_is_not_is_found() {
    check(Path::new("page"), "kbisect 6.1..6.2 --scenario conlimit");
}

#[test]
#[should_panic(expected = "--scenari0")]
fn an_option_that_there_is_not_is_found() {
    check(Path::new("page"), "kbisect 6.1..6.2 --scenari0 smoke");
}
