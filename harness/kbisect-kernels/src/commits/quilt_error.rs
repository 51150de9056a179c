//! Why a stack of patches makes no commits.

use std::io;
use std::path::PathBuf;

use super::error::BuildError;
use super::history_error::HistoryError;
use crate::files::FileError;

/// Why a stack of patches makes no commits.
#[derive(Debug, thiserror::Error)]
pub enum QuiltError {
    /// There is no list of patches.
    #[error("the list of patches `{}` cannot be read", path.display())]
    Series {
        /// Where it should be.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There are none, or too many.
    #[error("`{}` lists {count} patches; 1 to {most} can be used", path.display())]
    Count {
        /// The list.
        path: PathBuf,
        /// How many.
        count: usize,
        /// Most that can be used.
        most: usize,
    },
    /// A line of the list.
    #[error("the list of patches has a line that is none of quilt's: `{0}`")]
    Line(String),
    /// A patch.
    #[error("patch `{patch}` does not apply to what comes before it: {said}")]
    Patch {
        /// Its name.
        patch: String,
        /// What git said.
        said: String,
    },
    /// A patch that is not there, or is no file of a patch's size.
    #[error("patch `{0}` is no plain file of a patch's size")]
    NoPatch(String),
    /// The base.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// git, or the cache.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// Files of the host.
    #[error(transparent)]
    File(#[from] FileError),
}

impl QuiltError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Series { .. } | Self::Count { .. } | Self::NoPatch(_) => {
                Some("name the folder that holds `series`, such as debian/patches".to_owned())
            }
            Self::Line(_) => Some("a line is the path of a patch, and -pN behind it".to_owned()),
            Self::Patch { .. } => Some(
                "--base git:PATH@COMMIT names the commit that the patches were made for".to_owned(),
            ),
            Self::History(error) => error.hint(),
            Self::Build(error) => error.hint(),
            Self::File(_) => None,
        }
    }
}
