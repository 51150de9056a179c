//! Files by their content: what a run has, and what a worker keeps.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use kbisect_kernels::{ReadyKernel, sha256_of};

use super::wire::{PIECE, Stored, StoredFile};

/// Files that workers may ask for.
#[derive(Default)]
pub struct Content {
    known: HashMap<PathBuf, StoredFile>,
    paths: HashMap<String, PathBuf>,
}

impl Content {
    /// A file, by its content.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn file(&mut self, path: &Path) -> anyhow::Result<StoredFile> {
        if let Some(known) = self.known.get(path) {
            return Ok(known.clone());
        }
        let told = || format!("cannot read {}", path.display());
        let size = fs::metadata(path).with_context(told)?.len();
        let sha256 = sha256_of(path).with_context(told)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let file = StoredFile { name, size, sha256 };
        self.known.insert(path.to_owned(), file.clone());
        self.paths.insert(file.sha256.clone(), path.to_owned());
        Ok(file)
    }

    /// A kernel, by its files.
    ///
    /// # Errors
    /// As [`Content::file`].
    pub fn kernel(&mut self, kernel: &ReadyKernel) -> anyhow::Result<Stored> {
        let mut paths: Vec<PathBuf> = fs::read_dir(&kernel.dir)
            .with_context(|| format!("cannot read {}", kernel.dir.display()))?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.is_file())
            .collect();
        paths.sort();
        let files = paths.iter().map(|path| self.file(path)).collect::<anyhow::Result<_>>()?;
        Ok(Stored { id: kernel.kernel.id.clone(), files })
    }

    /// Some bytes of a file; none when it is unknown or ends there.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn piece(&self, sha256: &str, from: u64) -> io::Result<Vec<u8>> {
        let Some(path) = self.paths.get(sha256) else { return Ok(Vec::new()) };
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(PIECE as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
