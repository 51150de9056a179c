//! `kbisect check`: kernels times scenarios, one trial each.

use std::path::Path;
use std::process::ExitCode;

use kbisect_core::gate::{GateOptions, GatePlan, GateScenario, WaysPlan};
use kbisect_core::job::Subject;
use kbisect_core::run::{RunEvent, is_over};
use kbisect_core::scenario::APPLICATION_STOPPED;
use kbisect_core::workers::Workers;
use kbisect_kernels::Candidate;

use super::cells::{Cells, has_failed, open};
use super::chosen::Chosen;
use super::context::{Base, Context};
use super::dry_run;
use super::ending::{conclude, finish};
use super::executor::{Site, execute};
use super::files::{folders, keep_scenario, new_run};
use super::journal::Journal;
use super::kept::{Kept, quoted, resume_command};
use super::kernels;
use super::matrix::Matrix;
use super::plan::{INFRA_RETRIES, check_placement};
use super::prefetch::Prefetch;
use super::remote::Pools;
use super::workers::workers;
use crate::cli::{CheckArgs, Global, Kernels, MachineArgs, ResumeArgs};
use crate::errors;
use crate::settings::scenario::{LoadedScenario, load};

/// Tries all kernels with all scenarios.
///
/// # Errors
/// Bad arguments, the host's failures, an interruption; what was found by then is written first.
pub fn check(args: &CheckArgs, global: &Global) -> anyhow::Result<ExitCode> {
    // Before the archive is asked: a typing error is to show at once.
    let (names, ways) = if args.ways { of_ways(&args.scenarios)? } else { Default::default() };
    let scenarios = scenarios(if args.ways { &names } else { &args.scenarios })?;
    for tested in &scenarios {
        check_placement(args.setting.placement, &tested.loaded.scenario)?;
    }
    if let Some(file) = &args.junit {
        check_junit(file)?;
    }
    let mut base = Base::new(global)?;
    for warning in scenarios.iter().flat_map(|tested| &tested.loaded.warnings) {
        base.ui.note(&format!("warning: {warning}"));
    }
    let chosen = Chosen::of(args, &mut base, global)?;
    for note in chosen.rows.iter().flat_map(|candidate| &candidate.notes) {
        base.ui.note(note);
    }
    base.note_missing(&chosen.rows);
    if args.setting.dry_run {
        let cell = |tested: &Tested| {
            let name = tested.name.clone();
            chosen.rows.iter().map(move |row| dry_run::trial(row, &name, None)).collect::<Vec<_>>()
        };
        let trials = scenarios.iter().flat_map(cell).collect();
        return dry_run::show("check", &base, &args.setting, (trials, Vec::new()), global);
    }
    let reference = kernels::reference(&base, args.setting.reference.as_deref())?;
    let (all, placement) = (with_all_packages(&scenarios), args.setting.placement);
    let needs = (&all.scenario.image, &*all.name);
    let pools = Pools::of(&args.pool, &base.settings, args.workers.workers.is_none())?;
    let context = Context::new(base, &args.machine, needs, reference, placement)?
        .reusing(&args.setting)
        .with_pools(pools);
    context.base.begin_run();
    let (run_id, folder) = new_run(&args.setting.results, &what(args))?;
    for tested in &scenarios {
        let folder = folder.join("scenarios").join(&tested.folder);
        keep_scenario(&folder, &tested.loaded.scenario)?;
    }
    let plan = GatePlan { ways, ..plan(args, &context, run_id, &scenarios, &chosen) };
    let wish = args.workers.wish();
    let options = GateOptions {
        workers: match wish {
            Workers::Auto => None,
            Workers::Count(count) => Some(count),
        },
        junit: match &args.junit {
            Some(file) => Some(std::path::absolute(file)?.display().to_string()),
            None => None,
        },
        cold: args.machine.cold,
        machine: context.choices,
    };
    let mut journal = Journal::create(&folder, &context.base.ui)?;
    journal.append(RunEvent::CheckBegan {
        plan: Box::new(plan),
        options: Box::new(options.clone()),
        environment: Box::new(context.environment()),
    })?;
    let machine = &args.machine;
    let is_canary = args.canary;
    Check { folder: &folder, rows: &chosen.rows, wish, options, is_canary, journal, machine }
        .finish(context, scenarios, global)
}

/// Goes on with a check that was interrupted.
///
/// # Errors
/// As [`check`].
pub(super) fn resume_check(
    args: &ResumeArgs,
    (plan, mut options): (GatePlan, GateOptions),
    mut base: Base,
    mut journal: Journal,
    folder: &Path,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    if args.budget.is_some() {
        return Err(errors::usage(
            "a check tries each kernel once and has no budget",
            "leave --budget out",
        ));
    }
    // The journal may be from somebody else: a file outside of the run's folder is named by the user.
    if let (Some(file), None) = (&options.junit, &args.junit) {
        base.ui.note(&format!(
            "note: the check was begun with --junit {file}; give --junit again to have it written"
        ));
    }
    options.junit = match &args.junit {
        Some(file) => {
            check_junit(file)?;
            Some(std::path::absolute(file)?.display().to_string())
        }
        None => None,
    };
    if is_over(journal.events()) {
        // Nothing is left to try; the reports are written again.
        base.ui.finish();
        return conclude(&Matrix { junit: options.junit.as_deref() }, &journal, folder, global);
    }
    let under_test = plan.rows().into_iter().map(|(kernel, _)| kernel);
    base.look_where(under_test.chain([&plan.reference]))?;
    let rows = Chosen::again(&plan, &base)?;
    let scenarios = kept(&plan, folder)?;
    let environment = journal.environment().cloned().unwrap_or_default();
    let kept = Kept {
        environment: &environment,
        machine: options.machine,
        cold: options.cold,
        reference: &plan.reference,
    };
    let machine = kept.machine(args);
    let pools = Pools::of(&args.again.pool, &base.settings, args.again.workers.is_none())?;
    let context = kept.context(base, &machine, &with_all_packages(&scenarios))?.with_pools(pools);
    context.base.begin_run();
    journal.append(RunEvent::Resumed)?;
    journal.runs_in(context.environment())?;
    let wish =
        args.again.workers.unwrap_or_else(|| options.workers.map_or(Workers::Auto, Workers::Count));
    let is_canary = plan.canary;
    Check { folder, rows: &rows, wish, options, is_canary, journal, machine: &machine }
        .finish(context, scenarios, global)
}

/// A scenario of a check.
struct Tested {
    /// As typed.
    name: String,
    /// Its folder below `scenarios` and `lab`.
    folder: String,
    /// The scenario.
    loaded: LoadedScenario,
}

/// A check with all that it takes.
struct Check<'a> {
    folder: &'a Path,
    rows: &'a [Candidate],
    wish: Workers,
    options: GateOptions,
    is_canary: bool,
    journal: Journal,
    machine: &'a MachineArgs,
}

impl Check<'_> {
    /// Runs to the end, and tells how it ended.
    fn finish(
        mut self,
        context: Context,
        scenarios: Vec<Tested>,
        global: &Global,
    ) -> anyhow::Result<ExitCode> {
        let ui = context.base.ui.clone();
        let ended = self.try_all(context, scenarios);
        let ended = ended.and_then(|()| self.journal.append(RunEvent::Completed));
        ui.finish();
        let mut resume = resume_command(self.folder, global, self.machine);
        if let Some(file) = &self.options.junit {
            resume += &format!(" --junit {}", quoted(file));
        }
        let answers = Matrix { junit: self.options.junit.as_deref() };
        finish(&answers, ended, &mut self.journal, self.folder, global, &resume)
    }

    /// Tries scenario by scenario, so that the peer machines can stay up.
    fn try_all(&mut self, mut context: Context, scenarios: Vec<Tested>) -> anyhow::Result<()> {
        let prefetch = Prefetch::start(&context.base, context.choices.boot);
        let all = scenarios.len() * self.rows.len();
        let open = |tested: &Tested, journal: &Journal| open(&tested.name, self.rows, journal);
        let mut left: usize = scenarios.iter().map(|tested| open(tested, &self.journal)).sum();
        if left < all {
            context.base.ui.note(&format!("{} of {all} trials are in the journal", all - left));
        }
        // States that serve all scenarios, where there are several.
        context.preload = scenarios.len() == 1;
        for tested in scenarios {
            let open = open(&tested, &self.journal);
            if open == 0 {
                continue;
            }
            let subject =
                Subject { folder: Some(tested.folder), ..tested.loaded.subject(&tested.name) };
            let accelerator = &context.probe.accelerator;
            let note = format!("{}: kernels to try: {open}, {accelerator}", tested.name);
            context.base.ui.note(&note);
            let site = Site {
                context: &context,
                folder: self.folder,
                workers: (workers(self.wish, context.ground(), &subject.scenario).get() as usize)
                    .min(open),
                prefetch: &prefetch,
                retries: INFRA_RETRIES,
            };
            let mut cells = Cells::new(&subject, self.rows, &self.journal, left);
            if self.is_canary {
                cells = cells.careful();
            }
            let (ended, probe) = execute(&site, &mut self.journal, &mut cells)?;
            context.probe = probe;
            self.journal.runs_in(context.environment())?;
            ended?;
            left -= open;
            if self.is_canary && has_failed(&self.journal) {
                break;
            }
        }
        Ok(())
    }
}

fn plan(
    args: &CheckArgs,
    context: &Context,
    run_id: String,
    scenarios: &[Tested],
    chosen: &Chosen,
) -> GatePlan {
    let range = |asked: &Kernels| match asked {
        Kernels::One(_) => None,
        Kernels::Between(range) => Some(range.to_string()),
    };
    let scenario = |tested: &Tested| tested.loaded.planned(&tested.name);
    GatePlan {
        run_id,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        command: std::env::args().collect(),
        kernels: chosen.under_test.clone(),
        baseline: chosen.baseline.clone(),
        scenarios: scenarios.iter().map(scenario).collect(),
        left_out: chosen.left_out.clone(),
        reference: context.reference.kernel.clone(),
        allow_skips: args.allow_skips,
        allow_broken: args.allow_broken.clone(),
        ranges: args.kernels.iter().filter_map(range).collect(),
        canary: args.canary,
        ways: Vec::new(),
        newest_of: args.newest.clone().map(Option::unwrap_or_default),
    }
}

/// The ways of scenarios, by the names that load them, and how they are compared.
fn of_ways(names: &[String]) -> anyhow::Result<(Vec<String>, Vec<WaysPlan>)> {
    let (mut all, mut plans): (Vec<String>, Vec<WaysPlan>) = (Vec::new(), Vec::new());
    for (name, _) in folders(names) {
        let scenario = load(&name)?.scenario;
        let ways: Vec<String> = scenario.ways().iter().map(|way| format!("{name}:{way}")).collect();
        if ways.is_empty() || scenario.name.contains(':') {
            return Err(errors::usage(
                format!("scenario `{name}` has no ways to compare"),
                "give steps of its [[setup]] or [[replay]] a `way = \"NAME\"`; see scenarios/README.md",
            ));
        }
        let stopped = scenario.flavoured(APPLICATION_STOPPED);
        let stopped = stopped.map(|_| format!("{name}:{APPLICATION_STOPPED}"));
        all.extend(ways.iter().chain(&stopped).cloned());
        plans.push(WaysPlan { scenario: name, ways, stopped });
    }
    Ok((all, plans))
}

/// Loads the scenarios, each once.
fn scenarios(names: &[String]) -> anyhow::Result<Vec<Tested>> {
    let mut loaded: Vec<Tested> = Vec::new();
    for (name, folder) in folders(names) {
        loaded.push(Tested { loaded: load(&name)?, name, folder });
    }
    Ok(loaded)
}

/// The first scenario with the packages that any of them needs: user space is one in a check.
fn with_all_packages(scenarios: &[Tested]) -> Subject {
    let mut loaded = scenarios[0].loaded.clone();
    let needs = scenarios.iter().flat_map(|tested| &tested.loaded.scenario.image.packages);
    loaded.scenario.image.packages = needs.cloned().collect();
    loaded.subject(&scenarios[0].name)
}

/// The scenarios of a check again, from the copies in its folder.
fn kept(plan: &GatePlan, folder: &Path) -> anyhow::Result<Vec<Tested>> {
    let names: Vec<String> = plan.scenarios.iter().map(|scenario| scenario.name.clone()).collect();
    let again = |((name, below), planned): ((String, String), &GateScenario)| {
        let kept = folder.join("scenarios").join(&below);
        let loaded = LoadedScenario::kept(&kept, &planned.sha256)?;
        Ok(Tested { name, folder: below, loaded })
    };
    folders(&names).into_iter().zip(&plan.scenarios).map(again).collect()
}

/// Refuses a file that could not be written after all the work.
fn check_junit(file: &Path) -> anyhow::Result<()> {
    let parent = std::path::absolute(file)?.parent().map(Path::to_owned);
    if parent.is_some_and(|parent| parent.is_dir()) && !file.is_dir() {
        return Ok(());
    }
    Err(errors::usage(
        format!("cannot write `{}`: its folder is not there, or it is one", file.display()),
        "make the folder first, and name a file in it",
    ))
}

/// What the run's folder is called after.
fn what(args: &CheckArgs) -> String {
    let first = match (args.kernels.first(), &args.newest) {
        (Some(Kernels::One(spec)), _) => spec.clone(),
        (Some(Kernels::Between(range)), _) => range.to_string(),
        (None, Some(Some(suite))) => format!("newest-{suite}"),
        (None, _) => "newest".to_owned(),
    };
    let more = if args.kernels.len() > 1 { "+" } else { "" };
    format!("check-{first}{more}")
}
