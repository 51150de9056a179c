//! Whether the checks of a scenario can fail, and which of its ingredients a failure needs.

mod faults;
mod made;
mod result;

pub use faults::{FaultSight, usual};
pub use made::{Asked, Made};
pub use result::{
    CheckSight, Control, Effect, SelftestResult, Sight, Traffic, Variation, effect, ingredients,
    is_crash, problems, sight, traffic_effect,
};
