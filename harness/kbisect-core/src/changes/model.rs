//! Changes, and what is said of them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::clues::ClueKind;

/// One change: a bullet of a changelog, or a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// First line of the commit, or the bullet's text, on one line.
    pub subject: String,
    /// Upstream release that brought it (`6.12.63`); nothing for the distribution's own changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Package version that brought it (`6.12.63-1`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package_version: Option<String>,
    /// Commit id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Its author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Architectures or flavours that it is limited to (`arm64`); empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limited_to: Vec<String>,
    /// `CVE-2025-40206`, ...
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cves: Vec<String>,
    /// Numbers of the distribution's bugs that it closes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bugs: Vec<String>,
    /// Files that it touches, where that is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

/// Where the changes were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum ChangeSource {
    /// A distribution's changelog.
    Changelog {
        /// The package that holds it: name.
        package: String,
        /// Its version.
        version: String,
        /// SHA-256 of the package, lower-case hexadecimal digits; empty for a file of the user's.
        sha256: String,
    },
    /// A git repository.
    Git {
        /// Folder.
        repository: String,
        /// Range (`v6.12.57..v6.12.69`).
        range: String,
    },
}

impl fmt::Display for ChangeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changelog { package, version, .. } => {
                write!(f, "the changelog in {package} {version}")
            }
            Self::Git { repository, range } => write!(f, "git log {range} in {repository}"),
        }
    }
}

/// What came of comparing two kernels' changelogs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "status")]
pub enum WhatChanged {
    /// The changes were ranked.
    Ranked(Ranking),
    /// The changes are not known.
    Unavailable {
        /// Why, as a lower-case fragment.
        reason: String,
    },
}

/// The changes of a range, the most suspect first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ranking {
    /// The older kernel's version.
    pub from: String,
    /// The newer kernel's version.
    pub to: String,
    /// Where the changes were read.
    pub source: ChangeSource,
    /// How many there are.
    pub considered: Considered,
    /// The first ones.
    pub top: Vec<RankedChange>,
    /// What is not in the list, one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// How many changes a ranking is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Considered {
    /// Changes of the range.
    pub changes: usize,
    /// Those that touch anything that the failure or the scenario names.
    pub touching: usize,
}

/// A change with its rank.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RankedChange {
    /// From 1. Changes with the same score share no rank: the order of the source decides.
    pub rank: usize,
    /// Points; they compare changes of one ranking, no more.
    pub score: f64,
    /// The change.
    #[serde(flatten)]
    pub change: Change,
    /// Why, the strongest reason first.
    pub reasons: Vec<Reason>,
}

/// Why a change has its rank.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// In what way.
    #[serde(flatten)]
    pub kind: ReasonKind,
    /// Points; what speaks against a change has less than none.
    pub points: f64,
}

/// In what way a change is near, or far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum ReasonKind {
    /// It has a name in common with the failure or the scenario.
    Touches {
        /// The name as the change has it.
        name: String,
        /// What it was compared with.
        clue: String,
        /// What that is.
        of: ClueKind,
        /// Whether it is what the change says that it is in: the words before its colons, or a file.
        within: bool,
    },
    /// Only for machines of other kinds than the guest.
    OtherMachine {
        /// Which.
        names: Vec<String>,
    },
    /// Tests, tools or documentation, nothing that a kernel runs.
    NoKernelCode,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ReasonKind::Touches { name, clue, of, within } => {
                let verb = if *within { "is in" } else { "names" };
                write!(f, "{verb} {name}: {}", of.about(clue))
            }
            ReasonKind::OtherMachine { names } => {
                write!(f, "less likely: only for {}", names.join(", "))
            }
            ReasonKind::NoKernelCode => f.write_str("less likely: tests, tools or documentation"),
        }
    }
}

impl RankedChange {
    /// The reasons in one line.
    pub fn because(&self) -> String {
        self.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    }

    /// Where it came in: the commit, the upstream release, or the package version.
    pub fn origin(&self) -> String {
        let change = &self.change;
        let commit = change.commit.as_deref().map(|id| id.get(..12).unwrap_or(id).to_owned());
        let own = || change.package_version.as_ref().map(|version| format!("package {version}"));
        commit.or_else(|| change.release.clone()).or_else(own).unwrap_or_default()
    }
}
