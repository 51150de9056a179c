//! JUnit XML. Of a run: a suite for each trial, a case for each check. Of a bisection: a suite of what was asked,
//! and one with a case for each kernel; that kernels fail is what it looks for, and no failure of it. Of a check:
//! a suite for each scenario, a case for each kernel.

use std::fmt::Write;

use kbisect_core::answer::Trial;
use kbisect_core::gate::{Cell, GateResult, GateScenario, Standing};
use kbisect_core::run::{BisectResult, OutcomeWord, RevertOutcome};
use kbisect_core::trial::{CheckResult, CheckStatus, TrialRecord, VerdictKind};

use crate::dossier::{Dossier, Subject};
use crate::gate::{Finding, Level, finding};
use crate::story::Story;
use crate::text::{line, lines};
use crate::{doubt, words};

/// Most characters of a message.
const MESSAGE: usize = 400;
/// Most lines of a trace.
const LINES: usize = 200;

/// How a case ended.
enum Case {
    Passed,
    /// Passed, and what is to be known of it.
    Told(String),
    Failed {
        kind: String,
        message: String,
        text: String,
    },
    Skipped(String),
    Error {
        kind: String,
        message: String,
    },
}

/// One suite, ready to be written.
struct Suite {
    name: String,
    class: String,
    time: f64,
    /// Its time stamp as an attribute, or nothing.
    stamp: String,
    properties: Vec<(&'static str, String)>,
    /// Name, seconds and end of each case.
    cases: Vec<(String, f64, Case)>,
}

#[derive(Default)]
struct SuiteCounts {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

/// Writes the report of a run.
pub(crate) fn junit(dossier: &Dossier) -> String {
    let suites: Vec<Suite> = match &dossier.subject {
        Subject::Bisection(result) => vec![questions(result), kernels(result)],
        Subject::Trial(_) => {
            dossier.trials().iter().map(|trial| suite_of(dossier, trial)).collect()
        }
    };
    document(dossier.scenario(), &suites)
}

/// What a bisection was asked, each question with its answer.
fn questions(result: &BisectResult) -> Suite {
    let story = Story { result };
    let found = match (story.found(), result.outcome) {
        (true, _) => {
            let headline = story.headline().map(|headline| headline.sentences());
            Case::Told([story.verdict(), headline.unwrap_or_default()].join("\n"))
        }
        (false, OutcomeWord::Aborted) => {
            let message = result.reason.clone().unwrap_or_else(|| story.verdict());
            Case::Error { kind: "aborted".to_owned(), message }
        }
        (false, _) => Case::Failed {
            kind: story.heading(),
            message: story.verdict(),
            text: result.reason.clone().unwrap_or_default(),
        },
    };
    let confidence = &result.confidence;
    let told = || format!("{}: {}", doubt::level(confidence), confidence.statement);
    let confirmed = match confidence.level.as_str() {
        "confirmed" => Case::Told(told()),
        "none" => Case::Skipped(confidence.statement.clone()),
        _ => Case::Skipped(told()),
    };
    let mut cases = vec![("culprit found".to_owned(), found), ("confirmed".to_owned(), confirmed)];
    if let Some(test) = &result.revert {
        let said = words::revert(test, result.direction);
        let case = match test.outcome {
            RevertOutcome::Proven => Case::Told(said),
            _ => Case::Skipped(said),
        };
        cases.push((words::revert_heading(result.direction).to_owned(), case));
    }
    if let Some(fixed) = story.headline().and_then(|headline| headline.fixed) {
        cases.push(("fixed".to_owned(), Case::Told(fixed)));
    }
    let cases: Vec<(String, f64, Case)> =
        cases.into_iter().map(|(name, case)| (name, 0.0, case)).collect();
    let range = [result.series.first(), result.series.last()];
    let range = range.map(|end| end.map(|end| story.label(&end.kernel)).unwrap_or_default());
    Suite {
        name: format!("{} {}", result.scenario, range.join("..")),
        class: result.scenario.clone(),
        time: result.wall_s,
        stamp: String::new(),
        properties: vec![
            ("accelerator", result.environment.accelerator.clone()),
            ("kbisect", result.tool_version.clone()),
        ],
        cases,
    }
}

/// The kernels that were tried.
fn kernels(result: &BisectResult) -> Suite {
    let story = Story { result };
    let tried = result.series.iter().filter_map(|entry| {
        let trial = story.trial_of(&entry.kernel)?;
        let reason = entry.reason.clone().unwrap_or_default();
        let case = match trial.verdict {
            VerdictKind::Good => Case::Passed,
            VerdictKind::Bad => {
                let symptom = trial.symptom.as_ref().map(ToString::to_string);
                Case::Told(format!("bad: {}", symptom.unwrap_or(reason)))
            }
            _ => Case::Skipped(reason),
        };
        Some((story.label(&entry.kernel), trial.wall_s, case))
    });
    let cases: Vec<(String, f64, Case)> = tried.collect();
    Suite {
        name: result.scenario.clone(),
        class: result.scenario.clone(),
        time: cases.iter().map(|(_, time, _)| time).sum(),
        stamp: stamp(
            result
                .trials
                .iter()
                .filter_map(|trial| trial.record.began_ms)
                .min()
                .map(|ms| ms.saturating_mul(1_000_000)),
        ),
        properties: vec![("accelerator", result.environment.accelerator.clone())],
        cases,
    }
}

/// Writes the matrix of a check. A baseline that is not under test is no case.
pub fn junit_check(result: &GateResult) -> String {
    let suites: Vec<Suite> =
        result.plan.scenarios.iter().map(|scenario| suite_of_scenario(result, scenario)).collect();
    document("check", &suites)
}

fn document(what: &str, suites: &[Suite]) -> String {
    let mut body = String::new();
    let mut all = SuiteCounts::default();
    let mut time = 0.0;
    for suite in suites {
        let counts = write_suite(&mut body, suite);
        all.tests += counts.tests;
        all.failures += counts.failures;
        all.errors += counts.errors;
        all.skipped += counts.skipped;
        time += suite.time;
    }
    let mut to = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        to,
        "<testsuites name=\"{}\" {} time=\"{}\">",
        xml(&format!("kbisect {what}")),
        attributes(&all),
        seconds(time)
    );
    to + &body + "</testsuites>\n"
}

fn suite_of(dossier: &Dossier, trial: &Trial) -> Suite {
    let label = dossier.label(&trial.kernel);
    let mut cases: Vec<(String, f64, Case)> = trial
        .checks
        .iter()
        .map(|check| (check.name.clone(), check.wall_s, case_of(trial, check)))
        .collect();
    // What is no check's business (a panic, a service that died, a kernel that does not boot) is a
    // case of its own, so that it is not lost when every check passes or none was made.
    let failed = trial.checks.iter().any(|check| check.status == CheckStatus::Fail);
    let whole = match trial.verdict {
        VerdictKind::Bad if failed => None,
        VerdictKind::Good => None,
        _ => Some(case_of_trial(trial)),
    };
    cases.extend(whole.map(|case| ("kernel".to_owned(), trial.wall_s, case)));
    Suite {
        name: format!("{} on {label}", dossier.scenario()),
        class: dossier.scenario().to_owned(),
        time: trial.wall_s,
        stamp: stamp(dossier.times(trial).began),
        properties: properties(dossier, trial),
        cases,
    }
}

fn suite_of_scenario(result: &GateResult, scenario: &GateScenario) -> Suite {
    let cells =
        result.cells.iter().filter(|cell| cell.under_test && cell.scenario == scenario.name);
    let seconds_of = |cell: &Cell| result.trial(cell).map_or(0.0, |trial| trial.wall_s);
    let cases: Vec<(String, f64, Case)> = cells
        .map(|cell| {
            (cell.kernel.package_version.to_string(), seconds_of(cell), case_of_cell(result, cell))
        })
        .collect();
    let trials = result.trials.iter().filter(|trial| trial.scenario == scenario.name);
    let began = trials.filter_map(|trial| trial.record.began_ms).min();
    let baseline = result.plan.baseline.as_ref();
    let baseline = baseline.map(|kernel| ("baseline", kernel.package_version.to_string()));
    let mut properties = vec![
        ("accelerator", result.environment.accelerator.clone()),
        ("kbisect", result.plan.tool_version.clone()),
    ];
    properties.extend(baseline);
    Suite {
        name: scenario.name.clone(),
        class: scenario.name.clone(),
        time: cases.iter().map(|(_, time, _)| time).sum(),
        stamp: stamp(began.map(|ms| ms.saturating_mul(1_000_000))),
        properties,
        cases,
    }
}

fn case_of_cell(result: &GateResult, cell: &Cell) -> Case {
    let Some(Finding { level, kind, message }) = finding(result, cell) else {
        return Case::Passed;
    };
    if level == Level::Note {
        return Case::Skipped(message);
    }
    if cell.standing != Standing::Regressed {
        return Case::Error { kind, message };
    }
    let text = match result.trial(cell).map(case_of_trial) {
        Some(Case::Failed { text, .. }) => text,
        _ => String::new(),
    };
    Case::Failed { kind, message, text }
}

fn write_suite(to: &mut String, suite: &Suite) -> SuiteCounts {
    let mut counts = SuiteCounts { tests: suite.cases.len(), ..SuiteCounts::default() };
    for (_, _, case) in &suite.cases {
        match case {
            Case::Passed | Case::Told(_) => {}
            Case::Failed { .. } => counts.failures += 1,
            Case::Skipped(_) => counts.skipped += 1,
            Case::Error { .. } => counts.errors += 1,
        }
    }
    let _ = writeln!(
        to,
        "  <testsuite name=\"{}\" {} time=\"{}\"{}>",
        xml(&suite.name),
        attributes(&counts),
        seconds(suite.time),
        suite.stamp
    );
    to.push_str("    <properties>\n");
    for (name, value) in &suite.properties {
        let value = xml(&line(value, MESSAGE));
        let _ = writeln!(to, "      <property name=\"{name}\" value=\"{value}\"/>");
    }
    to.push_str("    </properties>\n");
    for (name, time, case) in &suite.cases {
        let head = format!(
            "    <testcase name=\"{}\" classname=\"{}\" time=\"{}\"",
            xml(&named(name)),
            xml(&named(&suite.class)),
            seconds(*time)
        );
        let inner = match case {
            Case::Passed => {
                let _ = writeln!(to, "{head}/>");
                continue;
            }
            Case::Told(text) => format!("<system-out>{}</system-out>", xml(&lines(text, LINES))),
            Case::Failed { kind, message, text } => format!(
                "<failure type=\"{}\" message=\"{}\">{}</failure>",
                xml(kind),
                xml(&line(message, MESSAGE)),
                xml(&lines(text, LINES))
            ),
            Case::Skipped(why) => format!("<skipped message=\"{}\"/>", xml(&line(why, MESSAGE))),
            Case::Error { kind, message } => {
                format!("<error type=\"{kind}\" message=\"{}\"/>", xml(&line(message, MESSAGE)))
            }
        };
        let _ = writeln!(to, "{head}>\n      {inner}\n    </testcase>");
    }
    to.push_str("  </testsuite>\n");
    counts
}

fn case_of(trial: &Trial, check: &CheckResult) -> Case {
    match check.status {
        CheckStatus::Pass => Case::Passed,
        CheckStatus::Fail => {
            let symptom = trial.symptom.as_ref();
            Case::Failed {
                kind: symptom.map_or("check-failed".to_owned(), |s| s.kind.to_string()),
                message: check.detail.clone(),
                text: [
                    symptom.map(ToString::to_string).unwrap_or_default(),
                    trial.hops.join("\n"),
                    format!("repeat: {}", trial.repeat),
                ]
                .join("\n"),
            }
        }
        // It decides nothing, so it must not turn a gate red.
        CheckStatus::Recorded => Case::Skipped(format!("failed, only recorded: {}", check.detail)),
        CheckStatus::NotRun => Case::Skipped(format!("not run: {}", check.detail)),
    }
}

fn case_of_trial(trial: &TrialRecord) -> Case {
    let reason = trial.reason.clone().unwrap_or_default();
    match (trial.verdict, &trial.symptom) {
        (VerdictKind::Bad, Some(symptom)) => Case::Failed {
            kind: symptom.kind.to_string(),
            message: symptom.title.clone(),
            text: [
                symptom.detail.clone(),
                trial.reports.first().map(|report| report.text.clone()).unwrap_or_default(),
                format!("repeat: {}", trial.repeat),
            ]
            .join("\n"),
        },
        (VerdictKind::Skip, _) => Case::Skipped(reason),
        (VerdictKind::ScenarioError, _) => {
            Case::Error { kind: "scenario-error".to_owned(), message: reason }
        }
        _ => Case::Error { kind: "infra".to_owned(), message: reason },
    }
}

fn properties(dossier: &Dossier, trial: &Trial) -> Vec<(&'static str, String)> {
    let kernel = &trial.kernel;
    vec![
        ("verdict", trial.verdict.to_string()),
        ("package-version", kernel.package_version.to_string()),
        ("flavour", kernel.flavour.clone()),
        ("source", kernel.source.clone()),
        ("kernel-id", kernel.id.0.clone()),
        ("accelerator", trial.accelerator.clone()),
        ("kbisect", dossier.tool_version().to_owned()),
        ("repeat", trial.repeat.clone()),
    ]
}

/// A name: an empty one would be refused.
fn named(name: &str) -> String {
    let name = line(name, MESSAGE);
    if name.is_empty() { "-".to_owned() } else { name }
}

fn attributes(counts: &SuiteCounts) -> String {
    format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\"",
        counts.tests, counts.failures, counts.errors, counts.skipped
    )
}

fn stamp(began: Option<u64>) -> String {
    let began = began.map(crate::text::utc).unwrap_or_default();
    if began.is_empty() { began } else { format!(" timestamp=\"{}\"", began.replace(' ', "T")) }
}

fn seconds(seconds: f64) -> String {
    format!("{:.3}", if seconds.is_finite() { seconds.max(0.0) } else { 0.0 })
}

/// Escapes a text for XML 1.0, in content and attributes. Characters that XML cannot hold were
/// spelled out before, but for two that are no control characters (XML 1.0 §2.2).
fn xml(text: &str) -> String {
    let mut to = String::new();
    for c in text.chars() {
        match c {
            '&' => to.push_str("&amp;"),
            '<' => to.push_str("&lt;"),
            '>' => to.push_str("&gt;"),
            '"' => to.push_str("&quot;"),
            '\'' => to.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => to.push('\u{fffd}'),
            '\n' => to.push(c),
            c if c.is_control() => {
                let _ = write!(to, "\\x{:02x}", u32::from(c));
            }
            c => to.push(c),
        }
    }
    to
}
