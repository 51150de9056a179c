//! The packets of the failed connection, good and bad side by side, as a ladder.

use maud::{Markup, html};

use super::parts::{cell, named};
use crate::dossier::Dossier;
use crate::evidence::{
    Capture, Ladder, Path, Protocol, Step, TrialFiles, failed, hosts, ladder, part,
};

/// Room for times, left of the hosts.
const LEFT: i32 = 62;
/// Distance of two hosts.
const COLUMN: i32 = 150;
/// Height of the names.
const TOP: i32 = 34;
/// Height of a step.
const STEP: i32 = 34;

/// The figure of a kind of connections; empty where there is none to be shown.
pub(super) fn figure(dossier: &Dossier, path: &Path) -> Markup {
    if path.protocol != Protocol::Tcp {
        return html! {};
    }
    let Some(seen) = captures(dossier.evidence.bad.as_ref()) else { return html! {} };
    let ends = (path.client, path.server);
    let number = failed(seen, path.client, path.server).unwrap_or(usize::MAX);
    let Some(bad) = ladder(seen, ends, number) else { return html! {} };
    let good = captures(dossier.evidence.good.as_ref()).and_then(|good| ladder(good, ends, number));
    let scenario = dossier.evidence.scenario.as_ref();
    let (client, server) = (named(scenario, path.client), named(scenario, path.server.ip()));
    let hosts = hosts([good.as_ref(), Some(&bad)], &client, &server);
    let parts_at = good.as_ref().and_then(|good| part(good, &bad));
    // What arrives and is lost inside its receiver passes every wire.
    let inside = dossier.culprit_nodes().contains(&client) && !path.is_lost();
    let label = |trial: Option<&kbisect_core::answer::Trial>| {
        trial.map(|trial| dossier.label(&trial.kernel)).unwrap_or_default()
    };
    let told = |ladder: &Ladder, title: &str, is_bad: bool| {
        let drawing = Drawing { hosts: &hosts, parts_at, inside: inside && is_bad, is_bad };
        html! { div.ladder { p.what { (title) } (drawing.svg(ladder, title)) } }
    };
    html! {
        figure {
            div.ladders {
                @if let Some(good) = &good {
                    (told(good, &format!("{} (good)", label(dossier.good())), false))
                }
                (told(&bad, &format!("{} (bad)", label(dossier.bad())), true))
            }
            figcaption {
                "One connection of " (cell(&client)) " to " (cell(&server)) ":" (path.server.port())
                ", packet by packet, in milliseconds since its first one. An arrow for each wire, dashed where a \
                 packet was sent again; ✗ where one was lost or changed"
                @if parts_at.is_some() { "; the line across is where both part" }
                "."
            }
        }
    }
}

fn captures(files: Option<&TrialFiles>) -> Option<&[Capture]> {
    files?.captures.as_deref()
}

struct Drawing<'a> {
    hosts: &'a [String],
    parts_at: Option<usize>,
    /// Whether packets that reach the client are lost inside it.
    inside: bool,
    is_bad: bool,
}

impl Drawing<'_> {
    fn svg(&self, ladder: &Ladder, title: &str) -> Markup {
        let width = LEFT + COLUMN * (self.hosts.len() as i32 - 1) + 60;
        let rows = ladder.steps.len() as i32 + i32::from(ladder.more > 0);
        let height = TOP + STEP * rows + 16;
        let last = self.hosts.len() - 1;
        html! {
            svg.narrow viewBox=(format!("0 0 {width} {height}")) style=(format!("max-width:{width}px")) role="img" aria-label=(cell(title)) {
                @for (at, host) in self.hosts.iter().enumerate() {
                    text x=(x(at)) y="14" text-anchor=(anchor(at, last)) font-size="13" font-weight="600" { (cell(host)) }
                    line.life x1=(x(at)) y1="20" x2=(x(at)) y2=(height - 8) {}
                }
                @for (at, step) in ladder.steps.iter().enumerate() { (self.step(at, step, ladder)) }
                @if let Some(at) = self.parts_at.filter(|at| *at <= ladder.steps.len()) {
                    line.parts x1="4" y1=(y(at) - 22) x2=(width - 4) y2=(y(at) - 22) {}
                }
                @if ladder.more > 0 {
                    text.soft x=(LEFT) y=(y(ladder.steps.len())) font-size="12" { "and " (ladder.more) " more" }
                }
            }
        }
    }

    fn step(&self, at: usize, step: &Step, ladder: &Ladder) -> Markup {
        let last = self.hosts.len() - 1;
        let column = |host: &str| self.hosts.iter().position(|it| it == host);
        let legs: Vec<(usize, usize)> = step
            .senders
            .iter()
            .filter_map(|sender| {
                let from = column(sender)?;
                match step.back {
                    true => Some((from, from.checked_sub(1)?)),
                    false => (from < last).then_some((from, from + 1)),
                }
            })
            .collect();
        let Some((_, end)) = legs.last().copied() else { return html! {} };
        let goal = if step.back { 0 } else { last };
        // Whoever got it would have sent something new.
        let is_answered = ladder.steps.iter().skip(at + 1).any(|it| !it.back && !it.again);
        let died = self.is_bad && (end != goal || (self.inside && step.back && !is_answered));
        let class = match (died, step.again) {
            (true, _) => "leg bad",
            (false, true) => "leg again",
            (false, false) => "leg",
        };
        let first = legs.first().map_or(0, |(from, _)| *from);
        html! {
            text.soft x="4" y=(y(at) + 4) font-size="11" { (milliseconds(step.at)) }
            @for (from, to) in &legs {
                @let (x1, x2) = (x(*from), x(*to));
                @let tip = if x2 > x1 { -7 } else { 7 };
                line class=(class) x1=(x1) y1=(y(at)) x2=(x2 + tip / 2) y2=(y(at)) {}
                path class=(format!("{class} tip")) d=(format!("M {x2} {0} l {tip} -4 l 0 8 z", y(at))) {}
            }
            text x=((x(first) + x(if step.back { first - 1 } else { first + 1 })) / 2) y=(y(at) - 5)
                text-anchor="middle" font-size="12" { (step.label()) }
            @if died {
                text.bad x=(x(end)) y=(y(at) + 6) text-anchor="middle" font-size="17" font-weight="700" { "✗" }
            }
        }
    }
}

fn x(column: usize) -> i32 {
    LEFT + COLUMN * column as i32 + 16
}

fn y(step: usize) -> i32 {
    TOP + STEP * step as i32 + 18
}

fn anchor(at: usize, last: usize) -> &'static str {
    match at {
        0 => "start",
        at if at == last => "end",
        _ => "middle",
    }
}

fn milliseconds(nanos: u64) -> String {
    format!("{:.1}", nanos as f64 / 1e6)
}
