//! What can go wrong with the store.

use std::io;
use std::path::{Path, PathBuf};

use crate::files::free_space;
use crate::http::HttpError;
use crate::import::ImportError;
use crate::import::error::is_disk_full;
use crate::source::{LookupError, Source};

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

/// Why a kernel could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The kernel is known, but the archive does not have all of it.
    #[error("kernel {kernel} cannot be tested: {reason}")]
    Untestable {
        /// Package version.
        kernel: String,
        /// Why.
        reason: String,
    },
    /// The kernel was only in the store, and has gone from there.
    #[error("kernel {kernel} is no longer in the store, and in no archive")]
    Gone {
        /// Package version.
        kernel: String,
    },
    /// It would have to be downloaded.
    #[error("kernel {kernel} is not in the store, and --offline was given; it is in {}", from.title())]
    Offline {
        /// Package version.
        kernel: String,
        /// Where it is.
        from: Source,
    },
    /// It could not be found out what to download.
    #[error("cannot find out what to download for kernel {kernel}")]
    Lookup {
        /// Package version.
        kernel: String,
        /// Why.
        source: LookupFailure,
    },
    /// A download failed.
    #[error("cannot fetch kernel {kernel}")]
    Download {
        /// Package version.
        kernel: String,
        /// Names the file, and what was expected.
        source: HttpFailure,
    },
    /// The packages, though verified, are no kernel that can be used.
    #[error("cannot import kernel {kernel}")]
    Import {
        /// Package version.
        kernel: String,
        /// Why.
        source: ImportFailure,
    },
}

/// Why a download failed.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct HttpFailure(#[from] pub(crate) HttpError);

/// Why a source did not say what to download.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct LookupFailure(#[from] pub(crate) LookupError);

/// Why files could not be made into a kernel.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ImportFailure(#[from] pub(crate) ImportError);

/// Why a kernel could not be added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file does not exist.
    #[error("`{}` does not exist", path.display())]
    NotThere {
        /// What was given.
        path: PathBuf,
    },
    /// The inputs do not make one kernel.
    #[error("cannot make one kernel of this: {reason}")]
    Inputs {
        /// Why.
        reason: &'static str,
    },
    /// The files are no kernel that can be used.
    #[error(transparent)]
    Import(ImportFailure),
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
    #[error("cannot tell the kernel's version from `{text}`")]
    Version {
        /// What was given, or found in the image.
        text: String,
    },
}

impl StoreError {
    /// What to do about it.
    #[must_use]
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

impl FetchError {
    /// Whether the kernel cannot be had at all, however often one asks: the mirror's index names its
    /// packages, but the mirror does not have them, or there is no kernel in them. Such a kernel gives no answer; the host and the
    /// network are not at fault.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Untestable { .. } | Self::Gone { .. } => true,
            Self::Download { source, .. } => matches!(source.0, HttpError::NotFound { .. }),
            // The packages are whole, by their checksums: next time there is no image in them either.
            Self::Import { source, .. } => matches!(source.0, ImportError::NoImage { .. }),
            Self::Store(_) | Self::Offline { .. } | Self::Lookup { .. } => false,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Untestable { .. } => Some("choose another kernel".to_owned()),
            Self::Gone { .. } => Some("add it again with `kbisect kernels add`".to_owned()),
            Self::Offline { kernel, from } => {
                let source = match from {
                    Source::Archive | Source::Store => String::new(),
                    other => format!(" --source {other}"),
                };
                Some(format!(
                    "run without --offline, or first `kbisect kernels fetch {kernel}{source}`"
                ))
            }
            Self::Lookup { source, .. } => match &source.0 {
                LookupError::Signature { .. } => Some(
                    "check `ubuntu-mainline-keyrings` in config.toml; if the keyring is right, the \
                     service or something on the way is at fault"
                        .to_owned(),
                ),
                LookupError::Http(_) => {
                    Some("check the network and the proxy variables, then run it again".to_owned())
                }
                LookupError::NotThere(_) | LookupError::Malformed { .. } => {
                    Some("something on the way may answer in the service's place".to_owned())
                }
            },
            Self::Download { source, .. } => match source.0 {
                HttpError::NotFound { .. } => Some(
                    "the archive has moved on: run again with --refresh to see what it has now"
                        .to_owned(),
                ),
                HttpError::Mismatch { .. } => Some(
                    "the mirror or something on the way damages files: try again, or another \
                     --mirror"
                        .to_owned(),
                ),
                HttpError::Transport { .. } | HttpError::Status { .. } => {
                    Some("check the network and the proxy variables, then run it again".to_owned())
                }
                HttpError::Write { .. } | HttpError::Cancelled { .. } => None,
            },
            Self::Import { source, .. } => source.0.hint(),
        }
    }

    /// What a source does not have cannot be tested; all else may be there tomorrow.
    pub(crate) fn of_lookup(kernel: &str, error: LookupError) -> Self {
        let kernel = kernel.to_owned();
        match error {
            LookupError::NotThere(reason) => Self::Untestable { kernel, reason },
            error => Self::Lookup { kernel, source: LookupFailure(error) },
        }
    }

    pub(crate) fn of_download(kernel: &str, dir: &Path, error: HttpError) -> Self {
        if matches!(&error, HttpError::Write { source, .. } if is_disk_full(source)) {
            return Self::Store(StoreError::disk_full(dir));
        }
        Self::Download { kernel: kernel.to_owned(), source: HttpFailure(error) }
    }

    pub(crate) fn of_import(kernel: &str, dir: &Path, error: ImportError) -> Self {
        if error.is_disk_full() {
            return Self::Store(StoreError::disk_full(dir));
        }
        Self::Import { kernel: kernel.to_owned(), source: ImportFailure(error) }
    }
}

impl AddError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Import(source) => source.0.hint(),
            Self::Name { .. } => Some("choose a name such as `my-fix`".to_owned()),
            Self::NameTaken { .. } => {
                Some("choose another name, or take this one with --replace".to_owned())
            }
            Self::Version { .. } => Some("give one with --version, such as 6.12.57".to_owned()),
            Self::Inputs { .. } => Some(
                "give one vmlinuz, one directory, or the .deb or .rpm files of one kernel"
                    .to_owned(),
            ),
            Self::NotThere { .. } => None,
        }
    }

    pub(crate) fn of_import(dir: &Path, error: ImportError) -> Self {
        if error.is_disk_full() {
            return Self::Store(StoreError::disk_full(dir));
        }
        Self::Import(ImportFailure(error))
    }
}
