//! Trials that are made once a search is over: of the newest kernel of the series, and of the other end where a
//! range may be the wrong way round.

use kbisect_core::boot::Coming;
use kbisect_core::job::Subject;
use kbisect_core::run::{Aim, Beside, Beyond, NewestTest, OtherEnd, Plan, RunEvent, Tried};
use kbisect_core::search::Role;
use kbisect_core::trial::{TrialRecord, Verdict};
use kbisect_kernels::Candidate;

use super::context::Base;
use super::executor::{Crew, Task, With, Work};
use super::kernels;
use super::symptom;
use crate::errors;

/// Trials of one kernel beside a search.
pub struct BesideTrials<'a> {
    beside: Beside,
    plan: &'a Plan,
    subject: &'a Subject,
    candidate: Candidate,
}

impl<'a> BesideTrials<'a> {
    /// The trials that the end of a search asks for and that were not made yet.
    ///
    /// # Errors
    /// A kernel that is known no more.
    pub fn due<'e>(
        plan: &'a Plan,
        subject: &'a Subject,
        series: &[Candidate],
        events: impl IntoIterator<Item = &'e RunEvent, IntoIter: DoubleEndedIterator> + Clone,
        base: &Base,
    ) -> anyhow::Result<Option<Self>> {
        let Some(beside) = due(plan, events.clone()) else { return Ok(None) };
        let candidate = match (beside, &plan.beyond, OtherEnd::of(plan, events)) {
            (Beside::Newest, Some(Beyond::Newer { newest }), _) => {
                kernels::again(base, &newest.kernel)?
            }
            (Beside::OtherEnd, _, Some(end)) => match series.get(end.index) {
                Some(candidate) => candidate.clone(),
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        Ok(Some(Self { beside, plan, subject, candidate }))
    }

    fn left(&self, crew: &Crew<'_>) -> u32 {
        let under_way = crew.tasks.len() as u32;
        let events = crew.journal.events();
        match self.beside {
            Beside::Newest => NewestTest::of(self.plan, events.clone())
                .map_or(0, |test| test.left(events, under_way)),
            Beside::OtherEnd => OtherEnd::of(self.plan, events)
                .map_or(0, |end| u32::from(end.is_due()).saturating_sub(under_way)),
        }
    }
}

/// What is still to be asked once a search is over.
pub fn due<'e>(
    plan: &Plan,
    events: impl IntoIterator<Item = &'e RunEvent, IntoIter: DoubleEndedIterator> + Clone,
) -> Option<Beside> {
    let newest = NewestTest::of(plan, events.clone());
    if newest.is_some_and(|test| test.left(events.clone(), 0) > 0) {
        return Some(Beside::Newest);
    }
    OtherEnd::of(plan, events).is_some_and(|end| end.is_due()).then_some(Beside::OtherEnd)
}

impl Work for BesideTrials<'_> {
    fn hand_out(&mut self, crew: &mut Crew<'_>) -> anyhow::Result<()> {
        while let Some(worker) = crew.idle() {
            let left = self.left(crew);
            if left == 0 {
                break;
            }
            let kernel = Box::new(self.candidate.kernel.clone());
            let aim = Aim::Beside { beside: self.beside, kernel, estimated_left: left as usize };
            let is_of_it = |tried: &Tried| matches!(tried, Tried::Beside { .. });
            let coming = coming(crew, is_of_it, crew.tasks.len());
            let with = With::only(self.subject.clone());
            crew.start(worker, aim, self.candidate.clone(), coming, with);
        }
        Ok(())
    }

    fn ended(
        &mut self,
        crew: &mut Crew<'_>,
        _: usize,
        task: Task,
        record: Box<TrialRecord>,
    ) -> anyhow::Result<()> {
        take(self.plan, Tried::Beside { beside: self.beside }, crew, task, record)
    }

    fn close(&mut self, _: &mut Crew<'_>) -> anyhow::Result<()> {
        Ok(())
    }
}

/// How the kernel of a trial beside a search comes up: each by a boot of its own, since what depends on the boot
/// shows in several only. `begun` are under way.
pub fn coming(crew: &Crew<'_>, is_of_it: impl Fn(&Tried) -> bool, begun: usize) -> Coming {
    let is_ended =
        |event: &RunEvent| matches!(event, RunEvent::TrialEnded { tried, .. } if is_of_it(tried));
    match begun == 0 && !crew.journal.events().any(is_ended) {
        true => Coming::AsShipped,
        false => Coming::Renew,
    }
}

/// Takes what a trial beside a search came to: an answer about the symptom that was looked for, or none.
///
/// # Errors
/// A trial that failed for our own reasons too often; a journal that cannot be written.
pub fn take(
    plan: &Plan,
    tried: Tried,
    crew: &mut Crew<'_>,
    task: Task,
    record: Box<TrialRecord>,
) -> anyhow::Result<()> {
    let named = plan.options.symptom.as_ref();
    let (mark, taken) = symptom::mark_of(&record, Role::Confirm, crew.journal.events(), named);
    let ended = RunEvent::TrialEnded { tried, record: record.clone(), mark, taken };
    crew.journal.append(ended)?;
    match record.verdict() {
        _ if mark.is_some() => Ok(()),
        Verdict::Scenario(fault) => {
            crew.fail(errors::scenario(fault));
            Ok(())
        }
        _ => crew.try_again(task, &record),
    }
}
