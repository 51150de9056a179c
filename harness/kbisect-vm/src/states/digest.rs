//! Digests of files, each worked out once as long as the file stays the same.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, OnceLock};

use crate::lock::lock;

/// What tells that a file is the one that was read: device, inode, size, time of change.
type Stamp = (u64, u64, u64, i64, i64);

/// BLAKE3 of a file from where it is, which has to be its beginning; in hexadecimal.
pub(super) fn of(file: &File) -> io::Result<String> {
    let data = file.metadata()?;
    let stamp = (data.dev(), data.ino(), data.size(), data.mtime(), data.mtime_nsec());
    let known = Arc::clone(lock(digests()).entry(stamp).or_default());
    // Who comes second waits, and does not read it too.
    let mut known = lock(&known);
    if let Some(digest) = &*known {
        return Ok(digest.clone());
    }
    // A trial waits for this with tens of megabytes, and SHA-256 takes three times as long.
    let digest = blake3::Hasher::new().update_reader(file)?.finalize().to_hex().to_string();
    *known = Some(digest.clone());
    Ok(digest)
}

type Digests = HashMap<Stamp, Arc<Mutex<Option<String>>>>;

fn digests() -> &'static Mutex<Digests> {
    static DIGESTS: OnceLock<Mutex<Digests>> = OnceLock::new();
    DIGESTS.get_or_init(Mutex::default)
}
