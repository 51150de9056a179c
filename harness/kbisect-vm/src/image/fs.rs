//! File operations whose errors say what was being done to which file.

use std::fs::{File, OpenOptions};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};

use super::failure::ImageError;

/// Adds what was done, and to which path, to an I/O error.
pub(super) fn at(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(std::io::Error) -> ImageError + use<> {
    let path = path.to_owned();
    move |source| ImageError::Io { action, path, source }
}

pub(super) fn create_dir_all(path: &Path) -> Result<(), ImageError> {
    std::fs::create_dir_all(path).map_err(at("create directory", path))
}

/// Takes the lock file at `path`, calling `waiting` once if another process holds it. The lock ends
/// with the returned file, also when this process is killed.
pub(super) fn lock(path: &Path, waiting: impl FnOnce()) -> Result<File, ImageError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(at("open lock file", path))?;
    let lock = match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => {
            waiting();
            retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))
        }
        other => other,
    };
    lock.map_err(|errno| at("lock", path)(errno.into()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let held = lock(&path, || panic!("nobody holds it yet")).unwrap();
        let mut waited = false;
        // The holder lets go only once the second one has found it taken.
        let _second = lock(&path, || {
            waited = true;
            drop(held);
        })
        .unwrap();
        assert!(waited);
    }
}
