//! `kbisect` alone: what it does, and the next useful step.

use std::path::Path;

use kbisect_core::run::{RunKind, is_over};
use kbisect_report::{read_check, read_journal_of};
use kbisect_vm::image::{ImageDefinition, find_image};
use kbisect_vm::qemu::Qemu;

use crate::cli::Global;
use crate::settings::global::runs;
use crate::{errors, output};

/// How many of the newest runs are looked at for one that can go on.
const LOOK_BACK: usize = 5;

/// Prints a short help.
///
/// # Errors
/// With `--json`, since there is no document to print.
pub fn welcome(global: &Global) -> anyhow::Result<()> {
    if global.json {
        return Err(errors::usage("no command was given", "see kbisect --help"));
    }
    let (step, why) = next_step(global);
    output::print(&format!(
        "kbisect finds which kernel version broke a network service.\n\n\
         \x20 kbisect GOOD..BAD --scenario NAME   bisect the kernels from GOOD to BAD\n\
         \x20 kbisect run KERNEL --scenario NAME  one trial of one kernel\n\
         \x20 kbisect check KERNEL --scenario NAME  may we upgrade?\n\
         \x20 kbisect scenario list               what can be tested\n\
         \x20 kbisect kernels list                which kernels there are\n\
         \x20 kbisect --help                      everything else\n\n\
         {why}:\n\n  {step}\n"
    ))
}

fn next_step(global: &Global) -> (String, &'static str) {
    let results = Path::new("results");
    if let Some(run) = unfinished(results) {
        return (format!("kbisect resume {run}"), "A run here was interrupted; resume it");
    }
    if let Some(run) = finished(results) {
        if matches!(read_check(&results.join(&run)), Ok(Some(_))) {
            return (
                format!("kbisect report {run}"),
                "The newest check here came to its end: read its report.html, or print it",
            );
        }
        return (
            format!("kbisect report {run} --bundle"),
            "The newest run here has an answer: read its report.html, or pack everything for a ticket",
        );
    }
    let image = global
        .settings()
        .ok()
        .and_then(|settings| find_image(&ImageDefinition::built_in(), &settings.cache_dir));
    if Qemu::find(None).is_err() || image.is_none() {
        return ("kbisect doctor".to_owned(), "Look first whether this machine is ready");
    }
    ("kbisect 6.12.43..6.12.96 --scenario connlimit".to_owned(), "This machine looks ready; try")
}

/// The newest run, if it came to its end: a result is written then. Self-tests have no
/// report, so the run before them is meant.
fn finished(results: &Path) -> Option<String> {
    let result = |name: &String| results.join(name).join("result.json");
    let has_report = |name: &String| {
        let text = std::fs::read(result(name)).unwrap_or_default();
        let document: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        let schema = document["schema"].as_str();
        schema.is_none_or(|schema| {
            matches!(schema, "kbisect.bisect/1" | "kbisect.run/1" | "kbisect.check/1")
        })
    };
    let name = runs(results).into_iter().rev().find(has_report)?;
    result(&name).is_file().then_some(name)
}

/// The newest run that has a plan and no end.
fn unfinished(results: &Path) -> Option<String> {
    let names = runs(results);
    names.into_iter().rev().take(LOOK_BACK).find(|name| {
        let folder = results.join(name);
        let Ok(journal) = read_journal_of(&folder) else { return false };
        let events = || journal.lines.iter().map(|line| &line.event);
        RunKind::of(events()).is_some() && !is_over(events())
    })
}
