//! Sections that several reports have, each built once.

mod seen;
mod shared;

pub(crate) use seen::{counted, crash, notes, seen, unrelated};
pub(crate) use shared::{
    changes, check, confidence, environment, files, kernels, side_by_side, trials,
};
