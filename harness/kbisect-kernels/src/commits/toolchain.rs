//! The compiler that commits are built with: the host's, or that of another release in a root of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kbisect_process::run_within;

use super::error::BuildError;
use super::sandbox::Sandbox;
use crate::files::at;
use crate::progress::Progress;
use crate::store::{Lock, StoreError};

/// How long unpacking may take on a slow disk.
const DEADLINE: Duration = Duration::from_secs(1800);
/// Folder below the cache.
const FOLDER: &str = "toolchains/v1";

/// A compiler with all that a build of a kernel needs.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Toolchain {
    /// What is seen as `/` by a build; the host's own programs without.
    pub root: Option<PathBuf>,
}

impl Toolchain {
    /// Unpacks a root that was packed as squashfs, once. `key` tells it from others; `cache` is kbisect's.
    ///
    /// # Errors
    /// No unsquashfs; no room.
    pub fn unpacked(
        image: &Path,
        key: &str,
        cache: &Path,
        progress: &dyn Progress,
    ) -> Result<Self, BuildError> {
        let all = cache.join(FOLDER);
        fs::create_dir_all(&all).map_err(at(&all))?;
        let root = all.join(key);
        let lock = all.join(format!("{key}.lock"));
        let _lock =
            Lock::wait(&lock, progress, "awaiting the same toolchain, which is being unpacked")
                .map_err(StoreError::at(&lock))?;
        if root.is_dir() {
            return Ok(Self { root: Some(root) });
        }
        let _item = progress.begin("unpacking the toolchain", None);
        let work =
            tempfile::Builder::new().prefix(".unpack-").tempdir_in(&all).map_err(at(&all))?;
        let made = work.path().join("root");
        let mut command = Command::new("unsquashfs");
        command.args(["-no-progress", "-no-xattrs", "-quiet", "-d"]).arg(&made).arg(image);
        let missing = BuildError::Missing { program: "unsquashfs", package: "squashfs-tools" };
        let ended = run_within(command, DEADLINE, 1 << 20).map_err(|_| missing)?;
        // It says 2 where it could not make what is nothing for a build: device nodes.
        if !made.join("usr/bin/gcc").exists() {
            let said = String::from_utf8_lossy(&ended.stderr);
            let said = said.lines().next().unwrap_or("no compiler came of it").to_owned();
            return Err(BuildError::Host { said });
        }
        fs::rename(&made, &root).map_err(at(&root))?;
        Ok(Self { root: Some(root) })
    }

    /// First line of `gcc --version`.
    pub(super) fn compiler(&self) -> Result<String, BuildError> {
        let missing = || BuildError::Missing { program: "gcc", package: "gcc" };
        let nothing = tempfile::tempdir().map_err(at(Path::new("/tmp")))?;
        let mut command = match &self.root {
            None => Command::new("gcc"),
            Some(root) => {
                let (src, build) = (nothing.path(), nothing.path());
                Sandbox { src, build, ccache: None, root: Some(root) }.command("gcc", &[])
            }
        };
        command.arg("--version").env("LC_ALL", "C");
        let ended = run_within(command, Duration::from_secs(60), 1 << 16).map_err(|_| missing())?;
        let text = String::from_utf8_lossy(&ended.stdout);
        let line = text.lines().next().unwrap_or_default().to_owned();
        if !ended.status.success() || line.is_empty() {
            let said = String::from_utf8_lossy(&ended.stderr);
            return Err(match said.lines().find_map(|line| line.strip_prefix("bwrap: ")) {
                Some(said) => BuildError::Sandbox { said: said.to_owned() },
                None => missing(),
            });
        }
        Ok(line)
    }

    /// Whether it has ccache.
    pub(super) fn has_ccache(&self) -> bool {
        let root = self.root.as_deref().unwrap_or(Path::new("/"));
        root.join("usr/bin/ccache").is_file()
    }
}
