//! From arguments to a plan: every choice is made here.

use std::path::Path;

use kbisect_core::method::with_ends;
use kbisect_core::run::{Beyond, Plan, PlanOptions, PlannedCommit, PlannedKernel, SymptomName};
use kbisect_core::scenario::Scenario;
use kbisect_core::search::Direction;
use kbisect_core::trial::Untestable;
use kbisect_kernels::{Candidate, CandidateState, Source};
use kbisect_report::words;

use super::commits::ChosenCommits;
use super::context::{Base, Ground};
use super::preflight;
use super::workers::workers;
use crate::cli::{BisectArgs, Endpoint, Global, Placement, Range, Series};
use crate::settings::scenario::LoadedScenario;
use crate::{errors, output};

/// How often a trial that failed for our own reasons is repeated.
pub const INFRA_RETRIES: u32 = 2;

/// Makes the plan of a bisection.
#[must_use]
pub fn plan(
    args: &BisectArgs,
    ground: Ground<'_>,
    loaded: &LoadedScenario,
    run_id: &str,
    (series, commits): (&[Candidate], Option<&ChosenCommits>),
) -> Plan {
    let direction = if args.find_fix { Direction::Fix } else { Direction::Regression };
    let skips = |end| args.skip_endpoint.contains(&end);
    let (old, new) = match direction {
        Direction::Regression => (Endpoint::Good, Endpoint::Bad),
        Direction::Fix => (Endpoint::Bad, Endpoint::Good),
    };
    let planned = series.iter().enumerate().map(|(index, candidate)| {
        let commit = commits.and_then(|commits| commits.planned.get(index));
        planned(candidate, commit, ground.base, loaded)
    });
    let planned: Vec<PlannedKernel> = planned.collect();
    let bad_end = if args.find_fix { planned.first() } else { planned.last() };
    let lack = bad_end.and_then(|end| end.untestable.clone()).filter(|why| why.lacks().is_some());
    // Commits end where they were said to.
    let beyond = match (direction, commits, args.no_fix) {
        (Direction::Regression, None, false) => {
            series.last().and_then(|newer| beyond(newer, ground.base, loaded))
        }
        _ => None,
    };
    let mut warnings = match commits {
        Some(commits) => commits.notes.clone(),
        None => warnings(series),
    };
    warnings.extend(lack.map(|why| words::cannot_pass(&why)));
    Plan {
        schema: "kbisect.plan/2".to_owned(),
        run_id: run_id.to_owned(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        command: std::env::args().collect(),
        scenario: args.trial.scenario.clone(),
        scenario_summary: loaded.scenario.summary.clone(),
        scenario_says: loaded.scenario.says.clone(),
        scenario_sha256: loaded.sha256.clone(),
        direction,
        old_end: end(&args.series, series.first(), |range| &range.old),
        new_end: end(&args.series, series.last(), |range| &range.new),
        series: planned,
        beyond,
        reference: ground.reference.clone(),
        environment: ground.environment(),
        options: PlanOptions {
            assume_old: skips(old),
            assume_new: skips(new),
            infra_retries: INFRA_RETRIES,
            doubt: args
                .doubt
                .settings()
                .map(|settings| with_ends(settings, direction, skips(old), skips(new))),
            budget_s: args.doubt.budget_s(),
            symptom: args.symptom.clone(),
            workers: workers(args.workers.wish(), ground, &loaded.scenario),
            quick: args.doubt.quick,
            cold: args.machine.cold,
            machine: ground.choices,
            evidence: args.trial.evidence.choices(),
            no_changes: args.changes.no_changes,
            fix: args.fix,
            git: absolute(args.changes.git.as_deref()),
            commits: commits.map(|commits| commits.plan.clone()),
            drill: args.commits.drill_plan(),
        },
        warnings,
    }
}

/// What is known beyond the newer end of a range. A newer kernel that cannot be fetched is none to be tried, and
/// not nothing either.
fn beyond(newer: &Candidate, base: &Base, loaded: &LoadedScenario) -> Option<Beyond> {
    let newest = |stored| base.catalog.newest_beyond(&newer.kernel, stored);
    match (newest(base.settings.offline), newest(false)) {
        (Some(newest), _) => {
            Some(Beyond::Newer { newest: Box::new(planned(&newest, None, base, loaded)) })
        }
        (None, Some(_)) => None,
        (None, None) => Some(Beyond::Nothing),
    }
}

/// A path that means the same when the run is resumed from another folder.
fn absolute(path: Option<&Path>) -> Option<String> {
    let path = path?;
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Some(path.display().to_string())
}

/// An end as typed; that of a list is called as its kernel.
fn end(typed: &Series, kernel: Option<&Candidate>, of: impl Fn(&Range) -> &String) -> String {
    match typed {
        Series::Range(range) => of(range).clone(),
        Series::File(_) => {
            kernel.map(|candidate| candidate.kernel.label().to_owned()).unwrap_or_default()
        }
    }
}

/// What the plan says of a candidate.
#[must_use]
pub fn planned(
    candidate: &Candidate,
    commit: Option<&PlannedCommit>,
    base: &Base,
    loaded: &LoadedScenario,
) -> PlannedKernel {
    let untestable = match &candidate.state {
        CandidateState::Untestable { reason } => {
            Some(Untestable::NoPackages { said: reason.clone() })
        }
        // What is in the store can be looked at now; the rest is when it is there.
        CandidateState::Stored => base
            .store
            .get(&candidate.kernel.id)
            .and_then(|ready| preflight::missing(&ready, &loaded.scenario.requires)),
        CandidateState::Downloadable { .. } | CandidateState::Buildable => None,
    };
    PlannedKernel {
        kernel: candidate.kernel.clone(),
        untestable,
        download_bytes: candidate.download_bytes(),
        commit: commit.cloned(),
    }
}

/// What the user must know before believing the answer.
fn warnings(series: &[Candidate]) -> Vec<String> {
    let mut names: Vec<String> = series.iter().map(|candidate| candidate.kernel.series()).collect();
    names.dedup();
    let mut warnings = Vec::new();
    if names.len() > 1 {
        warnings.push(words::crosses_series(&names));
    }
    let vendor =
        |candidate: &Candidate| Source::of(&candidate.kernel).and_then(Source::other_vendor);
    if let Some(other) = series.iter().find_map(vendor)
        && series.iter().any(|candidate| vendor(candidate) != Some(other))
    {
        warnings.push(words::mixes_vendors(other));
    }
    warnings.extend(series.iter().flat_map(|candidate| candidate.notes.clone()));
    warnings
}

/// Refuses a kernel that is known to be untestable where one is named outright.
///
/// # Errors
/// Says why it cannot be tested.
pub fn check_testable(candidate: &Candidate) -> anyhow::Result<()> {
    match &candidate.state {
        CandidateState::Untestable { reason } => Err(errors::usage(
            format!("kernel {} cannot be tested: {reason}", candidate.kernel.package_version),
            "name another one; `kbisect kernels list` says which can be tested",
        )),
        CandidateState::Stored
        | CandidateState::Downloadable { .. }
        | CandidateState::Buildable => Ok(()),
    }
}

/// Refuses to put nodes on one machine that are to have machines of their own.
///
/// # Errors
/// Names them.
pub fn check_placement(placement: Placement, scenario: &Scenario) -> anyhow::Result<()> {
    let own = scenario.nodes.iter().filter(|(_, node)| !node.machine.is_shared());
    let own: Vec<&str> = own.map(|(name, _)| name.as_str()).collect();
    if placement == Placement::Split || own.is_empty() {
        return Ok(());
    }
    let (name, own) = (&scenario.name, own.join(", "));
    Err(errors::usage(
        format!(
            "scenario `{name}` gives nodes machines of their own, which is not one machine: {own}"
        ),
        "leave out --placement single",
    ))
}

/// Refuses a bisection that would name a culprit without a single trial.
///
/// # Errors
/// When both ends are taken for granted and nothing between them can be tried.
pub fn check_work(args: &BisectArgs, series: &[Candidate]) -> anyhow::Result<()> {
    let both = [Endpoint::Good, Endpoint::Bad].iter().all(|end| args.skip_endpoint.contains(end));
    let inner = series.iter().skip(1).take(series.len().saturating_sub(2));
    let testable =
        |candidate: &Candidate| !matches!(candidate.state, CandidateState::Untestable { .. });
    if both && !inner.into_iter().any(testable) {
        return Err(errors::usage(
            "nothing is left to try: both ends are taken for granted, and no kernel lies between them",
            "leave out one --skip-endpoint at least",
        ));
    }
    Ok(())
}

/// Refuses a symptom that is named by its number where no list of them comes about.
///
/// # Errors
/// Says what to name it by.
pub fn check_symptom(args: &BisectArgs) -> anyhow::Result<()> {
    let Some(SymptomName::Number(number)) = args.symptom else { return Ok(()) };
    let why = if args.skip_endpoint.contains(&Endpoint::Bad) {
        "the bad end is not tried"
    } else if args.doubt.settings().is_none() {
        "the bad end is tried once"
    } else {
        return Ok(());
    };
    Err(errors::usage(
        format!("there is no list that symptom {number} would be in: {why}"),
        "name it by its kind or title, or add --flaky (and leave out --skip-endpoint bad)",
    ))
}

/// Prints a plan for `--dry-run`.
pub fn show(plan: &Plan, global: &Global) -> anyhow::Result<()> {
    if global.json {
        return output::json(plan);
    }
    output::print(&words::plan_text(plan, &Source::is_estimate))
}
