//! What the fuzzers run: one function for each reader of hostile input.
//!
//! A function takes any bytes and panics when the reader breaks a promise: it must not panic, keep to
//! its bounds, and give the same for the same input. The programs that libFuzzer drives are in the
//! folder `fuzz` at the top, with the corpora; the tests of this crate replay the corpora on the
//! stable toolchain.

mod memory;
mod targets;

pub use memory::Bytes;
pub use targets::{TARGETS, Target};
