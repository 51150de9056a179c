//! The trials of a bisection: which version is tried next, and what its answer means.
//!
//! The search names one version after the other, each time beside those under way.

use kbisect_core::answer::Trial;
use kbisect_core::bayes::RangeReason;
use kbisect_core::fault::ScenarioFault;
use kbisect_core::job::Subject;
use kbisect_core::mark::needs_target;
use kbisect_core::method::{Method, Next};
use kbisect_core::run::{Aim, Plan, RunEvent, Tried, target_symptom, wall_seconds};
use kbisect_core::search::{Direction, Mark, Role};
use kbisect_core::trial::{TrialRecord, Verdict};
use kbisect_core::whose::{Whose, whose};
use kbisect_kernels::Candidate;
use kbisect_report::words;

use super::executor::{Crew, Task, With, Work};
use super::files::write_json;
use super::journal::Journal;
use super::kept::budget_s;
use super::prior;
use super::symptom;
use crate::errors;

/// Why a trial is ended before its time.
const MOOT: &str = "another trial told what it would have told";
const OVER: &str = "the search is over";

/// A search on several workers.
pub struct Search<'a> {
    plan: &'a Plan,
    series: &'a [Candidate],
    subject: &'a Subject,
    /// Whether there is somebody to ask which symptom is looked for.
    may_ask: bool,
    /// How the search ended.
    over: Option<RunEvent>,
    /// Whether it was looked what commits weigh.
    is_weighed: bool,
}

/// Position in the series and role of a trial of a search.
fn version(task: &Task) -> Option<(usize, Role)> {
    match task.aim {
        Aim::Version { index, role, .. } => Some((index, role)),
        Aim::Cell { .. } | Aim::Revert { .. } | Aim::Beside { .. } => None,
    }
}

impl Work for Search<'_> {
    /// Gives each idle worker the trial that tells most beside those under way.
    fn hand_out(&mut self, crew: &mut Crew<'_>) -> anyhow::Result<()> {
        if self.over.is_some() {
            return Ok(());
        }
        while let Some(event) =
            symptom::settle(crew.journal.events(), &crew.context.base, self.may_ask)?
        {
            if matches!(event, RunEvent::Decided { .. }) {
                return self.end(crew, event);
            }
            crew.journal.append(event)?;
        }
        self.weigh(crew)?;
        let method = self.method(crew)?;
        if method.boots_disagree() {
            say_once(crew.journal, words::BOOTS_DISAGREE)?;
        }
        if let Some(at) = method.disagreed() {
            let words = words::repeats_disagree(self.plan.series[at].kernel.label());
            say_once(crew.journal, &words)?;
        }
        crew.cancel(MOOT, |task| {
            version(task).is_some_and(|(index, role)| method.is_moot(index, role))
        })?;
        let mut method = self.method(crew)?;
        while let Some(worker) = crew.idle() {
            let mut next = self.next(&method, crew);
            if next == Next::Wait && crew.rests() {
                // What is held waits for a symptom that will not show.
                drop_held(crew)?;
                method = self.method(crew)?;
                next = self.next(&method, crew);
            }
            match next {
                Next::Wait => break,
                Next::Done(event) => return self.end(crew, event),
                Next::Try { index, role, estimated_left, reason, coming } => {
                    method.begin(index, role)?;
                    let reason = reason.map(words::why);
                    let aim = Aim::Version { index, role, estimated_left, reason };
                    let with = With::only(self.subject.clone());
                    crew.start(worker, aim, self.series[index].clone(), coming, with);
                }
            }
        }
        crew.look_ahead(|count| {
            let likely = method.likely_next(count);
            likely.into_iter().map(|index| self.series[index].clone()).collect()
        });
        Ok(())
    }

    /// Takes the answer of a trial, or keeps it until it can be compared with the target symptom.
    fn ended(
        &mut self,
        crew: &mut Crew<'_>,
        at: usize,
        task: Task,
        record: Box<TrialRecord>,
    ) -> anyhow::Result<()> {
        if needs_target(&record) && self.must_wait(crew, at, &task) {
            crew.hold(at, task, record);
            return Ok(());
        }
        self.settle(crew, task, record)?;
        while let Some(at) = (0..crew.tasks.len()).find(|at| {
            let task = &crew.tasks[*at];
            task.held.is_some() && !self.must_wait(crew, *at, task)
        }) {
            let mut task = crew.tasks.remove(at);
            let Some(record) = task.held.take() else { continue };
            let search = self.so_far(crew.journal)?;
            match version(&task) {
                Some((index, role)) if search.is_moot(index, role) => crew.forget(&task)?,
                _ => self.settle(crew, task, record)?,
            }
        }
        Ok(())
    }

    fn close(&mut self, crew: &mut Crew<'_>) -> anyhow::Result<()> {
        let over =
            self.over.take().ok_or_else(|| anyhow::anyhow!("the search waits for nothing"))?;
        drop_held(crew)?;
        if let Some(fault) = fault_of_scenario(crew, self.subject)? {
            return Err(errors::scenario(fault));
        }
        crew.journal.append(over)
    }
}

impl<'a> Search<'a> {
    /// A search that is about to begin, or to go on.
    #[must_use]
    pub fn new(
        plan: &'a Plan,
        series: &'a [Candidate],
        subject: &'a Subject,
        may_ask: bool,
    ) -> Self {
        Self { plan, series, subject, may_ask, over: None, is_weighed: false }
    }

    /// Weighs the commits, once it is known how the bad end fails.
    fn weigh(&mut self, crew: &mut Crew<'_>) -> anyhow::Result<()> {
        if self.is_weighed || target_symptom(crew.journal.events()).is_none() {
            return Ok(());
        }
        self.is_weighed = true;
        let (scenario, base) = (&self.subject.scenario, &crew.context.base);
        match prior::weighed(self.plan, self.series, scenario, base, crew.journal.events()) {
            Some(event) => crew.journal.append(event),
            None => Ok(()),
        }
    }

    fn end(&mut self, crew: &mut Crew<'_>, event: RunEvent) -> anyhow::Result<()> {
        self.over = Some(event);
        crew.cancel(OVER, |task| task.worker.is_some())
    }

    fn next(&self, method: &Method, crew: &Crew<'_>) -> Next {
        match (self.is_spent(crew.journal), crew.tasks.is_empty()) {
            (false, _) => method.next(),
            (true, true) => method.give_up(RangeReason::Budget),
            (true, false) => Next::Wait,
        }
    }

    /// Whether the time that the search may take is over.
    fn is_spent(&self, journal: &Journal) -> bool {
        let spent = wall_seconds(&journal.lines);
        budget_s(self.plan, journal).is_some_and(|budget| spent >= budget as f64)
    }

    /// Replays the journal into a fresh search.
    fn so_far(&self, journal: &Journal) -> anyhow::Result<Method> {
        let events: Vec<&RunEvent> = journal.events().collect();
        Ok(Method::replay(self.plan, events)?)
    }

    /// The search as the journal has it, and the trials under way.
    fn method(&self, crew: &Crew<'_>) -> anyhow::Result<Method> {
        // From the start: what the bad end shows decides which kernels can answer at all.
        let mut method = self.so_far(crew.journal)?;
        let under_way = crew.tasks.iter().filter(|task| task.cancelled.is_none());
        for (index, role) in under_way.filter_map(version) {
            method.begin(index, role)?;
        }
        Ok(method)
    }

    /// Whether the symptom looked for is still to be shown by another trial: by that of the bad end,
    /// or, when that one is taken for granted, by one that began before this one.
    fn must_wait(&self, crew: &Crew<'_>, at: usize, task: &Task) -> bool {
        if target_symptom(crew.journal.events()).is_some() {
            return false;
        }
        let options = &self.plan.options;
        let (bad_end, assumed) = match self.plan.direction {
            Direction::Regression => (self.series.len() - 1, options.assume_new),
            Direction::Fix => (0, options.assume_old),
        };
        if assumed { at > 0 } else { version(task).is_some_and(|(index, _)| index != bad_end) }
    }

    /// Journals an answer. One that is none, for our own reasons, is tried again.
    fn settle(
        &mut self,
        crew: &mut Crew<'_>,
        task: Task,
        record: Box<TrialRecord>,
    ) -> anyhow::Result<()> {
        let Some((index, role)) = version(&task) else { return Ok(()) };
        let named = self.plan.options.symptom.as_ref();
        let (mark, taken) = symptom::mark_of(&record, role, crew.journal.events(), named);
        let trial = Trial::new(&record, &taken);
        write_json(&crew.folder.join(&record.directory).join("trial.json"), &trial)?;
        let tried = Tried::Version { index };
        let ended = RunEvent::TrialEnded { tried, record: record.clone(), mark, taken };
        crew.journal.append(ended)?;
        match record.verdict() {
            _ if mark.is_some() || self.over.is_some() => Ok(()),
            Verdict::Scenario(fault) => {
                crew.fail(errors::scenario(fault));
                Ok(())
            }
            _ => crew.try_again(task, &record),
        }
    }
}

/// Notes what is to be known once in a run, also when it is resumed.
fn say_once(journal: &mut Journal, words: &str) -> anyhow::Result<()> {
    let said = |event: &RunEvent| matches!(event, RunEvent::Note { text } if text == words);
    if journal.events().any(said) {
        return Ok(());
    }
    journal.append(RunEvent::Note { text: words.to_owned() })
}

/// What is wrong with the scenario, if no kernel passed and the reference kernel fails as the
/// others do. That kernel is tried for it, once in a run.
fn fault_of_scenario(
    crew: &mut Crew<'_>,
    subject: &Subject,
) -> anyhow::Result<Option<ScenarioFault>> {
    let ended = || {
        crew.journal.events().filter_map(|event| match event {
            RunEvent::TrialEnded { record, mark, .. } => Some((record.as_ref(), *mark)),
            _ => None,
        })
    };
    let passed = ended().any(|(_, mark)| mark == Some(Mark::Good));
    let bad = |(record, _): &(&TrialRecord, Option<Mark>)| {
        whose(record, passed, None) == Whose::AskReference
    };
    let Some((record, _)) = ended().find(bad) else { return Ok(None) };
    let record = record.clone();
    let tried = crew.journal.events().find_map(|event| match event {
        RunEvent::ReferenceTried { record, .. } => Some(record.as_ref().clone()),
        _ => None,
    });
    let reference = match tried {
        Some(tried) => tried,
        None => crew.ask_reference(subject, None)?,
    };
    let is_scenarios = whose(&record, passed, Some(&reference)) == Whose::Scenario;
    Ok(record.fault.filter(|_| is_scenarios))
}

/// Gives up what waits for a symptom that does not show, and says what it was.
fn drop_held(crew: &mut Crew<'_>) -> anyhow::Result<()> {
    while let Some(at) = crew.tasks.iter().position(|task| task.held.is_some()) {
        let task = crew.tasks.remove(at);
        if let Some(record) = &task.held {
            let what = record.symptom.as_ref().map_or_else(
                || record.reason.clone().unwrap_or_default(),
                |symptom| format!("{}: {}", symptom.kind, symptom.title),
            );
            let label = record.kernel.label();
            let text = format!(
                "{label} failed beside it ({what}), which counts for nothing: the bad end showed no \
                 symptom to compare it with"
            );
            crew.journal.append(RunEvent::Note { text })?;
        }
        crew.forget(&task)?;
    }
    Ok(())
}
