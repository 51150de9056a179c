//! Why a kernel cannot be fetched.

use std::path::Path;

use kbisect_core::kernel::Kernel;

use super::about::Source;
use crate::archive::keyring::SignatureError;
use crate::commits::BuildError;
use crate::http::HttpError;
use crate::import::ImportError;
use crate::import::error::is_disk_full;
use crate::store::StoreError;

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
    #[error("kernel {kernel} is not in the store, and --offline was given; it is in {}", from.title)]
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
        source: LookupError,
    },
    /// A download failed.
    #[error("cannot fetch kernel {kernel}")]
    Download {
        /// Package version.
        kernel: String,
        /// Names the file, and what was expected.
        source: HttpError,
    },
    /// It is a commit that was not built.
    #[error("commit {kernel} cannot be tested")]
    Build {
        /// What it is called.
        kernel: String,
        /// Why.
        source: BuildError,
    },
    /// The packages, though verified, are no kernel that can be used.
    #[error("cannot import kernel {kernel}")]
    Import {
        /// Package version.
        kernel: String,
        /// Why.
        source: ImportError,
    },
}

/// Why the packages of a kernel could not be found out.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The service does not have it: there is nothing to test.
    #[error("{0}")]
    NotThere(String),
    /// The service could not be asked.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It answers what it should not.
    #[error("`{url}` is not what {} should answer: {reason}", from.title)]
    Malformed { url: String, from: Source, reason: String },
    /// The checksums are not signed as the user's keyring demands.
    #[error("cannot trust the checksums at `{url}`")]
    Signature { url: String, from: Source, source: SignatureError },
}

impl FetchError {
    /// Whether the kernel cannot be had at all, however often one asks: the mirror's index names its
    /// packages, but the mirror does not have them, or there is no kernel in them. Such a kernel gives no answer; the host and the
    /// network are not at fault.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Untestable { .. } | Self::Gone { .. } => true,
            Self::Download { source, .. } => matches!(source, HttpError::NotFound { .. }),
            // The packages are whole, by their checksums: next time there is no image in them either.
            Self::Import { source, .. } => matches!(source, ImportError::NoImage(..)),
            Self::Build { source, .. } => source.is_final(),
            Self::Store(_) | Self::Offline { .. } | Self::Lookup { .. } => false,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Untestable { .. } => Some("choose another kernel".to_owned()),
            Self::Gone { .. } => Some("add it again with `kbisect kernels add`".to_owned()),
            Self::Offline { kernel, from } => {
                let source = from.option().map(|option| format!(" {option}")).unwrap_or_default();
                Some(format!(
                    "run without --offline, or first `kbisect kernels fetch {kernel}{source}`"
                ))
            }
            Self::Lookup { source, .. } => match source {
                LookupError::Signature { from, .. } => Some(format!(
                    "check `{}` in config.toml; if the keyring is right, the service or something on the \
                     way is at fault",
                    from.keyrings_key.unwrap_or("keyrings")
                )),
                LookupError::Http(_) => {
                    Some("check the network and the proxy variables, then run it again".to_owned())
                }
                LookupError::NotThere(_) | LookupError::Malformed { .. } => {
                    Some("something on the way may answer in the service's place".to_owned())
                }
            },
            Self::Download { source, .. } => match source {
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
                HttpError::Write { .. } | HttpError::Cancelled(..) => None,
            },
            Self::Build { source, .. } => source.hint(),
            Self::Import { source, .. } => source.hint(),
        }
    }

    /// What a source does not have cannot be tested; all else may be there tomorrow.
    pub(crate) fn of_lookup(kernel: &str, error: LookupError) -> Self {
        let kernel = kernel.to_owned();
        match error {
            LookupError::NotThere(reason) => Self::Untestable { kernel, reason },
            error => Self::Lookup { kernel, source: error },
        }
    }

    pub(crate) fn of_download(kernel: &Kernel, dir: &Path, error: HttpError) -> Self {
        if matches!(&error, HttpError::Write { source, .. } if is_disk_full(source)) {
            return Self::Store(StoreError::disk_full(dir));
        }
        Self::Download { kernel: kernel.package_version.to_string(), source: error }
    }

    pub(crate) fn of_import(kernel: &str, dir: &Path, error: ImportError) -> Self {
        if error.is_disk_full() {
            return Self::Store(StoreError::disk_full(dir));
        }
        Self::Import { kernel: kernel.to_owned(), source: error }
    }
}
