//! Scenarios: the model and how it is read from TOML.

mod actions;
mod assets;
mod crypto;
mod cursor;
mod flavours;
mod kept;
mod lint;
mod model;
mod parse;
mod places;
mod probe;
mod problem;
mod suggest;
#[cfg(test)]
mod tests;
mod words;

pub use assets::{AssetRef, Parsed};
pub use kept::KeptError;
pub use model::*;
pub use parse::{FILE_NAME, SCHEMA};
pub use probe::*;
pub use problem::{Problem, ScenarioError};
pub use suggest::nearest;
