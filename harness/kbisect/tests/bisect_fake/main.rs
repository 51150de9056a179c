//! The real command line against a stand-in for QEMU: whole runs in a second, with kernels that
//! behave as their scripts say. No network, no emulation.

#![allow(clippy::unwrap_used, reason = "helpers of a test fail as the test does")]

mod beside;
mod changes;
mod ci_examples;
mod commits;

mod disturbed;
mod doubt;
mod evidence;
mod gate;
mod gate_map;
mod hands;
mod interruptions;
mod lone;
mod minimize;
mod newest;
mod outcomes;
mod place;
mod pools;
mod probes;
mod reuse;
mod reverts;
mod scenario_errors;
mod selftest;
mod series;
mod sources;
mod states;
mod stop;
#[allow(unused_imports, reason = "these tests need a part of it")]
#[path = "../../../kbisect-kernels/tests/support/mod.rs"]
mod support;
mod symptoms;
mod trials;
mod trouble;
mod watch;
mod workers;
