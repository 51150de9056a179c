//! Checks side by side, what changed, trials, kernels, files, and where it ran.

use std::collections::BTreeSet;

use kbisect_core::answer::Trial;
use kbisect_core::changes::RankedChange;
use kbisect_core::kernel::Kernel;
use kbisect_core::run::{BisectResult, Environment, Further, SeriesEntry};
use kbisect_core::search::Direction;
use kbisect_core::trial::{CheckResult, CheckStatus, TrialRecord, VerdictKind};

use super::seen::matching;
use crate::document::{Block, CELL, Line, Tone, code, heading, list, own, table, text};
use crate::extra::Extra;
use crate::story::{Story, came_up, count, duration};
use crate::text::utc;
use crate::words::{self, not_counted, percent};
use crate::{changed, doubt, links};

/// Changes that a reader sees at once.
const FIRST_CHANGES: usize = 5;

/// A check in a cell.
pub(crate) fn check(check: Option<&CheckResult>) -> Line {
    let Some(check) = check else { return own("-") };
    let (tone, word) = match check.status {
        CheckStatus::Pass => (Tone::Good, "pass"),
        CheckStatus::Fail => (Tone::Bad, "fail"),
        CheckStatus::Recorded => (Tone::Other, "fail (only recorded)"),
        CheckStatus::NotRun => (Tone::Other, "not run"),
    };
    let line = match check.status {
        CheckStatus::Fail => Line::default().strong(word, CELL),
        _ => Line::default().word(tone, word),
    };
    if check.detail.trim().is_empty() { line } else { line.own(": ").text(&check.detail, CELL) }
}

/// Adds checks and frames of trials, one beside the other; `trials` have the labels of their kernels.
pub(crate) fn side_by_side(to: &mut Vec<Block>, trials: &[(String, &Trial)]) {
    let head = |what: &str| {
        let label = |(label, trial): &(String, &Trial)| {
            text(label, CELL).own(format!(" ({})", trial.verdict.word()))
        };
        std::iter::once(own(what)).chain(trials.iter().map(label)).collect::<Vec<_>>()
    };
    let mut names: Vec<&str> = Vec::new();
    for check in trials.iter().flat_map(|(_, trial)| &trial.checks) {
        if !names.contains(&check.name.as_str()) {
            names.push(&check.name);
        }
    }
    let rows = names.iter().map(|name| {
        let of = |trial: &Trial| check(trial.checks.iter().find(|check| check.name == *name));
        let cells = trials.iter().map(|(_, trial)| of(trial));
        std::iter::once(text(name, CELL)).chain(cells).collect()
    });
    to.push(Block::Table(head("check"), rows.collect()));
    let wires = trials.iter().flat_map(|(_, trial)| &trial.wires);
    let hops: BTreeSet<(&str, &str)> =
        wires.map(|count| (count.wire.as_str(), count.from.as_str())).collect();
    if hops.is_empty() {
        return;
    }
    let frames = |trial: &Trial, wire: &str, from: &str| {
        let counts = trial.wires.iter().find(|count| count.wire == wire && count.from == from);
        own(counts.map_or("-".to_owned(), |count| match count.undelivered {
            0 => count.frames.to_string(),
            lost => format!("{} ({lost} undelivered)", count.frames),
        }))
    };
    let rows = hops.iter().map(|(wire, from)| {
        let hop = own("wire ").text(wire, CELL).own(" from ").text(from, CELL);
        let cells = trials.iter().map(|(_, trial)| frames(trial, wire, from));
        std::iter::once(hop).chain(cells).collect()
    });
    to.push(Block::Table(head("frames"), rows.collect()));
}

/// Adds the test of the answer, and what runs found that went on.
pub(crate) fn revert(to: &mut Vec<Block>, result: &BisectResult) {
    if let Some(test) = &result.revert {
        to.push(heading(words::revert_heading(result.direction)));
        let sentence = words::revert(test, result.direction);
        to.push(Block::Paragraph(text(&sentence, 1000).own(".")));
        let (onto, commit) = (test.onto.label(), test.commit.label());
        let (with, without) = match result.direction {
            Direction::Regression => ("as it is", "without the change"),
            Direction::Fix => ("as it is", "with the fix"),
        };
        let rows = [
            (format!("{onto}, {with}"), &test.original),
            (format!("{onto}, {without}"), &test.changed),
            (commit.to_owned(), &test.after),
            (format!("the commit before {commit}"), &test.before),
        ];
        let rows = rows.map(|(what, tally)| vec![text(&what, CELL), own(words::of(tally))]);
        to.push(table(["kernel", "fails in"], rows));
        to.push(list(&test.notes));
    }
    if !result.further.is_empty() {
        to.push(heading("Further runs"));
        let line = |further: &Further| {
            let label = words::further_label(further.because);
            own(format!("{label}: ")).text(&words::further(further, result.direction), CELL)
        };
        to.push(Block::List(result.further.iter().map(line).collect()));
    }
}

/// Adds what changed between the two sides, the most suspect first.
pub(crate) fn changes(to: &mut Vec<Block>, result: &BisectResult) {
    if result.changes.is_none() {
        return;
    }
    to.push(heading("What changed"));
    to.extend(changed::unavailable(result).map(|why| Block::Paragraph(text(&why, 1000))));
    let Some(ranking) = changed::ranking(result) else { return };
    let sentence = text(&changed::changes_sentence(ranking), 1000).own(" ").own(changed::NO_PROOF);
    to.push(Block::Paragraph(sentence));
    to.push(ranked(ranking.top.iter().take(FIRST_CHANGES)));
    to.push(Block::Paragraph(own(words::CHIPS)));
    to.push(list(&ranking.notes));
}

/// Adds the changes that are not among the first, and where they were read.
pub(crate) fn other_changes(to: &mut Vec<Block>, result: &BisectResult) {
    let Some(ranking) = changed::ranking(result) else { return };
    if ranking.top.len() > FIRST_CHANGES {
        to.push(heading("Other changes"));
        to.push(ranked(ranking.top.iter().skip(FIRST_CHANGES)));
    }
    if let Some(sha256) = changed::checksum(ranking) {
        let line = own("The package that was read has the SHA-256 ").code(sha256).own(".");
        to.push(Block::Paragraph(line));
    }
}

/// Adds the CVEs that whoever stays on the last good kernel goes without.
pub(crate) fn forgone(to: &mut Vec<Block>, result: &BisectResult) {
    let Some(forgone) = result.forgone.as_ref().filter(|it| !it.cves.is_empty()) else { return };
    to.push(heading("What staying forgoes"));
    to.push(Block::Paragraph(text(&words::forgone(forgone), CELL)));
    let mut rows: Vec<Line> = forgone
        .cves
        .iter()
        .map(|cve| {
            Line::default().link(&cve.id, links::cve(&cve.id)).own(" ").text(&cve.subject, CELL)
        })
        .collect();
    if forgone.more_cves > 0 {
        rows.push(own(format!("and {} more", forgone.more_cves)));
    }
    to.push(Block::Folded(own("The CVEs"), vec![Block::List(rows)]));
}

fn ranked<'a>(changes: impl Iterator<Item = &'a RankedChange>) -> Block {
    let rows = changes.map(|ranked| {
        let why = ranked.reasons.iter().fold(Line::default(), |line, reason| {
            line.chip(words::reason_chip(&reason.kind), reason.to_string())
        });
        vec![own(ranked.rank), subject_of(ranked), text(&ranked.origin(), CELL), why]
    });
    table(["rank", "change", "came with", "in common with the run"], rows)
}

/// A change, with links to the CVEs that it is about.
fn subject_of(ranked: &RankedChange) -> Line {
    let line = text(&ranked.change.subject, CELL);
    let cves = ranked.change.cves.iter().filter_map(|cve| Some((cve, links::cve(cve)?)));
    cves.fold(line, |line, (cve, address)| line.own(" ").link(cve, Some(address)))
}

/// The kernels exactly: what a second person needs to get the same ones.
pub(crate) fn kernels<'a>(rows: impl IntoIterator<Item = (&'static str, &'a Kernel)>) -> Block {
    let rows = rows.into_iter().map(|(role, kernel)| {
        vec![
            own(role),
            code(kernel.label()),
            Line::default().link(kernel.package_version.as_str(), links::package(kernel)),
            code(&kernel.flavour),
            code(&kernel.source),
            code(&kernel.id.0),
        ]
    });
    table(["kernel", "version", "package version", "flavour", "source", "id (SHA-256)"], rows)
}

/// Files of a trial that are worth a look: path in the run's folder, and what it is.
fn trial_files(trial: &TrialRecord, whose: &str) -> Vec<Vec<Line>> {
    let path = |name: &str| Line::default().file(&format!("{}/{name}", trial.directory));
    let console = own(format!("console of the {whose} kernel"));
    let mut rows = vec![vec![path("candidate/console.log"), console]];
    let wires: BTreeSet<&str> = trial.wires.iter().map(|count| count.wire.as_str()).collect();
    for wire in wires {
        let what = own("every frame on wire ").text(wire, CELL).own(format!(", {whose} kernel"));
        rows.push(vec![path(&format!("wires/{wire}.pcapng")), what]);
    }
    if trial.timings_s.contains_key("collect") {
        let what = own(format!("network state afterwards, {whose} kernel"));
        rows.push(vec![path("collect/"), what]);
    }
    for file in &trial.evidence.files {
        let what = text(&file.what, CELL).own(format!(", {whose} kernel"));
        rows.push(vec![path(&file.path), what]);
    }
    if let Some(vmcore) = &trial.evidence.vmcore {
        let what = own(format!("memory of the {whose} kernel's machine"));
        rows.push(vec![path(&vmcore.path), what]);
    }
    rows
}

/// A version that was not run has a row from this probability on.
pub(crate) const LIKELY: f64 = 0.005;

/// The versions that a search under doubt ran, or that may have brought the change; nothing without doubt.
fn beliefs(result: &BisectResult) -> Option<Block> {
    let story = Story { result };
    let row = |entry: &SeriesEntry| {
        let belief = entry.belief.as_ref()?;
        let tally = belief.tally;
        if tally.runs() + tally.infra == 0 && belief.culprit < LIKELY {
            return None;
        }
        let more = not_counted(tally).map(|why| format!(" (not counted: {why})"));
        let runs = format!("{} of {}{}", tally.fails, tally.counted(), more.unwrap_or_default());
        let cells = [runs, percent(belief.bad), percent(belief.culprit)].map(own);
        Some(std::iter::once(text(&story.label(&entry.kernel), CELL)).chain(cells).collect())
    };
    let rows: Vec<Vec<Line>> = result.series.iter().filter_map(row).collect();
    let (bad, culprit) = ("bad with probability", "change came with it with probability");
    (!rows.is_empty()).then(|| table(["version", "failed of runs", bad, culprit], rows))
}

/// How a verdict sounds.
pub(crate) fn tone(verdict: VerdictKind) -> Tone {
    match verdict {
        VerdictKind::Good => Tone::Good,
        VerdictKind::Bad => Tone::Bad,
        VerdictKind::Skip | VerdictKind::Infra | VerdictKind::ScenarioError => Tone::Other,
    }
}

/// Adds all trials in order.
pub(crate) fn trials(to: &mut Vec<Block>, result: &BisectResult) {
    if result.trials.is_empty() {
        return;
    }
    to.push(heading("Trials"));
    if let Some(weighed) = &result.prior {
        to.push(Block::Paragraph(own(words::was_weighed(weighed)).own(".")));
    }
    let story = Story { result };
    let head = ["trial", "version", "verdict", "symptom or reason", "seconds", "folder"];
    let mut head: Vec<Line> = head.map(own).into();
    // Earlier journals do not say when.
    let all = result.all_trials();
    let timed = all.iter().any(|trial| trial.began_ms.is_some());
    if timed {
        head.push(own("began (UTC)"));
    }
    let rows = all.iter().map(|trial| {
        let reason = trial.reason.clone();
        let why = match &trial.symptom {
            Some(symptom) => {
                let line = text(&symptom.to_string(), CELL);
                match reason.or_else(|| matching(trial)) {
                    Some(why) => line.own(" (").text(&why, CELL).own(")"),
                    None => line,
                }
            }
            None => text(&reason.unwrap_or_default(), CELL),
        };
        let mut row = vec![
            Line::default().trial(trial.number),
            text(&story.label(&trial.kernel), CELL),
            Line::default().word(tone(trial.verdict), trial.verdict.word()),
            why,
            match &trial.place {
                Some(place) => {
                    own(format!("{:.1}{}, on ", trial.wall_s, came_up(trial))).text(place, 60)
                }
                None => own(format!("{:.1}{}", trial.wall_s, came_up(trial))),
            },
            Line::default().file(&trial.directory),
        ];
        if timed {
            row.push(own(trial
                .began_ms
                .map(|ms| utc(ms.saturating_mul(1_000_000)))
                .unwrap_or_default()));
        }
        row
    });
    to.push(Block::Table(head, rows.collect()));
    let (trials, took) = (count(all.len(), "trial"), duration(result.wall_s));
    to.push(Block::Paragraph(own(format!("{trials} in {took}."))));
}

/// Adds how sure the answer is, and what must be known before it is believed.
pub(crate) fn confidence(to: &mut Vec<Block>, story: &Story<'_>, extra: &Extra) {
    let result = story.result;
    to.push(heading("Confidence and warnings"));
    let statement = result.confidence.statement.trim_end_matches('.');
    let line = text(&doubt::level(&result.confidence), CELL).own(": ").text(statement, 1000);
    to.push(Block::Paragraph(line.own(".")));
    if let Some(beliefs) = beliefs(result) {
        to.extend(doubt::sentences(result).iter().map(|it| Block::Paragraph(text(it, CELL))));
        to.push(beliefs);
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
    to.push(list(&texts));
}

/// Where it ran, after what else is known of that.
pub(crate) fn environment(
    environment: &Environment,
    tool_version: &str,
    more: impl IntoIterator<Item = Vec<Line>>,
) -> Block {
    let name = &environment.accelerator;
    let accelerator = match &environment.accelerator_reason {
        Some(reason) if name != "kvm" => {
            text(name, CELL).own(" (not KVM: ").text(reason, CELL).own(")")
        }
        _ => text(name, CELL),
    };
    let host = code(&environment.host).own(format!(", {} CPUs", environment.cpus));
    let rows = [
        ("kbisect", code(tool_version)),
        ("QEMU", code(&environment.qemu)),
        ("accelerator", accelerator),
        ("host", host),
        ("root image", code(&environment.image)),
        ("placement", code(&environment.placement)),
    ];
    let rows = rows.map(|(name, value)| vec![own(name), value]);
    table(["", ""], more.into_iter().chain(rows))
}

/// Adds commands to paste.
pub(crate) fn commands(to: &mut Vec<Block>, commands: &[(&str, String)]) {
    to.push(heading("How to repeat"));
    for (what, command) in commands {
        to.push(Block::Paragraph(own(what).own(":")));
        to.push(Block::Command(command.clone()));
    }
}

/// Adds the files of a run: its own, and those of trials.
pub(crate) fn files(
    to: &mut Vec<Block>,
    run_dir: &str,
    own_files: &[(&str, &str)],
    trials: &[(&TrialRecord, &str)],
) {
    to.push(heading("Files"));
    to.push(Block::Paragraph(own("In ").code(run_dir).own(":")));
    let mut rows: Vec<Vec<Line>> =
        own_files.iter().map(|(name, what)| vec![code(name), own(what)]).collect();
    rows.extend(trials.iter().flat_map(|(trial, whose)| trial_files(trial, whose)));
    to.push(table(["file", "what"], rows));
}
