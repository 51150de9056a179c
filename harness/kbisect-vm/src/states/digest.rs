//! Digests of files, each worked out once as long as the file stays the same.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// What tells that a file is the one that was read: device, inode, size, time of change.
type Stamp = (u64, u64, u64, i64, i64);

/// BLAKE3 of a file from where it is, which has to be its beginning; in hexadecimal.
///
/// # Errors
/// Those of reading it.
pub(super) fn of(file: &File) -> io::Result<String> {
    let data = file.metadata()?;
    let stamp = (data.dev(), data.ino(), data.size(), data.mtime(), data.mtime_nsec());
    if let Some(known) = known().get(&stamp) {
        return Ok(known.clone());
    }
    // A trial waits for this with tens of megabytes, and SHA-256 takes three times as long.
    let digest = blake3::Hasher::new().update_reader(file)?.finalize().to_hex().to_string();
    known().insert(stamp, digest.clone());
    Ok(digest)
}

fn known() -> MutexGuard<'static, HashMap<Stamp, String>> {
    static KNOWN: OnceLock<Mutex<HashMap<Stamp, String>>> = OnceLock::new();
    KNOWN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}
