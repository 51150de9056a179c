//! How often each check failed, where one kernel was tried several times.

use kbisect_core::run::Rates;

use crate::document::{Block, CELL, heading, own, table, text};
use crate::words;

/// The rate of failures of each check.
pub(crate) fn rates(to: &mut Vec<Block>, rates: &Rates) {
    to.push(heading("How often checks fail"));
    to.push(Block::Paragraph(own(words::rates_of(rates))));
    let rows = rates.checks.iter().map(|check| {
        let (failed, rate) = (own(words::failed_of(check)), own(words::rate(check)));
        vec![text(&check.name, CELL), failed, rate]
    });
    to.push(table(["check", "failed", "rate (95 % interval)"], rows));
}
