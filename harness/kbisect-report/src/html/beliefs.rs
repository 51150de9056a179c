//! The probabilities of a search under doubt, as bars.

use kbisect_core::run::BisectResult;
use maud::{Markup, html};

use super::parts::cell;
use crate::story::Story;
use crate::words::percent;

/// Most versions with a bar of their own: the likeliest and those that were run.
const BARS: usize = 24;
/// A version that was not run is shown from this probability on.
const LIKELY: f64 = 0.005;

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
        figure.wide {
            svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(title)
                xmlns="http://www.w3.org/2000/svg" style="max-width:45rem;width:100%" {
                text x="0" y="14" class="soft" { "version" }
                text x=(LABEL) y="14" class="soft" { "failed of runs" }
                text x=(LEFT) y="14" class="soft" { "the change came with it" }
                @for (at, row) in rows.iter().enumerate() {
                    @let y = ROW * (at + 1) as f64;
                    @let length = (row.culprit * LONGEST).max(1.0);
                    text x="0" y=(y + 15.0) { (cell(&story.label(&result.series[row.index].kernel))) }
                    text x=(LABEL) y=(y + 15.0) {
                        @if row.runs == 0 { "not run" } @else { (row.fails) " of " (row.runs) }
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

struct Row {
    index: usize,
    fails: u32,
    runs: u32,
    culprit: f64,
    bad: f64,
}

fn rows(result: &BisectResult) -> Vec<Row> {
    let row = |(index, entry): (usize, &kbisect_core::run::SeriesEntry)| {
        let belief = entry.belief.as_ref()?;
        let (fails, runs) = (belief.tally.fails, belief.tally.counted());
        Some(Row { index, fails, runs, culprit: belief.culprit, bad: belief.bad })
    };
    let mut rows: Vec<Row> = result.series.iter().enumerate().filter_map(row).collect();
    rows.retain(|row| row.runs > 0 || row.culprit >= LIKELY);
    rows.sort_by(|a, b| b.culprit.total_cmp(&a.culprit));
    rows.truncate(BARS);
    rows.sort_by_key(|row| row.index);
    rows
}
