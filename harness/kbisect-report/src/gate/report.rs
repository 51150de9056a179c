//! The report of a check, for every form that is a document.

use kbisect_core::gate::{
    Answer, Cell, GateOutcome, GateResult, Map, MapKernel, Standing, WaysAnswer,
};
use kbisect_core::trial::Match;

use super::{svg_map, words};
use crate::document::{Block, Document, Line, Tone, code, heading, own, table, text};
use crate::print;
use crate::sections::seen;
use crate::story::duration;
use crate::text::{as_kbisect, command_line};
use crate::words::{follows, grounds, states_differ, trials_reused, ways_table};

/// Most characters of a cell.
const CELL: usize = 400;

/// Writes the report of a check in Markdown.
#[must_use]
pub fn markdown_check(result: &GateResult) -> String {
    print::markdown(&report(result))
}

/// Writes the report of a check as one HTML file: no script, nothing fetched.
#[must_use]
pub fn html_check(result: &GateResult) -> String {
    print::html(&report(result), &result.plan.tool_version)
}

fn report(result: &GateResult) -> Document {
    let tone = match result.outcome {
        GateOutcome::Passed => Tone::Good,
        GateOutcome::Regressed | GateOutcome::AlreadyBroken => Tone::Bad,
        GateOutcome::NotTested | GateOutcome::ScenarioError | GateOutcome::Aborted => Tone::Other,
    };
    let lead = format!("The check {}: {}.", words::outcome(result), words::counts(result));
    let mut blocks = vec![Block::Lead(tone, own(lead))];
    if let Some(reason) = &result.reason {
        let line = own("It has no answer for all: ").text(reason, 1500).own(".");
        blocks.push(Block::Paragraph(line));
    }
    let figure = |svg| Block::Drawing(format!("<figure class=\"scroll\">{svg}</figure>"));
    blocks.extend(svg_map(result).map(figure));
    for map in &result.maps {
        history(&mut blocks, result, map);
    }
    if result.maps.is_empty() {
        matrix(&mut blocks, result);
    }
    for answer in &result.ways {
        ways(&mut blocks, answer);
    }
    failures(&mut blocks, result);
    blocks.push(heading("When and with what"));
    let facts = facts(result).into_iter().map(|(name, value)| vec![own(name), text(&value, 1000)]);
    blocks.push(table(["", ""], facts));
    blocks.push(Block::Paragraph(own("Again:")));
    blocks.push(Block::Command(command_line(&as_kbisect(&result.plan.command))));
    Document { title: words::heading(result), blocks }
}

fn history(to: &mut Vec<Block>, result: &GateResult, map: &Map) {
    to.push(Block::Heading(2, own("Map of ").text(&map.scenario, CELL)));
    to.push(Block::Paragraph(text(&words::answers(map), CELL).own(".")));
    let rows = map.series.iter().map(|series| {
        let signs: String = series.kernels.iter().map(|kernel| kernel.answer.sign()).collect();
        vec![text(&series.series, CELL), code(&signs), text(&words::series(series), 2000)]
    });
    to.push(table(["series", "kernels, oldest first", "in words"], rows));
    let legend = Answer::ALL.iter().fold(Line::default(), |line, answer| {
        let line = if line.0.is_empty() { line } else { line.own(", ") };
        line.code(&answer.sign().to_string()).own(" ").own(answer.word())
    });
    to.push(Block::Paragraph(legend));
    if !map.changes.is_empty() {
        to.push(Block::Heading(3, own("Change points")));
        let changes = map.changes.iter().map(|change| {
            let line = text(&words::change(change), 2000);
            match words::bisect_command(map, change) {
                Some(command) => line.own(". Next: ").code(&command),
                None => line,
            }
        });
        to.push(Block::List(changes.collect()));
    }
    to.extend(words::remark(map).map(|remark| Block::Paragraph(text(&remark, 1000))));
    to.push(Block::Heading(3, own("Every kernel")));
    let rows = map.kernels().map(|kernel| of_kernel(result, kernel));
    to.push(table(["kernel", "package", "answer", "seconds", "symptom or reason"], rows));
    let unanswered = words::unanswered(map);
    if !unanswered.is_empty() {
        to.push(Block::Heading(3, own("What has no answer, and why")));
        to.push(Block::List(unanswered.iter().map(|reason| text(reason, 4000)).collect()));
    }
}

fn of_kernel(result: &GateResult, kernel: &MapKernel) -> Vec<Line> {
    let tone = match kernel.answer {
        Answer::Good => Tone::Good,
        Answer::Bad => Tone::Bad,
        Answer::Skip | Answer::LeftOut | Answer::None => Tone::Other,
    };
    let why = kernel.symptom.as_ref().map(ToString::to_string).or_else(|| kernel.reason.clone());
    let records = result.trials.iter().map(|trial| &trial.record);
    let record = records.into_iter().find(|record| Some(record.number) == kernel.trial);
    vec![
        text(&kernel.label, CELL),
        code(kernel.package_version.as_str()),
        Line::default().word(tone, kernel.answer.word()),
        own(record.map(|record| format!("{:.1}", record.wall_s)).unwrap_or_default()),
        text(&why.unwrap_or_default(), CELL),
    ]
}

fn matrix(to: &mut Vec<Block>, result: &GateResult) {
    to.push(heading("Kernels"));
    let rows = result.cells.iter().map(|cell| {
        let tone = match cell.standing {
            Standing::Good | Standing::Fixed => Tone::Good,
            Standing::Regressed if cell.under_test => Tone::Bad,
            Standing::Regressed
            | Standing::AlreadyBroken
            | Standing::NotTested
            | Standing::NoAnswer
            | Standing::ScenarioError => Tone::Other,
        };
        let word = match cell.standing {
            Standing::AlreadyBroken | Standing::Regressed if !cell.under_test => "fails",
            standing => standing.word(),
        };
        let baseline = result.plan.baseline.as_ref();
        let is_baseline = baseline.is_some_and(|baseline| baseline.id == cell.kernel.id);
        let note = if is_baseline && !cell.under_test { " (baseline)" } else { "" };
        vec![
            text(cell.kernel.package_version.as_str(), CELL).own(note),
            text(&cell.scenario, CELL),
            Line::default().word(tone, word),
            own(result.trial(cell).map(|it| format!("{:.1}", it.wall_s)).unwrap_or_default()),
            text(cell.reason.as_deref().unwrap_or_default(), CELL),
        ]
    });
    to.push(table(["kernel", "scenario", "standing", "seconds", "why"], rows));
}

/// What a failure follows.
fn ways(to: &mut Vec<Block>, answer: &WaysAnswer) {
    to.push(Block::Heading(2, own("Ways of ").text(&answer.scenario, CELL)));
    to.push(Block::Paragraph(text(&follows(answer), 2000)));
    let (head, rows) = ways_table(answer);
    let cells = |row: Vec<String>| row.iter().map(|cell| text(cell, CELL)).collect::<Vec<_>>();
    to.push(Block::Table(cells(head), rows.into_iter().map(cells).collect()));
    let states = answer.states.iter().flat_map(states_differ);
    let why = grounds(answer).into_iter().chain(states);
    to.push(Block::List(why.map(|line| text(&line, 4000)).collect()));
}

/// What regressed, each with its evidence; of a map only the first kernel of each failure.
fn failures(to: &mut Vec<Block>, result: &GateResult) {
    let regressed =
        result.cells.iter().filter(|cell| cell.under_test && cell.standing == Standing::Regressed);
    let regressed: Vec<&Cell> = regressed.collect();
    let shown = shown(&regressed);
    if shown.is_empty() {
        return;
    }
    to.push(heading("Failures"));
    if shown.len() < regressed.len() {
        let all = regressed.len();
        let line = format!("{all} fail; the first kernel of each failure is shown.");
        to.push(Block::Paragraph(own(line)));
    }
    for cell in shown {
        let Some(trial) = result.trial(cell) else { continue };
        let kernel = text(cell.kernel.package_version.as_str(), CELL);
        to.push(Block::Heading(3, kernel.own(" with ").text(&cell.scenario, CELL)));
        seen(to, trial);
        let repeat = own("Repeat it: ").code(&trial.repeat).own(". Evidence: ");
        to.push(Block::Paragraph(repeat.code(&trial.directory)));
    }
}

/// The first cell of each scenario and failure.
fn shown<'a>(regressed: &[&'a Cell]) -> Vec<&'a Cell> {
    let mut shown: Vec<&Cell> = Vec::new();
    for cell in regressed {
        let same = |other: &Cell| {
            other.scenario == cell.scenario
                && match (&other.symptom, &cell.symptom) {
                    (Some(one), Some(two)) => one.matching(two).how != Match::Different,
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
fn facts(result: &GateResult) -> Vec<(&'static str, String)> {
    let (plan, host) = (&result.plan, &result.environment);
    let mut facts = vec![
        ("began", words::began(result).unwrap_or_else(|| "no trial was made".to_owned())),
        ("took", format!("{}, {} trials", duration(result.wall_s), result.trials.len())),
        ("kbisect", plan.tool_version.clone()),
    ];
    let reused = result.trials.iter().filter(|trial| trial.record.reused.is_some()).count();
    facts.extend(trials_reused(reused).map(|told| ("reused", told)));
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
    facts
}
