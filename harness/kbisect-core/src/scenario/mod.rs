//! Scenarios: the model and how it is read from TOML.

mod actions;
mod assets;
mod check;
mod crypto;
mod cursor;
mod faults;
mod flavours;
mod kept;
mod kept_rules;
mod kernel_needs;
mod lint;
mod model;
mod parse;
mod parsed;
mod places;
mod probes;
mod problem;
mod suggest;
#[cfg(test)]
mod tests;
mod topology;
mod ways;
pub(crate) mod words;

pub use assets::AssetRef;
pub use check::Check;
pub use faults::port_of;
pub use flavours::APPLICATION_STOPPED;
pub use kept_rules::KeptError;
pub use kernel_needs::KernelNeeds;
pub use model::*;
pub use parse::{FILE_NAME, SCHEMA};
pub use parsed::Parsed;
pub use probes::*;
pub use problem::{Problem, ScenarioError};
pub use suggest::nearest;
pub use topology::{Interface, Links, Node, NodeKernel, NodeMachine, SysctlValue};
