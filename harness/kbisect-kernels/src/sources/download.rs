//! Packages by http and https, as most sources have them.

use std::fs;
use std::path::{Path, PathBuf};

use super::asking::Asking;
use super::fetch_error::FetchError;
use crate::candidate::{Candidate, PackageRef};
use crate::http::{Checksum, Client, Size, Wanted};
use crate::settings::Settings;
use crate::store::StoreError;

/// Where an index tells no sizes, no package is larger.
const LARGEST: u64 = 1 << 30;

/// A client for packages. Where the connection is all that vouches for them, no redirection leads away
/// from an encrypted one.
pub fn client(packages: &[PackageRef], settings: &Settings, encrypted: bool) -> Client {
    let urls: Vec<&str> = packages.iter().map(|package| package.url.as_str()).collect();
    let client = Client::new(&urls, &settings.proxies);
    match urls.first() {
        Some(url) if encrypted => client.staying_encrypted(url),
        _ => client,
    }
}

/// Downloads and verifies packages; gives their places, and themselves with what is known of them now.
pub fn all(
    candidate: &Candidate,
    packages: Vec<PackageRef>,
    folder: &Path,
    client: &Client,
    asking: &Asking<'_>,
) -> Result<Vec<(PathBuf, PackageRef)>, FetchError> {
    let mut done = Vec::new();
    for (n, mut package) in packages.into_iter().enumerate() {
        // Its real name is in the message of any error; on disk a number is safer.
        let target = folder.join(format!("{n}.deb"));
        let known = Some(package.size).filter(|size| *size > 0);
        let mut item = asking.progress.begin(&package.name, known);
        let wanted = Wanted {
            url: &package.url,
            size: known.map_or(Size::AtMost(LARGEST), Size::Exactly),
            checksum: match &package.sha1 {
                Some(sha1) if package.sha256.is_empty() => Checksum::Sha1(sha1),
                _ => Checksum::Sha256(&package.sha256),
            },
        };
        package.sha256 =
            client.download(&wanted, &target, item.as_mut(), asking.progress).map_err(|error| {
                FetchError::of_download(&candidate.kernel, asking.store.dir(), error)
            })?;
        package.size = fs::metadata(&target).map_err(StoreError::at(&target))?.len();
        done.push((target, package));
    }
    Ok(done)
}
