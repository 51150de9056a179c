//! Runs that go on with what another one found: from a release to the commit, and from one culprit to the next.
//!
//! Each is a run of its own, in a folder beside. It begins with a plan that follows from the run before, and
//! is made as if it were resumed; what it finds is noted in the journal of the run before.

use std::path::Path;

use anyhow::Context as _;
use kbisect_core::kernel::Kernel;
use kbisect_core::run::{
    Because, BisectResult, DrillPlan, Further, JournalLine, OtherEnd, OutcomeWord, Plan,
    PlannedKernel, RevertOutcome, RevertTest, RunEvent, SymptomName, target_symptom,
};
use kbisect_core::search::Direction;
use kbisect_kernels::{Candidate, Configuration};
use kbisect_report::{bisect_result, read_journal_of, words};

use super::commits::{self, ChosenCommits};
use super::context::Base;
use super::files::{keep_image, keep_scenario, new_run};
use super::journal::Journal;
use super::plan::planned;
use crate::cli::{BisectArgs, Global, Range};
use crate::errors;
use crate::settings::scenario::LoadedScenario;

/// Whether another run goes on from here, and why.
pub fn due(plan: &Plan, lines: &[JournalLine]) -> Option<Because> {
    if plan.options.drill.is_some() {
        return sides(&bisect_result(lines, "")?).map(|_| Because::Drill);
    }
    if plan.options.fix || has_begun(lines, Because::Fix) {
        return fix_is_between(plan, lines).map(|_| Because::Fix);
    }
    let events = lines.iter().map(|line| &line.event);
    let test = RevertTest::of(plan, events.clone())?;
    let still = test.result(plan, events)?.outcome == RevertOutcome::StillFails;
    (still && plan.direction == Direction::Regression).then_some(Because::StillFails)
}

/// Whether a run went on from here for that reason.
fn has_begun(lines: &[JournalLine], why: Because) -> bool {
    lines
        .iter()
        .any(|line| matches!(line.event, RunEvent::WentOn { because, .. } if because == why))
}

/// Between which kernels a fix is: after a culprit, if the newest of the series passes again; or in the range
/// itself, if that is the wrong way round. The one that fails comes first.
pub fn fix_is_between(plan: &Plan, lines: &[JournalLine]) -> Option<(Kernel, Kernel)> {
    if plan.direction == Direction::Fix {
        return None;
    }
    let events = lines.iter().map(|line| &line.event);
    if OtherEnd::of(plan, events).is_some_and(|end| end.fails == Some(true)) {
        let (old, new) = (plan.series.first()?, plan.series.last()?);
        return Some((old.kernel.clone(), new.kernel.clone()));
    }
    let affected = bisect_result(lines, "")?.affected?;
    let newest = affected.newest.filter(|newest| newest.fails == Some(false))?;
    Some((affected.to, newest.kernel))
}

/// The kernels between two that a run tried, from where these came.
///
/// # Errors
/// A source that does not answer; kernels that are known no more.
pub fn between(base: &mut Base, old: &Kernel, new: &Kernel) -> anyhow::Result<Vec<Candidate>> {
    base.look_where([old, new])?;
    Ok(base.catalog.series(&old.id.0, &new.id.0)?)
}

/// The two releases between which a change came.
fn sides(result: &BisectResult) -> Option<(String, String)> {
    if !matches!(result.outcome, OutcomeWord::Found | OutcomeWord::FoundDespiteSkips) {
        return None;
    }
    let (old, new) = match result.direction {
        Direction::Regression => (result.last_good.as_ref()?, result.first_bad.as_ref()?),
        Direction::Fix => (result.last_bad.as_ref()?, result.first_good.as_ref()?),
    };
    Some((release(&old.version), release(&new.version)))
}

/// The tag of a release: `v6.13-rc1` of `6.13~rc1`.
fn release(version: &str) -> String {
    format!("v{}", version.replace('~', "-"))
}

/// Refuses a tree in which the releases of a range cannot be found, before anything is tried.
///
/// # Errors
/// Says what it lacks.
pub fn check_drill(args: &BisectArgs, series: &[Candidate]) -> anyhow::Result<()> {
    let Some(drill) = args.commits.drill_plan() else { return Ok(()) };
    let of = |end: Option<&Candidate>| end.map(|end| release(&end.kernel.version));
    let (Some(old), Some(new)) = (of(series.first()), of(series.last())) else { return Ok(()) };
    if old == new {
        return Err(errors::usage(
            format!(
                "both ends are builds of {new}: a tree of the kernel has no commits between them"
            ),
            "leave out --drill",
        ));
    }
    commits_between(&drill, old, new).map(drop)
}

fn commits_between(drill: &DrillPlan, old: String, new: String) -> anyhow::Result<ChosenCommits> {
    let kind = commits::kind_of(config_of(drill));
    ChosenCommits::find(Path::new(&drill.repository), &Range { old, new }, &drill.choices, kind)
}

fn config_of(drill: &DrillPlan) -> Option<&Path> {
    drill.config.as_deref().map(Path::new)
}

/// What a run that went on found, and those that went on from it.
///
/// # Errors
/// A journal that cannot be read.
pub fn what_came(folder: &Path, run_id: String, because: Because) -> anyhow::Result<Vec<Further>> {
    let lines = read_journal_of(folder)?.lines;
    let Some(result) = bisect_result(&lines, "") else { return Ok(Vec::new()) };
    let culprit = match result.direction {
        Direction::Regression => result.first_bad.as_ref(),
        Direction::Fix => result.first_good.as_ref(),
    };
    let is_found = matches!(result.outcome, OutcomeWord::Found | OutcomeWord::FoundDespiteSkips);
    let sides = match result.direction {
        Direction::Regression => result.last_good.clone().zip(result.first_bad.clone()),
        Direction::Fix => result.last_bad.clone().zip(result.first_good.clone()),
    };
    let entry =
        result.series.iter().find(|entry| Some(&entry.kernel.id) == culprit.map(|it| &it.id));
    let own = Further {
        because,
        run_id,
        outcome: result.outcome,
        sides: sides.filter(|_| is_found).map(|(older, newer)| [older, newer]),
        commit: entry.and_then(|entry| entry.commit.clone()).filter(|_| is_found),
        revert: result.revert.as_ref().map(|test| test.outcome),
        reason: result.reason.clone(),
    };
    Ok(std::iter::once(own).chain(result.further).collect())
}

/// Prepares a run that goes on: its folder with its plan. Gives its name.
///
/// # Errors
/// What is not there: commits, the tree, the scenario.
pub fn begin(
    folder: &Path,
    plan: &Plan,
    because: Because,
    lines: &[JournalLine],
    global: &Global,
) -> anyhow::Result<String> {
    let mut base = Base::new(global)?;
    let loaded = LoadedScenario::kept(folder, &plan.scenario_sha256)?;
    let next = match (because, &plan.options.drill, &plan.options.commits) {
        (Because::Drill, Some(drill), _) => {
            let result = bisect_result(lines, "").context("the run has no answer")?;
            let (old, new) = sides(&result).context("the run has no answer")?;
            if old == new {
                return Err(errors::usage(
                    format!(
                        "both sides are builds of {new}: what changed is in the distribution's own patches"
                    ),
                    "leave out --drill",
                ));
            }
            let found = commits_between(drill, old, new)?;
            let config = config_of(drill);
            let configuration = found.configuration(config, &loaded.scenario, &base)?;
            let series = found.candidates(configuration.clone(), &base)?;
            Next { found: Some(found), series, configuration: Some(configuration) }
        }
        (Because::StillFails, _, Some(of)) => {
            let events = lines.iter().map(|line| &line.event);
            let test = RevertTest::of(plan, events).context("the run has no answer")?;
            let commit =
                |at: usize| plan.series.get(at).and_then(|planned| planned.commit.as_ref());
            let culprit = commit(test.culprit).context("the culprit is no commit")?;
            let before = culprit.parents.first().and_then(|at| commit(*at));
            let before = before.context("the culprit has no parent in the range")?;
            let newest = commit(test.bad_end).context("the bad end is no commit")?;
            let range = Range { old: before.id.clone(), new: newest.id.clone() };
            let (tree, kind) = (Path::new(&of.repository), of.configuration);
            let mut found = ChosenCommits::find(tree, &range, &of.choices, kind)?;
            let configuration = commits::kept(folder, of)?;
            let without = [of.without.as_slice(), std::slice::from_ref(&culprit.id)].concat();
            let series = found.without(&without, configuration.clone(), &base)?;
            found.notes.push(words::without(&without));
            Next { found: Some(found), series, configuration: Some(configuration) }
        }
        (Because::Fix, ..) => {
            let (failing, newest) = fix_is_between(plan, lines).context("the run has no answer")?;
            let series = between(&mut base, &failing, &newest)?;
            Next { found: None, series, configuration: None }
        }
        _ => anyhow::bail!("the run has nothing to go on with"),
    };
    let results = folder.parent().unwrap_or(folder);
    let commits = next.found.as_ref().map(|found| found.planned.as_slice()).unwrap_or_default();
    let series = next.series.iter().enumerate();
    let series = series.map(|(at, one)| planned(one, commits.get(at), &base, &loaded));
    let series: Vec<PlannedKernel> = series.collect();
    let label = |end: Option<&PlannedKernel>| match end {
        Some(PlannedKernel { commit: Some(commit), .. }) => commit.label().to_owned(),
        Some(end) => end.kernel.label().to_owned(),
        None => String::new(),
    };
    let (old_end, new_end) = (label(series.first()), label(series.last()));
    let (run_id, made) = new_run(results, &format!("{}-{old_end}..{new_end}", plan.scenario))?;
    let mut plan = Plan {
        run_id: run_id.clone(),
        old_end,
        new_end,
        series,
        beyond: None,
        warnings: next.found.as_ref().map(|found| found.notes.clone()).unwrap_or_default(),
        direction: if because == Because::Fix { Direction::Fix } else { plan.direction },
        ..plan.clone()
    };
    let options = &mut plan.options;
    (options.assume_old, options.assume_new) = (false, false);
    (options.drill, options.fix) = (None, false);
    options.commits = next.found.map(|found| found.plan);
    // It is the same failure that is looked for, whatever else a kernel of our own shows.
    let target = target_symptom(lines.iter().map(|line| &line.event));
    options.symptom = target.map(|symptom| SymptomName::Title(symptom.title.clone()));
    if let Some(configuration) = &next.configuration {
        commits::keep(&made, configuration)?;
    }
    keep_scenario(&made, &loaded.scenario)?;
    let image = folder.join("image");
    keep_image(&made, image.is_dir().then_some(image).as_deref())?;
    Journal::create(&made, &base.ui)?.append(RunEvent::Began { plan: Box::new(plan) })?;
    let mut journal = Journal::resume(folder, &base.ui)?;
    journal.append(RunEvent::WentOn { run_id: run_id.clone(), because })?;
    base.ui.finish();
    Ok(run_id)
}

/// What a run that goes on is made of.
struct Next {
    found: Option<ChosenCommits>,
    series: Vec<Candidate>,
    configuration: Option<Configuration>,
}
