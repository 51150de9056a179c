//! The report of a bisection.

use std::collections::BTreeSet;
use std::fmt::Write;

use kbisect_core::answer::Trial;
use kbisect_core::kernel::Kernel;
use kbisect_core::run::{BisectResult, OutcomeWord};

use super::evidence;
use super::parts;
use super::tables::{CELL, put, table};
use crate::changed;
use crate::dossier::as_kbisect;
use crate::doubt;
use crate::extra::Extra;
use crate::journal::JOURNAL_NAME;
use crate::story::{Story, came_up, count, duration, is_other_failure};
use crate::text::{code, code_cell, command_line, prose};

/// Writes the report of a bisection, to be saved as `report.md`. It says the same whenever it is
/// made from the same journal.
#[must_use]
pub fn markdown(result: &BisectResult, extra: &Extra) -> String {
    let story = Story { result };
    let mut to = String::new();
    put!(to, "# {}: {}", prose(&result.scenario, CELL), prose(&story.heading(), CELL));
    put!(to);
    verdict(&mut to, &story);
    what_was_seen(&mut to, &story);
    side_by_side(&mut to, &story);
    changes(&mut to, result);
    series(&mut to, &story);
    trials(&mut to, &story);
    evidence::unrelated(&mut to, result);
    confidence(&mut to, &story, extra);
    environment(&mut to, &story, extra);
    repeat(&mut to, &story, extra);
    files(&mut to, &story);
    to.truncate(to.trim_end().len());
    to.push('\n');
    to
}

fn verdict(to: &mut String, story: &Story<'_>) {
    let result = story.result;
    put!(to, "**{}**", prose(&story.verdict(), 1000));
    put!(to);
    if let Some(symptom) = &result.symptom {
        put!(to, "Symptom: {}", parts::symptom(symptom));
        put!(to);
    }
    for remark in story.remarks() {
        put!(to, "{}", prose(&remark, 1000));
        put!(to);
    }
    if let Some(resume) = story.resume() {
        put!(to, "To go on: {}", code(&resume));
        put!(to);
    }
    let sides = story.sides();
    if !sides.is_empty() {
        let rows = sides.iter().map(|side| {
            let mut row = vec![side.label.to_owned()];
            row.extend(identity(side.kernel));
            row
        });
        table(to, &["", "version", "package version", "source", "id"], rows);
    }
    if result.outcome == OutcomeWord::Range {
        put!(to, "Possible culprits, oldest first:");
        put!(to);
        for kernel in &result.candidates {
            let [version, package, source, _] = identity(kernel);
            put!(to, "- {version} ({package}, {source})");
        }
        put!(to);
    }
}

/// Version, package version, source and short id as cells.
fn identity(kernel: &Kernel) -> [String; 4] {
    [
        prose(kernel.label(), CELL),
        code_cell(kernel.package_version.as_str()),
        code_cell(&kernel.source),
        code_cell(kernel.id.short()),
    ]
}

fn what_was_seen(to: &mut String, story: &Story<'_>) {
    let Some(trial) = story.shown_trial() else { return };
    put!(to, "## What was seen");
    put!(to);
    put!(
        to,
        "Kernel {}, trial {}, folder {}:",
        prose(&story.label(&trial.kernel), CELL),
        trial.number,
        parts::path(&trial.directory)
    );
    put!(to);
    parts::seen(to, trial);
}

/// Checks and frames of the good and the bad neighbour.
fn side_by_side(to: &mut String, story: &Story<'_>) {
    let (Some(good), Some(bad)) = (story.good_trial(), story.shown_trial()) else { return };
    put!(to, "## Good and bad side by side");
    put!(to);
    let good_label = format!("{} (good)", prose(&story.label(&good.kernel), CELL));
    let bad_label = format!("{} (bad)", prose(&story.label(&bad.kernel), CELL));
    let find = |trial: &Trial, name: &str| {
        parts::check(trial.checks.iter().find(|check| check.name == name))
    };
    let mut names: Vec<&str> = Vec::new();
    for check in good.checks.iter().chain(&bad.checks) {
        if !names.contains(&check.name.as_str()) {
            names.push(&check.name);
        }
    }
    let rows = names.iter().map(|name| vec![prose(name, CELL), find(good, name), find(bad, name)]);
    table(to, &["check", &good_label, &bad_label], rows);
    let frames = |trial: &Trial, wire: &str, from: &str| {
        trial.wires.iter().find(|count| count.wire == wire && count.from == from).map_or(
            "-".to_owned(),
            |count| match count.undelivered {
                0 => count.frames.to_string(),
                lost => format!("{} ({lost} undelivered)", count.frames),
            },
        )
    };
    let hops: BTreeSet<(&str, &str)> = good
        .wires
        .iter()
        .chain(&bad.wires)
        .map(|count| (count.wire.as_str(), count.from.as_str()))
        .collect();
    if !hops.is_empty() {
        let rows = hops.iter().map(|(wire, from)| {
            vec![
                format!("wire {} from {}", prose(wire, CELL), prose(from, CELL)),
                frames(good, wire, from),
                frames(bad, wire, from),
            ]
        });
        table(to, &["frames", &good_label, &bad_label], rows);
    }
}

/// What changed between the two sides, the most suspect first.
fn changes(to: &mut String, result: &BisectResult) {
    if result.changes.is_none() {
        return;
    }
    put!(to, "## What changed");
    put!(to);
    if let Some(why) = changed::unavailable(result) {
        put!(to, "{}", prose(&why, 1000));
        put!(to);
    }
    let Some(ranking) = changed::ranking(result) else { return };
    put!(to, "{} {}", prose(&changed::changes_sentence(ranking), 1000), changed::NO_PROOF);
    put!(to);
    let rows = ranking.top.iter().map(|ranked| {
        vec![
            ranked.rank.to_string(),
            prose(&changed::subject(ranked), CELL),
            prose(&ranked.origin(), CELL),
            prose(&ranked.because(), CELL),
        ]
    });
    table(to, &["rank", "change", "came with", "why here"], rows);
    parts::list(to, &ranking.notes);
    if let Some(sha256) = changed::checksum(ranking) {
        put!(to, "The package that was read has the SHA-256 {}.", code(sha256));
        put!(to);
    }
}

fn series(to: &mut String, story: &Story<'_>) {
    let series = &story.result.series;
    if series.is_empty() {
        return;
    }
    put!(to, "## Series");
    put!(to);
    let sides = story.sides();
    let rows = series.iter().map(|entry| {
        let side = sides.iter().find(|side| side.kernel.id == entry.kernel.id);
        let verdict = if is_other_failure(entry) {
            "bad, another failure".to_owned()
        } else {
            prose(entry.verdict.word(), CELL)
        };
        let verdict = match side {
            Some(side) => format!("**{verdict}** ({})", side.label),
            None => verdict,
        };
        let [version, package, source, _] = identity(&entry.kernel);
        vec![version, package, source, verdict, reason(entry.reason.as_deref())]
    });
    table(to, &["version", "package version", "source", "verdict", "reason"], rows);
}

fn reason(reason: Option<&str>) -> String {
    reason.map(|reason| prose(reason, CELL)).unwrap_or_default()
}

fn trials(to: &mut String, story: &Story<'_>) {
    let result = story.result;
    if result.trials.is_empty() {
        return;
    }
    put!(to, "## Trials");
    put!(to);
    let rows = result.trials.iter().map(|trial| {
        let why = match (&trial.symptom, &trial.reason) {
            (Some(symptom), Some(reason)) => {
                format!("{} ({})", parts::symptom(symptom), prose(reason, CELL))
            }
            (Some(symptom), None) => match evidence::matching(trial) {
                Some(matching) => format!("{} ({matching})", parts::symptom(symptom)),
                None => parts::symptom(symptom),
            },
            (None, why) => reason(why.as_deref()),
        };
        vec![
            trial.number.to_string(),
            prose(&story.label(&trial.kernel), CELL),
            prose(trial.verdict.word(), CELL),
            why,
            format!("{:.1}{}", trial.wall_s, came_up(trial)),
            code_cell(&trial.directory),
        ]
    });
    table(to, &["trial", "version", "verdict", "symptom or reason", "seconds", "folder"], rows);
    put!(to, "{} in {}.", count(result.trials.len(), "trial"), duration(result.wall_s));
    put!(to);
}

fn confidence(to: &mut String, story: &Story<'_>, extra: &Extra) {
    let result = story.result;
    put!(to, "## Confidence and warnings");
    put!(to);
    let statement = result.confidence.statement.trim_end_matches('.');
    put!(to, "{}: {}.", prose(&doubt::level(&result.confidence), CELL), prose(statement, 1000));
    put!(to);
    let beliefs = doubt::rows(result);
    if !beliefs.is_empty() {
        for text in doubt::sentences(result) {
            put!(to, "{}", prose(&text, CELL));
            put!(to);
        }
        let rows = beliefs
            .into_iter()
            .map(|row| vec![prose(&story.label(row.kernel), CELL), row.runs, row.bad, row.culprit]);
        table(to, &doubt::HEAD, rows);
    }
    let mut texts = Vec::new();
    let untested = story.untested();
    if story.found() && untested > 0 {
        let s = if untested == 1 { " was" } else { "s were" };
        texts.push(format!(
            "{untested} version{s} not tried: each is taken to behave as those around it. A failure that \
             comes and goes within the range would not show."
        ));
    }
    let skipped = story.without_answer();
    if !skipped.is_empty() {
        let labels: Vec<String> = skipped.iter().map(|entry| story.label(&entry.kernel)).collect();
        texts.push(format!("Without an answer: {}.", labels.join(", ")));
    }
    texts.extend(story.notices());
    texts.extend(result.warnings.iter().cloned());
    texts.extend(extra.notes.iter().cloned());
    if extra.resumed > 0 {
        texts.push(format!("The run was resumed {}.", count(extra.resumed, "time")));
    }
    parts::list(to, &texts);
}

fn environment(to: &mut String, story: &Story<'_>, extra: &Extra) {
    let result = story.result;
    put!(to, "## Environment");
    put!(to);
    if !extra.scenario_sha256.is_empty() {
        put!(
            to,
            "Scenario {}: {} (files: SHA-256 {})",
            prose(&result.scenario, CELL),
            prose(&extra.scenario_summary, CELL),
            code(&extra.scenario_sha256)
        );
        put!(to);
    }
    parts::environment(to, &result.environment, &result.tool_version);
    let mut kernels: Vec<(String, &Kernel)> = Vec::new();
    for side in story.sides() {
        kernels.push((side.label.to_owned(), side.kernel));
    }
    kernels.push(("reference nodes".to_owned(), &result.reference));
    parts::kernels(to, &kernels);
}

fn repeat(to: &mut String, story: &Story<'_>, extra: &Extra) {
    put!(to, "## How to repeat");
    put!(to);
    let fails = story.shown_trial().is_some();
    if let Some(repeat) = story.repeat() {
        let what = if fails { "The trial that fails:" } else { "The last trial:" };
        parts::command(to, what, repeat);
    }
    if let Some(repeat) = story.repeat().filter(|_| fails) {
        parts::command(
            to,
            "The same with a shell at the point of failure:",
            &format!("{repeat} --shell"),
        );
    }
    if let Some(good) = story.good_trial() {
        parts::command(to, "The trial that passes:", &good.repeat);
    }
    if !extra.command.is_empty() {
        parts::command(to, "The whole bisection:", &command_line(&as_kbisect(&extra.command)));
    }
}

fn files(to: &mut String, story: &Story<'_>) {
    let result = story.result;
    put!(to, "## Files");
    put!(to);
    put!(to, "In {}:", parts::path(&result.run_dir));
    put!(to);
    let own = [
        ("report.md", "this report"),
        ("result.json", "the same for programs"),
        (JOURNAL_NAME, "every event of the run"),
    ];
    let mut rows: Vec<Vec<String>> =
        own.iter().map(|(name, what)| vec![code(name), (*what).to_owned()]).collect();
    if let Some(bad) = story.shown_trial() {
        rows.extend(parts::trial_files(bad, "bad"));
    }
    if let Some(good) = story.good_trial() {
        rows.extend(parts::trial_files(good, "good"));
    }
    table(to, &["file", "what"], rows);
}
