//! The layout of Ubuntu's mainline builds on disk, for [`super::server::Server`].

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

/// Where the files of a release are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `vX.Y.Z/amd64/`.
    Now,
    /// `vX.Y.Z/`, those of all architectures together.
    Before,
}

/// Writes a release: its files, checksums, and the line in the index. Gives the directory of the files.
pub fn write(
    root: &Path,
    tag: &str,
    layout: Layout,
    files: &[(String, Vec<u8>)],
) -> std::path::PathBuf {
    let dir = match layout {
        Layout::Now => root.join(tag).join("amd64"),
        Layout::Before => root.join(tag),
    };
    fs::create_dir_all(&dir).unwrap();
    let mut sums =
        format!("# {tag}\n# Checksums-Sha1:\n{}  COMMIT\n# Checksums-Sha256:\n", "0".repeat(40));
    for (name, data) in files {
        fs::write(dir.join(name), data).unwrap();
        let sha256: String =
            Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect();
        sums += &format!("{sha256}  {name}\n");
    }
    if !files.is_empty() {
        fs::write(dir.join("CHECKSUMS"), sums).unwrap();
    }
    index(root);
    dir
}

/// The service's own listing of directories.
fn index(root: &Path) {
    let mut rows = String::new();
    for entry in fs::read_dir(root).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        let name = entry.file_name().into_string().unwrap();
        rows += &format!(
            "<tr><td><a href=\"{name}/\">{name}/</a></td><td>2021-05-26 12:34</td><td>-</td></tr>\n"
        );
    }
    let html = format!(
        "<html><body><table><a href=\"?C=N;O=D\">Name</a>{rows}<a href=\"daily/\">x</a></table>"
    );
    fs::write(root.join("index"), html).unwrap();
}
