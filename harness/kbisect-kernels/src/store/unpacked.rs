//! Kernels unpacked, to be booted by their PVH entry: `unpacked/ID/vmlinux` in the store, made when a
//! kernel is first booted.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{Lock, Store, StoreError, remove};
use crate::files;
use crate::import::payload::{self, PayloadError};
use crate::import::vmlinux::{self, ElfError};
use crate::ready::ReadyKernel;

const FOLDER: &str = "unpacked";
const FILE: &str = "vmlinux";
/// Bytes that stay free on the file system: unpacking is a convenience.
const ROOM: u64 = 512 << 20;

/// Why a kernel cannot be booted by its PVH entry.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// What is inside the image does not come out.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// What came out cannot be booted.
    #[error("the unpacked kernel cannot be booted by a PVH entry: {0}")]
    Elf(#[from] ElfError),
    /// The disk is nearly full.
    #[error("there is no room for the unpacked kernel: {} MiB free", free >> 20)]
    NoRoom {
        /// Free bytes.
        free: u64,
    },
    /// The store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// The kernel unpacked, with a PVH entry; itself when it was never packed. Made once.
    ///
    /// # Errors
    /// [`UnpackError`]; nothing is kept then. The image itself can still be booted.
    pub fn unpacked(&self, kernel: &ReadyKernel) -> Result<PathBuf, UnpackError> {
        if vmlinux::is_elf(&kernel.vmlinuz) {
            vmlinux::check(&kernel.vmlinuz)?;
            return Ok(kernel.vmlinuz.clone());
        }
        let folder = self.unpacked_dir(kernel);
        let target = folder.join(FILE);
        if target.is_file() {
            return Ok(target);
        }
        // Several workers may boot the same kernel first.
        let path = self.lock_of(&kernel.kernel.id);
        let _lock = Lock::wait(&path, || {}).map_err(StoreError::at(&path))?;
        if target.is_file() {
            return Ok(target);
        }
        let at = |error| UnpackError::Store(StoreError::at(&folder)(error));
        fs::create_dir_all(&folder).map_err(at)?;
        match files::free_space(&folder) {
            Some(free) if free < ROOM => return Err(UnpackError::NoRoom { free }),
            _ => {}
        }
        let made = make(&kernel.vmlinuz, &folder, &target);
        if made.is_err() {
            let _ = fs::remove_dir(&folder);
        }
        made.map(|()| target)
    }

    /// Bytes that a kernel's unpacked form takes.
    pub(super) fn unpacked_size(&self, kernel: &ReadyKernel) -> u64 {
        files::tree_size(&self.unpacked_dir(kernel))
    }

    /// Removes a kernel's unpacked form.
    pub(super) fn forget_unpacked(&self, kernel: &ReadyKernel) -> Result<(), StoreError> {
        remove(&self.unpacked_dir(kernel))
    }

    fn unpacked_dir(&self, kernel: &ReadyKernel) -> PathBuf {
        self.root.join(FOLDER).join(&kernel.kernel.id.0)
    }
}

fn make(image: &Path, folder: &Path, target: &Path) -> Result<(), UnpackError> {
    let at = |error: io::Error| UnpackError::Store(StoreError::at(folder)(error));
    let temp = tempfile::Builder::new().prefix(".new-").tempfile_in(folder).map_err(at)?;
    let mut out = BufWriter::with_capacity(1 << 20, temp.as_file());
    payload::unpack(image, &mut out)?;
    out.flush().map_err(at)?;
    drop(out);
    vmlinux::check(temp.path())?;
    // As old as its image: what is made anew is the same to whoever looks at size and time.
    let changed = fs::metadata(image).and_then(|data| data.modified()).map_err(at)?;
    temp.as_file().set_modified(changed).map_err(at)?;
    temp.as_file().sync_data().map_err(at)?;
    temp.persist(target).map_err(|error| at(error.error))?;
    files::sync_dir(folder).map_err(at)
}
