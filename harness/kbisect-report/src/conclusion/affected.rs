//! Which kernels a failure concerns, by what was tried.

use kbisect_core::kernel::Kernel;
use kbisect_core::run::{
    Affected, Because, Beyond, BisectResult, NewestTest, OutcomeWord, Plan, RunEvent, SeriesEntry,
    SeriesVerdict,
};
use kbisect_core::search::Direction;

use crate::story::is_other_failure;

/// Which kernels the failure concerns; nothing where no single kernel was found.
pub(super) fn affected(
    result: &BisectResult,
    plan: &Plan,
    events: &[RunEvent],
) -> Option<Affected> {
    if !matches!(result.outcome, OutcomeWord::Found | OutcomeWord::FoundDespiteSkips) {
        return None;
    }
    let with = |verdict: SeriesVerdict| {
        // Another failure is none of those that this is about.
        let is_of_it =
            move |entry: &&SeriesEntry| entry.verdict == verdict && !is_other_failure(entry);
        let entries = result.series.iter().filter(is_of_it);
        entries.map(|entry| &entry.kernel)
    };
    if result.direction == Direction::Fix {
        let (last_bad, first_good) = (result.last_bad.clone()?, result.first_good.clone()?);
        return Some(Affected {
            from: with(SeriesVerdict::Bad).next().unwrap_or(&last_bad).clone(),
            to: last_bad,
            good: None,
            fixed: Some(first_good),
            newest: None,
            to_the_newest: false,
        });
    }
    let (last_good, first_bad) = (result.last_good.clone()?, result.first_bad.clone()?);
    let newest = NewestTest::of(plan, events).and_then(|test| test.result(plan, events));
    let still_fails = newest.as_ref().filter(|newest| newest.fails == Some(true));
    let mended = result.further.iter().find(|further| further.because == Because::Fix);
    let mended = mended.and_then(|further| further.sides.as_ref());
    let to = match (mended, still_fails) {
        (Some([older, _]), _) => older,
        (None, Some(newest)) => &newest.kernel,
        (None, None) => with(SeriesVerdict::Bad).next_back().unwrap_or(&first_bad),
    };
    let ends_there =
        |kernel: &Kernel| plan.series.last().is_some_and(|end| end.kernel.id == kernel.id);
    let to_the_newest =
        still_fails.is_some() || (plan.beyond == Some(Beyond::Nothing) && ends_there(to));
    Some(Affected {
        to: to.clone(),
        to_the_newest,
        good: Some([with(SeriesVerdict::Good).next().unwrap_or(&last_good).clone(), last_good]),
        from: first_bad,
        fixed: mended.map(|[_, newer]| newer.clone()),
        newest,
    })
}
