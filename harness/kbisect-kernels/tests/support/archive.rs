//! An archive on disk: pool, indexes, signatures.

use std::fs;
use std::path::{Path, PathBuf};

use kbisect_kernels::Options;
use sha2::{Digest, Sha256};

use super::deb;
use super::gpg::Key;
use super::server::Server;

/// How the index of a suite is signed.
pub enum Sign<'a> {
    Well,
    /// Not at all.
    Not,
    /// By a key that is not in the keyring.
    By(&'a Key),
    /// Well, and then a byte is changed.
    ThenChanged,
}

pub struct Archive {
    pub root: tempfile::TempDir,
    pub key: Key,
    pub server: Server,
}

pub struct Package {
    name: String,
    version: String,
    data: Vec<u8>,
}

pub struct Suite<'a> {
    pub name: &'a str,
    pub packages: Vec<Package>,
    pub valid_until: Option<&'a str>,
    pub sign: Sign<'a>,
}

/// A kernel package for the release `RELEASE-cloud-amd64`.
pub fn kernel(release: &str, version: &str) -> Package {
    let release = format!("{release}-cloud-amd64");
    let data = deb::image_package(&release, version);
    Package { name: format!("linux-image-{release}"), version: version.to_owned(), data }
}

pub fn package(name: &str, version: &str, data: Vec<u8>) -> Package {
    Package { name: name.to_owned(), version: version.to_owned(), data }
}

pub fn suite(name: &str, packages: Vec<Package>) -> Suite<'_> {
    Suite { name, packages, valid_until: None, sign: Sign::Well }
}

impl Archive {
    pub fn new(suites: Vec<Suite<'_>>) -> Self {
        let root = tempfile::tempdir().unwrap();
        let server = Server::start(root.path());
        let archive = Self { root, key: Key::new(), server };
        for suite in suites {
            archive.publish(suite);
        }
        archive
    }

    /// Options for this archive and these suites.
    pub fn options(&self, suites: &[&str]) -> Options {
        Options {
            mirror: Some(format!("{}/debian", self.server.url)),
            keyrings: vec![self.key.keyring()],
            suites: suites.iter().map(|name| (*name).to_owned()).collect(),
            ..Options::default()
        }
    }

    /// Writes a suite; again for a new version of it.
    pub fn publish(&self, suite: Suite<'_>) {
        let security = suite.name.ends_with("-security");
        let base = self.root.path().join(if security { "debian-security" } else { "debian" });
        let mut index = String::from("Package: bash\nVersion: 5\nFilename: x\nSize: 1\n\n");
        for Package { name, version, data } in &suite.packages {
            let filename = format!("pool/{name}_{version}_amd64.deb");
            write(&base.join(&filename), data);
            index += &format!(
                "Package: {name}\nVersion: {version}\nFilename: {filename}\nSize: {}\nSHA256: {}\n\n",
                data.len(),
                sha256(data)
            );
        }
        let index = deb::xz(index.as_bytes());
        let dists = base.join("dists").join(suite.name);
        let file = "main/binary-amd64/Packages.xz";
        write(&dists.join(file), &index);
        let hash = sha256(&index);
        write(&dists.join("main/binary-amd64/by-hash/SHA256").join(&hash), &index);
        let valid = suite.valid_until.map(|t| format!("Valid-Until: {t}\n")).unwrap_or_default();
        let release = format!(
            "Suite: {0}\nCodename: {0}\nAcquire-By-Hash: yes\n{valid}SHA256:\n {hash} {1} {file}\n",
            suite.name,
            index.len()
        );
        let signed = match suite.sign {
            Sign::Well => self.key.clearsign(&release),
            Sign::Not => release.into_bytes(),
            Sign::By(key) => key.clearsign(&release),
            Sign::ThenChanged => {
                let text = String::from_utf8(self.key.clearsign(&release)).unwrap();
                text.replace("Acquire-By-Hash: yes", "Acquire-By-Hash: no").into_bytes()
            }
        };
        write(&dists.join("InRelease"), &signed);
    }

    /// A file of the pool.
    pub fn pool(&self, name: &str, version: &str) -> PathBuf {
        self.root.path().join(format!("debian/pool/{name}_{version}_amd64.deb"))
    }
}

fn write(path: &Path, data: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, data).unwrap();
}

fn sha256(data: &[u8]) -> String {
    Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}
