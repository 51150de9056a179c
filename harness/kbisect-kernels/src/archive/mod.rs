//! Debian archives: signed indexes, and the kernels that they name.

pub mod builds;
pub mod fetch;
pub mod index;
pub mod keyring;
pub mod packages;
pub mod release;
