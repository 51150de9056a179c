//! Real machines, real kernels: stock Debian kernels from the archive under QEMU, nothing faked.
//!
//! These are part of the normal tests. Where the archive cannot be reached and the kernels are not
//! in the store, or where QEMU is missing, they fail and say so; they are never skipped in silence.
//! The cache of the user is used, so that kernels are fetched once; `KBISECT_TEST_CACHE` names
//! another one.

#![allow(clippy::unwrap_used, reason = "helpers of a test fail as the test does")]

mod bisections;
mod bundles;
mod commits;
mod evidence;
mod faults;
mod host;
mod interruptions;
mod layouts;
mod made;
#[path = "../pages/mod.rs"]
mod pages;
mod pools;
mod probes;
mod scenario_errors;
mod selftests;
mod sources;
mod states;
mod trials;
