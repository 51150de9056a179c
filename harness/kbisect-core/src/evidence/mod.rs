//! What a trial leaves behind of a crash beside its console: a memory dump, the facts of the
//! report (registers, taint, modules), a trace with source lines; and what rules counted.

mod facts;
pub mod kdump;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use facts::{CrashFacts, Register};

use crate::rules::RuleCount;

/// Evidence of one trial, beside what its checks and wires say. Every part can be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// What the first telling report on the console says of the machine's state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crash: Option<CrashFacts>,
    /// Dump of the guest's memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vmcore: Option<Vmcore>,
    /// The report's trace with source lines, or why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoded: Option<Decoded>,
    /// Files in the trial's folder that are evidence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<EvidenceFile>,
    /// Rules of nodes under test that counted packets, from set-up to end. Those of the older iptables are
    /// not among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleCount>,
}

impl Evidence {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A dump of the guest's memory, as the `crash` utility reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Vmcore {
    /// File, relative to the trial's folder.
    pub path: String,
    /// QEMU's name of the format: `kdump-raw-zlib`, or `kdump-zlib` (flattened).
    pub format: String,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256, lower-case hexadecimal digits.
    pub sha256: String,
    /// Build id of the kernel, when the guest told it: its debug information has the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// `uname -r`, when the guest told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
}

/// A trace with source lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "status")]
pub enum Decoded {
    /// Source lines were found.
    Lines {
        /// Where the debug information came from.
        source: String,
        /// The trace, one line a function, inlined ones first.
        text: String,
    },
    /// No debug information.
    Unavailable {
        /// Why, as a lower-case fragment.
        reason: String,
    },
}

/// A file that is evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceFile {
    /// Relative to the trial's folder.
    pub path: String,
    /// What it is.
    pub what: String,
}
