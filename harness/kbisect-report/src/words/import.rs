//! An import of checks in words.

use std::fmt::Write as _;

use crate::imported::{ImportDocument, ImportNote};

/// What stands above the checks in `scenario.toml`.
#[must_use]
pub fn import_head(format: &str, file: &str) -> String {
    format!(
        "# Made by `kbisect scenario import {format}` of {file}; `payload = true` is for checks that compare what\n\
         # came over the network, which `kbisect scenario selftest` then holds to failing without it.\n"
    )
}

/// What was made.
#[must_use]
pub fn import_text(document: &ImportDocument) -> String {
    let ImportDocument { file, folder, checks, files, left_out, .. } = document;
    let plural = if checks.len() == 1 { "" } else { "s" };
    let mut text = format!("{file}: {} check{plural}", checks.len());
    match left_out.len() {
        0 => {}
        1 => text.push_str(", one line left out"),
        number => {
            let _ = write!(text, ", {number} lines left out");
        }
    }
    text.push('\n');
    for check in checks {
        let _ = writeln!(
            text,
            "  {} on {}, line {}: {}",
            check.name, check.node, check.line, check.title
        );
    }
    if folder.is_none() && !files.is_empty() {
        let _ =
            writeln!(text, "Files that belong into the scenario's folder: {}", files.join(", "));
    }
    text
}

/// What to do next with the scenario in a folder.
#[must_use]
pub fn import_next(folder: &str) -> String {
    format!("Then:\n  kbisect scenario check {folder}\n  kbisect run KERNEL --scenario {folder}\n")
}

/// A line that was left out, or should be looked at.
#[must_use]
pub fn import_note(file: &str, note: &ImportNote) -> String {
    let title = if note.title.is_empty() { String::new() } else { format!("`{}`: ", note.title) };
    let hint = note.hint.iter().map(|hint| format!(" ({hint})")).collect::<String>();
    let line = if note.line > 0 { format!("{}: ", note.line) } else { " ".to_owned() };
    format!("warning: {file}:{line}{title}{}{hint}", note.reason)
}
