//! The gate: kernels times scenarios, one trial each, told from what a baseline kernel shows.
//!
//! The result is a function of the plan and the trials, and both are in the journal.

mod boots;
mod faults;
mod journal;
mod map;
mod result;

pub use boots::still_to_try;
pub use faults::asks_reference;
pub use journal::{GateEvent, GateLine, GateOptions};
pub use map::{Answer, Change, ChangeKind, Map, MapKernel, MapSeries, Stretch};
pub use result::{
    ALL_BROKEN, Cell, Counts, GateEnd, GateOutcome, GatePlan, GateResult, GateScenario, GateTrial,
    LeftOutKernel, Standing,
};
