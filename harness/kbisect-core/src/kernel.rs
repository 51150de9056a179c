//! The identity of a kernel.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::version::PackageVersion;

/// Names one kernel by its content: lower-case hexadecimal SHA-256 over what it is made of (the
/// packages of an archive kernel, the files of one that was added by hand). A kernel of a service that
/// only lists versions is named by the SHA-256 of service, version and flavour.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct KernelId(pub String);

impl KernelId {
    /// Whether it has the form of one: what a file of somebody else names need not.
    pub fn is_hash(&self) -> bool {
        self.0.len() == 64 && self.0.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    }

    /// The first twelve digits: enough for people.
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
    /// Where it comes from: `debian:bookworm-backports`, `snapshot`, `ubuntu-mainline`, `local`, ...
    pub source: String,
    /// Content hash.
    pub id: KernelId,
    /// `uname -r`, when it is known before the boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Name given by the user (`kernels add --as`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it was made from, when it is a stock kernel with parts replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Variant>,
}

/// How a kernel differs from the stock kernel that it was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Variant {
    /// Package version of the stock kernel.
    pub base: PackageVersion,
    /// Content hash of the stock kernel.
    pub base_id: KernelId,
    /// Names of the modules that were replaced, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules: Vec<String>,
    /// Words added to the kernel's command line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cmdline: Vec<String>,
}

impl fmt::Display for Variant {
    /// `variant of 5.10.262-1 (module vrf; panic_on_warn=1)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match self.modules.as_slice() {
            [] => {}
            [one] => parts.push(format!("module {one}")),
            several => parts.push(format!("modules {}", several.join(", "))),
        }
        if !self.cmdline.is_empty() {
            parts.push(self.cmdline.join(" "));
        }
        write!(f, "variant of {} ({})", self.base, parts.join("; "))
    }
}

impl Kernel {
    /// What people call it: its given name, else the upstream version.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.version)
    }

    /// The stable series (`6.12`).
    pub fn series(&self) -> String {
        self.package_version.series()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_says_what_differs() {
        let variant = |modules: &[&str], cmdline: &[&str]| Variant {
            base: PackageVersion::parse("5.10.262-1").expect("a version"),
            base_id: KernelId("0".repeat(64)),
            modules: modules.iter().map(|name| (*name).to_owned()).collect(),
            cmdline: cmdline.iter().map(|word| (*word).to_owned()).collect(),
        };
        let text = variant(&["vrf"], &[]).to_string();
        assert_eq!(text, "variant of 5.10.262-1 (module vrf)");
        let text = variant(&["ip_tables", "vrf"], &["a=1", "b"]).to_string();
        assert_eq!(text, "variant of 5.10.262-1 (modules ip_tables, vrf; a=1 b)");
        let text = variant(&[], &["nosmp"]).to_string();
        assert_eq!(text, "variant of 5.10.262-1 (nosmp)");
    }

    #[test]
    fn kernels_from_before_there_were_variants_are_read() {
        let old = r#"{"version": "6.1.9", "package_version": "6.1.9-1", "flavour": "cloud-amd64",
            "source": "local", "id": "ab"}"#;
        let kernel: Kernel = serde_json::from_str(old).expect("an old kernel");
        assert_eq!(kernel.variant, None);
        assert!(!serde_json::to_string(&kernel).expect("plain texts").contains("variant"));
    }
}
