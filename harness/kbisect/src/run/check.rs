//! `kbisect check`: kernels times scenarios, one trial each.

use std::path::Path;
use std::process::ExitCode;

use kbisect_core::gate::{GateEvent, GateOptions, GateOutcome, GatePlan, GateResult, GateScenario};
use kbisect_core::workers::Workers;
use kbisect_kernels::Candidate;
use kbisect_report::{html_check, junit_check, markdown_check};

use super::chosen::Chosen;
use super::context::{Base, Context};
use super::files::{keep_scenario, kept_scenario, new_run, write_json, write_whole};
use super::gate_log::GateLog;
use super::gate_trials::{Matrix, Tested};
use super::resume::{accelerator_of, quoted, resume_command};
use super::{kernels, matrix};
use crate::cli::{self, CheckArgs, Global, Kernels, MachineArgs, ResumeArgs};
use crate::exit::Class;
use crate::settings::scenario::{LoadedScenario, load};
use crate::{errors, exit, output};

/// Tries all kernels with all scenarios.
///
/// # Errors
/// Bad arguments, the host's failures, an interruption; what was found by then is written first.
pub fn check(args: &CheckArgs, global: &Global) -> anyhow::Result<ExitCode> {
    // Before the archive is asked: a typing error is to show at once.
    let scenarios = scenarios(&args.scenarios)?;
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
    let reference = kernels::reference(&base, args.setting.reference.as_deref())?;
    let first = &scenarios[0];
    let (loaded, placement) = (with_all_packages(&scenarios), args.setting.placement);
    let context = Context::new(base, &args.machine, loaded, &first.name, reference, placement)?;
    context.base.begin_run();
    let (run_id, folder) = new_run(&args.setting.results, &what(args))?;
    for tested in &scenarios {
        let folder = folder.join("scenarios").join(&tested.folder);
        keep_scenario(&folder, &tested.loaded.scenario)?;
    }
    let plan = plan(args, &context, run_id, &scenarios, &chosen);
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
    let mut log = GateLog::create(&folder)?;
    log.append(GateEvent::Began {
        plan: Box::new(plan),
        options: options.clone(),
        environment: context.environment(),
    })?;
    let machine = &args.machine;
    Check { folder: &folder, rows: &chosen.rows, wish, options, log, machine }
        .finish(context, scenarios, global)
}

/// Goes on with a check that was interrupted.
///
/// # Errors
/// As [`check`]; a journal that is damaged or in use.
pub(super) fn resume_check(
    args: &ResumeArgs,
    folder: &Path,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    if args.budget.is_some() {
        return Err(errors::usage(
            "a check tries each kernel once and has no budget",
            "leave --budget out",
        ));
    }
    let mut base = Base::new(global)?;
    let mut log = GateLog::resume(folder, &base.ui)?;
    let begun = log.lines.iter().find_map(|line| match &line.event {
        GateEvent::Began { plan, options, environment } => {
            Some((plan.as_ref().clone(), options.clone(), environment.clone()))
        }
        _ => None,
    });
    let Some((plan, mut options, environment)) = begun else {
        return Err(errors::usage(
            format!(
                "the journal of {} has no plan: the check was stopped before it began",
                folder.display()
            ),
            "begin a new check",
        ));
    };
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
    if matches!(log.lines.last(), Some(line) if matches!(line.event, GateEvent::Ended { aborted: None, .. }))
    {
        // Nothing is left to try; the reports are written again.
        base.ui.finish();
        let result = log.result(folder)?;
        write_reports(&result, &options)?;
        return tell(&result, global);
    }
    let under_test = plan.rows().into_iter().map(|(kernel, _)| kernel);
    base.look_where(under_test.chain([&plan.reference]))?;
    let rows = Chosen::again(&plan, &base)?;
    let scenarios = kept(&plan, folder)?;
    let machine = MachineArgs {
        accel: accelerator_of(&environment),
        qemu: args.qemu.clone(),
        image: args.image.clone(),
        cold: options.cold,
        ..MachineArgs::from(options.machine)
    };
    let placement = match environment.placement.as_str() {
        "single" => cli::Placement::Single,
        _ => cli::Placement::Split,
    };
    let reference = kernels::reference(&base, Some(&plan.reference.id.0))
        .or_else(|_| kernels::reference(&base, Some(plan.reference.package_version.as_str())))?;
    let first = &scenarios[0];
    let (loaded, name) = (with_all_packages(&scenarios), first.name.clone());
    let context = Context::new(base, &machine, loaded, &name, reference, placement)?;
    if context.image.key != environment.image {
        return Err(errors::infrastructure(
            "the root image is not the one that the check began with",
            "user space must be the same in all trials of a check: use the same kbisect (and --image, if \
             it was given), or begin anew",
        ));
    }
    context.base.begin_run();
    log.append(GateEvent::Resumed { environment: context.environment() })?;
    let wish =
        args.workers.unwrap_or_else(|| options.workers.map_or(Workers::Auto, Workers::Count));
    Check { folder, rows: &rows, wish, options, log, machine: &machine }
        .finish(context, scenarios, global)
}

/// A check with all that it takes.
struct Check<'a> {
    folder: &'a Path,
    rows: &'a [Candidate],
    wish: Workers,
    options: GateOptions,
    log: GateLog,
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
        let matrix = Matrix::new(self.folder, self.rows, self.wish, &mut self.log);
        let (context, ended) = matrix.try_all(context, scenarios);
        context.base.ui.finish();
        let aborted = ended.as_ref().err().map(errors::message);
        let end = GateEvent::Ended { aborted, environment: context.environment() };
        let logged = self.log.append(end);
        let result = self.log.result(self.folder)?;
        let written = logged.and_then(|()| write_reports(&result, &self.options));
        let Err(error) = ended else {
            written?;
            return tell(&result, global);
        };
        // The disk may be the very thing that failed.
        if let Err(second) = written {
            output::say(&format!("warning: {}", errors::message(&second)));
        }
        let mut resume = resume_command(self.folder, global, self.machine);
        if let Some(file) = &self.options.junit {
            resume += &format!(" --junit {}", quoted(file));
        }
        let class = errors::class(&error);
        let error = match (class, errors::hint(&error)) {
            (Class::Interrupted, _) => {
                errors::interrupted("interrupted", Some(format!("go on with: {resume}")))
            }
            (_, Some(hint)) => errors::infrastructure(
                errors::message(&error),
                format!("{hint}; then go on with: {resume}"),
            ),
            (_, None) => errors::infrastructure(
                errors::message(&error),
                format!("when the cause is gone, go on with: {resume}"),
            ),
        };
        errors::report(&error, false);
        print(&result, global)?;
        Ok(exit::code(errors::class(&error).code(false)))
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
    let scenario = |tested: &Tested| GateScenario {
        name: tested.name.clone(),
        summary: tested.loaded.scenario.summary.clone(),
        sha256: tested.loaded.sha256.clone(),
    };
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
        newest_of: args.newest.clone().map(Option::unwrap_or_default),
    }
}

/// Writes the result in all forms that stay with the check.
fn write_reports(result: &GateResult, options: &GateOptions) -> anyhow::Result<()> {
    let folder = Path::new(&result.run_dir);
    write_json(&folder.join("result.json"), result)?;
    write_whole(&folder.join("report.md"), markdown_check(result).as_bytes())?;
    write_whole(&folder.join("report.html"), html_check(result).as_bytes())?;
    let Some(file) = &options.junit else { return Ok(()) };
    write_whole(Path::new(file), junit_check(result).as_bytes())
}

/// Prints the result; the exit code is its outcome.
fn tell(result: &GateResult, global: &Global) -> anyhow::Result<ExitCode> {
    print(result, global)?;
    Ok(exit::code(match result.outcome {
        GateOutcome::Passed => exit::OK,
        GateOutcome::Regressed | GateOutcome::AlreadyBroken | GateOutcome::NotTested => {
            exit::REGRESSED
        }
        GateOutcome::ScenarioError => exit::SCENARIO,
        GateOutcome::Aborted => exit::INFRASTRUCTURE,
    }))
}

fn print(result: &GateResult, global: &Global) -> anyhow::Result<()> {
    if global.json { output::json(result) } else { output::print(&matrix::text(result)) }
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
fn with_all_packages(scenarios: &[Tested]) -> LoadedScenario {
    let mut loaded = scenarios[0].loaded.clone();
    let needs = scenarios.iter().flat_map(|tested| &tested.loaded.scenario.image.packages);
    loaded.scenario.image.packages = needs.cloned().collect();
    loaded
}

/// The scenarios of a check again, from the copies in its folder.
fn kept(plan: &GatePlan, folder: &Path) -> anyhow::Result<Vec<Tested>> {
    let names: Vec<String> = plan.scenarios.iter().map(|scenario| scenario.name.clone()).collect();
    let again = |((name, below), planned): ((String, String), &GateScenario)| {
        let loaded = LoadedScenario {
            scenario: kept_scenario(&folder.join("scenarios").join(&below))?,
            sha256: planned.sha256.clone(),
            origin: folder.display().to_string(),
            warnings: Vec::new(),
        };
        Ok(Tested { name, folder: below, loaded })
    };
    folders(&names).into_iter().zip(&plan.scenarios).map(again).collect()
}

/// Names of scenarios, each once, with names of folders that differ: `mine` and `./mine` are two.
fn folders(names: &[String]) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for name in names {
        if found.iter().any(|(known, _)| known == name) {
            continue;
        }
        let plain = plain(name);
        let mut folder = plain.clone();
        for round in 2.. {
            if !found.iter().any(|(_, known)| *known == folder) {
                break;
            }
            folder = format!("{plain}-{round}");
        }
        found.push((name.clone(), folder));
    }
    found
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

/// A scenario's name as that of a folder.
fn plain(name: &str) -> String {
    let name = name.trim_matches(['.', '/']);
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_that_look_alike_keep_folders_of_their_own() {
        let names = ["mine", "./mine", "mine", "../mine/"].map(str::to_owned);
        let found: Vec<String> = folders(&names).into_iter().map(|(_, folder)| folder).collect();
        assert_eq!(found, ["mine", "mine-2", "mine-3"]);
    }
}
