//! JUnit XML: a suite for each trial, a case for each check.

use std::fmt::Write;

use kbisect_core::trial::{CheckResult, CheckStatus, TrialRecord};

use crate::dossier::Dossier;
use crate::text::{line, lines};

/// Most characters of a message.
const MESSAGE: usize = 400;
/// Most lines of a trace.
const LINES: usize = 200;

/// How a case ended.
enum Case {
    Passed,
    Failed { kind: String, message: String, text: String },
    Skipped(String),
    Error(String),
}

/// What a suite has.
#[derive(Default)]
struct Counts {
    tests: usize,
    failures: usize,
    errors: usize,
    skipped: usize,
}

/// Writes the report.
pub(crate) fn junit(dossier: &Dossier) -> String {
    let mut body = String::new();
    let mut all = Counts::default();
    let mut time = 0.0;
    for trial in dossier.trials() {
        let counts = suite(&mut body, dossier, trial);
        all.tests += counts.tests;
        all.failures += counts.failures;
        all.errors += counts.errors;
        all.skipped += counts.skipped;
        time += trial.wall_s;
    }
    let mut to = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        to,
        "<testsuites name=\"{}\" {} time=\"{}\">",
        xml(&format!("kbisect {}", dossier.scenario())),
        attributes(&all),
        seconds(time)
    );
    to + &body + "</testsuites>\n"
}

fn suite(to: &mut String, dossier: &Dossier, trial: &TrialRecord) -> Counts {
    let label = dossier.label(&trial.kernel);
    let class = format!("{}.{label}", dossier.scenario());
    let mut cases: Vec<(String, f64, Case)> = trial
        .checks
        .iter()
        .map(|check| (check.name.clone(), check.wall_s, case_of(trial, check)))
        .collect();
    // What is no check's business (a panic, a service that died, a kernel that does not boot) is a
    // case of its own, so that it is not lost when every check passes or none was made.
    let failed = trial.checks.iter().any(|check| check.status == CheckStatus::Fail);
    let whole = match trial.verdict.as_str() {
        "bad" if failed => None,
        "good" => None,
        _ => Some(case_of_trial(trial)),
    };
    cases.extend(whole.map(|case| ("kernel".to_owned(), trial.wall_s, case)));
    let mut counts = Counts { tests: cases.len(), ..Counts::default() };
    for (_, _, case) in &cases {
        match case {
            Case::Passed => {}
            Case::Failed { .. } => counts.failures += 1,
            Case::Skipped(_) => counts.skipped += 1,
            Case::Error(_) => counts.errors += 1,
        }
    }
    let _ = writeln!(
        to,
        "  <testsuite name=\"{}\" {} time=\"{}\"{}>",
        xml(&format!("{} on {label}", dossier.scenario())),
        attributes(&counts),
        seconds(trial.wall_s),
        stamp(dossier, trial)
    );
    properties(to, dossier, trial);
    for (name, time, case) in &cases {
        let head = format!(
            "    <testcase name=\"{}\" classname=\"{}\" time=\"{}\"",
            xml(&named(name)),
            xml(&named(&class)),
            seconds(*time)
        );
        let inner = match case {
            Case::Passed => {
                let _ = writeln!(to, "{head}/>");
                continue;
            }
            Case::Failed { kind, message, text } => format!(
                "<failure type=\"{}\" message=\"{}\">{}</failure>",
                xml(kind),
                xml(&line(message, MESSAGE)),
                xml(&lines(text, LINES))
            ),
            Case::Skipped(why) => format!("<skipped message=\"{}\"/>", xml(&line(why, MESSAGE))),
            Case::Error(why) => {
                format!("<error type=\"infra\" message=\"{}\"/>", xml(&line(why, MESSAGE)))
            }
        };
        let _ = writeln!(to, "{head}>\n      {inner}\n    </testcase>");
    }
    to.push_str("  </testsuite>\n");
    counts
}

fn case_of(trial: &TrialRecord, check: &CheckResult) -> Case {
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
    match (trial.verdict.as_str(), &trial.symptom) {
        ("bad", Some(symptom)) => Case::Failed {
            kind: symptom.kind.to_string(),
            message: symptom.title.clone(),
            text: [
                symptom.detail.clone(),
                trial.reports.first().map(|report| report.text.clone()).unwrap_or_default(),
                format!("repeat: {}", trial.repeat),
            ]
            .join("\n"),
        },
        ("skip", _) => Case::Skipped(reason),
        _ => Case::Error(reason),
    }
}

fn properties(to: &mut String, dossier: &Dossier, trial: &TrialRecord) {
    let kernel = &trial.kernel;
    to.push_str("    <properties>\n");
    for (name, value) in [
        ("verdict", trial.verdict.as_str()),
        ("package-version", kernel.package_version.as_str()),
        ("flavour", &kernel.flavour),
        ("source", &kernel.source),
        ("kernel-id", &kernel.id.0),
        ("accelerator", &trial.accelerator),
        ("kbisect", dossier.tool_version()),
        ("repeat", &trial.repeat),
    ] {
        let value = xml(&line(value, MESSAGE));
        let _ = writeln!(to, "      <property name=\"{name}\" value=\"{value}\"/>");
    }
    to.push_str("    </properties>\n");
}

/// A name: an empty one would be refused.
fn named(name: &str) -> String {
    let name = line(name, MESSAGE);
    if name.is_empty() { "-".to_owned() } else { name }
}

fn attributes(counts: &Counts) -> String {
    format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\"",
        counts.tests, counts.failures, counts.errors, counts.skipped
    )
}

fn stamp(dossier: &Dossier, trial: &TrialRecord) -> String {
    let began = dossier.times(trial).began.map(crate::text::utc).unwrap_or_default();
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
