//! `kbisect report`: a run's report again, from its journal.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use kbisect_report::{Dossier, Format, Hosts, Survey, read_check, redactor_of};

use super::bundle;
use crate::cli::{Global, ReportArgs};
use crate::settings::global::run_folder;
use crate::{errors, output};

/// Prints a run's report.
///
/// # Errors
/// When there is no such run, its files are damaged, or it has no report of the form.
pub fn report(args: &ReportArgs, global: &Global) -> anyhow::Result<()> {
    let format = match (args.format, global.json) {
        (Some(Format::Json) | None, true) => Format::Json,
        (Some(format), true) => {
            return Err(errors::usage(
                format!("--format {format} and --json exclude each other"),
                "leave one of them out",
            ));
        }
        (Some(format), false) => format,
        (None, false) => Format::Markdown,
    };
    if args.recipient.is_some() && global.json {
        return Err(errors::usage(
            "--for and --json exclude each other",
            "leave one of them out; --format json is for programs",
        ));
    }
    let folder = run_folder(&args.run, &args.results)?;
    if let Some((result, warning)) = read_check(&folder)? {
        if args.recipient.is_some() {
            return Err(errors::usage(
                format!(
                    "`{}` is a check: what is told to others is of one failure",
                    folder.display()
                ),
                "bisect the kernel that fails, or leave out --for",
            ));
        }
        if args.bundle.is_some() {
            return Err(errors::usage(
                format!(
                    "`{}` is a check: only searches and single trials are bundled",
                    folder.display()
                ),
                "`kbisect run` with the kernel and the scenario in question makes a trial to bundle; or \
                 pack the folder itself",
            ));
        }
        if let Some(warning) = warning.filter(|_| !global.quiet) {
            output::say(&format!("warning: {warning}"));
        }
        return write(args, global, &folder, format.render_check(&result)?);
    }
    let mut dossier = Dossier::read(&folder)?;
    if let Some(warning) = &dossier.warning
        && !global.quiet
    {
        output::say(&format!("warning: {warning}"));
    }
    if args.bundle.is_some() {
        return bundle::bundle(args, global, &dossier);
    }
    dossier.reported(args.reporter.as_deref(), args.ticket.as_deref());
    match args.recipient {
        Some(recipient) => write(args, global, &folder, recipient.render(&dossier)),
        None => write(args, global, &folder, format.render(&dossier)?),
    }
}

/// Prints a report or writes it to a file, with placeholders where that is asked for.
fn write(args: &ReportArgs, global: &Global, folder: &Path, text: String) -> anyhow::Result<()> {
    let text = match args
        .redact
        .then(|| bundle::rules(args, &global.settings()?))
        .transpose()?
        .flatten()
    {
        Some(rules) => {
            let mut survey = Survey::new(rules);
            survey.text(&text, Hosts::WithDomain);
            let mut redactor = redactor_of(folder, survey)?;
            let text = redactor.text(&text);
            if !global.quiet {
                bundle::replaced(redactor.replaced(), true);
            }
            text
        }
        None => text,
    };
    match &args.output {
        Some(path) => {
            fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
        }
        None => output::print(&text),
    }
}
