//! The answer of a single trial.

use std::path::Path;

use kbisect_core::answer::Trial;
use kbisect_core::run::RunResult;
use kbisect_report::{Dossier, Format};

use super::context::Context;
use super::files::{write_json, write_whole};

/// The result of a trial with everything around it.
pub fn result_of(context: &Context, trial: impl Into<Trial>, folder: &Path) -> RunResult {
    RunResult {
        schema: "kbisect.run/1".to_owned(),
        scenario: context.scenario_name.clone(),
        trial: trial.into(),
        reference: Some(context.reference.kernel.clone()),
        environment: context.environment(),
        run_dir: folder.display().to_string(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// Writes the result of a trial and its reports.
pub fn write_result(folder: &Path, result: &RunResult) -> anyhow::Result<()> {
    write_json(&folder.join("result.json"), result)?;
    write_json(&folder.join(&result.trial.directory).join("trial.json"), &result.trial)?;
    let dossier = Dossier::of_trial(result.clone(), Some(folder));
    write_whole(&folder.join("report.md"), Format::Markdown.render(&dossier)?.as_bytes())?;
    write_whole(&folder.join("report.html"), kbisect_report::html(&dossier).as_bytes())
}
