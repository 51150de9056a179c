//! `kbisect report`: a run's report again, from its journal.

use std::fs;

use anyhow::Context as _;
use kbisect_report::{Dossier, Format};

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
    let folder = run_folder(&args.run, &args.results)?;
    let dossier = Dossier::read(&folder)?;
    if let Some(warning) = &dossier.warning
        && !global.quiet
    {
        output::say(&format!("warning: {warning}"));
    }
    if args.bundle.is_some() {
        return bundle::bundle(args, global, &dossier, &folder);
    }
    let text = format.render(&dossier)?;
    let text = if args.redact {
        let settings = global.settings()?;
        let mut redactor = bundle::redactor(args, &settings, &folder)?;
        let text = redactor.as_mut().map_or(text.clone(), |redactor| redactor.text(&text));
        if let Some(redactor) = redactor.filter(|_| !global.quiet) {
            bundle::replaced(redactor.replaced(), true);
        }
        text
    } else {
        text
    };
    match &args.output {
        Some(path) => {
            fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
        }
        None => output::print(&text),
    }
}
