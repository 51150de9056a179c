//! Searches under doubt: planted culprits, wrong ends, missing answers.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod graphs;

use kbisect_core::bayes::{
    Answer, Ending, FAILURES, History, HistoryError, NoisySearch, NoisySearchError, NoisyStep,
    Notice, Purpose, RangeReason, Settings, SettingsError, Tally,
};
use kbisect_core::run::OutcomeWord;
use kbisect_core::search::Direction;
use proptest::prelude::*;

/// Chance from a seed (splitmix64), so that every run of a test is the same.
#[derive(Clone)]
struct Chance(u64);

impl Chance {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }
}

fn list(len: usize) -> NoisySearch {
    listed(len, Settings::default(), &[])
}

fn listed(len: usize, settings: Settings, untestable: &[usize]) -> NoisySearch {
    NoisySearch::new(History::list(len).unwrap(), settings, untestable).unwrap()
}

/// Answers of versions that fail at the given rates.
fn rates(rate: impl Fn(usize) -> f64, seed: u64) -> impl FnMut(usize) -> Answer {
    let mut chance = Chance(seed);
    move |index| if chance.unit() < rate(index) { Answer::Fail } else { Answer::Pass }
}

/// Runs a search to its end; gives what was asked as well.
fn finish(
    search: &mut NoisySearch,
    mut answer: impl FnMut(usize) -> Answer,
) -> (Ending, Vec<(usize, Purpose)>) {
    let mut asked = Vec::new();
    loop {
        match search.next() {
            NoisyStep::Try { index, purpose, .. } => {
                asked.push((index, purpose));
                assert!(asked.len() < 20_000, "the search does not end");
                search.record(index, answer(index)).unwrap();
            }
            NoisyStep::Wait => panic!("waits though nothing is under way"),
            NoisyStep::Done(ending) => return (ending, asked),
        }
    }
}

fn found(ending: &Ending) -> Option<usize> {
    match ending {
        Ending::Found { first_new, .. } => Some(*first_new),
        _ => None,
    }
}

#[test]
fn failure_that_always_shows_is_found_in_few_runs() {
    for culprit in 1..=31 {
        let mut search = list(32);
        let (ending, asked) =
            finish(&mut search, |index| if index >= culprit { Answer::Fail } else { Answer::Pass });
        assert_eq!(found(&ending), Some(culprit), "{ending:?}");
        assert_eq!(ending.word(), OutcomeWord::Found);
        let Ending::Found { last_old, probability, .. } = ending else { unreachable!() };
        assert_eq!(last_old, [culprit - 1]);
        assert!(probability >= 0.99);
        assert!(asked.len() <= 20, "{} runs", asked.len());
        assert!(search.tally(culprit).fails >= FAILURES);
        assert!(search.tally(culprit - 1).passes >= 3);
    }
}

#[test]
fn bad_end_comes_first_until_it_failed_three_times() {
    let mut search = list(32);
    let answers =
        [Answer::Pass, Answer::Fail, Answer::Pass, Answer::Fail, Answer::Infra, Answer::Fail];
    for answer in answers {
        let NoisyStep::Try { index, purpose, .. } = search.next() else { panic!("over") };
        assert_eq!((index, purpose), (31, Purpose::BadEnd));
        search.record(index, answer).unwrap();
    }
    assert!(matches!(search.next(), NoisyStep::Try { purpose: Purpose::Cut, .. }));
    assert_eq!(search.runs(), 5, "what failed for the host's reasons is no run");
}

#[test]
fn bad_end_that_passes_ends_the_search_once_the_lowest_rate_would_have_shown() {
    for (p_min, runs) in [(0.05, 59), (0.01, 302), (1.0, 1)] {
        let mut search = listed(32, Settings { p_min, ..Settings::default() }, &[]);
        let (ending, asked) = finish(&mut search, |_| Answer::Pass);
        let tally = Tally { passes: runs, ..Tally::default() };
        assert_eq!(ending, Ending::NotReproduced { tally });
        assert_eq!(ending.word(), OutcomeWord::NotReproduced);
        assert_eq!(asked.len(), runs as usize);
    }
}

#[test]
fn planted_culprits_are_found() {
    for (len, p, q, worlds) in [(32, 0.5, 0.0, 40), (32, 0.3, 0.01, 40), (200, 0.3, 0.0, 15)] {
        let mut chance = Chance(len as u64);
        let wrong = (0..worlds).filter(|world| {
            let culprit = 1 + chance.below(len - 1);
            let answers = rates(|index| if index >= culprit { p } else { q }, *world);
            found(&finish(&mut list(len), answers).0) != Some(culprit)
        });
        // One in a hundred may be wrong.
        let wrong = wrong.count();
        assert!(wrong <= 2, "{wrong} of {worlds} wrong at p {p}, q {q}");
    }
}

#[test]
fn strict_compares_longer() {
    let passes = |strict| {
        let mut search = listed(16, Settings { strict, ..Settings::default() }, &[]);
        finish(&mut search, |index| if index >= 9 { Answer::Fail } else { Answer::Pass });
        search.tally(8).passes
    };
    assert!(passes(false) >= 3);
    assert!(passes(true) >= 6, "{}", passes(true));
}

#[test]
fn good_end_that_is_bad_is_told_and_no_culprit_made_up() {
    let (ending, _) = finish(&mut list(32), |_| Answer::Fail);
    assert!(matches!(ending, Ending::GoodFails { tally, .. } if tally.fails >= 3), "{ending:?}");
    assert_eq!(ending.word(), OutcomeWord::GoodFails);
    let ends = (0..30).map(|seed| finish(&mut list(32), rates(|_| 0.3, seed)).0);
    let wrong = ends.filter(|ending| !matches!(ending, Ending::GoodFails { .. })).count();
    assert!(wrong <= 3, "{wrong} of 30");
}

#[test]
fn noise_everywhere_is_no_culprit() {
    let settings = Settings { p_min: 0.01, ..Settings::default() };
    let ends = (0..12).map(|seed| finish(&mut listed(16, settings, &[]), rates(|_| 0.03, seed)).0);
    let named = ends.filter(|ending| found(ending).is_some()).count();
    assert!(named <= 1, "{named} of 12");
}

#[test]
fn untestable_neighbours_are_all_named() {
    for (untestable, culprit, possible) in [
        (vec![10, 11, 12], 12, vec![10, 11, 12, 13]),
        (vec![10, 11, 12], 13, vec![10, 11, 12, 13]),
        ((1..31).collect(), 7, (1..32).collect::<Vec<usize>>()),
    ] {
        // Known beforehand, and found out on the way.
        for known in [true, false] {
            let before = if known { untestable.clone() } else { Vec::new() };
            let mut search = listed(32, Settings::default(), &before);
            let (ending, asked) = finish(&mut search, |index| match index {
                _ if untestable.contains(&index) => Answer::Skip,
                _ if index >= culprit => Answer::Fail,
                _ => Answer::Pass,
            });
            let Ending::Range { why, possible: told, probability, .. } = &ending else {
                panic!("{ending:?}")
            };
            assert_eq!((why, told), (&RangeReason::Untestable, &possible));
            assert!(*probability >= 0.99);
            assert_eq!(ending.word(), OutcomeWord::Range);
            assert!(!known || asked.iter().all(|(index, _)| !untestable.contains(index)));
        }
    }
}

#[test]
fn skips_elsewhere_do_not_hide_the_culprit() {
    let mut search = list(32);
    let (ending, _) = finish(&mut search, |index| match index {
        13..=19 => Answer::Skip,
        _ if index >= 27 => Answer::Fail,
        _ => Answer::Pass,
    });
    assert_eq!(found(&ending), Some(27));
    assert_eq!(ending.word(), OutcomeWord::FoundDespiteSkips);
}

#[test]
fn end_without_an_answer_ends_the_search() {
    let (ending, asked) = finish(&mut list(8), |_| Answer::Skip);
    assert_eq!(ending, Ending::EndSkipped { which: Purpose::BadEnd });
    assert_eq!((ending.word(), asked.len()), (OutcomeWord::Aborted, 1));
    let ending = finish(&mut listed(8, Settings::default(), &[0]), |_| Answer::Fail).0;
    assert_eq!(ending, Ending::EndSkipped { which: Purpose::GoodEnd });
}

#[test]
fn other_symptoms_in_half_of_six_runs_make_a_version_untestable() {
    let mut search = list(32);
    for _ in 0..6 {
        assert!(matches!(search.next(), NoisyStep::Try { index: 31, .. }));
        search.record(31, Answer::Other).unwrap();
    }
    assert!(matches!(
        search.next(),
        NoisyStep::Done(Ending::EndSkipped { which: Purpose::BadEnd })
    ));
    let mut answers = [Answer::Other, Answer::Fail].into_iter().cycle();
    let mut search = list(32);
    (0..6).for_each(|_| search.record(20, answers.next().unwrap()).unwrap());
    assert!(search.tally(20).is_untestable());
    let told = search.notices();
    assert!(matches!(told[..], [Notice::Untestable { index: 20, tally: Tally { others: 3, .. } }]));
    // They count neither as failures nor as passes.
    let mut other = list(32);
    other.record(31, Answer::Fail).unwrap();
    let before = other.belief();
    other.record(20, Answer::Other).unwrap();
    assert_eq!(other.belief().credible, before.credible);
    assert!((other.belief().entropy - before.entropy).abs() < 1e-12);
}

/// Who chose the rarer symptom of the bad end knows that the other one comes first in most runs.
#[test]
fn bad_end_that_shows_the_rarer_of_two_symptoms_is_an_end() {
    let mut search = list(32);
    for _ in 0..3 {
        for answer in [Answer::Other, Answer::Other, Answer::Fail] {
            assert!(
                matches!(search.next(), NoisyStep::Try { index: 31, .. }),
                "{:?}",
                search.next()
            );
            search.record(31, answer).unwrap();
        }
    }
    assert!(matches!(search.next(), NoisyStep::Try { index: 1..31, .. }), "{:?}", search.next());
    assert_eq!(search.skipped(), Vec::<usize>::new());
    // One that shows in fewer runs than are worth a search is none.
    let mut search = list(32);
    search.record(31, Answer::Fail).unwrap();
    (0..300).for_each(|_| search.record(31, Answer::Other).unwrap());
    let NoisyStep::Done(Ending::NotReproduced { tally }) = search.next() else { panic!() };
    assert_eq!((tally.fails, tally.others), (1, 300));
}

#[test]
fn spent_budget_gives_a_range_that_says_so() {
    let settings = Settings { budget: Some(12), ..Settings::default() };
    let answers = |index| if index >= 200 { Answer::Fail } else { Answer::Pass };
    let mut search = listed(1000, settings, &[]);
    let (ending, asked) = finish(&mut search, answers);
    assert_eq!(asked.len(), 12);
    let Ending::Range { why: RangeReason::Budget, possible, probability, .. } = &ending else {
        panic!("{ending:?}")
    };
    assert!(possible.contains(&200) && possible.len() < 300, "{possible:?}");
    assert!(*probability > 0.9);
    // Resumed: the counts are there, the budget is used.
    let mut resumed = listed(1000, settings, &[]);
    (0..1000).for_each(|index| resumed.record_all(index, search.tally(index)).unwrap());
    assert_eq!(resumed.next(), NoisyStep::Done(ending));
    let mut none = listed(1000, Settings { budget: Some(0), ..settings }, &[]);
    assert!(
        matches!(finish(&mut none, answers).0, Ending::NotReproduced { tally } if tally.runs() == 0)
    );
}

#[test]
fn failure_of_a_version_thought_good_is_looked_at_again_and_told() {
    let mut search = list(32);
    let culprit = |index: usize| index >= 20;
    for _ in 0..3 {
        search.record(31, Answer::Fail).unwrap();
    }
    for _ in 0..30 {
        search.record(19, Answer::Pass).unwrap();
        search.record(10, Answer::Pass).unwrap();
    }
    search.record(20, Answer::Fail).unwrap();
    search.record(10, Answer::Fail).unwrap();
    let NoisyStep::Try { index, purpose, .. } = search.next() else { panic!("over") };
    assert_eq!((index, purpose), (10, Purpose::Recheck));
    search.record(10, Answer::Pass).unwrap();
    assert!(!matches!(search.next(), NoisyStep::Try { purpose: Purpose::Recheck, .. }));
    assert!(
        matches!(search.notices()[0], Notice::FailedThoughGood { index: 10, good } if good > 0.999)
    );
    let (ending, _) =
        finish(&mut search, |index| if culprit(index) { Answer::Fail } else { Answer::Pass });
    assert_eq!(found(&ending), Some(20));
}

#[test]
fn symptom_that_comes_and_goes_is_told_as_several_changes() {
    // Bad from 8 to 15 and from 24 on; all versions were tried, as for a map.
    let mut search = list(32);
    for index in 0..32 {
        for _ in 0..3 {
            let bad = (8..16).contains(&index) || index >= 24;
            search.record(index, if bad { Answer::Fail } else { Answer::Pass }).unwrap();
        }
    }
    let several = search.several_changes().expect("more than one change");
    assert_eq!(several.changes, [(7, 8), (15, 16), (23, 24)]);
    let (ending, _) = finish(&mut search, |index| {
        if (8..16).contains(&index) || index >= 24 { Answer::Fail } else { Answer::Pass }
    });
    let Ending::Range { why: RangeReason::SeveralChanges(told), possible, .. } = &ending else {
        panic!("{ending:?}")
    };
    assert_eq!((&told.changes, possible), (&several.changes, &vec![8, 16, 24]));
}

#[test]
fn single_change_is_not_taken_for_several() {
    let told = (0..20)
        .filter(|seed| {
            let mut search = list(32);
            finish(&mut search, rates(|index| if index >= 13 { 0.3 } else { 0.01 }, *seed));
            search.several_changes().is_some()
        })
        .count();
    assert!(told <= 1, "{told} of 20");
}

#[test]
fn rates_that_differ_are_told_and_the_robust_mode_copes() {
    let rate = |index: usize| match index {
        20..=24 => 0.4,
        25.. => 1.0,
        _ => 0.0,
    };
    let mut search = list(32);
    for index in [20, 22, 24, 26, 28, 31] {
        for run in 0..20 {
            let fails = f64::from(run) < 20.0 * rate(index);
            search.record(index, if fails { Answer::Fail } else { Answer::Pass }).unwrap();
        }
    }
    for index in [5, 10, 15, 19] {
        (0..20).for_each(|_| search.record(index, Answer::Pass).unwrap());
    }
    let told = search.notices();
    assert!(told.iter().any(|notice| matches!(notice, Notice::RatesDiffer { .. })), "{told:?}");
    let robust = Settings { robust: true, ..Settings::default() };
    let wrong = (0..30)
        .filter(|seed| {
            found(&finish(&mut listed(32, robust, &[]), rates(rate, *seed)).0) != Some(20)
        })
        .count();
    assert!(wrong <= 3, "{wrong} of 30");
}

#[test]
fn fix_is_found_from_the_other_side() {
    let settings = Settings { direction: Direction::Fix, ..Settings::default() };
    for seed in 0..20 {
        let mut chance = Chance(seed);
        let fix = 1 + chance.below(31);
        let mut search = listed(32, settings, &[]);
        let (ending, asked) =
            finish(&mut search, rates(|index| if index < fix { 0.9 } else { 0.0 }, seed));
        assert_eq!(found(&ending), Some(fix), "{ending:?}");
        assert_eq!(asked[0], (0, Purpose::BadEnd));
    }
}

#[test]
fn ends_taken_for_granted_are_not_asked() {
    let settings = Settings { assume_good: true, assume_bad: true, ..Settings::default() };
    for untestable in [vec![], vec![0, 31]] {
        let mut search = listed(32, settings, &untestable);
        let (ending, asked) = finish(&mut search, |index| {
            assert!(!untestable.contains(&index));
            if index >= 17 { Answer::Fail } else { Answer::Pass }
        });
        assert_eq!(found(&ending), Some(17));
        assert!(asked.iter().all(|(_, purpose)| *purpose != Purpose::BadEnd));
    }
}

#[test]
fn workers_beside_each_other_come_to_the_same_answer() {
    for workers in [2, 3, 8] {
        for culprit in [1, 9, 31] {
            let mut answer =
                rates(|index| if index >= culprit { 0.6 } else { 0.0 }, culprit as u64);
            let mut search = list(32);
            let mut rounds = 0;
            let ending = 'search: loop {
                let mut taken = Vec::new();
                while taken.len() < workers {
                    match search.next() {
                        NoisyStep::Try { index, .. } => {
                            search.begin(index).unwrap();
                            taken.push(index);
                        }
                        NoisyStep::Wait => break,
                        NoisyStep::Done(ending) => break 'search ending,
                    }
                }
                assert!(!taken.is_empty(), "all wait for nobody");
                rounds += 1;
                assert!(rounds < 1000);
                // The last one begun ends first.
                for index in taken.into_iter().rev() {
                    search.record(index, answer(index)).unwrap();
                }
            };
            assert_eq!(found(&ending), Some(culprit), "{workers} workers");
        }
    }
}

#[test]
fn abandoned_trial_leaves_no_trace() {
    let mut search = list(32);
    (0..3).for_each(|_| search.record(31, Answer::Fail).unwrap());
    let before = search.next();
    search.begin(12).unwrap();
    search.abandon(12);
    assert_eq!(search.next(), before);
}

#[test]
fn kernels_to_fetch_are_those_that_may_come_next() {
    let mut search = list(32);
    (0..3).for_each(|_| search.record(31, Answer::Fail).unwrap());
    let NoisyStep::Try { index, .. } = search.next() else { panic!("over") };
    let likely = search.likely_next(3);
    assert!(!likely.is_empty() && !likely.contains(&index));
    for answer in [Answer::Pass, Answer::Fail] {
        let mut after = search.clone();
        after.record(index, answer).unwrap();
        let NoisyStep::Try { index: next, .. } = after.next() else { panic!("over") };
        assert!(next == index || likely.contains(&next), "{next} {likely:?}");
    }
}

#[test]
fn what_cannot_be_searched_is_refused() {
    assert_eq!(History::list(1).unwrap_err(), HistoryError::TooShort { len: 1 });
    let order = History::graph(vec![vec![], vec![2], vec![0]]).unwrap_err();
    assert_eq!(order, HistoryError::Order { index: 1, parent: 2 });
    let stray = History::graph(vec![vec![], vec![0], vec![0]]).unwrap_err();
    assert_eq!(stray, HistoryError::NotAncestor { index: 1 });
    let with = |settings| NoisySearch::new(History::list(4).unwrap(), settings, &[]).map(drop);
    for stop in [0.5, 1.0, f64::NAN] {
        let refused = with(Settings { stop, ..Settings::default() });
        assert!(matches!(refused, Err(NoisySearchError::Settings(SettingsError::Stop { .. }))));
    }
    for p_min in [0.0, 1.1, f64::NAN] {
        let refused = with(Settings { p_min, ..Settings::default() });
        assert!(matches!(refused, Err(NoisySearchError::Settings(SettingsError::PMin { .. }))));
    }
    let mut search = list(4);
    assert_eq!(search.record(4, Answer::Pass), Err(HistoryError::OutOfRange { index: 4, len: 4 }));
    let outside = NoisySearch::new(History::list(4).unwrap(), Settings::default(), &[9]);
    assert!(outside.is_err());
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        4 => Just(Answer::Pass),
        4 => Just(Answer::Fail),
        1 => Just(Answer::Other),
        1 => Just(Answer::Skip),
        1 => Just(Answer::Infra),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Counts are all that matters, also those that contradict each other.
    #[test]
    fn records_in_any_order_lead_to_the_same_belief(
        records in prop::collection::vec((0..20usize, answer()), 0..60),
        robust: bool,
        turn in 0..60usize,
    ) {
        let settings = Settings { robust, ..Settings::default() };
        let (mut one, mut other) = (listed(20, settings, &[]), listed(20, settings, &[]));
        for (index, answer) in &records {
            one.record(*index, *answer).unwrap();
        }
        let mut turned = records.clone();
        turned.rotate_left(turn.min(records.len()));
        turned.reverse();
        for (index, answer) in &turned {
            other.record(*index, *answer).unwrap();
        }
        let (a, b) = (one.belief(), other.belief());
        prop_assert_eq!(a.versions, b.versions);
        prop_assert_eq!(a.credible, b.credible);
        // Counts alone do, too: that is how older journals are scored again.
        let mut counted = listed(20, settings, &[]);
        (0..20).for_each(|index| counted.record_all(index, one.tally(index)).unwrap());
        prop_assert_eq!(counted.belief().versions, one.belief().versions);
    }

    /// A resumed search is the one that was interrupted.
    #[test]
    fn replayed_records_lead_to_the_same_steps(seed: u64, culprit in 1..24usize, cut in 0..40usize) {
        let mut answer = rates(|index| if index >= culprit { 0.5 } else { 0.0 }, seed);
        let mut search = list(24);
        let mut records = Vec::new();
        while let NoisyStep::Try { index, .. } = search.next() {
            let answer = answer(index);
            search.record(index, answer).unwrap();
            records.push((index, answer));
        }
        let mut resumed = list(24);
        for (at, (index, answer)) in records.iter().enumerate() {
            if at >= cut {
                let same = matches!(resumed.next(), NoisyStep::Try { index: asked, .. } if asked == *index);
                prop_assert!(same, "step {}", at);
            }
            resumed.record(*index, *answer).unwrap();
        }
        prop_assert_eq!(resumed.next(), search.next());
    }

    /// Whatever is answered, the search ends, and probabilities are such.
    #[test]
    fn contradictions_end_too(len in 2..12usize, answers in prop::collection::vec(answer(), 1..12)) {
        let mut search = listed(len, Settings { budget: Some(120), ..Settings::default() }, &[]);
        let mut all = answers.into_iter().cycle();
        let mut asked = 0;
        while let NoisyStep::Try { index, .. } = search.next() {
            search.record(index, all.next().unwrap()).unwrap();
            asked += 1;
            // Failures of the host are no runs; who asks for trials gives up on them.
            if asked > 2000 {
                break;
            }
        }
        let belief = search.belief();
        let sum: f64 = belief.versions.iter().map(|version| version.culprit).sum();
        prop_assert!((sum + belief.good_end_bad + belief.nothing - 1.0).abs() < 1e-6);
        prop_assert!(belief.p.low <= belief.p.high && belief.q.low <= belief.q.high);
    }
}
