//! Turning packages, trees and bare images into what the store keeps.

pub mod boot;
pub mod bzimage;
pub mod cpio;
pub mod deb;
pub mod error;
pub mod names;
pub mod package;
pub mod payload;
pub mod prepare;
pub mod rpm;
pub mod selftests;
pub mod sink;
pub mod tree;
pub mod vmlinux;

pub use error::ImportError;
