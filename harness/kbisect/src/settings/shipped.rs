//! The scenarios and templates that kbisect is shipped with.

/// Name, and files with their path in the scenario's folder.
type Shipped = (&'static str, &'static [(&'static str, &'static [u8])]);

/// All of them, ordered by name. Made by the build script from `scenarios/`.
pub static SCENARIOS: &[Shipped] = include!(concat!(env!("OUT_DIR"), "/scenarios.rs"));

/// Scenarios to begin with, ordered by name. A folder below `scenarios/templates/` is one.
pub static TEMPLATES: &[Shipped] = include!(concat!(env!("OUT_DIR"), "/templates.rs"));
