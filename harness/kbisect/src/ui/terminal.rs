//! The live display: the series, the trial that runs, downloads.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::lines::{check_words, minimize_words, place, selftest_words};
use super::paint::{Ink, Paint};
use super::ruler;
use super::time::time;
use super::view::{Current, Matter, View};

/// How often a line that moves by itself is drawn anew.
const TICK: Duration = Duration::from_millis(250);
/// Columns and rows when the terminal does not tell.
const SIZE: (usize, usize) = (80, 24);
/// Rows of a terminal that are not for the lines of the run: some downloads, and what was printed last.
const BESIDE: usize = 10;
/// Most rows of the table: more is not taken in at a glance.
const TABLE: usize = 16;

/// The bars of a terminal. The series and the trial come first, downloads below.
#[derive(Debug)]
pub struct Terminal {
    bars: MultiProgress,
    series: Line,
    /// One for each worker.
    trials: Vec<Line>,
    /// Under doubt: rates and versions.
    beliefs: Vec<Line>,
    paint: Paint,
}

/// What a display shows at `now`, line by line.
pub fn picture(view: &View, doing: &str, now: Duration, paint: Paint) -> Vec<String> {
    let trials = trial_texts(view, doing, now, paint);
    let above = 1 + trials.len();
    let lines = std::iter::once(series_text(view, paint)).chain(trials);
    lines.flatten().chain(table(view, above, paint)).collect()
}

/// One line that can come and go.
#[derive(Debug)]
struct Line {
    position: usize,
    bar: Option<ProgressBar>,
    /// What it says; the same again is not drawn again.
    text: String,
}

impl Terminal {
    /// A display on standard error.
    pub fn new(paint: Paint) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        let (trials, beliefs) = (Vec::new(), Vec::new());
        Self { bars, series: Line::at(0), trials, beliefs, paint }
    }

    /// Draws the state of the run at `now`, since the display began; `doing` is what the current
    /// step does.
    pub fn draw(&mut self, view: &View, doing: &str, now: Duration) {
        self.series.show(&self.bars, series_text(view, self.paint));
        let texts = trial_texts(view, doing, now, self.paint);
        while self.trials.len() < texts.len() {
            self.trials.push(Line::at(1 + self.trials.len()));
        }
        // Lines below have their places: of several, none goes before the end.
        let waits = (self.trials.len() > 1).then(|| self.paint.ink(Ink::Faint, "a worker waits"));
        let texts = texts.into_iter().chain(std::iter::repeat(None));
        for (line, text) in self.trials.iter_mut().zip(texts) {
            line.show(&self.bars, text.or_else(|| waits.clone()));
        }
        let above = 1 + self.trials.len().max(1);
        let table = table(view, above, self.paint);
        while self.beliefs.len() < table.len() {
            self.beliefs.push(Line::at(above + self.beliefs.len()));
        }
        let texts = table.into_iter().map(Some).chain(std::iter::repeat(None));
        for (line, text) in self.beliefs.iter_mut().zip(texts) {
            line.show(&self.bars, text);
        }
    }

    /// Prints a line above the bars.
    pub fn print(&self, line: &str) {
        // A terminal that is gone ends the program by other means.
        let _ = self.bars.println(line);
    }

    /// Leaves the terminal to something else for a while.
    pub fn pause<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        self.bars.suspend(meanwhile)
    }

    /// A bar for an item of work.
    pub fn item(&self, what: &str, total: Option<u64>) -> ProgressBar {
        let bar = match total {
            Some(total) => {
                // 70 columns and the bar: a line that wraps at 80 cannot be drawn over.
                let template = "  {prefix:38!} {wide_bar} {decimal_bytes:>10} of \
                                {decimal_total_bytes:>10} {eta:>3}";
                ProgressBar::new(total).with_style(style(template).progress_chars("=> "))
            }
            None => ProgressBar::new_spinner().with_style(style("  {prefix} {spinner}")),
        };
        let bar = self.bars.add(bar.with_prefix(what.to_owned()));
        // A bar is drawn when it moves; what has no size moves by itself.
        match total {
            Some(_) => bar.tick(),
            None => bar.enable_steady_tick(TICK),
        }
        bar
    }

    /// Takes the lines of the run off the terminal for good.
    pub fn end(&mut self) {
        self.series.show(&self.bars, None);
        self.trials.iter_mut().for_each(|line| line.show(&self.bars, None));
        self.beliefs.iter_mut().for_each(|line| line.show(&self.bars, None));
        let _ = self.bars.clear();
    }
}

impl Line {
    fn at(position: usize) -> Self {
        Self { position, bar: None, text: String::new() }
    }

    fn show(&mut self, bars: &MultiProgress, text: Option<String>) {
        match (text, &self.bar) {
            (Some(text), Some(_)) if text == self.text => {}
            (Some(text), Some(bar)) => {
                self.text.clone_from(&text);
                bar.set_message(text);
            }
            (Some(text), None) => {
                let bar = ProgressBar::new_spinner().with_style(style("{wide_msg}"));
                // Until the first line is there the second one is at its place.
                let bar = bars.insert(self.position, bar);
                self.text.clone_from(&text);
                bar.set_message(text);
                self.bar = Some(bar);
            }
            (None, Some(bar)) => {
                bar.finish_and_clear();
                bars.remove(bar);
                self.bar = None;
            }
            (None, None) => {}
        }
    }
}

fn series_text(view: &View, paint: Paint) -> Option<String> {
    if let Some((matter, verdicts)) = view.matter() {
        let words = match matter {
            Matter::Check(plan) => check_words(plan, paint),
            Matter::Selftest(plan) => selftest_words(plan, paint),
            Matter::Minimize(plan) => minimize_words(plan, paint),
            Matter::Run => return None,
        };
        let counts = verdicts
            .iter()
            .map(|(kind, count)| format!("{count} {}", paint.verdict(kind.word())))
            .collect::<Vec<_>>()
            .join(", ");
        let separator = if counts.is_empty() { "" } else { ": " };
        let text = format!("{words}{separator}{counts}");
        return Some(text);
    }
    let plan = view.plan()?;
    let (first, last) = (plan.series.first()?.kernel.label(), plan.series.last()?.kernel.label());
    // Under doubt `good` and `bad` would say too much.
    let known = view.beliefs().runs().or_else(|| view.known()).unwrap_or_default();
    let beside = first.len() + last.len() + known.len() + 6;
    let width = columns().saturating_sub(beside).clamp(10, 60);
    let marks = ruler::draw(&view.cells(), width, paint);
    Some(format!("{first} {marks} {last}   {}", paint.ink(Ink::Faint, &known)))
}

/// The lines of the trials, each at the place of its worker.
fn trial_texts(view: &View, doing: &str, now: Duration, paint: Paint) -> Vec<Option<String>> {
    let running = view.running();
    let Some(newest) = running.last() else {
        return vec![(!doing.is_empty()).then(|| doing.to_owned())];
    };
    let mut texts: Vec<Option<String>> = Vec::new();
    for trial in running {
        let at = trial.worker.map_or(0, |worker| worker.saturating_sub(1) as usize);
        texts.resize(texts.len().max(at + 1), None);
        let mut text = trial_text(view, trial, paint);
        // What is done beside the trials is told with the only one.
        let beside = if running.len() == 1 { doing } else { "" };
        let doing = if trial.doing.is_empty() { beside } else { &trial.doing };
        if !doing.is_empty() {
            text.push_str(&format!(": {doing}"));
        }
        let mut clock = format!("  {}", time(now.saturating_sub(trial.began)));
        if trial.number == newest.number {
            clock.push_str(&time_left(view, now));
        }
        text.push_str(&paint.ink(Ink::Faint, &clock));
        texts[at] = Some(text);
    }
    texts
}

fn trial_text(view: &View, trial: &Current, paint: Paint) -> String {
    let number = trial.number;
    let mut text = match trial.label.as_str() {
        // The only thing to try.
        "" => String::new(),
        label => {
            let place = place(number, trial.estimated_left, view);
            format!("trial {place}  {}  ", paint.ink(Ink::Bright, label))
        }
    };
    if let Some(phase) = trial.phase {
        text.push_str(&phase.to_string());
    }
    text
}

fn time_left(view: &View, now: Duration) -> String {
    let range = view.mean().and_then(|mean| view.beliefs().time_left(mean));
    match (range, view.left(now)) {
        (Some(range), _) => format!(", {range}"),
        (None, Some(left)) => format!(", about {} left", time(left)),
        (None, None) => String::new(),
    }
}

/// The table of versions below so many lines.
fn table(view: &View, above: usize, paint: Paint) -> Vec<String> {
    // A line that wraps cannot be drawn over.
    let (columns, rows) = size();
    let room = rows.saturating_sub(above + BESIDE).min(TABLE);
    view.beliefs().table(columns.saturating_sub(1), room, paint)
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is constant")
}

fn columns() -> usize {
    size().0
}

/// Columns and rows of the terminal.
fn size() -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    let size = size.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row))).ok();
    size.filter(|(columns, rows)| *columns > 0 && *rows > 0).unwrap_or(SIZE)
}

#[cfg(test)]
mod tests {
    use kbisect_core::run::RunEvent;
    use kbisect_core::search::Direction;
    use kbisect_core::trial::Phase;

    use super::super::view::tests::{began, beside};
    use super::*;

    #[test]
    fn each_worker_has_a_line_at_its_place() {
        let mut view = View::default();
        let events = [
            began(Direction::Regression, 9),
            beside(1, 8, 5, Some(2)),
            beside(2, 0, 4, Some(1)),
            RunEvent::PhaseBegan { number: 1, phase: Phase::Checks },
        ];
        for event in &events {
            view.take(event, Duration::ZERO);
        }
        view.say(2, "waits for http");
        let lines = picture(&view, "", Duration::from_secs(7), Paint::new(false));
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[1].starts_with("trial 2 of about 5  6.12.0  "), "{lines:?}");
        assert!(lines[1].contains("waits for http  7 s"), "{lines:?}");
        assert!(lines[2].starts_with("trial 1 of about 5  6.12.8  checks  7 s"), "{lines:?}");
        // Only one of them is there: the other keeps its place.
        view.take(&RunEvent::TrialCancelled { number: 2, reason: String::new() }, Duration::ZERO);
        assert_eq!(trial_texts(&view, "", Duration::ZERO, Paint::new(false))[0], None);
    }
}
