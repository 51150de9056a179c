//! Why a kernel's source cannot be had.

use std::path::PathBuf;

use crate::archive::index::SuiteError;
use crate::files::FileError;
use crate::http::HttpError;
use crate::import::ImportError;

/// Why there is no source.
#[derive(Debug, thiserror::Error)]
pub enum SourceTreeError {
    /// It would have to be downloaded.
    #[error("{0} is not in the cache, and --offline was given")]
    Offline(String),
    /// No mirror is known.
    #[error("no Debian mirror is known")]
    NoMirror,
    /// An index cannot be used.
    #[error("the archive's index cannot be used")]
    Suite(#[from] SuiteError),
    /// The archive has no such package.
    #[error("the archive has no package {wanted}{}", listed(.found))]
    Absent {
        /// What was looked for.
        wanted: String,
        /// Packages that there are.
        found: Vec<String>,
    },
    /// It is too large.
    #[error("package {0} is larger than any kernel's source")]
    TooLarge(String),
    /// No room.
    #[error("{} has {} MiB free, and {} are needed", dir.display(), free >> 20, needed >> 20)]
    Room {
        /// Cache.
        dir: PathBuf,
        /// Free bytes.
        free: u64,
        /// Bytes that are needed.
        needed: u64,
    },
    /// The download failed.
    #[error("the package cannot be fetched")]
    Http(#[from] HttpError),
    /// It is not what it should be.
    #[error("the kernel's source cannot be read")]
    Import(#[from] ImportError),
    /// There are no self-tests in it.
    #[error("{0} has no tools/testing/selftests/net")]
    NoTests(String),
    /// Neither a folder nor an archive.
    #[error("`{}` is neither a kernel's source tree nor an archive of one", .0.display())]
    NoTree(PathBuf),
    /// A file cannot be used.
    #[error(transparent)]
    Io(#[from] FileError),
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!(" (there are: {})", names.join(", ")) }
}

impl SourceTreeError {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Offline(_) => "run it once without --offline".to_owned(),
            Self::NoMirror => "name one with --mirror, or a tree of your own with --tree PATH".to_owned(),
            Self::Absent { .. } => {
                "name one that is there, further suites with --suite, or a tree of your own with --tree PATH"
                    .to_owned()
            }
            Self::NoTests(_) | Self::NoTree(_) | Self::TooLarge(_) => {
                "name a `linux-source` package, a tree with tools/testing/selftests in it, or its .tar.xz".to_owned()
            }
            Self::Room { .. } => "make room, or name another cache with --cache".to_owned(),
            Self::Import(error) => return error.hint(),
            Self::Suite(_) | Self::Http(_) | Self::Io(_) => return None,
        })
    }
}
