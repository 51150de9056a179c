//! The report of a check in Markdown.

use std::fmt::Write;

use kbisect_core::gate::{Cell, GateResult, Map, Standing};

use super::words;
use crate::dossier::as_kbisect;
use crate::markdown::{put, table};
use crate::story::duration;
use crate::text::{code, command_line, line, prose};

/// Most characters of a cell.
const CELL: usize = 400;

/// Writes the report of a check.
#[must_use]
pub fn markdown_check(result: &GateResult) -> String {
    let mut to = String::new();
    put!(to, "# {}", prose(&words::heading(result), CELL));
    put!(to);
    put!(to, "**The check {}: {}.**", words::outcome(result), words::counts(result));
    put!(to);
    if let Some(reason) = &result.reason {
        put!(to, "It has no answer for all: {}.", prose(reason, 1500));
        put!(to);
    }
    for map in &result.maps {
        history(&mut to, result, map);
    }
    if result.maps.is_empty() {
        matrix(&mut to, result);
    }
    failures(&mut to, result);
    conditions(&mut to, result);
    to
}

fn history(to: &mut String, result: &GateResult, map: &Map) {
    put!(to, "## Map of {}", prose(&map.scenario, CELL));
    put!(to);
    put!(to, "{}.", prose(&words::answers(map), CELL));
    put!(to);
    let row = |series: &kbisect_core::gate::MapSeries| {
        let signs: String = series.kernels.iter().map(|kernel| kernel.answer.sign()).collect();
        vec![prose(&series.series, CELL), code(&signs), prose(&words::series(series), 2000)]
    };
    table(to, &["series", "kernels, oldest first", "in words"], map.series.iter().map(row));
    let signs = kbisect_core::gate::Answer::ALL
        .map(|answer| format!("{} {}", code(&answer.sign().to_string()), answer.word()));
    put!(to, "{}", signs.join(", "));
    put!(to);
    if !map.changes.is_empty() {
        put!(to, "### Change points");
        put!(to);
        for change in &map.changes {
            put!(to, "- {}", prose(&words::change(change), 2000));
            if let Some(command) = words::bisect_command(map, change) {
                put!(to, "  Next: {}", code(&command));
            }
        }
        put!(to);
    }
    if let Some(remark) = words::remark(map) {
        put!(to, "{}", prose(&remark, 1000));
        put!(to);
    }
    put!(to, "### Every kernel");
    put!(to);
    let rows = map.kernels().map(|kernel| {
        let why = match (&kernel.symptom, &kernel.reason) {
            (Some(symptom), _) => symptom.to_string(),
            (None, Some(reason)) => reason.clone(),
            (None, None) => String::new(),
        };
        let record = result
            .trials
            .iter()
            .map(|trial| &trial.record)
            .find(|record| Some(record.number) == kernel.trial);
        vec![
            prose(&kernel.label, CELL),
            code(kernel.package_version.as_str()),
            kernel.answer.word().to_owned(),
            record.map(|record| format!("{:.1}", record.wall_s)).unwrap_or_default(),
            prose(&why, CELL),
        ]
    });
    table(to, &["kernel", "package", "answer", "seconds", "symptom or reason"], rows);
    let unanswered = words::unanswered(map);
    if !unanswered.is_empty() {
        put!(to, "### What has no answer, and why");
        put!(to);
        for reason in unanswered {
            put!(to, "- {}", prose(&reason, 4000));
        }
        put!(to);
    }
}

fn matrix(to: &mut String, result: &GateResult) {
    put!(to, "## Kernels");
    put!(to);
    let rows = result.cells.iter().map(|cell| {
        let note = if cell.under_test { "" } else { " (baseline)" };
        vec![
            prose(cell.kernel.package_version.as_str(), CELL) + note,
            prose(&cell.scenario, CELL),
            words_of(cell).to_owned(),
            prose(cell.reason.as_deref().unwrap_or_default(), CELL),
        ]
    });
    table(to, &["kernel", "scenario", "standing", "why"], rows);
}

pub(super) fn words_of(cell: &Cell) -> &'static str {
    match cell.standing {
        Standing::AlreadyBroken if !cell.under_test => "fails",
        standing => standing.word(),
    }
}

/// What regressed, each with its evidence; of a map only the first kernel of each failure.
fn failures(to: &mut String, result: &GateResult) {
    let regressed: Vec<&Cell> =
        result.cells.iter().filter(|cell| cell.standing == Standing::Regressed).collect();
    let shown = shown(&regressed);
    if shown.is_empty() {
        return;
    }
    put!(to, "## Failures");
    put!(to);
    if shown.len() < regressed.len() {
        put!(to, "{} fail; the first kernel of each failure is shown.", regressed.len());
        put!(to);
    }
    for cell in shown {
        let Some(trial) = result.trial(cell) else { continue };
        let (kernel, scenario) = (&cell.kernel.package_version, &cell.scenario);
        put!(to, "### {} with {}", prose(kernel.as_str(), CELL), prose(scenario, CELL));
        put!(to);
        crate::markdown::seen(to, trial);
        put!(to, "Repeat it: {}. Evidence: {}", code(&trial.repeat), code(&trial.directory));
        put!(to);
    }
}

/// The first cell of each scenario and failure.
pub(super) fn shown<'a>(regressed: &[&'a Cell]) -> Vec<&'a Cell> {
    let mut shown: Vec<&Cell> = Vec::new();
    for cell in regressed {
        let same = |other: &Cell| {
            other.scenario == cell.scenario
                && match (&other.symptom, &cell.symptom) {
                    (Some(one), Some(two)) => {
                        one.matching(two).how != kbisect_core::trial::Match::Different
                    }
                    _ => false,
                }
        };
        if !shown.iter().any(|other| same(other)) {
            shown.push(cell);
        }
    }
    shown
}

/// When, where and with what.
pub(super) fn facts(result: &GateResult) -> Vec<(&'static str, String)> {
    let (plan, host) = (&result.plan, &result.environment);
    let mut facts = vec![
        ("began", words::began(result).unwrap_or_else(|| "no trial was made".to_owned())),
        ("took", format!("{}, {} trials", duration(result.wall_s), result.trials.len())),
        ("kbisect", plan.tool_version.clone()),
    ];
    if let Some(baseline) = &plan.baseline {
        facts.push(("baseline", format!("{} ({})", baseline.package_version, baseline.source)));
    }
    facts.push(("reference kernel", plan.reference.package_version.to_string()));
    for scenario in &plan.scenarios {
        facts.push((
            "scenario",
            format!("{}: {} (SHA-256 {})", scenario.name, scenario.summary, scenario.sha256),
        ));
    }
    let why = host.accelerator_reason.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
    facts.push((
        "machines",
        format!("QEMU {}, {}{why}, {}", host.qemu, host.accelerator, host.placement),
    ));
    facts.push(("host", format!("{}, {} processors", host.host, host.cpus)));
    facts.push(("root image", host.image.clone()));
    facts.into_iter().map(|(name, value)| (name, line(&value, 1000))).collect()
}

fn conditions(to: &mut String, result: &GateResult) {
    put!(to, "## When and with what");
    put!(to);
    table(
        to,
        &["", ""],
        facts(result).into_iter().map(|(name, value)| vec![name.to_owned(), prose(&value, 1000)]),
    );
    put!(to, "Again:");
    put!(to);
    put!(to, "    {}", line(&command_line(&as_kbisect(&result.plan.command)), 2000));
}
