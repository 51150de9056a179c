//! Pieces that the sections share.

use kbisect_core::trial::{CheckResult, CheckStatus};
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

/// A verdict as a word: colour alone says nothing on paper.
pub(super) fn verdict_word(verdict: &str) -> Markup {
    let class = match class_of(verdict) {
        "good" => "good-word",
        "bad" => "bad-word",
        "untested" => "soft",
        _ => "other-word",
    };
    html! { span class=(class) { (cell(verdict)) } }
}

/// What became of frames that do not leave as they should.
pub(super) fn lost_word(hop: &Hop) -> &'static str {
    if hop.changed { "changed" } else { "lost" }
}

/// A check's result.
pub(super) fn check(check: Option<&CheckResult>) -> Markup {
    let Some(check) = check else { return html! { "–" } };
    let (class, word) = match check.status {
        CheckStatus::Pass => ("good-word", "pass"),
        CheckStatus::Fail => ("bad-word", "fail"),
        CheckStatus::Recorded => ("other-word", "fail, only recorded"),
        CheckStatus::NotRun => ("soft", "not run"),
    };
    html! {
        span class=(class) { (word) }
        @if !check.detail.is_empty() { ": " (cell(&check.detail)) }
    }
}

/// A table with a head. On a phone each row becomes a list when `stack` is set; the cells carry
/// their heads then.
pub(crate) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<Markup>>) -> Markup {
    html! {
        div.wide {
            table.stack {
                thead { tr { @for name in head { th { (name) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (cell, name) in row.into_iter().zip(head) {
                                td data-h=[(!name.is_empty()).then_some(*name)] { (cell) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A list of names and values; those without a value are left out.
pub(super) fn facts<'a>(rows: impl IntoIterator<Item = (&'a str, Option<Markup>)>) -> Markup {
    html! {
        dl {
            @for (name, value) in rows {
                @if let Some(value) = value { dt { (name) } dd { (value) } }
            }
        }
    }
}

/// A value in code letters, if there is one.
pub(crate) fn code(text: &str) -> Option<Markup> {
    (!text.trim().is_empty()).then(|| html! { code { (paragraph(text)) } })
}
