//! Trials that booted as users do and quicker ones, from a saved state or by the PVH entry: whether they
//! agree, and whether a culprit was seen with a boot on either side.

use std::collections::{BTreeMap, BTreeSet};

use crate::bayes::Answer;

/// How much better two rates must explain the answers than one before restored guests are not
/// trusted any more: 20, strong evidence by the usual scale (Kass and Raftery 1995).
const STRONG: f64 = 20.0;

/// Boots in vain (the kernel gave no answer) after which a culprit stands without one.
const IN_VAIN: u32 = 3;

/// What users are told when the two kinds of trials disagree.
pub const BOOTS_DISAGREE: &str = "kernels fail at another rate when they go on from a saved state, or boot \
    by their PVH entry, than when they boot as shipped: from now on they boot so, and other trials do not count";

/// What was seen of each version, by how its kernel came up.
#[derive(Clone, Debug, Default)]
pub struct Boots {
    seen: BTreeMap<usize, Seen>,
    /// Versions under way.
    pending: Vec<usize>,
    /// Versions whose trial was cut off with kbisect: they are tried as they were, with a boot.
    cut_off: BTreeSet<usize>,
    /// A version always answers the same, so that one contradiction is enough.
    deterministic: bool,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    cold: Counts,
    restored: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    fails: u32,
    passes: u32,
    /// Neither: other symptoms, no answer, our own failures.
    others: u32,
}

/// What a culprit still lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lacking {
    /// Nothing.
    Nothing,
    /// A trial that is under way may be it.
    UnderWay,
    /// A boot of this version.
    Boot {
        /// Position in the series.
        index: usize,
        /// Boots that are lacking with this one.
        left: usize,
    },
}

impl Boots {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(deterministic: bool) -> Self {
        Self { deterministic, ..Self::default() }
    }

    /// Takes the answer of a trial, which was a quick one or a boot as users see it.
    pub fn record(&mut self, index: usize, quick: bool, answer: Answer) {
        let seen = self.seen.entry(index).or_default();
        let counts = if quick { &mut seen.restored } else { &mut seen.cold };
        match answer {
            Answer::Fail => counts.fails += 1,
            Answer::Pass => counts.passes += 1,
            Answer::Other | Answer::Skip | Answer::Infra => counts.others += 1,
        }
    }

    /// Notes which trials began and were cut off.
    pub fn cut_off(&mut self, indexes: impl IntoIterator<Item = usize>) {
        self.cut_off.extend(indexes);
    }

    /// Notes that a trial begins.
    pub fn begin(&mut self, index: usize) {
        self.pending.push(index);
    }

    /// Whether restored guests fail at another rate than booted ones: a Bayes factor of one rate for
    /// each version against two, under Jeffreys' prior.
    #[must_use]
    pub fn disagree(&self) -> bool {
        if self.deterministic {
            return self.seen.values().any(Seen::contradicts);
        }
        self.seen.values().map(Seen::log_factor).sum::<f64>() >= STRONG.ln()
    }

    /// Whether the next trial of a version is to boot: where states are not trusted, where a trial was
    /// cut off, and, if it `decides`, where no boot gave an answer yet.
    #[must_use]
    pub fn wants_cold(&self, index: usize, decides: bool) -> bool {
        let never =
            self.seen.get(&index).is_none_or(|seen| seen.cold.fails + seen.cold.passes == 0);
        self.disagree() || (never && (decides || self.cut_off.contains(&index)))
    }

    /// What is lacking for a culprit between these two versions. One that was never tried was taken
    /// for granted by the user.
    #[must_use]
    pub fn lacking(&self, bad: usize, good: usize) -> Lacking {
        let lacks = |index: usize, shown: fn(&Counts) -> u32| {
            self.seen.get(&index).is_some_and(|seen| {
                shown(&seen.restored) > 0 && shown(&seen.cold) == 0 && seen.cold.others < IN_VAIN
            })
        };
        let sides = [(bad, lacks(bad, |c| c.fails)), (good, lacks(good, |c| c.passes))];
        let left = sides.iter().filter(|(_, lacks)| *lacks).count();
        let free = sides.iter().find(|(index, lacks)| *lacks && !self.pending.contains(index));
        match (left, free) {
            (0, _) => Lacking::Nothing,
            (_, None) => Lacking::UnderWay,
            (left, Some((index, _))) => Lacking::Boot { index: *index, left },
        }
    }
}

impl Seen {
    fn contradicts(&self) -> bool {
        let apart = |one: Counts, other: Counts| one.fails > 0 && other.passes > 0;
        apart(self.cold, self.restored) || apart(self.restored, self.cold)
    }

    fn log_factor(&self) -> f64 {
        // ln B(1/2 + f, 1/2 + s) - ln B(1/2, 1/2), as rising factorials.
        let rising = |from: f64, n: u32| (0..n).map(|i| (from + f64::from(i)).ln()).sum::<f64>();
        let weight = |fails: u32, passes: u32| {
            rising(0.5, fails) + rising(0.5, passes) - rising(1.0, fails + passes)
        };
        let (a, b) = (self.cold, self.restored);
        weight(a.fails, a.passes) + weight(b.fails, b.passes)
            - weight(a.fails + b.fails, a.passes + b.passes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How a trial came up.
    #[derive(Clone, Copy)]
    enum Way {
        Cold,
        Restored,
    }
    use Way::{Cold, Restored};

    fn boots(deterministic: bool, seen: &[(usize, Way, Answer, u32)]) -> Boots {
        let mut boots = Boots::new(deterministic);
        for (index, boot, answer, times) in seen {
            (0..*times).for_each(|_| boots.record(*index, matches!(boot, Restored), *answer));
        }
        boots
    }
    use Answer::{Fail, Pass, Skip};

    #[test]
    fn one_contradiction_is_enough_where_each_version_is_tried_once() {
        assert!(boots(true, &[(3, Restored, Fail, 1), (3, Cold, Pass, 1)]).disagree());
        assert!(boots(true, &[(3, Restored, Pass, 1), (3, Cold, Fail, 1)]).disagree());
        assert!(!boots(true, &[(3, Restored, Fail, 1), (4, Cold, Pass, 1)]).disagree());
        assert!(!boots(true, &[(3, Restored, Fail, 1), (3, Cold, Fail, 1)]).disagree());
        assert!(!boots(true, &[(3, Restored, Fail, 1), (3, Cold, Skip, 1)]).disagree());
    }

    #[test]
    fn rates_differ_only_when_chance_does_not_explain_it() {
        let of = |cf, cp, rf, rp| {
            boots(
                false,
                &[
                    (1, Cold, Fail, cf),
                    (1, Cold, Pass, cp),
                    (1, Restored, Fail, rf),
                    (1, Restored, Pass, rp),
                ],
            )
            .disagree()
        };
        assert!(!of(0, 1, 1, 0), "one run each");
        assert!(!of(3, 7, 2, 8));
        assert!(!of(0, 3, 4, 9));
        assert!(of(0, 12, 9, 3));
        assert!(of(8, 0, 0, 8));
        // Each version adds its part.
        let part = [(Cold, Pass, 2), (Restored, Fail, 2)];
        let of = |versions: usize| {
            let all =
                (0..versions).flat_map(|at| part.map(|(boot, answer, n)| (at, boot, answer, n)));
            boots(false, &all.collect::<Vec<_>>()).disagree()
        };
        assert!(!of(1) && of(3));
    }

    #[test]
    fn what_decides_or_was_cut_off_boots() {
        let mut boots = boots(true, &[(1, Restored, Fail, 1), (2, Cold, Fail, 1)]);
        assert!(!boots.wants_cold(1, false) && !boots.wants_cold(7, false));
        assert!(boots.wants_cold(1, true) && boots.wants_cold(7, true));
        assert!(!boots.wants_cold(2, true), "a boot showed it");
        boots.cut_off([1, 2]);
        assert!(boots.wants_cold(1, false) && !boots.wants_cold(2, false));
        boots.record(1, false, Pass);
        assert!(boots.wants_cold(7, false), "states are not trusted");
    }

    #[test]
    fn a_culprit_lacks_boots_where_only_restored_guests_told_of_it() {
        let (bad, good) = (5, 4);
        let restored = [(bad, Restored, Fail, 1), (good, Restored, Pass, 1)];
        let of = |more: &[_]| boots(true, &[&restored[..], more].concat()).lacking(bad, good);
        assert_eq!(of(&[]), Lacking::Boot { index: bad, left: 2 });
        assert_eq!(of(&[(bad, Cold, Fail, 1)]), Lacking::Boot { index: good, left: 1 });
        assert_eq!(of(&[(bad, Cold, Fail, 1), (good, Cold, Pass, 1)]), Lacking::Nothing);
        assert_eq!(
            of(&[(bad, Cold, Skip, IN_VAIN), (good, Cold, Pass, 1)]),
            Lacking::Nothing,
            "it cannot be had"
        );
        let mut under_way = boots(true, &restored);
        under_way.begin(bad);
        assert_eq!(under_way.lacking(bad, good), Lacking::Boot { index: good, left: 2 });
        under_way.begin(good);
        assert_eq!(under_way.lacking(bad, good), Lacking::UnderWay);
        let cold = [(bad, Cold, Fail, 1), (good, Cold, Pass, 1)];
        assert_eq!(boots(true, &cold).lacking(bad, good), Lacking::Nothing);
        assert_eq!(boots(true, &[]).lacking(bad, good), Lacking::Nothing, "taken for granted");
    }
}
