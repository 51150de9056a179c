//! The compiler that commits are built with: the host's, or that of another release in a root of its own.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kbisect_process::run_within;

use super::error::BuildError;
use super::sandbox::Sandbox;
use crate::files::{at, free_space};
use crate::progress::Progress;
use crate::store::{Lock, StoreError};

/// How long unpacking may take on a slow disk.
const DEADLINE: Duration = Duration::from_secs(1800);
/// Free space that unpacking needs, in bytes.
const ROOM: u64 = 2 << 30;
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
        let _lock = Lock::wait(&lock, progress, "awaiting another kbisect")
            .map_err(StoreError::at(&lock))?;
        if root.is_dir() {
            return Ok(Self { root: Some(root) });
        }
        if free_space(&all).is_some_and(|free| free < ROOM) {
            return Err(BuildError::NoRoom { path: all, gib: ROOM >> 30 });
        }
        let _item = progress.begin("unpacking the toolchain", None);
        let work =
            tempfile::Builder::new().prefix(".unpack-").tempdir_in(&all).map_err(at(&all))?;
        let made = work.path().join("root");
        let mut command = Command::new("unsquashfs");
        command.args(["-no-progress", "-no-xattrs", "-quiet", "-d"]).arg(&made).arg(image);
        let ended = run_within(command, DEADLINE, 1 << 20)
            .map_err(|error| not_started(&error, "unsquashfs", "squashfs-tools"))?;
        // 2 where it could not make what is nothing for a build, such as device nodes.
        let is_whole = matches!(ended.status.code(), Some(0 | 2));
        if !is_whole || !made.join("usr/bin/gcc").exists() {
            let said = String::from_utf8_lossy(&ended.stderr);
            let said = said.lines().next().map_or_else(|| ended.status.to_string(), str::to_owned);
            return Err(BuildError::Host { said });
        }
        let _ = fs::remove_dir_all(made.join("dev"));
        plain_modes(&made).map_err(at(&made))?;
        fs::rename(&made, &root).map_err(at(&root))?;
        Ok(Self { root: Some(root) })
    }

    /// First line of `gcc --version`.
    pub(super) fn compiler(&self) -> Result<String, BuildError> {
        let (program, package) = match &self.root {
            None => ("gcc", "gcc"),
            Some(_) => ("bwrap", "bubblewrap"),
        };
        let nothing = tempfile::tempdir().map_err(at(&std::env::temp_dir()))?;
        let mut command = match &self.root {
            None => Command::new("gcc"),
            Some(root) => {
                let (src, build) = (nothing.path(), nothing.path());
                Sandbox { src, build, ccache: None, root: Some(root) }.command("gcc", &[])
            }
        };
        command.arg("--version").env("LC_ALL", "C");
        let ended = run_within(command, Duration::from_secs(60), 1 << 16)
            .map_err(|error| not_started(&error, program, package))?;
        let text = String::from_utf8_lossy(&ended.stdout);
        let line = text.lines().next().unwrap_or_default().to_owned();
        if !ended.status.success() || line.is_empty() {
            let said = String::from_utf8_lossy(&ended.stderr);
            return Err(match said.lines().find_map(|line| line.strip_prefix("bwrap: ")) {
                Some(said) => BuildError::Sandbox { said: said.to_owned() },
                None => BuildError::Missing { program: "gcc", package: "gcc" },
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

/// Why a program did not come to its end.
fn not_started(error: &io::Error, program: &'static str, package: &'static str) -> BuildError {
    match error.kind() {
        io::ErrorKind::NotFound => BuildError::Missing { program, package },
        io::ErrorKind::Interrupted => BuildError::Cancelled,
        _ => BuildError::Host { said: format!("{program}: {error}") },
    }
}

/// Takes away what would make programs of the root more than they are to anybody who can see them.
fn plain_modes(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            plain_modes(&entry.path())?;
        } else if kind.is_file() {
            let mode = entry.metadata()?.permissions().mode();
            if mode & 0o6000 != 0 {
                let plain = fs::Permissions::from_mode(mode & 0o777);
                fs::set_permissions(entry.path(), plain)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_root_is_unpacked_whole_and_without_privileges_or_not_at_all() {
        let (work, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = work.path().join("root");
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::create_dir_all(root.join("dev")).unwrap();
        for (name, mode) in [("usr/bin/gcc", 0o755), ("usr/bin/su", 0o4755), ("dev/null", 0o644)] {
            fs::write(root.join(name), "x").unwrap();
            fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let image = work.path().join("image");
        let mut pack = Command::new("mksquashfs");
        let output = pack.arg(&root).arg(&image).args(["-quiet", "-no-progress"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let unpack = |key: &str| Toolchain::unpacked(&image, key, cache.path(), &Silent);
        let made = unpack("whole").unwrap().root.unwrap();
        assert_eq!(
            (mode(&made.join("usr/bin/gcc")), mode(&made.join("usr/bin/su"))),
            (0o755, 0o755)
        );
        assert!(!made.join("dev").exists());
        // The image is cut off: nothing of it stays under its name.
        let bytes = fs::read(&image).unwrap();
        fs::write(&image, &bytes[..120]).unwrap();
        assert!(unpack("cut").is_err());
        assert!(!cache.path().join(FOLDER).join("cut").exists());
        assert_eq!(unpack("whole").unwrap().root, Some(made));
    }
}
