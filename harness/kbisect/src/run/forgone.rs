//! What staying on the last good kernel forgoes, looked up once it is known which one that is.

use std::path::Path;

use kbisect_core::changes::{Change, ChangeSource, Forgone, Segment, WhatChanged, reverts};
use kbisect_core::kernel::Kernel;
use kbisect_core::run::{BisectResult, JournalLine, RunEvent};
use kbisect_core::search::Direction;
use kbisect_kernels::{commit_changes, mending};
use kbisect_report::bisect_result;

use super::ranker::Ranker;

/// Suspect changes whose reverts are looked for.
const SUSPECTS: usize = 5;

/// What staying on the last good kernel of a run forgoes. Nothing where there is none, or where the changes
/// cannot be read: why that is was said with the ranking.
pub fn forgone(
    lines: &[JournalLine],
    work: &Ranker<'_>,
    is_stopped: &dyn Fn() -> bool,
) -> Option<Forgone> {
    let plan = lines.iter().find_map(|line| match &line.event {
        RunEvent::Began { plan } => Some(plan),
        _ => None,
    })?;
    let result = bisect_result(lines, "")?;
    let is_regression = result.direction == Direction::Regression;
    let good = result.last_good.as_ref().filter(|_| is_regression)?;
    result.affected.as_ref()?;
    match &plan.options.commits {
        Some(of) => among_commits(&result, Path::new(&of.repository), is_stopped),
        None => among_packages(&result, good, work),
    }
}

fn among_packages(result: &BisectResult, good: &Kernel, work: &Ranker<'_>) -> Option<Forgone> {
    let newest = result.affected.as_ref()?.newest.as_ref().map(|newest| &newest.kernel);
    let last = result
        .series
        .iter()
        .rev()
        .map(|entry| &entry.kernel)
        .find(|it| it.series() == good.series());
    let to = newest.or(last)?;
    let (source, segment) = work.read(good, to).ok()?;
    let suspects = match &result.changes {
        Some(WhatChanged::Ranked(ranking)) => ranking.top.get(..SUSPECTS).unwrap_or(&ranking.top),
        _ => &[],
    };
    // What undoes a change comes after it.
    let later = reverts(suspects, &segment.changes);
    let versions = [good, to].map(|kernel| kernel.package_version.to_string());
    Some(Forgone::of([&versions[0], &versions[1]], source, &segment, later))
}

fn among_commits(
    result: &BisectResult,
    repository: &Path,
    is_stopped: &dyn Fn() -> bool,
) -> Option<Forgone> {
    let commit = |kernel: &Kernel| {
        let entry = result.series.iter().find(|entry| entry.kernel.id == kernel.id)?;
        entry.commit.as_ref()
    };
    let good = commit(result.last_good.as_ref()?)?;
    let culprit = commit(result.first_bad.as_ref()?)?;
    let to = result.series.last()?.commit.as_ref()?;
    let segment: Segment = commit_changes(repository, &good.id, &to.id, false, is_stopped).ok()?;
    let mending: Vec<Change> = mending(repository, &culprit.id, is_stopped).unwrap_or_default();
    let source = ChangeSource::Git {
        repository: repository.display().to_string(),
        range: format!("{}..{}", good.label(), to.label()),
    };
    Some(Forgone::of([good.label(), to.label()], source, &segment, mending))
}
