//! `kbisect scenario selftest`: the scenario, its flavours, and the wires cut.

use std::path::PathBuf;
use std::sync::Arc;

use kbisect_core::answer::Taken;
use kbisect_core::kernel::Kernel;
use kbisect_core::run::{self, RunEvent, RunResult};
use kbisect_core::scenario::Scenario;
use kbisect_core::selftest::{
    Control, SelftestResult, Traffic, Variation, ingredients, is_crash, problems, sight,
    traffic_effect,
};
use kbisect_core::trial::{CheckResult, CheckStatus, Phase, Untestable, Verdict};
use kbisect_kernels::ReadyKernel;
use kbisect_vm::lab::{Coming, Wiring};

use super::context::{Base, Context};
use super::files::{keep_scenario, new_run, write_json};
use super::single::{result_of, write_result};
use super::trial::{Place, Trials};
use super::{kernels, plan};
use crate::cli::{Global, SelftestArgs};
use crate::{errors, settings};

/// How often a trial that failed for our own reasons is tried again.
const RETRIES: u32 = 1;

/// Runs the trials of a self-test and writes its result.
pub fn selftest(args: &SelftestArgs, global: &Global) -> anyhow::Result<SelftestResult> {
    let loaded = settings::scenario::load(&args.scenario)?;
    let scenario = loaded.scenario.clone();
    let base = Base::new(global)?;
    for warning in &loaded.warnings {
        base.ui.note(&format!("warning: {warning}"));
    }
    let reference = kernels::reference(&base, args.setting.reference.as_deref())?;
    let (kernel, ready) = match &args.kernel {
        None => (reference.kernel.clone(), Ok(reference.clone())),
        Some(spec) => {
            let candidate = base.catalog.resolve(spec)?;
            plan::check_testable(&candidate)?;
            (candidate.kernel.clone(), kernels::to_try(&base, &candidate)?)
        }
    };
    let (name, placement) = (&args.scenario, args.setting.placement);
    let context = Context::new(base, &args.machine, loaded, name, reference, placement)?;
    let what = format!("selftest-{}-{}", scenario.name, kernel.label());
    context.base.begin_run();
    let (_, folder) = new_run(&args.setting.results, &what)?;
    let mut bench = Bench { context, folder, kernel, ready, reached_checks: false };
    let result = bench.run(&scenario, &args.scenario)?;
    bench.context.base.ui.finish();
    write_json(&bench.folder.join("result.json"), &result)?;
    Ok(result)
}

/// One kernel, and where the trials go.
struct Bench {
    context: Context,
    folder: PathBuf,
    kernel: Kernel,
    ready: Result<ReadyKernel, Untestable>,
    /// Whether the trial of the scenario as it is came to the checks.
    reached_checks: bool,
}

/// A variation that was tried.
struct Tried {
    scenario: Scenario,
    variation: Variation,
    checks: Vec<CheckResult>,
}

impl Bench {
    fn run(&mut self, scenario: &Scenario, given: &str) -> anyhow::Result<SelftestResult> {
        let mut tried = vec![self.variation(scenario, given, Vec::new(), None)?];
        // A flavour that was named stands for itself.
        let alone = scenario.name.contains(':');
        for (name, flavour) in scenario.flavours.iter().filter(|_| !alone) {
            let Some(flavoured) = scenario.clone().flavoured(name) else { continue };
            let told = ingredients(scenario, flavour);
            let default = Some(&tried[0].variation);
            let given = format!("{given}:{name}");
            let flavoured = self.variation(&flavoured, &given, told, default)?;
            tried.push(flavoured);
        }
        let traffic = self.traffic(&tried[0].variation, scenario, given)?;
        let control = self.control(&tried, scenario, given)?;
        let variations: Vec<Variation> = tried.into_iter().map(|tried| tried.variation).collect();
        let problems = problems(&variations, &control);
        Ok(SelftestResult {
            schema: "kbisect.selftest/1".to_owned(),
            scenario: given.to_owned(),
            kernel: self.kernel.clone(),
            passed: problems.is_empty(),
            problems,
            variations,
            traffic,
            control,
            environment: self.context.environment(),
            run_dir: self.folder.display().to_string(),
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    fn variation(
        &mut self,
        scenario: &Scenario,
        given: &str,
        told: Vec<String>,
        default: Option<&Variation>,
    ) -> anyhow::Result<Tried> {
        let run = self.trial(scenario, given, Wiring::Whole)?;
        if default.is_none() {
            let checks = Phase::Checks.to_string();
            self.reached_checks = run.trial.timings_s.contains_key(&checks);
        }
        let variation = Variation::new(scenario, told, &run.trial, default, run.run_dir);
        Ok(Tried { scenario: scenario.clone(), variation, checks: run.trial.record.checks })
    }

    /// Whether a crash needs the traffic of the checks.
    fn traffic(
        &mut self,
        default: &Variation,
        scenario: &Scenario,
        given: &str,
    ) -> anyhow::Result<Option<Traffic>> {
        if !default.symptom.as_ref().is_some_and(is_crash) {
            return Ok(None);
        }
        if !self.reached_checks {
            let detail = "it fails before the checks begin, so this was not tried".to_owned();
            return Ok(Some(Traffic { effect: None, detail, run_dir: None }));
        }
        let run = self.trial(scenario, given, Wiring::CutAtChecks)?;
        let verdict = run.trial.verdict();
        Ok(Some(Traffic {
            effect: Some(traffic_effect(default, &verdict)),
            detail: format!("with the wires cut: {verdict}"),
            run_dir: Some(run.run_dir),
        }))
    }

    /// Cuts the wires of the good variation with the most checks, the first of them.
    fn control(
        &mut self,
        tried: &[Tried],
        whole: &Scenario,
        given: &str,
    ) -> anyhow::Result<Control> {
        let good = tried.iter().filter(|tried| tried.variation.is_good());
        let best = good.reduce(
            |best, other| {
                if other.checks.len() > best.checks.len() { other } else { best }
            },
        );
        let Some(Tried { scenario, variation, checks: with_wires }) = best else {
            let none = |check| sight(whole, check, None, None);
            let checks = whole.checks.iter().map(none).collect();
            return Ok(Control { checks, ..Control::default() });
        };
        let given = match variation.name.strip_prefix(&whole.name) {
            Some(flavour) => format!("{given}{flavour}"),
            None => given.to_owned(),
        };
        let run = self.trial(scenario, &given, Wiring::CutAtChecks)?;
        let mut checks = Vec::new();
        for check in &whole.checks {
            let of = |results: &[CheckResult]| {
                results.iter().find(|result| result.name == check.name).cloned()
            };
            let (before, result) = (of(with_wires), of(&run.trial.checks));
            let mut seen = sight(scenario, check, before.as_ref(), result.as_ref());
            if result.is_some_and(|result| result.status == CheckStatus::NotRun) {
                seen.detail = format!("the control ended before: {}", run.trial.verdict());
            }
            checks.push(seen);
        }
        Ok(Control {
            variation: Some(variation.name.clone()),
            verdict: Some(run.trial.verdict().to_string()),
            checks,
            run_dir: Some(run.run_dir),
        })
    }

    /// One trial with a run's folder of its own.
    fn trial(
        &mut self,
        scenario: &Scenario,
        given: &str,
        wiring: Wiring,
    ) -> anyhow::Result<RunResult> {
        self.context.scenario = Arc::new(scenario.clone());
        self.context.scenario_name = given.to_owned();
        self.context.wiring = wiring;
        let context = &self.context;
        let cut = if wiring == Wiring::CutAtChecks { ", wires cut at the checks" } else { "" };
        let ui = context.base.ui.clone();
        ui.note(&format!("{} on {}{cut}", scenario.name, self.kernel.label()));
        let suffix = if cut.is_empty() { "" } else { "-wires-cut" };
        let folder = self.folder.join(format!("{}{suffix}", scenario.name.replace(':', "-")));
        std::fs::create_dir_all(&folder)?;
        keep_scenario(&folder, scenario)?;
        let place = Place { number: 1, kernel: self.kernel.clone(), coming: Coming::Any };
        let mut trials = Trials::new(context, &folder);
        let mut attempts = 0;
        let record = loop {
            let record = trials.run(&place, self.ready.as_ref(), None, &mut |event| {
                ui.event(&event);
                Ok(())
            })?;
            let ended = RunEvent::TrialEnded {
                tried: run::Tried::Scenario { scenario: given.to_owned() },
                record: Box::new(record.clone()),
                mark: None,
                taken: Taken::default(),
            };
            ui.event(&ended);
            match record.verdict() {
                Verdict::Infra(_) if attempts < RETRIES => attempts += 1,
                Verdict::Infra(reason) => {
                    write_result(&folder, &result_of(context, record, &folder))?;
                    return Err(errors::infrastructure(
                        format!("{}{cut}: {reason}", scenario.name),
                        format!("what is left of the trial is in {}", folder.display()),
                    ));
                }
                Verdict::Scenario(fault) => {
                    write_result(&folder, &result_of(context, record, &folder))?;
                    return Err(errors::scenario(fault));
                }
                Verdict::Good | Verdict::Bad(_) | Verdict::Skip(_) => break record,
            }
        };
        let result = result_of(context, record, &folder);
        write_result(&folder, &result)?;
        Ok(result)
    }
}
