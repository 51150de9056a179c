//! What can go wrong when kernels are looked up.

use std::path::PathBuf;

use crate::archive::index::SuiteError;
use crate::archive::keyring::SignatureError;
use crate::chain::chain;
use crate::http::HttpError;
use crate::source::{ListError, Source};
use crate::store::StoreError;

/// Why the catalog could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No mirror is known.
    #[error("no Debian mirror is known: none in the host's apt configuration, and none was named")]
    NoMirror,
    /// There is no usable keyring.
    #[error("cannot verify the archive: {reason}")]
    Keyring {
        /// What is missing.
        reason: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The index of a suite cannot be used.
    #[error("{message}")]
    Suite {
        /// Names the suite, the URL and the reason.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// None of the default suites is there.
    #[error("the archive at `{mirror}` has none of the suites that kbisect looks for")]
    NothingThere {
        /// Base URL.
        mirror: String,
    },
    /// The list of another source cannot be used.
    #[error("{message}")]
    List {
        /// Names the source and the reason.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The cache cannot be written.
    #[error("cannot use the cache in `{}`", path.display())]
    Cache {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: SuiteError,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a text names no kernel, or no series.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The text is neither a version nor anything else that names a kernel.
    #[error("`{spec}` is neither a kernel version, nor the name or the id of a stored kernel")]
    NotAVersion {
        /// What was asked for.
        spec: String,
    },
    /// No such kernel.
    #[error("no kernel `{spec}` in {}; {}", places(elsewhere), nearest(below, above))]
    Unknown {
        /// What was asked for.
        spec: String,
        /// Nearest kernel before it.
        below: Option<String>,
        /// Nearest kernel after it.
        above: Option<String>,
        /// Sources that were not looked into, and that may have it.
        elsewhere: Vec<Source>,
    },
    /// Several kernels have ids that begin alike.
    #[error("`{spec}` is the beginning of several ids: {}", found.join(", "))]
    Ambiguous {
        /// What was asked for.
        spec: String,
        /// Short ids with their versions.
        found: Vec<String>,
    },
    /// The range runs backwards.
    #[error("the range {good}..{bad} is reversed: {good} is newer than {bad}")]
    Reversed {
        /// Left end.
        good: String,
        /// Right end.
        bad: String,
    },
    /// Both ends are one kernel.
    #[error("the range {good}..{bad} is empty: both ends are the kernel {kernel}")]
    SameKernel {
        /// Left end.
        good: String,
        /// Right end.
        bad: String,
        /// What both are.
        kernel: String,
    },
}

/// Why there is no newest kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NewestError {
    /// The suite offers none.
    #[error("the archive offers no kernel for the suite `{suite}`")]
    NoSuite {
        /// What was asked for.
        suite: String,
        /// Suites that offer one.
        known: Vec<String>,
    },
    /// No suite offers any.
    #[error("no suite of the archive offers a kernel")]
    Nothing,
}

impl NewestError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoSuite { known, .. } if !known.is_empty() => {
                format!("suites that offer kernels of this flavour: {}", known.join(", "))
            }
            Self::NoSuite { .. } | Self::Nothing => {
                "no index is at hand: leave --offline and `--source store` out, or check --mirror and \
                 --flavour"
                    .to_owned()
            }
        })
    }
}

impl CatalogError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoMirror => Some(
                "name a Debian mirror with --mirror URL and its keyring with --keyring FILE (or in \
                 config.toml); --offline uses the local store alone"
                    .to_owned(),
            ),
            Self::Keyring { hint, .. } | Self::Suite { hint, .. } | Self::List { hint, .. } => {
                hint.clone()
            }
            Self::NothingThere { .. } => {
                Some("check --mirror, or name suites with --suite".to_owned())
            }
            Self::Cache { .. } => Some("check the directory's permissions and free space".to_owned()),
            Self::Store(error) => error.hint(),
        }
    }

    pub(super) fn of_list(error: &ListError) -> Self {
        let hint = match error {
            ListError::Http { .. } | ListError::Offline { .. } => {
                "check the network and the proxy variables, or leave its --source out; what was fetched \
                 before is in the store"
            }
            ListError::Malformed { .. } => {
                "check the address of the service; something on the way may answer in its place"
            }
            ListError::Cache { .. } => {
                "check permissions and free space; --cache names another directory"
            }
        };
        Self::List { message: error.line(), hint: Some(hint.to_owned()) }
    }

    pub(super) fn of_keyring(error: &SignatureError) -> Self {
        let hint = match error {
            SignatureError::Tool(tool) => tool.hint(),
            SignatureError::NoKeyring => Some(
                "install the package `debian-archive-keyring`, or name a keyring with --keyring"
                    .to_owned(),
            ),
            SignatureError::Unsigned | SignatureError::Bad { .. } | SignatureError::Io { .. } => {
                None
            }
        };
        Self::Keyring { reason: chain(error), hint }
    }

    pub(super) fn of_suite(error: &SuiteError) -> Self {
        let hint = match error {
            SuiteError::Absent { .. } => Some("check the name given with --suite".to_owned()),
            SuiteError::Expired { .. } => Some(
                "the mirror is out of date; --allow-expired-index accepts such an index".to_owned(),
            ),
            SuiteError::Signature { source: SignatureError::Tool(tool), .. } => tool.hint(),
            SuiteError::Signature { .. } => Some(
                "name the keyring that signs this archive with --keyring; if the signature is bad, \
                 the mirror or something on the way is at fault"
                    .to_owned(),
            ),
            SuiteError::Unreachable { .. } => Some(
                "check the network and the proxy variables, or name another mirror with --mirror; \
                 --offline uses what is cached and stored"
                    .to_owned(),
            ),
            SuiteError::Io { .. } | SuiteError::Http(HttpError::Write { .. }) => Some(
                "check permissions and free space; --cache names another directory".to_owned(),
            ),
            SuiteError::Http(_) | SuiteError::WrongSuite { .. } => {
                Some("the mirror may be in the middle of an update: try again later".to_owned())
            }
            SuiteError::NoPackages { .. } => None,
        };
        Self::Suite { message: chain(error), hint }
    }
}

impl ResolveError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotAVersion { .. } => Some(
                "a version looks like 6.12.57 or 6.12.57-1~bpo12+1; `kbisect kernels list` shows \
                 what there is"
                    .to_owned(),
            ),
            Self::Unknown { elsewhere, .. } if !elsewhere.is_empty() => Some(where_else(elsewhere)),
            Self::Unknown { below: None, above: None, .. } => Some(
                "check --flavour and --suite; with --offline only what was fetched before is there"
                    .to_owned(),
            ),
            Self::Unknown { .. } => Some(
                "`kbisect kernels list` shows what there is, --suite looks into more suites, and \
                 `kbisect kernels add` takes a kernel of your own"
                    .to_owned(),
            ),
            Self::Ambiguous { .. } => Some("give more digits".to_owned()),
            Self::Reversed { good, bad } => Some(format!(
                "write {bad}..{good}; to look for a fix, add --find-fix (the older kernel still \
                 comes first)"
            )),
            Self::SameKernel { .. } => {
                Some("to test a single kernel, use `kbisect run`".to_owned())
            }
        }
    }
}

/// What was looked into.
fn places(elsewhere: &[Source]) -> String {
    let looked = Source::ALL.iter().filter(|source| !elsewhere.contains(source));
    let titles: Vec<&str> = looked
        .map(|source| match source {
            Source::Archive => "the archive",
            other => other.title(),
        })
        .collect();
    match titles.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => "any source".to_owned(),
    }
}

/// Says which sources may have a kernel that those looked into do not have.
fn where_else(sources: &[Source]) -> String {
    let offers = sources.iter().filter_map(|source| {
        let what = match source {
            Source::Snapshot => "the snapshot service has every version that Debian released",
            Source::UbuntuMainline => "Ubuntu builds every upstream release",
            Source::Archive => "the Debian archive was not looked into",
            Source::Store => return None,
        };
        Some(format!("{what}: add --source {source}"))
    });
    let offers: Vec<String> = offers.collect();
    format!("{}; `kbisect kernels list` shows what there is", offers.join("; "))
}

fn nearest(below: &Option<String>, above: &Option<String>) -> String {
    match (below, above) {
        (Some(below), Some(above)) => {
            format!("the nearest are {below} (before) and {above} (after)")
        }
        (Some(below), None) => format!("the nearest is {below} (before), and none comes after"),
        (None, Some(above)) => format!("the nearest is {above} (after), and none comes before"),
        (None, None) => "there is none at all".to_owned(),
    }
}
