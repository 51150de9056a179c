//! Whether one change explains what was seen.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::likelihood::{FailPass, Likelihood, ln_sum};

/// Bayes factor from which on several changes are reported.
pub(super) const CONVINCING: f64 = 100.0;

/// An explanation with several changes in one list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeveralChanges {
    /// How much better they explain the counts than a single change does.
    pub odds: f64,
    /// Where they are in the best explanation: each between two tried versions, ascending.
    pub changes: Vec<(usize, usize)>,
}

/// Compares a single change with several: good, bad, good, bad; or bad, good, bad. `slots` are the
/// versions that were tried, in order, both ends among them. `single` is the log likelihood of a
/// single change. None when a single change does as well.
pub(super) fn several(
    slots: &[usize],
    counts: &[FailPass],
    likelihood: &Likelihood,
    first_is_bad: bool,
    single: f64,
) -> Option<SeveralChanges> {
    let mut sums = vec![FailPass::default()];
    for own in counts {
        sums.push(sums[sums.len() - 1].plus(*own));
    }
    let line = Line { slots, sums, likelihood };
    let three = line.explain(3, first_is_bad);
    let two = line.explain(2, true);
    let ln_odds = ln_sum([three.ln_mean, two.ln_mean].into_iter()) - 2f64.ln() - single;
    if ln_odds < CONVINCING.ln() {
        return None;
    }
    let best = if three.ln_mean >= two.ln_mean { three.best } else { two.best };
    let changes = best.into_iter().map(|at| (slots[at - 1], slots[at])).collect();
    Some(SeveralChanges { odds: ln_odds.exp(), changes })
}

struct Line<'a> {
    slots: &'a [usize],
    /// Counts of the slots before each.
    sums: Vec<FailPass>,
    likelihood: &'a Likelihood,
}

struct Explanation {
    /// Log of the mean likelihood over all places of the changes.
    ln_mean: f64,
    /// The slots before which the changes lie, in the likeliest case.
    best: Vec<usize>,
}

impl Line<'_> {
    /// Goes through all places of `number` changes (two or three).
    fn explain(&self, number: usize, first_is_bad: bool) -> Explanation {
        let last = self.slots.len();
        let mut logs = Vec::new();
        let mut best = (f64::NEG_INFINITY, Vec::new());
        for one in 1..last {
            for two in one + 1..last {
                let thirds = if number == 3 { two + 1..last } else { last..last + 1 };
                for three in thirds {
                    let places = [one, two, three];
                    let fit = self.fit(&places[..number], first_is_bad);
                    let ways: f64 = places[..number].iter().map(|at| self.ways(*at)).product();
                    logs.push(fit + ways.ln());
                    if fit > best.0 {
                        best = (fit, places[..number].to_vec());
                    }
                }
            }
        }
        let candidates = (self.slots[last - 1] - self.slots[0]) as f64;
        let all: f64 =
            (0..number).map(|taken| (candidates - taken as f64) / (taken + 1) as f64).product();
        Explanation { ln_mean: ln_sum(logs.iter().copied()) - all.max(1.0).ln(), best: best.1 }
    }

    /// Candidates between a slot and the one before.
    fn ways(&self, at: usize) -> f64 {
        (self.slots[at] - self.slots[at - 1]) as f64
    }

    /// Log likelihood of the counts when the state changes before each of these slots.
    fn fit(&self, places: &[usize], first_is_bad: bool) -> f64 {
        let total = self.sums[self.slots.len()];
        let mut bad = FailPass::default();
        let (mut from, mut is_bad) = (0, first_is_bad);
        for to in places.iter().copied().chain([self.slots.len()]) {
            if is_bad {
                bad = bad.plus(self.sums[to].minus(self.sums[from]));
            }
            (from, is_bad) = (to, !is_bad);
        }
        let good = total.minus(bad);
        let ln_doubt = self.likelihood.bad(bad) + self.likelihood.good(good).0;
        self.likelihood.or_always(bad, good, ln_doubt).0
    }
}
