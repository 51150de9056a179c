//! How likely counts are: failure rates of bad and of good versions, integrated out.

/// First parameter of the Beta distribution of a bad version's failure rate; the second is 1. Low
/// rates are likely enough before anything is known, high ones are not ruled out.
pub(super) const A: f64 = 0.2;

/// Prior probability, where it is asked for, that bad versions fail always and good ones never.
const ALWAYS: f64 = 0.5;

/// Failure rates that good versions may have, with their weights.
const NOISE: [(f64, f64); 5] = [(0.0, 0.5), (0.005, 0.2), (0.01, 0.15), (0.02, 0.1), (0.04, 0.05)];

/// Added once the good end itself failed.
const MORE_NOISE: [(f64, f64); 2] = [(0.08, 0.03), (0.15, 0.02)];

/// Runs that the common rate is worth where every bad version has a rate of its own.
const KAPPA: f64 = 15.0;

/// Common rates of the robust mode.
const RATES: [f64; GRID] =
    [0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.96, 0.995];

/// Points of the robust mode's grid.
pub(super) const GRID: usize = 16;

/// Failures and passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FailPass {
    pub fails: u32,
    pub passes: u32,
}

impl FailPass {
    pub(super) fn new(fails: u32, passes: u32) -> Self {
        Self { fails, passes }
    }

    pub(super) fn runs(self) -> u32 {
        self.fails + self.passes
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self { fails: self.fails + other.fails, passes: self.passes + other.passes }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self { fails: self.fails - other.fails, passes: self.passes - other.passes }
    }
}

/// `ln(x (x+1) ... (x+n-1))` for n from 0.
#[derive(Clone, Debug)]
struct Rising {
    from: f64,
    logs: Vec<f64>,
}

impl Rising {
    fn new(from: f64) -> Self {
        Self { from, logs: vec![0.0] }
    }

    fn grow(&mut self, n: usize) {
        while self.logs.len() <= n {
            let last = self.logs.len() - 1;
            self.logs.push(self.logs[last] + (self.from + last as f64).ln());
        }
    }

    fn at(&self, n: u32) -> f64 {
        self.logs[n as usize]
    }
}

/// The likelihoods, with tables up to the number of runs so far: all Beta functions have a fixed
/// start and differ by whole numbers, so products do instead of the gamma function.
#[derive(Clone, Debug)]
pub(super) struct Likelihood {
    fails: Rising,
    passes: Rising,
    runs: Rising,
    noise: Vec<Noise>,
    /// Prior probability that bad versions fail always and good ones never.
    pub(super) always: f64,
}

#[derive(Clone, Copy, Debug)]
struct Noise {
    rate: f64,
    weight: f64,
    ln_fail: f64,
    ln_pass: f64,
}

impl Likelihood {
    pub(super) fn new() -> Self {
        let mut new = Self {
            fails: Rising::new(A),
            passes: Rising::new(1.0),
            runs: Rising::new(A + 1.0),
            noise: Vec::new(),
            always: 0.0,
        };
        new.set_noise(false);
        new
    }

    /// Takes it for as likely as not that versions answer the same each time.
    pub(super) fn maybe_deterministic(&mut self) {
        self.always = ALWAYS;
    }

    /// Log likelihood of the counts of bad and of good versions, where `ln_doubt` is that under unknown
    /// rates: either those, or versions that answer the same each time. And how likely the latter is then.
    pub(super) fn or_always(&self, bad: FailPass, good: FailPass, ln_doubt: f64) -> (f64, f64) {
        if self.always == 0.0 {
            return (ln_doubt, 0.0);
        }
        let doubt = (1.0 - self.always).ln() + ln_doubt;
        if bad.passes > 0 || good.fails > 0 {
            return (doubt, 0.0);
        }
        let sum = ln_sum([self.always.ln(), doubt].into_iter());
        (sum, (self.always.ln() - sum).exp())
    }

    /// Makes room for that many runs.
    pub(super) fn grow(&mut self, runs: u32) {
        for table in [&mut self.fails, &mut self.passes, &mut self.runs] {
            table.grow(runs as usize);
        }
    }

    /// Runs up to which the tables reach.
    pub(super) fn reach(&self) -> u32 {
        u32::try_from(self.runs.logs.len() - 1).expect("fewer than 2^32 runs")
    }

    /// Chooses the rates that good versions may have.
    pub(super) fn set_noise(&mut self, wide: bool) {
        let all = NOISE.iter().chain(MORE_NOISE.iter().filter(|_| wide));
        let total: f64 = all.clone().map(|(_, weight)| weight).sum();
        self.noise = all
            .map(|&(rate, weight)| Noise {
                rate,
                weight: weight / total,
                ln_fail: rate.ln(),
                ln_pass: (-rate).ln_1p(),
            })
            .collect();
    }

    /// Log likelihood of the counts of bad versions, their common rate integrated out:
    /// `ln B(A + fails, 1 + passes) - ln B(A, 1)`.
    pub(super) fn bad(&self, counts: FailPass) -> f64 {
        self.fails.at(counts.fails) + self.passes.at(counts.passes)
            - self.runs.at(counts.fails + counts.passes)
    }

    /// Log likelihood of the counts of good versions, and the mean of their rate after them.
    pub(super) fn good(&self, counts: FailPass) -> (f64, f64) {
        let (mut total, mut rate) = (0.0, 0.0);
        // Many failures make all terms small: the largest exponent is taken out.
        let largest =
            self.noise.iter().map(|n| n.exponent(counts)).fold(f64::NEG_INFINITY, f64::max);
        for noise in &self.noise {
            let term = noise.weight * (noise.exponent(counts) - largest).exp();
            total += term;
            rate += term * noise.rate;
        }
        (total.ln() + largest, rate / total)
    }

    /// The rates that good versions may have, with their weights after `counts`.
    pub(super) fn noise_after(&self, counts: FailPass) -> Vec<(f64, f64)> {
        let (total, _) = self.good(counts);
        self.noise.iter().map(|n| (n.rate, n.weight * (n.exponent(counts) - total).exp())).collect()
    }

    /// How well the best rate of a good version explains its counts, in logs.
    fn best_noise(&self, counts: FailPass) -> f64 {
        self.noise.iter().map(|n| n.exponent(counts)).fold(f64::NEG_INFINITY, f64::max)
    }

    /// How much better than chance a difference between neighbours is: the odds that the version
    /// with counts `good` has the rate of the one with counts `bad`, against being good.
    pub(super) fn same_rate(&self, bad: FailPass, good: FailPass) -> f64 {
        (self.bad(bad.plus(good)) - self.bad(bad) - self.best_noise(good)).exp()
    }
}

impl Noise {
    fn exponent(&self, counts: FailPass) -> f64 {
        // 0 times minus infinity is no number.
        let failed = if counts.fails == 0 { 0.0 } else { f64::from(counts.fails) * self.ln_fail };
        failed + f64::from(counts.passes) * self.ln_pass
    }
}

/// Mean failure rate of bad versions after their counts.
pub(super) fn mean_rate(counts: FailPass) -> f64 {
    (A + f64::from(counts.fails)) / (A + 1.0 + f64::from(counts.fails + counts.passes))
}

/// Robust mode: log likelihood of one bad version's counts for each common rate.
pub(super) fn spread(counts: FailPass) -> [f64; GRID] {
    let rise = |from: f64, n: u32| (0..n).map(|i| (from + f64::from(i)).ln()).sum::<f64>();
    RATES.map(|rate| {
        rise(KAPPA * rate, counts.fails) + rise(KAPPA * (1.0 - rate), counts.passes)
            - rise(KAPPA, counts.fails + counts.passes)
    })
}

/// Robust mode: log weight of each common rate before anything is known.
pub(super) fn spread_prior() -> [f64; GRID] {
    // Shares of the Beta(A, 1) distribution, whose distribution function is x^A.
    let mut logs = [0.0; GRID];
    let mut below = 0.0;
    for (index, log) in logs.iter_mut().enumerate() {
        let end = RATES.get(index + 1).map_or(1.0, |next| (RATES[index] + next) / 2.0);
        let upto = end.powf(A);
        *log = (upto - below).ln();
        below = upto;
    }
    logs
}

/// Robust mode: mean failure rate of one bad version with these counts, given weights of the common
/// rates.
pub(super) fn spread_mean(weights: &[f64; GRID], counts: FailPass) -> f64 {
    let runs = f64::from(counts.fails + counts.passes);
    let mean = |rate: f64| (KAPPA * rate + f64::from(counts.fails)) / (KAPPA + runs);
    RATES.iter().zip(weights).map(|(rate, weight)| weight * mean(*rate)).sum()
}

/// Logarithm of a sum of exponentials.
pub(super) fn ln_sum(logs: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = logs.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    logs.map(|log| (log - largest).exp()).sum::<f64>().ln() + largest
}

/// Entropy of a yes-no question, in nats.
pub(super) fn h2(p: f64) -> f64 {
    if p <= 0.0 || p >= 1.0 { 0.0 } else { -p * p.ln() - (1.0 - p) * (-p).ln_1p() }
}
