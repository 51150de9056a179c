//! A folder of Debian packages behind a web server, with a `SHA256SUMS` beside them. Each package is a
//! whole kernel, as `make bindeb-pkg` makes one.
//!
//! What is trusted: the connection.

use std::path::PathBuf;

use kbisect_core::version::PackageVersion;

use super::about::{About, Address, Source};
use super::asking::Asking;
use super::cached::{self, is_file_name, listed};
use super::fetch_error::LookupError;
use super::list_error::CatalogError;
use super::source::{KernelSource, Listing, Trust};
use crate::candidate::{Candidate, PackageRef};
use crate::hash::is_sha256;

const SUMS: &str = "SHA256SUMS";
/// A package of a plain configuration has some 15 MB.
const ABOUT: u64 = 15 << 20;

impl Source {
    /// A folder of packages behind a web server.
    pub const LISTING: Self = Self(&About {
        name: "listing",
        title: "the folder of packages",
        help: "A folder of packages behind a web server",
        offers: Some("a folder of packages was not looked into"),
        vendor: None,
        address: Some(Address { option: "listing-url", url: "http://localhost:8000" }),
        keyrings_key: None,
        brings: None,
        is_service: true,
    });
}

pub struct Folder;

impl KernelSource for Folder {
    fn about(&self) -> Source {
        Source::LISTING
    }

    fn trust(&self, _: &[PathBuf]) -> Trust {
        Trust::Connection
    }

    fn list(&self, asking: &Asking<'_>) -> Result<Listing, CatalogError> {
        let parse = |bytes: &[u8]| Ok(packages(&String::from_utf8_lossy(bytes)));
        let found = cached::load(self.about(), SUMS, asking.settings, &parse)?;
        let kernels = found.content.into_iter().map(|found| {
            let flavour = &asking.settings.flavour;
            listed(self.about(), found.version, flavour, Some(found.release), ABOUT)
        });
        Ok(Listing { kernels: kernels.collect(), notes: found.note.into_iter().collect() })
    }

    fn look_up(
        &self,
        candidate: &Candidate,
        asking: &Asking<'_>,
    ) -> Result<Vec<PackageRef>, LookupError> {
        let url = &asking.settings.service(self.about()).url;
        let client = cached::client(url, asking.settings);
        let sums = client.get(&format!("{url}/{SUMS}"), 1 << 20)?;
        let wanted = &candidate.kernel.package_version;
        let found = packages(&String::from_utf8_lossy(&sums));
        let Some(found) = found.into_iter().find(|package| package.version == *wanted) else {
            let title = self.about().title;
            return Err(LookupError::NotThere(format!("{title} has no image of {wanted}")));
        };
        Ok(vec![PackageRef {
            name: format!("linux-image-{}", found.release),
            version: wanted.to_string(),
            sha256: found.sha256,
            sha1: None,
            // Known once it is here.
            size: 0,
            url: format!("{url}/{}", found.file),
            suite: self.about().name.to_owned(),
        }])
    }
}

struct Package {
    sha256: String,
    file: String,
    release: String,
    version: PackageVersion,
}

fn packages(sums: &str) -> Vec<Package> {
    let package = |line: &str| {
        let (sha256, file) = line.split_once("  ")?;
        let name = file.strip_prefix("linux-image-")?.strip_suffix("_amd64.deb")?;
        let (release, version) = name.split_once('_')?;
        let (sha256, release) = (sha256.to_ascii_lowercase(), release.to_owned());
        let version = PackageVersion::parse(version).ok()?;
        let usable = is_sha256(&sha256) && is_file_name(file);
        usable.then(|| Package { sha256, file: file.to_owned(), release, version })
    };
    sums.lines().filter_map(package).collect()
}
