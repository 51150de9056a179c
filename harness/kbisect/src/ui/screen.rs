//! The one consumer of the event stream that draws.

use std::io::{IsTerminal, Write};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use kbisect_core::run::RunEvent;

use super::lines::{self, Detail};
use super::paint::{Paint, is_dumb};
use super::terminal::Terminal;
use super::view::View;
use crate::cli::Global;
use crate::output;

/// How often the clock on a terminal goes on.
const TICK: Duration = Duration::from_millis(500);

/// Draws what goes on: bars on a terminal, else lines. Clones draw on the same place.
#[derive(Clone, Debug)]
pub struct Ui {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    began: Instant,
    /// How old the run was when its display began.
    age: Duration,
    paint: Paint,
    detail: Detail,
    pub(super) stop: Arc<AtomicBool>,
    screen: Mutex<Screen>,
}

#[derive(Debug)]
pub(super) struct Screen {
    view: View,
    doing: String,
    pub(super) canvas: Canvas,
}

/// Where it is drawn.
#[derive(Debug)]
pub(super) enum Canvas {
    /// Nowhere: `--quiet`.
    Nowhere,
    /// Lines with the time in front.
    Lines,
    /// Bars.
    Terminal(Terminal),
}

impl Ui {
    /// A display on standard error: bars when it is a terminal and nobody's CI, else lines, with
    /// `--quiet` nothing.
    pub fn new(global: &Global) -> Self {
        Self::since(global, Duration::ZERO)
    }

    /// A display that only keeps what it is told, for [`Ui::snapshot`].
    pub fn silent(global: &Global) -> Self {
        Self::new(&Global { quiet: true, verbose: 0, ..global.clone() })
    }

    /// As [`Ui::new`], for a run that began `age` ago.
    pub fn since(global: &Global, age: Duration) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let paint = Paint::choose(global.color, terminal);
        let live = terminal && !is_dumb() && std::env::var_os("CI").is_none();
        let (canvas, detail) = match (global.quiet, live) {
            (true, _) => (Canvas::Nowhere, Detail::Results),
            (false, true) => (Canvas::Terminal(Terminal::new(paint)), Detail::Results),
            (false, false) => (Canvas::Lines, Detail::Phases),
        };
        let detail = if global.verbose > 0 { Detail::All } else { detail };
        let screen = Screen { view: View::default(), doing: String::new(), canvas };
        let ticking = matches!(screen.canvas, Canvas::Terminal(_));
        let inner = Arc::new(Inner {
            began: Instant::now(),
            age,
            paint,
            detail,
            stop: Arc::default(),
            screen: Mutex::new(screen),
        });
        if ticking {
            tick(Arc::downgrade(&inner));
        }
        Self { inner }
    }

    /// Takes an event of a run.
    pub fn event(&self, event: &RunEvent) {
        self.event_at(event, self.inner.now());
    }

    /// Takes an event that came to pass `at` after the run began.
    pub fn event_at(&self, event: &RunEvent, at: Duration) {
        let mut screen = self.inner.screen();
        screen.view.take(event, at);
        screen.doing.clear();
        if let Some(text) = lines::line(event, &screen.view, self.inner.detail, self.inner.paint) {
            self.inner.print_at(&screen, &text, at);
        }
        screen.draw(self.inner.now());
    }

    /// All that was noticed of the answers so far.
    pub fn notices(&self) -> Vec<String> {
        self.inner.screen().view.beliefs().notices()
    }

    /// What a terminal would show now, as text.
    pub fn snapshot(&self, paint: Paint) -> String {
        let screen = self.inner.screen();
        let lines = super::terminal::picture(&screen.view, &screen.doing, self.inner.now(), paint);
        lines.iter().map(|line| without_controls(line) + "\n").collect()
    }

    /// Takes an event of the past of a run that goes on: it is not told again.
    pub fn replay(&self, event: &RunEvent) {
        let mut screen = self.inner.screen();
        let now = self.inner.now();
        screen.view.take(event, now);
        screen.draw(now);
    }

    /// Says what the current step does; the next event or call replaces it.
    pub fn doing(&self, text: &str) {
        let text = output::clean(text);
        let mut screen = self.inner.screen();
        if screen.doing == text {
            return;
        }
        if matches!(screen.canvas, Canvas::Lines)
            && !text.is_empty()
            && (screen.view.running().is_empty() || self.inner.detail == Detail::All)
        {
            self.inner.print(&screen, &text);
        }
        screen.doing = text;
        screen.draw(self.inner.now());
    }

    /// Says what the current step of a trial does; its next event or call replaces it.
    pub fn doing_in(&self, number: u32, text: &str) {
        let text = output::clean(text);
        let mut screen = self.inner.screen();
        let Some(trial) = screen.view.trial(number) else {
            drop(screen);
            return self.doing(&text);
        };
        if trial.doing == text {
            return;
        }
        if matches!(screen.canvas, Canvas::Lines)
            && !text.is_empty()
            && self.inner.detail == Detail::All
        {
            let text = format!("{}{text}", lines::beside(&screen.view, number));
            self.inner.print(&screen, &text);
        }
        screen.view.say(number, &text);
        screen.draw(self.inner.began.elapsed());
    }

    /// Prints one line that stays, unless `--quiet` was given.
    pub fn note(&self, line: &str) {
        self.inner.print(&self.inner.screen(), &output::clean(line));
    }

    /// Takes what moves off the terminal while something else writes and reads there.
    pub fn pause<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        match &self.inner.screen().canvas {
            Canvas::Terminal(terminal) => terminal.pause(meanwhile),
            Canvas::Lines | Canvas::Nowhere => meanwhile(),
        }
    }

    /// The flag that ends downloads when it is set.
    pub fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.inner.stop)
    }

    /// Ends the display: what moves goes, what was printed stays. Later lines are still printed.
    pub fn finish(&self) {
        let mut screen = self.inner.screen();
        screen.doing.clear();
        if let Canvas::Terminal(terminal) = &mut screen.canvas {
            terminal.end();
            screen.canvas = Canvas::Lines;
        }
    }
}

impl Inner {
    pub(super) fn screen(&self) -> MutexGuard<'_, Screen> {
        // A thread that panicked while it drew leaves a bad picture, no bad data.
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the run began.
    fn now(&self) -> Duration {
        self.age + self.began.elapsed()
    }

    /// Prints lines; text from outside was cleaned by the caller or is cleaned here but for colours.
    pub(super) fn print(&self, screen: &Screen, text: &str) {
        self.print_at(screen, text, self.now());
    }

    fn print_at(&self, screen: &Screen, text: &str, at: Duration) {
        for line in text.split('\n') {
            let line = without_controls(line);
            match &screen.canvas {
                Canvas::Nowhere => {}
                Canvas::Terminal(terminal) => terminal.print(&line),
                Canvas::Lines => {
                    let at = at.as_secs_f64();
                    // Nobody is left to be told when this fails.
                    let _ = writeln!(std::io::stderr(), "[{at:6.1}s] {line}");
                }
            }
        }
    }
}

impl Screen {
    fn draw(&mut self, now: Duration) {
        if let Canvas::Terminal(terminal) = &mut self.canvas {
            terminal.draw(&self.view, &self.doing, now);
        }
    }
}

/// Keeps colours (`ESC [ digits ; m`), replaces every other control character.
fn without_controls(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('\u{1b}') {
        text.push_str(&output::clean(&rest[..at]));
        rest = &rest[at..];
        let length = colour_length(rest);
        let (escape, after) = rest.split_at(length.unwrap_or(1));
        text.push_str(if length.is_some() { escape } else { "\u{fffd}" });
        rest = after;
    }
    text.push_str(&output::clean(rest));
    text
}

fn colour_length(text: &str) -> Option<usize> {
    let digits = text.strip_prefix("\u{1b}[")?;
    let end = digits.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    digits[end..].starts_with('m').then_some(2 + end + 1)
}

/// Draws the clock until the display is gone.
fn tick(inner: Weak<Inner>) {
    let go_on = move || {
        while let Some(inner) = inner.upgrade() {
            let now = inner.now();
            let mut screen = inner.screen();
            if !screen.view.running().is_empty() {
                screen.draw(now);
            }
            drop(screen);
            drop(inner);
            std::thread::sleep(TICK);
        }
    };
    // Without the thread the clock stands still between events, nothing else.
    let _ = std::thread::Builder::new().name("clock".to_owned()).spawn(go_on);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stay_and_other_sequences_go() {
        assert_eq!(without_controls("a\u{1b}[1;36mb\u{1b}[0m"), "a\u{1b}[1;36mb\u{1b}[0m");
        assert_eq!(without_controls("a\u{1b}[2Jb\u{7}"), "a\u{fffd}[2Jb\u{fffd}");
        assert_eq!(without_controls("\u{1b}"), "\u{fffd}");
        assert_eq!(without_controls("\u{1b}]0;title\u{7}"), "\u{fffd}]0;title\u{fffd}");
    }

    #[test]
    fn a_quiet_display_takes_everything_and_says_nothing() {
        let ui = Ui::new(&Global { quiet: true, ..Global::default() });
        ui.note("x");
        ui.doing("y");
        ui.progress().begin("z", Some(10)).set(5);
        ui.finish();
    }
}
