//! Halving with several workers: the same answer, whatever ends first, and the choice that tells most.

#![allow(clippy::unwrap_used, reason = "helpers of a test fail as the test does")]

use kbisect_core::search::{Direction, Mark, Outcome, Role, Search, SearchStep};
use proptest::prelude::*;

/// Small and repeatable.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// What a run took.
struct Run {
    outcome: Outcome,
    tried: usize,
    /// Rounds in which all workers answer together.
    rounds: usize,
}

/// Runs with so many workers; `first` says which of those under way answers first.
fn run(
    mut search: Search,
    workers: usize,
    mark: impl Fn(usize) -> Mark,
    mut first: impl FnMut(usize) -> usize,
) -> Run {
    let (mut under_way, mut tried, mut rounds): (Vec<usize>, usize, usize) = (Vec::new(), 0, 0);
    let mut until_next_round = 0;
    loop {
        for moot in under_way.iter().copied().filter(|at| search.is_moot(*at)).collect::<Vec<_>>() {
            search.abandon(moot);
            under_way.retain(|at| *at != moot);
        }
        while under_way.len() < workers {
            match search.next() {
                SearchStep::Done(outcome) => return Run { outcome, tried, rounds },
                SearchStep::Wait => break,
                SearchStep::Test { index, estimated_left, .. } => {
                    assert!(estimated_left > 0);
                    assert!(!under_way.contains(&index), "{index} is under way");
                    search.begin(index);
                    under_way.push(index);
                    tried += 1;
                }
            }
        }
        assert!(!under_way.is_empty(), "it waits for nothing");
        if until_next_round == 0 {
            (rounds, until_next_round) = (rounds + 1, under_way.len());
        }
        until_next_round = (until_next_round - 1).min(under_way.len() - 1);
        let index = under_way.remove(first(under_way.len()));
        search.record(index, mark(index)).unwrap();
    }
}

fn around(outcome: &Outcome) -> Option<(usize, usize)> {
    match outcome {
        Outcome::Found { last_old, first_new }
        | Outcome::FoundDespiteSkips { last_old, first_new, .. }
        | Outcome::Range { last_old, first_new, .. } => Some((*last_old, *first_new)),
        _ => None,
    }
}

/// What kernel `index` answers when the change came with `culprit`.
fn answer(direction: Direction, culprit: usize, unusable: &[usize], index: usize) -> Mark {
    match (direction, index >= culprit) {
        _ if unusable.contains(&index) => Mark::Skip,
        (Direction::Regression, true) | (Direction::Fix, false) => Mark::Bad,
        _ => Mark::Good,
    }
}

proptest! {
    #[test]
    fn the_answer_does_not_depend_on_workers(
        len in 2usize..=64,
        culprit in any::<prop::sample::Index>(),
        skip in prop::collection::vec(any::<prop::sample::Index>(), 0..24),
        workers in 2usize..=7,
        fix in any::<bool>(),
        seed in 1u64..,
    ) {
        let direction = if fix { Direction::Fix } else { Direction::Regression };
        let culprit = 1 + culprit.index(len - 1);
        let unusable: Vec<usize> = skip
            .iter()
            .map(|i| i.index(len))
            .filter(|i| *i != 0 && *i != len - 1)
            .collect();
        let known = &unusable[..unusable.len() / 2];
        let search = Search::new(len, direction, known).unwrap();
        let mark = |index| answer(direction, culprit, &unusable, index);
        let alone = run(search.clone(), 1, mark, |_| 0);
        let mut random = Random(seed);
        let beside = run(search, workers, mark, |count| random.below(count));
        prop_assert_eq!(around(&alone.outcome), around(&beside.outcome));
        if unusable.is_empty() {
            prop_assert_eq!(alone.outcome, beside.outcome);
        }
    }

    #[test]
    fn ends_that_are_not_what_they_should_be_are_told_alike(
        bad_end in 0usize..3,
        good_end in 0usize..3,
        workers in 2usize..=5,
        seed in 1u64..,
    ) {
        let marks = [Mark::Good, Mark::Bad, Mark::Skip];
        let mark = |index| match index {
            11 => marks[bad_end],
            0 => marks[good_end],
            _ => Mark::Bad,
        };
        let search = Search::new(12, Direction::Regression, &[]).unwrap();
        let alone = run(search.clone(), 1, mark, |_| 0);
        let mut random = Random(seed);
        let beside = run(search, workers, mark, |count| random.below(count));
        prop_assert_eq!(alone.outcome, beside.outcome);
    }
}

#[test]
fn rounds_are_fewer_with_more_workers() {
    let mean = |workers| {
        let rounds = (1..64).map(|culprit| {
            let search = Search::new(64, Direction::Regression, &[]).unwrap();
            let mark = |index| answer(Direction::Regression, culprit, &[], index);
            run(search, workers, mark, |_| 0).rounds
        });
        rounds.sum::<usize>() as f64 / 63.0
    };
    // Two ends and six cuts, one after the other; two bits of a round's three or four cuts.
    assert!((mean(1) - 8.0).abs() < 0.1, "{}", mean(1));
    assert!(mean(2) < 6.0, "{}", mean(2));
    assert!(mean(4) < 4.5, "{}", mean(4));
}

#[test]
fn trials_made_are_at_most_those_of_all_workers_in_each_round() {
    let search = Search::new(33, Direction::Regression, &[]).unwrap();
    let run = run(search, 3, |index| answer(Direction::Regression, 20, &[], index), |_| 0);
    assert!(run.tried <= 3 * run.rounds + 3, "{} {}", run.tried, run.rounds);
}

#[test]
fn both_ends_come_before_cuts_and_the_middle_beside_them() {
    let mut search = Search::new(17, Direction::Regression, &[]).unwrap();
    let mut asked = Vec::new();
    while let SearchStep::Test { index, role, .. } = search.next() {
        asked.push((index, role));
        search.begin(index);
        if asked.len() == 5 {
            break;
        }
    }
    let cut = |index| (index, Role::Bisect);
    assert_eq!(asked, [(16, Role::BadEnd), (0, Role::GoodEnd), cut(8), cut(4), cut(12)]);
}

#[test]
fn choice_beside_trials_under_way_tells_most_on_average_over_their_answers() {
    let entropy = |share: f64| {
        let part = |p: f64| if p > 0.0 { -p * p.log2() } else { 0.0 };
        part(share) + part(1.0 - share)
    };
    let mut random = Random(7);
    for len in [5, 9, 16, 33, 60] {
        for count in 1..4 {
            let mut search =
                Search::new(len, Direction::Regression, &[]).unwrap().assume_old().assume_new();
            let mut pending: Vec<usize> = (0..count).map(|_| 1 + random.below(len - 2)).collect();
            pending.sort_unstable();
            pending.dedup();
            pending.iter().for_each(|index| search.begin(*index));
            // From the hypotheses: each answer of those under way leaves some of them.
            let information = |index: usize| -> f64 {
                let answers = |culprit: usize| -> Vec<bool> {
                    pending.iter().map(|at| *at >= culprit).collect()
                };
                let all = (1..len).map(|culprit| (answers(culprit), index >= culprit));
                let mut groups = std::collections::BTreeMap::<Vec<bool>, (usize, usize)>::new();
                for (key, new) in all {
                    let group = groups.entry(key).or_default();
                    *group = (group.0 + 1, group.1 + usize::from(new));
                }
                let whole = (len - 1) as f64;
                groups
                    .values()
                    .map(|(size, new)| *size as f64 / whole * entropy(*new as f64 / *size as f64))
                    .sum()
            };
            let most = (1..len - 1).map(information).fold(0.0, f64::max);
            match search.next() {
                SearchStep::Test { index, .. } => {
                    assert!((information(index) - most).abs() < 1e-9, "{len} {pending:?}: {index}");
                }
                other => assert!(most < 1e-9, "{other:?} {len} {pending:?}"),
            }
        }
    }
}

#[test]
fn what_no_answer_can_change_is_moot() {
    let mut search = Search::new(17, Direction::Regression, &[]).unwrap();
    for index in [16, 0, 8, 4, 12] {
        search.begin(index);
    }
    search.record(8, Mark::Bad).unwrap();
    assert!(search.is_moot(12) && search.is_moot(8), "newer than what is bad");
    assert!(!search.is_moot(4) && !search.is_moot(16) && !search.is_moot(0));
    search.record(0, Mark::Bad).unwrap();
    assert!(search.is_moot(0), "answered");
    search.abandon(12);
    assert_eq!(search.next(), SearchStep::Wait, "whether the bad end fails decides first");
    search.record(16, Mark::Bad).unwrap();
    assert_eq!(search.next(), SearchStep::Done(Outcome::GoodFails));
}

#[test]
fn likely_next_follows_those_under_way() {
    let mut search = Search::new(17, Direction::Regression, &[]).unwrap().assume_old().assume_new();
    search.begin(8);
    assert_eq!(search.likely_next(2), [12, 4]);
    search.begin(4);
    // 8 passes and 4 is of no interest; 8 fails and 4 passes; both fail.
    assert_eq!(search.likely_next(3), [12, 6, 2]);
}
