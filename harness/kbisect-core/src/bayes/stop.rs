//! When the search may end.

use std::collections::{BTreeMap, BTreeSet};

use super::atoms::Atoms;
use super::history::History;
use super::likelihood::{FailPass, Likelihood, mean_rate};
use super::posterior::Posterior;

/// Failures of one version that are needed before it is called bad: one alone may be noise.
pub const FAILURES: u32 = 3;

/// Boots on either side of a change that have to show it.
const BOOTS: u32 = 3;

/// Runs of one boot that count for a version: they are not independent.
pub const RUNS_A_BOOT: u32 = 3;

/// Chance of missing a failure rate of `p_min` in all: 5 %, spent on the looks after no failure, one
/// and two (alpha spending; Lan and DeMets 1983).
const MISSED: [f64; FAILURES as usize] = [0.0485, 0.001, 0.0005];
/// Below this rate runs are to failures as at it: Poisson's limit.
const RARE: f64 = 1e-4;

/// Runs after which a bad end that failed never, once, twice is given up: one that fails with `p_min`
/// is given up with 5 % at most, over all these looks together. 59 without a failure for 5 %.
pub fn patience(p_min: f64) -> [u32; FAILURES as usize] {
    if p_min >= 1.0 {
        // A single pass is enough.
        return [1, 2, 3];
    }
    let p = p_min.max(RARE);
    // How likely each number of failures is after so many runs, by ways that were not given up.
    let mut likely = [1.0, 0.0, 0.0];
    let mut looks = [0; FAILURES as usize];
    let (mut due, mut runs) = (0, 0);
    while due < looks.len() {
        runs += 1;
        for fails in (1..likely.len()).rev() {
            likely[fails] = likely[fails] * (1.0 - p) + likely[fails - 1] * p;
        }
        likely[0] *= 1.0 - p;
        while due < looks.len() && likely[due] <= MISSED[due] {
            looks[due] = runs;
            likely[due] = 0.0;
            due += 1;
        }
    }
    if p_min >= RARE {
        return looks;
    }
    looks.map(|runs| (f64::from(runs) * RARE / p_min).ceil() as u32)
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
pub(super) struct Lack {
    pub version: usize,
    pub what: Wanted,
    /// Runs that are expected to give it, those under way left out.
    pub missing: u32,
    /// Whether only boots of its own give it.
    pub boots: bool,
}

/// What a version has to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Failures of a bad neighbour.
    Failures,
    /// Passes of a good one.
    Passes,
}

/// What was seen of a version, with the trials of it that are under way.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub counts: FailPass,
    /// Boots with a run that failed, and boots whose runs all passed.
    pub boots: FailPass,
    /// Whether it was tried so often without an answer that it is not booted for more.
    pub in_vain: bool,
    pub under_way: u32,
}

/// What is needed until the difference between the sides is no chance any more, by runs and by boots, and was
/// seen in three boots on either: runs of one boot may fail or pass together. Trials under way are taken to answer as expected, and to boot.
pub(super) fn lacking(
    bad: &[usize],
    good: &[usize],
    seen: impl Fn(usize) -> Seen,
    likelihood: &Likelihood,
    chance: f64,
) -> Vec<Lack> {
    let mut lacking = Vec::new();
    for version in bad {
        let own = seen(*version);
        let boots = if own.in_vain { 0 } else { BOOTS.saturating_sub(own.boots.fails) };
        let missing = FAILURES.saturating_sub(own.counts.fails).max(boots);
        if missing > 0 {
            let expected = (f64::from(missing) / mean_rate(own.counts)).ceil() as u32;
            let missing = expected.saturating_sub(own.under_way);
            let what = Wanted::Failures;
            lacking.push(Lack { version: *version, what, missing, boots: boots > 0 });
        }
    }
    let sum = |of: fn(Seen) -> FailPass| {
        bad.iter().fold(FailPass::default(), |sum, at| sum.plus(of(seen(*at))))
    };
    let (failing, mut failing_boots) = (sum(|own| own.counts), sum(|own| own.boots));
    // Those that are lacking come first.
    failing_boots.fails = failing_boots.fails.max(BOOTS);
    let passes_missing = |bad, good| match likelihood.same_rate(bad, good) > chance {
        true => passes_missing(bad, good, likelihood, chance),
        false => 0,
    };
    for version in good {
        let own = seen(*version);
        let boots = match own.in_vain {
            true => 0,
            false => {
                BOOTS.saturating_sub(own.boots.passes).max(passes_missing(failing_boots, own.boots))
            }
        };
        let passes = passes_missing(failing, own.counts);
        if passes.max(boots) > 0 {
            let missing = passes.max(boots).saturating_sub(own.under_way);
            let what = Wanted::Passes;
            lacking.push(Lack { version: *version, what, missing, boots: boots > 0 });
        }
    }
    lacking
}

/// Passes in a row that would settle it, as far as the tables reach.
fn passes_missing(bad: FailPass, good: FailPass, likelihood: &Likelihood, chance: f64) -> u32 {
    let settles =
        |more: u32| likelihood.same_rate(bad, good.plus(FailPass::new(0, more))) <= chance;
    let most = likelihood.reach().saturating_sub(bad.plus(good).runs());
    (1..=most).find(|more| settles(*more)).unwrap_or(most.max(1))
}
