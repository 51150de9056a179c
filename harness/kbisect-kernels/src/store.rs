//! The local store.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kbisect_core::kernel::{Kernel, KernelId};

use crate::candidate::Candidate;
use crate::progress::Progress;
use crate::ready::ReadyKernel;
use crate::settings::Settings;

/// The local store: one directory a kernel, named by its content hash. Several kbisects may use it
/// at once, and one may be killed while it writes.
#[derive(Debug, Clone)]
pub struct Store {}

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error("cannot use `{}`", path.display())]
    Io {
        /// What it was about.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Why a kernel could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a kernel could not be added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What to add.
#[derive(Debug, Clone, Default)]
pub struct AddRequest {
    /// One vmlinuz, one or several `.deb`s, or one directory.
    pub inputs: Vec<PathBuf>,
    /// Module tree of a vmlinuz: the directory `lib/modules/RELEASE`, or one that holds it.
    pub modules: Option<PathBuf>,
    /// Name to find it by (`--as`).
    pub name: Option<String>,
    /// Version, in place of the one in the image (`--version`).
    pub version: Option<String>,
}

/// What to remove. A kernel goes when any rule says so; with no rule nothing goes.
#[derive(Debug, Clone, Default)]
pub struct PruneRule {
    /// Keep this many, the most recently used ones.
    pub keep: Option<usize>,
    /// Keep at most this many bytes, the most recently used kernels.
    pub max_bytes: Option<u64>,
    /// Remove what was not used for this long.
    pub older_than: Option<Duration>,
    /// Say what would go, and leave it.
    pub dry_run: bool,
}

/// What [`Store::prune`] did.
#[derive(Debug, Clone, Default)]
pub struct PruneReport {
    /// Removed (or, in a dry run, to be removed).
    pub removed: Vec<Kernel>,
    /// Left although a rule names them: a kbisect is using them.
    pub in_use: Vec<Kernel>,
    /// Bytes set free.
    pub freed_bytes: u64,
    /// Bytes that are left in the store.
    pub left_bytes: u64,
}

impl Store {
    /// Opens the store below `cache_dir`, makes it when it is not there, and clears away what a
    /// killed process left.
    ///
    /// # Errors
    /// [`StoreError`] when the directory cannot be made or written.
    pub fn open(_cache_dir: &Path) -> Result<Self, StoreError> {
        todo!()
    }

    /// Lists all kernels, ordered by version.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub fn list(&self) -> Result<Vec<ReadyKernel>, StoreError> {
        todo!()
    }

    /// Finds one kernel. It stays safe from [`Store::prune`] while the returned value lives.
    #[must_use]
    pub fn get(&self, _id: &KernelId) -> Option<ReadyKernel> {
        todo!()
    }

    /// Downloads, verifies and imports a kernel unless the store has it. Two processes (or threads)
    /// that want the same kernel wait for each other.
    ///
    /// # Errors
    /// [`FetchError`]; nothing of the kernel is kept then.
    pub fn ensure(
        &self,
        _candidate: &Candidate,
        _settings: &Settings,
        _progress: &dyn Progress,
    ) -> Result<ReadyKernel, FetchError> {
        todo!()
    }

    /// Adds a kernel from files. The same content twice is one kernel.
    ///
    /// # Errors
    /// [`AddError`] when the files are no kernel, or the store cannot take it.
    pub fn add(
        &self,
        _request: &AddRequest,
        _progress: &dyn Progress,
    ) -> Result<ReadyKernel, AddError> {
        todo!()
    }

    /// Removes kernels by `rule`, but none that is in use.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read or a directory cannot be removed.
    pub fn prune(&self, _rule: &PruneRule) -> Result<PruneReport, StoreError> {
        todo!()
    }
}

impl FetchError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        None
    }
}

impl AddError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        None
    }
}

impl StoreError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        None
    }
}
