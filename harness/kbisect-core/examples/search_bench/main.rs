//! Simulated searches over the real engine: runs and errors against the numbers to hold.
//!
//! Usage: `scripts/bench search [--worlds N] [--seed N] [--part PART]`, or `cargo run --release -p
//! kbisect-core --example search_bench -- ...`. Ends with 1 when a number does not hold.

mod world;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use kbisect_core::bayes::{Answer, Costs, Ending, History, NoisySearch, NoisyStep, Settings};
use kbisect_core::search::{Direction, Mark, Search};
use world::{Random, Rates, commits, tangle};

/// Runs may exceed the target by this factor.
const SLACK: f64 = 1.1;
/// Most wrong answers, in per cent.
const WRONG: f64 = 2.0;

struct Row {
    candidates: usize,
    rates: Rates,
    target: f64,
}

/// What came of many searches.
#[derive(Default)]
struct Sum {
    searches: usize,
    runs: f64,
    squares: f64,
    wrong: usize,
    unanswered: usize,
    estimates: usize,
    estimates_kept: usize,
}

impl Sum {
    fn add(&mut self, runs: f64, ending: &Ending, culprit: usize) {
        self.searches += 1;
        self.runs += runs;
        self.squares += runs * runs;
        match ending {
            Ending::Found { first_new, .. } if *first_new == culprit => {}
            Ending::GoodFails { .. } if culprit == 0 => {}
            Ending::Found { .. } | Ending::GoodFails { .. } | Ending::NothingChanged { .. } => {
                self.wrong += 1;
            }
            _ => self.unanswered += 1,
        }
    }

    fn mean(&self) -> f64 {
        self.runs / self.searches as f64
    }

    /// Standard error of the mean.
    fn error(&self) -> f64 {
        let n = self.searches as f64;
        ((self.squares / n - self.mean().powi(2)).max(0.0) / n).sqrt()
    }

    fn percent(&self, count: usize) -> f64 {
        100.0 * count as f64 / self.searches as f64
    }
}

struct Bench {
    worlds: usize,
    seed: u64,
    held: bool,
}

type Part = (&'static str, fn(&mut Bench));

/// What can be asked for with `--part`.
const PARTS: [Part; 6] = [
    ("quick", Bench::quick),
    ("rows", Bench::rows),
    ("good-end", Bench::good_end),
    ("workers", Bench::workers),
    ("builds", Bench::builds),
    ("graph", Bench::graph),
];

fn main() -> ExitCode {
    let mut bench = Bench { worlds: 400, seed: 1, held: true };
    let mut part = None;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for pair in arguments.chunks(2) {
        let value = pair.get(1).map_or("", String::as_str);
        match (pair[0].as_str(), value.parse::<u64>()) {
            ("--worlds", Ok(worlds)) if worlds > 0 => bench.worlds = worlds as usize,
            ("--seed", Ok(seed)) => bench.seed = seed,
            ("--part", _) if PARTS.iter().any(|(name, _)| *name == value) => {
                part = Some(value.to_owned());
            }
            _ => {
                let names = PARTS.map(|(name, _)| name).join("|");
                eprintln!("usage: search_bench [--worlds N] [--seed N] [--part {names}]");
                return ExitCode::from(2);
            }
        }
    }
    println!("simulated searches, {} worlds a row, seed {}", bench.worlds, bench.seed);
    for (name, run) in PARTS {
        if part.as_ref().is_none_or(|part| part == name) {
            run(&mut bench);
        }
    }
    println!("{}", if bench.held { "all numbers hold" } else { "a number does not hold" });
    if bench.held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Bench {
    fn verdict(&mut self, held: bool) -> &'static str {
        self.held &= held;
        if held { "ok" } else { "MISSED" }
    }

    /// A source of chance of its own for each row, so that rows do not depend on each other.
    fn random(&self, row: u64) -> Random {
        Random::new(self.seed.wrapping_mul(0x1_0001).wrapping_add(row))
    }

    /// The deterministic search of `--quick`.
    fn quick(&mut self) {
        let mut most = 0;
        for culprit in 1..=31 {
            let mut search = Search::new(32, Direction::Regression, &[]).expect("two ends");
            let mut runs = 0;
            while let kbisect_core::search::SearchStep::Test { index, .. } = search.next() {
                let mark = if index >= culprit { Mark::Bad } else { Mark::Good };
                search.record(index, mark).expect("it was asked for");
                runs += 1;
            }
            most = most.max(runs);
        }
        println!(
            "\nquick, 31 candidates: {most} runs at most, ends included; target 7   {}",
            self.verdict(most <= 7)
        );
    }

    fn rows(&mut self) {
        println!(
            "\n{:>10} {:>5} {:>5} {:>15} {:>7} {:>8} {:>10} {:>10}",
            "candidates", "p", "q", "mean runs", "target", "wrong", "no answer", "range kept"
        );
        let row = |candidates, p, q, target| Row { candidates, rates: Rates { p, q }, target };
        let rows = [
            row(31, 1.0, 0.0, 16.0),
            row(31, 0.5, 0.0, 39.0),
            row(31, 0.3, 0.0, 70.0),
            row(31, 0.1, 0.0, 251.0),
            row(31, 0.3, 0.01, 86.0),
            row(256, 0.3, 0.0, 93.0),
            row(16384, 0.3, 0.0, 134.0),
        ];
        for (number, row) in rows.iter().enumerate() {
            let mut random = self.random(number as u64);
            let mut sum = Sum::default();
            for _ in 0..self.worlds {
                let culprit = 1 + random.below(row.candidates);
                let search = list(row.candidates, Settings::default());
                one_by_one(
                    search,
                    row.rates,
                    |index| index >= culprit,
                    culprit,
                    &mut random,
                    &mut sum,
                );
            }
            let wrong = sum.percent(sum.wrong);
            let kept = 100.0 * sum.estimates_kept as f64 / sum.estimates.max(1) as f64;
            let held = sum.mean() <= SLACK * row.target && wrong <= WRONG;
            println!(
                "{:>10} {:>5} {:>5} {:>8.1} ± {:>4.1} {:>7} {wrong:>7.2}% {:>9.2}% {kept:>9.0}%   {}",
                row.candidates,
                row.rates.p,
                row.rates.q,
                sum.mean(),
                sum.error(),
                row.target,
                sum.percent(sum.unanswered),
                self.verdict(held)
            );
        }
    }

    /// The end that is said to be good has the symptom, too.
    fn good_end(&mut self) {
        println!("\nthe good end is bad, 31 candidates");
        for p in [1.0, 0.3] {
            let mut random = self.random(100 + (10.0 * p) as u64);
            let mut sum = Sum::default();
            for _ in 0..self.worlds {
                let search = list(31, Settings::default());
                one_by_one(search, Rates { p, q: 0.0 }, |_| true, 0, &mut random, &mut sum);
            }
            let wrong = sum.percent(sum.wrong);
            println!(
                "  p {p}: false culprit {wrong:.2} %, no answer {:.2} %, mean runs {:.1}; target 8 %   {}",
                sum.percent(sum.unanswered),
                sum.mean(),
                self.verdict(wrong <= 8.0)
            );
        }
    }

    /// Several workers, all waiting for the slowest.
    fn workers(&mut self) {
        println!("\nworkers, 31 candidates, p 0.3");
        let mut alone = 0.0;
        for (workers, target) in [(1usize, 47.0), (2, 26.0), (4, 13.0), (8, 8.0)] {
            let mut random = self.random(200 + workers as u64);
            let (mut rounds, mut sum) = (0usize, Sum::default());
            for _ in 0..self.worlds {
                let culprit = 1 + random.below(31);
                let search = list(31, Settings::default());
                rounds += side_by_side(search, workers, culprit, &mut random, &mut sum);
            }
            let rounds = rounds as f64 / self.worlds as f64;
            if workers == 1 {
                alone = rounds;
            }
            let (fewer, wanted) = (alone / rounds, 47.0 / target);
            let wrong = sum.percent(sum.wrong);
            let held = fewer * SLACK >= wanted && wrong <= WRONG;
            println!(
                "  {workers}: {rounds:.1} rounds, {fewer:.2} x fewer, target {wanted:.2} x; \
                 {:.1} runs, wrong {wrong:.2} %   {}",
                sum.mean(),
                self.verdict(held)
            );
        }
    }

    /// Kernels that have to be built first.
    fn builds(&mut self) {
        println!("\nbuilds, 16384 candidates, p 0.3, a build costs 20 runs");
        for (known, target) in [(true, 456.0), (false, f64::INFINITY)] {
            let mut random = self.random(300);
            let (mut built, mut cost, mut sum) = (0usize, 0.0, Sum::default());
            let worlds = self.worlds.div_ceil(2);
            for _ in 0..worlds {
                let culprit = 1 + random.below(16384);
                let prepare = if known { 20.0 } else { 0.0 };
                let settings =
                    Settings { costs: Costs { run: 1.0, prepare }, ..Settings::default() };
                let mut search = list(16384, settings);
                let mut seen = std::collections::BTreeSet::new();
                let ending = loop {
                    match search.next() {
                        NoisyStep::Try { index, .. } => {
                            seen.insert(index);
                            let rates = Rates { p: 0.3, q: 0.0 };
                            let answer = rates.run(index >= culprit, &mut random);
                            search.record(index, answer).expect("a version");
                        }
                        NoisyStep::Wait => unreachable!("nothing is under way"),
                        NoisyStep::Done(ending) => break ending,
                    }
                };
                built += seen.len();
                cost += f64::from(search.runs()) + 20.0 * seen.len() as f64;
                sum.add(f64::from(search.runs()), &ending, culprit);
            }
            let (built, cost) = (built as f64 / worlds as f64, cost / worlds as f64);
            let held = cost <= SLACK * target && sum.percent(sum.wrong) <= WRONG;
            let (name, target) = if known {
                ("cost known", format!("target {target}"))
            } else {
                ("cost not known", "for comparison".to_owned())
            };
            println!(
                "  {name}: {built:.1} builds, {:.1} runs, cost {cost:.0}, {target}, wrong {:.2} %   {}",
                sum.mean(),
                sum.percent(sum.wrong),
                self.verdict(held)
            );
        }
    }

    /// A graph of commits: the same runs as a list, and how long a choice takes.
    fn graph(&mut self) {
        let mut random = self.random(400);
        println!("\ngraphs of 16384 commits, p 0.3");
        let worlds = self.worlds.div_ceil(2);
        for (name, parents, worlds, gaps) in [
            ("topics and merges", commits(16385, &mut random), worlds, None),
            ("one of twenty gives no answer", commits(16385, &mut random), 1, Some(20)),
            ("half of them merges", tangle(16385, &mut random), 1, None),
        ] {
            let merges = parents.iter().filter(|of| of.len() > 1).count();
            let begun = Instant::now();
            let history = History::graph(parents).expect("a history");
            let set_up = begun.elapsed().as_secs_f64() * 1e3;
            println!("  {name}: {merges} merges, set up in {set_up:.0} ms");
            let mut times = [Vec::new(), Vec::new()];
            let mut sum = Sum::default();
            for _ in 0..worlds {
                let culprit = 1 + random.below(history.len() - 1);
                let sum = (worlds > 1).then_some(&mut sum);
                timed(&history, culprit, gaps, &mut random, sum, &mut times);
            }
            if worlds > 1 {
                let wrong = sum.percent(sum.wrong);
                // Fewer worlds than the rows above: the mean itself is not that well known.
                let held = sum.mean() <= SLACK * 134.0 + 2.0 * sum.error() && wrong <= WRONG;
                println!(
                    "    {worlds} worlds: mean runs {:.1} ± {:.1}, target 134, wrong {wrong:.2} %, \
                     no answer {:.2} %   {}",
                    sum.mean(),
                    sum.error(),
                    sum.percent(sum.unanswered),
                    self.verdict(held)
                );
            }
            for (times, name) in times.iter_mut().zip(["one worker", "fourth of four workers"]) {
                times.sort_unstable();
                let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
                let [median, late] = [0.5, 0.99].map(|share| at(share).as_secs_f64() * 1e3);
                // The last of several workers is judged on a history as they are.
                let judged = worlds > 1 || name == "one worker";
                let held = if judged { self.verdict(median <= 50.0) } else { "" };
                println!(
                    "    answer taken, next one chosen, {name}: median {median:.1} ms, 99 of 100 \
                     within {late:.1} ms; target 50 ms   {held}",
                );
            }
        }
    }
}

/// Runs after which a search that is there for its times alone is left: where thousands of commits
/// have no common descendant but the last, nothing but trying them all would find the culprit.
const ENOUGH: usize = 100;

/// Searches a graph and keeps how long each choice took: alone, and beside three trials.
fn timed(
    history: &History,
    culprit: usize,
    gaps: Option<usize>,
    random: &mut Random,
    mut sum: Option<&mut Sum>,
    [alone, fourth]: &mut [Vec<Duration>; 2],
) {
    let bad = descendants(history, culprit);
    let settings = Settings::default();
    let is_gap = |at: usize, each| gaps.is_some_and(|gaps| at % (each * gaps) == 7);
    // Half of them are known beforehand.
    let known: Vec<usize> = (0..history.len()).filter(|at| is_gap(*at, 2)).collect();
    let mut search = NoisySearch::new(history.clone(), settings, &known).expect("valid settings");
    while sum.is_some() || alone.len() < ENOUGH {
        let begun = Instant::now();
        let step = search.next();
        let chosen = begun.elapsed();
        match step {
            NoisyStep::Try { index, .. } => {
                if alone.len().is_multiple_of(32) {
                    fourth.push(fourth_worker(search.clone()));
                }
                let answer = match (Rates { p: 0.3, q: 0.0 }).run(bad[index], random) {
                    _ if is_gap(index, 1) => Answer::Skip,
                    answer => answer,
                };
                let begun = Instant::now();
                search.record(index, answer).expect("a version");
                alone.push(chosen + begun.elapsed());
            }
            NoisyStep::Wait => unreachable!("nothing is under way"),
            NoisyStep::Done(ending) => {
                if let Some(sum) = &mut sum {
                    sum.add(f64::from(search.runs()), &ending, culprit);
                }
                return;
            }
        }
    }
}

/// Runs a search to its end, one trial at a time.
fn one_by_one(
    mut search: NoisySearch,
    rates: Rates,
    is_bad: impl Fn(usize) -> bool,
    culprit: usize,
    random: &mut Random,
    sum: &mut Sum,
) {
    let mut estimates = Vec::new();
    let ending = loop {
        match search.next() {
            NoisyStep::Try { index, .. } => {
                let answer = rates.run(is_bad(index), random);
                search.record(index, answer).expect("a version");
                // Now and then: it takes longer than the search itself.
                if search.runs().is_multiple_of(16) {
                    estimates.push((search.runs(), search.runs_left()));
                }
            }
            NoisyStep::Wait => unreachable!("nothing is under way"),
            NoisyStep::Done(ending) => break ending,
        }
    };
    for (at, left) in estimates {
        let really = search.runs() - at;
        sum.estimates += 1;
        sum.estimates_kept += usize::from((left.low..=left.high).contains(&really));
    }
    sum.add(f64::from(search.runs()), &ending, culprit);
}

/// Runs a search in rounds of as many trials as there are workers; gives the rounds.
fn side_by_side(
    mut search: NoisySearch,
    workers: usize,
    culprit: usize,
    random: &mut Random,
    sum: &mut Sum,
) -> usize {
    for rounds in 0.. {
        let mut taken = Vec::new();
        while taken.len() < workers {
            match search.next() {
                NoisyStep::Try { index, .. } => {
                    search.begin(index).expect("a version");
                    taken.push(index);
                }
                NoisyStep::Wait => break,
                NoisyStep::Done(ending) => {
                    sum.add(f64::from(search.runs()), &ending, culprit);
                    return rounds;
                }
            }
        }
        for index in taken {
            let answer = Rates { p: 0.3, q: 0.0 }.run(index >= culprit, random);
            search.record(index, answer).expect("a version");
        }
    }
    unreachable!("a search ends")
}

/// Which commits contain the culprit.
fn descendants(history: &History, culprit: usize) -> Vec<bool> {
    let mut bad = vec![false; history.len()];
    let mut open = vec![culprit];
    while let Some(at) = open.pop() {
        if !std::mem::replace(&mut bad[at], true) {
            open.extend(history.children(at));
        }
    }
    bad
}

/// A search over a list.
fn list(candidates: usize, settings: Settings) -> NoisySearch {
    let history = History::list(candidates + 1).expect("two ends");
    NoisySearch::new(history, settings, &[]).expect("valid settings")
}

/// How long the choice takes while three trials are under way.
fn fourth_worker(mut search: NoisySearch) -> Duration {
    for _ in 0..3 {
        if let NoisyStep::Try { index, .. } = search.next() {
            search.begin(index).expect("a version");
        }
    }
    let begun = Instant::now();
    let _ = search.next();
    begun.elapsed()
}
