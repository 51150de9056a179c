//! `kbisect score`: what the counts of a journal say, under the search under doubt of today.

use kbisect_core::bayes::Settings;
use kbisect_core::run::{RunKind, score_again};
use kbisect_report::{DossierError, bisect_result, read_journal_of, words};

use crate::cli::{Global, ScoreArgs};
use crate::settings::global::run_folder;
use crate::ui::Ui;
use crate::ui::paint::Paint;
use crate::{errors, output};

/// Scores a run again. Nothing is tried, and its folder stays as it is.
///
/// # Errors
/// When there is no such run, or its journal cannot be used.
pub fn score(args: &ScoreArgs, global: &Global) -> anyhow::Result<()> {
    let folder = run_folder(&args.run, &args.results)?;
    let journal = read_journal_of(&folder)?;
    match RunKind::of(journal.lines.iter().map(|line| &line.event)) {
        Some(RunKind::Search) | None => {}
        Some(RunKind::Check) => return Err(DossierError::Check(folder).into()),
        Some(RunKind::Minimize) => return Err(DossierError::Minimize(folder).into()),
        Some(RunKind::Selftest) => {
            return Err(DossierError::Selftest(folder).into());
        }
        Some(RunKind::Run) => {
            return Err(errors::usage(
                format!("`{}` is a single trial: there is nothing to count", folder.display()),
                "name a bisection",
            ));
        }
    }
    if let Some(warning) = journal.warning.filter(|_| !global.quiet) {
        output::say(&format!("warning: {warning}"));
    }
    let own = args.doubt.settings();
    let settings = |of_run: Option<Settings>| own.or(of_run).unwrap_or_default();
    let scored = score_again(&journal.lines, settings)?.ok_or_else(|| {
        errors::usage(
            format!("the run in `{}` was stopped before it began", folder.display()),
            "there is nothing to score",
        )
    })?;
    let mut result = bisect_result(&scored.lines, &folder.display().to_string())
        .ok_or_else(|| anyhow::Error::msg("a journal with a plan has a result"))?;
    if let Some((index, why)) = &scored.next {
        let kernel = result.series.get(*index).map_or("?", |entry| entry.kernel.label());
        result.reason = Some(words::undecided(kernel, *why));
    }
    if global.json {
        return output::json(&result);
    }
    let ui = Ui::silent(global);
    for line in &scored.lines {
        ui.event(&line.event);
    }
    let verdict = result.reason.as_ref().unwrap_or(&result.confidence.statement);
    let mut text = ui.snapshot(Paint::for_stdout(global.color));
    for notice in ui.notices() {
        text += &format!("note: {}\n", output::clean(&notice));
    }
    text += &format!("{}\n", output::clean(verdict));
    output::print(&text)
}
