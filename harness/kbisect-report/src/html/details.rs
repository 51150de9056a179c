//! The sections after the story: checks, trials, confidence, environment, commands, files.

use kbisect_core::run::BisectResult;
use maud::{Markup, html};

use super::beliefs;
use super::parts::{block, paragraph};
use crate::document::{self, Block, Line, PARAGRAPH, Tone, heading, own};
use crate::dossier::{Dossier, Subject};
use crate::evidence::TrialFiles;
use crate::extra::Extra;
use crate::fields::{self, State};
use crate::journal::JOURNAL_NAME;
use crate::print::put;
use crate::sections;
use crate::story::{Story, boot, count, deadlines};

/// Checks and frames of the good and the bad trial.
pub(super) fn checks(dossier: &Dossier) -> Markup {
    let trials = [dossier.good(), dossier.bad()].into_iter().flatten();
    let trials: Vec<_> = trials.map(|trial| (dossier.label(&trial.kernel), trial)).collect();
    if trials.iter().all(|(_, trial)| trial.checks.is_empty()) {
        return html! {};
    }
    let mut blocks = vec![heading("Checks")];
    sections::side_by_side(&mut blocks, &trials);
    put(&blocks)
}

/// A section of a bisection.
pub(super) fn section(dossier: &Dossier, add: impl Fn(&mut Vec<Block>, &BisectResult)) -> Markup {
    let mut blocks = Vec::new();
    if let Subject::Bisection(result) = &dossier.subject {
        add(&mut blocks, result);
    }
    put(&blocks)
}

/// How sure the answer is, what was tested and what not.
pub(super) fn confidence(to: &mut Vec<Block>, result: &BisectResult, extra: &Extra) {
    sections::confidence(to, &Story { result }, extra);
    let tested = result.series.iter().filter(|e| e.verdict.is_answer()).count();
    let all = count(result.series.len(), "kernel");
    let what =
        "Only what the scenario's checks look at was tested, on virtual machines: see Checks.";
    to.push(Block::List(vec![own(format!("Tested: {tested} of {all} of the series.")), own(what)]));
    to.push(Block::Drawing(beliefs::chart(result).into_string()));
}

/// Where and with what it ran.
pub(super) fn environment(dossier: &Dossier) -> Markup {
    let files = dossier.evidence.bad.as_ref().or(dossier.evidence.good.as_ref());
    let of_files = |value: fn(&TrialFiles) -> Option<&String>| files.and_then(value).cloned();
    let (extra, shown) = (&dossier.extra, dossier.bad().or(dossier.good()));
    let scenario = match extra.scenario_summary.as_str() {
        "" => dossier.scenario().to_owned(),
        summary => format!("{}: {summary}", dossier.scenario()),
    };
    let release = shown.and_then(|trial| trial.release.clone());
    let facts = [
        ("scenario", Some(scenario)),
        ("scenario's files", Some(extra.scenario_sha256.clone())),
        ("guest's kernel", of_files(|files| files.proc_version.as_ref()).or(release)),
        ("command line", of_files(|files| files.cmdline.as_ref())),
        ("taint", of_files(|files| files.taint.as_ref())),
        ("boot", shown.and_then(boot)),
        ("deadlines", shown.and_then(deadlines)),
    ];
    let facts = facts.into_iter().filter_map(|(name, value)| {
        let value = value.filter(|value| !value.trim().is_empty())?;
        Some(vec![own(name), document::text(&value, PARAGRAPH)])
    });
    let table = sections::environment(dossier.environment(), dossier.tool_version(), facts);
    let mut kernels = dossier.kernels();
    kernels.dedup_by_key(|(_, kernel)| &kernel.id);
    html! {
        (put(&[heading("Environment"), table, sections::kernels(kernels)]))
        @if let Some(qemu) = files.and_then(|files| files.qemu.as_ref()) {
            details {
                summary { "QEMU's command line" }
                (block(&qemu.replace("\n-", "\u{0}-").replace('\n', " ").replace('\u{0}', "\n"), 120))
            }
        }
    }
}

/// What recipients of a report ask for, and what of it is not here.
pub(super) fn fields(dossier: &Dossier) -> Markup {
    let fields = fields::fields(dossier);
    let here = fields.iter().filter(|field| matches!(field.state, State::Here(_))).count();
    let partly = fields.iter().filter(|field| matches!(field.state, State::Partly(_))).count();
    html! {
        h2 { "What is here and what is not" }
        details {
            summary {
                "Of " (fields.len()) " things that recipients ask for, " (here) " are here, " (partly)
                " in part, " (fields.len() - here - partly) " are not available: which and why"
            }
            (put(&[document::table(["", "state", "where, or why not"], fields.iter().map(|field| {
                let (tone, word, text) = match &field.state {
                    State::Here(place) => (Tone::Good, "here", place),
                    State::Partly(why) => (Tone::Other, "in part", why),
                    State::Missing(why) => (Tone::Other, "not available", why),
                };
                let state = Line::default().word(tone, word);
                vec![own(field.name), state, document::text(text, PARAGRAPH)]
            }))]))
        }
        @if !dossier.evidence.gaps.is_empty() {
            ul.plain { @for gap in &dossier.evidence.gaps { li { (paragraph(gap)) } } }
        }
    }
}

/// Commands to paste.
pub(super) fn repeat(dossier: &Dossier) -> Markup {
    let mut blocks = Vec::new();
    sections::commands(&mut blocks, &dossier.commands());
    put(&blocks)
}

/// Files of the run.
pub(super) fn files(dossier: &Dossier) -> Markup {
    let own_files = [
        ("report.html", "this report"),
        ("report.md", "the same for a ticket"),
        ("result.json", "the same for programs"),
        (JOURNAL_NAME, "every event of the run"),
    ];
    let own_files = if dossier.journal.is_empty() { &own_files[..3] } else { &own_files };
    let trials = [dossier.bad(), dossier.good()].into_iter().flatten();
    let trials: Vec<_> = trials.map(|trial| (&trial.record, trial.verdict.word())).collect();
    let mut blocks = Vec::new();
    sections::files(&mut blocks, dossier.run_dir(), own_files, &trials);
    put(&blocks)
}
