//! The search against planted culprits.

use kbisect_core::search::{
    Direction, Mark, Outcome, RecordError, Role, Search, SearchError, SearchStep, WeightsError,
};
use proptest::prelude::*;

/// What kernel `index` answers when the change came with `culprit`.
fn answer(direction: Direction, culprit: usize, unusable: &[usize], index: usize) -> Mark {
    match (direction, index >= culprit) {
        _ if unusable.contains(&index) => Mark::Skip,
        (Direction::Regression, true) | (Direction::Fix, false) => Mark::Bad,
        _ => Mark::Good,
    }
}

/// Runs to the end; returns the kernels asked, in order, and the outcome.
fn run(mut search: Search, mut mark: impl FnMut(usize) -> Mark) -> (Vec<(usize, Mark)>, Outcome) {
    let mut asked = Vec::new();
    loop {
        match search.next() {
            SearchStep::Done(outcome) => return (asked, outcome),
            SearchStep::Wait => panic!("nothing is under way"),
            SearchStep::Test { index, estimated_left, .. } => {
                assert!(estimated_left > 0);
                assert!(asked.iter().all(|(i, _)| *i != index), "kernel {index} is asked twice");
                asked.push((index, mark(index)));
                search.record(index, mark(index)).expect("the asked kernel is open");
            }
        }
    }
}

fn ceil_log2(n: usize) -> usize {
    (0..).find(|bits| 1usize << bits >= n).expect("some power of two is large enough")
}

#[test]
fn finds_every_planted_culprit_within_the_bound() {
    for direction in [Direction::Regression, Direction::Fix] {
        for len in 2..=64 {
            for culprit in 1..len {
                let search = Search::new(len, direction, &[]).unwrap();
                let SearchStep::Test { estimated_left, .. } = search.next() else {
                    panic!("no step")
                };
                let (asked, outcome) = run(search, |i| answer(direction, culprit, &[], i));
                let expected = Outcome::Found { last_old: culprit - 1, first_new: culprit };
                assert_eq!(outcome, expected, "N {len}, culprit {culprit}");
                assert!(asked.len() <= ceil_log2(len - 1) + 2, "N {len}: {} trials", asked.len());
                assert!(asked.len() <= estimated_left, "the estimate is an upper bound");
            }
        }
    }
}

/// Weights as commits get them: half alike, the other half by how likely each is.
fn weights(len: usize, likely: impl Fn(usize) -> f64) -> Vec<f64> {
    let likely: Vec<f64> = (0..len).map(likely).collect();
    let mean = likely.iter().sum::<f64>() / len as f64;
    likely.iter().map(|one| 0.5 + 0.5 * one / mean).collect()
}

#[test]
fn a_likely_culprit_takes_few_trials_and_the_least_likely_one_more_at_most() {
    for len in 4..=96 {
        for suspect in 1..len {
            let likely =
                weights(len, |at| if at == suspect { 200.0 } else { 1.0 / (1 + at % 7) as f64 });
            let cuts = |culprit: usize| {
                let mut search = Search::new(len, Direction::Regression, &[]).unwrap();
                search.weigh(&likely).unwrap();
                let (asked, outcome) =
                    run(search, |i| answer(Direction::Regression, culprit, &[], i));
                let expected = Outcome::Found { last_old: culprit - 1, first_new: culprit };
                assert_eq!(outcome, expected, "N {len}, suspect {suspect}, culprit {culprit}");
                asked.len() - 2
            };
            assert!(cuts(suspect) <= 3, "N {len}, suspect {suspect}: {} cuts", cuts(suspect));
            for culprit in 1..len {
                let most = ceil_log2(len - 1) + 2;
                assert!(cuts(culprit) <= most, "N {len}, {suspect}, {culprit}: {}", cuts(culprit));
            }
        }
    }
}

#[test]
fn weights_that_are_none_are_refused() {
    let mut search = Search::new(3, Direction::Regression, &[]).unwrap();
    for weights in
        [&[1.0, 1.0][..], &[1.0, 0.0, 1.0], &[1.0, f64::NAN, 1.0], &[1.0, f64::INFINITY, 1.0]]
    {
        assert_eq!(search.weigh(weights), Err(WeightsError));
    }
    assert_eq!(search.weigh(&[1.0, 2.0, 1.0]), Ok(()));
}

#[test]
fn tries_the_bad_end_first_then_the_good_one() {
    for (direction, bad, good) in [(Direction::Regression, 9, 0), (Direction::Fix, 0, 9)] {
        let mut search = Search::new(10, direction, &[]).unwrap();
        let SearchStep::Test { index, role, .. } = search.next() else { panic!("no step") };
        assert_eq!((index, role), (bad, Role::BadEnd));
        search.record(bad, Mark::Bad).unwrap();
        let SearchStep::Test { index, role, .. } = search.next() else { panic!("no step") };
        assert_eq!((index, role), (good, Role::GoodEnd));
    }
}

#[test]
fn an_end_that_answers_wrongly_ends_the_search() {
    let new = || Search::new(8, Direction::Regression, &[]).unwrap();
    assert_eq!(run(new(), |_| Mark::Good), (vec![(7, Mark::Good)], Outcome::NotReproduced));
    assert_eq!(run(new(), |_| Mark::Bad).1, Outcome::GoodFails);
    let skipped = |which| Outcome::EndSkipped { which };
    assert_eq!(run(new(), |_| Mark::Skip).1, skipped(Role::BadEnd));
    let old_skips = run(new(), |i| answer(Direction::Regression, 3, &[0], i)).1;
    assert_eq!(old_skips, skipped(Role::GoodEnd));
    let fix = Search::new(8, Direction::Fix, &[]).unwrap();
    assert_eq!(run(fix, |_| Mark::Good), (vec![(0, Mark::Good)], Outcome::NotReproduced));
}

#[test]
fn an_untestable_end_is_reported_without_a_trial_unless_it_is_assumed() {
    let search = Search::new(8, Direction::Regression, &[7]).unwrap();
    assert_eq!(search.next(), SearchStep::Done(Outcome::EndSkipped { which: Role::BadEnd }));
    let (asked, outcome) = run(search.assume_new(), |i| answer(Direction::Regression, 5, &[], i));
    assert!(asked.iter().all(|(i, _)| *i != 7));
    assert_eq!(outcome, Outcome::FoundDespiteSkips { last_old: 4, first_new: 5, skipped: vec![7] });
}

#[test]
fn assumed_ends_are_not_tried() {
    let search = Search::new(16, Direction::Regression, &[]).unwrap().assume_old().assume_new();
    let (asked, outcome) = run(search, |i| answer(Direction::Regression, 4, &[], i));
    assert_eq!(outcome, Outcome::Found { last_old: 3, first_new: 4 });
    assert!(asked.len() <= 4 && asked.iter().all(|(i, _)| (1..15).contains(i)));
}

#[test]
fn unusable_kernels_beside_the_change_give_a_range() {
    let search = Search::new(10, Direction::Regression, &[5]).unwrap();
    let (_, outcome) = run(search, |i| answer(Direction::Regression, 5, &[4], i));
    assert_eq!(
        outcome,
        Outcome::Range { last_old: 3, first_new: 6, possible: vec![4, 5, 6], skipped: vec![4, 5] }
    );
}

#[test]
fn moves_away_from_a_skipped_middle() {
    let mut search = Search::new(65, Direction::Regression, &[]).unwrap().assume_old().assume_new();
    assert!(matches!(search.next(), SearchStep::Test { index: 32, .. }));
    search.record(32, Mark::Skip).unwrap();
    let SearchStep::Test { index, .. } = search.next() else { panic!("no step") };
    assert!(index.abs_diff(32) >= 6 && (12..=52).contains(&index), "asked {index}");
    // A whole broken block costs a few trials, not one for each kernel in it.
    let block: Vec<usize> = (24..=40).collect();
    let search = Search::new(65, Direction::Regression, &[]).unwrap();
    let (asked, outcome) = run(search, |i| answer(Direction::Regression, 50, &block, i));
    assert!(matches!(outcome, Outcome::FoundDespiteSkips { last_old: 49, first_new: 50, .. }));
    assert!(asked.len() <= 12, "{asked:?}");
}

#[test]
fn likely_next_names_both_branches() {
    let search = Search::new(17, Direction::Regression, &[]).unwrap().assume_old().assume_new();
    assert_eq!(search.likely_next(2), [12, 4]);
    assert_eq!(search.likely_next(6), [12, 4, 14, 10, 6, 2]);
    assert!(search.likely_next(0).is_empty());
    let fresh = Search::new(17, Direction::Regression, &[]).unwrap();
    assert_eq!(fresh.likely_next(2), [0, 8], "first the other end, then the middle");
}

#[test]
fn refuses_what_it_cannot_use() {
    assert_eq!(Search::new(1, Direction::Fix, &[]).unwrap_err(), SearchError::TooShort { len: 1 });
    assert_eq!(
        Search::new(3, Direction::Fix, &[3]).unwrap_err(),
        SearchError::OutOfRange { index: 3, len: 3 }
    );
    let mut search = Search::new(9, Direction::Regression, &[2]).unwrap();
    search.record(8, Mark::Bad).unwrap();
    search.record(0, Mark::Good).unwrap();
    search.record(4, Mark::Bad).unwrap();
    for index in [0, 2, 4, 6, 8, 99] {
        let refused = search.record(index, Mark::Good).unwrap_err();
        assert_eq!(refused, RecordError::NotOpen { index });
    }
    // Not the one that was asked, but open: a trial that ran beside it.
    search.record(3, Mark::Bad).unwrap();
    assert_eq!(search.interval(), (0, 3));
}

proptest! {
    #[test]
    fn unusable_kernels_never_lead_to_a_wrong_culprit(
        len in 2usize..=64,
        culprit in any::<prop::sample::Index>(),
        skip in prop::collection::vec(any::<prop::sample::Index>(), 0..24),
        upfront in any::<prop::sample::Index>(),
        fix in any::<bool>(),
    ) {
        let direction = if fix { Direction::Fix } else { Direction::Regression };
        let culprit = 1 + culprit.index(len - 1);
        // The ends answer; anything between may be unusable, some of it known beforehand.
        let unusable: Vec<usize> = skip
            .iter()
            .map(|i| i.index(len))
            .filter(|i| *i != 0 && *i != len - 1)
            .collect();
        let known = &unusable[..upfront.index(unusable.len() + 1)];
        let search = Search::new(len, direction, known).unwrap();
        let (asked, outcome) = run(search.clone(), |i| answer(direction, culprit, &unusable, i));
        prop_assert!(asked.iter().all(|(i, _)| !known.contains(i)));
        match &outcome {
            Outcome::Found { last_old, first_new } => {
                prop_assert_eq!((*last_old, *first_new), (culprit - 1, culprit));
                prop_assert!(asked.len() <= ceil_log2(len - 1) + 2);
            }
            Outcome::FoundDespiteSkips { last_old, first_new, skipped } => {
                prop_assert_eq!((*last_old, *first_new), (culprit - 1, culprit));
                prop_assert!(!skipped.is_empty());
            }
            Outcome::Range { last_old, first_new, possible, skipped } => {
                prop_assert!(possible.contains(&culprit));
                prop_assert!(*last_old < culprit && culprit <= *first_new);
                for between in last_old + 1..*first_new {
                    prop_assert!(unusable.contains(&between) && skipped.contains(&between));
                }
            }
            other => prop_assert!(false, "{:?}", other),
        }
        // Interrupted after any trial and replayed: the same questions, the same outcome.
        for cut in 0..=asked.len() {
            let mut resumed = search.clone();
            for (index, mark) in &asked[..cut] {
                resumed.record(*index, *mark).unwrap();
            }
            let (rest, same) = run(resumed, |i| answer(direction, culprit, &unusable, i));
            prop_assert_eq!(&rest[..], &asked[cut..]);
            prop_assert_eq!(&same, &outcome);
        }
    }

    #[test]
    fn the_kernel_asked_next_was_announced(
        len in 2usize..=64,
        culprit in any::<prop::sample::Index>(),
    ) {
        let culprit = 1 + culprit.index(len - 1);
        let mut search = Search::new(len, Direction::Regression, &[]).unwrap();
        while let SearchStep::Test { index, .. } = search.next() {
            let announced = search.likely_next(2);
            search.record(index, answer(Direction::Regression, culprit, &[], index)).unwrap();
            if let SearchStep::Test { index, .. } = search.next() {
                prop_assert!(announced.contains(&index), "{} not in {:?}", index, announced);
            }
        }
    }
}
