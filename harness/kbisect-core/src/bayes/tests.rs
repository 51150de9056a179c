//! The closed forms against sums over all hypotheses.

use std::collections::BTreeSet;

use super::history::History;
use super::likelihood::{FailPass, Likelihood, h2, spread, spread_prior};
use super::stop::{Seen, lacking, patience};
use super::{Answer, Costs, NoisySearch, NoisyStep, Settings};
use crate::search::Direction;

/// Random numbers from a seed (a linear congruential generator).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % n
    }
}

/// Whether version `x` contains candidate `c`, from the parents alone.
fn contains(history: &History, x: usize, c: usize) -> bool {
    x == c || history.parents(x).into_iter().any(|parent| contains(history, parent, c))
}

/// A small graph in which every commit is an ancestor of the last.
fn small_graph(random: &mut Random, len: usize) -> History {
    let mut parents = vec![Vec::new()];
    for index in 1..len {
        let mut own = vec![index - 1 - random.below(index.min(4))];
        if random.below(3) == 0 {
            own.push(random.below(index));
        }
        parents.push(own);
    }
    let mut is_parent = vec![false; len];
    parents.iter().flatten().for_each(|parent: &usize| is_parent[*parent] = true);
    let heads: Vec<usize> = (0..len).filter(|index| !is_parent[*index]).collect();
    parents.push(heads);
    History::graph(parents).unwrap()
}

/// A hypothesis of the sums below: what is bad, its weight, both rates.
struct Plain {
    bad: Vec<bool>,
    weight: f64,
    p: f64,
    q: f64,
}

/// All hypotheses with normalised weights, by products and sums written out.
fn plain(search: &NoisySearch, history: &History) -> Vec<Plain> {
    let len = history.len();
    let fix = search.settings.direction == Direction::Fix;
    let mut all: Vec<(Vec<bool>, f64)> = (1..len)
        .map(|c| {
            let bad = (0..len).map(|x| contains(history, x, c) != fix).collect();
            (bad, 0.96 / (len - 1) as f64)
        })
        .collect();
    all.push((vec![true; len], 0.03));
    all.push((vec![false; len], 0.01));
    let wide = search.tally(search.good_end()).fails > 0;
    let mut grid = vec![(0.0, 0.5), (0.005, 0.2), (0.01, 0.15), (0.02, 0.1), (0.04, 0.05)];
    if wide {
        grid.extend([(0.08, 0.03), (0.15, 0.02)]);
    }
    let total: f64 = grid.iter().map(|(_, w)| w).sum();
    let mut plain: Vec<Plain> = all
        .into_iter()
        .map(|(bad, prior)| {
            let count = |wanted: bool| {
                (0..len).filter(|x| bad[*x] == wanted).fold((0, 0), |sum, x| {
                    (sum.0 + search.tally(x).fails, sum.1 + search.tally(x).passes)
                })
            };
            let ((f, s), (g, t)) = (count(true), count(false));
            // B(0.2 + f, 1 + s) / B(0.2, 1), one run after the other.
            let mut beta = 1.0;
            for i in 0..f {
                beta *= (0.2 + f64::from(i)) / (1.2 + f64::from(i));
            }
            for i in 0..s {
                beta *= (1.0 + f64::from(i)) / (1.2 + f64::from(f + i));
            }
            let term = |q: f64| q.powi(g as i32) * (1.0 - q).powi(t as i32);
            let noise: f64 = grid.iter().map(|(q, w)| w / total * term(*q)).sum();
            let q = grid.iter().map(|(q, w)| w / total * term(*q) * q).sum::<f64>() / noise;
            let p = (0.2 + f64::from(f)) / (1.2 + f64::from(f + s));
            // Or, where that is thought likely, all that is bad fails always, and nothing else ever does.
            let prior_always = search.likelihood.always;
            let same = if s == 0 && g == 0 { prior_always } else { 0.0 };
            let counts = same + (1.0 - prior_always) * beta * noise;
            let always = same / counts;
            let (p, q) = (always + (1.0 - always) * p, (1.0 - always) * q);
            Plain { bad, weight: prior * counts, p, q }
        })
        .collect();
    let sum: f64 = plain.iter().map(|h| h.weight).sum();
    plain.iter_mut().for_each(|h| h.weight /= sum);
    plain
}

/// Mutual information of the culprit and a run of version `x`.
fn information(plain: &[Plain], x: usize) -> f64 {
    let rate = |h: &Plain| if h.bad[x] { h.p } else { h.q };
    let mean: f64 = plain.iter().map(|h| h.weight * rate(h)).sum();
    h2(mean) - plain.iter().map(|h| h.weight * h2(rate(h))).sum::<f64>()
}

/// A search with some answers, as they come when bad versions fail half of the time.
fn search(
    history: &History,
    settings: Settings,
    answers: usize,
    random: &mut Random,
) -> NoisySearch {
    let mut search = NoisySearch::new(history.clone(), settings, &[]).unwrap();
    let len = history.len();
    let culprit = 1 + random.below(len - 1);
    for at in 0..answers {
        let index = if at < 3 { search.bad_end() } else { random.below(len) };
        let fix = settings.direction == Direction::Fix;
        let bad = contains(history, index, culprit) != fix;
        let fails = at < 3 || (bad && random.below(2) == 0);
        search.record(index, if fails { Answer::Fail } else { Answer::Pass }).unwrap();
    }
    search
}

fn histories(random: &mut Random) -> Vec<History> {
    let mut all: Vec<History> = [2, 3, 8, 17].map(|len| History::list(len).unwrap()).into();
    all.extend((0..12).map(|at| small_graph(random, 6 + at)));
    all
}

#[test]
fn posterior_and_choice_are_those_of_the_sums_over_all_hypotheses() {
    let random = &mut Random(5);
    for direction in [Direction::Regression, Direction::Fix] {
        let settings = Settings { direction, ..Settings::default() };
        for history in histories(random) {
            for (answers, deterministic) in
                [(0, false), (0, true), (3, true), (6, false), (6, true), (12, false), (25, true)]
            {
                let mut search = search(&history, settings, answers, random);
                if deterministic {
                    search = search.maybe_deterministic();
                }
                let plain = plain(&search, &history);
                for candidate in 1..history.len() {
                    let (one, other) = (search.culprit(candidate), plain[candidate - 1].weight);
                    assert!((one - other).abs() < 1e-9, "{one} {other} {direction:?} {history:?}");
                }
                let bad =
                    |x: usize| plain.iter().filter(|h| h.bad[x]).map(|h| h.weight).sum::<f64>();
                for x in 0..history.len() {
                    assert!((search.bad_probability(x) - bad(x)).abs() < 1e-9);
                }
                let most = (0..history.len()).map(|x| information(&plain, x)).fold(0.0, f64::max);
                let pick = search.choose().unwrap();
                let told = information(&plain, pick.version);
                assert!((pick.gain - told).abs() < 1e-9, "{} {told}", pick.gain);
                assert!(told > most - 1e-9, "{told} {most} {direction:?} {history:?}");
            }
        }
    }
}

#[test]
fn choice_beside_pending_trials_is_best_on_average_over_their_answers() {
    let random = &mut Random(11);
    for history in histories(random) {
        let mut search = search(&history, Settings::default(), 8, random);
        let pending = [history.len() / 2, history.len() - 1];
        let mut mean = vec![0.0; history.len()];
        for answers in [[true, true], [true, false], [false, true], [false, false]] {
            let (mut share, mut after) = (1.0, search.clone());
            for (index, fails) in pending.into_iter().zip(answers) {
                let failing: f64 = plain(&after, &history)
                    .iter()
                    .map(|h| h.weight * if h.bad[index] { h.p } else { h.q })
                    .sum();
                share *= if fails { failing } else { 1.0 - failing };
                after.record(index, if fails { Answer::Fail } else { Answer::Pass }).unwrap();
            }
            let plain = plain(&after, &history);
            for (x, mean) in mean.iter_mut().enumerate() {
                *mean += share * information(&plain, x);
            }
        }
        pending.into_iter().for_each(|index| search.begin(index).unwrap());
        let pick = search.choose().unwrap();
        let most = mean.iter().copied().fold(0.0, f64::max);
        assert!((pick.gain - mean[pick.version]).abs() < 1e-9);
        assert!(pick.gain > most - 1e-9, "{} {most} {history:?}", pick.gain);
    }
}

#[test]
fn chain_of_commits_is_searched_as_a_list() {
    let list = History::list(40).unwrap();
    let parents = (0..40usize).map(|index| index.checked_sub(1).into_iter().collect()).collect();
    let chain = History::graph(parents).unwrap();
    for seed in 0..10 {
        let one = search(&list, Settings::default(), 12, &mut Random(seed));
        let other = search(&chain, Settings::default(), 12, &mut Random(seed));
        let (a, b) = (one.choose().unwrap(), other.choose().unwrap());
        assert!((a.gain - b.gain).abs() < 1e-9);
        assert_eq!(one.belief().credible, other.belief().credible);
    }
}

#[test]
fn graph_knows_what_each_commit_contains() {
    let random = &mut Random(3);
    for _ in 0..50 {
        let history = small_graph(random, 15);
        let weight = |c: usize| (c * c) as f64;
        let sums = history.sums(|c| [weight(c), 1.0]);
        for (x, sum) in sums.iter().enumerate() {
            let inside: Vec<usize> =
                (1..history.len()).filter(|c| contains(&history, x, *c)).collect();
            let expected: f64 = inside.iter().map(|c| weight(*c)).sum();
            assert_eq!(*sum, [expected, inside.len() as f64], "{x} {history:?}");
        }
    }
}

#[test]
fn kernel_that_has_to_be_built_is_worth_less_than_one_at_hand() {
    let costs = Costs { run: 1.0, prepare: 1000.0 };
    let settings = Settings { costs, ..Settings::default() };
    let mut search = NoisySearch::new(History::list(100).unwrap(), settings, &[]).unwrap();
    for _ in 0..3 {
        search.record(99, Answer::Fail).unwrap();
    }
    search.set_prepared(30).unwrap();
    assert_eq!(search.choose().unwrap().version, 30);
    // With all at one price it is the one in the middle, a bit towards the good end.
    let settings = Settings::default();
    let mut search = NoisySearch::new(History::list(100).unwrap(), settings, &[]).unwrap();
    for _ in 0..3 {
        search.record(99, Answer::Fail).unwrap();
    }
    search.set_prepared(30).unwrap();
    let NoisyStep::Try { index, .. } = search.next() else { panic!("nothing to try") };
    assert!((35..=50).contains(&index), "{index}");
}

#[test]
fn neighbour_has_to_pass_as_often_as_the_failure_rate_asks() {
    let mut likelihood = Likelihood::new();
    likelihood.grow(200);
    // Failures of runs at the culprit -> passes of its neighbour at 5 % and at 1 %.
    for ((fails, runs), (default, strict)) in
        [((3, 3), (3, 6)), ((5, 10), (7, 12)), ((3, 10), (15, 30))]
    {
        for (chance, wanted) in [(0.05, default), (0.01, strict)] {
            let needed = (0..200)
                .find(|passes| {
                    let seen = |version| match version {
                        1 => seen(FailPass::new(fails, runs - fails), 0),
                        _ => seen(FailPass::new(0, *passes), 0),
                    };
                    lacking(&[1], &[0], seen, &likelihood, chance).is_empty()
                })
                .unwrap();
            assert_eq!(needed, wanted, "{fails}/{runs} at {chance}");
        }
    }
}

/// Runs that had a boot each.
fn seen(counts: FailPass, under_way: u32) -> Seen {
    Seen { counts, boots: counts, in_vain: false, under_way }
}

#[test]
fn comparison_counts_trials_under_way() {
    let mut likelihood = Likelihood::new();
    likelihood.grow(200);
    let seen = |under_way| {
        move |version| match version {
            1 => seen(FailPass::new(3, 0), 0),
            _ => seen(FailPass::new(0, 1), under_way),
        }
    };
    for (under_way, missing) in [(0, 2), (2, 0)] {
        let lacks = lacking(&[1], &[0], seen(under_way), &likelihood, 0.05);
        assert_eq!(
            lacks.iter().map(|lack| (lack.version, lack.missing)).collect::<Vec<_>>(),
            [(0, missing)]
        );
    }
}

#[test]
fn either_side_has_to_show_it_in_three_boots() {
    let mut likelihood = Likelihood::new();
    likelihood.grow(200);
    let of = |bad, good, chance| {
        let seen = |version| match version {
            1 => Seen { counts: FailPass::new(9, 0), boots: bad, in_vain: false, under_way: 0 },
            _ => Seen { counts: FailPass::new(0, 15), boots: good, in_vain: false, under_way: 0 },
        };
        let lacks = lacking(&[1], &[0], seen, &likelihood, chance);
        lacks.iter().map(|lack| (lack.version, lack.missing, lack.boots)).collect::<Vec<_>>()
    };
    let (fail, pass) = (|boots| FailPass::new(boots, 0), |boots| FailPass::new(0, boots));
    assert_eq!(of(fail(2), pass(3), 0.05), [(1, 2, true)], "one, and one more as it may pass");
    assert_eq!(of(fail(3), pass(1), 0.05), [(0, 2, true)]);
    assert_eq!(of(fail(3), pass(3), 0.05), []);
    // Runs of one boot may fail or pass together, so chance is ruled out by boots as well.
    assert_eq!(of(fail(3), pass(3), 0.01), [(0, 3, true)]);
    assert_eq!(of(FailPass::new(5, 5), pass(4), 0.05), [(0, 3, true)]);
}

#[test]
fn bad_end_is_given_up_when_the_lowest_rate_would_have_shown() {
    for p_min in [0.9, 0.5, 0.3, 0.05, 0.01, 0.001] {
        let looks = patience(p_min);
        assert!(looks.is_sorted(), "{looks:?}");
        // All ways of an end that fails so often, and what of them is given up.
        let (mut ways, mut given_up) = ([1.0, 0.0, 0.0], 0.0);
        for runs in 1..=looks[2] {
            for fails in (0..3).rev() {
                let before = if fails > 0 { ways[fails - 1] } else { 0.0 };
                ways[fails] = ways[fails] * (1.0 - p_min) + before * p_min;
            }
            for (fails, look) in looks.iter().enumerate() {
                if runs >= *look {
                    given_up += std::mem::take(&mut ways[fails]);
                }
            }
        }
        assert!(given_up <= 0.05, "{p_min}: {given_up}");
    }
    assert_eq!(patience(0.05)[0], 59);
    assert_eq!(patience(1.0), [1, 2, 3], "a single pass is enough");
    let [thin, thick] = [1e-6, 1e-4].map(|p_min| f64::from(patience(p_min)[0]));
    assert!((thin / thick - 100.0).abs() < 0.1, "{thin} {thick}");
}

#[test]
fn shares_of_the_robust_prior_are_those_of_a_whole() {
    let sum: f64 = spread_prior().iter().map(|log| log.exp()).sum();
    assert!((sum - 1.0).abs() < 1e-12);
    // One run: the chance to fail or to pass at each common rate is one.
    let both = spread(FailPass::new(1, 0))
        .iter()
        .zip(spread(FailPass::new(0, 1)))
        .all(|(f, s)| (f.exp() + s.exp() - 1.0).abs() < 1e-12);
    assert!(both);
}

#[test]
fn hope_is_low_beside_a_version_that_was_tried_in_vain() {
    let mut search =
        NoisySearch::new(History::list(33).unwrap(), Settings::default(), &[]).unwrap();
    for _ in 0..3 {
        search.record(32, Answer::Fail).unwrap();
    }
    let first = search.choose().unwrap().version;
    search.record(first, Answer::Skip).unwrap();
    let second = search.choose().unwrap().version;
    assert!(first.abs_diff(second) > 2, "{first} {second}");
    assert_eq!(search.skipped(), [first]);
    // Known beforehand: says nothing of its neighbours.
    let mut search =
        NoisySearch::new(History::list(33).unwrap(), Settings::default(), &[first]).unwrap();
    for _ in 0..3 {
        search.record(32, Answer::Fail).unwrap();
    }
    assert_eq!(search.choose().unwrap().version.abs_diff(first), 1);
    assert_eq!(search.barred, BTreeSet::from([first]));
}
