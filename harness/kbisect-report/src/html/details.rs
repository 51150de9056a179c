//! The sections after the story: checks, trials, confidence, environment, commands, files.

use kbisect_core::changes::RankedChange;
use kbisect_core::kernel::Kernel;
use maud::{Markup, html};

use super::beliefs;
use super::parts::{block, cell, check, code, facts, paragraph, table, verdict_word};
use crate::changed;
use crate::dossier::{Dossier, Subject};
use crate::doubt;
use crate::fields::{self, State};
use crate::journal::JOURNAL_NAME;
use crate::story::{boot, came_up, count, deadlines, duration};
use crate::text::utc;
use crate::words;

/// Changes that are shown at once; the others are behind a click.
const SUSPECTS: usize = 8;

/// Checks of the good and the bad trial.
pub(super) fn checks(dossier: &Dossier) -> Markup {
    let (good, bad) = (dossier.good(), dossier.bad());
    let trials: Vec<_> = [good, bad].into_iter().flatten().collect();
    let mut names: Vec<&str> = Vec::new();
    for check in trials.iter().flat_map(|trial| &trial.checks) {
        if !names.contains(&check.name.as_str()) {
            names.push(&check.name);
        }
    }
    if names.is_empty() {
        return html! {};
    }
    let heads: Vec<String> = trials
        .iter()
        .map(|trial| {
            format!("{} ({})", cell(&dossier.label(&trial.kernel)), cell(trial.verdict.word()))
        })
        .collect();
    let head: Vec<&str> = std::iter::once("").chain(heads.iter().map(String::as_str)).collect();
    let rows = names.iter().map(|name| {
        let mut row = vec![html! { b { (cell(name)) } }];
        row.extend(trials.iter().map(|trial| check(trial.checks.iter().find(|c| c.name == *name))));
        row
    });
    html! { h2 { "Checks" } (table(&head, rows)) }
}

/// All trials in order.
pub(super) fn trials(dossier: &Dossier) -> Markup {
    let Subject::Bisection(result) = &dossier.subject else { return html! {} };
    if result.trials.is_empty() {
        return html! {};
    }
    let rows = result.trials.iter().map(|trial| {
        let why = match (&trial.symptom, &trial.reason) {
            (Some(symptom), Some(reason)) => format!("{symptom} ({reason})"),
            (Some(symptom), None) => match trial.matching.as_ref() {
                Some(matching) => {
                    format!("{symptom} (compared with the target: {})", words::matching(matching))
                }
                None => symptom.to_string(),
            },
            (None, reason) => reason.clone().unwrap_or_default(),
        };
        vec![
            html! { (trial.number) },
            html! { (dossier.times(trial).began.map(utc).unwrap_or_default()) },
            html! { (cell(&dossier.label(&trial.kernel))) },
            verdict_word(trial.verdict.word()),
            html! { (cell(&why)) },
            html! { (duration(trial.wall_s)) (came_up(trial)) },
        ]
    });
    html! {
        h2 { "Trials" }
        (table(&["trial", "began (UTC)", "version", "verdict", "symptom or reason", "took"], rows))
        p.soft { (count(result.trials.len(), "trial")) " in " (duration(result.wall_s)) "." }
    }
}

/// What changed between the two sides, the most suspect first.
pub(super) fn changes(dossier: &Dossier) -> Markup {
    let Subject::Bisection(result) = &dossier.subject else { return html! {} };
    if result.changes.is_none() {
        return html! {};
    }
    let ranking = changed::ranking(result);
    let row = |ranked: &RankedChange| {
        vec![
            html! { (ranked.rank) },
            html! { (cell(&changed::subject(ranked))) },
            html! { (cell(&ranked.origin())) },
            html! { (cell(&ranked.because())) },
        ]
    };
    let head = ["", "change", "came with", "why here"];
    html! {
        h2 { "What changed" }
        @if let Some(why) = changed::unavailable(result) { p { (paragraph(&why)) } }
        @if let Some(ranking) = ranking {
            p { (paragraph(&changed::changes_sentence(ranking))) " " (changed::NO_PROOF) }
            @let (first, further) = ranking.top.split_at(ranking.top.len().min(SUSPECTS));
            @if !first.is_empty() { (table(&head, first.iter().map(row))) }
            @if !further.is_empty() {
                details {
                    summary { "The next " (further.len()) }
                    (table(&head, further.iter().map(row)))
                }
            }
            @if !ranking.notes.is_empty() {
                ul.plain { @for note in &ranking.notes { li { (paragraph(note)) } } }
            }
            @if let Some(sha256) = changed::checksum(ranking).and_then(code) {
                p.soft { "The package that was read has the SHA-256 " (sha256) "." }
            }
        }
    }
}

/// How sure the answer is, what was tested and what not.
pub(super) fn confidence(dossier: &Dossier) -> Markup {
    let Subject::Bisection(result) = &dossier.subject else { return html! {} };
    let story = crate::story::Story { result };
    let tested = result.series.iter().filter(|e| e.verdict.is_answer()).count();
    let untested = story.untested();
    let unanswered = story.without_answer().len();
    html! {
        h2 { "Confidence" }
        p {
            b { (cell(&doubt::level(&result.confidence))) } ": "
            (paragraph(result.confidence.statement.trim_end_matches('.'))) "."
        }
        @for text in doubt::sentences(result) { p { (paragraph(&text)) } }
        (beliefs::chart(result))
        @let beliefs = doubt::rows(result);
        @if !beliefs.is_empty() {
            (table(&doubt::HEAD, beliefs.into_iter().map(|row| {
                vec![
                    html! { (cell(&story.label(row.kernel))) },
                    html! { (row.runs) },
                    html! { (row.bad) },
                    html! { (row.culprit) },
                ]
            })))
        }
        ul.plain {
            li { "Tested: " (tested) " of " (count(result.series.len(), "kernel")) " of the series." }
            @if unanswered > 0 {
                li { "Without an answer: " (unanswered) "." }
            }
            @if untested > 0 {
                li {
                    "Not tested: " (untested) ". Each is taken to behave as those around it; a failure that \
                     comes and goes within the range would not show."
                }
            }
            li { "Only what the scenario's checks look at was tested, on virtual machines: see Checks." }
            @for notice in story.notices() { li { (paragraph(&notice)) } }
            @for warning in &result.warnings { li { (paragraph(warning)) } }
            @for note in &dossier.extra.notes { li { (paragraph(note)) } }
            @if dossier.extra.resumed > 0 {
                li { "The run was resumed " (count(dossier.extra.resumed, "time")) "." }
            }
        }
    }
}

/// Where and with what it ran.
pub(super) fn environment(dossier: &Dossier) -> Markup {
    let environment = dossier.environment();
    let accelerator = match (environment.accelerator.as_str(), &environment.accelerator_reason) {
        (name, Some(reason)) if name != "kvm" => format!("{name} (not KVM: {reason})"),
        (name, _) => name.to_owned(),
    };
    let files = dossier.evidence.bad.as_ref().or(dossier.evidence.good.as_ref());
    let of_files = |value: fn(&crate::evidence::TrialFiles) -> Option<&String>| {
        files.and_then(value).and_then(|text| code(text))
    };
    let extra = &dossier.extra;
    let shown = dossier.bad().or(dossier.good());
    let release = shown.and_then(|trial| trial.release.clone());
    let text = |value: &str| (!value.is_empty()).then(|| html! { (paragraph(value)) });
    html! {
        h2 { "Environment" }
        (facts([
            ("scenario", text(&match extra.scenario_summary.as_str() {
                "" => dossier.scenario().to_owned(),
                summary => format!("{}: {summary}", dossier.scenario()),
            })),
            ("scenario's files", code(&extra.scenario_sha256)),
            ("guest's kernel", of_files(|files| files.proc_version.as_ref())
                .or_else(|| release.as_deref().and_then(code))),
            ("command line", of_files(|files| files.cmdline.as_ref())),
            ("taint", of_files(|files| files.taint.as_ref())),
            ("kbisect", code(dossier.tool_version())),
            ("QEMU", code(&environment.qemu)),
            ("accelerator", text(&accelerator)),
            ("host", text(&format!("{}, {} CPUs", environment.host, environment.cpus))),
            ("root image", code(&environment.image)),
            ("placement", code(&environment.placement)),
            ("boot", shown.and_then(boot).as_deref().and_then(text)),
            ("deadlines", shown.and_then(deadlines).as_deref().and_then(text)),
        ]))
        (kernels(dossier))
        @if let Some(qemu) = files.and_then(|files| files.qemu.as_ref()) {
            details {
                summary { "QEMU's command line" }
                (block(&qemu.replace("\n-", "\u{0}-").replace('\n', " ").replace('\u{0}', "\n"), 120))
            }
        }
    }
}

/// The kernels exactly: what a second person needs to get the same ones.
fn kernels(dossier: &Dossier) -> Markup {
    let mut kernels: Vec<(&str, &Kernel)> = Vec::new();
    match &dossier.subject {
        Subject::Bisection(result) => {
            let story = crate::story::Story { result };
            kernels.extend(story.sides().into_iter().map(|side| (side.label, side.kernel)));
            kernels.push(("reference hosts", &result.reference));
        }
        Subject::Trial(result) => kernels.push(("under test", &result.trial.kernel)),
    }
    let rows = kernels.into_iter().map(|(role, kernel)| {
        vec![
            html! { (role) },
            html! { (cell(kernel.package_version.as_str())) },
            html! { (cell(&kernel.flavour)) ", " (cell(&kernel.source)) },
            html! { code { (cell(&kernel.id.0)) } },
        ]
    });
    table(&["kernel", "package version", "flavour, source", "id (SHA-256)"], rows)
}

/// Commands to paste.
pub(super) fn repeat(dossier: &Dossier) -> Markup {
    html! {
        h2 { "How to repeat" }
        @for (what, command) in dossier.commands() {
            p { (what) ":" }
            (block(&command, 20))
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
            (table(&["", "state", "where, or why not"], fields.iter().map(|field| {
                let (class, word, text) = match &field.state {
                    State::Here(place) => ("good-word", "here", place),
                    State::Partly(why) => ("other-word", "in part", why),
                    State::Missing(why) => ("other-word", "not available", why),
                };
                vec![
                    html! { (field.name) },
                    html! { span class=(class) { (word) } },
                    html! { (paragraph(text)) },
                ]
            })))
        }
        @if !dossier.evidence.gaps.is_empty() {
            ul.plain { @for gap in &dossier.evidence.gaps { li { (paragraph(gap)) } } }
        }
    }
}

/// Files of the run.
pub(super) fn files(dossier: &Dossier) -> Markup {
    let mut rows = vec![
        ("report.html".to_owned(), "this report".to_owned()),
        ("report.md".to_owned(), "the same for a ticket".to_owned()),
        ("result.json".to_owned(), "the same for programs".to_owned()),
    ];
    if !dossier.journal.is_empty() {
        rows.push((JOURNAL_NAME.to_owned(), "every event of the run".to_owned()));
    }
    for trial in [dossier.bad(), dossier.good()].into_iter().flatten() {
        let of = format!("{} kernel {}", trial.verdict, dossier.label(&trial.kernel));
        let folder = &trial.directory;
        rows.push((format!("{folder}/candidate/console.log"), format!("console of the {of}")));
        rows.push((format!("{folder}/wires/"), format!("every frame, as pcapng, {of}")));
        rows.push((format!("{folder}/collect/"), format!("network state afterwards, {of}")));
    }
    html! {
        h2 { "Files" }
        p { "In " code { (paragraph(dossier.run_dir())) } ":" }
        (table(&["file", "what"], rows.into_iter().map(|(path, what)| {
            vec![html! { code { (cell(&path)) } }, html! { (cell(&what)) }]
        })))
    }
}
