//! What can go wrong with the store.

use std::io;
use std::path::{Path, PathBuf};

use crate::files::free_space;
use crate::import::ImportError;
use crate::import::error::is_disk_full;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error("cannot use `{}`", path.display())]
    Io {
        /// What it was about.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no room.
    #[error("no room for kernels in `{}`: {} MiB free", dir.display(), free >> 20)]
    DiskFull {
        /// The store's directory.
        dir: PathBuf,
        /// Free bytes.
        free: u64,
    },
}

/// Why a kernel could not be added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file does not exist.
    #[error("`{}` does not exist", .0.display())]
    NotThere(PathBuf),
    /// The inputs do not make one kernel.
    #[error("cannot make one kernel of this: {0}")]
    Inputs(&'static str),
    /// The files are no kernel that can be used.
    #[error(transparent)]
    Import(ImportError),
    /// A name that could be taken for something else.
    #[error("`{name}` cannot be the name of a kernel: {reason}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Another kernel has the name.
    #[error("the name `{name}` belongs to kernel {holder} ({id})")]
    NameTaken {
        /// The name.
        name: String,
        /// Version of the other kernel.
        holder: String,
        /// Its short id.
        id: String,
    },
    /// The version is none.
    #[error("cannot tell the kernel's version from `{0}`")]
    Version(String),
}

impl StoreError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { .. } => Some("check the directory's permissions".to_owned()),
            Self::DiskFull { .. } => {
                Some("free some space, or run `kbisect kernels prune`".to_owned())
            }
        }
    }

    /// Makes an error of a failed file operation; a full file system is one of its own.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| {
            if is_disk_full(&source) {
                return Self::disk_full(path.parent().unwrap_or(path));
            }
            Self::Io { path: path.to_owned(), source }
        }
    }

    pub(crate) fn disk_full(dir: &Path) -> Self {
        Self::DiskFull { dir: dir.to_owned(), free: free_space(dir).unwrap_or(0) }
    }
}

impl AddError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Import(source) => source.hint(),
            Self::Name { .. } => Some("choose a name such as `my-fix`".to_owned()),
            Self::NameTaken { .. } => {
                Some("choose another name, or take this one with --replace".to_owned())
            }
            Self::Version(..) => Some("give one with --version, such as 6.12.57".to_owned()),
            Self::Inputs(..) => Some(
                "give one vmlinuz, one directory, or the .deb or .rpm files of one kernel"
                    .to_owned(),
            ),
            Self::NotThere(..) => None,
        }
    }

    pub(crate) fn of_import(dir: &Path, error: ImportError) -> Self {
        if error.is_disk_full() {
            return Self::Store(StoreError::disk_full(dir));
        }
        Self::Import(error)
    }
}
