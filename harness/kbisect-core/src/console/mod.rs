//! The console classifier: finds kernel failures in console output.
//!
//! [`classify`] takes a whole log, [`Scanner`] takes it in pieces while the guest runs. Titles
//! follow the conventions that syzbot made standard, so that they can be searched for; the rules
//! are written from the kernel's own messages (kernel/panic.c, lib/bug.c, mm/kasan/report.c, the
//! architectures' traps.c and so on).
//!
//! Invariant: console output is hostile input. Memory is bounded, nothing panics, and text that
//! user space prints does not become a report without a kernel trace.

mod blame;
mod die;
mod evidence;
mod helpers;
mod line;
mod names;
mod open;
mod place;
mod report;
mod rule;
mod rules;
mod scanner;
mod title;
mod trace;

pub use report::{Class, Event, Milestone, MilestoneKind, Report, ReportKind};
pub use scanner::{Scanner, classify};
