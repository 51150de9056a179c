//! Kernels that are built: the commits of a git tree.
//!
//! ```text
//! CACHE/commits/v1/<tree>/
//!   lock            held while something is built
//!   git/            a repository of kbisect's own, which borrows the objects of the user's
//!   src/            the files of the commit that was built last
//!   build-<recipe>/ what `make` leaves
//!   ccache/         compiled objects, where ccache is installed
//! ```
//!
//! The user's tree is only read. Code of a tree runs in a sandbox: as an ordinary user in name spaces of
//! its own, without network, able to write to its build folder alone.

mod artefact;
mod build;
mod change;
mod checkout;
pub mod config;
mod error;
mod history;
mod history_error;
mod made_from;
mod order;
mod quilt;
mod quilt_error;
mod recipe;
mod room;
mod said;
mod sandbox;
mod toolchain;

#[cfg(test)]
mod tests;

/// What is told as the source of a kernel that was built.
pub const COMMITS: &str = "git";

pub use artefact::COMMIT as COMMIT_PLACE;
pub(crate) use build::build;
pub use build::configured;
pub use change::Change;
pub use error::BuildError;
pub use history::{Commit, CommitRange, Commits, commit, version_of};
pub use history_error::HistoryError;
pub use order::{BuildOrder, Built, Elsewhere};
pub use quilt::{QuiltBase, quilt};
pub use quilt_error::QuiltError;
pub use recipe::{Configuration, Recipe};
pub use toolchain::Toolchain;
