//! The page from top to bottom.

use kbisect_core::run::OutcomeWord;
use maud::{Markup, html};

use super::parts::{cell, class_of, code, paragraph};
use super::{details, seen, timeline};
use crate::document::{Block, PARAGRAPH, Tone, own, text};
use crate::dossier::{Dossier, Subject};
use crate::print::{page, put};
use crate::rules;
use crate::sections;
use crate::story::{Story, is_other_failure};

/// Writes the report as one HTML file. It says the same whenever it is made from the same folder.
#[must_use]
pub fn html(dossier: &Dossier) -> String {
    let title = format!("{}: {}", dossier.scenario(), dossier.heading());
    let content = html! {
        (verdict(dossier))
        (series(dossier))
        (seen::section(dossier))
        (details::checks(dossier))
        (rates(dossier))
        (what_was_tested(dossier))
        (details::section(dossier, sections::revert))
        (details::section(dossier, sections::changes))
        (timeline::section(dossier))
        (details::section(dossier, sections::trials))
        (details::section(dossier, |to, result| details::confidence(to, result, &dossier.extra)))
        (details::environment(dossier))
        (details::repeat(dossier))
        (details::fields(dossier))
        (details::files(dossier))
    };
    page(&title, dossier.tool_version(), &content)
}

/// The scenario and its rules.
fn what_was_tested(dossier: &Dossier) -> Markup {
    let mut blocks = Vec::new();
    let result = match &dossier.subject {
        Subject::Bisection(result) => Some(result.as_ref()),
        Subject::Trial(_) => None,
    };
    rules::scenario(&mut blocks, result, &dossier.extra);
    put(&blocks)
}

/// How often each check failed, where one kernel was tried several times.
fn rates(dossier: &Dossier) -> Markup {
    let mut blocks = Vec::new();
    if let Subject::Trial(result) = &dossier.subject
        && let Some(rates) = &result.rates
    {
        sections::rates(&mut blocks, rates);
    }
    put(&blocks)
}

fn verdict(dossier: &Dossier) -> Markup {
    let tone = match &dossier.subject {
        Subject::Bisection(result) => match result.outcome {
            OutcomeWord::Found | OutcomeWord::FoundDespiteSkips => Tone::Bad,
            _ => Tone::Other,
        },
        Subject::Trial(result) => sections::tone(result.trial.verdict),
    };
    let verdict = text(&dossier.verdict(), PARAGRAPH);
    let mut blocks = match dossier.story().and_then(|story| story.headline()) {
        Some(headline) => {
            let decides = text(&headline.sentences(), PARAGRAPH);
            vec![Block::Lead(tone, decides), Block::Paragraph(verdict)]
        }
        None => vec![Block::Lead(tone, verdict)],
    };
    blocks.extend(
        dossier.symptom().map(|symptom| {
            Block::Paragraph(own("Symptom: ").text(&symptom.to_string(), PARAGRAPH))
        }),
    );
    let warning = dossier.warning.as_ref().map(ToString::to_string);
    let remarks = dossier.story().map(|story| story.remarks()).unwrap_or_default();
    let more = warning.into_iter().chain(remarks);
    blocks.extend(more.map(|it| Block::Paragraph(text(&it, PARAGRAPH))));
    html! { (put(&blocks)) (sides(dossier)) }
}

/// Both sides of the change, or the kernel of a single trial.
fn sides(dossier: &Dossier) -> Markup {
    let kernels: Vec<_> = match &dossier.subject {
        Subject::Bisection(result) => {
            let sides = Story { result }.sides().into_iter();
            sides.map(|side| (side.label, side.kernel)).collect()
        }
        Subject::Trial(result) => vec![("kernel", &result.trial.kernel)],
    };
    html! {
        @if !kernels.is_empty() {
            div.cards {
                @for (what, kernel) in kernels {
                    div.card {
                        span.what { (what) }
                        b { (cell(&dossier.label(kernel))) }
                        span.soft {
                            (cell(kernel.package_version.as_str()))
                            @for part in [&kernel.flavour, &kernel.source] {
                                @if !part.is_empty() { ", " (cell(part)) }
                            }
                        }
                        @if let Some(commit) = dossier.story().and_then(|story| story.commit(kernel)) {
                            span.soft { (cell(&commit.subject)) }
                        }
                    }
                }
                @if let Subject::Bisection(result) = &dossier.subject {
                    div.card {
                        span.what { "confidence" }
                        b { (cell(&crate::doubt::level(&result.confidence))) }
                        span.soft { (paragraph(&result.confidence.statement)) }
                    }
                }
            }
        }
    }
}

/// The series with each kernel's verdict.
fn series(dossier: &Dossier) -> Markup {
    let entries = dossier.series();
    let Some(story) = dossier.story().filter(|_| !entries.is_empty()) else {
        return html! {};
    };
    let sides = story.sides();
    html! {
        h2 { "Series" }
        ol.series {
            @for entry in entries {
                @let side = sides.iter().find(|side| side.kernel.id == entry.kernel.id);
                @let other = is_other_failure(entry);
                @let class = if other { "other" } else { class_of(entry.verdict.word()) };
                li class=(if side.is_some() { format!("{class} edge") } else { class.to_owned() })
                    title=[entry.reason.as_deref().map(cell)] {
                    (cell(&story.label(&entry.kernel)))
                    span {
                        (if other { "another failure".to_owned() } else { cell(entry.verdict.word()) })
                        @if let Some(belief) = entry.belief.filter(|belief| belief.tally.counted() > 0) {
                            " " (belief.tally.fails) ":" (belief.tally.counted())
                        }
                        @if let Some(side) = side { ", " (side.label) }
                    }
                }
            }
        }
        @let affected = story.result.affected.as_ref();
        @let known = |kernel: &kbisect_core::kernel::Kernel| entries.iter().any(|it| it.kernel.id == kernel.id);
        @let newest = affected.and_then(|it| it.newest.as_ref()).filter(|it| !known(&it.kernel));
        @let fixed = affected.and_then(|it| it.fixed.as_ref()).filter(|it| !known(it));
        @if newest.is_some() || fixed.is_some() {
            ol.series aria-label="Beyond the range" {
                @if let Some(kernel) = fixed.filter(|it| newest.is_none_or(|newest| newest.kernel.id != it.id)) {
                    li.good.edge { (cell(&story.label(kernel))) span { "good, fixed here" } }
                }
                @if let Some(newest) = newest {
                    @let (class, word) = match newest.fails {
                        Some(true) => ("bad", "bad"),
                        Some(false) => ("good", "good"),
                        None => ("untested", "no answer"),
                    };
                    li class=(class) { (cell(&story.label(&newest.kernel))) span { (word) ", the newest" } }
                }
            }
        }
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
        @if let Some(id) = dossier.bad().and_then(|trial| code(trial.kernel.id.short())) {
            p.soft { "Shown below: trial " (dossier.bad().map_or(0, |trial| trial.number)) ", kernel " (id) "." }
        }
    }
}
