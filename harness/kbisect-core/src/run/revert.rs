//! Whether a commit is the cause: the bad end is tried with its change taken back, or with the fix applied.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OutcomeWord, Plan, PlannedCommit, RunEvent, Tried, end_of_search};
use crate::bayes::{Answer, Ending, Tally};
use crate::boots::IN_VAIN;
use crate::kernel::Kernel;
use crate::search::{Direction, Mark, Outcome};
use crate::trial::{TrialRecord, Untestable};

/// Trials of either kernel, at the least, unless one trial a version is enough.
const REPEATS: u32 = 3;
/// Most trials of either kernel.
pub(super) const MOST_REPEATS: u32 = 20;
/// Chance that the failure is taken for gone though it is not.
const MISTAKE: f64 = 0.05;

/// The test of an answer: the bad end as it is beside the bad end changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevertTest {
    /// The culprit, or the fix: its position in the series.
    pub culprit: usize,
    /// The bad end.
    pub bad_end: usize,
    direction: Direction,
    /// One trial a version is all that was asked for.
    quick: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevertStep {
    /// Try the bad end, changed or as it is.
    Try {
        /// Whether it is changed.
        changed: bool,
        /// Trials still to come with this one.
        left: usize,
    },
    /// Trials under way decide.
    Wait,
    /// Nothing more would tell.
    Done,
}

/// A trial of the test.
struct RevertTrial<'a> {
    /// Whether the kernel was changed.
    changed: bool,
    record: &'a TrialRecord,
    mark: Option<Mark>,
}

/// What a test came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RevertOutcome {
    /// The failure is gone with the change, and there without.
    Proven,
    /// The same failure shows all the same: something else causes it, too.
    StillFails,
    /// The change does not fit to the bad end.
    Conflicts,
    /// What comes of it does not build.
    NoBuild,
    /// It gives no answer.
    NoAnswer,
    /// It did not come to its end.
    Unfinished,
}

/// What was tried of an answer, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevertResult {
    /// How it ended.
    pub outcome: RevertOutcome,
    /// The culprit, whose change was taken back, or the fix, which was applied.
    pub commit: PlannedCommit,
    /// The bad end.
    pub onto: Kernel,
    /// Trials of the bad end as it is.
    pub original: Tally,
    /// Trials of the bad end changed.
    pub changed: Tally,
    /// Trials of the commit before the change.
    pub before: Tally,
    /// Trials of the commit with the change.
    pub after: Tally,
    /// Why there is no answer, where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is to be known of the kernel that was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Files in which the change does not fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

/// Why another run goes on with what one found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Because {
    /// The bad end fails without the culprit as well: it looks for the next one.
    StillFails,
    /// A release is known: it looks for the commit.
    Drill,
    /// The newest kernel passes: it looks for the one that fixed it.
    Fix,
}

/// What came of a run that went on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Further {
    /// Why it was made.
    pub because: Because,
    /// Its folder, beside that of the run before.
    pub run_id: String,
    /// How it ended.
    pub outcome: OutcomeWord,
    /// The commit that it names: the first bad one, or the first good one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<PlannedCommit>,
    /// The kernels on both sides of the change that it names, the older one first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sides: Option<[Kernel; 2]>,
    /// Its test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert: Option<RevertOutcome>,
    /// Why it names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl RevertTest {
    /// The test that the answer of a search asks for; none where no single commit was found, or where the
    /// commit is the bad end itself, so that its parent is what the test would make.
    pub fn of<'a>(
        plan: &Plan,
        events: impl IntoIterator<Item = &'a RunEvent, IntoIter: DoubleEndedIterator> + Clone,
    ) -> Option<Self> {
        let commits = plan.options.commits.as_ref()?;
        // Nobody built what it would try.
        if commits.choices.no_revert || commits.choices.template.is_some() {
            return None;
        }
        let culprit = match end_of_search(events.clone())? {
            RunEvent::Ended {
                outcome:
                    Outcome::Found { first_new, .. } | Outcome::FoundDespiteSkips { first_new, .. },
            }
            | RunEvent::Decided { ending: Ending::Found { first_new, .. } } => *first_new,
            _ => return None,
        };
        let last = plan.series.len().checked_sub(1)?;
        let (bad_end, is_trivial) = match plan.direction {
            Direction::Regression => (last, culprit == last),
            // The fix on top of what it was made for is the fix.
            Direction::Fix => {
                let parents = &plan.series.get(culprit)?.commit.as_ref()?.parents;
                (0, parents.as_slice() == [0])
            }
        };
        if is_trivial {
            return None;
        }
        Some(Self { culprit, bad_end, direction: plan.direction, quick: plan.options.quick })
    }

    /// Trials of either kernel that are wanted: by how often the culprit fails, and the bad end, whichever
    /// is seldomer.
    fn wanted<'a>(&self, events: impl IntoIterator<Item = &'a RunEvent> + Clone) -> u32 {
        if self.quick {
            return 1;
        }
        let sides = [of_version(events.clone(), self.shown()), self.tally(events, false)];
        let of_side = |side: &Tally| repeats(side.fails, side.passes);
        sides.iter().map(of_side).max().unwrap_or(REPEATS).max(REPEATS)
    }

    /// The commit on the bad side of the change.
    fn shown(&self) -> usize {
        match self.direction {
            Direction::Regression => self.culprit,
            Direction::Fix => self.bad_end,
        }
    }

    /// Says what to try next; `under_way` tells of each trial under way whether its kernel is changed.
    pub fn next<'a>(
        &self,
        events: impl IntoIterator<Item = &'a RunEvent> + Clone,
        under_way: &[bool],
    ) -> RevertStep {
        let (original, changed) =
            (self.tally(events.clone(), false), self.tally(events.clone(), true));
        let running = |changed| under_way.iter().filter(|of| **of == changed).count() as u32;
        let repeats = self.wanted(events.clone()).min(MOST_REPEATS);
        let lacks = |tally: &Tally, is_changed| {
            let vain = tally.others + tally.skips >= IN_VAIN;
            let expected = tally.fails + tally.passes + running(is_changed);
            if vain { 0 } else { repeats.saturating_sub(expected) }
        };
        // One failure tells all, and what cannot be made is not made a second time.
        let over = changed.fails > 0 || self.refused(events).is_some();
        let missing = match over {
            true => [0, 0],
            false => [lacks(&changed, true), lacks(&original, false)],
        };
        let left = (missing[0] + missing[1]) as usize;
        match missing {
            [0, 0] if under_way.is_empty() => RevertStep::Done,
            [0, 0] => RevertStep::Wait,
            // By turns: what changes on the host meanwhile meets both.
            [of_changed, of_original] => {
                RevertStep::Try { changed: of_changed >= of_original.max(1), left }
            }
        }
    }

    /// What the test came to so far; nothing of an answer that names no commit of the plan.
    pub fn result<'a>(
        &self,
        plan: &Plan,
        events: impl IntoIterator<Item = &'a RunEvent> + Clone,
    ) -> Option<RevertResult> {
        let changed_ones = trials(events.clone()).filter(|trial| trial.changed);
        let last = changed_ones.map(|trial| trial.record).last();
        let (original, changed) =
            (self.tally(events.clone(), false), self.tally(events.clone(), true));
        let refused = self.refused(events.clone());
        let mut files = Vec::new();
        let outcome = match &refused {
            Some(Untestable::Conflicts { files: of }) => {
                files.clone_from(of);
                RevertOutcome::Conflicts
            }
            Some(_) => RevertOutcome::NoBuild,
            None if changed.fails > 0 => RevertOutcome::StillFails,
            None if self.next(events.clone(), &[]) != RevertStep::Done => RevertOutcome::Unfinished,
            None if changed.passes >= self.wanted(events.clone()) && original.fails > 0 => {
                RevertOutcome::Proven
            }
            // Also where it fails so seldom that more trials were needed than are made.
            None => RevertOutcome::NoAnswer,
        };
        let reason = match outcome {
            RevertOutcome::NoBuild | RevertOutcome::NoAnswer => {
                last.and_then(|record| record.reason.clone())
            }
            _ => None,
        };
        let commit = plan.series.get(self.culprit)?.commit.clone()?;
        let parents = commit.parents.iter().map(|at| of_version(events.clone(), *at));
        let before = parents.reduce(|one, other| Tally {
            fails: one.fails + other.fails,
            passes: one.passes + other.passes,
            ..one
        });
        Some(RevertResult {
            outcome,
            commit,
            onto: plan.series.get(self.bad_end)?.kernel.clone(),
            original,
            changed,
            before: before.unwrap_or_default(),
            after: of_version(events, self.culprit),
            reason,
            notes: last.map(|record| record.notes.clone()).unwrap_or_default(),
            files,
        })
    }

    /// Why the changed kernel cannot be made.
    fn refused<'a>(&self, events: impl IntoIterator<Item = &'a RunEvent>) -> Option<Untestable> {
        trials(events).filter(|trial| trial.changed).find_map(|trial| {
            let why = trial.record.untestable.as_ref()?;
            let made = !matches!(why, Untestable::Conflicts { .. } | Untestable::NoBuild { .. });
            (!made).then(|| why.clone())
        })
    }

    /// Trials of the bad end, those of the search included where it is as it is.
    fn tally<'a>(
        &self,
        events: impl IntoIterator<Item = &'a RunEvent> + Clone,
        changed: bool,
    ) -> Tally {
        let mut tally = match changed {
            true => Tally::default(),
            false => of_version(events.clone(), self.bad_end),
        };
        for trial in trials(events).filter(|trial| trial.changed == changed) {
            tally.add(Answer::of(trial.record, trial.mark));
        }
        tally
    }
}

/// Trials of a version of the series that the search made.
pub(super) fn of_version<'a>(events: impl IntoIterator<Item = &'a RunEvent>, at: usize) -> Tally {
    let mut tally = Tally::default();
    for event in events {
        if let RunEvent::TrialEnded { tried: Tried::Version { index }, record, mark, .. } = event
            && *index == at
        {
            tally.add(Answer::of(record, *mark));
        }
    }
    tally
}

/// The trials of a test, in their order.
fn trials<'a>(
    events: impl IntoIterator<Item = &'a RunEvent>,
) -> impl Iterator<Item = RevertTrial<'a>> {
    events.into_iter().filter_map(|event| match event {
        RunEvent::TrialEnded { tried: Tried::Revert { changed }, record, mark, .. } => {
            Some(RevertTrial { changed: *changed, record, mark: *mark })
        }
        _ => None,
    })
}

/// How often a failure with this record must be missing before that is believed.
pub(super) fn repeats(fails: u32, passes: u32) -> u32 {
    if fails == 0 || passes == 0 {
        return 1;
    }
    let rate = f64::from(fails) / f64::from(fails + passes);
    (MISTAKE.ln() / (1.0 - rate).ln()).ceil() as u32
}
