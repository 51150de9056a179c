//! The verdict of a trial, and why a kernel cannot have one.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::ScenarioFault;
use crate::symptom::Symptom;

/// Which verdict it is. The contract's closed list.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictKind {
    /// Everything that had to be shown was shown.
    Good,
    /// The kernel failed.
    Bad,
    /// The kernel cannot answer.
    Skip,
    /// Our fault, or the host's.
    Infra,
    /// The scenario's fault: no kernel can answer.
    ScenarioError,
}

impl VerdictKind {
    /// The word of the contract.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Skip => "skip",
            Self::Infra => "infra",
            Self::ScenarioError => "scenario-error",
        }
    }
}

impl fmt::Display for VerdictKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Columns of a terminal ask for a width.
        f.pad(self.word())
    }
}

/// Most files that are named.
const FILES: usize = 5;

/// Why a kernel cannot answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Untestable {
    /// It lacks what the scenario requires.
    Lacks {
        /// Names of modules, options, kinds of device, matches.
        features: Vec<String>,
    },
    /// It lacks what every trial needs.
    LacksForBoot {
        /// Names of modules.
        modules: Vec<String>,
    },
    /// Its packages cannot be obtained, or hold no kernel.
    NoPackages {
        /// What is wrong with them.
        said: String,
    },
    /// It is a commit that does not build.
    NoBuild {
        /// The first error.
        said: String,
    },
    /// The change that it is to have, or to be without, does not fit to it.
    Conflicts {
        /// Files that others changed in the same places.
        files: Vec<String>,
    },
    /// A check could not tell.
    Unclear {
        /// Its name.
        check: String,
        /// What it said.
        said: String,
    },
    /// It did not reach user space.
    NoBoot {
        /// What was seen.
        said: String,
    },
}

impl Untestable {
    /// The features that it lacks, when that is why.
    pub fn lacks(&self) -> Option<&[String]> {
        match self {
            Self::Lacks { features } => Some(features),
            Self::LacksForBoot { .. }
            | Self::NoPackages { .. }
            | Self::NoBuild { .. }
            | Self::Conflicts { .. }
            | Self::Unclear { .. }
            | Self::NoBoot { .. } => None,
        }
    }
}

impl fmt::Display for Untestable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lacks { features } => write!(f, "the kernel lacks {}", features.join(", ")),
            Self::LacksForBoot { modules } => {
                write!(f, "the kernel cannot boot here: it lacks {}", modules.join(", "))
            }
            Self::NoPackages { said } | Self::NoBuild { said } => f.write_str(said),
            Self::Conflicts { files } => {
                let named: Vec<&str> = files.iter().take(FILES).map(String::as_str).collect();
                write!(f, "the change does not apply: conflicts in {}", named.join(", "))?;
                match files.len().saturating_sub(FILES) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
            Self::Unclear { check, said } => write!(f, "check `{check}`: {said}"),
            Self::NoBoot { said } => write!(f, "did not reach user space: {said}"),
        }
    }
}

/// The verdict of a trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that had to be shown was shown.
    Good,
    /// The kernel failed.
    Bad(Symptom),
    /// The kernel cannot answer.
    Skip(Untestable),
    /// Our fault, or the host's.
    Infra(String),
    /// The scenario's fault: no kernel can answer.
    Scenario(ScenarioFault),
}

impl Verdict {
    /// Which it is.
    pub fn kind(&self) -> VerdictKind {
        match self {
            Self::Good => VerdictKind::Good,
            Self::Bad(_) => VerdictKind::Bad,
            Self::Skip(_) => VerdictKind::Skip,
            Self::Infra(_) => VerdictKind::Infra,
            Self::Scenario(_) => VerdictKind::ScenarioError,
        }
    }

    /// The word of the contract.
    pub fn word(&self) -> &'static str {
        self.kind().word()
    }

    /// The symptom, when bad.
    pub fn symptom(&self) -> Option<&Symptom> {
        match self {
            Self::Bad(symptom) => Some(symptom),
            _ => None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word();
        match self {
            Self::Good => f.write_str(word),
            Self::Bad(symptom) => write!(f, "{word} ({symptom})"),
            Self::Skip(why) => write!(f, "{word} ({why})"),
            Self::Infra(error) => write!(f, "{word} ({error})"),
            Self::Scenario(fault) => write!(f, "{word} ({fault})"),
        }
    }
}
