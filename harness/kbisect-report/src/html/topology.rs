//! Hosts and wires, drawn: rows of hosts and wires in turn, with frames at each tap.

use std::collections::{BTreeMap, BTreeSet};

use kbisect_core::answer::Trial;
use kbisect_core::scenario::{NodeKernel, Scenario};
use maud::{Markup, html};

use super::parts::{cell, lost_word};
use crate::dossier::Dossier;
use crate::evidence::Path;

/// Width of a host's box.
const BOX: i32 = 150;
/// Height of a host's box.
const HIGH: i32 = 46;
/// Width of a column.
const COLUMN: i32 = 200;
/// Length of a tap, from a box to its wire.
const TAP: i32 = 74;
/// Distance of wires in one row.
const BETWEEN: i32 = 34;
/// A drawing with more hosts would be a tangle.
const MAX_NODES: usize = 40;

/// The figure; a sentence where there is nothing to draw.
pub(super) fn figure(dossier: &Dossier) -> Markup {
    let Some(scenario) = &dossier.evidence.scenario else {
        return html! { p.soft { "No drawing of the hosts: the scenario is not in the run's folder." } };
    };
    if scenario.nodes.len() > MAX_NODES {
        return html! { p.soft { "No drawing of the hosts: there are too many." } };
    }
    let drawing = Drawing::new(scenario);
    let (good, bad) = (dossier.good(), dossier.bad());
    let both = good.is_some() && bad.is_some();
    html! {
        figure {
            div.scroll tabindex="0" { (drawing.svg(dossier, good, bad)) }
            figcaption {
                "Hosts (thick frame: the kernel under test) and wires. At each tap: frames that the host \
                 sent there"
                @if both { ", good | bad" }
                ". All frames of the trial are counted, not only those of the failed connection."
            }
        }
    }
}

/// Where everything is.
struct Drawing<'a> {
    scenario: &'a Scenario,
    /// Middle and upper edge of each host's box.
    nodes: BTreeMap<&'a str, (i32, i32)>,
    /// Height of each wire.
    wires: BTreeMap<&'a str, i32>,
    width: i32,
    height: i32,
}

impl<'a> Drawing<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let mut drawing =
            Self { scenario, nodes: BTreeMap::new(), wires: BTreeMap::new(), width: 0, height: 8 };
        let mut left: BTreeSet<&str> = scenario.nodes.keys().map(String::as_str).collect();
        let mut rows: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
        while let Some(start) = start(scenario, &left) {
            rows.extend(rows_from(scenario, start, &mut left));
        }
        let columns = rows.iter().map(|(nodes, _)| nodes.len()).max().unwrap_or(1) as i32;
        drawing.width = columns * COLUMN;
        for (nodes, wires) in rows {
            let step = drawing.width / nodes.len().max(1) as i32;
            for (at, node) in nodes.iter().enumerate() {
                drawing.nodes.insert(node, (step / 2 + step * at as i32, drawing.height));
            }
            drawing.height += HIGH;
            if wires.is_empty() {
                drawing.height += 16;
                continue;
            }
            drawing.height += TAP;
            for (at, wire) in wires.iter().enumerate() {
                drawing.height += if at == 0 { 0 } else { BETWEEN };
                drawing.wires.insert(wire, drawing.height);
            }
            drawing.height += TAP;
        }
        drawing
    }

    fn svg(&self, dossier: &Dossier, good: Option<&Trial>, bad: Option<&Trial>) -> Markup {
        let lost_taps = lost_taps(&dossier.evidence.paths());
        let culprits = dossier.culprit_nodes();
        let narrow = self.width <= 2 * COLUMN;
        let mark = bad
            .and_then(|trial| trial.symptom.as_ref())
            .map(|symptom| symptom.kind.to_string())
            .unwrap_or_default();
        html! {
            svg class=[narrow.then_some("narrow")] viewBox={ "0 0 " (self.width) " " (self.height) }
                style={ "max-width:" (self.width) "px" } role="img" aria-label="hosts and wires"
                font-size="13" {
                @for (wire, y) in &self.wires {
                    @let taps: Vec<i32> = self.taps(wire).map(|(_, x, _)| x).collect();
                    @let from = taps.iter().min().copied().unwrap_or(0) - 24;
                    @let to = taps.iter().max().copied().unwrap_or(0) + 24;
                    line.wire x1=(from) y1=(y) x2=(to) y2=(y) {}
                    text.soft x=(from - 8) y=(y + 4) text-anchor="end" { (short(wire, 9)) title { (cell(wire)) } }
                }
                @for (wire, y) in &self.wires {
                    @for (node, x, top) in self.taps(wire) {
                        @let below = top > *y;
                        @let end = if below { top } else { top + HIGH };
                        @let lost = lost_taps.get(&(node.to_owned(), (*wire).to_owned())).copied();
                        line class=(if lost.is_some() { "tap lost" } else { "tap" }) x1=(x) y1=(end) x2=(x) y2=(y) {}
                        circle.tap cx=(x) cy=(y) r="3.5" {}
                        (self.frames(wire, node, (x + 7, (end + y) / 2 + 5), good, bad, lost))
                    }
                }
                @for (node, (x, y)) in &self.nodes {
                    @let kernel = self.scenario.nodes.get(*node).map(|node| node.kernel);
                    @let culprit = culprits.iter().any(|name| name == node);
                    @let class = match (culprit, kernel) {
                        (true, _) => "node candidate lost",
                        (false, Some(NodeKernel::Candidate)) => "node candidate",
                        _ => "node",
                    };
                    rect class=(class) x=(x - BOX / 2) y=(y) width=(BOX) height=(HIGH) rx="6" {}
                    text x=(x) y=(y + 19) text-anchor="middle" font-weight="600" { (short(node, 18)) }
                    @if culprit {
                        text.bad x=(x) y=(y + 36) text-anchor="middle" font-weight="600" { "✗ " (mark) }
                    } @else {
                        text.soft x=(x) y=(y + 36) text-anchor="middle" font-size="11" {
                            (if kernel == Some(NodeKernel::Candidate) { "kernel under test" } else { "reference" })
                        }
                    }
                    @if let Some(node) = self.scenario.nodes.get(*node).filter(|node| !node.role.is_empty()) {
                        title { (cell(&node.role)) }
                    }
                }
            }
        }
    }

    /// Hosts on a wire: name, middle and upper edge of the box.
    fn taps(&self, wire: &str) -> impl Iterator<Item = (&str, i32, i32)> {
        let nodes = self.scenario.links.get(wire).into_iter().flatten();
        nodes.filter_map(|(node, _)| {
            let (x, y) = self.nodes.get(node.as_str())?;
            Some((node.as_str(), self.tap_x(wire, node, *x), *y))
        })
    }

    /// A host with several wires on one side gets a tap for each, side by side.
    fn tap_x(&self, wire: &str, node: &str, middle: i32) -> i32 {
        let of_node = |name: &&String| self.scenario.links[*name].contains_key(node);
        let side = |name: &str| self.wires.get(name) > self.nodes.get(node).map(|(_, y)| y);
        let same: Vec<&String> = self
            .scenario
            .links
            .keys()
            .filter(of_node)
            .filter(|name| side(name) == side(wire))
            .collect();
        let at = same.iter().position(|name| *name == wire).unwrap_or(0) as i32;
        let count = same.len() as i32;
        middle + (2 * at - (count - 1)) * BOX / (2 * count.max(1))
    }

    fn frames(
        &self,
        wire: &str,
        node: &str,
        (x, y): (i32, i32),
        good: Option<&Trial>,
        bad: Option<&Trial>,
        lost: Option<&str>,
    ) -> Markup {
        let sent = |trial: Option<&Trial>| {
            let counts = trial?.wires.iter();
            let count = counts.filter(|count| count.wire == wire && count.from == node);
            Some(count.map(|count| count.frames).sum::<u64>())
        };
        let (good, bad) = (sent(good), sent(bad));
        html! {
            text x=(x) y=(y) font-size="12" {
                @if let Some(frames) = good { tspan.good { (frames) } }
                @if good.is_some() && bad.is_some() { tspan.soft { " | " } }
                @if let Some(frames) = bad { tspan.bad { (frames) } }
            }
            @if let Some(lost) = lost {
                text.bad x=(x) y=(y + 15) font-size="12" font-weight="600" { "✗ " (lost) }
            }
        }
    }
}

fn short(name: &str, max: usize) -> String {
    let name = cell(name);
    if name.chars().count() <= max {
        return name;
    }
    name.chars().take(max - 1).chain(['…']).collect()
}

/// Taps at which frames leave in the good trial and not in the bad one.
fn lost_taps(paths: &[Path]) -> BTreeMap<(String, String), &'static str> {
    paths
        .iter()
        .flat_map(|path| path.requests.iter().chain(&path.replies))
        .filter(|hop| hop.lost)
        .map(|hop| ((hop.from.clone(), hop.wire.clone()), lost_word(hop)))
        .collect()
}

/// Names of a host's wires.
fn wires_of<'a>(scenario: &'a Scenario, node: &str) -> impl Iterator<Item = &'a str> {
    let node = node.to_owned();
    let has = move |(_, ends): &(&String, &BTreeMap<String, _>)| ends.contains_key(&node);
    scenario.links.iter().filter(has).map(|(name, _)| name.as_str())
}

/// The host to begin with: the one from which the way to the farthest other one is longest, so that
/// the drawing is high and narrow. Hosts of the reference kernel come first.
fn start<'a>(scenario: &'a Scenario, left: &BTreeSet<&'a str>) -> Option<&'a str> {
    let depth = |node: &'a str| rows_from(scenario, node, &mut left.clone()).len();
    let candidate =
        |node: &str| scenario.nodes.get(node).is_some_and(|n| n.kernel == NodeKernel::Candidate);
    left.iter()
        .copied()
        .max_by_key(|node| (depth(node), !candidate(node), std::cmp::Reverse((*node).to_owned())))
}

/// Rows of hosts and of the wires below them, by distance. Takes the hosts out of `left`.
fn rows_from<'a>(
    scenario: &'a Scenario,
    start: &'a str,
    left: &mut BTreeSet<&'a str>,
) -> Vec<(Vec<&'a str>, Vec<&'a str>)> {
    let mut rows = Vec::new();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut nodes = vec![start];
    left.remove(start);
    while !nodes.is_empty() {
        let mut wires: Vec<&str> = Vec::new();
        for node in &nodes {
            for wire in wires_of(scenario, node) {
                if done.insert(wire) {
                    wires.push(wire);
                }
            }
        }
        let mut next: Vec<&str> = Vec::new();
        for wire in &wires {
            for node in scenario.links[*wire].keys() {
                if left.remove(node.as_str()) {
                    next.push(node);
                }
            }
        }
        rows.push((nodes, wires));
        nodes = next;
    }
    rows
}
