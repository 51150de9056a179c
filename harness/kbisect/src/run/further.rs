//! Runs that go on with what another one found: from a release to the commit, and from one culprit to the next.
//!
//! Each is a run of its own, in a folder beside. It begins with a plan that follows from the run before, and
//! is made as if it were resumed; what it finds is noted in the journal of the run before.

use std::path::Path;

use anyhow::Context as _;
use kbisect_core::run::{
    Because, BisectResult, DrillPlan, Further, JournalLine, OutcomeWord, Plan, PlannedCommit,
    RevertOutcome, RevertTest, RunEvent, SymptomName, target_symptom,
};
use kbisect_core::search::Direction;
use kbisect_kernels::Candidate;
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
    let events = lines.iter().map(|line| &line.event);
    let test = RevertTest::of(plan, events.clone())?;
    let still = test.result(plan, events)?.outcome == RevertOutcome::StillFails;
    (still && plan.direction == Direction::Regression).then_some(Because::StillFails)
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
    let entry =
        result.series.iter().find(|entry| Some(&entry.kernel.id) == culprit.map(|it| &it.id));
    let own = Further {
        because,
        run_id,
        outcome: result.outcome,
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
    let base = Base::new(global)?;
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
            Next { found, series, configuration }
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
            Next { found, series, configuration }
        }
        _ => anyhow::bail!("the run has nothing to go on with"),
    };
    let results = folder.parent().unwrap_or(folder);
    let label = |commit: Option<&PlannedCommit>| {
        commit.map(|commit| commit.label().to_owned()).unwrap_or_default()
    };
    let planned_commits = &next.found.planned;
    let (old_end, new_end) = (label(planned_commits.first()), label(planned_commits.last()));
    let (run_id, made) = new_run(results, &format!("{}-{old_end}..{new_end}", plan.scenario))?;
    let series = next.series.iter().zip(&next.found.planned);
    let series = series.map(|(one, commit)| planned(one, Some(commit), &base, &loaded)).collect();
    let mut plan = Plan {
        run_id: run_id.clone(),
        old_end,
        new_end,
        series,
        warnings: next.found.notes.clone(),
        ..plan.clone()
    };
    let options = &mut plan.options;
    (options.assume_old, options.assume_new) = (false, false);
    (options.drill, options.commits) = (None, Some(next.found.plan.clone()));
    // It is the same failure that is looked for, whatever else a kernel of our own shows.
    let target = target_symptom(lines.iter().map(|line| &line.event));
    options.symptom = target.map(|symptom| SymptomName::Title(symptom.title.clone()));
    commits::keep(&made, &next.configuration)?;
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
    found: ChosenCommits,
    series: Vec<Candidate>,
    configuration: kbisect_kernels::Configuration,
}
