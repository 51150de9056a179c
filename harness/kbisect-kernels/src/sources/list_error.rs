//! Why a source does not say what it has.

use super::about::Source;
use crate::archive::index::SuiteError;
use crate::archive::keyring::SignatureError;
use crate::files::FileError;
use crate::http::HttpError;
use crate::store::StoreError;

/// Why the catalog could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No mirror is known.
    #[error("no Debian mirror is known: none in the host's apt configuration, and none was named")]
    NoMirror,
    /// The index of a suite cannot be used.
    #[error(transparent)]
    Suite(#[from] SuiteError),
    /// The suites have kernels, and none of this flavour.
    #[error("the archive has no kernel of the flavour `{flavour}`")]
    NoFlavour {
        /// What was asked for.
        flavour: String,
        /// Flavours that it has.
        known: Vec<String>,
    },
    /// None of the default suites is there.
    #[error("the archive at `{0}` has none of the suites that kbisect looks for")]
    NothingThere(String),
    /// The list of a source is not in the cache, and the network is not to be used.
    #[error("the list of {} is not in the cache, and --offline was given", .0.title)]
    Offline(Source),
    /// A service cannot be asked, and nothing is cached.
    #[error("cannot get the list of {}", from.title)]
    Http {
        /// Whose list.
        from: Source,
        /// Names the URL.
        source: HttpError,
    },
    /// What came is no list.
    #[error("`{url}` is no list of kernels: {reason}")]
    Malformed {
        /// What was asked for.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The cache cannot be written.
    #[error(transparent)]
    Cache(#[from] FileError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CatalogError {
    /// Whether a name was given that the archive does not have.
    pub fn is_wrong_name(&self) -> bool {
        matches!(self, Self::NoFlavour { .. } | Self::Suite(SuiteError::Absent { .. }))
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoMirror => {
                "name a Debian mirror with --mirror URL and its keyring with --keyring FILE (or in \
                 config.toml); --offline uses the local store alone"
            }
            Self::Suite(SuiteError::Keyring(SignatureError::Tool(tool)))
            | Self::Suite(SuiteError::Signature { source: SignatureError::Tool(tool), .. }) => {
                return tool.hint();
            }
            Self::Suite(error) => return of_suite(error).map(str::to_owned),
            Self::NoFlavour { known, .. } => {
                return Some(format!("there are {}", known.join(", ")));
            }
            Self::NothingThere(..) => "check --mirror, or name suites with --suite",
            Self::Http { .. } | Self::Offline(..) => {
                "check the network and the proxy variables, or leave its --source out; what was fetched \
                 before is in the store"
            }
            Self::Malformed { .. } => {
                "check the address of the service; something on the way may answer in its place"
            }
            Self::Cache(_) => "check permissions and free space; --cache names another directory",
            Self::Store(error) => return error.hint(),
        };
        Some(hint.to_owned())
    }
}

fn of_suite(error: &SuiteError) -> Option<&'static str> {
    Some(match error {
        SuiteError::Keyring(SignatureError::NoKeyring) => {
            "install the package `debian-archive-keyring`, or name a keyring with --keyring"
        }
        SuiteError::Absent { .. } => {
            "check the name of the suite; `bookworm`, `bookworm-backports` and `sid` are such names"
        }
        SuiteError::Expired { .. } => {
            "the mirror is out of date; --allow-expired-index accepts such an index"
        }
        SuiteError::Signature { .. } => {
            "name the keyring that signs this archive with --keyring; if the signature is bad, the \
             mirror or something on the way is at fault"
        }
        SuiteError::Unreachable { .. } => {
            "check the network and the proxy variables, or name another mirror with --mirror; \
             --offline uses what is cached and stored"
        }
        SuiteError::Io(_) | SuiteError::Http(HttpError::Write { .. }) => {
            "check permissions and free space; --cache names another directory"
        }
        SuiteError::Http(_) | SuiteError::WrongSuite { .. } => {
            "the mirror may be in the middle of an update: try again later"
        }
        SuiteError::Keyring(_) | SuiteError::NoPackages { .. } => return None,
    })
}
