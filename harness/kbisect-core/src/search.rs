//! The deterministic search over a series of kernels.
//!
//! A pure state machine that is pulled: [`Search::next`] says which kernel to try,
//! [`Search::record`] takes the answer. Replaying the same answers leads to the same state, so a
//! journal is all that a resumed run needs.

use std::collections::{BTreeSet, VecDeque};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
pub enum Step {
    /// Try this kernel and record its answer.
    Test {
        /// Position in the series, 0 = oldest.
        index: usize,
        /// Why it is asked.
        role: Role,
        /// Trials that are still needed with this one, if none is skipped.
        estimated_left: usize,
    },
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
    /// An end has to be answered first.
    #[error("kernel {index} is answered before the end {end} of the series")]
    EndFirst {
        /// The position that was answered.
        index: usize,
        /// The end that is asked now.
        end: usize,
    },
}

/// A bisection over a list of kernels.
#[derive(Clone, Debug)]
pub struct Search {
    len: usize,
    direction: Direction,
    /// Newest position that behaves as the old end does, once known (or assumed).
    old: Option<usize>,
    /// Oldest position that behaves as the new end does, once known (or assumed).
    new: Option<usize>,
    /// Known beforehand to be untestable: says nothing about neighbours.
    untestable: BTreeSet<usize>,
    /// Tried in vain: neighbours are likely to be as useless.
    skipped: BTreeSet<usize>,
    /// Set when an end gave the wrong answer or none.
    failed: Option<Outcome>,
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
            old: None,
            new: None,
            untestable: untestable.iter().copied().collect(),
            skipped: BTreeSet::new(),
            failed: None,
        })
    }

    /// Takes the old end as known, without a trial.
    #[must_use]
    pub fn assume_old(mut self) -> Self {
        self.old.get_or_insert(0);
        self
    }

    /// Takes the new end as known, without a trial.
    #[must_use]
    pub fn assume_new(mut self) -> Self {
        self.new.get_or_insert(self.len - 1);
        self
    }

    /// Says what to do next. Without a [`Search::record`] in between it always says the same.
    #[must_use]
    pub fn next(&self) -> Step {
        if let Some(outcome) = &self.failed {
            return Step::Done(outcome.clone());
        }
        let cuts = ceil_log2(self.open().count() + 1);
        let ends = usize::from(self.old.is_none()) + usize::from(self.new.is_none());
        let estimated_left = ends + cuts;
        if let Some((index, role)) = self.open_end() {
            if self.untestable.contains(&index) {
                return Step::Done(Outcome::EndSkipped { which: role });
            }
            return Step::Test { index, role, estimated_left };
        }
        match self.cut() {
            Some(index) => Step::Test { index, role: Role::Bisect, estimated_left },
            None => Step::Done(self.outcome()),
        }
    }

    /// Takes an answer. Besides the kernel asked by [`Search::next`] any other open candidate is
    /// accepted once the ends are known, so that trials may run side by side.
    ///
    /// # Errors
    /// [`RecordError`] when the answer cannot be used; answers can therefore never contradict
    /// each other.
    pub fn record(&mut self, index: usize, mark: Mark) -> Result<(), RecordError> {
        if self.failed.is_some() || self.untestable.contains(&index) {
            return Err(RecordError::NotOpen { index });
        }
        if let Some((end, role)) = self.open_end() {
            if index != end {
                return Err(RecordError::EndFirst { index, end });
            }
            self.record_end(end, role, mark);
            return Ok(());
        }
        if !self.open().any(|open| open == index) {
            return Err(RecordError::NotOpen { index });
        }
        match self.is_new(mark) {
            None => {
                self.skipped.insert(index);
            }
            Some(true) => self.new = Some(index),
            Some(false) => self.old = Some(index),
        }
        Ok(())
    }

    /// The newest position known to be old and the oldest known to be new; an end that is not
    /// settled yet counts as what it is expected to be.
    #[must_use]
    pub fn interval(&self) -> (usize, usize) {
        (self.old.unwrap_or(0), self.new.unwrap_or(self.len - 1))
    }

    /// The kernels that can still have brought the change, ascending.
    pub fn candidates_left(&self) -> impl Iterator<Item = usize> + '_ {
        let (old, new) = self.interval();
        old + 1..=new
    }

    /// Kernels without an answer so far, ascending: skipped ones and untestable ones.
    #[must_use]
    pub fn skipped(&self) -> Vec<usize> {
        self.skipped.union(&self.untestable).copied().collect()
    }

    /// Up to `k` kernels that may be asked after the one that [`Search::next`] names, most likely
    /// ones first: what to fetch while the trial runs.
    #[must_use]
    pub fn likely_next(&self, k: usize) -> Vec<usize> {
        let mut found = Vec::new();
        let mut queue = VecDeque::from([self.clone()]);
        while let Some(search) = queue.pop_front() {
            let Step::Test { index, .. } = search.next() else { continue };
            for mark in [Mark::Good, Mark::Bad] {
                if found.len() >= k {
                    return found;
                }
                let mut after = search.clone();
                if after.record(index, mark).is_err() {
                    continue;
                }
                if let Step::Test { index, .. } = after.next() {
                    if !found.contains(&index) {
                        found.push(index);
                    }
                    queue.push_back(after);
                }
            }
        }
        found
    }

    /// The end to be tried now, the bad one first.
    fn open_end(&self) -> Option<(usize, Role)> {
        let old = self.old.is_none().then_some(0);
        let new = self.new.is_none().then_some(self.len - 1);
        let (bad, good) = match self.direction {
            Direction::Regression => (new, old),
            Direction::Fix => (old, new),
        };
        bad.map(|i| (i, Role::BadEnd)).or_else(|| good.map(|i| (i, Role::GoodEnd)))
    }

    fn record_end(&mut self, end: usize, role: Role, mark: Mark) {
        self.failed = match (role, mark) {
            (_, Mark::Skip) => Some(Outcome::EndSkipped { which: role }),
            (Role::BadEnd, Mark::Good) => Some(Outcome::NotReproduced),
            (Role::GoodEnd, Mark::Bad) => Some(Outcome::GoodFails),
            _ => None,
        };
        if self.failed.is_none() {
            let settled = if end == 0 { &mut self.old } else { &mut self.new };
            *settled = Some(end);
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

    /// The best cut: the one that leaves the least in the worse half, marked down near kernels
    /// that were tried in vain. What makes a kernel useless usually spans its neighbours too.
    fn cut(&self) -> Option<usize> {
        let (old, new) = self.interval();
        // Equal scores: the older kernel, by keeping the first of the maxima.
        let mut best: Option<(usize, (u128, u128))> = None;
        for index in self.open() {
            let balance = (index - old).min(new - index) as u128;
            let score = match self.distance_to_skip(index) {
                None => (balance, 1),
                Some(d) => (balance * d as u128, (d + SKIP_REACH) as u128),
            };
            if best.is_none_or(|(_, top)| score.0 * top.1 > top.0 * score.1) {
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

fn ceil_log2(n: usize) -> usize {
    n.next_power_of_two().trailing_zeros() as usize
}
