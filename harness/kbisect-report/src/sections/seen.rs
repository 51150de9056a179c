//! What was seen in a failed trial: its symptom, frames, the console, what a crash left behind.

use kbisect_core::answer::Trial;
use kbisect_core::evidence::Decoded;
use kbisect_core::run::BisectResult;
use kbisect_core::trial::{ConsoleReport, Match, TrialRecord};

use crate::disturbed::disturbed;
use crate::document::{Block, CELL, Line, PARAGRAPH, code, heading, list, own, table, text};
use crate::words;

/// Most lines of a console report; the rest is in its file.
const CONSOLE_LINES: usize = 80;
/// Most console reports that are shown whole: the first one is the bug, later ones follow from it.
const CONSOLE_REPORTS: usize = 2;
/// Most lines of frames, counters or state.
const STATE_LINES: usize = 40;
/// Most lines of a decoded trace.
const TRACE_LINES: usize = 120;
/// Most rules that counted packets.
const RULES: usize = 24;
/// Most registers that are shown.
const REGISTERS: usize = 64;

/// Adds what was seen in a trial.
pub(crate) fn seen(to: &mut Vec<Block>, trial: &TrialRecord) {
    if let Some(symptom) = &trial.symptom {
        let line = own(symptom.kind);
        let line = match &symptom.place {
            Some(place) => line.own(" (at ").text(place, CELL).own(")"),
            None => line,
        };
        to.push(Block::Paragraph(line.own(": ").text(&symptom.detail, PARAGRAPH)));
    }
    state(to, "Frames of the failed connection, as the harness carried them:", &trial.hops);
    counted(to, trial);
    let reports = telling(trial);
    for report in reports.iter().take(CONSOLE_REPORTS) {
        let line = match &report.console {
            Some(path) => own("Console in ").text(path, CELL),
            None => own("Console"),
        };
        let line = line.own(format!(", line {}, phase {}: ", report.line, report.phase));
        to.push(Block::Paragraph(line.text(&report.title, CELL)));
        to.push(Block::Console(report.text.clone(), CONSOLE_LINES));
    }
    if reports.len() > CONSOLE_REPORTS {
        let mut line = own("Later reports on the same console: ");
        for (at, report) in reports[CONSOLE_REPORTS..].iter().take(10).enumerate() {
            line = line.own(if at == 0 { "" } else { "; " }).text(&report.title, 100);
        }
        to.push(Block::Paragraph(line));
    }
    crash(to, trial);
    to.push(notes(trial));
}

/// Adds what the kernel counted, and what it knows of connections.
pub(crate) fn counted(to: &mut Vec<Block>, trial: &TrialRecord) {
    let counters = "Counters of the kernel under test that tell of losses, from set-up to end:";
    state(to, counters, &trial.counters);
    let rules =
        "Rules that counted packets, and what connection tracking knows of the failed connections:";
    state(to, rules, &trial.state);
    rules_counted(to, trial);
}

/// Adds the rules that counted packets, folded away: in good trials they say what was met.
pub(crate) fn rules_counted(to: &mut Vec<Block>, trial: &TrialRecord) {
    let rules = &trial.evidence.rules;
    if rules.is_empty() {
        return;
    }
    let rows = rules.iter().take(RULES).map(|one| {
        vec![
            text(&one.node, CELL),
            text(&one.place, CELL),
            code(&one.rule),
            own(one.before),
            own(one.after),
        ]
    });
    let head = ["node", "chain", "rule", "packets after the set-up", "at the end"];
    let mut inner = vec![table(head, rows)];
    inner.extend(words::more_rules(rules.len(), RULES).map(|more| Block::Paragraph(own(more))));
    to.push(Block::Folded(own(words::rules_counted(rules.len())), inner));
}

/// Gaps and notes of a trial.
pub(crate) fn notes(trial: &TrialRecord) -> Block {
    list(disturbed(&trial.disturbed).iter().chain(&trial.notes))
}

fn state(to: &mut Vec<Block>, what: &str, lines: &[String]) {
    if !lines.is_empty() {
        to.push(Block::Paragraph(own(what)));
        to.push(Block::Console(lines.join("\n"), STATE_LINES));
    }
}

/// Reports to show: those that came with the failure first in the order of the log.
pub(crate) fn telling(trial: &TrialRecord) -> Vec<&ConsoleReport> {
    let title = trial.symptom.as_ref().map(|symptom| symptom.title.as_str());
    let first = trial.reports.iter().position(|report| Some(report.title.as_str()) == title);
    trial.reports.iter().skip(first.unwrap_or(0)).collect()
}

/// Adds what a crash left behind, beside the report on the console.
pub(crate) fn crash(to: &mut Vec<Block>, trial: &TrialRecord) {
    let evidence = &trial.evidence;
    if let Some(facts) = &evidence.crash {
        let line = own("State at the report: ").text(&facts.summary(), CELL).own(".");
        to.push(Block::Paragraph(line));
        let registers = facts.registers.iter().filter(|register| register.name != "code");
        let registers: Vec<String> = registers
            .take(REGISTERS)
            .map(|register| format!("{}={}", register.name, register.value))
            .collect();
        if !registers.is_empty() {
            let lines: Vec<String> = registers.chunks(4).map(|line| line.join("  ")).collect();
            to.push(Block::Console(lines.join("\n"), 20));
        }
    }
    match &evidence.decoded {
        Some(Decoded::Lines { source, text: trace }) => {
            let line = own("Trace with source lines, from ").text(source, CELL).own(":");
            to.push(Block::Paragraph(line));
            to.push(Block::Console(trace.clone(), TRACE_LINES));
        }
        Some(Decoded::Unavailable { reason }) => {
            let line = own("No source lines: no debug information, because ");
            to.push(Block::Paragraph(line.text(reason, CELL).own(".")));
        }
        None => {}
    }
    if let Some(vmcore) = &evidence.vmcore {
        let path = format!("{}/{}", trial.directory, vmcore.path);
        let line = own("Memory dump: ").code(&path).own(" (").text(&vmcore.format, CELL);
        let line = line.own(format!(", {} bytes, SHA-256 ", vmcore.bytes)).code(&vmcore.sha256);
        let line = match &vmcore.build_id {
            Some(id) => line.own("), build id ").code(id),
            None => line.own(")"),
        };
        let opens = ". It opens in `crash` with the vmlinux of that build: ";
        to.push(Block::Paragraph(line.own(opens).code(&format!("crash VMLINUX {path}"))));
    }
}

/// Says how a trial's symptom compares with the one that is looked for.
pub(crate) fn matching(trial: &Trial) -> Option<String> {
    let matching = trial.matching.as_ref().filter(|matching| matching.how != Match::Different)?;
    Some(format!("matches: {}", words::matching(matching)))
}

/// Adds the failures that are not the one that is looked for: they did not move the search, and are
/// somebody's bug all the same.
pub(crate) fn unrelated(to: &mut Vec<Block>, result: &BisectResult) {
    let other = |trial: &&Trial| {
        trial.matching.as_ref().is_some_and(|matching| matching.how == Match::Different)
    };
    let rows: Vec<Vec<Line>> = result
        .trials
        .iter()
        .filter(other)
        .filter_map(|trial| {
            let symptom = trial.symptom.as_ref()?;
            Some(vec![
                own(trial.number),
                text(trial.kernel.label(), CELL),
                own(symptom.kind),
                text(&symptom.title, CELL),
                code(&trial.directory),
            ])
        })
        .collect();
    if !rows.is_empty() {
        to.push(heading("Other failures"));
        let why = "Not the failure that was looked for, so these trials gave no answer:";
        to.push(Block::Paragraph(own(why)));
        to.push(table(["trial", "version", "kind", "title", "folder"], rows));
    }
}
