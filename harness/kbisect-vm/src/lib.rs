//! TODO

pub mod image;
