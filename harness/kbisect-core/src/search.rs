//! The deterministic search over a series of kernels.
//!
//! A pure state machine that is pulled: [`Search::next`] says which kernel to try,
//! [`Search::record`] takes the answer. Replaying the same answers leads to the same state, so a
//! journal is all that a resumed run needs.

use std::collections::{BTreeSet, VecDeque};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::weights::Weights;
pub use crate::weights::WeightsError;

/// What the run looks for: which end of the series is expected to be bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// The old end is good, the new end is bad: find what broke it.
    Regression,
    /// The old end is bad, the new end is good: find what healed it.
    Fix,
}

/// What a kernel answered. A failure of the harness or the host is no answer and never gets here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// The scenario passed.
    Good,
    /// The target symptom showed.
    Bad,
    /// The kernel cannot answer.
    Skip,
}

/// Why a kernel is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The end that must show the symptom; tried first, since nothing can be found without it.
    BadEnd,
    /// The end that must pass.
    GoodEnd,
    /// A cut between the ends.
    Bisect,
    /// Once more, to rule out chance.
    Confirm,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchStep {
    /// Try this kernel and record its answer.
    Test {
        /// Position in the series, 0 = oldest.
        index: usize,
        /// Why it is asked.
        role: Role,
        /// Trials that are still needed with this one, if none is skipped.
        estimated_left: usize,
    },
    /// Trials under way decide what comes next.
    Wait,
    /// The search is over.
    Done(Outcome),
}

/// How a search ended. Positions are those of the series: `last_old` is older than `first_new`.
/// Under [`Direction::Regression`] that is last good and first bad, under [`Direction::Fix`] last
/// bad and first good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Outcome {
    /// The change came with `first_new`.
    Found {
        /// Newest kernel that behaves as the old end does.
        last_old: usize,
        /// Its neighbour, which behaves as the new end does.
        first_new: usize,
    },
    /// As [`Outcome::Found`]: the culprit is not in doubt, but kernels elsewhere gave no answer.
    FoundDespiteSkips {
        /// Newest kernel that behaves as the old end does.
        last_old: usize,
        /// Its neighbour, which behaves as the new end does.
        first_new: usize,
        /// Kernels without an answer, ascending.
        skipped: Vec<usize>,
    },
    /// Only kernels that gave no answer are left between the two: the change came with one of
    /// `possible`.
    Range {
        /// Newest kernel known to behave as the old end does.
        last_old: usize,
        /// Oldest kernel known to behave as the new end does.
        first_new: usize,
        /// Every kernel that can have brought the change, ascending; the last one is `first_new`.
        possible: Vec<usize>,
        /// Kernels without an answer in the whole series, ascending.
        skipped: Vec<usize>,
    },
    /// The bad end passed.
    NotReproduced,
    /// The good end shows the symptom as well.
    GoodFails,
    /// An end gives no answer, so nothing between the ends can be judged.
    EndSkipped {
        /// Which end; never [`Role::Bisect`].
        which: Role,
    },
}

/// Why a search cannot be set up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// A search needs two ends.
    #[error("a series of {len} kernel(s) has no two ends")]
    TooShort {
        /// Kernels given.
        len: usize,
    },
    /// A position given as untestable lies outside the series.
    #[error("kernel {index} lies outside the series of {len}")]
    OutOfRange {
        /// The position.
        index: usize,
        /// Kernels in the series.
        len: usize,
    },
}

/// Why an answer is refused. The search is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The answer is about a kernel whose answer could no longer change anything: outside the
    /// open interval, answered already, or known to be untestable.
    #[error("kernel {index} is not an open candidate")]
    NotOpen {
        /// The position.
        index: usize,
    },
}

/// A bisection over a list of kernels.
#[derive(Clone, Debug)]
pub struct Search {
    len: usize,
    direction: Direction,
    /// Newest position that behaves as the old end does; the end itself is taken to, until it is tried.
    old: usize,
    /// Oldest position that behaves as the new end does; the end itself is taken to, until it is tried.
    new: usize,
    /// Whether the old end still has to be tried.
    old_is_open: bool,
    /// Whether the new end still has to be tried.
    new_is_open: bool,
    /// Trials under way, in the order in which they began.
    pending: Vec<usize>,
    /// Known beforehand to be untestable: says nothing about neighbours.
    untestable: BTreeSet<usize>,
    /// Tried in vain: neighbours are likely to be as useless.
    skipped: BTreeSet<usize>,
    /// Set when the bad end gave the wrong answer or none.
    bad_failed: Option<Outcome>,
    /// The same of the good end; it counts once the bad end failed as it should.
    good_failed: Option<Outcome>,
    /// How likely the change came with each kernel or one before it, up to a factor.
    weights: Weights,
}

/// Distance at which a neighbour of a skipped kernel has an even chance of being testable.
const SKIP_REACH: usize = 3;

impl Search {
    /// Sets up a search over `len` kernels, position 0 being the oldest. `untestable` are those
    /// known beforehand to give no answer (nothing to boot, for example).
    ///
    /// # Errors
    /// [`SearchError`] for fewer than two kernels or a position outside the series.
    pub fn new(
        len: usize,
        direction: Direction,
        untestable: &[usize],
    ) -> Result<Self, SearchError> {
        if len < 2 {
            return Err(SearchError::TooShort { len });
        }
        if let Some(&index) = untestable.iter().find(|i| **i >= len) {
            return Err(SearchError::OutOfRange { index, len });
        }
        Ok(Self {
            len,
            direction,
            old: 0,
            new: len - 1,
            old_is_open: true,
            new_is_open: true,
            pending: Vec::new(),
            untestable: untestable.iter().copied().collect(),
            skipped: BTreeSet::new(),
            bad_failed: None,
            good_failed: None,
            weights: Weights::alike(len),
        })
    }

    /// Takes some kernels for more likely to have brought the change than others: cuts leave as much weight
    /// on one side as on the other. What an answer means does not depend on it.
    ///
    /// # Errors
    /// [`WeightsError`], unless there is one above 0 for each kernel.
    pub fn weigh(&mut self, weights: &[f64]) -> Result<(), WeightsError> {
        self.weights = Weights::of(weights, self.len)?;
        Ok(())
    }

    /// Takes the old end as known, without a trial.
    #[must_use]
    pub fn assume_old(mut self) -> Self {
        self.old_is_open = false;
        self
    }

    /// Takes the new end as known, without a trial.
    #[must_use]
    pub fn assume_new(mut self) -> Self {
        self.new_is_open = false;
        self
    }

    /// Notes that a trial begins, so that [`Search::next`] can name one for another worker. The next
    /// answer of that kernel ends it.
    pub fn begin(&mut self, index: usize) {
        self.pending.push(index);
    }

    /// Notes that a trial that began will give no answer.
    pub fn abandon(&mut self, index: usize) {
        if let Some(at) = self.pending.iter().position(|pending| *pending == index) {
            self.pending.remove(at);
        }
    }

    /// Says what to do next. Without another call in between it always says the same.
    pub fn next(&self) -> SearchStep {
        if let Some(outcome) = &self.bad_failed {
            return SearchStep::Done(outcome.clone());
        }
        // The bad end comes first: unless it fails, what the other one does is of no interest.
        let mut waits = false;
        for (index, role, failed) in self.open_ends() {
            if let (Some(outcome), false) = (failed, waits) {
                return SearchStep::Done(outcome.clone());
            }
            if failed.is_some() || self.pending.contains(&index) {
                waits = true;
                continue;
            }
            if self.untestable.contains(&index) {
                return if waits {
                    SearchStep::Wait
                } else {
                    SearchStep::Done(Outcome::EndSkipped { which: role })
                };
            }
            return SearchStep::Test { index, role, estimated_left: self.estimated_left() };
        }
        if waits && self.good_failed.is_some() {
            return SearchStep::Wait;
        }
        match self.cut() {
            Some(index) => {
                let estimated_left = self.estimated_left();
                SearchStep::Test { index, role: Role::Bisect, estimated_left }
            }
            None if waits || self.open().next().is_some() => SearchStep::Wait,
            None => SearchStep::Done(self.outcome()),
        }
    }

    /// Takes an answer. Besides the kernel asked by [`Search::next`] any other open candidate is
    /// accepted, so that trials may run side by side.
    ///
    /// # Errors
    /// [`RecordError`] when the answer cannot be used; answers can therefore never contradict
    /// each other.
    pub fn record(&mut self, index: usize, mark: Mark) -> Result<(), RecordError> {
        self.abandon(index);
        if self.is_moot(index) {
            return Err(RecordError::NotOpen { index });
        }
        let end = self.open_ends().find(|(end, ..)| *end == index).map(|(_, role, _)| role);
        if let Some(role) = end {
            self.record_end(index, role, mark);
            return Ok(());
        }
        match self.is_new(mark) {
            None => {
                self.skipped.insert(index);
            }
            Some(true) => self.new = index,
            Some(false) => self.old = index,
        }
        Ok(())
    }

    /// Whether an answer of this kernel could change nothing: it follows from those of others, was
    /// given, or will not come.
    pub fn is_moot(&self, index: usize) -> bool {
        let over = self.bad_failed.is_some() || self.untestable.contains(&index);
        let end = self.open_ends().find(|(end, ..)| *end == index);
        match end {
            Some((.., failed)) => over || failed.is_some(),
            None => over || !self.open().any(|open| open == index),
        }
    }

    /// The newest position known to be old and the oldest known to be new; an end that is not
    /// settled yet counts as what it is expected to be.
    pub fn interval(&self) -> (usize, usize) {
        (self.old, self.new)
    }

    /// The kernels that can still have brought the change, ascending.
    pub fn candidates_left(&self) -> impl Iterator<Item = usize> + '_ {
        let (old, new) = self.interval();
        old + 1..=new
    }

    /// Kernels without an answer so far, ascending: skipped ones and untestable ones.
    pub fn skipped(&self) -> Vec<usize> {
        self.skipped.union(&self.untestable).copied().collect()
    }

    /// Up to `k` kernels that may be asked after those under way, or else after the one that
    /// [`Search::next`] names, most likely ones first: what to fetch meanwhile.
    pub fn likely_next(&self, k: usize) -> Vec<usize> {
        let mut found = Vec::new();
        let mut start = self.clone();
        if let (true, SearchStep::Test { index, .. }) = (self.pending.is_empty(), self.next()) {
            start.begin(index);
        }
        let mut queue = VecDeque::from([start]);
        while let Some(mut search) = queue.pop_front() {
            if found.len() >= k {
                break;
            }
            if let Some(&index) = search.pending.first() {
                for mark in [Mark::Good, Mark::Bad] {
                    let mut after = search.clone();
                    // What is refused tells nothing, so the other mark would lead to the same.
                    let told = after.record(index, mark).is_ok();
                    queue.push_back(after);
                    if !told {
                        break;
                    }
                }
            } else if let SearchStep::Test { index, .. } = search.next() {
                if !found.contains(&index) && !self.pending.contains(&index) {
                    found.push(index);
                }
                search.begin(index);
                queue.push_back(search);
            }
        }
        found
    }

    /// Trials that are still to begin, if none is skipped and nothing is tried in vain.
    fn estimated_left(&self) -> usize {
        let cuts = ceil_log2(self.open().count() + 1);
        let ends = self.open_ends().count();
        (ends + cuts).saturating_sub(self.pending.len()).max(1)
    }

    /// The ends that are not settled, the bad one first, with how they failed.
    fn open_ends(&self) -> impl Iterator<Item = (usize, Role, Option<&Outcome>)> + '_ {
        let (old, new) = ((0, self.old_is_open), (self.len - 1, self.new_is_open));
        let (bad, good) = match self.direction {
            Direction::Regression => (new, old),
            Direction::Fix => (old, new),
        };
        let ends = [
            (bad, Role::BadEnd, self.bad_failed.as_ref()),
            (good, Role::GoodEnd, self.good_failed.as_ref()),
        ];
        ends.into_iter()
            .filter(|((_, is_open), ..)| *is_open)
            .map(|((index, _), role, failed)| (index, role, failed))
    }

    fn record_end(&mut self, end: usize, role: Role, mark: Mark) {
        let failed = match (role, mark) {
            (_, Mark::Skip) => Some(Outcome::EndSkipped { which: role }),
            (Role::BadEnd, Mark::Good) => Some(Outcome::NotReproduced),
            (Role::GoodEnd, Mark::Bad) => Some(Outcome::GoodFails),
            _ => None,
        };
        match (failed, role) {
            (Some(outcome), Role::BadEnd) => self.bad_failed = Some(outcome),
            (Some(outcome), _) => self.good_failed = Some(outcome),
            (None, _) if end == 0 => self.old_is_open = false,
            (None, _) => self.new_is_open = false,
        }
    }

    fn is_new(&self, mark: Mark) -> Option<bool> {
        match (mark, self.direction) {
            (Mark::Skip, _) => None,
            (Mark::Bad, Direction::Regression) | (Mark::Good, Direction::Fix) => Some(true),
            (Mark::Good, Direction::Regression) | (Mark::Bad, Direction::Fix) => Some(false),
        }
    }

    /// Positions strictly inside the interval that can still be tried.
    fn open(&self) -> impl Iterator<Item = usize> + '_ {
        let (old, new) = self.interval();
        (old + 1..new).filter(|i| !self.untestable.contains(i) && !self.skipped.contains(i))
    }

    /// The best cut: the one that leaves the least in the worse half. What makes a kernel useless usually
    /// spans its neighbours too, so those count less.
    fn cut(&self) -> Option<usize> {
        let (old, new) = self.interval();
        let under_way: BTreeSet<usize> =
            self.pending.iter().copied().filter(|at| (old + 1..new).contains(at)).collect();
        if !under_way.is_empty() {
            return self.cut_beside(&under_way);
        }
        let weights = &self.weights;
        self.best(|index| Some(weights.between(old, index).min(weights.between(index, new))))
    }

    /// The cut that tells most, on average over the answers of trials under way: those part the
    /// candidates, and a cut tells something only when the change is in its part.
    fn cut_beside(&self, under_way: &BTreeSet<usize>) -> Option<usize> {
        let (old, new) = self.interval();
        self.best(|index| {
            if under_way.contains(&index) {
                return None;
            }
            let from = under_way.range(..index).next_back().map_or(old, |at| *at);
            let to = under_way.range(index..).next().map_or(new, |at| *at);
            let part = self.weights.between(from, to);
            Some(part * bits(self.weights.between(from, index) / part))
        })
    }

    /// The open kernel that is worth most, marked down near those that were tried in vain.
    fn best(&self, worth: impl Fn(usize) -> Option<f64>) -> Option<usize> {
        let mut best: Option<(usize, f64)> = None;
        for index in self.open() {
            let hope =
                self.distance_to_skip(index).map_or(1.0, |d| d as f64 / (d + SKIP_REACH) as f64);
            let Some(score) = worth(index).map(|worth| worth * hope) else { continue };
            // Rounding must not decide between equals: the older one stays.
            if best.is_none_or(|(_, top)| score > top + 1e-9 * top.abs()) {
                best = Some((index, score));
            }
        }
        best.map(|(index, _)| index)
    }

    fn distance_to_skip(&self, index: usize) -> Option<usize> {
        let (old, new) = self.interval();
        let older = self.skipped.range(old..index).next_back().map(|s| index - s);
        let newer = self.skipped.range(index..=new).next().map(|s| s - index);
        match (older, newer) {
            // Between two useless ones: most likely inside one broken block.
            (Some(a), Some(b)) => Some(a.min(b) / 4),
            (one, other) => one.or(other),
        }
    }

    fn outcome(&self) -> Outcome {
        let (last_old, first_new) = self.interval();
        let skipped = self.skipped();
        if first_new - last_old > 1 {
            let possible = self.candidates_left().collect();
            Outcome::Range { last_old, first_new, possible, skipped }
        } else if skipped.is_empty() {
            Outcome::Found { last_old, first_new }
        } else {
            Outcome::FoundDespiteSkips { last_old, first_new, skipped }
        }
    }
}

/// Entropy of an answer that is one of two with this probability.
fn bits(share: f64) -> f64 {
    let part = |p: f64| if p > 0.0 { -p * p.log2() } else { 0.0 };
    part(share) + part(1.0 - share)
}

fn ceil_log2(n: usize) -> usize {
    n.next_power_of_two().trailing_zeros() as usize
}
