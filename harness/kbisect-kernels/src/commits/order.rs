//! What is to be built, and how it was.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::change::Change;
use super::recipe::Recipe;

/// A kernel that is to be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildOrder {
    /// The commit.
    pub commit: String,
    /// What is changed in it, in this order.
    pub changes: Vec<Change>,
    /// How.
    pub recipe: Arc<Recipe>,
}

/// How a kernel was built.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Built {
    /// The commit.
    pub commit: String,
    /// First line of `gcc --version`.
    pub compiler: String,
    /// SHA-256 over image and modules: the same for commits that change nothing in them.
    pub content: String,
    /// Variables of `make` that the tree needed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<String>,
    /// Options that came out otherwise than wanted, such as `NET_VRF: y wanted, not set`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forced: Vec<String>,
    /// Files that the repository lacks, and that were not needed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Files that a change does not fit to, and that were left as they are since nothing of them is built.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
    /// Where it came from, if somebody else built it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elsewhere: Option<Elsewhere>,
    /// Seconds that it took.
    pub seconds: f64,
}

/// Where a kernel came from that somebody else built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Elsewhere {
    /// URL or path.
    pub place: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Whether a checksum beside it says the same.
    pub is_checked: bool,
}
