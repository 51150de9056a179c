//! The report of a bisection.

use kbisect_core::kernel::Kernel;
use kbisect_core::run::{BisectResult, OutcomeWord};
use kbisect_core::trial::TrialRecord;

use crate::document::{Block, CELL, Document, Line, Tone, code, heading, own, table, text};
use crate::extra::Extra;
use crate::journal::JOURNAL_NAME;
use crate::print;
use crate::rules;
use crate::sections;
use crate::story::{Story, is_other_failure};

/// Writes the report of a bisection, to be saved as `report.md`. It says the same whenever it is
/// made from the same journal.
#[must_use]
pub fn markdown(result: &BisectResult, extra: &Extra) -> String {
    let story = Story { result };
    let mut blocks = Vec::new();
    let to = &mut blocks;
    verdict(to, &story);
    what_was_seen(to, &story);
    if let (Some(good), Some(bad)) = (story.good_trial(), story.shown_trial()) {
        to.push(heading("Good and bad side by side"));
        let trials = [good, bad].map(|trial| (story.label(&trial.kernel), trial));
        sections::side_by_side(to, &trials);
    }
    rules::scenario(to, Some(result), extra);
    sections::revert(to, result);
    sections::changes(to, result);
    sections::other_changes(to, result);
    sections::forgone(to, result);
    series(to, &story);
    sections::trials(to, result);
    sections::unrelated(to, result);
    sections::confidence(to, &story, extra);
    to.push(heading("Environment"));
    if !extra.scenario_sha256.is_empty() {
        let line = own("Scenario ").text(&result.scenario, CELL).own(": ");
        let line = line.text(&extra.scenario_summary, CELL).own(" (files: SHA-256 ");
        to.push(Block::Paragraph(line.code(&extra.scenario_sha256).own(")")));
    }
    to.push(sections::environment(&result.environment, &result.tool_version, []));
    let sides = story.sides().into_iter().map(|side| (side.label, side.kernel));
    to.push(sections::kernels(sides.chain([("reference nodes", &result.reference)])));
    sections::commands(to, &story.commands(story.good_trial(), extra));
    let own_files = [
        ("report.md", "this report"),
        ("result.json", "the same for programs"),
        (JOURNAL_NAME, "every event of the run"),
    ];
    let trials = [story.shown_trial(), story.good_trial()].into_iter().zip(["bad", "good"]);
    let trials: Vec<(&TrialRecord, &str)> =
        trials.filter_map(|(trial, whose)| Some((&trial?.record, whose))).collect();
    sections::files(to, &result.run_dir, &own_files, &trials);
    print::markdown(&Document {
        title: format!("{}: {}", result.scenario, story.heading()),
        blocks,
    })
}

fn verdict(to: &mut Vec<Block>, story: &Story<'_>) {
    let result = story.result;
    match story.headline() {
        Some(headline) => {
            to.push(Block::Lead(Tone::Other, text(&headline.sentences(), 1000)));
            to.push(Block::Paragraph(text(&story.verdict(), 1000)));
        }
        None => to.push(Block::Lead(Tone::Other, text(&story.verdict(), 1000))),
    }
    if let Some(symptom) = &result.symptom {
        to.push(Block::Paragraph(own("Symptom: ").text(&symptom.to_string(), CELL)));
    }
    to.extend(story.remarks().iter().map(|remark| Block::Paragraph(text(remark, 1000))));
    if let Some(resume) = story.resume() {
        to.push(Block::Paragraph(own("To go on: ").code(&resume)));
    }
    let sides = story.sides();
    if !sides.is_empty() {
        let rows = sides.iter().map(|side| {
            let kernel = side.kernel;
            vec![
                own(side.label),
                text(kernel.label(), CELL),
                code(kernel.package_version.as_str()),
                code(&kernel.source),
                code(kernel.id.short()),
            ]
        });
        to.push(table(["", "version", "package version", "source", "id"], rows));
        for (side, commit) in
            sides.iter().filter_map(|side| Some((side, story.commit(side.kernel)?)))
        {
            let line = own(format!("{}: commit ", side.label)).code(&commit.id).own(", ");
            to.push(Block::Paragraph(line.text(&commit.subject, CELL)));
        }
    }
    if result.outcome == OutcomeWord::Range {
        to.push(Block::Paragraph(own("Possible culprits, oldest first:")));
        let line = |kernel: &Kernel| {
            let line = text(kernel.label(), CELL).own(" (");
            line.code(kernel.package_version.as_str()).own(", ").code(&kernel.source).own(")")
        };
        to.push(Block::List(result.candidates.iter().map(line).collect()));
    }
}

fn what_was_seen(to: &mut Vec<Block>, story: &Story<'_>) {
    let Some(trial) = story.shown_trial() else { return };
    to.push(heading("What was seen"));
    let line = own("Kernel ").text(&story.label(&trial.kernel), CELL);
    let line = line.own(format!(", trial {}, folder ", trial.number));
    to.push(Block::Paragraph(line.code(&trial.directory).own(":")));
    sections::seen(to, trial);
}

fn series(to: &mut Vec<Block>, story: &Story<'_>) {
    let series = &story.result.series;
    if series.is_empty() {
        return;
    }
    to.push(heading("Series"));
    let sides = story.sides();
    let rows = series.iter().map(|entry| {
        let other = is_other_failure(entry);
        let verdict = if other { "bad, another failure" } else { entry.verdict.word() };
        let side = sides.iter().find(|side| side.kernel.id == entry.kernel.id);
        let verdict = match side {
            Some(side) => Line::default().strong(verdict, CELL).own(format!(" ({})", side.label)),
            None => text(verdict, CELL),
        };
        vec![
            text(entry.kernel.label(), CELL),
            code(entry.kernel.package_version.as_str()),
            code(&entry.kernel.source),
            verdict,
            text(entry.reason.as_deref().unwrap_or_default(), CELL),
        ]
    });
    to.push(table(["version", "package version", "source", "verdict", "reason"], rows));
}
