//! Bisections, single trials, checks and self-tests.
//!
//! Plan, then execute: a plan makes every choice, the executor has trials made for it, the
//! journal records what happened, and all that is printed or written follows from it.

mod bench;
mod beside;
mod bisect;
mod busy;
mod by_hand;
mod cells;
mod changes;
mod check;
mod chosen;
mod commits;
mod context;
mod culprit;
mod decode;
mod dry_run;
mod ending;
mod executor;
mod files;
mod forgone;
mod further;
mod journal;
mod kept;
mod kernels;
mod later;
mod lines;
mod lone;
mod matrix;
mod memory;
mod minimize;
mod one;
mod onward;
mod plan;
mod pool;
mod prefetch;
mod preflight;
mod prior;
mod ranker;
mod remote;
mod resume;
mod reuse;
mod revert;
mod same_build;
mod search;
mod selftest;
mod single;
mod stop;
mod symptom;
mod trial;
mod verify;
mod workers;

pub use changes::changes;
pub use check::check;
pub use context::Base;
pub use culprit::Culprit;
pub use decode::decode;
pub use ending::Answers;
pub use files::write_whole;
pub use kept::quoted;
pub use kernels::reference_id;
pub use matrix::Matrix;
pub use minimize::{Smallest, minimize};
pub use one::run_one;
pub use onward::{bisect, resume};
pub use remote::{pool_check, serve};
pub use selftest::{Proof, selftest};
pub use single::Single;
pub use stop::STOP_FILE;
pub use verify::verify;

use std::io::IsTerminal;

use kbisect_report::Style;

use crate::cli::{Color, Global};

/// How the summary on standard output is printed.
pub fn style(global: &Global) -> Style {
    let is_terminal = std::io::stdout().is_terminal();
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    let columns = size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
    let color = match global.color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none(),
    };
    Style { color, width: columns.filter(|_| is_terminal) }
}
