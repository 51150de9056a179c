//! Worlds to search: a planted culprit, failure rates, a history; all from a seed.

use kbisect_core::bayes::Answer;

/// Random numbers from a seed (splitmix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 up to 1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A whole number below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.unit() * n as f64) as usize
    }
}

/// Failure rates: of bad versions and of good ones.
#[derive(Clone, Copy)]
pub struct Rates {
    pub p: f64,
    pub q: f64,
}

impl Rates {
    /// One run of a version.
    pub fn run(self, bad: bool, random: &mut Random) -> Answer {
        let rate = if bad { self.p } else { self.q };
        if random.unit() < rate { Answer::Fail } else { Answer::Pass }
    }
}

/// Parents of commits in a history like a kernel's: a main line, topics that branch off recent
/// commits and are merged, some of them into other topics first.
pub fn commits(len: usize, random: &mut Random) -> Vec<Vec<usize>> {
    let mut parents: Vec<Vec<usize>> = vec![Vec::new()];
    let mut main = vec![0usize];
    let mut topics: Vec<(usize, usize)> = Vec::new();
    while parents.len() + topics.len() < len {
        let new = parents.len();
        let tip = main[main.len() - 1];
        match random.below(10) {
            0 if topics.len() < 40 => {
                let back = random.below(main.len().min(120));
                parents.push(vec![main[main.len() - 1 - back]]);
                topics.push((new, 1 + random.below(30)));
            }
            1..=6 if !topics.is_empty() => {
                let at = random.below(topics.len());
                let (last, left) = topics[at];
                if left > 0 {
                    parents.push(vec![last]);
                    topics[at] = (new, left - 1);
                } else if topics.len() > 1 && random.below(4) == 0 {
                    topics.swap_remove(at);
                    let into = random.below(topics.len());
                    parents.push(vec![topics[into].0, last]);
                    topics[into].0 = new;
                } else {
                    topics.swap_remove(at);
                    parents.push(vec![tip, last]);
                    main.push(new);
                }
            }
            _ => {
                parents.push(vec![tip]);
                main.push(new);
            }
        }
    }
    // What is open at the end is merged, so that the newest commit contains everything.
    while let Some((last, _)) = topics.pop() {
        parents.push(vec![main[main.len() - 1], last]);
        main.push(parents.len() - 1);
    }
    parents
}

/// Parents of commits in the worst history there is: two lines that never met, then merges of any
/// commit of the one with any of the other.
pub fn tangle(len: usize, random: &mut Random) -> Vec<Vec<usize>> {
    let line = len / 4;
    let mut parents: Vec<Vec<usize>> = vec![Vec::new(), vec![0], vec![0]];
    while parents.len() < 2 * line {
        parents.push(vec![parents.len() - 2]);
    }
    // Positions alternate between the lines.
    while parents.len() < len - 1 {
        parents.push(vec![2 * random.below(line), 2 * random.below(line) + 1]);
    }
    let mut used = vec![false; parents.len()];
    parents.iter().flatten().for_each(|parent| used[*parent] = true);
    let heads = (0..parents.len()).filter(|at| !used[*at]).collect();
    parents.push(heads);
    parents
}
