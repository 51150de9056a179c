//! The search itself: counts in, the next version to try out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::atoms::Atoms;
use super::gain::near;
use super::history::{History, HistoryError};
use super::likelihood::{FailPass, Likelihood};
use super::posterior::{Assumptions, Posterior};
use super::settings::{Settings, SettingsError};
use super::step::{Ending, NoisyStep, Notice, RangeReason};
use super::stop::{FAILURES, Seen, frontiers, patience};
use super::tally::{Answer, Tally};
use crate::boots::{BootRuns, IN_VAIN};
use crate::search::Direction;
use crate::trial::BootId;
use crate::weights::{Weights, WeightsError};

/// Search for a change under doubt: failures that show in some runs only, answers that are missing,
/// ends that are not what they should be.
///
/// It is pulled: [`NoisySearch::next`] says what to try, [`NoisySearch::record`] takes the answer.
/// What is kept are counts by version; the same records lead to the same belief in any order.
#[derive(Clone, Debug)]
pub struct NoisySearch {
    pub(super) history: Arc<History>,
    pub(super) settings: Settings,
    pub(super) tallies: Vec<Tally>,
    /// The boots behind them.
    boots: BootRuns,
    /// Runs after which the bad end is given up, by how often it failed.
    pub(super) patience: [u32; FAILURES as usize],
    /// Trials under way, in the order in which they began.
    pub(super) pending: Vec<usize>,
    /// Known beforehand to be untestable.
    untestable: BTreeSet<usize>,
    /// All versions that cannot be tried.
    pub(super) barred: BTreeSet<usize>,
    /// Those of them that were tried in vain.
    pub(super) vain: BTreeSet<usize>,
    /// Graph: what lies around those.
    pub(super) near_vain: BTreeMap<usize, usize>,
    /// The testable versions next after each untestable one.
    pub(super) frontiers: BTreeMap<usize, Vec<usize>>,
    /// Versions that are at hand.
    pub(super) prepared: BTreeSet<usize>,
    pub(super) atoms: Atoms,
    pub(super) likelihood: Likelihood,
    pub(super) posterior: Posterior,
    /// Versions that failed though they were thought good, with how often that was, and whether
    /// they have to be run again.
    pub(super) surprises: BTreeMap<usize, (u32, bool)>,
    notices: Vec<Notice>,
    /// How likely each version is the culprit before any trial, up to a factor; all alike without.
    pub(super) weights: Option<Arc<Weights>>,
}

/// Why a search cannot be set up.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NoisySearchError {
    /// The history.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

/// Probability of being good from which on a failure is a surprise.
const SURE: f64 = 0.999;
/// How often a version that surprises is run again at once.
const RECHECKS: u32 = 3;
/// Runs that the tables reach beyond those made: for pending trials and for looking ahead.
const AHEAD: u32 = 256;

impl NoisySearch {
    /// Sets up a search. `untestable` are versions known beforehand to give no answer.
    ///
    /// # Errors
    /// [`NoisySearchError`] for settings out of bounds or positions outside the history.
    pub fn new(
        history: History,
        settings: Settings,
        untestable: &[usize],
    ) -> Result<Self, NoisySearchError> {
        settings.check()?;
        let len = history.len();
        if let Some(&index) = untestable.iter().find(|index| **index >= len) {
            return Err(HistoryError::OutOfRange { index, len }.into());
        }
        let mut atoms = Atoms::new(&history);
        atoms.split(&history, 0);
        atoms.split(&history, len - 1);
        let likelihood = Likelihood::new();
        let nothing = vec![FailPass::default(); atoms.slots().len()];
        let posterior = Posterior::new(&atoms, &nothing, &likelihood, assumptions(&settings));
        let mut search = Self {
            tallies: vec![Tally::default(); len],
            boots: BootRuns::default(),
            patience: patience(settings.p_min),
            history: Arc::new(history),
            settings,
            pending: Vec::new(),
            untestable: untestable.iter().copied().collect(),
            barred: BTreeSet::new(),
            vain: BTreeSet::new(),
            near_vain: BTreeMap::new(),
            frontiers: BTreeMap::new(),
            prepared: BTreeSet::new(),
            atoms,
            likelihood,
            posterior,
            surprises: BTreeMap::new(),
            notices: Vec::new(),
            weights: None,
        };
        search.refresh();
        Ok(search)
    }

    /// Gives half of the prior to bad versions that fail always and good ones that never do. For searches that
    /// nobody has called flaky: few repeats that agree are enough then, and one that does not rules it out.
    #[must_use]
    pub fn maybe_deterministic(mut self) -> Self {
        self.likelihood.maybe_deterministic();
        self.refresh();
        self
    }

    /// Takes some versions for more likely to have brought the change than others. It decides what is tried next
    /// and nothing else: what is sure, and how sure, follows from the trials alone.
    ///
    /// # Errors
    /// [`WeightsError`], unless there is one above 0 for each version.
    pub fn weigh(&mut self, weights: &[f64]) -> Result<(), WeightsError> {
        self.weights = Some(Arc::new(Weights::of(weights, self.history.len())?));
        Ok(())
    }

    /// Notes that a trial begins, so that [`NoisySearch::next`] can name one for another worker. The
    /// next answer of that version ends it.
    pub fn begin(&mut self, index: usize) -> Result<(), HistoryError> {
        self.check(index)?;
        self.pending.push(index);
        self.refresh();
        Ok(())
    }

    /// Notes that a trial that began will give no answer.
    pub fn abandon(&mut self, index: usize) {
        self.end(index);
        self.refresh();
    }

    /// Takes the answer of a trial that had a boot of its own, whether it was asked for or not.
    pub fn record(&mut self, index: usize, answer: Answer) -> Result<(), HistoryError> {
        self.record_of(index, answer, None)
    }

    /// Takes the answer of a trial that may have its boot in common with others, whether it was asked for
    /// or not: [`RUNS_A_BOOT`](super::RUNS_A_BOOT) count for one boot.
    pub fn record_of(
        &mut self,
        index: usize,
        answer: Answer,
        boot: Option<&BootId>,
    ) -> Result<(), HistoryError> {
        self.check(index)?;
        self.end(index);
        if !self.boots.add(index, answer, boot) {
            self.tallies[index].again += 1;
            self.refresh();
            return Ok(());
        }
        if answer == Answer::Fail {
            let good = 1.0 - self.bad_probability(index);
            if good > SURE {
                let surprise = self.surprises.entry(index).or_default();
                surprise.0 += 1;
                surprise.1 = surprise.0 <= RECHECKS;
                self.notices.push(Notice::FailedThoughGood { index, good });
            } else if let Some(surprise) = self.surprises.get_mut(&index) {
                surprise.0 += 1;
                surprise.1 = false;
            }
        } else if answer != Answer::Infra
            && let Some(surprise) = self.surprises.get_mut(&index)
        {
            surprise.1 = false;
        }
        let before = self.is_in_vain(index);
        self.tallies[index].add(answer);
        if !before && self.is_in_vain(index) {
            self.notices.push(Notice::Untestable { index, tally: self.tallies[index] });
        }
        self.refresh();
        Ok(())
    }

    /// Takes counts that were made before.
    pub fn record_all(&mut self, index: usize, tally: Tally) -> Result<(), HistoryError> {
        self.check(index)?;
        let own = &mut self.tallies[index];
        own.fails += tally.fails;
        own.passes += tally.passes;
        own.others += tally.others;
        own.skips += tally.skips;
        own.infra += tally.infra;
        own.again += tally.again;
        self.boots.add_alone(index, tally.fails, tally.passes);
        self.refresh();
        Ok(())
    }

    /// Notes that a version is at hand and costs no preparation any more.
    pub fn set_prepared(&mut self, index: usize) -> Result<(), HistoryError> {
        self.check(index)?;
        self.prepared.insert(index);
        Ok(())
    }

    /// Ends the search with what is known by now.
    pub fn give_up(&self, why: RangeReason) -> Ending {
        let tally = self.tallies[self.bad_end()];
        if tally.fails == 0 && !self.settings.assume_bad {
            return Ending::NotReproduced { tally };
        }
        let why = self.several_changes().map_or(why, RangeReason::SeveralChanges);
        let possible = match &why {
            RangeReason::SeveralChanges(several) => {
                several.changes.iter().flat_map(|(a, b)| a + 1..=*b).collect()
            }
            _ => self.credible(),
        };
        let probability = self.probability(&possible);
        Ending::Range { why, possible, probability, skipped: self.skipped() }
    }

    /// Up to `k` versions that may be asked after those under way, or else after the one that
    /// [`NoisySearch::next`] names: what to fetch meanwhile.
    pub fn likely_next(&self, k: usize) -> Vec<usize> {
        let mut found = Vec::new();
        let mut queue = std::collections::VecDeque::from([self.clone()]);
        // Repeats lead to no new version, so there is no end of them.
        let mut tries = 4 * k;
        while let Some(search) = queue.pop_front() {
            let under_way = search.pending.first().copied();
            let named = || match search.next() {
                NoisyStep::Try { index, .. } => Some(index),
                NoisyStep::Wait | NoisyStep::Done(_) => None,
            };
            let Some(index) = under_way.or_else(named) else { continue };
            for answer in [Answer::Pass, Answer::Fail] {
                if found.len() >= k || tries == 0 {
                    return found;
                }
                tries -= 1;
                let mut after = search.clone();
                if after.record(index, answer).is_err() {
                    continue;
                }
                if let NoisyStep::Try { index: next, .. } = after.next() {
                    if next != index && !found.contains(&next) && !self.pending.contains(&next) {
                        found.push(next);
                    }
                    queue.push_back(after);
                }
            }
        }
        found
    }

    /// Probability that the change came with one of these versions.
    pub(crate) fn probability(&self, possible: &[usize]) -> f64 {
        possible.iter().map(|candidate| self.culprit(*candidate)).sum()
    }

    /// The counts of a version.
    pub fn tally(&self, index: usize) -> Tally {
        self.tallies.get(index).copied().unwrap_or_default()
    }

    /// What the user should know, in the order in which it came up.
    pub fn notices(&self) -> Vec<Notice> {
        let mut notices = self.notices.clone();
        notices.extend(self.rates_differ());
        notices.extend(self.several_changes().map(Notice::SeveralChanges));
        notices
    }

    /// Versions without an answer so far, ascending: those known beforehand and those found out.
    pub fn skipped(&self) -> Vec<usize> {
        self.barred.iter().copied().collect()
    }

    /// Runs made, those that failed for reasons of the host left out.
    pub fn runs(&self) -> u32 {
        self.tallies.iter().map(Tally::runs).sum()
    }

    /// What the comparison of a culprit and its neighbours looks at. An end that is taken for granted
    /// needs no boots.
    pub(super) fn seen(&self, version: usize) -> Seen {
        let [failed, passed] = self.boots.of(version);
        let mut boots = FailPass::new(failed, passed);
        if self.settings.assume_bad && version == self.bad_end() {
            boots = boots.plus(FailPass::new(FAILURES, 0));
        }
        let tally = self.tallies[version];
        let in_vain = tally.others + tally.skips >= IN_VAIN;
        let under_way = self.under_way(version);
        Seen { counts: self.counts(version), boots, in_vain, under_way }
    }

    fn check(&self, index: usize) -> Result<(), HistoryError> {
        let len = self.history.len();
        if index < len { Ok(()) } else { Err(HistoryError::OutOfRange { index, len }) }
    }

    fn end(&mut self, index: usize) {
        if let Some(at) = self.pending.iter().position(|pending| *pending == index) {
            self.pending.remove(at);
        }
    }

    /// Works out everything that follows from the counts.
    fn refresh(&mut self) {
        let tried = |tally: &Tally| tally.counted() > 0;
        let cuts = (0..self.tallies.len()).filter(|at| tried(&self.tallies[*at]));
        let cuts: Vec<usize> = cuts.chain(self.pending.iter().copied()).collect();
        for version in cuts {
            self.atoms.split(&self.history, version);
        }
        let vain: BTreeSet<usize> =
            (0..self.tallies.len()).filter(|at| self.is_in_vain(*at)).collect();
        let barred: BTreeSet<usize> = self.untestable.union(&vain).copied().collect();
        if vain != self.vain && !self.history.is_list() {
            self.near_vain = near(&self.history, &vain);
        }
        if barred != self.barred {
            self.frontiers = frontiers(&self.history, &barred);
        }
        (self.vain, self.barred) = (vain, barred);
        let used = (0..self.tallies.len()).filter(|at| self.tallies[*at].runs() > 0);
        self.prepared.extend(used.chain(self.pending.iter().copied()));
        let total: u32 = self.tallies.iter().map(Tally::counted).sum();
        self.likelihood.grow(total + AHEAD + self.pending.len() as u32);
        self.likelihood.set_noise(self.tallies[self.good_end()].fails > 0);
        self.posterior = self.posterior_with(self.settings.robust);
    }

    pub(super) fn posterior_with(&self, robust: bool) -> Posterior {
        let assumed = Assumptions { robust, ..assumptions(&self.settings) };
        Posterior::new(&self.atoms, &self.slot_counts(), &self.likelihood, assumed)
    }

    pub(super) fn slot_counts(&self) -> Vec<FailPass> {
        self.atoms.slots().iter().map(|version| self.counts(*version)).collect()
    }

    /// What counts of a version. A bad end that is taken for granted counts as one that failed as
    /// often as an end has to.
    pub(super) fn counts(&self, version: usize) -> FailPass {
        let tally = self.tallies[version];
        let own = FailPass::new(tally.fails, tally.passes);
        if self.settings.assume_bad && version == self.bad_end() {
            own.plus(FailPass::new(FAILURES, 0))
        } else {
            own
        }
    }

    /// Whether a version was tried in vain. The bad end was not if it ever failed as wanted: its other
    /// failures may be more frequent, where the rarer of its symptoms was chosen.
    fn is_in_vain(&self, index: usize) -> bool {
        let shows = index == self.bad_end() && self.tallies[index].fails > 0;
        self.tallies[index].is_untestable() && !shows
    }

    pub(crate) fn bad_end(&self) -> usize {
        match self.settings.direction {
            Direction::Regression => self.history.len() - 1,
            Direction::Fix => 0,
        }
    }

    pub(crate) fn good_end(&self) -> usize {
        self.history.len() - 1 - self.bad_end()
    }
}

pub(super) fn assumptions(settings: &Settings) -> Assumptions {
    Assumptions {
        direction: settings.direction,
        robust: settings.robust,
        assume_good: settings.assume_good,
        assume_bad: settings.assume_bad,
    }
}
