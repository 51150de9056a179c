//! Kernels that are built from source trees, one for each commit that is tried.

pub mod config;
