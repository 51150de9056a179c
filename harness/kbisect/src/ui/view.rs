//! What is known about a run while it goes on: a function of its events.

use std::collections::BTreeMap;
use std::time::Duration;

use kbisect_core::gate::GatePlan;
use kbisect_core::inject::Fault;
use kbisect_core::run::{Aim, KernelPlan, Plan, RunEvent, Tried};
use kbisect_core::search::{Direction, Mark};
use kbisect_core::trial::{Phase, VerdictKind};

use super::beliefs::Beliefs;
use super::ruler::Cell;

/// The state of a run as far as the display needs it.
#[derive(Debug, Default)]
pub struct View {
    plan: Option<Box<Plan>>,
    /// What is tried, where that is no search.
    matter: Option<Matter>,
    /// How many trials ended how.
    verdicts: BTreeMap<VerdictKind, usize>,
    marks: Vec<Option<Mark>>,
    /// The trials that run, in the order in which they began.
    running: Vec<Current>,
    /// Seconds of the trials so far; those that failed for our own reasons cost time as well.
    walls: Vec<f64>,
    beliefs: Beliefs,
}

/// What is tried in a run that is no search.
#[derive(Debug)]
pub enum Matter {
    /// Kernels with scenarios.
    Check(Box<GatePlan>),
    /// One kernel with variations of a scenario.
    Selftest(Box<KernelPlan>),
    /// One kernel with less and less of a scenario.
    Minimize(Box<KernelPlan>),
    /// One kernel with one scenario.
    Run,
}

/// A trial that runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Current {
    /// Who makes it, from 1, where there are several.
    pub worker: Option<u32>,
    pub number: u32,
    /// Its position in the series, where there is one.
    pub index: Option<usize>,
    /// What is tried, as people call it; empty where there is only one thing to try.
    pub label: String,
    /// Trials still to come with this one.
    pub estimated_left: usize,
    pub phase: Option<Phase>,
    /// What its current step does.
    pub doing: String,
    /// When it began, since the display began.
    pub began: Duration,
}

impl Current {
    fn new(number: u32, began: Duration) -> Self {
        Self {
            worker: None,
            number,
            index: None,
            label: String::new(),
            estimated_left: 1,
            phase: None,
            doing: String::new(),
            began,
        }
    }
}

impl View {
    /// Takes an event; `now` is the time since the display began.
    pub fn take(&mut self, event: &RunEvent, now: Duration) {
        self.beliefs.take(event);
        match event {
            RunEvent::Began { plan } => {
                self.marks = vec![None; plan.series.len()];
                self.plan = Some(plan.clone());
            }
            RunEvent::CheckBegan { plan, .. } => self.matter = Some(Matter::Check(plan.clone())),
            RunEvent::SelftestBegan { plan, .. } => {
                self.matter = Some(Matter::Selftest(plan.clone()));
            }
            RunEvent::MinimizeBegan { plan, .. } => {
                self.matter = Some(Matter::Minimize(plan.clone()));
            }
            RunEvent::RunBegan { .. } => self.matter = Some(Matter::Run),
            RunEvent::TrialBegan { number, aim, worker } => {
                self.end(*number);
                let (index, label) = match aim {
                    Aim::Version { index, .. } => {
                        (Some(*index), self.label(*index).unwrap_or_default().to_owned())
                    }
                    Aim::Cell { without, .. }
                        if matches!(self.matter, Some(Matter::Minimize(_))) =>
                    {
                        (None, format!("without {} ingredients", without.len()))
                    }
                    Aim::Revert { kernel, .. } | Aim::Beside { kernel, .. } => {
                        (None, kernel.label().to_owned())
                    }
                    Aim::Cell { scenario, kernel, injected, .. } => {
                        (None, self.cell(scenario, kernel.label(), injected.as_ref()))
                    }
                };
                self.running.push(Current {
                    worker: *worker,
                    index,
                    label,
                    estimated_left: aim.estimated_left(),
                    ..Current::new(*number, now)
                });
            }
            RunEvent::PhaseBegan { number, phase } => {
                if self.trial(*number).is_none() {
                    // A single trial has no series, and begins with its first phase.
                    self.running.push(Current::new(*number, now));
                }
                self.say(*number, "");
                if let Some(trial) = self.running.iter_mut().find(|at| at.number == *number) {
                    trial.phase = Some(*phase);
                }
            }
            RunEvent::TrialCancelled { number, .. } => self.end(*number),
            RunEvent::TrialEnded { tried, record, mark, .. } => {
                // One that failed once is bad, also if it passes when it is tried again.
                if let (Tried::Version { index }, Some(mark)) = (tried, mark)
                    && let Some(slot) = self.marks.get_mut(*index)
                    && *slot != Some(Mark::Bad)
                {
                    *slot = Some(*mark);
                }
                if let Tried::Scenario { .. } = tried {
                    *self.verdicts.entry(record.verdict).or_default() += 1;
                }
                self.walls.push(record.wall_s);
                self.end(record.number);
            }
            RunEvent::ReferenceTried { record, .. } => self.end(record.number),
            RunEvent::Resumed
            | RunEvent::Interrupted
            | RunEvent::ScenarioError { .. }
            | RunEvent::Failed { .. }
            | RunEvent::Ended { .. }
            | RunEvent::Decided { .. }
            | RunEvent::WentOn { .. }
            | RunEvent::Further { .. }
            | RunEvent::Completed => self.running.clear(),
            RunEvent::Checked { number, .. } => self.say(*number, ""),
            RunEvent::EnvironmentChanged { .. }
            | RunEvent::BudgetSet { .. }
            | RunEvent::SymptomChosen { .. }
            | RunEvent::Weighed { .. }
            | RunEvent::Decoded { .. }
            | RunEvent::Changes { .. }
            | RunEvent::Forgone { .. }
            | RunEvent::Note { .. } => {}
        }
    }

    /// The trials that run, in the order in which they began.
    pub fn running(&self) -> &[Current] {
        &self.running
    }

    /// The trial with this number, while it runs.
    pub fn trial(&self, number: u32) -> Option<&Current> {
        self.running.iter().find(|trial| trial.number == number)
    }

    /// Trials of the whole run, as far as the newest one tells.
    pub fn in_all(&self) -> usize {
        let left = self.running.last().map_or(0, |trial| trial.estimated_left.saturating_sub(1));
        self.walls.len() + self.running.len() + left
    }

    /// Notes what the current step of a trial does.
    pub fn say(&mut self, number: u32, doing: &str) {
        if let Some(trial) = self.running.iter_mut().find(|trial| trial.number == number) {
            doing.clone_into(&mut trial.doing);
        }
    }

    fn end(&mut self, number: u32) {
        self.running.retain(|trial| trial.number != number);
    }

    /// The plan, once the run began.
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_deref()
    }

    /// What is tried, where that is no search, and how many trials ended how, once it began.
    #[must_use]
    pub fn matter(&self) -> Option<(&Matter, &BTreeMap<VerdictKind, usize>)> {
        Some((self.matter.as_ref()?, &self.verdicts))
    }

    /// Whether there is only one thing to try.
    #[must_use]
    pub fn is_single(&self) -> bool {
        matches!(self.matter, Some(Matter::Run))
    }

    /// What people call a trial.
    fn cell(&self, scenario: &str, kernel: &str, injected: Option<&Fault>) -> String {
        match (&self.matter, injected) {
            (Some(Matter::Run), _) => String::new(),
            (Some(Matter::Selftest(_)), None) => scenario.to_owned(),
            (Some(Matter::Selftest(_)), Some(fault)) => format!("{scenario}, {fault}"),
            _ => format!("{kernel} with {scenario}"),
        }
    }

    /// What a search under doubt believes.
    pub fn beliefs(&self) -> &Beliefs {
        &self.beliefs
    }

    /// Seconds that a trial takes on average; nothing before the first one ended.
    pub fn mean(&self) -> Option<Duration> {
        let mean = self.walls.iter().sum::<f64>() / self.walls.len() as f64;
        Duration::try_from_secs_f64(mean).ok()
    }

    /// What people call a kernel of the series.
    pub fn label(&self, index: usize) -> Option<&str> {
        Some(self.plan()?.series.get(index)?.kernel.label())
    }

    /// Time left, from the mean of the trials so far; nothing before the first one ended.
    pub fn left(&self, now: Duration) -> Option<Duration> {
        let newest = self.running.last()?;
        let mean = self.walls.iter().sum::<f64>() / self.walls.len() as f64;
        let beside = self.running.len() as f64;
        let whole = mean * (newest.estimated_left as f64 + beside - 1.0);
        let spent = |trial: &Current| now.saturating_sub(trial.began).as_secs_f64().min(mean);
        let spent: f64 = self.running.iter().map(spent).sum();
        Duration::try_from_secs_f64((whole - spent) / beside).ok()
    }

    /// Every kernel of the series as one cell.
    pub fn cells(&self) -> Vec<Cell> {
        let (old, new) = self.interval();
        let runs = |index: usize| self.running.iter().any(|trial| trial.index == Some(index));
        let untestable =
            |index: usize| self.plan().is_some_and(|plan| plan.series[index].untestable.is_some());
        self.marks
            .iter()
            .enumerate()
            .map(|(index, mark)| match mark {
                _ if runs(index) => Cell::Running,
                Some(Mark::Good) => Cell::Good,
                Some(Mark::Bad) => Cell::Bad,
                Some(Mark::Skip) => Cell::Skipped,
                None if old.is_some_and(|old| index < old) => Cell::Excluded,
                None if new.is_some_and(|new| index > new) => Cell::Excluded,
                None if untestable(index) => Cell::Skipped,
                None => Cell::Open,
            })
            .collect()
    }

    /// What is known in one sentence: `6.12.57 good, 6.12.69 bad, 3 between`.
    pub fn known(&self) -> Option<String> {
        let plan = self.plan()?;
        let (old_word, new_word) = match plan.direction {
            Direction::Regression => ("good", "bad"),
            Direction::Fix => ("bad", "good"),
        };
        let end =
            |index: Option<usize>, word: &str| Some(format!("{} {word}", self.label(index?)?));
        match (self.interval(), plan.series.len()) {
            ((None, None), _) => None,
            ((Some(old), Some(new)), _) => Some(format!(
                "{}, {}, {} between",
                end(Some(old), old_word)?,
                end(Some(new), new_word)?,
                new.saturating_sub(old + 1)
            )),
            ((old, new), _) => end(old, old_word).or_else(|| end(new, new_word)),
        }
    }

    /// The newest kernel known to be like the old end, and the oldest known to be like the new one.
    fn interval(&self) -> (Option<usize>, Option<usize>) {
        let Some(plan) = self.plan() else { return (None, None) };
        let (old_mark, new_mark) = match plan.direction {
            Direction::Regression => (Mark::Good, Mark::Bad),
            Direction::Fix => (Mark::Bad, Mark::Good),
        };
        let assumed = |yes: bool, index: usize| yes.then_some(index);
        let new = self
            .marks
            .iter()
            .position(|mark| *mark == Some(new_mark))
            .or(assumed(plan.options.assume_new, self.marks.len().saturating_sub(1)));
        let below = &self.marks[..new.unwrap_or(self.marks.len())];
        let old = below
            .iter()
            .rposition(|mark| *mark == Some(old_mark))
            .or(assumed(plan.options.assume_old, 0));
        (old, new)
    }
}

#[cfg(test)]
pub mod tests {
    use std::collections::BTreeMap;

    use kbisect_core::kernel::{Kernel, KernelId};
    use kbisect_core::run::{Environment, PlanOptions, PlannedKernel};
    use kbisect_core::search::Role;
    use kbisect_core::trial::{TrialRecord, VerdictKind};
    use kbisect_core::version::PackageVersion;

    use kbisect_core::answer::Taken;

    use super::*;

    pub fn kernel(version: &str) -> Kernel {
        Kernel {
            version: version.to_owned(),
            package_version: PackageVersion::parse(version).unwrap(),
            flavour: "cloud-amd64".to_owned(),
            source: "local".to_owned(),
            id: KernelId(version.to_owned()),
            release: None,
            name: None,
            variant: None,
        }
    }

    pub fn began(direction: Direction, count: usize) -> RunEvent {
        let series: Vec<PlannedKernel> = (0..count)
            .map(|n| PlannedKernel {
                kernel: kernel(&format!("6.12.{n}")),
                untestable: None,
                download_bytes: 0,
                commit: None,
            })
            .collect();
        RunEvent::Began {
            plan: Box::new(Plan {
                schema: "kbisect.plan/2".to_owned(),
                run_id: "r".to_owned(),
                tool_version: "0".to_owned(),
                command: Vec::new(),
                scenario: "connlimit".to_owned(),
                scenario_summary: String::new(),
                scenario_says: String::new(),
                beyond: None,
                scenario_sha256: String::new(),
                direction,
                old_end: "6.12.0".to_owned(),
                new_end: format!("6.12.{}", count - 1),
                series,
                reference: kernel("6.1.1"),
                environment: Environment::default(),
                options: PlanOptions::default(),
                warnings: Vec::new(),
            }),
        }
    }

    pub fn trial(number: u32, index: usize, estimated_left: usize) -> RunEvent {
        beside(number, index, estimated_left, None)
    }

    pub fn beside(
        number: u32,
        index: usize,
        estimated_left: usize,
        worker: Option<u32>,
    ) -> RunEvent {
        let (role, reason) = (Role::Bisect, None);
        let aim = Aim::Version { index, role, estimated_left, reason };
        RunEvent::TrialBegan { number, aim, worker }
    }

    pub fn ended(number: u32, index: usize, mark: Option<Mark>, wall_s: f64) -> RunEvent {
        RunEvent::TrialEnded {
            tried: Tried::Version { index },
            taken: Taken::default(),
            record: Box::new(TrialRecord {
                number,
                kernel: kernel(&format!("6.12.{index}")),
                verdict: match mark {
                    Some(Mark::Good) => VerdictKind::Good,
                    Some(Mark::Bad) => VerdictKind::Bad,
                    Some(Mark::Skip) => VerdictKind::Skip,
                    None => VerdictKind::Infra,
                },
                untestable: None,
                symptom: None,
                fault: None,
                reason: None,
                checks: Vec::new(),
                timings_s: BTreeMap::new(),
                wall_s,
                reports: Vec::new(),
                accepted: Vec::new(),
                injected: Vec::new(),
                notes: Vec::new(),
                wires: Vec::new(),
                hops: Vec::new(),
                counters: Vec::new(),
                state: Vec::new(),
                states: Default::default(),
                place: None,
                reused: None,
                evidence: Default::default(),
                disturbed: Default::default(),
                began_ms: None,
                directory: String::new(),
                accelerator: "tcg".to_owned(),
                memory_mib: None,
                deadlines: None,
                boot: None,
                boot_id: None,
                booted: None,
                release: None,
                repeat: String::new(),
            }),
            mark,
        }
    }

    fn view(events: &[RunEvent]) -> View {
        let mut view = View::default();
        for event in events {
            view.take(event, Duration::ZERO);
        }
        view
    }

    fn drawn(view: &View) -> String {
        view.cells().into_iter().map(|cell| cell.letter()).collect()
    }

    #[test]
    fn the_range_shrinks_from_both_sides() {
        let mut events = vec![began(Direction::Regression, 9)];
        assert_eq!(drawn(&view(&events)), ".........");
        events.push(ended(1, 8, Some(Mark::Bad), 2.0));
        events.push(ended(2, 0, Some(Mark::Good), 2.0));
        events.push(ended(3, 4, Some(Mark::Skip), 2.0));
        events.push(ended(4, 5, Some(Mark::Bad), 2.0));
        events.push(trial(5, 2, 2));
        assert_eq!(drawn(&view(&events)), "o.?.sx--x");
        assert_eq!(view(&events).known().unwrap(), "6.12.0 good, 6.12.5 bad, 4 between");
    }

    #[test]
    fn with_find_fix_the_old_end_is_bad() {
        let view = view(&[
            began(Direction::Fix, 5),
            ended(1, 0, Some(Mark::Bad), 1.0),
            ended(2, 4, Some(Mark::Good), 1.0),
            ended(3, 2, Some(Mark::Bad), 1.0),
        ]);
        assert_eq!(drawn(&view), "x-x.o");
        assert_eq!(view.known().unwrap(), "6.12.2 bad, 6.12.4 good, 1 between");
    }

    #[test]
    fn a_failure_of_our_own_marks_nothing() {
        let view = view(&[began(Direction::Regression, 3), ended(1, 2, None, 1.0)]);
        assert_eq!(drawn(&view), "...");
        assert_eq!(view.known(), None);
    }

    #[test]
    fn time_left_is_the_mean_times_the_trials_left() {
        let mut view = view(&[
            began(Direction::Regression, 9),
            ended(1, 8, Some(Mark::Bad), 4.0),
            ended(2, 0, Some(Mark::Good), 8.0),
        ]);
        assert_eq!(view.left(Duration::ZERO), None, "nothing runs");
        view.take(&trial(3, 4, 3), Duration::from_secs(12));
        assert_eq!(view.left(Duration::from_secs(14)), Some(Duration::from_secs(16)));
        // A trial that takes longer than the mean does not eat the time of those to come.
        assert_eq!(view.left(Duration::from_secs(99)), Some(Duration::from_secs(12)));
    }

    #[test]
    fn trials_side_by_side_come_and_go_alone() {
        let mut view = view(&[
            began(Direction::Regression, 9),
            ended(1, 8, Some(Mark::Bad), 4.0),
            ended(2, 0, Some(Mark::Good), 4.0),
        ]);
        view.take(&beside(3, 4, 3, Some(1)), Duration::ZERO);
        view.take(&beside(4, 2, 2, Some(2)), Duration::ZERO);
        assert_eq!(drawn(&view), "o.?.?...x");
        // Three trials with those that run, two at a time.
        assert_eq!(view.left(Duration::ZERO), Some(Duration::from_secs(6)));
        view.say(4, "waits");
        view.take(&RunEvent::PhaseBegan { number: 3, phase: Phase::Checks }, Duration::ZERO);
        assert_eq!(view.trial(4).map(|trial| trial.doing.as_str()), Some("waits"));
        assert_eq!(view.trial(3).and_then(|trial| trial.phase), Some(Phase::Checks));
        let cancelled = RunEvent::TrialCancelled { number: 4, reason: "moot".to_owned() };
        view.take(&cancelled, Duration::ZERO);
        assert_eq!(drawn(&view), "o...?...x");
        assert_eq!(view.running().len(), 1);
    }

    #[test]
    fn no_time_is_promised_before_the_first_trial_ended() {
        let view = view(&[began(Direction::Regression, 9), trial(1, 8, 5)]);
        assert_eq!(view.left(Duration::from_secs(3)), None);
    }
}
