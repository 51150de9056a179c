//! Pieces that the sections share.

use std::net::IpAddr;

use kbisect_core::scenario::Scenario;
use maud::Markup;

use crate::evidence::Hop;
use crate::print::pre;
use crate::text;

/// Most characters of a text in a cell.
const CELL: usize = 400;
/// Most characters of a paragraph.
const PARAGRAPH: usize = 1500;

/// Text for a cell: one line, without control characters. The template escapes it.
pub(crate) fn cell(text: &str) -> String {
    text::line(text, CELL)
}

/// Text for a paragraph.
pub(crate) fn paragraph(text: &str) -> String {
    text::line(text, PARAGRAPH)
}

/// A block of at most `max` lines.
pub(crate) fn block(text: &str, max: usize) -> Markup {
    pre(text, max)
}

/// The class that colours a verdict.
pub(super) fn class_of(verdict: &str) -> &'static str {
    match verdict {
        "good" => "good",
        "bad" => "bad",
        "untested" => "untested",
        _ => "other",
    }
}

/// What became of frames that do not leave as they should.
pub(super) fn lost_word(hop: &Hop) -> &'static str {
    if hop.changed { "changed" } else { "lost" }
}

/// The node that has an address, or the address.
pub(super) fn named(scenario: Option<&Scenario>, ip: IpAddr) -> String {
    let has = |addresses: &[String]| {
        addresses.iter().any(|address| {
            address.split('/').next().and_then(|plain| plain.parse().ok()) == Some(ip)
        })
    };
    let Some(scenario) = scenario else { return ip.to_string() };
    let on_link = scenario.links.values().flatten().find(|(_, port)| has(&port.addresses));
    let on_node =
        || scenario.nodes.iter().find(|(_, node)| node.addresses.values().any(|list| has(list)));
    match on_link.map(|(name, _)| name).or_else(|| on_node().map(|(name, _)| name)) {
        Some(name) => cell(name),
        None => ip.to_string(),
    }
}
