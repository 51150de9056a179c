//! The Debian snapshot service's layout on disk, for [`super::server::Server`].

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};

/// One binary package.
pub struct Binary {
    pub name: String,
    pub version: String,
    pub data: Vec<u8>,
}

/// Source packages by name and version, each with what was built of it.
#[derive(Default)]
pub struct Snapshot {
    sources: BTreeMap<(String, String), Vec<Binary>>,
}

impl Snapshot {
    /// Adds a package that was built of a source.
    pub fn add(&mut self, source: &str, source_version: &str, binary: Option<Binary>) {
        let key = (source.to_owned(), source_version.to_owned());
        self.sources.entry(key).or_default().extend(binary);
    }

    /// Writes all files below `root`; gives the paths of the packages.
    pub fn write(&self, root: &Path) -> Vec<PathBuf> {
        let versions: Vec<String> = self
            .sources
            .keys()
            .filter(|(source, _)| source == "linux")
            .map(|(_, version)| format!(r#"{{"version": "{version}"}}"#))
            .collect();
        put(
            &root.join("mr/package/linux/index"),
            format!(
                r#"{{"_comment": "foo", "package": "linux", "result": [{}]}}"#,
                versions.join(", ")
            ),
        );
        let mut packages = Vec::new();
        for ((source, version), binaries) in &self.sources {
            let list: Vec<String> = binaries
                .iter()
                .map(|b| format!(r#"{{"name": "{}", "version": "{}"}}"#, b.name, b.version))
                .collect();
            put(
                &root.join(format!("mr/package/{source}/{version}/binpackages")),
                format!(
                    r#"{{"_comment": "foo", "package": "{source}", "version": "{version}", "result": [{}]}}"#,
                    list.join(", ")
                ),
            );
            for binary in binaries {
                packages.push(Self::write_binary(root, binary));
            }
        }
        packages
    }

    fn write_binary(root: &Path, binary: &Binary) -> PathBuf {
        let Binary { name, version, data } = binary;
        let sha1 = sha1(data);
        let file = root.join("file").join(&sha1);
        put(&file, data);
        let other = "ffffffffffffffffffffffffffffffffffffffff";
        let info = |arch: &str, size: usize| {
            format!(
                r#"[{{"name": "{name}_{version}_{arch}.deb", "archive_name": "debian", "path":
                "/pool/main/l/linux", "first_seen": "20210531T150000Z", "size": {size}}}]"#
            )
        };
        put(
            &root.join(format!("mr/binary/{name}/{version}/binfiles?fileinfo=1")),
            format!(
                r#"{{"binary": "{name}", "binary_version": "{version}", "result":
                [{{"hash": "{other}", "architecture": "arm64"}}, {{"hash": "{sha1}", "architecture": "amd64"}}],
                "fileinfo": {{"{other}": {}, "{sha1}": {}}}}}"#,
                info("arm64", 1),
                info("amd64", data.len())
            ),
        );
        file
    }
}

fn put(path: &Path, data: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, data).unwrap();
}

fn sha1(data: &[u8]) -> String {
    Sha1::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}
