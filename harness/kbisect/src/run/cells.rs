//! The trials of a check with one of its scenarios: kernel by kernel, side by side where that was asked
//! for.

use std::collections::VecDeque;

use kbisect_core::answer::Taken;
use kbisect_core::boot::Coming;
use kbisect_core::gate::{GateTrial, asks_reference, still_to_try};
use kbisect_core::job::Subject;
use kbisect_core::run::{Aim, RunEvent, Tried};
use kbisect_core::trial::{TrialRecord, Verdict};
use kbisect_kernels::Candidate;

use super::executor::{Crew, Task, With, Work};
use super::journal::Journal;

/// Told before a kernel boots that failed from a saved state, or by its PVH entry.
const BOOTS_AGAIN: &str = "it failed in a quick trial: it boots as shipped before that is believed";

/// Told when a canary has failed.
const STOPS: &str =
    "a trial did not pass: the check ends here, as --canary asks, and what is left is not tested";

/// The kernels that have no answer with a scenario yet.
pub struct Cells<'a> {
    /// The scenario.
    subject: &'a Subject,
    /// Kernels still to begin.
    open: VecDeque<Candidate>,
    /// How many are without an answer, those of scenarios to come included.
    left: usize,
    /// The trials so far.
    trials: Vec<GateTrial>,
    /// Whether it begins with one trial and widens only while trials pass.
    is_canary: bool,
}

impl<'a> Cells<'a> {
    /// `rows` without those that have an answer in the journal, of `left` without one in all scenarios.
    #[must_use]
    pub fn new(subject: &'a Subject, rows: &[Candidate], journal: &Journal, left: usize) -> Self {
        let trials = trials(journal);
        let open = still_open(&subject.name, rows, &trials).into();
        Self { subject, open, left, trials, is_canary: false }
    }

    /// Begins with one trial, and widens only while trials pass.
    #[must_use]
    pub fn careful(self) -> Self {
        Self { is_canary: true, ..self }
    }
}

/// Whether a trial of the check did not pass.
#[must_use]
pub fn has_failed(journal: &Journal) -> bool {
    trials(journal).iter().any(|trial| trial.record.verdict() != Verdict::Good)
}

/// How many kernels have no answer with a scenario yet.
#[must_use]
pub fn open(scenario: &str, rows: &[Candidate], journal: &Journal) -> usize {
    still_open(scenario, rows, &trials(journal)).len()
}

fn still_open(scenario: &str, rows: &[Candidate], trials: &[GateTrial]) -> Vec<Candidate> {
    // One kernel shows that a scenario is wrong.
    let wrong = |trial: &GateTrial| {
        trial.scenario == scenario && matches!(trial.record.verdict(), Verdict::Scenario(_))
    };
    if trials.iter().any(wrong) {
        return Vec::new();
    }
    let is_open = |row: &&Candidate| still_to_try(trials, scenario, &row.kernel).is_some();
    rows.iter().filter(is_open).cloned().collect()
}

fn trials(journal: &Journal) -> Vec<GateTrial> {
    journal.events().filter_map(GateTrial::of).collect()
}

impl Cells<'_> {
    fn coming(&self, candidate: &Candidate) -> Option<Coming> {
        still_to_try(&self.trials, &self.subject.name, &candidate.kernel)
    }

    fn start(&self, crew: &mut Crew<'_>, worker: usize, candidate: Candidate) {
        let aim = Aim::Cell {
            scenario: self.subject.name.clone(),
            kernel: Box::new(candidate.kernel.clone()),
            injected: None,
            without: Vec::new(),
            estimated_left: self.left.saturating_sub(crew.tasks.len()),
        };
        let coming = self.coming(&candidate).unwrap_or_default();
        crew.start(worker, aim, candidate, coming, With::only(self.subject.clone()));
    }
}

impl Work for Cells<'_> {
    fn hand_out(&mut self, crew: &mut Crew<'_>) -> anyhow::Result<()> {
        let passed = self.trials.iter().filter(|it| it.record.verdict() == Verdict::Good).count();
        while let Some(worker) = crew.idle() {
            // No more at once than have passed.
            if self.is_canary && crew.tasks.len() >= passed.max(1) {
                break;
            }
            let Some(candidate) = self.open.pop_front() else { break };
            self.start(crew, worker, candidate);
        }
        crew.look_ahead(|count| self.open.iter().take(count).cloned().collect());
        Ok(())
    }

    fn ended(
        &mut self,
        crew: &mut Crew<'_>,
        _: usize,
        task: Task,
        record: Box<TrialRecord>,
    ) -> anyhow::Result<()> {
        let scenario = self.subject.name.clone();
        self.trials.push(GateTrial { scenario: scenario.clone(), record: (*record).clone() });
        let tried = Tried::Scenario { scenario, injected: None, without: Vec::new() };
        let (mark, taken) = (None, Taken::default());
        let ended = RunEvent::TrialEnded { tried, record: record.clone(), mark, taken };
        crew.journal.append(ended)?;
        let verdict = record.verdict();
        if let Verdict::Infra(_) = verdict {
            return crew.try_again(task, &record);
        }
        if let Some(worker) = task.worker
            && !crew.has_failed()
            && self.coming(&task.candidate).is_some()
        {
            crew.journal.append(RunEvent::Note { text: BOOTS_AGAIN.to_owned() })?;
            self.start(crew, worker, task.candidate);
            return Ok(());
        }
        if self.is_canary && verdict != Verdict::Good && !self.open.is_empty() {
            crew.journal.append(RunEvent::Note { text: STOPS.to_owned() })?;
        }
        // What is wrong with the scenario for one kernel is so for all.
        if matches!(verdict, Verdict::Scenario(_)) || self.is_canary && verdict != Verdict::Good {
            self.left = self.left.saturating_sub(self.open.len());
            self.open.clear();
        }
        self.left = self.left.saturating_sub(1);
        Ok(())
    }

    /// Tries the reference kernel in the candidate's place where that tells whose fault failures are.
    fn close(&mut self, crew: &mut Crew<'_>) -> anyhow::Result<()> {
        let asked = crew.journal.events().any(|event| match event {
            RunEvent::ReferenceTried { scenario, .. } => {
                scenario.as_ref() == Some(&self.subject.name)
            }
            _ => false,
        });
        if !asked && asks_reference(&self.trials, &self.subject.name) {
            crew.ask_reference(self.subject, Some(self.subject.name.clone()))?;
        }
        Ok(())
    }
}
