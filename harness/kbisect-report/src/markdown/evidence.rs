//! What a crash left behind: state of the machine, decoded trace, memory dump; and the failures
//! that were something else.

use std::fmt::Write;

use kbisect_core::answer::Trial;
use kbisect_core::evidence::Decoded;
use kbisect_core::run::BisectResult;
use kbisect_core::trial::{Match, TrialRecord};

use super::tables::{CELL, put, table};
use crate::text::{block, code, code_cell, prose};
use crate::words;

/// Most lines of a decoded trace.
const TRACE_LINES: usize = 120;
/// Most registers in a line.
const REGISTERS: usize = 64;

/// Adds what a crash left behind, beside the report on the console.
pub(super) fn crash(to: &mut String, trial: &TrialRecord) {
    let evidence = &trial.evidence;
    if let Some(facts) = &evidence.crash {
        put!(to, "State at the report: {}.", prose(&facts.summary(), CELL));
        put!(to);
        let registers = facts.registers.iter().filter(|register| register.name != "code");
        let registers: Vec<String> = registers
            .take(REGISTERS)
            .map(|register| format!("{}={}", register.name, register.value))
            .collect();
        if !registers.is_empty() {
            let lines: Vec<String> = registers.chunks(4).map(|line| line.join("  ")).collect();
            put!(to, "{}", block(&lines.join("\n"), "text", 20));
        }
    }
    match &evidence.decoded {
        Some(Decoded::Lines { source, text }) => {
            put!(to, "Trace with source lines, from {}:", prose(source, CELL));
            put!(to);
            put!(to, "{}", block(text, "text", TRACE_LINES));
        }
        Some(Decoded::Unavailable { reason }) => {
            put!(to, "No source lines: no debug information, because {}.", prose(reason, CELL));
            put!(to);
        }
        None => {}
    }
    if let Some(vmcore) = &evidence.vmcore {
        put!(
            to,
            "Memory dump: {} ({}, {} bytes, SHA-256 {}){}. It opens in `crash` with the vmlinux of that \
             build: {}",
            code(&format!("{}/{}", trial.directory, vmcore.path)),
            prose(&vmcore.format, CELL),
            vmcore.bytes,
            code(&vmcore.sha256),
            match &vmcore.build_id {
                Some(id) => format!(", build id {}", code(id)),
                None => String::new(),
            },
            code(&format!("crash VMLINUX {}/{}", trial.directory, vmcore.path)),
        );
        put!(to);
    }
}

/// Files that are evidence, as rows of a table.
pub(super) fn files(trial: &TrialRecord, whose: &str) -> Vec<Vec<String>> {
    let path = |name: &str| code_cell(&format!("{}/{name}", trial.directory));
    let evidence = &trial.evidence;
    let mut rows: Vec<Vec<String>> = evidence
        .files
        .iter()
        .map(|file| vec![path(&file.path), format!("{}, {whose} kernel", prose(&file.what, CELL))])
        .collect();
    if let Some(vmcore) = &evidence.vmcore {
        rows.push(vec![path(&vmcore.path), format!("memory of the {whose} kernel's machine")]);
    }
    rows
}

/// Says how a trial's symptom compares with the one that is looked for.
pub(super) fn matching(trial: &Trial) -> Option<String> {
    let matching = trial.matching.as_ref().filter(|matching| matching.how != Match::Different)?;
    Some(format!("matches: {}", prose(&words::matching(matching), CELL)))
}

/// Adds the failures that are not the one that is looked for: they did not move the search, and are
/// somebody's bug all the same.
pub(super) fn unrelated(to: &mut String, result: &BisectResult) {
    let other = |trial: &&Trial| {
        trial.matching.as_ref().is_some_and(|matching| matching.how == Match::Different)
    };
    let rows: Vec<Vec<String>> = result
        .trials
        .iter()
        .filter(other)
        .filter_map(|trial| {
            let symptom = trial.symptom.as_ref()?;
            Some(vec![
                trial.number.to_string(),
                prose(trial.kernel.label(), CELL),
                symptom.kind.to_string(),
                prose(&symptom.title, CELL),
                code_cell(&trial.directory),
            ])
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    put!(to, "## Other failures");
    put!(to);
    put!(to, "Not the failure that was looked for, so these trials gave no answer:");
    put!(to);
    table(to, &["trial", "version", "kind", "title", "folder"], rows);
}
