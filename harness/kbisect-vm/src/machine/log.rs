//! The console's log on disk, and where user space came up in it.

use std::fs::File;
use std::io::Write;

use crate::guest::MARKER;

/// Most bytes of console that are kept in the log.
const MAX_CONSOLE: u64 = 64 << 20;

/// The log of a console.
pub(super) struct Log {
    pub file: File,
    pub written: u64,
    /// Offset of the marker that user space is up.
    pub marker: Option<u64>,
    pub tail: Vec<u8>,
}

impl Log {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.marker.is_none() {
            self.find_marker(bytes);
        }
        if self.written < MAX_CONSOLE {
            let _ = self.file.write_all(bytes);
        }
        self.written += bytes.len() as u64;
    }

    fn find_marker(&mut self, bytes: &[u8]) {
        let kept = self.tail.len();
        self.tail.extend_from_slice(bytes);
        if let Some(at) = self.tail.windows(MARKER.len()).position(|window| window == MARKER) {
            self.marker = Some((self.written + at as u64).saturating_sub(kept as u64));
        }
        let keep = self.tail.len().min(MARKER.len());
        self.tail.drain(..self.tail.len() - keep);
    }
}
