//! A file of lines that this process alone appends to.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use rustix::fs::FlockOperation;

use crate::errors;

/// How often the lock is tried, and how long after each other: whoever watches the run takes it for a
/// moment to see whether it is free.
const LOOKS: u32 = 5;
const LOOK: Duration = Duration::from_millis(20);

/// Whether a line is on the disk when it counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durable {
    /// It is, whatever happens to the machine.
    Yes,
    /// It survives the end of this process; the machine's may take it away.
    No,
}

/// The file, locked. The lock goes with the process, however that ends.
pub struct Lines {
    file: File,
    path: PathBuf,
    /// Length in bytes of the whole lines in it.
    length: u64,
    /// Set when the rest of a line could not be taken back: what came after would be a part of it.
    torn: bool,
}

impl Lines {
    /// Opens or makes the file.
    pub fn open(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let path = folder.join(name);
        let writing = || format!("cannot write {}", path.display());
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            // A link in somebody else's run could lead to a file of the user's.
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .with_context(writing)?;
        let is_locked = (0..LOOKS).any(|look| {
            if look > 0 {
                std::thread::sleep(LOOK);
            }
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
        });
        if !is_locked {
            return Err(errors::infrastructure(
                format!("another kbisect works on {}", folder.display()),
                "wait for it, or stop it first",
            ));
        }
        let length = file.metadata().with_context(writing)?.len();
        // The file's name is to survive the machine as its lines do.
        File::open(folder).and_then(|folder| folder.sync_all()).with_context(writing)?;
        Ok(Self { file, path, length, torn: false })
    }

    /// Cuts the file to the lines that are whole.
    pub fn cut(&mut self, length: u64) -> anyhow::Result<()> {
        self.file
            .set_len(length)
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        self.length = length;
        Ok(())
    }

    /// Appends a line, or nothing of it: where the disk is full in the middle of it, its beginning is
    /// taken back, so that the next line does not follow half of one.
    ///
    /// # Errors
    /// When it cannot be written. The file is as it was then.
    pub fn append(&mut self, line: &[u8], durable: Durable) -> anyhow::Result<()> {
        let written = self.write(line, durable);
        if written.is_err() && !self.torn {
            self.torn = self.file.set_len(self.length).is_err();
        }
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn write(&mut self, line: &[u8], durable: Durable) -> io::Result<()> {
        if self.torn {
            return Err(io::Error::other("it ends in a part of a line that cannot be taken back"));
        }
        self.file.write_all(line)?;
        if durable == Durable::Yes {
            self.file.sync_data()?;
        }
        self.length += line.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_writer_and_is_cut_to_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let mut lines = Lines::open(folder.path(), "x").unwrap();
        lines.append(b"one\n", Durable::Yes).unwrap();
        assert!(Lines::open(folder.path(), "x").is_err());
        drop(lines);
        std::fs::write(folder.path().join("x"), "one\ntw").unwrap();
        let mut lines = Lines::open(folder.path(), "x").unwrap();
        lines.cut(4).unwrap();
        lines.append(b"two\n", Durable::No).unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join("x")).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = folder.path().join("elsewhere");
        std::os::unix::fs::symlink(&elsewhere, folder.path().join("x")).unwrap();
        assert!(Lines::open(folder.path(), "x").is_err());
        assert!(!elsewhere.exists());
    }
}
