//! `image.json`: what a built image holds.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::definition::Compression;

/// Name of the file, beside the squashfs.
pub(super) const FILE: &str = "image.json";
/// Value of `schema`.
pub(super) const SCHEMA: &str = "kbisect.image/1";

/// Description of a built image, for reports: two images of one definition that were built on
/// different days can hold different package versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageManifest {
    /// `kbisect.image/1`.
    pub schema: String,
    /// Hash of the definition, builder version and architecture.
    pub key: String,
    /// Debian release, such as `bookworm`.
    pub suite: String,
    /// Debian's name of the architecture.
    pub architecture: String,
    /// Compression of the squashfs.
    pub compression: Compression,
    /// When it was built, RFC 3339, UTC.
    pub built_at: String,
    /// Size of the squashfs file in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the squashfs file.
    pub sha256: String,
    /// Installed packages and their versions.
    pub packages: BTreeMap<String, String>,
}

impl ImageManifest {
    /// Reads a manifest; none when it is missing, unreadable or of another schema, since then the
    /// image is simply built anew.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let manifest: Self = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
        (manifest.schema == SCHEMA).then_some(manifest)
    }
}

/// Reads names and versions of the installed packages from dpkg's status file.
pub(super) fn installed_packages(status: &str) -> BTreeMap<String, String> {
    let field = |stanza: &str, name: &str| {
        stanza
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .map(str::to_owned)
    };
    status
        .split("\n\n")
        .filter(|stanza| {
            field(stanza, "Status").is_some_and(|status| status.ends_with(" installed"))
        })
        .filter_map(|stanza| Some((field(stanza, "Package")?, field(stanza, "Version")?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_installed_packages_are_listed() {
        let status = "Package: kmod\nStatus: install ok installed\nVersion: 30-1\nDescription: x\n \
                      Version: 99\n\nPackage: gone\nStatus: deinstall ok config-files\n\
                      Version: 2\n\nPackage: curl\nStatus: install ok installed\nVersion: 7:1~b\n";
        let packages = installed_packages(status);
        let expected = [("curl", "7:1~b"), ("kmod", "30-1")];
        assert!(packages.iter().map(|(n, v)| (n.as_str(), v.as_str())).eq(expected));
    }

    #[test]
    fn a_manifest_of_another_schema_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        let manifest = ImageManifest {
            schema: SCHEMA.to_owned(),
            key: "k".to_owned(),
            suite: "bookworm".to_owned(),
            architecture: "amd64".to_owned(),
            compression: Compression::Lz4,
            built_at: "2026-01-01T00:00:00Z".to_owned(),
            size_bytes: 1,
            sha256: "0".to_owned(),
            packages: BTreeMap::new(),
        };
        let text = serde_json::to_string(&manifest).unwrap();
        std::fs::write(&path, &text).unwrap();
        assert_eq!(ImageManifest::read(&path), Some(manifest));
        std::fs::write(&path, text.replace("image/1", "image/9")).unwrap();
        assert_eq!(ImageManifest::read(&path), None);
    }
}
