//! What keeps a gate shut, a finding a kernel and scenario, for the services that show such things beside code.

use kbisect_core::gate::{Cell, GateResult, Standing};
use serde_json::{Value, json};

use crate::text::{line, uri};

/// Most characters of a text.
const TEXT: usize = 1000;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// It keeps the gate shut.
    Error,
    /// It was allowed.
    Note,
}

/// A kernel that did not pass a scenario.
pub(crate) struct Finding {
    pub(crate) level: Level,
    /// In one word: of a symptom, or of why there is no answer.
    pub(crate) kind: String,
    pub(crate) message: String,
}

/// What is to be told of a cell; nothing where the kernel passed.
pub(crate) fn finding(result: &GateResult, cell: &Cell) -> Option<Finding> {
    let reason = cell.reason.clone().unwrap_or_default();
    let (level, kind) = match cell.standing {
        Standing::Good | Standing::Fixed => return None,
        Standing::AlreadyBroken if cell.allowed => (Level::Note, "already-broken"),
        Standing::AlreadyBroken => (Level::Error, "already-broken"),
        Standing::NotTested if result.plan.allow_skips => (Level::Note, "not-tested"),
        // A reader of nothing but this file is to see what keeps the gate shut.
        Standing::NotTested => (Level::Error, "not-tested"),
        Standing::NoAnswer => (Level::Error, "infra"),
        Standing::ScenarioError => (Level::Error, "scenario-error"),
        Standing::Regressed => (Level::Error, "regressed"),
    };
    let message = match cell.standing {
        Standing::AlreadyBroken => format!("already broken: {reason}"),
        _ => reason,
    };
    let kind = match (&cell.symptom, cell.standing) {
        (Some(symptom), Standing::Regressed) => symptom.kind.to_string(),
        _ => kind.to_owned(),
    };
    Some(Finding { level, kind, message })
}

fn findings(result: &GateResult) -> impl Iterator<Item = (&Cell, Finding)> {
    let under_test = result.cells.iter().filter(|cell| cell.under_test);
    under_test.filter_map(|cell| Some((cell, finding(result, cell)?)))
}

/// The file of a scenario, seen from the folder in which the check was begun.
fn file_of(scenario: &str) -> String {
    let folder = scenario.trim_start_matches("./").trim_end_matches('/');
    let is_below = scenario.contains('/')
        && folder.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if is_below {
        format!("{folder}/scenario.toml")
    } else {
        let name = scenario.rsplit('/').next().unwrap_or(scenario);
        format!("scenarios/{name}/scenario.toml")
    }
}

fn title(cell: &Cell) -> String {
    line(&format!("{} on {}", cell.scenario, cell.kernel.label()), TEXT)
}

/// Annotations of GitHub Actions, to be printed by a step: a line each. Nothing of a gate that is open.
#[must_use]
pub fn github_check(result: &GateResult) -> String {
    // What ends a property or a line would begin a command of its own.
    let data = |text: &str| line(text, TEXT).replace('%', "%25");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let annotation = |(cell, found): (&Cell, Finding)| {
        let level = match found.level {
            Level::Error => "error",
            Level::Note => "notice",
        };
        let (file, title) = (property(&file_of(&cell.scenario)), property(&title(cell)));
        let said = data(&format!("{}: {}", found.kind, found.message));
        format!("::{level} file={file},title={title}::{said}\n")
    };
    findings(result).map(annotation).collect()
}

/// The findings as a log in SARIF 2.1.0 (OASIS), which code scanning reads.
///
/// # Errors
/// Cannot happen with the results of this program.
pub fn sarif_check(result: &GateResult) -> Result<String, serde_json::Error> {
    let found: Vec<(&Cell, Finding)> = findings(result).collect();
    let mut kinds: Vec<&str> = found.iter().map(|(_, found)| found.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let rules: Vec<Value> = kinds.iter().map(|kind| json!({ "id": kind })).collect();
    let results = found.iter().map(|(cell, found)| {
        let mut of_trial = result.trials.iter();
        let trial = of_trial.find(|trial| Some(trial.record.number) == cell.trial);
        json!({
            "ruleId": found.kind,
            "level": match found.level { Level::Error => "error", Level::Note => "note" },
            "message": { "text": format!("{}: {}", title(cell), line(&found.message, TEXT)) },
            "locations": [{
                "physicalLocation": {
                    "artifactLocation": { "uri": uri(&file_of(&cell.scenario)) },
                    "region": { "startLine": 1 },
                },
            }],
            // The same finding of another night is the same alert.
            "partialFingerprints": { "kbisect/v1": format!("{}/{}", cell.scenario, found.kind) },
            "properties": {
                "kernel": cell.kernel.package_version.as_str(),
                "repeat": trial.map(|trial| trial.record.repeat.as_str()),
            },
        })
    });
    let results: Vec<Value> = results.collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "kbisect",
                "semanticVersion": result.plan.tool_version.split_whitespace().next(),
                "rules": rules,
            } },
            "results": results,
        }],
    });
    Ok(serde_json::to_string_pretty(&log)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_of_the_users_own_is_found_in_the_repository() {
        assert_eq!(file_of("./our-gateway"), "our-gateway/scenario.toml");
        assert_eq!(file_of("tests/kernel/gw/"), "tests/kernel/gw/scenario.toml");
        assert_eq!(file_of("connlimit"), "scenarios/connlimit/scenario.toml");
        assert_eq!(file_of("../elsewhere"), "scenarios/elsewhere/scenario.toml");
        assert_eq!(file_of("/etc/x"), "scenarios/x/scenario.toml");
    }
}
