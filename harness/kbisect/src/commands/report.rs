//! `kbisect report`: a run's report again, from its journal.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use kbisect_core::run::{BisectResult, RunResult};
use kbisect_report::{Extra, JOURNAL_NAME, markdown, markdown_run, read_journal_of};

use crate::cli::{Global, ReportArgs, ReportFormat};
use crate::settings::global::run_folder;
use crate::{errors, output};

/// Prints a run's report.
///
/// # Errors
/// When there is no such run, or its files are damaged.
pub fn report(args: &ReportArgs, global: &Global) -> anyhow::Result<()> {
    let folder = run_folder(&args.run, &args.results)?;
    let format = match (args.format, global.json) {
        (Some(ReportFormat::Md), true) => {
            return Err(errors::usage(
                "--format md and --json exclude each other",
                "leave one of them out",
            ));
        }
        (Some(format), _) => format,
        (None, true) => ReportFormat::Json,
        (None, false) => ReportFormat::Md,
    };
    if folder.join(JOURNAL_NAME).is_file() {
        bisection(&folder, format, global)
    } else {
        single(&folder, format)
    }
}

fn bisection(folder: &Path, format: ReportFormat, global: &Global) -> anyhow::Result<()> {
    let journal = read_journal_of(folder)?;
    if let Some(warning) = &journal.warning
        && !global.quiet
    {
        output::say(&format!("warning: {warning}"));
    }
    let result = BisectResult::from_journal(&journal.lines, &folder.display().to_string())
        .ok_or_else(|| {
            errors::usage(
                format!("the run in `{}` was stopped before it began", folder.display()),
                "there is nothing to report; begin a new run",
            )
        })?;
    match format {
        ReportFormat::Json => output::json(&result),
        ReportFormat::Md => output::print(&markdown(&result, &Extra::from_journal(&journal.lines))),
    }
}

/// A single trial has no journal; its result is all there is.
fn single(folder: &Path, format: ReportFormat) -> anyhow::Result<()> {
    let path = folder.join("result.json");
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(errors::usage(
                format!("`{}` holds no run", folder.display()),
                "name a folder that kbisect wrote: it has a journal.jsonl or a result.json",
            ));
        }
        Err(error) => {
            return Err(error).with_context(|| format!("cannot read `{}`", path.display()));
        }
    };
    let result: RunResult = serde_json::from_slice(&text)
        .with_context(|| format!("`{}` is not the result of a trial", path.display()))?;
    match format {
        ReportFormat::Json => output::json(&result),
        ReportFormat::Md => output::print(&markdown_run(&result)),
    }
}
