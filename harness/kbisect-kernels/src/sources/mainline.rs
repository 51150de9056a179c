//! Ubuntu's mainline builds: a directory for each upstream release.
//!
//! ```text
//! /                                     directories vX.Y[.Z][-rcN]/
//! /vX.Y.Z/amd64/CHECKSUMS               SHA-1 and SHA-256 of all files beside it
//! /vX.Y.Z/amd64/CHECKSUMS.gpg           a detached signature
//! /vX.Y.Z/amd64/linux-image-unsigned-X.Y.Z-0X0Y0Z-generic_*_amd64.deb
//! /vX.Y.Z/amd64/linux-modules-X.Y.Z-0X0Y0Z-generic_*_amd64.deb
//! /vX.Y.Z/CHECKSUMS, ...                the same before 5.6, files of all architectures together
//! ```
//!
//! What is trusted: the checksums, by the key that the user names; without one, by the service's
//! certificate.

use std::path::PathBuf;
use std::sync::LazyLock;

use kbisect_core::kernel::Kernel;
use kbisect_core::version::PackageVersion;
use regex::Regex;

use super::about::{About, Address, Source};
use super::asking::Asking;
use super::cached::{self, client, is_file_name, listed};
use super::fetch_error::LookupError;
use super::list_error::CatalogError;
use super::source::{KernelSource, Listing, Trust};
use crate::archive::keyring::Keyring;
use crate::candidate::{Candidate, PackageRef};
use crate::hash;
use crate::http::HttpError;

impl Source {
    /// Ubuntu's builds of upstream releases.
    pub const UBUNTU_MAINLINE: Self = Self(&About {
        name: "ubuntu-mainline",
        title: "Ubuntu's mainline builds",
        help: "Ubuntu's builds of upstream releases",
        offers: Some("Ubuntu builds every upstream release"),
        vendor: Some("Ubuntu"),
        address: Some(Address {
            option: "ubuntu-mainline-url",
            url: "https://kernel.ubuntu.com/mainline",
        }),
        keyrings_key: Some("ubuntu-mainline-keyrings"),
        brings: None,
        is_service: true,
    });
}

/// The flavour that is taken: there is no smaller one.
const FLAVOUR: &str = "generic";
/// A kernel of 2021 has 85 MB, one of 2026 over 200 MB.
const ABOUT: u64 = 150 << 20;
const CHECKSUMS_LIMIT: u64 = 1 << 20;

pub struct Mainline;

impl KernelSource for Mainline {
    fn about(&self) -> Source {
        Source::UBUNTU_MAINLINE
    }

    fn trust(&self, keyrings: &[PathBuf]) -> Trust {
        if keyrings.is_empty() { Trust::Connection } else { Trust::SignedChecksums }
    }

    /// The releases that have a directory.
    fn list(&self, asking: &Asking<'_>) -> Result<Listing, CatalogError> {
        let parse = |bytes: &[u8]| {
            let kernels = kernels(&String::from_utf8_lossy(bytes));
            if kernels.is_empty() { Err("it names no release".to_owned()) } else { Ok(kernels) }
        };
        let found = cached::load(self.about(), "", asking.settings, &parse)?;
        Ok(Listing { kernels: found.content, notes: found.note.into_iter().collect() })
    }

    /// The packages of one release, by the checksums beside them.
    fn look_up(
        &self,
        candidate: &Candidate,
        asking: &Asking<'_>,
    ) -> Result<Vec<PackageRef>, LookupError> {
        let kernel = &candidate.kernel;
        let title = self.about().title;
        let name = Tag::of(kernel).directory();
        let _item = asking.progress.begin(&format!("looking up {name} at {title}"), None);
        let service = asking.settings.service(self.about());
        let client = client(&service.url, asking.settings);
        let arch = &asking.settings.arch;
        let directories = [format!("{name}/{arch}"), name.clone()];
        for directory in directories.map(|directory| format!("{}/{directory}", service.url)) {
            let url = format!("{directory}/CHECKSUMS");
            let bytes = match client.get(&url, CHECKSUMS_LIMIT) {
                Ok(bytes) => bytes,
                Err(HttpError::NotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            if self.trust(&service.keyrings) == Trust::SignedChecksums {
                let signature = client.get(&format!("{url}.gpg"), CHECKSUMS_LIMIT)?;
                let from = self.about();
                Keyring::prepare(&service.keyrings)
                    .and_then(|keyring| keyring.verify_detached(&bytes, &signature))
                    .map_err(|source| LookupError::Signature { url: url.clone(), from, source })?;
            }
            let files = Checksums::read(&String::from_utf8_lossy(&bytes));
            return files.packages(kernel, &directory, arch).ok_or_else(|| {
                LookupError::NotThere(format!(
                    "the build of {name} for {arch} has no {FLAVOUR} kernel with modules (builds fail \
                     at times)"
                ))
            });
        }
        Err(LookupError::NotThere(format!("{title} have no build of {name} for {arch}")))
    }
}

/// The folder of a kernel's builds.
pub fn directory(kernel: &Kernel) -> String {
    Tag::of(kernel).directory()
}

/// Addresses of a kernel's packages, by the checksums in a folder.
pub fn package_urls(checksums: &str, kernel: &Kernel, directory: &str, arch: &str) -> Vec<String> {
    let packages = Checksums::read(checksums).packages(kernel, directory, arch);
    packages.into_iter().flatten().map(|package| package.url).collect()
}

/// The kernels of a page of builds.
pub fn kernels(html: &str) -> Vec<Candidate> {
    static LINK: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"(?i)href="(?:\./)?v([0-9]+(?:\.[0-9]+){1,2})(?:-(rc[0-9]+))?/?""#)
            .expect("a fixed pattern")
    });
    let mut kernels: Vec<Candidate> = Vec::new();
    for link in LINK.captures_iter(html) {
        let tag = Tag { release: &link[1], candidate: link.get(2).map(|rc| rc.as_str()) };
        let Ok(version) = PackageVersion::parse(&tag.version()) else { continue };
        if kernels.iter().any(|other| other.kernel.package_version == version) {
            continue;
        }
        let release = Some(format!("{}-{}-{FLAVOUR}", tag.numbers(), tag.digits()));
        kernels.push(listed(Source::UBUNTU_MAINLINE, version, FLAVOUR, release, ABOUT));
    }
    kernels
}

/// An upstream release as the builds name it.
struct Tag<'a> {
    /// `6.17` or `6.17.3`.
    release: &'a str,
    /// `rc6`.
    candidate: Option<&'a str>,
}

impl<'a> Tag<'a> {
    fn of(kernel: &'a Kernel) -> Self {
        match kernel.version.split_once('~') {
            Some((release, candidate)) => Self { release, candidate: Some(candidate) },
            None => Self { release: &kernel.version, candidate: None },
        }
    }

    fn directory(&self) -> String {
        match self.candidate {
            Some(candidate) => format!("v{}-{candidate}", self.release),
            None => format!("v{}", self.release),
        }
    }

    /// Always three numbers: `6.17.0`.
    fn numbers(&self) -> String {
        match self.release.matches('.').count() {
            1 => format!("{}.0", self.release),
            _ => self.release.to_owned(),
        }
    }

    /// The same with two digits each: `061700rc6`.
    fn digits(&self) -> String {
        let digits = self.numbers().split('.').map(|n| format!("{n:0>2}")).collect::<String>();
        format!("{digits}{}", self.candidate.unwrap_or_default())
    }

    /// `6.17~rc6-061700rc6`: the package's version but for its time stamp.
    fn version(&self) -> String {
        let candidate = self.candidate.map(|rc| format!("~{rc}")).unwrap_or_default();
        format!("{}{candidate}-{}", self.release, self.digits())
    }
}

/// The lines of a CHECKSUMS file that have a SHA-256: path and checksum.
struct Checksums(Vec<(String, String)>);

impl Checksums {
    fn read(text: &str) -> Self {
        let line = |line: &str| {
            let (sha256, path) = line.split_once(char::is_whitespace)?;
            let path = path.trim_start().trim_start_matches(['*']).trim_start_matches("./");
            let hex = hash::is_sha256(sha256);
            hex.then(|| (path.trim_end().to_owned(), sha256.to_ascii_lowercase()))
        };
        Self(text.lines().filter_map(line).collect())
    }

    /// Image and modules of the kernel; `None` when one of them is missing.
    fn packages(&self, kernel: &Kernel, directory: &str, arch: &str) -> Option<Vec<PackageRef>> {
        let find = |prefix: &str| {
            self.0.iter().find_map(|(path, sha256)| {
                // In the older layout a file may be called with its directory.
                let below = path.strip_prefix(&format!("{arch}/")).unwrap_or(path);
                let (name, version) =
                    below.strip_suffix(&format!("_{arch}.deb"))?.split_once('_')?;
                let rest = name.strip_prefix(prefix)?;
                let ours = rest.starts_with(|c: char| c.is_ascii_digit())
                    && rest.ends_with(&format!("-{FLAVOUR}"))
                    && is_file_name(below);
                let beside = directory.ends_with(&format!("/{arch}"));
                ours.then(|| PackageRef {
                    name: name.to_owned(),
                    version: version.to_owned(),
                    sha256: sha256.clone(),
                    sha1: None,
                    // Known once it is here.
                    size: 0,
                    url: format!("{directory}/{}", if beside { below } else { path }),
                    suite: kernel.source.clone(),
                })
            })
        };
        // Up to 4.15 the image was signed, or not, under the plain name, and held the modules as well.
        match (
            find("linux-image-unsigned-").or_else(|| find("linux-image-")),
            find("linux-modules-"),
        ) {
            (Some(image), Some(modules)) => Some(vec![image, modules]),
            (Some(image), None) if image.name.starts_with("linux-image-4.") => Some(vec![image]),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_out_of_a_listing() {
        let html = r#"<a href="?C=N;O=D">Name</a> <a href="/">Parent</a> <a href="daily/">daily/</a>
            <a href="v4.14.120/">v</a><a href="v5.10/">v5.10/</a> <a href="v5.10.218/">x</a>
            <a href="v6.17-rc6/">x</a> <a href="v5.10/">again</a> <a href="v2.6.27.62-x/">x</a>
            <a href="v6.1.1-rc1-review/">x</a> <a href="drm-tip/">x</a> <a href="../v9.9/">x</a>"#;
        let found: Vec<(String, String, String)> = kernels(html)
            .into_iter()
            .map(|candidate| candidate.kernel)
            .map(|k| (k.version, k.package_version.to_string(), k.release.unwrap()))
            .collect();
        let row = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(
            found,
            [
                row("4.14.120", "4.14.120-0414120", "4.14.120-0414120-generic"),
                row("5.10", "5.10-051000", "5.10.0-051000-generic"),
                row("5.10.218", "5.10.218-0510218", "5.10.218-0510218-generic"),
                row("6.17~rc6", "6.17~rc6-061700rc6", "6.17.0-061700rc6-generic"),
            ]
        );
    }

    #[test]
    fn a_kernel_leads_back_to_its_directory() {
        let kernels = kernels(r#"<a href="v6.17-rc6/"></a><a href="v5.10/"></a>"#);
        let directories: Vec<String> =
            kernels.iter().map(|candidate| Tag::of(&candidate.kernel).directory()).collect();
        assert_eq!(directories, ["v6.17-rc6", "v5.10"]);
    }

    fn packages(text: &str, directory: &str) -> Option<Vec<String>> {
        let kernel = kernels(r#"<a href="v6.13/"></a>"#).remove(0).kernel;
        let found = Checksums::read(text).packages(&kernel, directory, "amd64")?;
        Some(found.into_iter().map(|package| package.url).collect())
    }

    #[test]
    fn checksums_of_both_layouts_are_read() {
        let sha256 = "Ab".repeat(32);
        let text = |prefix: &str| {
            format!(
                "# shasum -c CHECKSUMS\n#\n# Checksums-Sha1:\n{0}  {1}linux-image-unsigned-6.13.0-061300-generic_x_amd64.deb\n\
                 # Checksums-Sha256:\n{sha256}  {1}linux-headers-6.13.0-061300-generic_x_amd64.deb\n\
                 {sha256}  {1}linux-image-unsigned-6.13.0-061300-lowlatency_x_amd64.deb\n\
                 {sha256}  {1}linux-image-unsigned-6.13.0-061300-generic_x_arm64.deb\n\
                 {sha256}  {1}linux-modules-6.13.0-061300-generic_x_amd64.deb\n\
                 {sha256} *{1}linux-image-unsigned-6.13.0-061300-generic_x_amd64.deb\n",
                "0".repeat(40),
                prefix
            )
        };
        let image = "linux-image-unsigned-6.13.0-061300-generic_x_amd64.deb";
        let modules = "linux-modules-6.13.0-061300-generic_x_amd64.deb";
        let at = |directory: &str| [image, modules].map(|name| format!("{directory}/{name}"));
        let found = |prefix, directory| packages(&text(prefix), directory).unwrap();
        assert_eq!(found("", "http://m/v6.13/amd64"), at("http://m/v6.13/amd64"));
        assert_eq!(found("amd64/", "http://m/v6.13/amd64"), at("http://m/v6.13/amd64"));
        assert_eq!(found("./", "http://m/v6.13"), at("http://m/v6.13"));
        assert_eq!(found("amd64/", "http://m/v6.13"), at("http://m/v6.13/amd64"));
        assert_eq!(packages(&text("../"), "http://m/v6.13"), None);
        assert_eq!(packages(&text("/"), "http://m/v6.13"), None);
    }

    #[test]
    fn a_build_without_modules_is_no_kernel() {
        let sha256 = "0".repeat(64);
        let image = "linux-image-unsigned-6.13.0-061300-generic_x_amd64.deb";
        assert_eq!(packages(&format!("{sha256}  {image}\n"), "http://m/v6.13/amd64"), None);
        assert_eq!(packages("", "http://m"), None);
        let old = "linux-image-4.9.0-040900-generic_x_amd64.deb";
        assert_eq!(
            packages(&format!("{sha256}  {old}\n"), "http://m/v4.9").unwrap(),
            [format!("http://m/v4.9/{old}")]
        );
    }
}
