//! Which search a run uses: halving whose answer is confirmed, or the one under doubt, which also takes
//! over where repeats disagree. Both are pulled, and both follow from the plan and the trials alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::answer::Taken;
use crate::bayes::{
    Answer, Costs, Ending, NoisySearch, NoisySearchError, NoisyStep, Purpose, RangeReason,
    Settings, Why,
};
use crate::boot::Coming;
use crate::boots::Boots;
use crate::confirm::{Confirmation, Examination, REPEATS, Standing, Told};
use crate::mark::{remark, untestable};
use crate::run::{Aim, Plan, RunEvent, Tried, target_symptom};
use crate::search::{
    self, Direction, Mark, Outcome, RecordError, Role, Search, SearchError, WeightsError,
};
use crate::trial::TrialRecord;

/// What trials of commits cost: a build takes as long as several trials.
const BUILDS: Costs = Costs { run: 1.0, prepare: 10.0 };

/// A search under way.
#[derive(Clone, Debug)]
pub struct Method {
    kind: Kind,
    boots: Boots,
    direction: Direction,
    /// One trial a version is all that was asked for.
    quick: bool,
    /// What the trials told, in their order.
    told: Vec<Told>,
    /// The model by which an answer is confirmed, before any trial.
    model: NoisySearch,
    /// The version whose repeats disagreed, so that the search under doubt took over.
    disagreed: Option<usize>,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Each version is tried once.
    Halving(Box<Search>),
    /// Versions are tried until a culprit is as good as certain.
    Doubt(Box<NoisySearch>),
}

impl Kind {
    fn weighed(mut self, weights: &[f64]) -> Result<Self, WeightsError> {
        match &mut self {
            Self::Halving(search) => search.weigh(weights)?,
            Self::Doubt(search) => search.weigh(weights)?,
        }
        Ok(self)
    }
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
        /// Why, where it is not plain.
        reason: Option<Why>,
        /// How it comes up.
        coming: Coming,
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
    /// Weights of a journal that this program did not write.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// An answer that can tell halving nothing.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// An answer of a version that is not in the series.
    #[error(transparent)]
    History(#[from] crate::bayes::HistoryError),
}

impl Method {
    /// The search of a run, with the trials of its journal so far.
    pub fn replay<'a>(
        plan: &Plan,
        events: impl IntoIterator<Item = &'a RunEvent> + Clone,
    ) -> Result<Self, MethodError> {
        let target = target_symptom(events.clone());
        let untestable = untestable(plan, target);
        // Which symptom it is may have become clear after the first trials.
        let asked = plan.options.doubt;
        let marked = |record: &TrialRecord, mark, taken: &Taken| match asked {
            Some(_) => remark(record, (mark, taken), target),
            None => mark,
        };
        let mut boots = Boots::default();
        boots.cut_off(cut_off(events.clone()));
        let trials: Vec<(usize, &TrialRecord, Option<Mark>)> = events
            .clone()
            .into_iter()
            .filter_map(|event| match event {
                RunEvent::TrialEnded { tried: Tried::Version { index }, record, mark, taken } => {
                    Some((*index, record.as_ref(), marked(record, *mark, taken)))
                }
                _ => None,
            })
            .collect();
        let told: Vec<Told> =
            trials.iter().map(|(index, record, mark)| tell(*index, record, *mark)).collect();
        for ((index, record, _), told) in trials.iter().zip(&told) {
            boots.record(*index, record, told.answer);
        }
        let disagreed = if asked.is_none() { disagreement(&told) } else { None };
        let (assume_old, assume_new) = (plan.options.assume_old, plan.options.assume_new);
        let settings = asked.unwrap_or_else(|| {
            with_ends(Settings::default(), plan.direction, assume_old, assume_new)
        });
        let budget = events.clone().into_iter().filter_map(budget_runs).last();
        let settings = Settings { budget: budget.unwrap_or(settings.budget), ..settings };
        let costs = if plan.options.commits.is_some() { BUILDS } else { settings.costs };
        let settings = Settings { costs, ..settings };
        let history = plan.history().map_err(NoisySearchError::from)?;
        let is_list = history.is_list();
        let doubt = NoisySearch::new(history, settings, &untestable)?;
        let model = doubt.clone().maybe_deterministic();
        let kind = if asked.is_some() || disagreed.is_some() {
            Kind::Doubt(Box::new(doubt))
        } else if !is_list {
            // Halving knows lists only; the other search needs as few trials where nothing is flaky.
            Kind::Doubt(Box::new(model.clone()))
        } else {
            let mut search = Search::new(plan.series.len(), plan.direction, &untestable)?;
            if assume_old {
                search = search.assume_old();
            }
            if assume_new {
                search = search.assume_new();
            }
            Kind::Halving(Box::new(search))
        };
        let kind = match weights(events) {
            Some(weights) => kind.weighed(weights)?,
            None => kind,
        };
        let (direction, quick) = (plan.direction, plan.options.quick);
        let mut method = Self { kind, boots, direction, quick, told, model, disagreed };
        let mut answered = BTreeSet::new();
        for (index, record, mark) in trials {
            // Whatever the difference is, a boot is what users see.
            let counts = !(method.boots.disagree() && record.is_quick());
            // Halving takes one answer of a version; later ones confirm it.
            let again = method.doubt().is_none() && mark.is_some() && !answered.insert(index);
            if counts && !again {
                method.record(index, record, mark)?;
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
        let told = tell(index, record, mark);
        self.boots.record(index, record, told.answer);
        self.told.push(told);
        if disagreed || self.boots.disagree() || self.doubt().is_none() {
            return false;
        }
        self.record(index, record, mark).is_ok()
    }

    /// Whether kernels behave in another way when they go on from a saved state than when they boot.
    /// Trials of the former kind do not count then, and there are no more of them.
    pub fn boots_disagree(&self) -> bool {
        self.boots.disagree()
    }

    /// The version whose repeats disagreed, so that a halving went over to the search under doubt.
    pub fn disagreed(&self) -> Option<usize> {
        self.disagreed
    }

    /// How sure the answer of a halving is; nothing of what is no place of a change.
    pub fn confirmation(&self, outcome: &Outcome) -> Option<Confirmation> {
        self.examination().confirmation(outcome)
    }

    /// Says what to do next.
    pub fn next(&self) -> Next {
        match &self.kind {
            Kind::Halving(search) => match search.next() {
                search::SearchStep::Test { index, role, estimated_left } => Next::Try {
                    index,
                    role,
                    estimated_left: estimated_left
                        + if self.quick { 0 } else { 2 * REPEATS as usize },
                    reason: None,
                    coming: self.boots.come_up(index),
                },
                search::SearchStep::Wait => Next::Wait,
                search::SearchStep::Done(outcome) => self.confirm(outcome),
            },
            Kind::Doubt(search) => match search.next() {
                NoisyStep::Try { index, purpose, reason, boot } => Next::Try {
                    index,
                    role: role(purpose),
                    estimated_left: search.runs_left().high as usize,
                    reason: Some(reason),
                    coming: match self.boots.come_up(index) {
                        Coming::Any | Coming::Renew if boot => Coming::AsShipped,
                        coming => coming,
                    },
                },
                NoisyStep::Done(ending) => {
                    let shown = match &ending {
                        _ if search.is_spent() => Vec::new(),
                        Ending::Found { first_new, last_old, .. } => {
                            [std::slice::from_ref(first_new), last_old].concat()
                        }
                        Ending::NotReproduced { .. } => vec![search.bad_end()],
                        Ending::GoodFails { .. } => vec![search.good_end()],
                        Ending::Range { .. }
                        | Ending::NothingChanged { .. }
                        | Ending::EndSkipped { .. } => Vec::new(),
                    };
                    self.boot_of(&shown).unwrap_or(Next::Done(RunEvent::Decided { ending }))
                }
                NoisyStep::Wait => Next::Wait,
            },
        }
    }

    /// The end of a halving, or what its answer still lacks.
    fn confirm(&self, outcome: Outcome) -> Next {
        let (bad_end, good_end) = (self.model.bad_end(), self.model.good_end());
        let shown = match &outcome {
            _ if self.quick => None,
            Outcome::NotReproduced => Some(bad_end),
            Outcome::GoodFails => Some(good_end),
            Outcome::EndSkipped { .. } => None,
            Outcome::Found { .. } | Outcome::FoundDespiteSkips { .. } | Outcome::Range { .. } => {
                match self.examination().standing(&outcome) {
                    Standing::Settled => None,
                    Standing::UnderWay => return Next::Wait,
                    Standing::Lacks { index, coming, left } => {
                        return Next::Try {
                            index,
                            role: Role::Confirm,
                            estimated_left: left,
                            reason: Some(Why::BothSides),
                            coming,
                        };
                    }
                }
            }
        };
        let shown: Vec<usize> = shown.into_iter().collect();
        self.boot_of(&shown).unwrap_or(Next::Done(RunEvent::Ended { outcome }))
    }

    /// A boot of the first of these versions that only saved states told of so far: no answer rests on
    /// those alone.
    fn boot_of(&self, shown: &[usize]) -> Option<Next> {
        let lacking: Vec<usize> =
            shown.iter().copied().filter(|index| self.boots.lacks_boot(*index)).collect();
        let free = lacking.iter().find(|index| self.boots.under_way(**index) == 0);
        Some(match (lacking.is_empty(), free) {
            (true, _) => return None,
            (false, None) => Next::Wait,
            (false, Some(index)) => Next::Try {
                index: *index,
                role: Role::Confirm,
                estimated_left: lacking.len(),
                reason: Some(Why::Boot),
                coming: Coming::AsShipped,
            },
        })
    }

    fn examination(&self) -> Examination<'_> {
        let mut search = self.model.clone();
        for told in &self.told {
            // Replaying them was possible before.
            let _ = search.record_of(told.index, told.answer, told.boot_id.as_ref());
        }
        let (told, boots, direction) = (self.told.as_slice(), &self.boots, self.direction);
        Examination { search, told, boots, direction, stop: Settings::default().stop }
    }

    /// Ends the search with what is known.
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
            (Kind::Doubt(search), mark) => {
                search.record_of(index, Answer::of(record, mark), record.boot_id.as_ref())?;
            }
        }
        Ok(())
    }

    /// Up to `k` versions that may be asked after those under way, or else after the next one: what to
    /// fetch meanwhile.
    pub fn likely_next(&self, k: usize) -> Vec<usize> {
        match &self.kind {
            Kind::Halving(search) => search.likely_next(k),
            Kind::Doubt(search) => search.likely_next(k),
        }
    }

    /// The search under doubt, if it is that.
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

/// How likely each version is the culprit before it is tried, where that was worked out.
fn weights<'a>(events: impl IntoIterator<Item = &'a RunEvent>) -> Option<&'a [f64]> {
    events.into_iter().find_map(|event| match event {
        RunEvent::Weighed { prior } => Some(prior.weights.as_slice()),
        _ => None,
    })
}

/// Versions whose trial began and did not end.
fn cut_off<'a>(events: impl IntoIterator<Item = &'a RunEvent>) -> BTreeSet<usize> {
    let mut open = BTreeMap::new();
    for event in events {
        match event {
            RunEvent::TrialBegan { number, aim: Aim::Version { index, .. }, .. } => {
                open.insert(*number, *index);
            }
            RunEvent::TrialEnded { record, .. } => drop(open.remove(&record.number)),
            RunEvent::TrialCancelled { number, .. } => drop(open.remove(number)),
            _ => {}
        }
    }
    open.into_values().collect()
}

fn tell(index: usize, record: &TrialRecord, mark: Option<Mark>) -> Told {
    let answer = Answer::of(record, mark);
    Told {
        index,
        answer,
        started: record.boot.is_some(),
        quick: record.is_quick(),
        boot_id: record.boot_id.clone(),
    }
}

/// The first version that both failed and passed.
fn disagreement(told: &[Told]) -> Option<usize> {
    let mut seen = BTreeMap::<usize, Answer>::new();
    told.iter().find_map(|told| {
        let answers = matches!(told.answer, Answer::Pass | Answer::Fail);
        let before = answers.then(|| *seen.entry(told.index).or_insert(told.answer))?;
        (before != told.answer).then_some(told.index)
    })
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
pub fn with_ends(
    settings: Settings,
    direction: Direction,
    assume_old: bool,
    assume_new: bool,
) -> Settings {
    let (assume_good, assume_bad) = match direction {
        Direction::Regression => (assume_old, assume_new),
        Direction::Fix => (assume_new, assume_old),
    };
    Settings { direction, assume_good, assume_bad, ..settings }
}
