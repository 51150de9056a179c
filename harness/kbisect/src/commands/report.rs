//! `kbisect report`: a run's report again, from its journal.

use kbisect_report::{Dossier, Format};

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
    output::print(&format.render(&dossier)?)
}
