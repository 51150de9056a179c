//! The console's log on disk, and where user space came up in it.

use std::fs::File;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::guest::MARKER;

/// Most bytes of console that are kept in the log.
const MAX_CONSOLE: u64 = 64 << 20;

/// Most notes of when a part of the console came.
const MAX_TIMES: u32 = 50_000;
/// Least time between two notes, in nanoseconds: the console comes byte by byte.
const BETWEEN_TIMES: u128 = 1_000_000;

/// The log of a console.
pub(super) struct Log {
    pub file: File,
    /// Beside it, a line for each part: nanoseconds since 1970-01-01 UTC, and the part's offset. The
    /// kernel's own clock begins at an unknown time, and stands still with the machine.
    pub times: File,
    pub parts: u32,
    pub noted: u128,
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
        let before = self.written;
        self.written += bytes.len() as u64;
        if before >= MAX_CONSOLE {
            return;
        }
        let _ = self.file.write_all(bytes);
        self.note_time(before);
        if self.written >= MAX_CONSOLE {
            let mib = MAX_CONSOLE >> 20;
            let _ =
                write!(self.file, "\r\n[kbisect: more than {mib} MiB: the rest is not kept]\r\n");
        }
    }

    /// What the log leaves out, in words.
    pub(super) fn left_out(&self) -> Option<String> {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        (self.written > MAX_CONSOLE).then(|| {
            format!(
                "the console printed {} MiB: console.log holds the first {} MiB, all of it was read \
                 for failures",
                mib(self.written),
                mib(MAX_CONSOLE)
            )
        })
    }

    fn note_time(&mut self, offset: u64) {
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_nanos());
        if self.parts < MAX_TIMES && nanos.abs_diff(self.noted) >= BETWEEN_TIMES {
            self.parts += 1;
            self.noted = nanos;
            let _ = writeln!(self.times, "{nanos} {offset}");
        }
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A report puts each line where its part came, by offset.
    #[test]
    fn parts_are_noted_with_time_and_offset() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| File::create(dir.path().join(name)).unwrap();
        let mut log = Log {
            file: file("console.log"),
            times: file("console.times"),
            parts: 0,
            noted: 0,
            written: 0,
            marker: None,
            tail: Vec::new(),
        };
        log.push(b"[    0.1] one\n");
        // Once there are too many notes, the log itself goes on.
        log.parts = MAX_TIMES;
        log.push(b"two\n");
        log.parts = 1;
        log.noted = 0;
        log.push(b"three\n");
        let times = fs::read_to_string(dir.path().join("console.times")).unwrap();
        let offsets: Vec<&str> =
            times.lines().map(|line| line.split_once(' ').unwrap().1).collect();
        assert_eq!(offsets, ["0", "18"]);
        let (at, _) = times.split_once(' ').unwrap();
        assert!(at.parse::<u64>().unwrap() > 1_700_000_000_000_000_000);
        let text = fs::read_to_string(dir.path().join("console.log")).unwrap();
        assert_eq!(text, "[    0.1] one\ntwo\nthree\n");
    }
}
