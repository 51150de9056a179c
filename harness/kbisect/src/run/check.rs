//! `kbisect check`: kernels times scenarios, one trial each.

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use kbisect_core::gate::{
    GateEnd, GateOutcome, GatePlan, GateResult, GateScenario, GateTrial, LeftOutKernel,
};
use kbisect_core::run::RunEvent;
use kbisect_core::trial::{TrialRecord, Verdict};
use kbisect_kernels::{Candidate, CandidateState};
use kbisect_report::junit_check;

use super::context::{Base, Context};
use super::files::{keep_scenario, new_run, write_json, write_whole};
use super::plan::{INFRA_RETRIES, check_testable};
use super::prefetch::Prefetch;
use super::trial::{Place, Trials, host_failed, is_full};
use super::{kernels, matrix};
use crate::cli::{CheckArgs, Global, Kernels};
use crate::settings::scenario::{LoadedScenario, load};
use crate::{errors, exit, output};

/// Kernels that are fetched ahead.
const AHEAD: usize = 2;

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
    let base = Base::new(global)?;
    let started = Instant::now();
    for warning in scenarios.iter().flat_map(|(_, loaded)| &loaded.warnings) {
        base.ui.note(&format!("warning: {warning}"));
    }
    let chosen = Chosen::of(args, &base)?;
    for note in chosen.rows.iter().flat_map(|candidate| &candidate.notes) {
        base.ui.note(note);
    }
    let reference = kernels::reference(&base, args.setting.reference.as_deref())?;
    let (name, first) = &scenarios[0];
    let placement = args.setting.placement;
    let context = Context::new(base, &args.machine, first.clone(), name, reference, placement)?;
    let (run_id, folder) = new_run(&args.setting.results, &what(args))?;
    let plan = GatePlan {
        run_id,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        command: std::env::args().collect(),
        kernels: chosen.under_test,
        baseline: chosen.baseline,
        scenarios: scenarios
            .iter()
            .map(|(name, loaded)| GateScenario {
                name: name.clone(),
                summary: loaded.scenario.summary.clone(),
                sha256: loaded.sha256.clone(),
            })
            .collect(),
        left_out: chosen.left_out,
        reference: context.reference.kernel.clone(),
        allow_skips: args.allow_skips,
    };
    let mut matrix = Matrix { folder: &folder, rows: &chosen.rows, trials: Vec::new() };
    let (context, ended) = matrix.try_all(context, scenarios);
    context.base.ui.finish();
    let end = GateEnd {
        aborted: ended.as_ref().err().map(errors::message),
        environment: context.environment(),
        wall_s: started.elapsed().as_secs_f64(),
        run_dir: folder.display().to_string(),
    };
    let result = GateResult::new(plan, matrix.trials, end);
    conclude(&result, ended, args, global)
}

/// Writes and prints the result.
fn conclude(
    result: &GateResult,
    ended: anyhow::Result<()>,
    args: &CheckArgs,
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let write = || -> anyhow::Result<()> {
        write_json(&Path::new(&result.run_dir).join("result.json"), result)?;
        let Some(file) = &args.junit else { return Ok(()) };
        write_whole(&std::path::absolute(file)?, junit_check(result).as_bytes())
    };
    let written = write();
    if let Err(error) = ended {
        // The disk may be the very thing that failed.
        if let Err(second) = written {
            output::say(&format!("warning: {}", errors::message(&second)));
        }
        errors::report(&error, false);
        print(result, global)?;
        return Ok(exit::code(errors::class(&error).code(false)));
    }
    written?;
    print(result, global)?;
    Ok(exit::code(match result.outcome {
        GateOutcome::Passed => exit::OK,
        GateOutcome::Regressed | GateOutcome::NotTested => exit::REGRESSED,
        GateOutcome::Aborted => exit::INFRASTRUCTURE,
    }))
}

fn print(result: &GateResult, global: &Global) -> anyhow::Result<()> {
    if global.json { output::json(result) } else { output::print(&matrix::text(result)) }
}

/// The kernels that were asked for.
struct Chosen {
    /// To be tried, in the plan's order of rows.
    rows: Vec<Candidate>,
    under_test: Vec<kbisect_core::kernel::Kernel>,
    baseline: Option<kbisect_core::kernel::Kernel>,
    left_out: Vec<LeftOutKernel>,
}

impl Chosen {
    /// Finds the kernels; one that is named outright must be testable.
    fn of(args: &CheckArgs, base: &Base) -> anyhow::Result<Self> {
        let (mut rows, mut left_out): (Vec<Candidate>, Vec<LeftOutKernel>) = Default::default();
        for asked in &args.kernels {
            let candidates = match asked {
                Kernels::One(spec) => {
                    let candidate = base.catalog.resolve(spec)?;
                    check_testable(&candidate)?;
                    vec![candidate]
                }
                Kernels::Between(range) => base.catalog.series(&range.old, &range.new)?,
            };
            for candidate in candidates {
                let known = |id| rows.iter().any(|row| row.kernel.id == id);
                match &candidate.state {
                    CandidateState::Untestable { reason } => left_out.push(LeftOutKernel {
                        kernel: candidate.kernel.clone(),
                        reason: reason.clone(),
                    }),
                    _ if known(candidate.kernel.id.clone()) => {}
                    _ => rows.push(candidate),
                }
            }
        }
        if rows.is_empty() {
            return Err(errors::usage(
                "none of these kernels can be tested",
                "name others; `kbisect kernels list` says which can be tested",
            ));
        }
        let under_test: Vec<_> = rows.iter().map(|row| row.kernel.clone()).collect();
        let baseline = match &args.baseline {
            None => None,
            Some(spec) => {
                let candidate = base.catalog.resolve(spec)?;
                check_testable(&candidate)?;
                let kernel = candidate.kernel.clone();
                if !under_test.iter().any(|other| other.id == kernel.id) {
                    rows.insert(0, candidate);
                }
                Some(kernel)
            }
        };
        Ok(Self { rows, under_test, baseline, left_out })
    }
}

/// The trials of a check while they are made.
struct Matrix<'a> {
    folder: &'a Path,
    rows: &'a [Candidate],
    trials: Vec<GateTrial>,
}

impl Matrix<'_> {
    /// Tries scenario by scenario, so that the peer machine can stay up. The context comes back as
    /// the trials left it.
    fn try_all(
        &mut self,
        mut context: Context,
        scenarios: Vec<(String, LoadedScenario)>,
    ) -> (Context, anyhow::Result<()>) {
        let base = &context.base;
        let prefetch = Prefetch::start(base.store.clone(), base.settings.clone(), base.progress());
        let all = scenarios.len() * self.rows.len();
        for (done, (name, loaded)) in scenarios.into_iter().enumerate() {
            context = context.with_scenario(loaded, &name);
            let accelerator = &context.probe.accelerator;
            let count = self.rows.len();
            context.base.ui.note(&format!("{name}: kernels to try: {count}, {accelerator}"));
            let mut trials = Trials::new(&context, self.folder).with_lab(&plain(&name));
            let place = (done * count, all);
            let result = self.try_scenario(&context, &mut trials, &prefetch, place);
            let probe = trials.probe();
            drop(trials);
            context.probe = probe;
            if result.is_err() {
                return (context, result);
            }
        }
        (context, Ok(()))
    }

    fn try_scenario(
        &mut self,
        context: &Context,
        trials: &mut Trials<'_>,
        prefetch: &Prefetch,
        (before, all): (usize, usize),
    ) -> anyhow::Result<()> {
        let kept = self.folder.join("scenarios").join(plain(&context.scenario_name));
        keep_scenario(&kept, &context.scenario)?;
        for (at, candidate) in self.rows.iter().enumerate() {
            let kernel = kernels::to_try(&context.base, candidate)?;
            prefetch.ask(self.rows.iter().skip(at + 1).take(AHEAD).cloned());
            let (label, scenario) = (candidate.kernel.label(), &context.scenario_name);
            let number = before + at + 1;
            context.base.ui.doing(&format!("{number} of {all}: {label} with {scenario}"));
            for attempt in 0..=INFRA_RETRIES {
                let record = self.try_once(context, trials, candidate, kernel.as_ref())?;
                let Verdict::Infra(error) = record.verdict() else { break };
                if is_full(&error) || attempt == INFRA_RETRIES {
                    return Err(host_failed(&candidate.kernel, &error, self.folder));
                }
                context.base.ui.note(&format!("tried again: {error}"));
            }
        }
        Ok(())
    }

    fn try_once(
        &mut self,
        context: &Context,
        trials: &mut Trials<'_>,
        candidate: &Candidate,
        kernel: Result<&kbisect_kernels::ReadyKernel, &String>,
    ) -> anyhow::Result<TrialRecord> {
        let number = self.trials.len() as u32 + 1;
        let place = Place { number, kernel: candidate.kernel.clone() };
        let ui = &context.base.ui;
        let record = trials.run(&place, kernel, None, &mut |event| {
            ui.event(&event);
            Ok(())
        })?;
        let scenario = context.scenario_name.clone();
        self.trials.push(GateTrial { scenario, record: record.clone() });
        ui.event(&RunEvent::TrialEnded { index: 0, record: Box::new(record.clone()), mark: None });
        Ok(record)
    }
}

/// Loads the scenarios, each once.
fn scenarios(names: &[String]) -> anyhow::Result<Vec<(String, LoadedScenario)>> {
    let mut loaded: Vec<(String, LoadedScenario)> = Vec::new();
    for name in names {
        if !loaded.iter().any(|(known, _)| known == name) {
            loaded.push((name.clone(), load(name)?));
        }
    }
    Ok(loaded)
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
    let first = match args.kernels.first() {
        Some(Kernels::One(spec)) => spec.clone(),
        Some(Kernels::Between(range)) => range.to_string(),
        None => String::new(),
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
