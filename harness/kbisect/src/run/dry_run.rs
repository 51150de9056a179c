//! `--dry-run`: what a command would do, and nothing done: no machine, no download, no folder.

use std::process::ExitCode;

use kbisect_core::scenario::Scenario;
use kbisect_kernels::Candidate;
use kbisect_report::{DryRunDocument, PlannedTrial};

use super::context::Base;
use super::kernels::planned_reference;
use crate::cli::{Global, SelftestArgs, SettingArgs};
use crate::{exit, output};

/// A trial that would be made.
#[must_use]
pub fn trial(candidate: &Candidate, scenario: &str, fault: Option<String>) -> PlannedTrial {
    PlannedTrial {
        kernel: candidate.kernel.clone(),
        download_bytes: candidate.download_bytes(),
        scenario: scenario.to_owned(),
        fault,
    }
}

/// Finds the kernel of a run that names one; that of the reference nodes without.
///
/// # Errors
/// A kernel that is unknown.
pub fn kernel(
    base: &Base,
    named: Option<&str>,
    setting: &SettingArgs,
) -> anyhow::Result<Candidate> {
    match named {
        Some(spec) => Ok(base.catalog.resolve(spec)?),
        None => {
            let reference = planned_reference(base, setting.reference.as_deref())?;
            Ok(base.catalog.resolve(&reference.id.0)?)
        }
    }
}

/// The trials of a self-test: the scenario, its flavours, and a trial for each fault.
#[must_use]
pub fn of_selftest(
    candidate: &Candidate,
    scenario: &Scenario,
    args: &SelftestArgs,
) -> Vec<PlannedTrial> {
    let (name, chosen) = (args.scenario.as_str(), !args.fault.is_empty());
    let others = scenario
        .flavours
        .keys()
        .filter(|flavour| !chosen && scenario.way.as_ref() != Some(flavour));
    let flavours = others.map(|flavour| format!("{name}:{flavour}"));
    let mut trials: Vec<PlannedTrial> = std::iter::once(name.to_owned())
        .chain(flavours)
        .map(|it| trial(candidate, &it, None))
        .collect();
    trials.push(trial(candidate, name, Some("wires-cut".to_owned())));
    if !args.no_faults {
        let usual = kbisect_core::selftest::usual(scenario);
        let faults = usual.iter().chain(&scenario.faults);
        let faults = faults.filter(|it| it.is_one_of(&args.fault));
        trials.extend(faults.map(|it| trial(candidate, name, Some(it.fault.to_string()))));
    }
    trials
}

/// Prints what a command would do.
///
/// # Errors
/// No kernel for the reference nodes; output that cannot be written.
pub fn show(
    command: &str,
    base: &Base,
    setting: &SettingArgs,
    (trials, steps): (Vec<PlannedTrial>, Vec<String>),
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let reference = planned_reference(base, setting.reference.as_deref())?;
    let (schema, command) = ("kbisect.dry-run/1".to_owned(), command.to_owned());
    let document = DryRunDocument { schema, command, reference, trials, steps };
    base.ui.finish();
    match global.json {
        true => output::json(&document)?,
        false => output::print(&document.text())?,
    }
    Ok(exit::code(exit::OK))
}
