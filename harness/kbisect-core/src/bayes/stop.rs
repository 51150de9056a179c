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

/// Finds the most probable class. `frontiers` are those of all untestable versions.
pub(super) fn likeliest(
    history: &History,
    atoms: &Atoms,
    posterior: &Posterior,
    frontiers: &BTreeMap<usize, Vec<usize>>,
) -> Option<Class> {
    let share = |atom: usize| posterior.atoms[atom].mass / atoms.all()[atom].size as f64;
    // What an untestable version adds to its class. A class of which no member can be tested has
    // several versions in its key, or none.
    let mut classes: BTreeMap<&[usize], (f64, Vec<usize>)> = BTreeMap::new();
    for (candidate, frontier) in frontiers.iter().filter(|(candidate, _)| **candidate != 0) {
        let class = classes.entry(frontier).or_default();
        class.0 += share(atoms.of(*candidate));
        class.1.push(*candidate);
    }
    for (key, (mass, members)) in &mut classes {
        if let [testable] = **key {
            *mass += share(atoms.of(testable));
            members.push(testable);
            members.sort_unstable();
        }
    }
    // All others are classes of their own, and all of an atom are equal.
    let alone = (0..atoms.all().len()).max_by(|a, b| share(*a).total_cmp(&share(*b)))?;
    let joint = classes.into_iter().max_by(|a, b| a.1.0.total_cmp(&b.1.0));
    let (after, mass, members) = match joint {
        Some((key, (mass, members))) if mass >= share(alone) => (key.to_vec(), mass, members),
        _ => {
            let testable = |candidate: &usize| {
                atoms.of(*candidate) == alone && !frontiers.contains_key(candidate)
            };
            let candidate = (1..history.len()).find(testable)?;
            (vec![candidate], share(alone), vec![candidate])
        }
    };
    let before = below(history, &members, &after, |at| frontiers.contains_key(&at));
    Some(Class { members, mass, before, after })
}

/// The frontier of each untestable version: the oldest testable versions that contain it. What has
/// the same frontier cannot be told apart.
pub(super) fn frontiers(
    history: &History,
    barred: &BTreeSet<usize>,
) -> BTreeMap<usize, Vec<usize>> {
    barred.iter().map(|version| (*version, frontier(history, *version, barred))).collect()
}

fn frontier(history: &History, version: usize, barred: &BTreeSet<usize>) -> Vec<usize> {
    let reached = walk(version, |at| barred.contains(&at), |at| history.children(at));
    if history.is_list() || reached.len() < 2 {
        return reached;
    }
    // Those that contain another one of them tell nothing more.
    let newer = |at: &usize| {
        let inside = history.contained(*at);
        reached.iter().any(|other| other != at && inside[*other])
    };
    reached.iter().copied().filter(|at| !newer(at)).collect()
}

/// The newest testable versions that contain none of the members.
fn below(
    history: &History,
    members: &[usize],
    after: &[usize],
    is_barred: impl Fn(usize) -> bool,
) -> Vec<usize> {
    let mut found = BTreeSet::new();
    for start in members.iter().chain(after) {
        found.extend(walk(*start, &is_barred, |at| history.parents(at)));
    }
    found.retain(|at| !after.contains(at));
    found.into_iter().collect()
}

/// Follows `next` through untestable versions to the first testable ones, ascending.
fn walk(
    start: usize,
    is_barred: impl Fn(usize) -> bool,
    next: impl Fn(usize) -> Vec<usize>,
) -> Vec<usize> {
    let (mut found, mut seen) = (BTreeSet::new(), BTreeSet::new());
    let mut open = next(start);
    while let Some(at) = open.pop() {
        if !seen.insert(at) {
            continue;
        }
        if is_barred(at) {
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
