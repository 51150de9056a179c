//! Why the commits of a range cannot be listed.

use std::io;
use std::path::PathBuf;

/// Most commits of a range.
pub(super) const MOST_COMMITS: usize = 100_000;

/// Why the commits of a range cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// git cannot be started.
    #[error("`git` cannot be started")]
    Start(#[source] io::Error),
    /// The folder is none of a git tree.
    #[error("`{}` is no git tree: {said}", repository.display())]
    NoTree {
        /// Folder.
        repository: PathBuf,
        /// What git said.
        said: String,
    },
    /// The folder is not there.
    #[error("`{}` is no git tree: there is no such folder", .0.display())]
    NoFolder(PathBuf),
    /// An end is not there.
    #[error("`{}` has no commit `{end}`{}", repository.display(), near(similar))]
    NoCommit {
        /// Folder.
        repository: PathBuf,
        /// As it was typed.
        end: String,
        /// Tags that are called alike.
        similar: Vec<String>,
    },
    /// The newer end is the older one.
    #[error("`{new}` comes before `{old}`: the older end is named first")]
    Reversed {
        /// As it was typed.
        old: String,
        /// As it was typed.
        new: String,
    },
    /// Both ends are one commit.
    #[error("`{old}` and `{new}` are the same commit")]
    SameCommit {
        /// As it was typed.
        old: String,
        /// As it was typed.
        new: String,
    },
    /// The ends have nothing in common.
    #[error("`{old}` and `{new}` have no commit in common{}", shallow(*is_shallow))]
    Unrelated {
        /// As it was typed.
        old: String,
        /// As it was typed.
        new: String,
        /// Whether history was cut off.
        is_shallow: bool,
    },
    /// No commit between the ends changes what was named.
    #[error("no commit between `{old}` and `{new}` changes {}", paths.join(", "))]
    NothingChanges {
        /// As it was typed.
        old: String,
        /// As it was typed.
        new: String,
        /// As they were typed.
        paths: Vec<String>,
    },
    /// There are too many.
    #[error("there are more than {MOST_COMMITS} commits between `{old}` and `{new}`")]
    TooMany {
        /// As it was typed.
        old: String,
        /// As it was typed.
        new: String,
    },
    /// git failed, or said what cannot be read.
    #[error("`git {what}` failed: {said}")]
    Failed {
        /// The command.
        what: &'static str,
        /// What it said.
        said: String,
    },
}

fn near(similar: &[String]) -> String {
    if similar.is_empty() { String::new() } else { format!(" (there is {})", similar.join(", ")) }
}

fn shallow(is_shallow: bool) -> &'static str {
    if is_shallow { "; the tree is a shallow clone, which may lack it" } else { "" }
}

impl HistoryError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Start(_) => "install the package `git`",
            Self::NoTree { .. } | Self::NoFolder(_) => {
                "name the folder of a clone: --source git:PATH"
            }
            Self::NoCommit { .. } => {
                "name a tag, a branch or a commit of that tree; `git fetch --tags` brings the tags of its origin"
            }
            Self::Reversed { .. } => {
                "swap the ends; to look for the commit that heals, add --find-fix"
            }
            Self::SameCommit { .. } => "name two commits",
            Self::Unrelated { is_shallow: true, .. } => "`git fetch --unshallow` brings the rest",
            Self::Unrelated { .. } => "name two commits of one history",
            Self::NothingChanges { .. } => "name other files or folders after --",
            Self::TooMany { .. } => "narrow it down by released kernels first",
            Self::Failed { .. } => "`git fsck` tells whether the tree is whole",
        };
        Some(text.to_owned())
    }
}
