//! Why a kernel is not found.

use crate::sources::Source;

/// Why a text names no kernel, or no series.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The text is neither a version nor anything else that names a kernel.
    #[error("`{0}` is neither a kernel version, nor the name or the id of a stored kernel")]
    NotAVersion(String),
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

impl ResolveError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotAVersion(..) => Some(
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
    let looked = Source::all().filter(|source| !elsewhere.contains(source));
    let titles: Vec<&str> = looked.map(|source| source.title).collect();
    match titles.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => "any source".to_owned(),
    }
}

/// Says which sources may have a kernel that those looked into do not have.
fn where_else(sources: &[Source]) -> String {
    let offers = sources.iter().filter_map(|source| {
        source.offers.map(|offers| format!("{offers}: add --source {source}"))
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
