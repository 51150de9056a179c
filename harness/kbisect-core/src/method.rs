//! Which search a run uses: plain halving, or the one under doubt. Both are pulled, and both follow
//! from the plan and the trials alone.

use crate::bayes::{Answer, History, NoisySearch, NoisySearchError, Purpose, RangeReason, Step};
use crate::mark::{remark, untestable};
use crate::run::{Plan, RunEvent, target_symptom};
use crate::search::{self, Direction, Mark, RecordError, Role, Search, SearchError};
use crate::trial::TrialRecord;

/// A search under way.
#[derive(Clone, Debug)]
pub enum Method {
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
        let mut method = match plan.options.doubt {
            Some(mut settings) => {
                if let Some(runs) = events.clone().into_iter().filter_map(budget_runs).last() {
                    settings.budget = runs;
                }
                let history = History::list(plan.series.len()).map_err(NoisySearchError::from)?;
                Self::Doubt(Box::new(NoisySearch::new(history, settings, &untestable)?))
            }
            None => {
                let mut search = Search::new(plan.series.len(), plan.direction, &untestable)?;
                if plan.options.assume_old {
                    search = search.assume_old();
                }
                if plan.options.assume_new {
                    search = search.assume_new();
                }
                Self::Halving(Box::new(search))
            }
        };
        for event in events {
            if let RunEvent::TrialEnded { index, record, mark } = event {
                // Which symptom it is may have become clear after the first trials.
                let mark = if plan.options.doubt.is_some() {
                    remark(record, *mark, target)
                } else {
                    *mark
                };
                method.record(*index, record, mark)?;
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
    pub fn begin(&mut self, index: usize) -> Result<(), MethodError> {
        match self {
            Self::Halving(search) => search.begin(index),
            Self::Doubt(search) => search.begin(index)?,
        }
        Ok(())
    }

    /// Whether the answer of a version could tell the search nothing any more, so that a trial of it
    /// can be ended. Under doubt each answer counts.
    #[must_use]
    pub fn is_moot(&self, index: usize) -> bool {
        match self {
            Self::Halving(search) => search.is_moot(index),
            Self::Doubt(_) => false,
        }
    }

    /// Says what to do next.
    #[must_use]
    pub fn next(&self) -> Next {
        match self {
            Self::Halving(search) => match search.next() {
                search::Step::Test { index, role, estimated_left } => {
                    Next::Try { index, role, estimated_left, reason: None }
                }
                search::Step::Wait => Next::Wait,
                search::Step::Done(outcome) => Next::Done(RunEvent::Ended { outcome }),
            },
            Self::Doubt(search) => match search.next() {
                Step::Try { index, purpose, reason } => Next::Try {
                    index,
                    role: role(purpose),
                    estimated_left: search.runs_left().high as usize,
                    reason: Some(reason),
                },
                Step::Done(ending) => Next::Done(RunEvent::Decided { ending }),
                Step::Wait => Next::Wait,
            },
        }
    }

    /// Ends the search with what is known.
    #[must_use]
    pub fn give_up(&self, why: RangeReason) -> Next {
        Next::Done(match self {
            Self::Halving(_) => RunEvent::Interrupted,
            Self::Doubt(search) => RunEvent::Decided { ending: search.give_up(why) },
        })
    }

    /// Takes the answer of a trial.
    ///
    /// # Errors
    /// [`MethodError`] when it can tell nothing.
    pub fn record(
        &mut self,
        index: usize,
        record: &TrialRecord,
        mark: Option<Mark>,
    ) -> Result<(), MethodError> {
        match (self, mark) {
            (Self::Halving(search), Some(mark)) => search.record(index, mark)?,
            (Self::Halving(search), None) => search.abandon(index),
            (Self::Doubt(search), mark) => search.record(index, Answer::of(record, mark))?,
        }
        Ok(())
    }

    /// Up to `k` versions that may be asked after those under way, or else after the next one: what to
    /// fetch meanwhile.
    #[must_use]
    pub fn likely_next(&self, k: usize) -> Vec<usize> {
        match self {
            Self::Halving(search) => search.likely_next(k),
            Self::Doubt(search) => search.likely_next(k),
        }
    }

    /// The search under doubt, if it is that.
    #[must_use]
    pub fn doubt(&self) -> Option<&NoisySearch> {
        match self {
            Self::Halving(_) => None,
            Self::Doubt(search) => Some(search),
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
