//! Bisections, single trials and checks.
//!
//! Plan, then execute: [`plan`] makes every choice, [`bisect`], [`one`] and [`check`] carry them out, the
//! journal records what happened, and all that is printed or written follows from it.

mod bisect;
mod busy;
mod changes;
mod check;
mod chosen;
mod context;
mod decode;
mod dispatch;
mod files;
mod gate_log;
mod gate_trials;
mod journal;
mod kernels;
mod lines;
mod matrix;
mod memory;
mod one;
mod plan;
mod pool;
mod prefetch;
mod preflight;
mod resume;
mod selftest;
mod symptom;
mod trial;
mod workers;

pub use bisect::{bisect, resume};
pub use changes::changes;
pub use check::check;
pub use decode::decode;
pub use one::run_one;
pub use selftest::selftest;

use std::io::IsTerminal;

use crate::cli::{Color, Global};

/// Whether the summary on standard output may have colours.
fn colors(global: &Global) -> bool {
    match global.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    }
}
