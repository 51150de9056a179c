//! What is believed after the counts.

use super::atoms::Atoms;
use super::likelihood::{
    FailPass, GRID, Likelihood, h2, ln_sum, mean_rate, spread, spread_mean, spread_prior,
};
use crate::search::Direction;

/// Prior probability that one of the candidates brought the change.
const CHANGED: f64 = 0.96;
/// Prior probability that the end without the symptom has it as well.
const GOOD_END_BAD: f64 = 0.03;
/// Prior probability that no version has it: what was seen is noise.
const NOISE_ONLY: f64 = 0.01;

/// What the prior and the likelihood depend on besides the counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Assumptions {
    pub direction: Direction,
    pub robust: bool,
    pub assume_good: bool,
    pub assume_bad: bool,
}

/// Probability of a group of hypotheses, and what it expects of a trial.
#[derive(Clone, Debug)]
pub(super) struct Belief {
    /// Posterior probability of the whole group.
    pub mass: f64,
    /// Probability, given the group, that bad versions fail always and good ones never.
    pub always: f64,
    /// Expected failure rate of a bad version.
    pub p: f64,
    /// Expected failure rate of a good version.
    pub q: f64,
    /// Entropies at these rates, in nats.
    pub h_p: f64,
    pub h_q: f64,
    /// Failures and passes of versions that are bad under these hypotheses.
    pub bad: FailPass,
    /// Those of the others.
    pub good: FailPass,
    /// Robust mode: weights of the common rates.
    spread: Option<Box<[f64; GRID]>>,
}

/// The posterior over all hypotheses.
#[derive(Clone, Debug)]
pub(super) struct Posterior {
    /// One a group of candidates, as in [`Atoms::all`].
    pub atoms: Vec<Belief>,
    /// All versions are bad.
    pub all_bad: Belief,
    /// No version is bad.
    pub noise: Belief,
    /// Log likelihood of all counts.
    pub evidence: f64,
}

impl Posterior {
    /// Works out the posterior; `counts` are by slot.
    pub(super) fn new(
        atoms: &Atoms,
        counts: &[FailPass],
        likelihood: &Likelihood,
        assumed: Assumptions,
    ) -> Self {
        let total = counts.iter().fold(FailPass::default(), |sum, c| sum.plus(*c));
        let scorer = Scorer::new(counts, likelihood, assumed.robust);
        let each = CHANGED / atoms.candidates() as f64;
        let mut beliefs: Vec<Belief> = atoms
            .all()
            .iter()
            .map(|atom| {
                let inside = atom.inside().fold(FailPass::default(), |sum, s| sum.plus(counts[s]));
                let bad = match assumed.direction {
                    Direction::Regression => inside,
                    Direction::Fix => total.minus(inside),
                };
                let is_bad =
                    |slot| atom.is_inside(slot) == (assumed.direction == Direction::Regression);
                scorer.score(bad, total, (each * atom.size as f64).ln(), is_bad)
            })
            .collect();
        let unless =
            |assumed: bool, prior: f64| if assumed { f64::NEG_INFINITY } else { prior.ln() };
        let mut all_bad =
            scorer.score(total, total, unless(assumed.assume_good, GOOD_END_BAD), |_| true);
        let noise = unless(assumed.assume_bad, NOISE_ONLY);
        let mut noise = scorer.score(FailPass::default(), total, noise, |_| false);
        // Until here `mass` is a log weight.
        let logs: Vec<f64> =
            beliefs.iter().chain([&all_bad, &noise]).map(|belief| belief.mass).collect();
        let sum = ln_sum(logs.iter().copied());
        for belief in beliefs.iter_mut().chain([&mut all_bad, &mut noise]) {
            belief.mass = (belief.mass - sum).exp();
        }
        Self { atoms: beliefs, all_bad, noise, evidence: sum }
    }

    /// What is believed if the candidates of each atom weigh this, and not as many as they are.
    pub(super) fn weigh(&mut self, atoms: &Atoms, weights: &[f64]) {
        let mean = weights.iter().sum::<f64>() / atoms.candidates() as f64;
        for ((belief, atom), weight) in self.atoms.iter_mut().zip(atoms.all()).zip(weights) {
            belief.mass *= weight / (mean * atom.size as f64);
        }
        let sum: f64 = self.all().map(|belief| belief.mass).sum();
        for belief in self.atoms.iter_mut().chain([&mut self.all_bad, &mut self.noise]) {
            belief.mass /= sum;
        }
    }

    /// Probability that the version of a slot fails when it is tried, and what of the entropy of
    /// that answer would be left if the culprit were known, in nats.
    pub(super) fn at_slot(
        &self,
        atoms: &Atoms,
        slot: usize,
        counts: FailPass,
        direction: Direction,
    ) -> (f64, f64) {
        let (mut fails, mut left) = (0.0, 0.0);
        let mut add = |belief: &Belief, bad: bool| {
            let (rate, entropy) = belief.expects(bad, Some(counts));
            fails += belief.mass * rate;
            left += belief.mass * entropy;
        };
        for (atom, belief) in atoms.all().iter().zip(&self.atoms) {
            add(belief, atom.is_inside(slot) == (direction == Direction::Regression));
        }
        add(&self.all_bad, true);
        add(&self.noise, false);
        (fails, left)
    }

    /// Probability that the version of a slot is bad.
    pub(super) fn bad_at_slot(&self, atoms: &Atoms, slot: usize, direction: Direction) -> f64 {
        let bad = |atom: &super::atoms::Atom| {
            atom.is_inside(slot) == (direction == Direction::Regression)
        };
        let sum: f64 = atoms
            .all()
            .iter()
            .zip(&self.atoms)
            .filter(|(atom, _)| bad(atom))
            .map(|(_, belief)| belief.mass)
            .sum();
        sum + self.all_bad.mass
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Belief> + Clone {
        self.atoms.iter().chain([&self.all_bad, &self.noise])
    }
}

impl Belief {
    /// Expected failure rate of a version, and the entropy of its answer. `counts` are its own, if
    /// it was tried.
    pub(super) fn expects(&self, bad: bool, counts: Option<FailPass>) -> (f64, f64) {
        match (&self.spread, counts) {
            (Some(spread), Some(counts)) if bad && counts != FailPass::default() => {
                let rate = self.always + (1.0 - self.always) * spread_mean(spread, counts);
                (rate, h2(rate))
            }
            _ if bad => (self.p, self.h_p),
            _ => (self.q, self.h_q),
        }
    }
}

/// Scores hypotheses against counts.
struct Scorer<'a> {
    likelihood: &'a Likelihood,
    /// Robust mode: log likelihoods of each slot.
    spreads: Option<Vec<[f64; GRID]>>,
}

impl<'a> Scorer<'a> {
    fn new(counts: &[FailPass], likelihood: &'a Likelihood, robust: bool) -> Self {
        let spreads = robust.then(|| counts.iter().map(|c| spread(*c)).collect());
        Self { likelihood, spreads }
    }

    /// The belief in a group of hypotheses, with a log weight as mass.
    fn score(
        &self,
        bad: FailPass,
        total: FailPass,
        ln_prior: f64,
        is_bad: impl Fn(usize) -> bool,
    ) -> Belief {
        let good = total.minus(bad);
        let (ln_good, q) = self.likelihood.good(good);
        let (ln_bad, p, spread) = match &self.spreads {
            None => (self.likelihood.bad(bad), mean_rate(bad), None),
            Some(spreads) => {
                let mut logs = spread_prior();
                for (_, slot) in spreads.iter().enumerate().filter(|(slot, _)| is_bad(*slot)) {
                    logs.iter_mut().zip(slot).for_each(|(log, more)| *log += more);
                }
                let sum = ln_sum(logs.iter().copied());
                let weights = logs.map(|log| (log - sum).exp());
                (sum, spread_mean(&weights, FailPass::default()), Some(Box::new(weights)))
            }
        };
        let (ln_counts, always) = self.likelihood.or_always(bad, good, ln_bad + ln_good);
        let (p, q) = (always + (1.0 - always) * p, (1.0 - always) * q);
        Belief {
            mass: ln_prior + ln_counts,
            always,
            p,
            q,
            h_p: h2(p),
            h_q: h2(q),
            bad,
            good,
            spread,
        }
    }
}
