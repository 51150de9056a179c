//! Downloads, imports and builds.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use kbisect_kernels::{Progress, ProgressItem};

use super::screen::{Canvas, Inner, Ui};
use crate::output;

/// Where lines are all there is, a long transfer says this often how far it is.
const EVERY: Duration = Duration::from_secs(10);

/// Draws items of work on a display.
struct Items {
    inner: Arc<Inner>,
}

impl Ui {
    /// Where downloads and builds tell how far they are.
    pub fn progress(&self) -> Arc<dyn Progress> {
        Arc::new(Items { inner: Arc::clone(&self.inner) })
    }
}

impl Progress for Items {
    fn begin(&self, what: &str, total: Option<u64>) -> Box<dyn ProgressItem> {
        let what = output::clean(what);
        let screen = self.inner.screen();
        let bar = match &screen.canvas {
            Canvas::Terminal(terminal) => Some(terminal.item(&what, total)),
            Canvas::Lines => {
                let size = total.map(|total| format!(" ({})", output::bytes(total)));
                let line = format!("{what}{}", size.unwrap_or_default());
                self.inner.print(&screen, &line);
                None
            }
            Canvas::Nowhere => None,
        };
        drop(screen);
        Box::new(Item { inner: Arc::clone(&self.inner), what, total, bar, said: Instant::now() })
    }

    fn note(&self, line: &str) {
        self.inner.print(&self.inner.screen(), &output::clean(line));
    }

    fn cancelled(&self) -> bool {
        self.inner.stop.load(Ordering::Relaxed)
    }
}

struct Item {
    inner: Arc<Inner>,
    what: String,
    total: Option<u64>,
    bar: Option<ProgressBar>,
    said: Instant,
}

impl ProgressItem for Item {
    fn set(&mut self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            return;
        }
        if self.said.elapsed() < EVERY {
            return;
        }
        self.said = Instant::now();
        let of = match self.total {
            Some(total) if total > 0 => format!("{} %", done.saturating_mul(100) / total),
            _ => output::bytes(done),
        };
        let line = format!("{}: {of}", self.what);
        self.inner.print(&self.inner.screen(), &line);
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
