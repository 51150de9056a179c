//! The probabilities of a search under doubt, as bars.

use kbisect_core::bayes::VersionBelief;
use kbisect_core::run::BisectResult;
use maud::{Markup, html};

use super::parts::cell;
use crate::sections::LIKELY;
use crate::story::Story;
use crate::words::percent;

/// Most versions with a bar of their own: the likeliest and those that were run.
const BARS: usize = 24;

/// Sizes in the units of the drawing.
const ROW: f64 = 22.0;
const LABEL: f64 = 130.0;
const WIDTH: f64 = 720.0;
/// Where bars begin and how long that of 100 % is.
const LEFT: f64 = 250.0;
const LONGEST: f64 = 380.0;

/// A bar for each version that was run or is likely: how probable it is that the change came with it,
/// with its failures and runs beside it. Nothing without doubt.
pub(super) fn chart(result: &BisectResult) -> Markup {
    let rows = rows(result);
    if rows.is_empty() {
        return html! {};
    }
    let story = Story { result };
    let height = ROW * (rows.len() + 1) as f64 + 6.0;
    let title = "Probability that the change came with a version, and its failed runs";
    html! {
        figure.wide tabindex="0" {
            svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(title)
                xmlns="http://www.w3.org/2000/svg" style="max-width:45rem;width:100%" {
                text x="0" y="14" class="soft" { "version" }
                text x=(LABEL) y="14" class="soft" { "failed of runs" }
                text x=(LEFT) y="14" class="soft" { "the change came with it" }
                @for (at, (index, row)) in rows.iter().enumerate() {
                    @let runs = row.tally.counted();
                    @let y = ROW * (at + 1) as f64;
                    @let length = (row.culprit * LONGEST).max(1.0);
                    text x="0" y=(y + 15.0) { (cell(&story.label(&result.series[*index].kernel))) }
                    text x=(LABEL) y=(y + 15.0) {
                        @if runs == 0 { "not run" } @else { (row.tally.fails) " of " (runs) }
                    }
                    rect x=(LEFT) y=(y + 3.0) width=(format!("{length:.1}")) height="14"
                        class=(if row.bad > 0.5 { "bar-bad" } else { "bar-good" }) {}
                    text x=(format!("{:.1}", LEFT + length + 6.0)) y=(y + 15.0) {
                        (percent(row.culprit))
                    }
                }
            }
            figcaption.soft {
                "Red: probably bad. Green: probably good."
                @let left = result.series.len() - rows.len();
                @if left > 0 { " " (left) " others are not shown: they were not run and are unlikely." }
            }
        }
    }
}

/// The versions that have a bar: their positions, and what is believed of them.
fn rows(result: &BisectResult) -> Vec<(usize, &VersionBelief)> {
    let entries = result.series.iter().enumerate();
    let mut rows: Vec<_> =
        entries.filter_map(|(index, entry)| Some((index, entry.belief.as_ref()?))).collect();
    rows.retain(|(_, belief)| belief.tally.counted() > 0 || belief.culprit >= LIKELY);
    rows.sort_by(|(_, a), (_, b)| b.culprit.total_cmp(&a.culprit));
    rows.truncate(BARS);
    rows.sort_by_key(|(index, _)| *index);
    rows
}
