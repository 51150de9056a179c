//! What is shown while a search runs: rates, the credible set, what is left to do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::atoms::Atoms;
use super::likelihood::{A, h2};
use super::posterior::Posterior;
use super::tally::Tally;

/// A value with the interval that holds it with 90 % probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    /// Expected value.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Runs that are still needed, as a range: answers are a matter of chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunsLeft {
    /// With luck.
    pub low: u32,
    /// Without.
    pub high: u32,
}

/// What is believed of one version.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VersionBelief {
    /// Its counts.
    pub tally: Tally,
    /// Probability that the change came with it.
    pub culprit: f64,
    /// Probability that it is bad.
    pub bad: f64,
}

/// The state of a search, for the terminal and the reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Belief {
    /// By position.
    pub versions: Vec<VersionBelief>,
    /// Failure rate of bad versions.
    pub p: Estimate,
    /// Failure rate of good versions.
    pub q: Estimate,
    /// Candidates that hold the change with 95 % probability, ascending.
    pub credible: Vec<usize>,
    /// Probability that the end without the symptom has it as well.
    pub good_end_bad: f64,
    /// Probability that nothing changed and the failures are noise.
    pub nothing: f64,
    /// What is unknown, in bits.
    pub entropy: f64,
    /// Runs still needed.
    pub left: RunsLeft,
}

/// Points at which a rate's distribution is worked out.
const POINTS: usize = 400;
/// Probability outside each end of an interval.
const TAIL: f64 = 0.05;

/// The failure rate of bad versions: a mixture of Beta distributions and of what fails always.
pub(super) fn bad_rate(posterior: &Posterior) -> Estimate {
    let mut density = [0.0; POINTS];
    let (mut mean, mut always) = (0.0, 0.0);
    for belief in posterior.all().filter(|belief| belief.mass > 1e-6) {
        mean += belief.mass * belief.p;
        always += belief.mass * belief.always;
        let (fails, passes) = (f64::from(belief.bad.fails), f64::from(belief.bad.passes));
        let log = |at: usize| {
            let p = (at as f64 + 0.5) / POINTS as f64;
            (A + fails - 1.0) * p.ln() + passes * (-p).ln_1p()
        };
        let largest = (0..POINTS).map(log).fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = (0..POINTS).map(|at| (log(at) - largest).exp()).sum();
        for (at, sum) in density.iter_mut().enumerate() {
            *sum += belief.mass * (1.0 - belief.always) * (log(at) - largest).exp() / total;
        }
    }
    let points = density
        .iter()
        .enumerate()
        .map(|(at, mass)| ((at as f64 + 0.5) / POINTS as f64, *mass))
        .chain([(1.0, always)]);
    Estimate { mean, low: quantile(points.clone(), TAIL), high: quantile(points, 1.0 - TAIL) }
}

/// The failure rate of good versions, given weights of its possible values.
pub(super) fn good_rate(weights: &[(f64, f64)]) -> Estimate {
    let mean = weights.iter().map(|(rate, weight)| rate * weight).sum();
    let points = weights.iter().copied();
    Estimate { mean, low: quantile(points.clone(), TAIL), high: quantile(points, 1.0 - TAIL) }
}

fn quantile(points: impl Iterator<Item = (f64, f64)>, share: f64) -> f64 {
    let (mut sum, mut last) = (0.0, 0.0);
    for (value, mass) in points {
        sum += mass;
        last = value;
        if sum >= share {
            break;
        }
    }
    last
}

/// Entropy over all hypotheses, in nats.
pub(super) fn entropy(atoms: &Atoms, posterior: &Posterior) -> f64 {
    let term = |mass: f64, among: f64| if mass > 0.0 { -mass * (mass / among).ln() } else { 0.0 };
    let candidates = atoms.all().iter().zip(&posterior.atoms);
    candidates.map(|(atom, belief)| term(belief.mass, atom.size as f64)).sum::<f64>()
        + term(posterior.all_bad.mass, 1.0)
        + term(posterior.noise.mass, 1.0)
}

/// Most information that one run can give when bad versions fail with `p` and good ones with `q`, in
/// nats: the capacity of the channel.
pub(super) fn capacity(p: f64, q: f64) -> f64 {
    if p <= q {
        return 0.0;
    }
    let slope = (h2(p) - h2(q)) / (p - q);
    let best = (1.0 / (1.0 + slope.exp())).clamp(q, p);
    let share = (best - q) / (p - q);
    h2(best) - share * h2(p) - (1.0 - share) * h2(q)
}

/// The candidates that hold the change with `share` probability, given that there is one. Those that
/// no trial told apart are all in it or all out.
pub(super) fn credible(atoms: &Atoms, posterior: &Posterior, len: usize, share: f64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..atoms.all().len()).collect();
    let each = |at: usize| posterior.atoms[at].mass / atoms.all()[at].size as f64;
    order.sort_by(|a, b| each(*b).total_cmp(&each(*a)));
    let total: f64 = posterior.atoms.iter().map(|belief| belief.mass).sum();
    let mut inside = vec![false; order.len()];
    let mut sum = 0.0;
    for at in order {
        if sum >= share * total {
            break;
        }
        inside[at] = true;
        sum += posterior.atoms[at].mass;
    }
    (1..len).filter(|candidate| inside[atoms.of(*candidate)]).collect()
}
