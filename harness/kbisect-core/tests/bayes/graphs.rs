//! Graphs of commits, and commits that are not equally likely.

use crate::{Chance, finish, found, rates};
use kbisect_core::bayes::{Answer, Ending, History, NoisySearch, Settings};

#[test]
fn culprit_is_found_in_a_graph_of_commits() {
    let mut wrong = 0;
    for seed in 0..20 {
        let mut chance = Chance(seed);
        let mut parents: Vec<Vec<usize>> = vec![vec![]];
        for index in 1..80usize {
            let first = index - 1 - chance.below(index.min(5));
            parents.push(vec![first, chance.below(index)]);
        }
        let heads = (0..80).filter(|at| !parents.iter().flatten().any(|parent| parent == at));
        let heads = heads.collect();
        parents.push(heads);
        let history = History::graph(parents).unwrap();
        let culprit = 1 + chance.below(history.len() - 1);
        let bad: Vec<bool> = (0..history.len()).map(|at| history.contained(at)[culprit]).collect();
        let mut search = NoisySearch::new(history.clone(), Settings::default(), &[]).unwrap();
        let (ending, _) =
            finish(&mut search, rates(|index| f64::from(u8::from(bad[index])) * 0.4, seed));
        match ending {
            Ending::Found { first_new, last_old, .. } if first_new == culprit => {
                assert_eq!(last_old, history.parents(culprit));
                assert!(last_old.iter().all(|parent| search.tally(*parent).passes >= 3));
            }
            _ => wrong += 1,
        }
    }
    assert!(wrong <= 1, "{wrong} of 20 wrong");
}

#[test]
fn weights_save_runs_and_change_no_probability() {
    // Two branches and a merge: 0 - 1..20 - 41, 0 - 21..40 - 41, and a line after it.
    let parents = (0..64).map(|at| match at {
        0 => Vec::new(),
        21 => vec![0],
        41 => vec![20, 40],
        at => vec![at - 1],
    });
    let parents: Vec<Vec<usize>> = parents.collect();
    let graph = History::graph(parents.clone()).unwrap();
    for history in [graph, History::list(64).unwrap()] {
        let search = || {
            NoisySearch::new(history.clone(), Settings::default(), &[])
                .unwrap()
                .maybe_deterministic()
        };
        let (mut plain, mut weighed) = (0, 0);
        for culprit in 1..64 {
            let contains = |index: usize| history.contained(index)[culprit];
            let answer = |index| if contains(index) { Answer::Fail } else { Answer::Pass };
            let likely = |suspect: usize| {
                (0..64).map(|at| if at == suspect { 30.0 } else { 0.5 }).collect::<Vec<_>>()
            };
            let mut one = search();
            let (ending, asked) = finish(&mut one, answer);
            assert_eq!(found(&ending), Some(culprit), "{ending:?}");
            plain += asked.len();
            let mut other = search();
            other.weigh(&likely(culprit)).unwrap();
            let (ending, asked) = finish(&mut other, answer);
            assert_eq!(found(&ending), Some(culprit), "{ending:?}");
            weighed += asked.len();
            // The likely one is not it: found all the same.
            let mut wrong = search();
            wrong.weigh(&likely(64 - culprit)).unwrap();
            let (ending, _) = finish(&mut wrong, answer);
            assert_eq!(found(&ending), Some(culprit), "{ending:?}");
            // What is believed follows from the trials alone.
            let mut same = search();
            for (index, tally) in (0..64).map(|at| (at, other.tally(at))) {
                same.record_all(index, tally).unwrap();
            }
            for (one, other) in same.belief().versions.iter().zip(&other.belief().versions) {
                assert!((one.culprit - other.culprit).abs() < 1e-9, "{one:?} {other:?}");
                assert!((one.bad - other.bad).abs() < 1e-9, "{one:?} {other:?}");
            }
        }
        assert!(weighed + 63 < plain, "{weighed} runs with weights, {plain} without");
    }
}

#[test]
fn weights_cut_a_list_where_looking_at_each_version_cuts_it() {
    let line =
        History::graph((0..48usize).map(|at| at.checked_sub(1).into_iter().collect()).collect());
    let (line, list) = (line.unwrap(), History::list(48).unwrap());
    for seed in 0..40 {
        let mut chance = Chance(seed);
        let weights: Vec<f64> = (0..48).map(|_| 0.5 + 20.0 * chance.unit().powi(8)).collect();
        let culprit = 1 + chance.below(47);
        let asked = |history: &History| {
            let search = NoisySearch::new(history.clone(), Settings::default(), &[]).unwrap();
            let mut search = search.maybe_deterministic();
            search.weigh(&weights).unwrap();
            let answer = |at| if at >= culprit { Answer::Fail } else { Answer::Pass };
            let (ending, asked) = finish(&mut search, answer);
            assert_eq!(found(&ending), Some(culprit), "{ending:?}");
            asked
        };
        assert_eq!(asked(&list), asked(&line), "seed {seed}");
    }
}

#[test]
fn untestable_commits_of_a_graph_are_named_with_what_they_cannot_be_told_from() {
    // 0 - 1 - 2 - 3 - 6, 1 - 4 - 5 - 6
    let parents = vec![vec![], vec![0], vec![1], vec![2], vec![1], vec![4], vec![3, 5]];
    let history = History::graph(parents).unwrap();
    let mut search = NoisySearch::new(history.clone(), Settings::default(), &[4]).unwrap();
    let (ending, _) =
        finish(
            &mut search,
            |index| {
                if history.contained(index)[4] { Answer::Fail } else { Answer::Pass }
            },
        );
    let Ending::Range { possible, .. } = ending else { panic!("{ending:?}") };
    assert_eq!(possible, [4, 5]);
}
