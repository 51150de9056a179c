//! When the search may end.

use std::collections::{BTreeMap, BTreeSet};

use super::atoms::Atoms;
use super::history::History;
use super::likelihood::{Counts, Likelihood, mean_rate};
use super::posterior::Posterior;

/// Failures of one version that are needed before it is called bad: one alone may be noise.
pub const FAILURES: u32 = 3;

/// Chance of missing a failure rate of `p_min` at which the bad end is given up.
const MISSED: f64 = 0.05;

/// Whether a bad end that failed `fails` times of `runs` fails less often than `p_min`, with 95 %
/// confidence: 59 runs without a failure for 5 %.
#[must_use]
pub fn is_rarer(fails: u32, runs: u32, p_min: f64) -> bool {
    if runs <= fails {
        return false;
    }
    let (n, p) = (f64::from(runs), p_min);
    // Terms of the binomial distribution, in logs: (1-p)^n underflows.
    let mut ln_term = n * (-p).ln_1p();
    let mut sum = ln_term.exp();
    for k in 0..fails {
        let k = f64::from(k);
        ln_term += ((n - k) / (k + 1.0)).ln() + p.ln() - (-p).ln_1p();
        sum += ln_term.exp();
    }
    // With p_min = 1 a single pass is enough.
    if p >= 1.0 { runs > fails } else { sum <= MISSED }
}

/// Candidates that no trial can tell apart, since versions between them cannot be tested.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Class {
    /// The candidates, ascending.
    pub members: Vec<usize>,
    /// Posterior probability that one of them is the culprit.
    pub mass: f64,
    /// The testable versions next to them that do not contain the change.
    pub before: Vec<usize>,
    /// The testable versions next to them that do.
    pub after: Vec<usize>,
}

/// Finds the most probable class.
pub(super) fn likeliest(
    history: &History,
    atoms: &Atoms,
    posterior: &Posterior,
    barred: &BTreeSet<usize>,
) -> Option<Class> {
    let share = |candidate: usize| {
        let atom = atoms.of(candidate);
        posterior.atoms[atom].mass / atoms.all()[atom].size as f64
    };
    if barred.is_empty() {
        // Then every candidate is a class of its own, and all of an atom are equal.
        let (at, _) = (0..atoms.all().len())
            .map(|at| (at, posterior.atoms[at].mass / atoms.all()[at].size as f64))
            .max_by(|a, b| a.1.total_cmp(&b.1))?;
        let candidate = (1..history.len()).find(|candidate| atoms.of(*candidate) == at)?;
        let before = history.parents(candidate);
        return Some(Class {
            members: vec![candidate],
            mass: share(candidate),
            before,
            after: vec![candidate],
        });
    }
    let mut classes: BTreeMap<Vec<usize>, (f64, Vec<usize>)> = BTreeMap::new();
    for candidate in 1..history.len() {
        let key = if barred.contains(&candidate) {
            frontier(history, candidate, barred)
        } else {
            vec![candidate]
        };
        let class = classes.entry(key).or_default();
        class.0 += share(candidate);
        class.1.push(candidate);
    }
    let (after, (mass, members)) = classes.into_iter().max_by(|a, b| a.1.0.total_cmp(&b.1.0))?;
    let before = below(history, &members, &after, barred);
    Some(Class { members, mass, before, after })
}

/// The oldest testable versions that contain an untestable one.
fn frontier(history: &History, candidate: usize, barred: &BTreeSet<usize>) -> Vec<usize> {
    let reached = walk(candidate, barred, |at| history.children(at));
    // Those that contain another one of them tell nothing more.
    let contained: Vec<(usize, Vec<bool>)> = if history.is_list() || reached.len() < 2 {
        Vec::new()
    } else {
        reached.iter().map(|at| (*at, history.contained(*at))).collect()
    };
    reached
        .iter()
        .copied()
        .filter(|at| {
            let Some((_, inside)) = contained.iter().find(|(of, _)| of == at) else { return true };
            !reached.iter().any(|other| other != at && inside[*other])
        })
        .collect()
}

/// The newest testable versions that contain none of the members.
fn below(
    history: &History,
    members: &[usize],
    after: &[usize],
    barred: &BTreeSet<usize>,
) -> Vec<usize> {
    let mut found = BTreeSet::new();
    for start in members.iter().chain(after) {
        found.extend(walk(*start, barred, |at| history.parents(at)));
    }
    found.retain(|at| !after.contains(at));
    found.into_iter().collect()
}

/// Follows `next` through untestable versions to the first testable ones, ascending.
fn walk(start: usize, barred: &BTreeSet<usize>, next: impl Fn(usize) -> Vec<usize>) -> Vec<usize> {
    let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut open = next(start);
    while let Some(at) = open.pop() {
        if !seen.insert(at) {
            continue;
        }
        if barred.contains(&at) {
            open.extend(next(at));
        } else {
            found.insert(at);
        }
    }
    found.into_iter().collect()
}

/// What the comparison of a culprit and its neighbours still lacks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Lack {
    /// Failures of a bad neighbour.
    Failures { version: usize, missing: u32 },
    /// Passes of a good one.
    Passes { version: usize, missing: u32 },
}

/// What is needed until the difference between the sides is no chance any more. `under_way` tells
/// how many trials of a version are pending; they are taken to answer as expected.
pub(super) fn lacking(
    bad: &[usize],
    good: &[usize],
    counts: impl Fn(usize) -> Counts,
    under_way: impl Fn(usize) -> u32,
    likelihood: &Likelihood,
    chance: f64,
) -> Vec<Lack> {
    let mut lacking = Vec::new();
    for version in bad {
        let own = counts(*version);
        let missing = FAILURES.saturating_sub(own.fails);
        if missing > 0 {
            let wanted = (f64::from(missing) / mean_rate(own)).ceil() as u32;
            let missing = wanted.saturating_sub(under_way(*version));
            lacking.push(Lack::Failures { version: *version, missing });
        }
    }
    let failing = bad.iter().fold(Counts::default(), |sum, at| sum.plus(counts(*at)));
    for version in good {
        let own = counts(*version);
        if likelihood.same_rate(failing, own) > chance {
            let missing = passes_missing(failing, own, likelihood, chance);
            let missing = missing.saturating_sub(under_way(*version));
            lacking.push(Lack::Passes { version: *version, missing });
        }
    }
    lacking
}

/// Passes in a row that would settle it, as far as the tables reach.
fn passes_missing(bad: Counts, good: Counts, likelihood: &Likelihood, chance: f64) -> u32 {
    let settles = |more: u32| likelihood.same_rate(bad, good.plus(Counts::new(0, more))) <= chance;
    let most = likelihood.reach().saturating_sub(bad.plus(good).runs());
    (1..=most).find(|more| settles(*more)).unwrap_or(most.max(1))
}
