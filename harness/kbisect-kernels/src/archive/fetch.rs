//! A package as a file for a while: fetched, and verified against the signed index.

use std::path::Path;

use tempfile::NamedTempFile;

use super::packages::IndexEntry;
use crate::files::{FileError, at};
use crate::http::{Checksum, Client, HttpError, Size, Wanted};
use crate::progress::Progress;
use crate::settings::Settings;

/// Fetches a package of the archive into a temporary file in `dir`, which is there.
///
/// # Errors
/// A download that fails or does not have the index's size and checksum; a file that cannot be made.
pub fn fetch_package<E: From<FileError> + From<HttpError>>(
    dir: &Path,
    base_url: &str,
    entry: &IndexEntry,
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<NamedTempFile, E> {
    let temp = tempfile::Builder::new().prefix(".package-").tempfile_in(dir).map_err(at(dir))?;
    let url = format!("{base_url}/{}", entry.filename);
    let title = format!("{} {}", entry.name, entry.version);
    let mut item = progress.begin(&title, Some(entry.size));
    let checksum = Checksum::Sha256(&entry.sha256);
    let wanted = Wanted { url: &url, size: Size::Exactly(entry.size), checksum };
    let client = Client::new(&[&url], &settings.proxies);
    client.download(&wanted, temp.path(), item.as_mut(), progress)?;
    Ok(temp)
}
