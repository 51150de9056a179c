//! `kbisect run`: one trial.

use std::path::Path;
use std::process::ExitCode;

use kbisect_core::answer::Taken;
use kbisect_core::answer::Trial;
use kbisect_core::run::{RunEvent, Tried};
use kbisect_core::scenario::Scenario;
use kbisect_core::trial::{TrialRecord, Verdict};
use kbisect_core::whose::{Whose, whose};
use kbisect_vm::lab::Coming;
use kbisect_vm::shell::ShellRequest;

use super::context::{Base, Context};
use super::decode::{Decoder, Sources};
use super::files::{keep_image, keep_scenario, new_run};
use super::single::{result_of, write_result};
use super::trial::{Place, Trials};
use super::{kernels, plan};
use crate::cli::{Global, RunArgs, ShellOn};
use crate::{errors, exit, output, settings};

/// Runs one trial.
pub fn run_one(args: &RunArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let loaded = settings::scenario::load(&args.trial.scenario)?;
    check_shell(args, &loaded.scenario)?;
    let like = args.like.as_deref().map(earlier).transpose()?;
    let base = Base::new(global)?;
    for warning in &loaded.warnings {
        base.ui.note(&format!("warning: {warning}"));
    }
    let candidate = base.catalog.resolve(&args.kernel)?;
    for note in &candidate.notes {
        base.ui.note(note);
    }
    plan::check_testable(&candidate)?;
    let reference = kernels::reference(&base, args.trial.setting.reference.as_deref())?;
    let kernel = kernels::to_try(&base, &candidate)?;
    let name = args.trial.scenario.clone();
    let context =
        Context::new(base, &args.machine, loaded, &name, reference, args.trial.setting.placement)?
            .keeping(&args.trial.evidence);
    let what = format!("{}-{}", context.scenario.name, candidate.kernel.label());
    context.base.begin_run();
    let (_, folder) = new_run(&args.trial.setting.results, &what)?;
    keep_scenario(&folder, &context.scenario)?;
    keep_image(&folder, context.image_folder.as_deref())?;
    let shell = args
        .shell
        .as_ref()
        .map(|node| ShellRequest { node: node.clone(), always: args.shell_on == ShellOn::Always });
    let ui = context.base.ui.clone();
    let place = Place { number: 1, kernel: candidate.kernel.clone(), coming: Coming::Any };
    let mut trials = Trials::new(&context, &folder);
    let mut trial = trials.run(&place, kernel.as_ref(), shell.as_ref(), &mut |event| {
        ui.event(&event);
        Ok(())
    })?;
    if whose(&trial, false, None) == Whose::AskReference {
        // A kernel that is the reference kernel has told already.
        let is_it = trial.kernel.id == context.reference.kernel.id;
        let reference = if is_it {
            trial.clone()
        } else {
            trials.run_reference(&mut |event| {
                ui.event(&event);
                Ok(())
            })?
        };
        ui.event(&RunEvent::ReferenceTried { scenario: None, record: Box::new(reference.clone()) });
        if whose(&trial, false, Some(&reference)) == Whose::Scenario {
            trial = trial.as_fault();
        }
    }
    drop(trials);
    if let Some(sources) = Sources::of(&args.trial.evidence) {
        let base = &context.base;
        let work =
            Decoder { store: &base.store, settings: &base.settings, progress: base.progress() };
        trial.evidence.decoded = work.record(&trial, &sources);
    }
    let ended = RunEvent::TrialEnded {
        tried: Tried::Scenario { scenario: context.scenario_name.clone() },
        record: Box::new(trial.clone()),
        mark: None,
        taken: Taken::default(),
    };
    ui.event(&ended);
    ui.finish();
    let verdict = trial.verdict();
    let mut trial = Trial::from(trial);
    if let (Some(was), Some(symptom)) = (&like, &trial.symptom) {
        trial.matching = was.symptom.as_ref().map(|was| was.matching(symptom));
    }
    let result = result_of(&context, trial, &folder);
    write_result(&folder, &result)?;
    if global.json {
        output::json(&result)?;
    } else {
        output::print(&kbisect_report::terminal_summary_run(&result, super::colors(global)))?;
    }
    Ok(exit::code(match verdict {
        Verdict::Good => exit::OK,
        Verdict::Bad(_) => exit::BAD,
        Verdict::Skip(_) => exit::SKIP,
        Verdict::Infra(_) => exit::RUN_INFRASTRUCTURE,
        Verdict::Scenario(_) => exit::RUN_SCENARIO,
    }))
}

/// Reads the record of an earlier trial.
fn earlier(path: &Path) -> anyhow::Result<TrialRecord> {
    let refuse = |why: String| {
        errors::usage(
            format!("cannot compare with `{}`: {why}", path.display()),
            "give the trial.json of a trial's folder",
        )
    };
    let text = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| refuse(error.to_string()))
}

/// Refuses a shell in a node that does not exist, before anything boots.
fn check_shell(args: &RunArgs, scenario: &Scenario) -> anyhow::Result<()> {
    let Some(Some(node)) = &args.shell else { return Ok(()) };
    if scenario.nodes.contains_key(node) {
        return Ok(());
    }
    let nodes: Vec<&str> = scenario.nodes.keys().map(String::as_str).collect();
    Err(errors::usage(
        format!("scenario {} has no node `{node}` for a shell", scenario.name),
        format!("nodes are: {}", nodes.join(", ")),
    ))
}
