//! The short verdict at the end of a run, for the terminal.

use kbisect_core::answer::Trial;
use kbisect_core::changes::Reason;
use kbisect_core::kernel::Kernel;
use kbisect_core::run::{BisectResult, OutcomeWord, Rates, RunResult};
use kbisect_core::trial::{CheckStatus, Symptom, Verdict};

use crate::disturbed::disturbed;
use crate::story::{Story, came_up, count, duration};
use crate::text::{line, plain_lines, uri};
use crate::words::reason_chip;
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

/// How a summary is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether colours are used, lines are drawn, and files are links.
    pub color: bool,
    /// Columns that there are; lines are not broken without.
    pub width: Option<usize>,
}

/// Narrowest terminal whose lines are broken to fit.
const NARROWEST: usize = 50;
/// Columns before the text of a line: two spaces, the label, a space.
const INDENT: usize = 14;

/// Lines of a summary, a label and a text each.
struct Lines {
    style: Style,
    text: String,
}

impl Lines {
    fn new(style: Style, verdict: &str, colour: Colour) -> Self {
        let mut lines = Self { style, text: String::new() };
        let code = match colour {
            Colour::Red => "1;31",
            Colour::Green => "1;32",
            Colour::Yellow => "1;33",
        };
        lines.lead(verdict, code);
        lines
    }

    /// A line without a label, in a colour or bold.
    fn lead(&mut self, text: &str, code: &str) {
        for text in self.broken(&line(text, WIDTH), 0) {
            self.text += &self.in_colour(&text, code);
            self.text.push('\n');
        }
    }

    fn push(&mut self, label: &str, text: &str) {
        self.put(label, text, |part| part.to_owned());
    }

    /// A file, as a link to it where the terminal may know links (OSC 8).
    fn file(&mut self, label: &str, path: &str) {
        let target = std::path::absolute(path).ok().filter(|_| self.style.color);
        let target = target.map(|path| line(&path.display().to_string(), WIDTH));
        self.put(label, path, |part| match &target {
            Some(target) => {
                format!("\u{1b}]8;;file://{}\u{1b}\\{part}\u{1b}]8;;\u{1b}\\", uri(target))
            }
            None => part.to_owned(),
        });
    }

    fn put(&mut self, label: &str, text: &str, shown: impl Fn(&str) -> String) {
        let text = line(text, WIDTH);
        if text.is_empty() {
            return;
        }
        for (at, part) in self.broken(&text, INDENT).iter().enumerate() {
            let label = format!("{:<11}", if at == 0 { label } else { "" });
            self.text += &format!("  {} {}\n", self.in_colour(&label, "2"), shown(part));
        }
    }

    /// A line across.
    fn rule(&mut self) {
        if self.style.color {
            let width = self.style.width.map_or(80, |width| width.clamp(NARROWEST, 100));
            self.text += &self.in_colour(&"\u{2500}".repeat(width), "2");
            self.text.push('\n');
        }
    }

    fn in_colour(&self, text: &str, code: &str) -> String {
        match self.style.color {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }

    /// A text in lines that fit beside what is before them. Commands and paths stay whole.
    fn broken(&self, text: &str, indent: usize) -> Vec<String> {
        let Some(width) = self.style.width else { return vec![text.to_owned()] };
        let room = width.max(NARROWEST) - indent;
        textwrap::wrap(text, plain_lines(room)).into_iter().map(Into::into).collect()
    }
}

/// Sums up a bisection: what was found and seen in at most 20 lines, and the answer in ten at the end, where
/// it is on the screen.
///
/// Text from guests has its control characters spelled out, in any style.
#[must_use]
pub fn terminal_summary(result: &BisectResult, style: Style) -> String {
    let story = Story { result };
    let colour = if story.found() { Colour::Green } else { Colour::Yellow };
    let mut lines = Lines::new(style, &story.verdict(), colour);
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
    let trials = count(result.all_trials().len(), "trial");
    lines.push("trials", &format!("{trials} in {}{accelerator}", duration(result.wall_s)));
    match result.warnings.as_slice() {
        [] => {}
        [one] => lines.push("warning", one),
        many => lines.push("warnings", &format!("{} (see the report): {}", many.len(), many[0])),
    }
    changes(&mut lines, result);
    if let Some(forgone) = &result.forgone {
        lines.push("forgone", &words::forgone(forgone));
        lines.push("", &words::mending(forgone).unwrap_or_default());
    }
    if story.resume().is_none() {
        lines.push("repeat", story.repeat().unwrap_or_default());
    }
    answer(&mut lines, &story);
    lines.text
}

/// What decides, last.
fn answer(lines: &mut Lines, story: &Story<'_>) {
    let result = story.result;
    lines.rule();
    if let Some(headline) = story.headline() {
        lines.lead(&headline.broken, "1");
        let good = headline.good.as_ref().map(|good| format!("; good: {good}"));
        lines.push("affected", &format!("{}{}", headline.affected, good.unwrap_or_default()));
        lines.push("fixed", headline.fixed.as_deref().unwrap_or_default());
        lines.push("do", &headline.advice);
    }
    if result.confidence.level != "none" {
        let confidence = &result.confidence;
        lines
            .push("confidence", &format!("{}: {}", doubt::level(confidence), confidence.statement));
    }
    // A recording has no files.
    if !result.run_dir.is_empty() {
        lines.file("report", &format!("{}/report.html", result.run_dir));
    }
    match story.resume() {
        Some(resume) => lines.push("go on", &resume),
        None => lines.push("next", &story.next().unwrap_or_default()),
    }
    lines.rule();
}

/// Sums up one trial in at most 12 lines, and how often its checks failed where it was repeated, each ended by a line break.
///
/// Text from guests has its control characters spelled out, in any style.
#[must_use]
pub fn terminal_summary_run(result: &RunResult, style: Style) -> String {
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
    let mut lines = Lines::new(style, &verdict, colour);
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
        let chip = |reason: &Reason| format!(" [{}]", reason_chip(&reason.kind));
        let chips: String = ranked.reasons.iter().map(chip).collect();
        lines.push(
            &format!("  {}", ranked.rank),
            &format!("{subject} ({}){chips}", ranked.origin()),
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
