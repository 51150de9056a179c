//! Debug information of archive kernels: Debian's `linux-image-RELEASE-dbg` packages.
//!
//! They are large (280 MB, 1.7 GB unpacked), so one is fetched only when it is asked for, and only
//! what is asked for is unpacked: the kernel, and single modules.
//!
//! ```text
//! CACHE/debug/v1/<SHA-256 of the package>/
//!     package.deb, vmlinux, modules/NAME.ko
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use kbisect_core::kernel::KernelId;

use crate::archive::index::{Loader, SuiteError};
use crate::archive::packages::IndexEntry;
use crate::candidate::PackageRef;
use crate::files::free_space;
use crate::files::{FileError, at};
use crate::hash;
use crate::http::{Checksum, Client, HttpError, Size, Wanted};
use crate::import::{ImportError, deb};
use crate::progress::Progress;
use crate::settings::Settings;
use crate::store::{Lock, PruneRule, Store, StoreError};

const PACKAGE: &str = "package.deb";
const VMLINUX: &str = "vmlinux";
const LOCK: &str = "lock";
/// Free space that is needed beside the package, in bytes: a vmlinux, and some modules.
const ROOM: u64 = 2 << 30;

/// Files with debug information of one kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DebugInfo {
    /// The kernel with symbols and DWARF.
    pub vmlinux: PathBuf,
    /// Modules that were asked for and found, by name (`nf_tables`).
    pub modules: BTreeMap<String, PathBuf>,
    /// The package: name and version.
    pub package: String,
}

/// Why there is no debug information. Displayed after "no debug information, because".
#[derive(Debug, thiserror::Error)]
pub enum DebugInfoError {
    /// Not a kernel of an archive.
    #[error("kernel {0} does not come from an archive")]
    NotArchived(String),
    /// The archive has no such package, or no longer.
    #[error("suite {suite} has no package {package} of version {version}")]
    Absent {
        /// Suite.
        suite: String,
        /// Package.
        package: String,
        /// Version.
        version: String,
    },
    /// It would have to be downloaded.
    #[error("its package is not in the cache, and --offline was given")]
    Offline,
    /// The suite's index cannot be used.
    #[error("the archive's index cannot be used")]
    Suite(#[from] SuiteError),
    /// The download failed.
    #[error("its package cannot be fetched")]
    Http(#[from] HttpError),
    /// No room.
    #[error("{} has {} MiB free, and {} are needed", dir.display(), free >> 20, needed >> 20)]
    Room {
        /// Cache.
        dir: PathBuf,
        /// Free bytes.
        free: u64,
        /// Bytes that are needed.
        needed: u64,
    },
    /// The package is not what it should be.
    #[error("its package cannot be read")]
    Package(#[source] ImportError),
    /// It holds no kernel.
    #[error("package {0} holds no vmlinux")]
    NoKernel(String),
    /// The cache cannot be used.
    #[error(transparent)]
    Io(#[from] FileError),
}

impl Store {
    /// Fetches the debug package of a stored kernel, if the archive still has it, and unpacks the
    /// kernel and the named modules. Signature and checksum are verified as for kernels; what was
    /// fetched once stays in the cache. For a variant it is that of the stock kernel.
    pub fn debug_info(
        &self,
        kernel: &KernelId,
        modules: &BTreeSet<String>,
        settings: &Settings,
        progress: &dyn Progress,
    ) -> Result<DebugInfo, DebugInfoError> {
        let (release, packages) = self
            .packages_of(kernel)
            // What another source brought has no index that would name the debug package.
            .filter(|(_, packages)| packages.first().is_some_and(|package| package.sha1.is_none()))
            .filter(|(_, packages)| packages[0].url.contains("/pool/"))
            .ok_or_else(|| DebugInfoError::NotArchived(kernel.short().to_owned()))?;
        let wanted = Package::of(&release, &packages[0]);
        let (dir, title) = match wanted.cached(settings) {
            Some(found) => found,
            None => wanted.fetch(settings, progress)?,
        };
        unpack(&dir, &title, modules, progress)
    }
}

/// The package that is looked for.
struct Package {
    name: String,
    version: String,
    suite: String,
    base_url: String,
}

impl Package {
    fn of(release: &str, image: &PackageRef) -> Self {
        // File names of an index are relative to the archive, and begin with `pool/`.
        let base_url = image.url.rsplit_once("/pool/").map_or(image.url.as_str(), |parts| parts.0);
        Self {
            name: format!("linux-image-{release}-dbg"),
            version: image.version.clone(),
            suite: image.suite.clone(),
            base_url: base_url.to_owned(),
        }
    }

    fn title(&self) -> String {
        format!("{} {}", self.name, self.version)
    }

    /// A name for what was found, so that no index is needed the next time.
    fn link(&self, settings: &Settings) -> PathBuf {
        root(settings).join(format!("{}_{}", self.name, self.version))
    }

    fn cached(&self, settings: &Settings) -> Option<(PathBuf, String)> {
        let sha256 = fs::read_to_string(self.link(settings)).ok()?;
        let whole = hash::is_sha256(&sha256);
        let dir = root(settings).join(&sha256);
        (whole && dir.join(PACKAGE).is_file()).then(|| (dir, self.title()))
    }

    fn fetch(
        &self,
        settings: &Settings,
        progress: &dyn Progress,
    ) -> Result<(PathBuf, String), DebugInfoError> {
        if settings.offline {
            return Err(DebugInfoError::Offline);
        }
        let entry = self.entry(settings, progress)?;
        let dir = root(settings).join(&entry.sha256);
        fs::create_dir_all(&dir).map_err(at(&dir))?;
        let needed = entry.size.saturating_add(ROOM);
        if let Some(free) = free_space(&dir).filter(|free| *free < needed) {
            return Err(DebugInfoError::Room { dir, free, needed });
        }
        let lock = dir.join(LOCK);
        let what = format!("waiting for {}: it is being fetched", self.name);
        let _lock = Lock::wait(&lock, progress, &what).map_err(at(&lock))?;
        let target = dir.join(PACKAGE);
        if !target.is_file() {
            let url = format!("{}/{}", self.base_url, entry.filename);
            let partial = dir.join("package.partial");
            let mut item = progress.begin(&self.name, Some(entry.size));
            let checksum = Checksum::Sha256(&entry.sha256);
            let wanted = Wanted { url: &url, size: Size::Exactly(entry.size), checksum };
            let client = Client::new(&[&url], &settings.proxies);
            client.download(&wanted, &partial, item.as_mut(), progress)?;
            fs::rename(&partial, &target).map_err(at(&target))?;
            crate::files::sync_dir(&dir).map_err(at(&dir))?;
        }
        let link = self.link(settings);
        crate::files::write_atomically(&link, entry.sha256.as_bytes()).map_err(at(&link))?;
        Ok((dir, self.title()))
    }

    /// The package in its suite's verified index.
    fn entry(
        &self,
        settings: &Settings,
        progress: &dyn Progress,
    ) -> Result<IndexEntry, DebugInfoError> {
        let loader = Loader::new(settings, &[&self.base_url], progress)?;
        let entries = loader.debug_packages(&self.base_url, &self.suite)?;
        let ours = |entry: &IndexEntry| entry.name == self.name && entry.version == self.version;
        entries.into_iter().find(ours).ok_or_else(|| DebugInfoError::Absent {
            suite: self.suite.clone(),
            package: self.name.clone(),
            version: self.version.clone(),
        })
    }
}

/// Unpacks what is wanted and not there yet.
fn unpack(
    dir: &Path,
    title: &str,
    modules: &BTreeSet<String>,
    progress: &dyn Progress,
) -> Result<DebugInfo, DebugInfoError> {
    let vmlinux = dir.join(VMLINUX);
    let folder = dir.join("modules");
    fs::create_dir_all(&folder).map_err(at(&folder))?;
    // Names come from a guest's console: only one that is a plain word becomes a path.
    let plain = |name: &&String| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let place = |name: &str| folder.join(format!("{name}.ko"));
    let lock = dir.join(LOCK);
    let what = format!("waiting for {title}: it is being unpacked");
    let _lock = Lock::wait(&lock, progress, &what).map_err(at(&lock))?;
    // Its time is that of the last use; one that cannot be set only makes it look older.
    let _ = fs::File::open(&lock).and_then(|file| file.set_modified(SystemTime::now()));
    let missing: BTreeSet<&String> =
        modules.iter().filter(plain).filter(|name| !place(name).is_file()).collect();
    if !missing.is_empty() || !vmlinux.is_file() {
        let _item = progress.begin(&format!("unpacking {title}"), None);
        let wants_kernel = !vmlinux.is_file();
        let choose = |path: &Path| match role(path)? {
            Role::Kernel => wants_kernel.then(|| vmlinux.clone()),
            Role::Module(name) => missing.contains(&name).then(|| place(&name)),
        };
        deb::extract(&dir.join(PACKAGE), &choose).map_err(DebugInfoError::Package)?;
    }
    if !vmlinux.is_file() {
        return Err(DebugInfoError::NoKernel(title.to_owned()));
    }
    let found = modules.iter().filter(plain).map(|name| (name.clone(), place(name)));
    let modules = found.filter(|(_, path)| path.is_file()).collect();
    Ok(DebugInfo { vmlinux, modules, package: title.to_owned() })
}

enum Role {
    Kernel,
    Module(String),
}

/// What a file of a debug package is.
fn role(path: &Path) -> Option<Role> {
    if !path.starts_with("usr/lib/debug") {
        return None;
    }
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".debug").unwrap_or(name);
    if name == "vmlinux" || name.starts_with("vmlinux-") {
        return Some(Role::Kernel);
    }
    name.strip_suffix(".ko").map(|name| Role::Module(name.replace('-', "_")))
}

fn root(settings: &Settings) -> PathBuf {
    root_below(&settings.cache_dir)
}

fn root_below(cache: &Path) -> PathBuf {
    cache.join("debug/v1")
}

/// What pruning did with debug packages.
#[derive(Debug, Default)]
pub(crate) struct Pruned {
    /// Names of the packages that went.
    pub removed: Vec<String>,
    /// Bytes set free.
    pub freed: u64,
    /// Bytes that are left.
    pub left: u64,
}

/// Removes debug packages: all of them when no kernel is to be kept, those that were not used for as
/// long as the rule says, and the least recently used while they and `kernels` bytes of kernels are
/// more than the rule allows. One that is being fetched or unpacked stays.
pub(crate) fn prune(cache: &Path, rule: &PruneRule, kernels: u64) -> Result<Pruned, StoreError> {
    let root = root_below(cache);
    let mut names: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut found: Vec<(SystemTime, String, PathBuf)> = Vec::new();
    for entry in fs::read_dir(&root).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() {
            let used = fs::metadata(path.join(LOCK)).and_then(|meta| meta.modified());
            found.push((used.unwrap_or(SystemTime::UNIX_EPOCH), name, path));
        } else if let Ok(sha256) = fs::read_to_string(&path) {
            names.insert(sha256, path);
        }
    }
    // The most recently used first.
    found.sort_by(|a, b| b.cmp(a));
    let mut pruned = Pruned::default();
    for (used, sha256, dir) in found {
        let size = crate::files::tree_size(&dir);
        let age = used.elapsed().unwrap_or_default();
        let goes = rule.keep == Some(0)
            || rule.older_than.is_some_and(|limit| age > limit)
            || rule.max_bytes.is_some_and(|max| kernels + pruned.left + size > max);
        let lock = dir.join(LOCK);
        let free = goes && Lock::try_now(&lock).map_err(StoreError::at(&lock))?.is_some();
        if !free {
            pruned.left += size;
            continue;
        }
        let link = names.get(&sha256);
        let name = link.and_then(|path| path.file_name());
        let name = name.map_or_else(|| sha256.clone(), |name| name.to_string_lossy().into_owned());
        pruned.removed.push(name);
        pruned.freed += size;
        if !rule.dry_run {
            if let Some(link) = link {
                fs::remove_file(link).map_err(StoreError::at(link))?;
            }
            fs::remove_dir_all(&dir).map_err(StoreError::at(&dir))?;
        }
    }
    Ok(pruned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_a_debug_package_are_known_by_their_names() {
        let kind = |path: &str| match role(Path::new(path)) {
            Some(Role::Kernel) => "kernel".to_owned(),
            Some(Role::Module(name)) => name,
            None => "-".to_owned(),
        };
        assert_eq!(kind("usr/lib/debug/boot/vmlinux-6.1.0-56-cloud-amd64"), "kernel");
        assert_eq!(kind("usr/lib/debug/lib/modules/7.2.12/vmlinux"), "kernel");
        let folder = "usr/lib/debug/lib/modules/6.1.0/kernel/net";
        assert_eq!(kind(&format!("{folder}/nf-tables.ko")), "nf_tables");
        assert_eq!(kind(&format!("{folder}/nf_tables.ko.debug")), "nf_tables");
        assert_eq!(kind("usr/lib/debug/.build-id/36/85.debug"), "-");
        assert_eq!(kind("boot/vmlinux-6.1.0"), "-");
    }
}
