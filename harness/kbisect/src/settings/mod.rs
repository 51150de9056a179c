//! What the commands share: settings, the store, sources of the root image, scenarios.

pub mod global;
pub mod scenario;
mod shipped;
pub mod templates;
