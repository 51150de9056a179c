//! The series as a map: what was tried and found, what was not tried, and what lies beyond.

use kbisect_core::kernel::Kernel;
use kbisect_core::run::{SeriesEntry, SeriesVerdict};
use maud::{Markup, html};

use super::parts::{cell, class_of};
use crate::dossier::Dossier;
use crate::story::{Story, is_other_failure};

/// Most kernels of a series that have a place of their own when nothing is known of them.
const MOST_UNTESTED: usize = 16;

/// A place of the map.
enum Place<'a> {
    Kernel(&'a SeriesEntry),
    /// Kernels in a row that were not tried.
    Untested(&'a [SeriesEntry]),
}

/// The section; empty where there is no series.
pub(super) fn section(dossier: &Dossier) -> Markup {
    let entries = dossier.series();
    let Some(story) = dossier.story().filter(|_| !entries.is_empty()) else {
        return html! {};
    };
    html! {
        h2 { "Series" }
        ol.series {
            @for place in places(entries) {
                @match place {
                    Place::Kernel(entry) => (kernel(dossier, &story, entry)),
                    Place::Untested(several) => (untested(&story, several)),
                }
            }
        }
        (beyond(dossier, &story))
        @let unanswered = story.without_answer();
        @if !unanswered.is_empty() {
            details {
                summary { "Why " (unanswered.len()) " gave no answer" }
                ul.plain {
                    @for entry in unanswered {
                        li {
                            (cell(&story.label(&entry.kernel))) " (" (cell(entry.verdict.word())) "): "
                            (cell(entry.reason.as_deref().unwrap_or_default()))
                        }
                    }
                }
            }
        }
        @if let Some(trial) = dossier.bad() {
            p.soft { "Shown below: " (cell(&story.label(&trial.kernel))) ", trial " (trial.number) "." }
        }
    }
}

/// The places of a series; where many kernels were not tried, those in a row share one.
fn places(entries: &[SeriesEntry]) -> Vec<Place<'_>> {
    let is_untested = |entry: &SeriesEntry| {
        entry.verdict == SeriesVerdict::Untested
            && entry.belief.is_none_or(|belief| belief.tally.counted() == 0)
    };
    if entries.iter().filter(|entry| is_untested(entry)).count() <= MOST_UNTESTED {
        return entries.iter().map(Place::Kernel).collect();
    }
    let rows = entries.chunk_by(|one, next| is_untested(one) && is_untested(next));
    rows.map(Place::of).collect()
}

impl<'a> Place<'a> {
    fn of(row: &'a [SeriesEntry]) -> Self {
        match row {
            [one] => Self::Kernel(one),
            several => Self::Untested(several),
        }
    }
}

fn kernel(dossier: &Dossier, story: &Story<'_>, entry: &SeriesEntry) -> Markup {
    let sides = story.sides();
    let side = sides.iter().find(|side| side.kernel.id == entry.kernel.id);
    let other = is_other_failure(entry);
    let class = if other { "other" } else { class_of(entry.verdict.word()) };
    html! {
        li class=(if side.is_some() { format!("{class} edge") } else { class.to_owned() })
            title=[entry.reason.as_deref().map(cell)] {
            (cell(&story.label(&entry.kernel)))
            span {
                (if other { "another failure".to_owned() } else { cell(entry.verdict.word()) })
                @if let Some(belief) = entry.belief.filter(|belief| belief.tally.counted() > 0) {
                    " " (belief.tally.fails) ":" (belief.tally.counted())
                }
                @if let Some(side) = side { ", " (side.label) }
                (built(dossier, &entry.kernel))
            }
        }
    }
}

fn untested(story: &Story<'_>, several: &[SeriesEntry]) -> Markup {
    let label =
        |entry: Option<&SeriesEntry>| entry.map(|it| story.label(&it.kernel)).unwrap_or_default();
    let (first, last) = (label(several.first()), label(several.last()));
    html! {
        li.untested title=(cell(&format!("{first} to {last}"))) {
            "…" span { (several.len()) " untested" }
        }
    }
}

/// What is known of kernels newer than the range.
fn beyond(dossier: &Dossier, story: &Story<'_>) -> Markup {
    let affected = story.result.affected.as_ref();
    let known = |kernel: &Kernel| dossier.series().iter().any(|it| it.kernel.id == kernel.id);
    let newest = affected.and_then(|it| it.newest.as_ref()).filter(|it| !known(&it.kernel));
    let fixed = affected.and_then(|it| it.fixed.as_ref()).filter(|it| !known(it));
    let fixed = fixed.filter(|it| newest.is_none_or(|newest| newest.kernel.id != it.id));
    html! {
        @if newest.is_some() || fixed.is_some() {
            ol.series aria-label="Beyond the range" {
                @if let Some(kernel) = fixed {
                    li.good.edge {
                        (cell(&story.label(kernel)))
                        span { "good, fixed here" (built(dossier, kernel)) }
                    }
                }
                @if let Some(newest) = newest {
                    @let (class, word) = match newest.fails {
                        Some(true) => ("bad", "bad"),
                        Some(false) => ("good", "good"),
                        None => ("untested", "no answer"),
                    };
                    li class=(class) {
                        (cell(&story.label(&newest.kernel)))
                        span { (word) ", the newest" (built(dossier, &newest.kernel)) }
                    }
                }
            }
        }
    }
}

/// The day on which a kernel's package was built, where that is known.
fn built(dossier: &Dossier, kernel: &Kernel) -> Markup {
    html! {
        @if let Some(day) = dossier.evidence.built.get(&kernel.id) { br; time datetime=(day) { (day) } }
    }
}
