//! One kernel that could be tested, fetched or not.

use kbisect_core::kernel::{Kernel, KernelId};
use kbisect_core::version::PackageVersion;
use serde::{Deserialize, Serialize};

use crate::commits::BuildOrder;

/// One package of an archive kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageRef {
    /// Package name.
    pub name: String,
    /// Package version.
    pub version: String,
    /// SHA-256 of the `.deb` in lower-case hexadecimal digits, from the source's index; empty until it
    /// was downloaded, where the index has no such thing.
    pub sha256: String,
    /// SHA-1 in place of it, for a source that knows no better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha1: Option<String>,
    /// Size of the `.deb` in bytes, from the source's index; 0 until it was downloaded, where the index
    /// has no such thing.
    pub size: u64,
    /// Whole URL of the `.deb`.
    pub url: String,
    /// Suite whose index names the package.
    pub suite: String,
}

/// Whether a candidate can be booted, and what that would take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum CandidateState {
    /// In the local store, ready.
    Stored,
    /// In an archive.
    Downloadable {
        /// Size of all of its packages together; an estimate for a kernel whose packages are not known
        /// yet ([`crate::Source::is_estimate`]).
        bytes: u64,
    },
    /// A commit that is to be built.
    Buildable,
    /// Known, but it cannot be tested.
    Untestable {
        /// Why, as a lower-case fragment.
        reason: String,
    },
}

/// Another build of the same kernel source: for an older release, say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Package version of that build.
    pub package_version: PackageVersion,
    /// Suites that hold it.
    pub suites: Vec<String>,
    /// Its content hash.
    pub id: KernelId,
}

/// One kernel of a series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Identity; the id is known before anything is downloaded.
    pub kernel: Kernel,
    /// The packages to fetch; empty for a kernel that only the local store has, and for one that a
    /// source merely lists: those are looked up when it is fetched.
    pub packages: Vec<PackageRef>,
    /// Whether it can be tested.
    pub state: CandidateState,
    /// Suites that hold this very build, beside the one in `kernel.source`.
    pub also_in: Vec<String>,
    /// Builds of the same source version that were left aside for this one.
    pub other_builds: Vec<Build>,
    /// What the user should know about the choice, one line each.
    pub notes: Vec<String>,
    /// How it is built, where it is a commit of a git tree.
    #[serde(skip)]
    pub build: Option<BuildOrder>,
}

impl Candidate {
    /// A kernel of which nothing else is known.
    pub fn new(kernel: Kernel, state: CandidateState) -> Self {
        Self {
            kernel,
            packages: Vec::new(),
            state,
            also_in: Vec::new(),
            other_builds: Vec::new(),
            notes: Vec::new(),
            build: None,
        }
    }

    /// Bytes that [`crate::Store::ensure`] would download.
    pub fn download_bytes(&self) -> u64 {
        match self.state {
            CandidateState::Downloadable { bytes } => bytes,
            CandidateState::Stored
            | CandidateState::Buildable
            | CandidateState::Untestable { .. } => 0,
        }
    }
}
