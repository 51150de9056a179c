//! What is said of a bundle: in it, and on standard output.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a bundle was made: `manifest.json` in it, the document `kbisect.manifest/1`. Placeholders are
/// listed, never what they stand for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BundleManifest {
    /// `kbisect.manifest/1`.
    pub schema: String,
    /// Run id.
    pub run: String,
    /// Program that made the bundle.
    pub tool: String,
    /// Program that made the run.
    pub run_by: String,
    /// Command that made the bundle.
    pub command: Vec<String>,
    /// Whether addresses and names were replaced.
    pub redacted: bool,
    /// Placeholders, and how often each stands in the bundle.
    pub placeholders: Vec<Placeholder>,
    /// Files of the run that are not in the bundle.
    pub left_out: Vec<LeftOut>,
}

/// What stands for something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Placeholder {
    /// The placeholder.
    pub placeholder: String,
    /// How often.
    pub count: usize,
}

/// A file that is not in a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftOut {
    /// Path in the run's folder.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// A bundle that was written: the document `kbisect.bundle/1`, for whoever made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BundleDocument {
    /// `kbisect.bundle/1`.
    pub schema: String,
    /// The file.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// What was replaced.
    pub replaced: Vec<Replacement>,
    /// Files of the run that are not in the bundle.
    pub left_out: Vec<LeftOut>,
}

/// A text that was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replacement {
    /// What it was.
    pub old: String,
    /// What stands in its place.
    pub new: String,
    /// How often.
    pub count: usize,
}

impl BundleDocument {
    /// Makes the document.
    pub fn new(path: String, bytes: u64, bundle: &super::Bundle) -> Self {
        let replaced = bundle.replaced.iter().map(|(old, new, count)| Replacement {
            old: old.clone(),
            new: new.clone(),
            count: *count,
        });
        Self {
            schema: "kbisect.bundle/1".to_owned(),
            path,
            bytes,
            replaced: replaced.collect(),
            left_out: left_out(&bundle.left_out),
        }
    }
}

/// Files that are not there, for a document.
pub(super) fn left_out(list: &[(String, String)]) -> Vec<LeftOut> {
    let list = list.iter();
    list.map(|(path, reason)| LeftOut { path: path.clone(), reason: reason.clone() }).collect()
}
