//! The page from top to bottom.

use kbisect_core::run::OutcomeWord;
use maud::{Markup, html};

use super::parts::{cell, paragraph};
use super::{details, seen, series, timeline};
use crate::document::{Block, PARAGRAPH, Tone, own, text};
use crate::dossier::{Dossier, Subject};
use crate::print::{page, put};
use crate::rules;
use crate::sections;
use crate::story::Story;
use crate::words;

/// Writes the report as one HTML file. It says the same whenever it is made from the same folder.
#[must_use]
pub fn html(dossier: &Dossier) -> String {
    let title = format!("{}: {}", dossier.scenario(), dossier.heading());
    // What is read by everybody is two pages of paper; the rest is what it was concluded from.
    let content = html! {
        div.front {
            (verdict(dossier))
            (series::section(dossier))
            (seen::section(dossier))
            (rates(dossier))
            (details::section(dossier, |to, result| rules::in_question(to, result, &dossier.extra)))
            (details::section(dossier, sections::revert))
            (details::section(dossier, sections::changes))
            (details::repeat(dossier))
        }
        div.appendix {
            p.part { "Appendix" }
            (what_was_tested(dossier))
            (seen::hop_by_hop(dossier))
            (details::checks(dossier))
            (timeline::section(dossier))
            (details::section(dossier, sections::other_changes))
            (details::section(dossier, sections::forgone))
            (details::section(dossier, sections::trials))
            (details::section(dossier, |to, result| details::confidence(to, result, &dossier.extra)))
            (details::environment(dossier))
            (details::fields(dossier))
            (details::files(dossier))
        }
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
    let repeat = dossier.commands().into_iter().next();
    let repeat = repeat.map(|(_, command)| Block::Paragraph(own("Repeat: ").code(&command)));
    html! { (put(&blocks)) (sides(dossier)) (put(&Vec::from_iter(repeat))) }
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
                        @let doubt = result.doubt.as_ref().and_then(|doubt| doubt.probability);
                        @if let Some(sure) = result.confidence.probability.or(doubt) {
                            meter min="0" max="1" low="0.9" high="0.99" optimum="1" value=(sure)
                                aria-label="probability of the answer" { (words::percent(sure)) }
                        }
                        span.soft { (paragraph(&result.confidence.statement)) }
                        @if let Some(command) = (Story { result }).surer() {
                            span.soft { "More runs of both sides: " code { (cell(&command)) } }
                        }
                    }
                }
            }
        }
    }
}
