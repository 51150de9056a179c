//! `kbisect minimize`: the smallest part of a scenario that still shows the failure of a run.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use kbisect_core::answer::Taken;
use kbisect_core::boot::Coming;
use kbisect_core::gate::GateOptions;
use kbisect_core::job::{Limits, Subject};
use kbisect_core::minimize::{
    Ingredients, MinimizeOutcome, MinimizeResult, Reduction, Want, shows, tried,
};
use kbisect_core::run::{Aim, JournalLine, KernelPlan, RunEvent, Tried};
use kbisect_core::trial::{Phase, Symptom, TrialRecord, Verdict};
use kbisect_kernels::Candidate;
use kbisect_report::{Dossier, Style, Subject as About};

use super::context::Base;
use super::dry_run;
use super::ending::{Answers, not_begun};
use super::executor::{Crew, Task, With, Work};
use super::files::{keep_scenario, kept_scenario, write_json};
use super::journal::Journal;
use super::lone::{Lone, Resumed, Wanted, make};
use crate::cli::{Global, MinimizeArgs, Placement};
use crate::settings::global::run_folder;
use crate::settings::scenario::load_kept;
use crate::{errors, exit};

/// How often a trial that failed for our own reasons is tried again.
const RETRIES: u32 = 2;
/// Chance that a failure which does not show in every trial is taken for gone though it is not.
const MISTAKE: f64 = 0.05;
/// Most trials that are made before a failure is taken for gone.
const MOST_REPEATS: u32 = 20;
/// Shortest time, in seconds, that a check or a service is given.
const SHORTEST_LIMIT_S: f64 = 5.0;
/// How many times as long as the longest phase of the whole scenario is waited for.
const SLACK: f64 = 1.5;

/// Reduces the scenario of a run that failed.
///
/// # Errors
/// A run without a failure, what cannot be found, the host's failures, an interruption.
pub fn minimize(args: &MinimizeArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let folder = run_folder(&args.run, &args.setting.results)?;
    let dossier = Dossier::read(&folder)?;
    let nothing = || {
        errors::usage(
            format!("the run in `{}` has no bad trial", folder.display()),
            "name a bisection that found something, or a single trial that is bad",
        )
    };
    let bad = dossier.bad().ok_or_else(nothing)?;
    let symptom = bad.symptom.clone().ok_or_else(nothing)?;
    let repeats = repeats(&dossier, &symptom);
    let (name, environment) = match &dossier.subject {
        About::Bisection(result) => (result.scenario.clone(), &result.environment),
        About::Trial(result) => (result.scenario.clone(), &result.environment),
    };
    let loaded = load_kept(&folder.join("scenario"))?;
    let mut base = Base::new(global)?;
    base.look_where(dossier.kernels().into_iter().map(|(_, kernel)| kernel))?;
    let mut setting = args.setting.clone();
    if environment.placement == "single" {
        setting.placement = Placement::Single;
    }
    if setting.reference.is_none() {
        let reference = dossier.kernels().into_iter().find(|(role, _)| *role == "reference");
        setting.reference = reference.map(|(_, kernel)| kernel.id.0.clone());
    }
    if setting.dry_run {
        let kernel = dry_run::kernel(&base, Some(&bad.kernel.id.0), &setting)?;
        let ingredients = Ingredients::of(&loaded.scenario);
        let names = ingredients.all.iter().map(|it| format!("{}\n", it.name)).collect();
        let planned = (vec![dry_run::trial(&kernel, &name, None)], names);
        return dry_run::show("minimize", &base, &setting, planned, global);
    }
    let wanted = Wanted {
        scenario: &name,
        kernel: Some(&bad.kernel.id.0),
        setting: &setting,
        evidence: Default::default(),
        machine: &args.machine,
        workers: args.workers.wish(),
    };
    let mut lone = Lone::prepare(&wanted, loaded, base, "minimize-")?;
    lone.plan.like = Some(Box::new(symptom));
    lone.plan.repeats = repeats;
    lone.journal.append(RunEvent::MinimizeBegan {
        plan: Box::new(lone.plan.clone()),
        options: Box::new(lone.options.clone()),
        environment: Box::new(lone.context.environment()),
    })?;
    lone.finish(&Smallest, global, try_all)
}

/// How often a failure must be missing before that is believed: by its rate in the run's own trials of
/// that kernel.
fn repeats(dossier: &Dossier, symptom: &Symptom) -> u32 {
    let About::Bisection(result) = &dossier.subject else { return 1 };
    let Some(bad) = dossier.bad() else { return 1 };
    let of_kernel = || result.trials.iter().filter(|trial| trial.kernel.id == bad.kernel.id);
    let fails = of_kernel().filter(|trial| shows(symptom, trial)).count();
    let passes = of_kernel().filter(|trial| trial.verdict() == Verdict::Good).count();
    if passes == 0 || fails == 0 {
        return 1;
    }
    let rate = fails as f64 / (fails + passes) as f64;
    let needed = (MISTAKE.ln() / (1.0 - rate).ln()).ceil();
    (needed as u32).clamp(1, MOST_REPEATS)
}

/// Goes on with a reduction that was interrupted.
///
/// # Errors
/// As [`minimize`].
pub(super) fn resume_minimize(
    resumed: Resumed<'_>,
    begun: (KernelPlan, GateOptions),
) -> anyhow::Result<ExitCode> {
    resumed.finish(begun, &Smallest, try_all)
}

fn try_all(lone: &mut Lone) -> anyhow::Result<()> {
    let workers = lone.workers();
    let Lone { context, candidate, loaded, plan, journal, folder, .. } = lone;
    let Some(symptom) = plan.like.as_deref() else { return Err(not_begun(folder)) };
    let ingredients = Ingredients::of(&loaded.scenario);
    let reduction = Reduction::of(&ingredients, plan.repeats);
    let mut work = Reduce { ingredients, reduction, plan, symptom, candidate };
    make(context, folder, journal, (workers, RETRIES), &mut work)?;
    journal.append(RunEvent::Completed)
}

/// The trials of a reduction.
struct Reduce<'a> {
    ingredients: Ingredients<'a>,
    reduction: Reduction,
    plan: &'a KernelPlan,
    symptom: &'a Symptom,
    candidate: &'a Candidate,
}

/// A failure shows within the time that it took with the whole scenario; longer waits tell nothing.
fn limits(symptom: &Symptom, journal: &Journal) -> Limits {
    let whole = journal.events().find_map(|event| match event {
        RunEvent::TrialEnded { tried: Tried::Scenario { without, .. }, record, .. }
            if without.is_empty() && shows(symptom, record) =>
        {
            Some(record)
        }
        _ => None,
    });
    let phases = [Phase::Setup, Phase::Workload, Phase::Replay, Phase::Checks];
    let longest = whole.and_then(|record| {
        let seconds = phases.iter().filter_map(|phase| record.timings_s.get(&phase.to_string()));
        seconds.copied().reduce(f64::max)
    });
    let limit = longest.map(|seconds| SHORTEST_LIMIT_S.max(seconds * SLACK));
    // The trial with everything is there for who wants to know more.
    Limits { check_s: limit, ready_s: limit, brief: whole.is_some() }
}

/// What a trial leaves out.
fn gone(task: &Task) -> BTreeSet<usize> {
    match &task.aim {
        Aim::Cell { without, .. } => without.iter().map(|at| *at as usize).collect(),
        Aim::Version { .. } | Aim::Revert { .. } | Aim::Beside { .. } => BTreeSet::new(),
    }
}

impl Reduce<'_> {
    /// Whether trials without the same have told all that they will.
    fn is_answered(&self, journal: &Journal, task: &Task) -> bool {
        tried(self.symptom, journal.events()).contains_key(&gone(task))
    }
}

impl Work for Reduce<'_> {
    fn hand_out(&mut self, crew: &mut Crew<'_>) -> anyhow::Result<()> {
        let mut known = tried(self.symptom, crew.journal.events());
        while let Some(worker) = crew.idle() {
            let pending: Vec<BTreeSet<usize>> = crew.tasks.iter().map(gone).collect();
            let want = self.reduction.next_of(&self.ingredients, &mut known, &pending);
            // An end that rests on what is under way is none yet.
            let Want::Try(without) = want else { break };
            let Some(scenario) = self.ingredients.without(&without) else { break };
            let numbers: Vec<u32> = without.iter().map(|at| *at as u32).collect();
            let subject = Subject {
                name: self.plan.scenario.name.clone(),
                scenario: scenario.into(),
                folder: None,
                apart: false,
            };
            let aim = Aim::Cell {
                scenario: self.plan.scenario.name.clone(),
                kernel: Box::new(self.plan.kernel.clone()),
                injected: None,
                without: numbers,
                estimated_left: 1,
            };
            let with = With { limits: limits(self.symptom, crew.journal), ..With::only(subject) };
            crew.start(worker, aim, self.candidate.clone(), Coming::Any, with);
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
        let without = match &task.aim {
            Aim::Cell { without, .. } => without.clone(),
            Aim::Version { .. } | Aim::Revert { .. } | Aim::Beside { .. } => Vec::new(),
        };
        let whole = without.is_empty();
        let tried =
            Tried::Scenario { scenario: self.plan.scenario.name.clone(), injected: None, without };
        let (mark, taken) = (None, Taken::default());
        let ended = RunEvent::TrialEnded { tried, record: record.clone(), mark, taken };
        crew.journal.append(ended)?;
        match record.verdict() {
            Verdict::Infra(_) if !whole && self.is_answered(crew.journal, &task) => Ok(()),
            Verdict::Infra(_) => crew.try_again(task, &record),
            // Without something that it needs a scenario can be wrong; as a whole it was not.
            Verdict::Scenario(fault) if whole => {
                crew.fail(errors::scenario(fault));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn close(&mut self, _: &mut Crew<'_>) -> anyhow::Result<()> {
        Ok(())
    }
}

/// The answer of a reduction: what the failure needs.
pub struct Smallest;

impl Answers for Smallest {
    type Answer = MinimizeResult;
    const TELLS_PARTS: bool = false;

    fn read(&self, lines: &[JournalLine], folder: &Path) -> anyhow::Result<Option<MinimizeResult>> {
        let scenario = kept_scenario(folder).map_err(|_| not_begun(folder))?;
        let run_dir = folder.display().to_string();
        Ok(kbisect_report::minimize_result(lines, &scenario, &run_dir))
    }

    fn write(
        &self,
        result: &MinimizeResult,
        lines: &[JournalLine],
        folder: &Path,
    ) -> anyhow::Result<()> {
        let whole = kept_scenario(folder)?;
        if let Some(smallest) = MinimizeResult::minimal(lines, &whole) {
            // `keep_scenario` puts it below a folder of that name.
            keep_scenario(&folder.join("minimal"), &smallest)?;
        }
        write_json(&folder.join("result.json"), result)
    }

    fn text(&self, result: &MinimizeResult, _: Style) -> String {
        kbisect_report::terminal_summary_minimize(result)
    }

    fn code(&self, result: &MinimizeResult) -> u8 {
        match result.outcome {
            MinimizeOutcome::Minimized => exit::OK,
            MinimizeOutcome::NotReproduced => exit::NO_CULPRIT,
        }
    }
}
