//! The report of one trial.

use std::fmt::Write;

use kbisect_core::run::RunResult;
use kbisect_core::trial::Verdict;

use super::parts;
use super::tables::{CELL, put, table};
use crate::story::{boot, came_up, deadlines, duration};
use crate::text::{code, prose};

/// Writes the report of one trial, to be saved as `report.md`.
#[must_use]
pub fn markdown_run(result: &RunResult) -> String {
    let trial = &result.trial;
    let verdict = trial.verdict();
    let (scenario, label) = (prose(&result.scenario, CELL), prose(trial.kernel.label(), CELL));
    let mut to = String::new();
    put!(to, "# {scenario} on {label}: {}", verdict.word());
    put!(to);
    match &verdict {
        Verdict::Good => put!(to, "**Scenario {scenario} passes on {label}.**"),
        Verdict::Bad(symptom) => {
            put!(to, "**Scenario {scenario} fails on {label}.**");
            put!(to);
            put!(to, "Symptom: {}", parts::symptom(symptom));
        }
        Verdict::Skip(reason) => {
            put!(to, "**{label} cannot answer: {}.**", prose(&reason.to_string(), 1000));
        }
        Verdict::Infra(reason) => {
            put!(
                to,
                "**No verdict: kbisect or the host failed: {}.**",
                prose(&reason.to_string(), 1000)
            );
        }
        Verdict::Scenario(fault) => {
            put!(to, "**Scenario error: {}.**", prose(&fault.to_string(), 1000));
            put!(to);
            put!(to, "What to do: {}.", prose(&fault.hint(), 1000));
        }
    }
    put!(to);
    let shows = !trial.hops.is_empty()
        || !trial.reports.is_empty()
        || !trial.notes.is_empty()
        || !trial.disturbed.is_empty();
    if trial.symptom.is_some() || shows {
        put!(to, "## What was seen");
        put!(to);
        parts::seen(&mut to, trial);
    }
    if !trial.checks.is_empty() {
        put!(to, "## Checks");
        put!(to);
        let rows = trial.checks.iter().map(|check| {
            vec![
                prose(&check.name, CELL),
                parts::check(Some(check)),
                format!("{:.1}", check.wall_s),
            ]
        });
        table(&mut to, &["check", "result", "seconds"], rows);
    }
    if !trial.wires.is_empty() {
        put!(to, "## Frames");
        put!(to);
        let rows = trial.wires.iter().map(|count| {
            vec![
                prose(&count.wire, CELL),
                prose(&count.from, CELL),
                count.frames.to_string(),
                count.bytes.to_string(),
                count.undelivered.to_string(),
            ]
        });
        table(&mut to, &["wire", "from", "frames", "bytes", "undelivered"], rows);
    }
    put!(to, "## Environment");
    put!(to);
    put!(to, "Time: {}{} ({})", duration(trial.wall_s), came_up(trial), parts::phases(trial));
    for (name, told) in [("Boot", boot(trial)), ("Deadlines", deadlines(trial))] {
        if let Some(told) = told {
            put!(to, "\n{name}: {}", prose(&told, CELL));
        }
    }
    put!(to);
    if let Some(release) = &trial.release {
        put!(to, "The guest called its kernel {}.", code(release));
        put!(to);
    }
    parts::environment(&mut to, &result.environment, &result.tool_version);
    parts::kernels(&mut to, &[("candidate".to_owned(), &trial.kernel)]);
    put!(to, "## How to repeat");
    put!(to);
    parts::command(&mut to, "The trial:", &trial.repeat);
    let shell = format!("{} --shell", trial.repeat);
    parts::command(&mut to, "The same with a shell at the point of failure:", &shell);
    put!(to, "## Files");
    put!(to);
    put!(to, "In {}:", parts::path(&result.run_dir));
    put!(to);
    let own = [("report.md", "this report"), ("result.json", "the same for programs")];
    let mut rows: Vec<Vec<String>> =
        own.iter().map(|(name, what)| vec![code(name), (*what).to_owned()]).collect();
    rows.extend(parts::trial_files(trial, "tested"));
    table(&mut to, &["file", "what"], rows);
    to.truncate(to.trim_end().len());
    to.push('\n');
    to
}
