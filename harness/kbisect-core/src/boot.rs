//! How a candidate was booted, as records tell it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// By which entry a kernel was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BootWay {
    /// The decompressed kernel, by its PVH entry: quicker, without a random base address.
    Pvh,
    /// The image as it is shipped, which unpacks itself.
    BzImage,
}

impl BootWay {
    /// The word for it, as it is typed.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pvh => "pvh",
            Self::BzImage => "bzimage",
        }
    }
}

/// How a kernel is asked to come up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Coming {
    /// From its saved state, if there is one.
    #[default]
    Any,
    /// By a boot.
    Cold,
    /// By a boot whose state takes the place of the saved one, from which enough trials went on.
    Renew,
    /// By a boot of the image as it is shipped, with nothing left out: what confirms an answer.
    AsShipped,
}

/// How a candidate was booted, whether now or when its state was saved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Booted {
    /// By which entry.
    pub way: BootWay,
    /// Why not by its PVH entry, where that was wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_pvh: Option<String>,
    /// Whether it was never packed, so that there is no bzImage of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub never_packed: bool,
    /// Whether the kernel tested its cryptography while it booted; `cryptomgr.notests` otherwise.
    pub crypto_tests: bool,
    /// Whether that is how everybody boots it: nothing was left out for a quicker boot.
    pub as_shipped: bool,
}

/// What deadlines were multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Deadlines {
    /// How many times longer than on a fast machine with KVM guests take here.
    pub slowness: f64,
    /// How that is known.
    pub known_by: SpeedSource,
    /// The user's own factor on top of it.
    pub slow: f64,
}

/// How the speed of a host is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SpeedSource {
    /// A small guest that was started to find out.
    Probe,
    /// The boot of a kernel that is known to work.
    Boot,
    /// Nothing could be measured; emulation on an ordinary machine was taken.
    Assumed,
}
