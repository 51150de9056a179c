//! The live display: the series, the trial that runs, downloads.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::lines::{place, time};
use super::paint::{Ink, Paint};
use super::ruler;
use super::view::View;

/// How often a line that moves by itself is drawn anew.
const TICK: Duration = Duration::from_millis(250);
/// Columns and rows when the terminal does not tell.
const SIZE: (usize, usize) = (80, 24);
/// Lines of the series and the trial.
const FIXED: usize = 2;
/// Rows of a terminal that are not for the table of versions: the lines above, some downloads, and
/// what was printed last.
const BESIDE: usize = 12;
/// Most rows of the table: more is not taken in at a glance.
const TABLE: usize = 16;

/// The bars of a terminal. The series and the trial come first, downloads below.
#[derive(Debug)]
pub struct Terminal {
    bars: MultiProgress,
    series: Line,
    trial: Line,
    /// Under doubt: rates and versions.
    beliefs: Vec<Line>,
    paint: Paint,
}

/// What a display shows at `now`, line by line.
pub fn picture(view: &View, doing: &str, now: Duration, paint: Paint) -> Vec<String> {
    let lines = [series_text(view, paint), trial_text(view, doing, now, paint)];
    lines.into_iter().flatten().chain(table(view, paint)).collect()
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
        Self { bars, series: Line::at(0), trial: Line::at(1), beliefs: Vec::new(), paint }
    }

    /// Draws the state of the run at `now`, since the display began; `doing` is what the current
    /// step does.
    pub fn draw(&mut self, view: &View, doing: &str, now: Duration) {
        self.series.show(&self.bars, series_text(view, self.paint));
        self.trial.show(&self.bars, trial_text(view, doing, now, self.paint));
        let table = table(view, self.paint);
        while self.beliefs.len() < table.len() {
            self.beliefs.push(Line::at(FIXED + self.beliefs.len()));
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
        self.trial.show(&self.bars, None);
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
    let plan = view.plan()?;
    let (first, last) = (plan.series.first()?.kernel.label(), plan.series.last()?.kernel.label());
    // Under doubt `good` and `bad` would say too much.
    let known = view.beliefs().runs().or_else(|| view.known()).unwrap_or_default();
    let beside = first.len() + last.len() + known.len() + 6;
    let width = columns().saturating_sub(beside).clamp(10, 60);
    let marks = ruler::draw(&view.cells(), width, paint);
    Some(format!("{first} {marks} {last}   {}", paint.ink(Ink::Faint, &known)))
}

fn trial_text(view: &View, doing: &str, now: Duration, paint: Paint) -> Option<String> {
    let Some(current) = view.current() else {
        return (!doing.is_empty()).then(|| doing.to_owned());
    };
    let mut text = String::new();
    // A single trial has no place in a series.
    if let Some(label) = view.label(current.index) {
        let place = place(current.number, current.estimated_left, view);
        text = format!("trial {place}  {}  ", paint.ink(Ink::Bright, label));
    }
    if let Some(phase) = current.phase {
        text.push_str(&phase.to_string());
    }
    if !doing.is_empty() {
        text.push_str(&format!(": {doing}"));
    }
    let mut clock = format!("  {}", time(now.saturating_sub(current.began)));
    let range = view.mean().and_then(|mean| view.beliefs().time_left(mean));
    if let Some(range) = range {
        clock.push_str(&format!(", {range}"));
    } else if let Some(left) = view.left(now) {
        clock.push_str(&format!(", about {} left", time(left)));
    }
    text.push_str(&paint.ink(Ink::Faint, &clock));
    Some(text)
}

fn table(view: &View, paint: Paint) -> Vec<String> {
    // A line that wraps cannot be drawn over.
    let (columns, rows) = size();
    let room = rows.saturating_sub(BESIDE).min(TABLE);
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
