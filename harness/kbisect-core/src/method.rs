//! Which search a run uses: plain halving, or the one under doubt. Both are pulled, and both follow
//! from the plan and the trials alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::bayes::{
    Answer, Ending, History, NoisySearch, NoisySearchError, Purpose, RangeReason, Step,
};
use crate::boots::{Boots, Lacking};
use crate::mark::{remark, untestable};
use crate::run::{Plan, RunEvent, target_symptom};
use crate::search::{self, Direction, Mark, Outcome, RecordError, Role, Search, SearchError};
use crate::trial::TrialRecord;

/// A search under way.
#[derive(Clone, Debug)]
pub struct Method {
    kind: Kind,
    boots: Boots,
    direction: Direction,
    /// One trial a version is all that was asked for.
    quick: bool,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Each version is tried once.
    Halving(Box<Search>),
    /// Versions are tried until a culprit is as good as certain.
    Doubt(Box<NoisySearch>),
}

/// What comes next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Try this version.
    Try {
        /// Position in the series.
        index: usize,
        /// Why.
        role: Role,
        /// Trials that are still needed with this one: if none is skipped, or without luck.
        estimated_left: usize,
        /// Why, in words, where it is not plain.
        reason: Option<String>,
        /// Whether the kernel boots even if its state was saved.
        cold: bool,
    },
    /// Trials under way decide what comes next.
    Wait,
    /// The search is over: the event that says how.
    Done(RunEvent),
}

/// Why a search cannot go on. A journal that was written by this program leads to none.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum MethodError {
    /// Halving cannot be set up.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The search under doubt cannot be set up.
    #[error(transparent)]
    Noisy(#[from] NoisySearchError),
    /// An answer that can tell halving nothing.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// An answer of a version that is not in the series.
    #[error(transparent)]
    History(#[from] crate::bayes::HistoryError),
}

impl Method {
    /// The search of a run, with the trials of its journal so far.
    ///
    /// # Errors
    /// [`MethodError`].
    pub fn replay<'a>(
        plan: &Plan,
        events: impl IntoIterator<Item = &'a RunEvent> + Clone,
    ) -> Result<Self, MethodError> {
        let target = target_symptom(events.clone());
        let untestable = untestable(plan, target);
        let kind = match plan.options.doubt {
            Some(mut settings) => {
                if let Some(runs) = events.clone().into_iter().filter_map(budget_runs).last() {
                    settings.budget = runs;
                }
                let history = History::list(plan.series.len()).map_err(NoisySearchError::from)?;
                Kind::Doubt(Box::new(NoisySearch::new(history, settings, &untestable)?))
            }
            None => {
                let mut search = Search::new(plan.series.len(), plan.direction, &untestable)?;
                if plan.options.assume_old {
                    search = search.assume_old();
                }
                if plan.options.assume_new {
                    search = search.assume_new();
                }
                Kind::Halving(Box::new(search))
            }
        };
        // Which symptom it is may have become clear after the first trials.
        let doubt = plan.options.doubt.is_some();
        let marked =
            |record: &TrialRecord, mark| if doubt { remark(record, mark, target) } else { mark };
        let mut boots = Boots::new(!doubt);
        boots.cut_off(cut_off(events.clone()));
        let trials: Vec<(usize, &TrialRecord, Option<Mark>)> = events
            .into_iter()
            .filter_map(|event| match event {
                RunEvent::TrialEnded { index, record, mark } => {
                    Some((*index, record.as_ref(), marked(record, *mark)))
                }
                _ => None,
            })
            .collect();
        for (index, record, mark) in &trials {
            boots.record(*index, record.is_quick(), Answer::of(record, *mark));
        }
        let mut method = Self { kind, boots, direction: plan.direction, quick: plan.options.quick };
        let mut answered = BTreeSet::new();
        for (index, record, mark) in trials {
            // Whatever the difference is, a boot is what users see.
            let counts = !(method.boots.disagree() && record.is_quick());
            // Halving takes one answer of a version; a later one confirmed it.
            let again = !doubt && mark.is_some() && !answered.insert(index);
            if counts && !again {
                method.record(index, record, mark)?;
            } else if !counts {
                answered.remove(&index);
            }
        }
        Ok(method)
    }

    /// Notes that a trial begins, so that [`Method::next`] can name one for another worker: the one
    /// that tells most beside those under way, whatever they answer. The next answer of that version
    /// ends it.
    ///
    /// # Errors
    /// [`MethodError::History`] for a version that is not in the series.
    pub fn begin(&mut self, index: usize, role: Role) -> Result<(), MethodError> {
        self.boots.begin(index);
        match &mut self.kind {
            // It was answered: what is under way confirms that.
            Kind::Halving(_) if role == Role::Confirm => {}
            Kind::Halving(search) => search.begin(index),
            Kind::Doubt(search) => search.begin(index)?,
        }
        Ok(())
    }

    /// Whether the answer of a version could tell the search nothing any more, so that a trial of it
    /// can be ended. Under doubt each answer counts.
    #[must_use]
    pub fn is_moot(&self, index: usize, role: Role) -> bool {
        match &self.kind {
            Kind::Halving(search) => role != Role::Confirm && search.is_moot(index),
            Kind::Doubt(_) => false,
        }
    }

    /// Takes one more answer into a search under doubt. Where that is not enough the search has to be
    /// replayed, and this says false: answers before it may count no longer.
    #[must_use]
    pub fn take(&mut self, index: usize, record: &TrialRecord, mark: Option<Mark>) -> bool {
        let disagreed = self.boots.disagree();
        self.boots.record(index, record.is_quick(), Answer::of(record, mark));
        if disagreed || self.boots.disagree() || self.doubt().is_none() {
            return false;
        }
        self.record(index, record, mark).is_ok()
    }

    /// Whether kernels behave in another way when they go on from a saved state than when they boot.
    /// Trials of the former kind do not count then, and there are no more of them.
    #[must_use]
    pub fn boots_disagree(&self) -> bool {
        self.boots.disagree()
    }

    /// Says what to do next.
    #[must_use]
    pub fn next(&self) -> Next {
        let next = match &self.kind {
            Kind::Halving(search) => match search.next() {
                search::Step::Test { index, role, estimated_left } => Next::Try {
                    index,
                    role,
                    estimated_left,
                    reason: None,
                    // The last cut is one side of the change, whatever it answers.
                    cold: self.boots.wants_cold(
                        index,
                        !self.quick && role == Role::Bisect && estimated_left == 1,
                    ),
                },
                search::Step::Wait => Next::Wait,
                search::Step::Done(outcome) => Next::Done(RunEvent::Ended { outcome }),
            },
            Kind::Doubt(search) => match search.next() {
                Step::Try { index, purpose, reason } => Next::Try {
                    index,
                    role: role(purpose),
                    estimated_left: search.runs_left().high as usize,
                    reason: Some(reason),
                    // What is repeated in any case may as well show that a boot does the same.
                    cold: self.boots.wants_cold(index, purpose == Purpose::Confirm),
                },
                Step::Done(ending) => Next::Done(RunEvent::Decided { ending }),
                Step::Wait => Next::Wait,
            },
        };
        match next {
            Next::Done(event) if !self.quick => self.confirmed(event),
            next => next,
        }
    }

    /// The end of the search, or the boot that it still lacks: on either side of the change at least
    /// one trial shows with a boot what others showed with a saved state.
    fn confirmed(&self, event: RunEvent) -> Next {
        let around = match &event {
            RunEvent::Ended {
                outcome:
                    Outcome::Found { last_old, first_new }
                    | Outcome::FoundDespiteSkips { last_old, first_new, .. },
            } => Some((*last_old, *first_new)),
            RunEvent::Decided { ending: Ending::Found { last_old, first_new, .. } } => {
                last_old.first().map(|old| (*old, *first_new))
            }
            _ => None,
        };
        let Some((old, new)) = around else { return Next::Done(event) };
        if self.doubt().is_some_and(NoisySearch::is_spent) {
            return Next::Done(event);
        }
        let (good, bad) = match self.direction {
            Direction::Regression => (old, new),
            Direction::Fix => (new, old),
        };
        match self.boots.lacking(bad, good) {
            Lacking::Nothing => Next::Done(event),
            Lacking::UnderWay => Next::Wait,
            Lacking::Boot { index, left } => Next::Try {
                index,
                role: Role::Confirm,
                estimated_left: left,
                reason: Some("a boot has to show what a saved state showed".to_owned()),
                cold: true,
            },
        }
    }

    /// Ends the search with what is known.
    #[must_use]
    pub fn give_up(&self, why: RangeReason) -> Next {
        Next::Done(match &self.kind {
            Kind::Halving(_) => RunEvent::Interrupted,
            Kind::Doubt(search) => RunEvent::Decided { ending: search.give_up(why) },
        })
    }

    /// Takes the answer of a trial; one that can tell nothing is an error.
    fn record(
        &mut self,
        index: usize,
        record: &TrialRecord,
        mark: Option<Mark>,
    ) -> Result<(), MethodError> {
        match (&mut self.kind, mark) {
            (Kind::Halving(search), Some(mark)) => search.record(index, mark)?,
            (Kind::Halving(search), None) => search.abandon(index),
            (Kind::Doubt(search), mark) => search.record(index, Answer::of(record, mark))?,
        }
        Ok(())
    }

    /// Up to `k` versions that may be asked after those under way, or else after the next one: what to
    /// fetch meanwhile.
    #[must_use]
    pub fn likely_next(&self, k: usize) -> Vec<usize> {
        match &self.kind {
            Kind::Halving(search) => search.likely_next(k),
            Kind::Doubt(search) => search.likely_next(k),
        }
    }

    /// The search under doubt, if it is that.
    #[must_use]
    pub fn doubt(&self) -> Option<&NoisySearch> {
        match &self.kind {
            Kind::Halving(_) => None,
            Kind::Doubt(search) => Some(search),
        }
    }
}

/// The runs that a budget allows from an event on.
fn budget_runs(event: &RunEvent) -> Option<Option<u32>> {
    match event {
        RunEvent::BudgetSet { runs, .. } => Some(*runs),
        _ => None,
    }
}

/// Versions whose trial began and did not end.
fn cut_off<'a>(events: impl IntoIterator<Item = &'a RunEvent>) -> BTreeSet<usize> {
    let mut open = BTreeMap::new();
    for event in events {
        match event {
            RunEvent::TrialBegan { number, index, .. } => drop(open.insert(*number, *index)),
            RunEvent::TrialEnded { record, .. } => drop(open.remove(&record.number)),
            RunEvent::TrialCancelled { number, .. } => drop(open.remove(number)),
            _ => {}
        }
    }
    open.into_values().collect()
}

fn role(purpose: Purpose) -> Role {
    match purpose {
        Purpose::BadEnd => Role::BadEnd,
        Purpose::GoodEnd => Role::GoodEnd,
        Purpose::Cut => Role::Bisect,
        Purpose::Confirm | Purpose::Recheck => Role::Confirm,
    }
}

/// The settings of a search under doubt that follow from a plan's other choices.
#[must_use]
pub fn with_ends(
    settings: crate::bayes::Settings,
    direction: Direction,
    assume_old: bool,
    assume_new: bool,
) -> crate::bayes::Settings {
    let (assume_good, assume_bad) = match direction {
        Direction::Regression => (assume_old, assume_new),
        Direction::Fix => (assume_new, assume_old),
    };
    crate::bayes::Settings { direction, assume_good, assume_bad, ..settings }
}
