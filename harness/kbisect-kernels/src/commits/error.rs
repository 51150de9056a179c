//! Why a commit is not built.

use std::path::PathBuf;

use crate::files::FileError;
use crate::http::HttpError;
use crate::import::ImportError;
use crate::store::StoreError;

/// Why a commit was not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The compiler, or what checks its work, refuses it.
    #[error("it does not build: {said}")]
    Failed {
        /// The first error.
        said: String,
        /// The object that was not made, `net/core/dev.o`.
        object: Option<String>,
    },
    /// Its files cannot be written, or git cannot read them.
    #[error("the files of commit {commit} cannot be checked out: {said}")]
    Checkout {
        /// The commit.
        commit: String,
        /// What git said.
        said: String,
    },
    /// Too many of its files are not there.
    #[error("{missing} files of commit {commit} are not in the repository")]
    Incomplete {
        /// The commit.
        commit: String,
        /// How many.
        missing: usize,
    },
    /// There is no room to build in.
    #[error("less than {gib} GiB are free in `{}`", path.display())]
    NoRoom {
        /// Where.
        path: PathBuf,
        /// How much is needed.
        gib: u64,
    },
    /// A build leaves something else in place of a file: a link, or nothing.
    #[error("its build leaves no plain file `{0}`")]
    NoFile(String),
    /// What a commit is changed by does not fit to it.
    #[error("the change does not apply: conflicts in {}", files.join(", "))]
    Conflicts {
        /// Files that others changed in the same places.
        files: Vec<String>,
    },
    /// Nobody built it.
    #[error("there is no kernel of it at `{0}`")]
    NoArtefact(String),
    /// What is beside a kernel is no checksum.
    #[error("`{0}` holds no SHA-256")]
    NoChecksum(String),
    /// A kernel is not what its checksum says.
    #[error("`{place}` is not what `{place}.sha256` says: expected {expected}, got {got}")]
    Damaged {
        /// URL or path.
        place: String,
        /// The checksum.
        expected: String,
        /// That of the file.
        got: String,
    },
    /// A kernel is not that of its commit.
    #[error("`{place}` is a kernel {release}, and the commit makes {version}")]
    OtherKernel {
        /// URL or path.
        place: String,
        /// What `uname -r` would say.
        release: String,
        /// Version in the commit's Makefile.
        version: String,
    },
    /// The service does not answer.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// git failed.
    #[error("git failed: {0}")]
    Git(String),
    /// A program is not installed.
    #[error("`{program}` is not installed")]
    Missing {
        /// Its name.
        program: &'static str,
        /// Package that has it.
        package: &'static str,
    },
    /// The sandbox cannot be set up.
    #[error("the sandbox for builds cannot be set up: {said}")]
    Sandbox {
        /// What it said.
        said: String,
    },
    /// The host ended it, or has no room.
    #[error("the host cannot build it: {said}")]
    Host {
        /// What happened.
        said: String,
    },
    /// It was stopped, since nobody needs it any more.
    #[error("the build was stopped")]
    Cancelled,
    /// Files of the host.
    #[error(transparent)]
    File(#[from] FileError),
    /// The cache.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was built is no kernel that can be used.
    #[error("what was built cannot be used")]
    Import(#[from] ImportError),
}

impl BuildError {
    /// Whether the commit is at fault, so that it gives no answer however often it is built.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Failed { .. }
            | Self::Incomplete { .. }
            | Self::NoArtefact(_)
            | Self::OtherKernel { .. }
            | Self::NoFile(_)
            | Self::Conflicts { .. } => true,
            // A build that leaves something else than a kernel.
            Self::Import(error) => !matches!(error, ImportError::Tool(_) | ImportError::Io(_)),
            _ => false,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { package, .. } => {
                Some(format!("install the package `{package}`, or run scripts/deps"))
            }
            Self::Sandbox { .. } => Some(
                "bubblewrap needs user name spaces; `sysctl kernel.unprivileged_userns_clone` and AppArmor's \
                 `kernel.apparmor_restrict_unprivileged_userns` say whether they are allowed"
                    .to_owned(),
            ),
            Self::Host { .. } | Self::NoRoom { .. } => Some("make room, then resume the run".to_owned()),
            Self::Checkout { .. } | Self::Incomplete { .. } => {
                Some("`git fetch --refetch --no-filter` brings what a partial clone lacks".to_owned())
            }
            Self::Import(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Failed { .. }
            | Self::NoFile(_)
            | Self::NoArtefact(_)
            | Self::NoChecksum(_)
            | Self::OtherKernel { .. }
            | Self::Damaged { .. }
            | Self::Http(_)
            | Self::Conflicts { .. }
            | Self::Git(_)
            | Self::File(_)
            | Self::Cancelled => None,
        }
    }
}
