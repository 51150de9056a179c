//! The short verdict at the end of a run, for the terminal.

use kbisect_core::answer::Trial;
use kbisect_core::kernel::Kernel;
use kbisect_core::run::{BisectResult, OutcomeWord, Rates, RunResult};
use kbisect_core::trial::{CheckStatus, Symptom, Verdict};

use crate::disturbed::disturbed;
use crate::story::{Story, came_up, count, duration};
use crate::text::line;
use crate::{changed, doubt, words};

/// Widest text of a line, in characters: long enough for commands and sentences, short enough that
/// a hostile text cannot fill the screen.
const WIDTH: usize = 400;
/// Most culprits that a line names.
const CULPRITS: usize = 8;
/// Most notices that are told; the report has all.
const NOTICES: usize = 2;

/// Most checks whose rate is shown, unless more of them failed.
const RATES: usize = 12;

/// Most changes that are named.
const CHANGES: usize = 5;

/// Colours of a terminal (ECMA-48).
#[derive(Clone, Copy)]
enum Colour {
    Red,
    Green,
    Yellow,
}

/// Lines of a summary, a label and a text each.
struct Lines {
    color: bool,
    text: String,
}

impl Lines {
    fn new(color: bool, verdict: &str, colour: Colour) -> Self {
        let verdict = line(verdict, WIDTH);
        let text = if color {
            let code = match colour {
                Colour::Red => 31,
                Colour::Green => 32,
                Colour::Yellow => 33,
            };
            format!("\u{1b}[1;{code}m{verdict}\u{1b}[0m\n")
        } else {
            format!("{verdict}\n")
        };
        Self { color, text }
    }

    fn push(&mut self, label: &str, text: &str) {
        let text = line(text, WIDTH);
        if text.is_empty() {
            return;
        }
        let label = format!("{label:<11}");
        let label = if self.color { format!("\u{1b}[2m{label}\u{1b}[0m") } else { label };
        self.text.push_str(&format!("  {label} {text}\n"));
    }
}

/// Sums up a bisection in at most 12 lines, each ended by a line break, and at most 7 more of what
/// changed.
///
/// Text from guests has its control characters spelled out, with `color` or without.
#[must_use]
pub fn terminal_summary(result: &BisectResult, color: bool) -> String {
    let story = Story { result };
    let colour = if story.found() { Colour::Green } else { Colour::Yellow };
    let mut lines = Lines::new(color, &story.verdict(), colour);
    for side in story.sides() {
        lines.push(side.label, &identity(side.kernel, &story.label(side.kernel)));
        if let Some(commit) = story.commit(side.kernel) {
            lines.push("", &line(&commit.subject, 120));
        }
    }
    if result.outcome == OutcomeWord::Range {
        let labels: Vec<String> =
            result.candidates.iter().take(CULPRITS).map(|kernel| story.label(kernel)).collect();
        let more = result.candidates.len().saturating_sub(CULPRITS);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        lines.push("one of", &format!("{}{more}", labels.join(", ")));
    }
    if let Some(symptom) = &result.symptom {
        lines.push("symptom", &symptom.to_string());
    }
    if let Some(symptom) = story.shown_trial().and_then(|trial| trial.symptom.as_ref()) {
        lines.push("seen", &seen(symptom));
    }
    if result.confidence.level != "none" {
        let confidence = &result.confidence;
        lines
            .push("confidence", &format!("{}: {}", doubt::level(confidence), confidence.statement));
    }
    if let Some(test) = &result.revert {
        lines.push("tested", &words::revert(test, result.direction));
    }
    for further in &result.further {
        lines.push(
            words::further_label(further.because),
            &words::further(further, result.direction),
        );
    }
    for notice in story.notices().iter().take(NOTICES) {
        lines.push("note", notice.trim_start_matches("Note: "));
    }
    let accelerator = result.environment.accelerator.to_uppercase();
    let accelerator =
        if accelerator.is_empty() { String::new() } else { format!(" ({accelerator})") };
    let trials = count(result.trials.len(), "trial");
    lines.push("trials", &format!("{trials} in {}{accelerator}", duration(result.wall_s)));
    match result.warnings.as_slice() {
        [] => {}
        [one] => lines.push("warning", one),
        many => lines.push("warnings", &format!("{} (see the report): {}", many.len(), many[0])),
    }
    changes(&mut lines, result);
    lines.push("report", &format!("{}/report.md", result.run_dir));
    match story.resume() {
        Some(resume) => lines.push("go on", &resume),
        None => lines.push("repeat", story.repeat().unwrap_or_default()),
    }
    lines.text
}

/// Sums up one trial in at most 12 lines, and how often its checks failed where it was repeated, each ended by a line break.
///
/// Text from guests has its control characters spelled out, with `color` or without.
#[must_use]
pub fn terminal_summary_run(result: &RunResult, color: bool) -> String {
    let trial = &result.trial;
    let (scenario, label) = (&result.scenario, trial.kernel.label());
    let (verdict, colour) = match trial.verdict() {
        Verdict::Good => (format!("good: scenario {scenario} passes on {label}."), Colour::Green),
        Verdict::Bad(_) => (format!("bad: scenario {scenario} fails on {label}."), Colour::Red),
        Verdict::Skip(reason) => {
            (format!("skip: {label} cannot answer: {reason}."), Colour::Yellow)
        }
        Verdict::Infra(reason) => {
            (format!("no verdict: kbisect or the host failed: {reason}."), Colour::Yellow)
        }
        Verdict::Scenario(_) => {
            (format!("scenario error: {scenario} says nothing of {label}."), Colour::Yellow)
        }
    };
    let mut lines = Lines::new(color, &verdict, colour);
    lines.push("kernel", &identity(&trial.kernel, label));
    if let Some(symptom) = &trial.symptom {
        lines.push("symptom", &symptom.to_string());
        lines.push("seen", &seen(symptom));
    }
    if let Verdict::Scenario(fault) = trial.verdict() {
        lines.push("error", &fault.to_string());
        lines.push("what to do", &fault.hint());
    }
    lines.push("checks", &checks(trial));
    if let Some(rates) = &result.rates {
        rates_of(&mut lines, rates);
    }
    let accelerator = trial.accelerator.to_uppercase();
    let boot = trial.timings_s.get("boot").map(|boot| format!(", {} of it boot", duration(*boot)));
    let boot = boot.unwrap_or_default() + came_up(trial);
    lines.push("time", &format!("{}{boot} ({accelerator})", duration(trial.wall_s)));
    if let Some(disturbed) = disturbed(&trial.disturbed) {
        lines.push("time lost", &disturbed);
    }
    if let Some(note) = trial.notes.first() {
        lines.push("note", note);
    }
    lines.push("report", &format!("{}/report.md", result.run_dir));
    lines.push("repeat", &trial.repeat);
    lines.text
}

/// How often checks failed: those that did first, and as many others as there is room for.
fn rates_of(lines: &mut Lines, rates: &Rates) {
    lines.push("rates", &words::rates_of(rates));
    let (failed, passed): (Vec<_>, Vec<_>) =
        rates.checks.iter().partition(|check| check.failed > 0);
    let shown = failed.len().max(RATES);
    for check in failed.iter().chain(&passed).take(shown) {
        let told = format!("{}: {}, {}", check.name, words::failed_of(check), words::rate(check));
        lines.push("", &told);
    }
    let more = rates.checks.len().saturating_sub(shown);
    if more > 0 {
        lines.push("  ...", &format!("{more} more in report.md"));
    }
}

/// The most suspect changes.
fn changes(lines: &mut Lines, result: &BisectResult) {
    let Some(ranking) = changed::ranking(result) else { return };
    lines.push("changed", &changed::changes_sentence(ranking));
    for ranked in ranking.top.iter().take(CHANGES) {
        let subject = line(&ranked.change.subject, 120);
        let because = ranked.because();
        lines.push(
            &format!("  {}", ranked.rank),
            &format!("{subject} ({}): {because}", ranked.origin()),
        );
    }
    if let [one, ..] = ranking.notes.as_slice() {
        lines.push("", one);
    }
}

/// `6.12.57 (6.12.57-1, cloud-amd64, debian:trixie)`.
fn identity(kernel: &Kernel, label: &str) -> String {
    let package = kernel.package_version.as_str();
    let parts = [package, kernel.flavour.as_str(), kernel.source.as_str()];
    let parts: Vec<&str> =
        parts.into_iter().filter(|part| !part.is_empty() && *part != label).collect();
    format!("{label:<9} ({})", parts.join(", "))
}

/// What was seen, if it says more than the title.
fn seen(symptom: &Symptom) -> String {
    if symptom.detail == symptom.title { String::new() } else { line(&symptom.detail, 240) }
}

fn checks(trial: &Trial) -> String {
    let with = |status| trial.checks.iter().filter(move |check| check.status == status);
    let passed = with(CheckStatus::Pass).count();
    let names =
        |status| with(status).map(|check| check.name.as_str()).collect::<Vec<_>>().join(", ");
    let mut text = match trial.checks.len() {
        0 => return String::new(),
        all => format!("{passed} of {all} passed"),
    };
    for (status, word) in [
        (CheckStatus::Fail, "failed"),
        (CheckStatus::Recorded, "failed, only recorded"),
        (CheckStatus::NotRun, "not run"),
    ] {
        let names = names(status);
        if !names.is_empty() {
            text.push_str(&format!("; {word}: {names}"));
        }
    }
    text
}
