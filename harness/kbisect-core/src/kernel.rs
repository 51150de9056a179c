//! The identity of a kernel.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::version::PackageVersion;

/// Names one kernel by its content: lower-case hexadecimal SHA-256 over what it is made of (the
/// packages of an archive kernel, the files of one that was added by hand).
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct KernelId(pub String);

impl KernelId {
    /// The first twelve digits: enough for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl fmt::Display for KernelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One bootable candidate: version + flavour + source + content hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Kernel {
    /// Upstream version, as people name it: `6.12.57`.
    pub version: String,
    /// The whole package version, which orders kernels: `6.12.57-1~bpo12+1`. For a kernel that was
    /// added by hand it is the version found in the image, unless one was given.
    pub package_version: PackageVersion,
    /// Flavour: `cloud-amd64`, `amd64`, ...; empty when unknown.
    pub flavour: String,
    /// Where it comes from: `debian:bookworm-backports`, `local`, ...
    pub source: String,
    /// Content hash.
    pub id: KernelId,
    /// `uname -r`, when it is known before the boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Name given by the user (`kernels add --as`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Kernel {
    /// What people call it: its given name, else the upstream version.
    #[must_use]
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.version)
    }

    /// The stable series (`6.12`).
    #[must_use]
    pub fn series(&self) -> String {
        self.package_version.series()
    }
}
