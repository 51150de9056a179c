//! The report of one trial.

use kbisect_core::run::RunResult;
use kbisect_core::trial::{Phase, TrialRecord, Verdict};

use crate::commands::WITH_SHELL;
use crate::document::{Block, CELL, Document, Tone, heading, own, table, text};
use crate::print;
use crate::sections;
use crate::story::{boot, came_up, deadlines, duration};
use crate::words;

/// Writes the report of one trial, to be saved as `report.md`.
#[must_use]
pub fn markdown_run(result: &RunResult) -> String {
    let trial = &result.trial;
    let (scenario, label) = (&result.scenario, trial.kernel.label());
    let mut blocks = Vec::new();
    let to = &mut blocks;
    verdict(to, scenario, trial);
    let shows = !trial.hops.is_empty()
        || !trial.reports.is_empty()
        || !trial.notes.is_empty()
        || !trial.disturbed.is_empty();
    if trial.symptom.is_some() || shows {
        to.push(heading("What was seen"));
        sections::seen(to, trial);
    } else if !trial.evidence.rules.is_empty() {
        to.push(heading("What was seen"));
        sections::rules_counted(to, trial);
    }
    if !trial.checks.is_empty() {
        to.push(heading("Checks"));
        let rows = trial.checks.iter().map(|check| {
            let seconds = own(format!("{:.1}", check.wall_s));
            vec![text(&check.name, CELL), sections::check(Some(check)), seconds]
        });
        to.push(table(["check", "result", "seconds"], rows));
    }
    if let Some(rates) = &result.rates {
        sections::rates(to, rates);
    }
    if !trial.wires.is_empty() {
        to.push(heading("Frames"));
        let rows = trial.wires.iter().map(|count| {
            let names = [&count.wire, &count.from].map(|name| text(name, CELL));
            let counts = [count.frames, count.bytes, count.undelivered].map(own);
            names.into_iter().chain(counts).collect()
        });
        to.push(table(["wire", "from", "frames", "bytes", "undelivered"], rows));
    }
    to.push(heading("Environment"));
    let (took, phases) = (duration(trial.wall_s), phases(trial));
    to.push(Block::Paragraph(own(format!("Time: {took}{} ({phases})", came_up(trial)))));
    for (name, told) in [("Boot: ", boot(trial)), ("Deadlines: ", deadlines(trial))] {
        to.extend(told.map(|told| Block::Paragraph(own(name).text(&told, CELL))));
    }
    if let Some(release) = &trial.release {
        to.push(Block::Paragraph(own("The guest called its kernel ").code(release).own(".")));
    }
    to.push(sections::environment(&result.environment, &result.tool_version, []));
    to.push(sections::kernels([("candidate", &trial.kernel)]));
    let shell = format!("{} --shell", trial.repeat);
    sections::commands(to, &[("The trial", trial.repeat.clone()), (WITH_SHELL, shell)]);
    let own_files = [("report.md", "this report"), ("result.json", "the same for programs")];
    sections::files(to, &result.run_dir, &own_files, &[(trial, "tested")]);
    print::markdown(&Document {
        title: format!("{scenario} on {label}: {}", trial.verdict().word()),
        blocks,
    })
}

fn verdict(to: &mut Vec<Block>, scenario: &str, trial: &TrialRecord) {
    let verdict = words::verdict_of_trial(scenario, trial);
    to.push(Block::Lead(Tone::Other, text(&verdict, 1200)));
    match trial.verdict() {
        Verdict::Bad(symptom) => {
            to.push(Block::Paragraph(own("Symptom: ").text(&symptom.to_string(), CELL)));
        }
        Verdict::Scenario(fault) => {
            to.push(Block::Paragraph(own("What to do: ").text(&fault.hint(), 1000).own(".")));
        }
        Verdict::Good | Verdict::Skip(_) | Verdict::Infra(_) => {}
    }
}

/// Seconds by phase, in the order of the phases.
fn phases(trial: &TrialRecord) -> String {
    let phases = Phase::ALL.iter().filter_map(|phase| {
        let seconds = trial.timings_s.get(&phase.to_string())?;
        Some(format!("{phase} {}", duration(*seconds)))
    });
    phases.collect::<Vec<_>>().join(", ")
}
