//! Trials against a stand-in for QEMU: what each behaviour of a machine is taken for.

#![allow(clippy::unwrap_used, reason = "helpers of a test fail as the test does")]

mod bench;
mod boots;
mod failures;
mod hostile;
mod memory;
mod processes;
mod services;
mod signals;
mod states;
mod verdicts;
