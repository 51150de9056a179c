//! The trials by which an answer is tested: the bad end with the culprit's change taken back, or with the fix
//! applied, beside the bad end as it is.

use kbisect_core::job::Subject;
use kbisect_core::run::{Aim, Plan, RevertStep, RevertTest, RunEvent, Tried};
use kbisect_core::search::Direction;
use kbisect_core::trial::TrialRecord;
use kbisect_kernels::{Candidate, Change};

use super::beside::{coming, take};
use super::commits::changed_too;
use super::context::Base;
use super::executor::{Crew, Task, With, Work};

/// The test of an answer.
pub struct Revert<'a> {
    test: RevertTest,
    plan: &'a Plan,
    subject: &'a Subject,
    original: Candidate,
    changed: Candidate,
}

impl<'a> Revert<'a> {
    /// The test that an answer asks for and that has not come to its end.
    pub fn due<'e>(
        plan: &'a Plan,
        subject: &'a Subject,
        series: &[Candidate],
        events: impl IntoIterator<Item = &'e RunEvent, IntoIter: DoubleEndedIterator> + Clone,
        base: &Base,
    ) -> Option<Self> {
        let test = RevertTest::of(plan, events.clone())?;
        if test.next(events, &[]) == RevertStep::Done {
            return None;
        }
        let commit = plan.series.get(test.culprit)?.commit.as_ref()?.id.clone();
        let change = match plan.direction {
            Direction::Regression => Change::Without(commit),
            Direction::Fix => Change::With(commit),
        };
        let original = series.get(test.bad_end)?.clone();
        let changed = changed_too(&original, change, base)?;
        Some(Self { test, plan, subject, original, changed })
    }
}

fn is_changed(task: &Task) -> bool {
    matches!(task.aim, Aim::Revert { changed: true, .. })
}

impl Work for Revert<'_> {
    fn hand_out(&mut self, crew: &mut Crew<'_>) -> anyhow::Result<()> {
        while let Some(worker) = crew.idle() {
            let under_way: Vec<bool> = crew.tasks.iter().map(is_changed).collect();
            let RevertStep::Try { changed, left } =
                self.test.next(crew.journal.events(), &under_way)
            else {
                break;
            };
            let candidate = if changed { &self.changed } else { &self.original };
            let kernel = Box::new(candidate.kernel.clone());
            let aim = Aim::Revert { changed, kernel, estimated_left: left };
            let with = With::only(self.subject.clone());
            let is_same =
                |tried: &Tried| matches!(tried, Tried::Revert { changed: of } if *of == changed);
            let begun = under_way.iter().filter(|of| **of == changed).count();
            let coming = coming(crew, is_same, begun);
            crew.start(worker, aim, candidate.clone(), coming, with);
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
        let tried = Tried::Revert { changed: is_changed(&task) };
        take(self.plan, tried, crew, task, record)
    }

    fn close(&mut self, _: &mut Crew<'_>) -> anyhow::Result<()> {
        Ok(())
    }
}
