//! The kernel's source, for the self-tests in it: Debian's `linux-source` packages, looked up and verified as
//! kernels are, or a tree or an archive of the user's own.
//!
//! ```text
//! CACHE/source/v1/<SHA-256 of the package or archive>/   the parts that are kept of it
//! ```

use std::fs;
use std::path::{Path, PathBuf};

use kbisect_core::version::PackageVersion;

use crate::archive::fetch::fetch_package;
use crate::archive::index::{Loader, SuiteError};
use crate::archive::packages::{IndexEntry, SOURCE_PREFIX};
use crate::files::{at, free_space, tree_size};
use crate::hash;
use crate::http::HttpError;
use crate::import::selftests;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::source_tree_error::SourceTreeError;
use crate::store::Lock;

/// Largest package that is fetched: it has 150 MB.
const MAX_PACKAGE: u64 = 1 << 30;
/// Free space that is needed beside the package, in bytes.
const ROOM: u64 = 128 << 20;
/// Below a package's folder: it was unpacked to its end.
const WHOLE: &str = "whole";

/// A kernel's source, as far as its self-tests need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTree {
    /// Folder with `tools/testing/selftests` in it.
    pub folder: PathBuf,
    /// What it is: package and version, or the path that was named.
    pub name: String,
}

/// Which source is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedSource {
    /// The newest package of a release's suites, such as `bookworm`.
    OfRelease(String),
    /// A package by its name, `linux-source-6.12`, and its version where one was named. The release's suites
    /// are looked into first, all others where they have none.
    Package {
        /// Name.
        name: String,
        /// Version.
        version: Option<String>,
        /// Release.
        release: String,
    },
    /// A tree, or an archive of one.
    Path(PathBuf),
}

impl WantedSource {
    /// Reads what was typed: a path has a slash or is there, a package's name may come without its beginning,
    /// and with `=VERSION`.
    pub fn parse(text: &str, release: &str) -> Self {
        let path = Path::new(text);
        let (name, version) = match text.split_once('=') {
            Some((name, version)) => (name, Some(version.to_owned())),
            None => (text, None),
        };
        let bare = name.strip_prefix(SOURCE_PREFIX).unwrap_or(name);
        let is_version = bare.starts_with(|c: char| c.is_ascii_digit())
            && bare.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if text.contains('/') || !is_version || (path.exists() && name == bare) {
            return Self::Path(path.to_owned());
        }
        let name = format!("{SOURCE_PREFIX}{bare}");
        Self::Package { name, version, release: release.to_owned() }
    }
}

/// Finds a kernel's source: in the cache, else in the archive, with signature and checksum verified as for
/// kernels.
///
/// # Errors
/// That there is none, or that it cannot be had or read.
pub fn source_tree(
    wanted: &WantedSource,
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<SourceTree, SourceTreeError> {
    match wanted {
        WantedSource::Path(path) => of_path(path, settings, progress),
        WantedSource::OfRelease(release) => {
            let title = format!("{SOURCE_PREFIX}* of {release}");
            let (own, _) = suites(settings, release);
            of_archive(&title, &[own], &|_| true, settings, progress)
        }
        WantedSource::Package { name, version, release } => {
            let title = match version {
                Some(version) => format!("{name} {version}"),
                None => name.clone(),
            };
            let fits = |entry: &IndexEntry| {
                entry.name == *name
                    && version.as_ref().is_none_or(|wanted| entry.version == *wanted)
            };
            let (own, others) = suites(settings, release);
            of_archive(&title, &[own, others], &fits, settings, progress)
        }
    }
}

/// The suites of a release, and all others.
fn suites(settings: &Settings, release: &str) -> (Vec<String>, Vec<String>) {
    let is_own = |suite: &String| suite == release || suite.starts_with(&format!("{release}-"));
    settings.suites.names().into_iter().partition(is_own)
}

/// Looks into groups of suites, one after the other, until one has what fits.
fn of_archive(
    title: &str,
    suites: &[Vec<String>],
    fits: &dyn Fn(&IndexEntry) -> bool,
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<SourceTree, SourceTreeError> {
    let root = settings.cache_dir.join("source/v1");
    let names = root.join("packages.json");
    if settings.offline {
        return cached(&root, &names, fits)
            .ok_or_else(|| SourceTreeError::Offline(title.to_owned()));
    }
    let mirrors = settings.mirrors.as_ref().ok_or(SourceTreeError::NoMirror)?;
    let loader = Loader::new(settings, &[&mirrors.main, &mirrors.security], progress)?;
    let mut failed = None;
    let mut all: Vec<(PackageVersion, String, IndexEntry)> = Vec::new();
    for (group, suite) in
        suites.iter().enumerate().flat_map(|(n, all)| all.iter().map(move |s| (n, s)))
    {
        if group > 0 && all.iter().any(|(_, _, entry)| fits(entry)) {
            break;
        }
        let base = settings.base_url(mirrors, suite);
        match loader.source_packages(base, suite) {
            Ok(entries) => all.extend(entries.into_iter().filter_map(|entry| {
                Some((PackageVersion::parse(&entry.version).ok()?, base.to_owned(), entry))
            })),
            // Those that are not on the mirror are told of where kernels are looked for.
            Err(SuiteError::Absent { .. } | SuiteError::Expired { .. }) => {}
            Err(SuiteError::Http(HttpError::NotFound { .. })) => {}
            Err(error) => failed = Some(error),
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let Some((_, base, entry)) = all.iter().rev().find(|(_, _, entry)| fits(entry)) else {
        let mut found: Vec<String> = all.into_iter().map(|(_, _, entry)| entry.name).collect();
        found.sort();
        found.dedup();
        return Err(match failed {
            Some(error) if found.is_empty() => error.into(),
            _ => SourceTreeError::Absent { wanted: title.to_owned(), found },
        });
    };
    let folder = fetched(&root, base, entry, settings, progress)?;
    remember(&names, entry)?;
    Ok(SourceTree { folder, name: format!("{} {}", entry.name, entry.version) })
}

/// Unpacks a package, and leaves nothing of it but what is kept.
fn fetched(
    root: &Path,
    base_url: &str,
    entry: &IndexEntry,
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<PathBuf, SourceTreeError> {
    let title = format!("{} {}", entry.name, entry.version);
    unpacked(root, &entry.sha256, &title, progress, &|target| {
        if entry.size > MAX_PACKAGE {
            return Err(SourceTreeError::TooLarge(title.clone()));
        }
        let needed = entry.size.saturating_add(ROOM);
        if let Some(free) = free_space(root).filter(|free| *free < needed) {
            return Err(SourceTreeError::Room { dir: root.to_owned(), free, needed });
        }
        let temp = fetch_package::<SourceTreeError>(root, base_url, entry, settings, progress)?;
        let _item = progress.begin(&format!("unpacking {title}"), None);
        Ok(selftests::of_package(temp.path(), target)?)
    })
}

/// The folder of what is kept of a source, which `unpack` fills when it is not there; it says whether there were
/// self-tests.
fn unpacked(
    root: &Path,
    sha256: &str,
    title: &str,
    progress: &dyn Progress,
    unpack: &dyn Fn(&Path) -> Result<bool, SourceTreeError>,
) -> Result<PathBuf, SourceTreeError> {
    fs::create_dir_all(root).map_err(at(root))?;
    let folder = root.join(sha256);
    let lock = root.join(format!("{sha256}.lock"));
    let what = format!("waiting for {title}");
    let _lock = Lock::wait(&lock, progress, &what).map_err(at(&lock))?;
    if folder.join(WHOLE).is_file() {
        return Ok(folder);
    }
    // What an interruption left.
    let _ = fs::remove_dir_all(&folder);
    let temp = tempfile::Builder::new().prefix(".tree-").tempdir_in(root).map_err(at(root))?;
    if !unpack(temp.path())? || !temp.path().join(selftests::FOLDER).join("net").is_dir() {
        return Err(SourceTreeError::NoTests(title.to_owned()));
    }
    fs::write(temp.path().join(WHOLE), title).map_err(at(temp.path()))?;
    let temp = temp.keep();
    fs::rename(&temp, &folder).map_err(at(&folder))?;
    Ok(folder)
}

/// Which packages are in the cache: so that none is asked for with `--offline`.
fn remember(names: &Path, entry: &IndexEntry) -> Result<(), SourceTreeError> {
    let mut known = known(names);
    known.retain(|other| other.sha256 != entry.sha256);
    known.push(entry.clone());
    let json = serde_json::to_vec(&known).expect("plain texts and numbers");
    Ok(crate::files::write_atomically(names, &json).map_err(at(names))?)
}

fn known(names: &Path) -> Vec<IndexEntry> {
    fs::read(names).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn cached(root: &Path, names: &Path, fits: &dyn Fn(&IndexEntry) -> bool) -> Option<SourceTree> {
    let fitting =
        known(names).into_iter().filter(|entry| fits(entry) && hash::is_sha256(&entry.sha256));
    let there = fitting.filter(|entry| root.join(&entry.sha256).join(WHOLE).is_file());
    let newest = there.max_by_key(|entry| PackageVersion::parse(&entry.version).ok())?;
    let name = format!("{} {}", newest.name, newest.version);
    Some(SourceTree { folder: root.join(newest.sha256), name })
}

/// A tree of the user's, as it lies, or an archive of one.
fn of_path(
    path: &Path,
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<SourceTree, SourceTreeError> {
    let name = path.display().to_string();
    let meta = fs::metadata(path).map_err(at(path))?;
    if meta.is_dir() {
        return match path.join(selftests::FOLDER).join("net").is_dir() {
            true => Ok(SourceTree { folder: path.to_owned(), name }),
            false => Err(SourceTreeError::NoTests(format!("`{name}`"))),
        };
    }
    let format = match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("gz" | "tgz") => "gz",
        Some("zst") => "zst",
        _ => return Err(SourceTreeError::NoTree(path.to_owned())),
    };
    let sha256 = hash::of_file(path).map_err(at(path))?;
    let root = settings.cache_dir.join("source/v1");
    let folder = unpacked(&root, &sha256, &name, progress, &|target| {
        let _item = progress.begin(&format!("unpacking {name}"), None);
        let mut file = fs::File::open(path).map_err(at(path))?;
        Ok(selftests::of_archive(&mut file, format, &name, target)?)
    })?;
    Ok(SourceTree { folder, name })
}

/// Removes unpacked sources, folders of git trees, and what was built in them. Gives bytes; a dry run only counts.
///
/// # Errors
/// A folder that cannot be removed.
pub fn prune_sources(cache: &Path, dry_run: bool) -> Result<u64, SourceTreeError> {
    let mut freed = 0;
    for name in ["source", "selftests", "commits", "toolchains"] {
        let folder = cache.join(name);
        freed += tree_size(&folder);
        if !dry_run && folder.is_dir() {
            fs::remove_dir_all(&folder).map_err(at(&folder))?;
        }
    }
    Ok(freed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_and_what_was_built_of_them_go_and_nothing_else() {
        let cache = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = cache.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "12345").unwrap();
            path
        };
        let (source, built) = (file("source/v1/x/a.c"), file("commits/v1/x/a"));
        let kernel = file("kernels/v1/k");
        assert_eq!(prune_sources(cache.path(), true).unwrap(), 10);
        assert!(source.exists() && built.exists());
        assert_eq!(prune_sources(cache.path(), false).unwrap(), 10);
        assert!(!source.exists() && !built.exists() && kernel.exists());
        assert_eq!(prune_sources(cache.path(), false).unwrap(), 0);
    }

    #[test]
    fn what_was_typed_is_a_package_or_a_path() {
        let package = |name: &str, version: Option<&str>| WantedSource::Package {
            name: name.to_owned(),
            version: version.map(str::to_owned),
            release: "bookworm".to_owned(),
        };
        for (text, expected) in [
            ("linux-source-6.12", package("linux-source-6.12", None)),
            ("6.1", package("linux-source-6.1", None)),
            ("linux-source-6.1=6.1.170-3", package("linux-source-6.1", Some("6.1.170-3"))),
            ("./linux", WantedSource::Path("./linux".into())),
            ("linux", WantedSource::Path("linux".into())),
            ("6.1/../x", WantedSource::Path("6.1/../x".into())),
        ] {
            assert_eq!(WantedSource::parse(text, "bookworm"), expected, "{text}");
        }
    }
}
