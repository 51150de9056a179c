//! Sections that several reports have, each built once.

mod rates;
mod seen;
mod shared;

pub(crate) use rates::rates;
pub(crate) use seen::{counted, crash, notes, rules_counted, seen, telling, unrelated};
pub(crate) use shared::{
    LIKELY, changes, check, commands, confidence, environment, files, forgone, kernels,
    other_changes, revert, side_by_side, tone, trials,
};
