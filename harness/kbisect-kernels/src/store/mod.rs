//! The local store: `CACHE/kernels/v1`.
//!
//! ```text
//! <id>/          one kernel; complete, since it is moved here in one step
//! tmp/<id>/      being made, by the holder of locks/<id>.lock
//! locks/<id>.lock   held while the kernel is fetched, added or removed
//! unpacked/<id>/vmlinux   the same kernel unpacked, once it was booted so
//! locks/<id>.use    shared by all who use the kernel; its time is that of the last use
//! ```

mod add;
mod errors;
mod lock;
mod meta;
mod prune;
mod unpacked;
mod variant;

pub use add::AddRequest;
pub use errors::{AddError, StoreError};
pub use prune::{PruneReport, PruneRule};
pub use variant::{AddedVariant, VariantError, VariantRequest};

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kbisect_core::kernel::KernelId;

use crate::candidate::PackageRef;
use crate::files;
use crate::progress::Progress;
use crate::ready::ReadyKernel;
pub(crate) use lock::Lock;
pub(crate) use meta::Meta;

/// The local store: one directory a kernel, named by its content hash. Several kbisects may use it
/// at once, and one may be killed while it writes.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Opens the store below `cache_dir`, makes it when it is not there, and clears away what a
    /// killed process left.
    pub fn open(cache_dir: &Path) -> Result<Self, StoreError> {
        let store = Self { root: cache_dir.join("kernels/v1") };
        for dir in [store.tmp_dir(), store.locks_dir()] {
            fs::create_dir_all(&dir).map_err(StoreError::at(&dir))?;
        }
        store.clear_leftovers()?;
        Ok(store)
    }

    /// Lists all kernels, ordered by version.
    pub fn list(&self) -> Result<Vec<ReadyKernel>, StoreError> {
        let entries = fs::read_dir(&self.root).map_err(StoreError::at(&self.root))?;
        let mut kernels: Vec<ReadyKernel> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| is_id(name))
            .filter_map(|name| self.read(&KernelId(name)))
            .collect();
        kernels.sort_by(|a, b| {
            let key = |ready: &ReadyKernel| {
                (ready.kernel.package_version.clone(), ready.kernel.id.clone())
            };
            key(a).cmp(&key(b))
        });
        Ok(kernels)
    }

    /// Finds one kernel. It stays safe from [`Store::prune`] while the returned value (or a clone)
    /// lives.
    pub fn get(&self, id: &KernelId) -> Option<ReadyKernel> {
        if !is_id(&id.0) || !self.dir_of(id).is_dir() {
            return None;
        }
        let lease = Lock::share(&self.use_lock(id)).ok()?;
        let ready = self.read(id)?;
        Some(ReadyKernel { lease: Some(Arc::new(lease)), ..ready })
    }

    /// The store's directory.
    pub fn dir(&self) -> &Path {
        &self.root
    }

    /// Release and packages that a kernel was fetched from; those of the stock kernel when it is a
    /// variant.
    pub(crate) fn packages_of(&self, id: &KernelId) -> Option<(String, Vec<PackageRef>)> {
        if !is_id(&id.0) {
            return None;
        }
        let meta = Meta::read(&self.dir_of(id))?;
        match &meta.kernel.variant {
            // It may have gone since, and a variant of a variant is refused.
            Some(variant) if meta.packages.is_empty() => {
                let base = Meta::read(&self.dir_of(&variant.base_id))?;
                Some((base.release, base.packages))
            }
            _ => Some((meta.release, meta.packages)),
        }
    }

    fn read(&self, id: &KernelId) -> Option<ReadyKernel> {
        let dir = self.dir_of(id);
        Some(Meta::read(&dir)?.into_ready(dir))
    }

    /// Removes unfinished kernels whose makers are gone: nobody holds their lock.
    fn clear_leftovers(&self) -> Result<(), StoreError> {
        let tmp = self.tmp_dir();
        for entry in fs::read_dir(&tmp).map_err(StoreError::at(&tmp))?.flatten() {
            let Ok(id) = entry.file_name().into_string() else { continue };
            if !is_id(&id) {
                continue;
            }
            let id = KernelId(id);
            let path = self.lock_of(&id);
            if Lock::try_now(&path).map_err(StoreError::at(&path))?.is_some() {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Runs `make` in an empty scratch directory and moves what it leaves in `out` there into the
    /// store. The caller holds the kernel's lock. On an error nothing is left.
    pub(crate) fn put<E: From<StoreError>>(
        &self,
        id: &KernelId,
        make: impl FnOnce(&Path, &Path) -> Result<Meta, E>,
    ) -> Result<ReadyKernel, E> {
        let work = self.tmp_dir().join(&id.0);
        let result = self.put_inner(id, &work, make);
        // Also after a success: the packages are of no more use.
        let removed = remove(&work);
        let ready = result?;
        removed?;
        Ok(ready)
    }

    /// Takes a kernel that another store has: `fill` writes all its files into a folder, by their names there. One
    /// that somebody else takes at the time is waited for, until `progress` is cancelled.
    ///
    /// # Errors
    /// Those of `fill`; files that are no kernel of a store.
    pub fn adopt<E: From<StoreError>>(
        &self,
        id: &KernelId,
        progress: &dyn Progress,
        fill: impl FnOnce(&Path) -> Result<(), E>,
    ) -> Result<ReadyKernel, E> {
        let wrong = |what: &str| StoreError::Io {
            path: PathBuf::from(&id.0),
            source: std::io::Error::other(what.to_owned()),
        };
        if !is_id(&id.0) {
            return Err(wrong("it is no id of a kernel").into());
        }
        let lock = self.lock_of(id);
        let what = format!("waiting for {}: it is being fetched already", id.short());
        let _lock = Lock::wait(&lock, progress, &what).map_err(StoreError::at(&lock))?;
        if let Some(ready) = self.get(id) {
            return Ok(ready);
        }
        self.put(id, |_, out| {
            fill(out)?;
            let path = out.join(Meta::FILE);
            let meta = Meta::parse(&path).filter(|meta| meta.kernel.id == *id);
            let meta = meta.ok_or_else(|| wrong("its files are those of no kernel"))?;
            // It is written again, as it was: its size is that of all others.
            fs::remove_file(&path).map_err(StoreError::at(&path))?;
            Ok(meta)
        })
    }

    fn put_inner<E: From<StoreError>>(
        &self,
        id: &KernelId,
        work: &Path,
        make: impl FnOnce(&Path, &Path) -> Result<Meta, E>,
    ) -> Result<ReadyKernel, E> {
        remove(work)?;
        let out = work.join("out");
        fs::create_dir_all(&out).map_err(StoreError::at(&out))?;
        let mut meta = make(work, &out)?;
        meta.size = files::tree_size(&out);
        seal(&out, &meta)?;
        let target = self.dir_of(id);
        // What is there cannot be read, or the kernel would not be made anew.
        remove(&target)?;
        fs::rename(&out, &target).map_err(StoreError::at(&target))?;
        files::sync_dir(&self.root).map_err(StoreError::at(&self.root))?;
        self.get(id).ok_or_else(|| {
            let source = std::io::Error::other("it cannot be read back");
            StoreError::Io { path: target, source }.into()
        })
    }

    fn dir_of(&self, id: &KernelId) -> PathBuf {
        self.root.join(&id.0)
    }

    fn tmp_dir(&self) -> PathBuf {
        self.root.join("tmp")
    }

    fn locks_dir(&self) -> PathBuf {
        self.root.join("locks")
    }

    pub(crate) fn lock_of(&self, id: &KernelId) -> PathBuf {
        self.locks_dir().join(format!("{id}.lock"))
    }

    fn use_lock(&self, id: &KernelId) -> PathBuf {
        self.locks_dir().join(format!("{id}.use"))
    }
}

/// Makes a kernel's files durable and read-only, and writes its metadata.
fn seal(out: &Path, meta: &Meta) -> Result<(), StoreError> {
    meta.write(out)?;
    for entry in fs::read_dir(out).map_err(StoreError::at(out))?.flatten() {
        let path = entry.path();
        let file = fs::File::open(&path).map_err(StoreError::at(&path))?;
        file.sync_all().map_err(StoreError::at(&path))?;
        let mut permissions = file.metadata().map_err(StoreError::at(&path))?.permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions).map_err(StoreError::at(&path))?;
    }
    files::sync_dir(out).map_err(StoreError::at(out))
}

/// Removes a directory; one that is not there is fine.
fn remove(dir: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(StoreError::at(dir)(error))
        }
        _ => Ok(()),
    }
}

fn is_id(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
