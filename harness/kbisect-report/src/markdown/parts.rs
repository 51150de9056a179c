//! Sections that the reports share.

use std::collections::BTreeSet;
use std::fmt::Write;

use kbisect_core::kernel::Kernel;
use kbisect_core::run::Environment;
use kbisect_core::trial::{CheckResult, CheckStatus, ConsoleReport, Symptom, TrialRecord};

use super::evidence;
use super::tables::{CELL, put, table};
use crate::disturbed::disturbed;
use crate::story::duration;
use crate::text::{block, code, code_cell, prose};

/// Most characters of a text from a guest in a paragraph.
const PARAGRAPH: usize = 1200;
/// Most lines of a console report; the rest is in its file.
const CONSOLE_LINES: usize = 80;
/// Most console reports that are shown whole: the first one is the bug, later ones follow from it.
const CONSOLE_REPORTS: usize = 2;
/// Most hop lines.
const HOP_LINES: usize = 40;

/// `kind: title`, the form in which symptoms are compared.
pub(super) fn symptom(symptom: &Symptom) -> String {
    prose(&symptom.to_string(), CELL)
}

/// What was seen in a failed trial: the symptom with its numbers, hop by hop, on the console.
pub(crate) fn seen(to: &mut String, trial: &TrialRecord) {
    if let Some(symptom) = &trial.symptom {
        let place = symptom.place.as_deref().map(|place| format!(" (at {})", prose(place, CELL)));
        let place = place.unwrap_or_default();
        put!(to, "{}{place}: {}", symptom.kind, prose(&symptom.detail, PARAGRAPH));
        put!(to);
    }
    if !trial.hops.is_empty() {
        put!(to, "Frames of the failed connection, as the harness carried them:");
        put!(to);
        put!(to, "{}", block(&trial.hops.join("\n"), "text", HOP_LINES));
    }
    if !trial.counters.is_empty() {
        put!(to, "Counters of the kernel under test that tell of losses, from set-up to end:");
        put!(to);
        put!(to, "{}", block(&trial.counters.join("\n"), "text", HOP_LINES));
    }
    if !trial.state.is_empty() {
        put!(
            to,
            "Rules that counted packets, and what connection tracking knows of the failed connections:"
        );
        put!(to);
        put!(to, "{}", block(&trial.state.join("\n"), "text", HOP_LINES));
    }
    let reports = telling(trial);
    for report in reports.iter().take(CONSOLE_REPORTS) {
        put!(
            to,
            "Console, line {}, phase {}: {}",
            report.line,
            report.phase,
            prose(&report.title, CELL)
        );
        put!(to);
        put!(to, "{}", block(&report.text, "text", CONSOLE_LINES));
    }
    if reports.len() > CONSOLE_REPORTS {
        let titles = reports[CONSOLE_REPORTS..].iter();
        let titles: Vec<String> = titles.map(|report| prose(&report.title, 100)).take(10).collect();
        put!(to, "Later reports on the same console: {}", titles.join("; "));
        put!(to);
    }
    evidence::crash(to, trial);
    let disturbed = disturbed(&trial.disturbed);
    let notes: Vec<&String> = disturbed.iter().chain(&trial.notes).collect();
    for note in &notes {
        put!(to, "- {}", prose(note, PARAGRAPH));
    }
    if !notes.is_empty() {
        put!(to);
    }
}

/// Reports to show: those that came with the failure first in the order of the log.
fn telling(trial: &TrialRecord) -> Vec<&ConsoleReport> {
    let title = trial.symptom.as_ref().map(|symptom| symptom.title.as_str());
    let first = trial.reports.iter().position(|report| Some(report.title.as_str()) == title);
    trial.reports.iter().skip(first.unwrap_or(0)).collect()
}

/// A check in a cell.
pub(super) fn check(check: Option<&CheckResult>) -> String {
    let Some(check) = check else { return "-".to_owned() };
    let word = match check.status {
        CheckStatus::Pass => "pass",
        CheckStatus::Fail => "**fail**",
        CheckStatus::Recorded => "fail (only recorded)",
        CheckStatus::NotRun => "not run",
    };
    match prose(&check.detail, CELL) {
        detail if detail.is_empty() => word.to_owned(),
        detail => format!("{word}: {detail}"),
    }
}

/// The kernels exactly: what a second person needs to get the same ones.
pub(super) fn kernels(to: &mut String, rows: &[(String, &Kernel)]) {
    let rows = rows.iter().map(|(role, kernel)| {
        vec![
            role.clone(),
            code_cell(kernel.label()),
            code_cell(kernel.package_version.as_str()),
            code_cell(&kernel.flavour),
            code_cell(&kernel.source),
            code_cell(&kernel.id.0),
        ]
    });
    table(to, &["kernel", "version", "package version", "flavour", "source", "id (SHA-256)"], rows);
}

/// Where it ran.
pub(super) fn environment(to: &mut String, environment: &Environment, tool_version: &str) {
    let accelerator = match (environment.accelerator.as_str(), &environment.accelerator_reason) {
        (name, Some(reason)) if name != "kvm" => {
            format!("{} (not KVM: {})", prose(name, CELL), prose(reason, CELL))
        }
        (name, _) => prose(name, CELL),
    };
    let rows = [
        ("kbisect", code_cell(tool_version)),
        ("QEMU", code_cell(&environment.qemu)),
        ("accelerator", accelerator),
        ("host", format!("{}, {} CPUs", code_cell(&environment.host), environment.cpus)),
        ("root image", code_cell(&environment.image)),
        ("placement", code_cell(&environment.placement)),
    ];
    table(to, &["", ""], rows.map(|(name, value)| vec![name.to_owned(), value]));
}

/// Seconds by phase, in the order of the phases.
pub(super) fn phases(trial: &TrialRecord) -> String {
    let phases = kbisect_core::trial::Phase::ALL.iter().filter_map(|phase| {
        let seconds = trial.timings_s.get(&phase.to_string())?;
        Some(format!("{phase} {}", duration(*seconds)))
    });
    phases.collect::<Vec<_>>().join(", ")
}

/// Files of a trial that are worth a look: path in the run's folder, and what it is.
pub(super) fn trial_files(trial: &TrialRecord, whose: &str) -> Vec<Vec<String>> {
    let path = |name: &str| code_cell(&format!("{}/{name}", trial.directory));
    let mut rows =
        vec![vec![path("candidate/console.log"), format!("console of the {whose} kernel")]];
    let wires: BTreeSet<&str> = trial.wires.iter().map(|count| count.wire.as_str()).collect();
    for wire in wires {
        let what = format!("every frame on wire {}, {whose} kernel", prose(wire, CELL));
        rows.push(vec![path(&format!("wires/{wire}.pcapng")), what]);
    }
    if trial.timings_s.contains_key("collect") {
        rows.push(vec![path("collect/"), format!("network state afterwards, {whose} kernel")]);
    }
    rows.extend(evidence::files(trial, whose));
    rows
}

/// A command to paste.
pub(super) fn command(to: &mut String, what: &str, command: &str) {
    put!(to, "{what}");
    put!(to);
    put!(to, "{}", block(command, "sh", 20));
}

/// A list of paragraphs from elsewhere.
pub(super) fn list(to: &mut String, texts: &[String]) {
    for text in texts {
        put!(to, "- {}", prose(text, PARAGRAPH));
    }
    if !texts.is_empty() {
        put!(to);
    }
}

/// A path in the text.
pub(super) fn path(path: &str) -> String {
    code(path)
}
