//! The Debian snapshot service, by its machine-readable interface (`API` in its source code).
//!
//! ```text
//! /mr/package/linux/                                      versions of the source package
//! /mr/package/SOURCE/VERSION/binpackages                  packages that were built of one
//! /mr/binary/PACKAGE/VERSION/binfiles?fileinfo=1          their files: SHA-1, size
//! /file/SHA1                                              a file
//! ```
//!
//! What is trusted: the service, by its certificate. SHA-1 finds damage on the way, but it is the
//! service that names it; the indexes of that time and their signatures are not looked at.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use kbisect_core::kernel::Kernel;
use kbisect_core::version::PackageVersion;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::about::{About, Address, DEBIAN, Source};
use super::asking::Asking;
use super::cached::{self, client, is_file_name, listed};
use super::fetch_error::LookupError;
use super::list_error::CatalogError;
use super::source::{KernelSource, Listing, Trust};
use crate::archive::builds;
use crate::archive::index::SuiteIndex;
use crate::archive::packages::{IndexEntry, is_kernel_package};
use crate::candidate::{Candidate, PackageRef};
use crate::http::{Client, HttpError};

/// A cloud kernel of 2021 has 20 MB, one of 2026 30 MB.
const ABOUT_CLOUD: u64 = 25 << 20;
/// Those for real machines have 50 to 100 MB.
const ABOUT: u64 = 75 << 20;
const ANSWER_LIMIT: u64 = 16 << 20;
/// Between two questions. The service is slow, shared, and sends clients away that hurry.
const PAUSE: Duration = Duration::from_millis(300);

impl Source {
    /// The Debian snapshot service: every version that Debian ever released.
    pub const SNAPSHOT: Self = Self(&About {
        name: "snapshot",
        title: "the Debian snapshot service",
        help: "The Debian snapshot service, which has every version that was released; and the archive",
        offers: Some("the snapshot service has every version that Debian released"),
        vendor: Some(DEBIAN),
        address: Some(Address { option: "snapshot-url", url: "https://snapshot.debian.org" }),
        keyrings_key: None,
        // What the archive has it has under a signature.
        brings: Some(Source::ARCHIVE.0.name),
        is_service: true,
    });
}

#[derive(Deserialize)]
struct Answer<T> {
    result: Vec<T>,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct Binary {
    name: String,
    version: String,
}

#[derive(Deserialize)]
struct Files {
    result: Vec<File>,
    #[serde(default)]
    fileinfo: BTreeMap<String, Vec<FileInfo>>,
}

#[derive(Deserialize)]
struct File {
    hash: String,
    architecture: String,
}

#[derive(Deserialize)]
struct FileInfo {
    size: u64,
}

/// Whether bytes are an answer to any of the questions.
pub fn is_answer(bytes: &[u8]) -> bool {
    serde_json::from_slice::<Answer<Version>>(bytes).is_ok()
        || serde_json::from_slice::<Answer<Binary>>(bytes).is_ok()
        || serde_json::from_slice::<Files>(bytes).is_ok()
}

pub struct Snapshot;

impl KernelSource for Snapshot {
    fn about(&self) -> Source {
        Source::SNAPSHOT
    }

    fn trust(&self, _: &[PathBuf]) -> Trust {
        Trust::Connection
    }

    /// The versions of the source package `linux`.
    fn list(&self, asking: &Asking<'_>) -> Result<Listing, CatalogError> {
        let settings = asking.settings;
        let parse = |bytes: &[u8]| {
            serde_json::from_slice::<Answer<Version>>(bytes).map_err(|error| error.to_string())
        };
        let found = cached::load(self.about(), "mr/package/linux/", settings, &parse)?;
        let about = if settings.flavour.starts_with("cloud") { ABOUT_CLOUD } else { ABOUT };
        let kernel = |version: Version| {
            let version = PackageVersion::parse(&version.version).ok()?;
            // A version of the source is part of addresses.
            let usable = version.revision().is_some() && is_file_name(version.as_str());
            usable.then(|| listed(self.about(), version, &settings.flavour, None, about))
        };
        let kernels = found.content.result.into_iter().filter_map(kernel).collect();
        Ok(Listing { kernels, notes: found.note.into_iter().collect() })
    }

    /// The packages of one version: the signed ones, which most people run, else those that they were
    /// made from.
    fn look_up(
        &self,
        candidate: &Candidate,
        asking: &Asking<'_>,
    ) -> Result<Vec<PackageRef>, LookupError> {
        let (kernel, settings) = (&candidate.kernel, asking.settings);
        let version = &kernel.package_version;
        let title = self.about().title;
        let _item = asking.progress.begin(&format!("looking up {version} at {title}"), None);
        let url = settings.service(self.about()).url.as_str();
        let service = Service { client: client(url, settings), url, arch: &settings.arch };
        // The source package that is built of the signed files counts its revisions with a plus.
        let signed =
            version.as_str().rsplit_once('-').map(|(upstream, rest)| format!("{upstream}+{rest}"));
        let sources = [
            signed.map(|signed| (format!("linux-signed-{}", settings.arch), signed)),
            Some(("linux".to_owned(), version.to_string())),
        ];
        let mut entries = Vec::new();
        let mut lacks = None;
        for (source, source_version) in sources.into_iter().flatten() {
            entries.extend(service.packages(&source, &source_version, kernel)?);
            let index = SuiteIndex {
                suite: self.about().name.to_owned(),
                base_url: url.to_owned(),
                entries: entries.clone(),
                stale: None,
            };
            let builds = builds::find(&[index], &kernel.flavour);
            match builds.into_iter().find(|build| build.version == *version) {
                Some(build) if build.untestable.is_none() => {
                    return Ok(build.packages.into_iter().map(with_sha1).collect());
                }
                Some(build) => lacks = build.untestable,
                None => {}
            }
        }
        let reason = lacks.unwrap_or_else(|| {
            format!("{title} has no package linux-image-*-{} of {version}", kernel.flavour)
        });
        Err(LookupError::NotThere(reason))
    }
}

/// Files are addressed by their SHA-1.
fn with_sha1(mut package: PackageRef) -> PackageRef {
    package.sha1 = package.url.rsplit('/').next().map(str::to_owned);
    package
}

struct Service<'a> {
    client: Client,
    url: &'a str,
    arch: &'a str,
}

impl Service<'_> {
    /// The packages of a source that are part of the kernel. A source that is not there has none.
    fn packages(
        &self,
        source: &str,
        source_version: &str,
        kernel: &Kernel,
    ) -> Result<Vec<IndexEntry>, LookupError> {
        let path = format!("mr/package/{source}/{source_version}/binpackages");
        let Some(answer) = self.ask::<Answer<Binary>>(&path)? else { return Ok(Vec::new()) };
        let ours = |binary: &Binary| {
            is_kernel_package(&binary.name)
                && is_file_name(&binary.name)
                && builds::is_part_of(&binary.name, &kernel.flavour)
                && binary.version == kernel.package_version.as_str()
        };
        let mut entries = Vec::new();
        for binary in answer.result.into_iter().filter(ours) {
            let path = format!("mr/binary/{}/{}/binfiles?fileinfo=1", binary.name, binary.version);
            let Some(files) = self.ask::<Files>(&path)? else { continue };
            let file = files.result.iter().find(|file| file.architecture == self.arch);
            let Some(file) = file.filter(|file| is_sha1(&file.hash)) else { continue };
            let info = files.fileinfo.get(&file.hash).and_then(|infos| infos.first());
            let Some(info) = info else {
                return Err(self.malformed(&path, format!("nothing is said of {}", file.hash)));
            };
            entries.push(IndexEntry {
                name: binary.name,
                version: binary.version,
                filename: format!("file/{}", file.hash),
                size: info.size,
                // Known once it is here.
                sha256: String::new(),
            });
        }
        Ok(entries)
    }

    /// Asks one question; what does not exist is `None`.
    fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, LookupError> {
        std::thread::sleep(PAUSE);
        let url = format!("{}/{path}", self.url);
        match self.client.get(&url, ANSWER_LIMIT) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| self.malformed(path, error.to_string())),
            Err(HttpError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn malformed(&self, path: &str, reason: String) -> LookupError {
        let url = format!("{}/{path}", self.url);
        LookupError::Malformed { url, from: Source::SNAPSHOT, reason }
    }
}

fn is_sha1(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
