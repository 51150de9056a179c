//! Kernels unpacked, to be booted by their PVH entry: `unpacked/ID/vmlinux` in the store, made when a
//! kernel is first booted.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{Lock, Store, StoreError, remove};
use crate::files;
use crate::import::payload::{self, PayloadError};
use crate::import::vmlinux::{self, ElfError};
use crate::progress::Silent;
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
    #[error("there is no room for the unpacked kernel: {} MiB free", .0 >> 20)]
    NoRoom(u64),
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
        // A second's work, by whoever has it.
        let _lock = Lock::wait(&path, &Silent, "").map_err(StoreError::at(&path))?;
        if target.is_file() {
            return Ok(target);
        }
        let at = |error| UnpackError::Store(StoreError::at(&folder)(error));
        fs::create_dir_all(&folder).map_err(at)?;
        match files::free_space(&folder) {
            Some(free) if free < ROOM => return Err(UnpackError::NoRoom(free)),
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
    // Read-only, and for everybody, as all files of the store.
    let mode = fs::Permissions::from_mode(0o444);
    let mut builder = tempfile::Builder::new();
    let temp = builder.prefix(".new-").permissions(mode).tempfile_in(folder).map_err(at)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::payload::tests::image_of;
    use crate::import::vmlinux::tests::elf;
    use crate::progress::Silent;
    use crate::{AddRequest, PruneRule};

    const PVH: u32 = 18;

    struct Fixture {
        folder: tempfile::TempDir,
        store: Store,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(&folder.path().join("cache")).unwrap();
            Self { folder, store }
        }

        fn add(&self, name: &str, content: &[u8]) -> ReadyKernel {
            let path = self.folder.path().join(name);
            fs::write(&path, content).unwrap();
            let request = AddRequest {
                inputs: vec![path],
                name: Some(name.to_owned()),
                version: Some("6.1.0".to_owned()),
                ..AddRequest::default()
            };
            self.store.add(&request, &Silent).unwrap()
        }

        fn left(&self) -> usize {
            fs::read_dir(self.store.dir().join(FOLDER)).map_or(0, Iterator::count)
        }
    }

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_kernel_is_unpacked_once_and_goes_with_its_image() {
        let place = Fixture::new();
        let kernel = place.add("packed", &image_of(&gzip(&elf(PVH))));
        let unpacked = place.store.unpacked(&kernel).unwrap();
        assert!(fs::read(&unpacked).unwrap() == elf(PVH));
        let changed = |path: &Path| fs::metadata(path).unwrap().modified().unwrap();
        assert_eq!(changed(&unpacked), changed(&kernel.vmlinuz));
        assert_eq!(place.store.unpacked(&kernel).unwrap(), unpacked);
        let size = kernel.size + fs::metadata(&unpacked).unwrap().len();
        let named = vec![kernel.kernel.id.clone()];
        drop(kernel);
        let report = place.store.prune(&PruneRule { named, ..PruneRule::default() }).unwrap();
        assert_eq!((report.freed_bytes, place.left()), (size, 0));
    }

    #[test]
    fn what_cannot_be_unpacked_leaves_nothing_and_the_image() {
        let place = Fixture::new();
        let whole = image_of(&gzip(&elf(PVH)));
        let cut = place.add("cut", &whole[..whole.len() - 40]);
        let found = place.store.unpacked(&cut);
        assert!(matches!(found, Err(UnpackError::Payload(PayloadError::Truncated))), "{found:?}");
        let other = place.add("without-entry", &image_of(&gzip(&elf(17))));
        let found = place.store.unpacked(&other);
        assert!(matches!(found, Err(UnpackError::Elf(ElfError::NoEntry))), "{found:?}");
        assert_eq!(place.left(), 0);
        assert!(cut.vmlinuz.is_file() && other.vmlinuz.is_file());
    }

    #[test]
    fn one_that_was_never_packed_is_its_own() {
        let place = Fixture::new();
        let kernel = place.add("vmlinux", &elf(PVH));
        assert_eq!(kernel.kernel.release.as_deref(), Some("6.1.0-test"));
        assert_eq!(place.store.unpacked(&kernel).unwrap(), kernel.vmlinuz);
        assert_eq!(place.left(), 0);
    }
}
