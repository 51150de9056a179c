//! The kernel's changelog, out of the package that holds all of it: Debian's `linux-libc-dev`.
//!
//! A changelog tells all that went before, so any package will do that is as new as the kernel in
//! question. The next newer one of its series is taken, whatever suite has it.
//!
//! ```text
//! CACHE/changelogs/v1/<SHA-256 of the package>.gz, .json
//! ```

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use kbisect_core::changes::Changelog;
use kbisect_core::kernel::Kernel;
use kbisect_core::version::PackageVersion;
use serde::{Deserialize, Serialize};

use crate::archive::fetch::fetch_package;
use crate::archive::index::{Loader, SuiteError};
use crate::archive::packages::{CHANGELOG_PACKAGE, IndexEntry};
use crate::files::{FileError, at};
use crate::http::HttpError;
use crate::import::{ImportError, deb};
use crate::progress::Progress;
use crate::settings::Settings;

/// Where the package has its changelog.
const PLACE: &str = "usr/share/doc/linux-libc-dev/changelog.Debian.gz";
/// Largest package that is fetched: it has 3 MB.
const MAX_PACKAGE: u64 = 64 << 20;
/// Largest compressed changelog; 1.3 MB now.
const MAX_PACKED: u64 = 16 << 20;
/// Largest changelog; 4 MB now.
const MAX_TEXT: u64 = 64 << 20;
/// Changelogs that are kept.
const KEPT: usize = 12;
/// Packages that are tried: one may lack the version, since branches have histories of their own.
const TRIED: usize = 3;

/// A changelog and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageChangelog {
    /// The changelog.
    pub log: Changelog,
    /// Package name.
    pub package: String,
    /// Package version.
    pub version: String,
    /// SHA-256 of the package, from the signed index.
    pub sha256: String,
}

/// Why there is no changelog. Displayed after "not available, because".
#[derive(Debug, thiserror::Error)]
pub enum ChangelogError {
    /// It would have to be downloaded.
    #[error("the changelog is not in the cache, and --offline was given")]
    Offline,
    /// No mirror is known.
    #[error("no Debian mirror is known")]
    NoMirror,
    /// An index cannot be used.
    #[error("the archive's index cannot be used")]
    Suite(#[from] SuiteError),
    /// The archive has nothing that is new enough.
    #[error("the archive has no {CHANGELOG_PACKAGE} that tells of {0}")]
    Absent(String),
    /// The download failed.
    #[error("the package with the changelog cannot be fetched")]
    Http(#[from] HttpError),
    /// The package is not what it should be.
    #[error("the package with the changelog cannot be read")]
    Package(#[source] ImportError),
    /// It holds no changelog, or none that can be read.
    #[error("{0} holds no changelog that can be read")]
    NoChangelog(String),
    /// The cache cannot be used.
    #[error(transparent)]
    Io(#[from] FileError),
}

/// Finds the changelog that tells how a kernel came to be: in the cache, else in the archive, with
/// signature and checksum verified as for kernels.
pub fn changelog(
    kernel: &Kernel,
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<PackageChangelog, ChangelogError> {
    let needed = &kernel.package_version;
    let dir = settings.cache_dir.join("changelogs/v1");
    if let Some(found) = cached(&dir, needed) {
        return Ok(found);
    }
    if settings.offline {
        return Err(ChangelogError::Offline);
    }
    let mirrors = settings.mirrors.as_ref().ok_or(ChangelogError::NoMirror)?;
    let loader = Loader::new(settings, &[&mirrors.main, &mirrors.security], progress)?;
    let mut tried = BTreeSet::new();
    let mut failed = None;
    for suite in suites(kernel, settings, &loader) {
        let base = settings.base_url(mirrors, &suite);
        let entries = match loader.changelog_packages(base, &suite) {
            Ok(entries) => entries,
            Err(error) => {
                failed = Some(error.into());
                continue;
            }
        };
        let Some(entry) = nearest(entries, needed) else { continue };
        if tried.len() == TRIED || !tried.insert(entry.sha256.clone()) {
            continue;
        }
        let found = fetch(&dir, base, &entry, settings, progress)?;
        if tells_of(&found.log, needed) {
            return Ok(found);
        }
    }
    Err(failed.unwrap_or_else(|| ChangelogError::Absent(needed.to_string())))
}

/// Reads a changelog of the user's: plain text, or compressed with gzip.
///
/// # Errors
/// When the file cannot be read, or has no entries.
pub fn changelog_file(path: &Path) -> Result<PackageChangelog, ChangelogError> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(at(path))?;
    file.take(MAX_TEXT).read_to_end(&mut bytes).map_err(at(path))?;
    let log = if bytes.starts_with(&[0x1f, 0x8b]) { unpack(&bytes) } else { read(&bytes) };
    let name = path.display().to_string();
    let log = log.ok_or_else(|| ChangelogError::NoChangelog(name.clone()))?;
    let version = log.entries.first().map(|entry| entry.version.to_string()).unwrap_or_default();
    Ok(PackageChangelog { log, package: name, version, sha256: String::new() })
}

/// Suites whose kernels are as new as this one, those of its own series and suite first.
fn suites(kernel: &Kernel, settings: &Settings, loader: &Loader<'_>) -> Vec<String> {
    let Some(mirrors) = settings.mirrors.as_ref() else { return Vec::new() };
    let needed = kernel.package_version.source();
    let mut found: Vec<(bool, bool, String)> = Vec::new();
    for suite in settings.suites.names() {
        // What cannot be loaded was told when the kernels were looked for.
        let Ok(index) = loader.load(settings.base_url(mirrors, &suite), &suite) else { continue };
        let newer = || {
            let versions =
                index.entries.iter().filter_map(|e| PackageVersion::parse(&e.version).ok());
            versions.map(|version| version.source()).filter(|version| *version >= needed)
        };
        if newer().next().is_some() {
            let series = newer().any(|version| version.series() == needed.series());
            let own = kernel.source.strip_prefix("debian:") == Some(suite.as_str());
            found.push((series, own, suite));
        }
    }
    found.sort_by_key(|(series, own, _)| Reverse((*series, *own)));
    found.into_iter().map(|(_, _, suite)| suite).collect()
}

/// The oldest package that can tell of a version; of its own series if there is one.
fn nearest(entries: Vec<IndexEntry>, needed: &PackageVersion) -> Option<IndexEntry> {
    let source = needed.source();
    let mut fitting: Vec<(bool, PackageVersion, IndexEntry)> = entries
        .into_iter()
        .filter_map(|entry| {
            let version = PackageVersion::parse(&entry.version).ok()?.source();
            let other = version.series() != source.series();
            (version >= source).then_some((other, version, entry))
        })
        .collect();
    fitting.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    fitting.into_iter().next().map(|(_, _, entry)| entry)
}

/// Whether a changelog has the version, or (for what is no package) its upstream release.
fn tells_of(log: &Changelog, version: &PackageVersion) -> bool {
    let release = Some(version.upstream());
    log.has(version)
        || log
            .entries
            .iter()
            .flat_map(|entry| &entry.changes)
            .any(|c| c.release.as_deref() == release)
}

/// What is known of a changelog in the cache.
#[derive(Debug, Serialize, Deserialize)]
struct About {
    package: String,
    version: String,
    sha256: String,
}

fn cached(dir: &Path, needed: &PackageVersion) -> Option<PackageChangelog> {
    let mut fitting: Vec<(PackageVersion, About)> = Vec::new();
    for entry in fs::read_dir(dir).ok()?.flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let about: Option<About> =
            fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let Some(about) = about else { continue };
        let Ok(version) = PackageVersion::parse(&about.version) else { continue };
        let version = version.source();
        let fits = version >= needed.source() && version.series() == needed.series();
        let named = path.file_stem().is_some_and(|stem| *stem == *about.sha256);
        if fits && named {
            fitting.push((version, about));
        }
    }
    fitting.sort_by(|a, b| a.0.cmp(&b.0));
    fitting.into_iter().find_map(|(_, about)| {
        let path = dir.join(format!("{}.gz", about.sha256));
        let log = unpack(&fs::read(&path).ok()?)?;
        // Its time is that of the last use.
        let _ = fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        let About { package, version, sha256 } = about;
        tells_of(&log, needed).then_some(PackageChangelog { log, package, version, sha256 })
    })
}

fn fetch(
    dir: &Path,
    base_url: &str,
    entry: &IndexEntry,
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<PackageChangelog, ChangelogError> {
    let title = format!("{} {}", entry.name, entry.version);
    let unreadable = || ChangelogError::NoChangelog(title.clone());
    if entry.size > MAX_PACKAGE {
        return Err(unreadable());
    }
    fs::create_dir_all(dir).map_err(at(dir))?;
    let temp = fetch_package::<ChangelogError>(dir, base_url, entry, settings, progress)?;
    let packed = deb::read_file(temp.path(), Path::new(PLACE), MAX_PACKED)
        .map_err(ChangelogError::Package)?
        .ok_or_else(unreadable)?;
    let log = unpack(&packed).ok_or_else(unreadable)?;
    let about = About {
        package: entry.name.clone(),
        version: entry.version.clone(),
        sha256: entry.sha256.clone(),
    };
    let json = serde_json::to_vec(&about).expect("plain texts");
    // The description last: what it describes is whole.
    for (suffix, bytes) in [("gz", &packed), ("json", &json)] {
        let path = dir.join(format!("{}.{suffix}", entry.sha256));
        crate::files::write_atomically(&path, bytes).map_err(at(&path))?;
    }
    make_room(dir);
    let About { package, version, sha256 } = about;
    Ok(PackageChangelog { log, package, version, sha256 })
}

/// Reads a compressed changelog; `None` for what is none.
fn unpack(packed: &[u8]) -> Option<Changelog> {
    let mut text = Vec::new();
    flate2::read::MultiGzDecoder::new(packed).take(MAX_TEXT).read_to_end(&mut text).ok()?;
    read(&text)
}

fn read(text: &[u8]) -> Option<Changelog> {
    let log = Changelog::parse(&String::from_utf8_lossy(text));
    (!log.entries.is_empty()).then_some(log)
}

/// Removes the least recently used changelogs. What cannot be removed stays: there is room enough.
fn make_room(dir: &Path) {
    let mut all: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "gz") {
            let used = entry.metadata().and_then(|meta| meta.modified());
            all.push((used.unwrap_or(SystemTime::UNIX_EPOCH), path));
        }
    }
    all.sort_by(|a, b| b.cmp(a));
    for (_, path) in all.into_iter().skip(KEPT) {
        let _ = fs::remove_file(path.with_extension("json"));
        let _ = fs::remove_file(path);
    }
}
