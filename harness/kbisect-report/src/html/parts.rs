//! Pieces that the sections share.

use maud::{Markup, html};

use crate::evidence::Hop;
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
    html! { pre { (text::lines(text, max)) } }
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

/// A value in code letters, if there is one.
pub(crate) fn code(text: &str) -> Option<Markup> {
    (!text.trim().is_empty()).then(|| html! { code { (paragraph(text)) } })
}
