//! What was seen: hosts and wires, frames hop by hop, the trace.

use std::net::IpAddr;

use kbisect_core::answer::Trial;
use kbisect_core::trial::SymptomKind;
use maud::{Markup, html};

use super::parts::{block, cell, lost_word, named, paragraph};
use super::{ladder, topology};
use crate::document::Block;
use crate::dossier::Dossier;
use crate::evidence::{Hop, HopFrames, Path};
use crate::print::put;
use crate::sections;

/// Most lines of a trace.
const TRACE_LINES: usize = 200;
/// Lines of a trace that are shown at once.
const FIRST_LINES: usize = 45;
/// Most lines of counters or state.
const STATE_LINES: usize = 40;
/// Most kinds of connections that are opened at once.
const PATHS: usize = 6;

/// The section, empty when no trial failed.
pub(super) fn section(dossier: &Dossier) -> Markup {
    let Some(trial) = dossier.bad().or(dossier.good()) else { return html! {} };
    html! {
        h2 { "What was seen" }
        @if let Some(symptom) = &trial.symptom {
            p { b { (symptom.kind.to_string()) } ": " (paragraph(&symptom.detail)) }
        }
        (topology::figure(dossier))
        @if let Some(path) = of_interest(dossier).first() { (ladder::figure(dossier, path)) }
        (trace(dossier))
    }
}

/// Frames hop by hop, the whole of a long trace, and what else the failed trial left behind.
pub(super) fn hop_by_hop(dossier: &Dossier) -> Markup {
    let Some(trial) = dossier.bad().or(dossier.good()) else { return html! {} };
    html! { (paths(dossier)) (put(&left(trial))) }
}

/// What a crash left behind, counters, state and notes.
fn left(trial: &Trial) -> Vec<Block> {
    let mut blocks = Vec::new();
    sections::crash(&mut blocks, trial);
    sections::counted(&mut blocks, trial);
    blocks.push(sections::notes(trial));
    blocks
}

/// Whether a kind of connections tells something: those of a failed check do even when every hop has frames.
fn tells(path: &Path, hops: &str) -> bool {
    let (client, server) = (format!("{}:", path.client), format!("{}", path.server));
    let is_failed = hops.lines().any(|line| {
        let line = format!("{line} ");
        line.contains(&format!(" {client}")) && line.contains(&format!(" {server} "))
    });
    path.is_lost() || path.differs() || is_failed
}

/// The frames of the failed connections as the harness judged them, a line each.
fn hops(dossier: &Dossier) -> String {
    dossier.bad().map(|trial| trial.hops.join("\n")).unwrap_or_default()
}

/// The connections that tell something, those first that lose frames.
fn of_interest(dossier: &Dossier) -> Vec<Path> {
    let hops = hops(dossier);
    let mut paths = dossier.evidence.paths();
    paths.retain(|path| tells(path, &hops));
    paths.sort_by_key(|path| !path.is_lost());
    paths
}

/// Connections, hop by hop, good and bad side by side.
fn paths(dossier: &Dossier) -> Markup {
    let (paths, hops) = (dossier.evidence.paths(), hops(dossier));
    let (first, rest): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| tells(path, &hops));
    let (shown, more) = first.split_at(first.len().min(PATHS));
    let rest: Vec<&Path> = more.iter().chain(&rest).collect();
    html! {
        @if !shown.is_empty() || !rest.is_empty() {
            h2 { "Frames hop by hop" }
            p.soft { "Connections with the same client and server are counted together; data: frames with payload." }
            @for path in shown { (table(dossier, path)) }
            @if !rest.is_empty() {
                details.screen {
                    summary { (rest.len()) " other kinds of connections" }
                    @for path in rest { (table(dossier, path)) }
                }
            }
        }
        @if !hops.is_empty() {
            details open[shown.is_empty()] {
                summary { "Frames of the failed connections, as the harness judged them" }
                (block(&hops, STATE_LINES))
            }
        }
    }
}

fn table(dossier: &Dossier, path: &Path) -> Markup {
    let scenario = dossier.evidence.scenario.as_ref();
    let (good, bad) = (dossier.good(), dossier.bad());
    let (has_good, has_bad) = (good.is_some(), bad.is_some());
    let label = |trial: Option<&Trial>, word: &str| {
        trial.map(|trial| format!("{} ({word})", dossier.label(&trial.kernel)))
    };
    let good = label(good, "good").unwrap_or_else(|| "good".to_owned());
    let bad = label(bad, "bad").unwrap_or_else(|| "bad".to_owned());
    let name = |ip: IpAddr| named(scenario, ip);
    // Frames that vanish inside their receiver pass every hop.
    let client = name(path.client);
    let inside =
        !path.is_lost() && trial_lost_ingress(dossier) && dossier.culprit_nodes().contains(&client);
    let row = |word: &str, hop: &Hop, last: bool| {
        let counts = |counts: Option<HopFrames>| counts.map_or("–".to_owned(), frames);
        html! {
            tr.lost[hop.lost || last] {
                td { (word) ": " (cell(&hop.from)) " → " (cell(&hop.wire))
                    @if hop.other_port { span.soft { ", another port of the server" } } }
                @if has_good { td.n { (counts(hop.good)) } }
                @if has_bad {
                    td.n {
                        (counts(hop.bad))
                        @if hop.lost { br; span.bad-word { (lost_word(hop)) " here" } }
                        @else if last { br; span.bad-word { "lost inside " (client) } }
                    }
                }
            }
        }
    };
    let replies = path.replies.len();
    html! {
        div.wide tabindex="0" {
            table.hops {
                thead {
                    tr {
                        th { (path.protocol.word()) " " (name(path.client)) " → "
                            (name(path.server.ip())) ":" (path.server.port()) }
                        @if has_good { th.n { (cell(&good)) } }
                        @if has_bad { th.n { (cell(&bad)) } }
                    }
                }
                tbody {
                    @for hop in &path.requests { (row("request", hop, false)) }
                    @for (at, hop) in path.replies.iter().enumerate() {
                        (row("reply", hop, inside && at + 1 == replies))
                    }
                }
            }
        }
    }
}

fn trial_lost_ingress(dossier: &Dossier) -> bool {
    dossier.symptom().is_some_and(|symptom| symptom.kind == SymptomKind::LostIngress)
}

/// `12 (8 data)`.
fn frames(counts: HopFrames) -> String {
    let mut parts = Vec::new();
    if counts.data > 0 {
        parts.push(format!("{} data", counts.data));
    }
    if counts.resets > 0 {
        parts.push(format!("{} reset", counts.resets));
    }
    match parts.as_slice() {
        [] => counts.frames.to_string(),
        parts => format!("{} ({})", counts.frames, parts.join(", ")),
    }
}

/// The beginning of a trace, and the rest behind a line to open: a stack that ran over has a hundred
/// lines that say the same.
fn folded(text: &str) -> Markup {
    let lines: Vec<&str> = text.trim_matches('\n').lines().collect();
    let (begin, rest) = lines.split_at(lines.len().min(FIRST_LINES));
    html! {
        (block(&begin.join("\n"), FIRST_LINES))
        @if !rest.is_empty() {
            details.screen {
                summary { "The other " (rest.len()) " lines" }
                (block(&rest.join("\n"), TRACE_LINES))
            }
        }
    }
}

/// The kernel's own report of the failure.
fn trace(dossier: &Dossier) -> Markup {
    let Some(trial) = dossier.bad() else { return html! {} };
    let reports = sections::telling(trial);
    let Some(report) = reports.first() else { return html! {} };
    html! {
        h3 { "The kernel's report" }
        p {
            (cell(&report.title)) " "
            span.soft {
                "("
                @if let Some(path) = &report.console { (cell(path)) ", " } @else { "console " }
                "line " (report.line) ", phase " (report.phase.to_string()) ")"
            }
        }
        @if !report.alt_titles.is_empty() {
            p.soft { "Also known as: " (paragraph(&report.alt_titles.join("; "))) }
        }
        (folded(&report.text))
        @if reports.len() > 1 {
            details.screen {
                summary { (reports.len() - 1) " later reports on the same console" }
                ul.plain {
                    @for report in reports.iter().skip(1).take(20) {
                        li { (cell(&report.title)) span.soft { " (line " (report.line) ")" } }
                    }
                }
            }
        }
    }
}
