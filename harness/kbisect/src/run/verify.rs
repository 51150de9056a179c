//! Whether another kernel mends what a run found: the kernel that fails and the other one, by turns.
//!
//! It is a bisection for a fix over these two alone: both are tried, and tried again until chance is ruled out.

use std::process::ExitCode;

use kbisect_core::run::{Plan, RunEvent, SymptomName, target_symptom};
use kbisect_core::search::Direction;
use kbisect_report::{bisect_result, read_journal_of, words};

use super::context::{Base, existing_run};
use super::files::{keep_image, keep_scenario, new_run, write_whole};
use super::journal::Journal;
use super::onward;
use super::plan::{check_testable, planned};
use crate::cli::{AgainArgs, Global, ResumeArgs, VerifyArgs};
use crate::settings::scenario::LoadedScenario;
use crate::{errors, output};

/// Tries a kernel beside the one that fails.
///
/// # Errors
/// A run without a kernel that fails, or that is no bisection; a kernel that is unknown; those of the trials.
pub fn verify(args: &VerifyArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let folder = existing_run(&args.run, &args.again.results)?;
    let lines = read_journal_of(&folder)?.lines;
    let events = || lines.iter().map(|line| &line.event);
    let began = events().find_map(|event| match event {
        RunEvent::Began { plan } => Some(plan.as_ref()),
        _ => None,
    });
    let (Some(plan), Some(result)) = (began, bisect_result(&lines, "")) else {
        return Err(errors::usage(
            format!("`{}` is no bisection", folder.display()),
            "`kbisect check KERNEL... --scenario NAME` tries kernels with a scenario",
        ));
    };
    let failing = match plan.direction {
        Direction::Regression => result.first_bad.as_ref(),
        Direction::Fix => result.last_bad.as_ref(),
    };
    let Some(failing) = failing else {
        return Err(errors::usage(
            format!("`{}` names no kernel that fails", folder.display()),
            "`kbisect resume` goes on with a run that is not over",
        ));
    };
    let mut base = Base::new(global)?;
    base.look_where([failing])?;
    let series = [super::kernels::again(&base, failing)?, base.catalog.resolve(&args.kernel)?];
    check_testable(&series[1])?;
    if series[1].kernel.id == failing.id {
        return Err(errors::usage(
            format!("{} is the kernel that fails", failing.label()),
            "name the one that may mend it",
        ));
    }
    let loaded = LoadedScenario::kept(&folder, &plan.scenario_sha256)?;
    let results = folder.parent().unwrap_or(&folder);
    let [old_end, new_end] = series.each_ref().map(|end| end.kernel.label().to_owned());
    let what = format!("{}-verify-{new_end}", loaded.scenario.name);
    let (run_id, made) = new_run(results, &what)?;
    let mut plan = Plan {
        run_id,
        command: std::env::args().collect(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        direction: Direction::Fix,
        old_end,
        new_end,
        series: series.iter().map(|one| planned(one, None, &base, &loaded)).collect(),
        beyond: None,
        warnings: Vec::new(),
        ..plan.clone()
    };
    let options = &mut plan.options;
    (options.assume_old, options.assume_new, options.quick) = (false, false, false);
    (options.commits, options.drill, options.fix) = (None, None, false);
    options.no_changes = true;
    // Another failure of the kernel that is said to mend it is no answer to this question.
    let target = target_symptom(events());
    options.symptom = target.map(|symptom| SymptomName::Title(symptom.title.clone()));
    keep_scenario(&made, &loaded.scenario)?;
    let image = folder.join("image");
    keep_image(&made, image.is_dir().then_some(image).as_deref())?;
    Journal::create(&made, &base.ui)?.append(RunEvent::Began { plan: Box::new(plan) })?;
    base.ui.finish();
    drop(base);
    let again = AgainArgs { results: results.to_owned(), ..args.again.clone() };
    let resumed = ResumeArgs { run: made.clone(), budget: None, again, junit: None };
    let code = onward::resume(&resumed, global)?;
    let Some(result) = bisect_result(&read_journal_of(&made)?.lines, "") else { return Ok(code) };
    let text = words::verification(&result, &args.tester());
    write_whole(&made.join("verification.txt"), text.as_bytes())?;
    if !global.json {
        output::print(&format!("\n{text}"))?;
    }
    Ok(code)
}
