//! KTAP version 1 (Documentation/dev-tools/ktap.rst): a test for each trial, its checks as subtests.

use std::fmt::Write;

use kbisect_core::answer::Trial;
use kbisect_core::trial::{CheckStatus, VerdictKind};

use crate::dossier::Dossier;
use crate::text::line;

/// Most characters of a text.
const TEXT: usize = 400;

/// Writes the report.
pub(crate) fn ktap(dossier: &Dossier) -> String {
    let trials = dossier.trials();
    let mut to = String::from("KTAP version 1\n");
    let _ = writeln!(to, "1..{}", trials.len());
    let _ = writeln!(to, "# {}", text(&dossier.verdict()));
    for (number, trial) in trials.iter().enumerate() {
        subtests(&mut to, trial);
        let name = format!("{} on {}", dossier.scenario(), dossier.label(&trial.kernel));
        result(&mut to, "", number + 1, &name, trial);
    }
    to
}

fn subtests(to: &mut String, trial: &Trial) {
    if trial.checks.is_empty() {
        return;
    }
    let _ = writeln!(to, "  KTAP version 1\n  1..{}", trial.checks.len());
    for (number, check) in trial.checks.iter().enumerate() {
        if !check.detail.is_empty() {
            let _ = writeln!(to, "  # {}", text(&check.detail));
        }
        let (ok, directive) = match check.status {
            CheckStatus::Pass => ("ok", ""),
            CheckStatus::Fail => ("not ok", ""),
            // Expected to be able to fail: it decides nothing.
            CheckStatus::Recorded => ("not ok", " # XFAIL only recorded"),
            CheckStatus::NotRun => ("ok", " # SKIP not run"),
        };
        let _ = writeln!(to, "  {ok} {} {}{directive}", number + 1, name_of(&check.name));
    }
}

fn result(to: &mut String, indent: &str, number: usize, name: &str, trial: &Trial) {
    let name = name_of(name);
    let why = text(trial.reason.as_deref().unwrap_or_default());
    let (ok, directive) = match trial.verdict {
        VerdictKind::Good => ("ok", String::new()),
        VerdictKind::Bad => ("not ok", String::new()),
        VerdictKind::Skip => ("ok", format!(" # SKIP {why}")),
        VerdictKind::Infra | VerdictKind::ScenarioError => ("not ok", format!(" # ERROR {why}")),
    };
    if let Some(symptom) = &trial.symptom {
        let _ = writeln!(to, "{indent}# {}", text(&symptom.to_string()));
        let _ = writeln!(to, "{indent}# {}", text(&symptom.detail));
    }
    let _ = writeln!(to, "{indent}{ok} {number} {name}{directive}");
}

/// A description: a `#` would begin a directive.
fn name_of(name: &str) -> String {
    let name = line(name, TEXT).replace('#', "_");
    if name.is_empty() { "-".to_owned() } else { name }
}

fn text(text: &str) -> String {
    line(text, TEXT)
}
