//! Which version to try next: the one that tells most about the culprit for what it costs.
//!
//! What a trial tells is the mutual information of its answer and the culprit: the entropy of the
//! answer, less what would be left of it if the culprit were known. With trials under way it is
//! the mean over their answers, so that a second worker does not ask what the first one asks.

use std::collections::{BTreeMap, BTreeSet};

use super::atoms::Atoms;
use super::history::History;
use super::likelihood::{FailPass, Likelihood, h2};
use super::posterior::{Assumptions, Belief, Posterior};
use super::settings::Costs;
use crate::search::Direction;
use crate::weights::Weights;

/// Distance at which a neighbour of a version that was tried in vain has an even chance.
const REACH: usize = 3;

/// Runs that a version which is not at hand is looked at for: getting it pays when it is run several
/// times.
const RUNS: [u32; 5] = [1, 3, 6, 12, 24];

/// Combinations of pending answers that are looked at: on a graph each costs a pass over it.
const LIST_SCENARIOS: usize = 64;
const GRAPH_SCENARIOS: usize = 8;

/// Everything that a choice depends on.
pub(super) struct Choice<'a> {
    pub history: &'a History,
    pub atoms: &'a Atoms,
    pub likelihood: &'a Likelihood,
    pub assumed: Assumptions,
    /// Versions that cannot be tried.
    pub barred: &'a BTreeSet<usize>,
    /// Those of them that were tried in vain: what made them useless spans neighbours, too.
    pub vain: &'a BTreeSet<usize>,
    /// Graph: as from [`near`].
    pub near_vain: &'a BTreeMap<usize, usize>,
    /// Versions that are at hand.
    pub prepared: &'a BTreeSet<usize>,
    pub costs: Costs,
    /// How likely each version is the culprit, up to a factor, and each atom; all alike without.
    pub weights: Option<(&'a Weights, Vec<f64>)>,
}

/// What is believed if pending trials answer in one certain way.
pub(super) struct Scenario {
    pub share: f64,
    counts: Vec<FailPass>,
    posterior: Posterior,
}

/// A version and what trying it is worth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pick {
    pub version: usize,
    /// Expected information, in nats.
    pub gain: f64,
    score: f64,
}

impl Choice<'_> {
    /// The best version to try, with `pending` slots under way; none when no version can be tried.
    pub(super) fn best(
        &self,
        counts: &[FailPass],
        posterior: &Posterior,
        pending: &[usize],
    ) -> Option<Pick> {
        let scenarios = self.scenarios(counts, posterior, pending);
        let mut best = None;
        for (slot, version) in self.atoms.slots().iter().enumerate() {
            self.offer(&mut best, *version, gain_at_slot(self, &scenarios, slot), 1);
        }
        let several = if self.costs.prepare > 0.0 { RUNS.len() } else { 1 };
        for runs in &RUNS[..several] {
            if self.history.is_list() {
                self.best_of_list(&scenarios, *runs, &mut best);
            } else {
                self.best_of_graph(&scenarios, *runs, &mut best);
            }
        }
        best
    }

    /// The answers that pending trials may give, most likely ones.
    fn scenarios(
        &self,
        counts: &[FailPass],
        posterior: &Posterior,
        pending: &[usize],
    ) -> Vec<Scenario> {
        let limit = if self.history.is_list() { LIST_SCENARIOS } else { GRAPH_SCENARIOS };
        let posterior = self.weighed(posterior.clone());
        let now = Scenario { share: 1.0, counts: counts.to_vec(), posterior };
        let mut scenarios = vec![now];
        for slot in pending {
            let mut after = Vec::with_capacity(2 * scenarios.len());
            for scenario in &scenarios {
                let counts = scenario.counts[*slot];
                let direction = self.assumed.direction;
                let (fails, _) = scenario.posterior.at_slot(self.atoms, *slot, counts, direction);
                for (share, more) in
                    [(fails, FailPass::new(1, 0)), (1.0 - fails, FailPass::new(0, 1))]
                {
                    after.push((scenario.share * share, *slot, more, scenario));
                }
            }
            after.sort_by(|a, b| b.0.total_cmp(&a.0));
            after.truncate(limit);
            let kept: f64 = after.iter().map(|(share, ..)| share).sum();
            scenarios = after
                .into_iter()
                .map(|(share, slot, more, before)| {
                    let mut counts = before.counts.clone();
                    counts[slot] = counts[slot].plus(more);
                    let posterior =
                        Posterior::new(self.atoms, &counts, self.likelihood, self.assumed);
                    let posterior = self.weighed(posterior);
                    Scenario { share: share / kept, counts, posterior }
                })
                .collect();
        }
        scenarios
    }

    /// What is believed when versions are not alike before any trial. It decides what is tried next and
    /// nothing else.
    fn weighed(&self, mut posterior: Posterior) -> Posterior {
        if let Some((_, atoms)) = &self.weights {
            posterior.weigh(self.atoms, atoms);
        }
        posterior
    }

    /// Takes a version if what that many runs of it tell beats the best so far.
    fn offer(&self, best: &mut Option<Pick>, version: usize, gain: f64, runs: u32) {
        let at_hand = self.prepared.contains(&version);
        // Repeating what is at hand can be decided run by run.
        if self.barred.contains(&version) || (at_hand && runs > 1) {
            return;
        }
        let Costs { run, prepare } = self.costs;
        let cost = run * f64::from(runs) + if at_hand { 0.0 } else { prepare };
        let score = gain * self.hope(version) / cost;
        // Rounding must not decide between equals: the first one stays.
        if best.is_none_or(|best| score > best.score * (1.0 + 1e-9)) {
            *best = Some(Pick { version, gain, score });
        }
    }

    /// Chance that a version gives an answer at all, as far as its neighbours tell.
    fn hope(&self, version: usize) -> f64 {
        match self.distance_to_vain(version) {
            None => 1.0,
            Some(distance) => distance as f64 / (distance + REACH) as f64,
        }
    }

    fn distance_to_vain(&self, version: usize) -> Option<usize> {
        if self.vain.is_empty() || self.prepared.contains(&version) {
            return None;
        }
        if !self.history.is_list() {
            return self.near_vain.get(&version).copied();
        }
        let older = self.vain.range(..version).next_back().map(|vain| version - vain);
        let newer = self.vain.range(version..).next().map(|vain| vain - version);
        match (older, newer) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, other) => one.or(other),
        }
    }

    /// List: within an atom the gain is concave in the position, so its best version is next to
    /// the maximum, which has a closed form.
    fn best_of_list(&self, scenarios: &[Scenario], runs: u32, best: &mut Option<Pick>) {
        let lines: Vec<Vec<Segment>> = scenarios
            .iter()
            .map(|s| segments(&s.posterior, self.atoms, self.assumed, runs))
            .collect();
        for (at, atom) in self.atoms.all().iter().enumerate() {
            if atom.size < 2 {
                continue;
            }
            let gain = |inside: usize| -> f64 {
                let inside = self.even(at, inside);
                scenarios
                    .iter()
                    .zip(&lines)
                    .map(|(scenario, line)| scenario.share * line[at].gain(inside))
                    .sum()
            };
            let version = |inside: usize| atom.first + inside - 1;
            if self.is_plain(atom.first, atom.first + atom.size - 1) {
                let tops = lines.iter().map(|line| self.uneven(at, line[at].top()));
                if let Some(inside) = peak(tops, atom.size - 1, gain) {
                    self.offer(best, version(inside), gain(inside), runs);
                }
            } else {
                for inside in 1..atom.size {
                    self.offer(best, version(inside), gain(inside), runs);
                }
            }
        }
    }

    /// Whether all versions of a stretch can be tried, cost the same and are worth the same hope.
    fn is_plain(&self, first: usize, last: usize) -> bool {
        // Hope depends on the distance, however far.
        self.vain.is_empty()
            && self.barred.range(first..last).next().is_none()
            && (self.costs.prepare == 0.0 || self.prepared.range(first..last).next().is_none())
    }

    fn best_of_graph(&self, scenarios: &[Scenario], runs: u32, best: &mut Option<Pick>) {
        let gains = match scenarios {
            [only] => self.gains::<2>(std::slice::from_ref(only), runs),
            several => self.gains::<{ 2 * GRAPH_SCENARIOS }>(several, runs),
        };
        // Version 0 and others that were tried are among the slots.
        let tried: BTreeSet<usize> = self.atoms.slots().iter().copied().collect();
        for (version, gain) in gains.into_iter().enumerate() {
            if !tried.contains(&version) {
                self.offer(best, version, gain, runs);
            }
        }
    }

    /// List: of how many candidates the first `inside` ones of an atom have the weight, were all alike.
    fn even(&self, at: usize, inside: usize) -> f64 {
        let atom = &self.atoms.all()[at];
        match &self.weights {
            Some((weights, atoms)) => {
                let before = atom.first - 1;
                atom.size as f64 * weights.between(before, before + inside) / atoms[at]
            }
            None => inside as f64,
        }
    }

    /// The other way round: how many of the first ones have the weight of `even` that are alike.
    fn uneven(&self, at: usize, even: f64) -> f64 {
        let atom = &self.atoms.all()[at];
        match &self.weights {
            Some((weights, atoms)) if even.is_finite() => {
                let (before, size) = (atom.first - 1, atom.size as f64);
                let weight = atoms[at] * even.clamp(0.0, size) / size;
                let last = weights.up_to(before, weight);
                // Between the one that has less and the one that has more.
                (last - before) as f64 + 0.5
            }
            _ => even,
        }
    }

    /// Graph: share of a candidate in its atom.
    fn share(&self, candidate: usize, at: usize) -> f64 {
        match &self.weights {
            Some((weights, atoms)) => weights.get(candidate) / atoms[at],
            None => 1.0 / self.atoms.all()[at].size as f64,
        }
    }

    /// Graph: what each untried version is worth. One pass for all scenarios, each of which needs
    /// two of the `N` sums.
    fn gains<const N: usize>(&self, scenarios: &[Scenario], runs: u32) -> Vec<f64> {
        let mut terms = vec![[0.0; N]; self.atoms.all().len()];
        for (at, scenario) in scenarios.iter().enumerate() {
            for (term, belief) in terms.iter_mut().zip(&scenario.posterior.atoms) {
                let (_, step) = sides(belief, self.assumed.direction, runs);
                (term[2 * at], term[2 * at + 1]) = (step[0], step[1]);
            }
        }
        let starts: Vec<[f64; 2]> = scenarios
            .iter()
            .map(|scenario| nothing_inside(&scenario.posterior, self.assumed.direction, runs))
            .collect();
        let sums = self.history.sums(|candidate| {
            let atom = self.atoms.of(candidate);
            let share = self.share(candidate, atom);
            terms[atom].map(|term| term * share)
        });
        let gain = |sum: [f64; N]| -> f64 {
            let each = scenarios.iter().zip(&starts).zip(sum.chunks_exact(2));
            each.map(|((scenario, [fails, left]), sum)| {
                scenario.share * (h2(fails + sum[0]) - left - sum[1])
            })
            .sum()
        };
        sums.into_iter().map(gain).collect()
    }
}

/// Versions of a graph around those tried in vain, with their distance, as far as that matters.
pub(super) fn near(history: &History, vain: &BTreeSet<usize>) -> BTreeMap<usize, usize> {
    let mut near: BTreeMap<usize, usize> = vain.iter().map(|at| (*at, 0)).collect();
    let mut ring: Vec<usize> = vain.iter().copied().collect();
    for distance in 1..4 * REACH {
        let mut next = Vec::new();
        for at in ring.into_iter().filter(|at| *at != 0) {
            for around in history.parents(at).into_iter().chain(history.children(at)) {
                near.entry(around).or_insert_with(|| {
                    next.push(around);
                    distance
                });
            }
        }
        ring = next;
    }
    near
}

fn gain_at_slot(choice: &Choice<'_>, scenarios: &[Scenario], slot: usize) -> f64 {
    scenarios
        .iter()
        .map(|scenario| {
            let counts = scenario.counts[slot];
            let direction = choice.assumed.direction;
            let (fails, left) = scenario.posterior.at_slot(choice.atoms, slot, counts, direction);
            scenario.share * (h2(fails) - left)
        })
        .sum()
}

/// Chance that a version fails at least once in `runs`, and the entropy of that. Good versions hardly
/// fail, so that one bit holds nearly all that the runs tell.
fn once(rate: f64, entropy: f64, runs: u32) -> [f64; 2] {
    if runs == 1 {
        return [rate, entropy];
    }
    let rate = 1.0 - (1.0 - rate).powi(runs as i32);
    [rate, h2(rate)]
}

/// What a group of candidates adds to (failure, entropy left): when the version tried contains none
/// of them, and the difference when it contains them all.
fn sides(belief: &Belief, direction: Direction, runs: u32) -> ([f64; 2], [f64; 2]) {
    let bad = once(belief.p, belief.h_p, runs).map(|x| x * belief.mass);
    let good = once(belief.q, belief.h_q, runs).map(|x| x * belief.mass);
    let (out, inside) = match direction {
        Direction::Regression => (good, bad),
        Direction::Fix => (bad, good),
    };
    (out, [inside[0] - out[0], inside[1] - out[1]])
}

/// (failure, entropy left) of an untried version that contains no candidate.
fn nothing_inside(posterior: &Posterior, direction: Direction, runs: u32) -> [f64; 2] {
    let (all, none) = (&posterior.all_bad, &posterior.noise);
    let (bad, good) = (once(all.p, all.h_p, runs), once(none.q, none.h_q, runs));
    let mut sum = [0, 1].map(|at| all.mass * bad[at] + none.mass * good[at]);
    for belief in &posterior.atoms {
        let (out, _) = sides(belief, direction, runs);
        sum = [sum[0] + out[0], sum[1] + out[1]];
    }
    sum
}

/// The gain over an atom of a list: both parts are linear in the number of candidates that the
/// version contains.
#[derive(Clone, Copy, Debug)]
struct Segment {
    fails: f64,
    left: f64,
    fails_step: f64,
    left_step: f64,
}

impl Segment {
    fn gain(&self, inside: f64) -> f64 {
        h2(self.fails + self.fails_step * inside) - self.left - self.left_step * inside
    }

    /// Where the gain is largest: `ln((1-m)/m) dm = dl`, solved for the position.
    fn top(&self) -> f64 {
        let fails = 1.0 / (1.0 + (self.left_step / self.fails_step).exp());
        (fails - self.fails) / self.fails_step
    }
}

fn segments(posterior: &Posterior, atoms: &Atoms, assumed: Assumptions, runs: u32) -> Vec<Segment> {
    let [mut fails, mut left] = nothing_inside(posterior, assumed.direction, runs);
    atoms
        .all()
        .iter()
        .zip(&posterior.atoms)
        .map(|(atom, belief)| {
            let (_, step) = sides(belief, assumed.direction, runs);
            let size = atom.size as f64;
            let segment =
                Segment { fails, left, fails_step: step[0] / size, left_step: step[1] / size };
            fails += step[0];
            left += step[1];
            segment
        })
        .collect()
}

/// The whole number in `1..=last` with the largest value of a concave function, given where the
/// functions that it is the mean of have their maxima.
fn peak(
    tops: impl Iterator<Item = f64>,
    last: usize,
    value: impl Fn(usize) -> f64,
) -> Option<usize> {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for top in tops.filter(|top| top.is_finite()) {
        (low, high) = (low.min(top), high.max(top));
    }
    if low > high {
        return None;
    }
    let clamp = |top: f64| (top.max(1.0) as usize).min(last);
    let (mut low, mut high) = (clamp(low.floor()), clamp(high.ceil()));
    while low < high {
        let middle = low + (high - low) / 2;
        if value(middle) < value(middle + 1) { low = middle + 1 } else { high = middle }
    }
    Some(low)
}
