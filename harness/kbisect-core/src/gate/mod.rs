//! The gate: kernels times scenarios, one trial each, told from what a baseline kernel shows.
//!
//! The result is a function of the plan and the trials, and both are in the journal.

mod boots;
mod earlier;
mod faults;
mod map;
mod plan;
mod result;
mod ways;

pub use boots::still_to_try;
pub use earlier::{GateEvent, GateLine};
pub use faults::{asks_reference, settle};
pub use map::{Answer, Change, ChangeKind, Map, MapKernel, MapSeries, Stretch};
pub use plan::{GateOptions, GatePlan, GateScenario, LeftOutKernel};
pub use result::{
    ALL_BROKEN, Cell, Counts, GateEnd, GateOutcome, GateResult, GateTrial, Grounds, Standing,
};
pub use ways::{Follows, Shown, StateDifference, StatesCompared, WayRow, WaysAnswer, WaysPlan};
