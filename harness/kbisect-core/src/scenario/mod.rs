//! Scenarios: the model and how it is read from TOML.

mod model;

pub use model::*;
