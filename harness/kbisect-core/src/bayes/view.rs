//! What a search knows, for those who watch it.

use super::changes::{SeveralChanges, several};
use super::estimate::{
    Belief, Estimate, RunsLeft, VersionBelief, bad_rate, capacity, credible, entropy, good_rate,
};
use super::likelihood::FailPass;
use super::noisy::NoisySearch;
use super::step::Notice;
use super::stop::{FAILURES, likeliest};
use crate::search::Direction;

/// Bayes factor from which on rates are said to differ.
const DIFFER: f64 = 20.0;
/// Probability of the credible set.
const CREDIBLE: f64 = 0.95;
/// Runs needed over the information limit, on average.
const OVERHEAD: f64 = 1.25;
/// Share of the expected runs that one search in ten stays below, and the one that one exceeds.
const SHORT: f64 = 0.4;
const LONG: f64 = 2.2;

impl NoisySearch {
    /// What is believed now.
    pub fn belief(&self) -> Belief {
        let bad = self.bad_probabilities();
        let versions = self
            .tallies
            .iter()
            .zip(&bad)
            .enumerate()
            .map(|(index, (tally, bad))| VersionBelief {
                tally: *tally,
                culprit: if index == 0 { 0.0 } else { self.culprit(index) },
                bad: *bad,
            })
            .collect();
        Belief {
            versions,
            p: bad_rate(&self.posterior),
            q: self.good_rate(),
            credible: self.credible(),
            good_end_bad: self.posterior.all_bad.mass,
            nothing: self.posterior.noise.mass,
            entropy: entropy(&self.atoms, &self.posterior) / std::f64::consts::LN_2,
            left: self.runs_left(),
        }
    }

    /// Runs that are still needed, as a range. Zero to zero when the search is over.
    pub fn runs_left(&self) -> RunsLeft {
        if matches!(self.next(), super::NoisyStep::Done(_)) {
            return RunsLeft { low: 0, high: 0 };
        }
        let p = bad_rate(&self.posterior).mean.max(self.settings.p_min);
        let q = self.good_rate().mean.min(p / 2.0);
        let search = OVERHEAD * entropy(&self.atoms, &self.posterior) / capacity(p, q);
        let expected = search + self.comparison_left(p);
        RunsLeft {
            low: (SHORT * expected).floor().max(1.0) as u32,
            high: (LONG * expected).ceil() as u32,
        }
    }

    /// Several changes, where they explain the counts of a list better than a single one.
    pub fn several_changes(&self) -> Option<SeveralChanges> {
        if !self.history.is_list() {
            return None;
        }
        let first_is_bad = self.settings.direction == Direction::Fix;
        let counts = self.slot_counts();
        let single = self.posterior_with(false).evidence;
        several(self.atoms.slots(), &counts, &self.likelihood, first_is_bad, single)
    }

    /// Whether rates of their own fit bad versions better than a common one.
    pub(super) fn rates_differ(&self) -> Option<Notice> {
        if self.settings.robust {
            return None;
        }
        let odds = (self.posterior_with(true).evidence - self.posterior.evidence).exp();
        (odds > DIFFER).then_some(Notice::RatesDiffer { odds })
    }

    pub(super) fn credible(&self) -> Vec<usize> {
        credible(&self.atoms, &self.posterior, self.history.len(), CREDIBLE)
    }

    /// Probability that a candidate brought the change.
    pub(super) fn culprit(&self, candidate: usize) -> f64 {
        // A journal of somebody else may name any.
        if !(1..self.history.len()).contains(&candidate) {
            return 0.0;
        }
        let atom = self.atoms.of(candidate);
        self.posterior.atoms[atom].mass / self.atoms.all()[atom].size as f64
    }

    /// Probability that a version is bad.
    pub(super) fn bad_probability(&self, index: usize) -> f64 {
        if let Some(slot) = self.atoms.slot(index) {
            return self.posterior.bad_at_slot(&self.atoms, slot, self.settings.direction);
        }
        let inside = self.history.contained(index);
        let contained = (1..inside.len()).filter(|at| inside[*at]).map(|at| self.culprit(at)).sum();
        self.bad_given(contained)
    }

    fn bad_probabilities(&self) -> Vec<f64> {
        let sums = self.history.sums(|candidate| [self.culprit(candidate)]);
        sums.into_iter().map(|[contained]| self.bad_given(contained)).collect()
    }

    /// Probability that a version is bad that contains the change with this probability.
    fn bad_given(&self, contained: f64) -> f64 {
        let bad = match self.settings.direction {
            Direction::Regression => contained,
            Direction::Fix => {
                self.posterior.atoms.iter().map(|belief| belief.mass).sum::<f64>() - contained
            }
        };
        (bad + self.posterior.all_bad.mass).clamp(0.0, 1.0)
    }

    fn good_rate(&self) -> Estimate {
        // That of the likeliest explanation: others matter little by the time it is looked at.
        let best = self.posterior.all().max_by(|a, b| a.mass.total_cmp(&b.mass));
        let (counts, always) =
            best.map_or((FailPass::default(), 0.0), |belief| (belief.good, belief.always));
        let noise = self.likelihood.noise_after(counts).into_iter();
        let noise = noise.map(|(rate, weight)| (rate, weight * (1.0 - always)));
        good_rate(&[(0.0, always)].into_iter().chain(noise).collect::<Vec<_>>())
    }

    /// Runs that the comparison of the culprit and its neighbour is expected to take.
    fn comparison_left(&self, p: f64) -> f64 {
        let class = likeliest(&self.history, &self.atoms, &self.posterior, &self.frontiers)
            .filter(|class| class.mass > 0.5);
        let odds = |share: f64| (share / (1.0 - share)).ln();
        let (failures, unsure) = class.map_or((0, 0.0), |class| {
            let failures = class.after.iter().map(|at| self.tallies[*at].fails).min();
            (failures.unwrap_or(0), odds(class.mass.min(self.settings.stop)))
        });
        // A pass of the neighbour is as unlikely as that if it is bad.
        let pass = -(-p.min(0.9)).ln_1p();
        f64::from(FAILURES.saturating_sub(failures)) / p
            + (odds(self.settings.stop) - unsure).max(0.0) / pass
            + 1.0
    }
}
