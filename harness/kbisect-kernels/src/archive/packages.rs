//! Reading Packages indexes: tens of thousands of stanzas, of which a few hundred matter.

use std::io::{self, BufRead};

use serde::{Deserialize, Serialize};

/// One kernel package of an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexEntry {
    pub name: String,
    pub version: String,
    /// Path below the archive's base URL.
    pub filename: String,
    pub size: u64,
    pub sha256: String,
}

/// Which packages of an index are kept, by name.
pub type Keep = fn(&str) -> bool;

/// Reads an uncompressed Packages index and keeps what is asked for.
pub fn read<R: BufRead>(mut reader: R, keep: Keep) -> io::Result<Vec<IndexEntry>> {
    let mut entries = Vec::new();
    let mut stanza = Stanza::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let end = reader.read_until(b'\n', &mut line)? == 0;
        let text = line.trim_ascii_end();
        if text.is_empty() {
            entries.extend(std::mem::take(&mut stanza).finish());
        } else {
            stanza.take(text, keep);
        }
        if end {
            return Ok(entries);
        }
    }
}

/// Whether a package can be part of a kernel.
pub fn is_kernel_package(name: &str) -> bool {
    ["linux-image-", "linux-binary-", "linux-modules-", "linux-base-"]
        .iter()
        .filter_map(|prefix| name.strip_prefix(prefix))
        .any(|rest| {
            rest.strip_prefix("unsigned-").unwrap_or(rest).starts_with(|c: char| c.is_ascii_digit())
        })
        && !name.ends_with("-dbg")
}

/// Whether a package holds debug information of a kernel.
pub fn is_debug_package(name: &str) -> bool {
    name.starts_with("linux-image-") && name.ends_with("-dbg")
}

/// Package that holds the whole changelog of the kernel's source: the one in the image packages is
/// cut short.
pub const CHANGELOG_PACKAGE: &str = "linux-libc-dev";

/// Whether a package holds the kernel's changelog.
pub fn is_changelog_package(name: &str) -> bool {
    name == CHANGELOG_PACKAGE
}

/// How packages with the kernel's source begin.
pub const SOURCE_PREFIX: &str = "linux-source-";

/// Whether a package holds the kernel's source; the one without a version holds nothing.
pub fn is_source_package(name: &str) -> bool {
    name.strip_prefix(SOURCE_PREFIX)
        .is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit()))
}

#[derive(Default)]
struct Stanza {
    skip: bool,
    name: String,
    version: String,
    filename: String,
    size: Option<u64>,
    sha256: String,
}

impl Stanza {
    fn take(&mut self, line: &[u8], keep: Keep) {
        // `Package` comes first, so that nearly all stanzas are over after one comparison.
        if self.skip {
            return;
        }
        let field = |name: &[u8]| {
            line.strip_prefix(name)
                .map(|value| String::from_utf8_lossy(value.trim_ascii()).into_owned())
        };
        if let Some(value) = field(b"Package:") {
            self.skip = !keep(&value);
            self.name = value;
        } else if let Some(value) = field(b"Version:") {
            self.version = value;
        } else if let Some(value) = field(b"Filename:") {
            self.filename = value;
        } else if let Some(value) = field(b"Size:") {
            self.size = value.parse().ok();
        } else if let Some(value) = field(b"SHA256:") {
            self.sha256 = value.to_ascii_lowercase();
        }
    }

    fn finish(self) -> Option<IndexEntry> {
        let Self { skip, name, version, filename, size, sha256 } = self;
        let safe = !filename.is_empty()
            && !filename.starts_with('/')
            && !filename.split('/').any(|part| part == "..");
        let whole = !skip && !name.is_empty() && !version.is_empty() && sha256.len() == 64;
        (whole && safe).then_some(())?;
        Some(IndexEntry { name, version, filename, size: size?, sha256 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(name: &str, extra: &str) -> String {
        format!(
            "Package: {name}\nVersion: 6.12.57-1\nDescription: x\n Filename: not this\nFilename: pool/{name}.deb\n\
             Size: 12\nSHA256: {}\n{extra}\n",
            "ab".repeat(32)
        )
    }

    #[test]
    fn keeps_kernel_packages_only() {
        let text = [
            "linux-image-6.12.57+deb12-cloud-amd64",
            "linux-image-cloud-amd64",
            "linux-image-6.12.57+deb12-amd64-dbg",
            "linux-headers-6.12.57+deb12-cloud-amd64",
            "linux-binary-unsigned-7.2.12+deb14-cloud-amd64",
            "linux-modules-7.2.12+deb14-cloud-amd64",
            "bash",
        ]
        .map(|name| stanza(name, ""))
        .join("\n");
        let names: Vec<_> = read(text.as_bytes(), is_kernel_package)
            .unwrap()
            .into_iter()
            .map(|entry| entry.name)
            .collect();
        assert_eq!(
            names,
            [
                "linux-image-6.12.57+deb12-cloud-amd64",
                "linux-binary-unsigned-7.2.12+deb14-cloud-amd64",
                "linux-modules-7.2.12+deb14-cloud-amd64"
            ]
        );
    }

    #[test]
    fn debug_packages_are_kept_on_their_own() {
        let names = ["linux-image-6.12.57+deb12-amd64", "linux-image-6.12.57+deb12-amd64-dbg"];
        let text = names.map(|name| stanza(name, "")).join("\n");
        let found = read(text.as_bytes(), is_debug_package).unwrap();
        assert_eq!(found.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), names[1..]);
    }

    #[test]
    fn source_packages_have_a_version() {
        let names = ["linux-source", "linux-source-6.12", "linux-source-x"];
        let found =
            read(names.map(|name| stanza(name, "")).join("\n").as_bytes(), is_source_package);
        let found = found.unwrap();
        assert_eq!(found.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), names[1..2]);
    }

    #[test]
    fn the_last_stanza_needs_no_empty_line_and_paths_stay_inside() {
        let whole = stanza("linux-image-6.1.0-9-amd64", "");
        assert_eq!(read(whole.trim_end().as_bytes(), is_kernel_package).unwrap().len(), 1);
        assert_eq!(
            read(whole.trim_end().as_bytes(), is_kernel_package).unwrap()[0].filename,
            "pool/linux-image-6.1.0-9-amd64.deb"
        );
        for bad in [
            whole.replace("pool/", "../"),
            whole.replace("pool/", "/"),
            whole.replace("Size: 12", "Size: x"),
        ] {
            assert_eq!(read(bad.as_bytes(), is_kernel_package).unwrap(), []);
        }
        assert_eq!(read("".as_bytes(), is_kernel_package).unwrap(), []);
    }
}
