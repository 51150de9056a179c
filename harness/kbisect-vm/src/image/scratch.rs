//! Where the tree is unpacked before it is packed again.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{StatVfsMountFlags, statvfs};

use super::failure::ImageError;
use super::fs::at;
use super::supervise::{Group, supervised};

/// Room for the downloaded packages and the unpacked tree, and some more.
const NEED_MIB: u64 = 700;
const PREFIX: &str = "kbisect-image-";
/// How long the removal of a tree may take.
const REMOVAL: Duration = Duration::from_secs(600);

/// A directory for one build, removed when dropped.
///
/// It is in the cache when mmdebstrap's subordinate user can get there, which a home directory with
/// mode 0700 prevents; then in /var/tmp or the directory that TMPDIR names. A record in the cache
/// says where it is, so that the next build removes what a killed one left.
pub(super) struct Scratch {
    path: PathBuf,
    record: PathBuf,
}

impl Scratch {
    /// Makes the directory for the image `key`, once what an earlier build left is gone.
    ///
    /// The caller holds the image's lock.
    pub(super) fn create(images: &Path, key: &str) -> Result<Self, ImageError> {
        let record = images.join(format!("{key}.scratch"));
        remove_recorded(&record);
        let base = choose_base(images)?;
        let path = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(std::fs::Permissions::from_mode(0o755))
            .tempdir_in(&base)
            .map_err(at("create a directory in", &base))?
            .keep();
        let scratch = Self { path, record };
        std::fs::write(&scratch.record, scratch.path.as_os_str().as_encoded_bytes())
            .map_err(at("write", &scratch.record))?;
        // The mode above is subject to the umask.
        std::fs::set_permissions(&scratch.path, std::fs::Permissions::from_mode(0o755))
            .map_err(at("change the mode of", &scratch.path))?;
        Ok(scratch)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove_tree(&self.path);
        if !self.path.exists() {
            let _ = std::fs::remove_file(&self.record);
        }
    }
}

/// Removes the directory that `record` names, if it is one of ours.
fn remove_recorded(record: &Path) {
    let Ok(text) = std::fs::read_to_string(record) else { return };
    let path = Path::new(&text);
    let ours = std::fs::symlink_metadata(path)
        .is_ok_and(|meta| meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw());
    let named = path
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with(PREFIX));
    if ours && named {
        remove_tree(path);
    }
    let _ = std::fs::remove_file(record);
}

/// Removes `path` with all below it, files of subordinate users included. Best effort: what stays
/// is waste, and no error of the build.
pub(super) fn remove_tree(path: &Path) {
    let own = rustix::process::geteuid().as_raw();
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.metadata().is_ok_and(|meta| meta.uid() != own) {
            // Only root of the same user namespace mapping may delete these.
            let mut command = supervised("mmdebstrap");
            command.args(["--unshare-helper", "find"]).arg(entry.path()).args([
                "-xdev",
                "-mindepth",
                "1",
                "-delete",
            ]);
            run_quietly(command);
        }
    }
    // rm and not remove_dir_all: it stops at file system borders, should anything be mounted there.
    let mut command = supervised("rm");
    command.args(["-rf", "--one-file-system", "--"]).arg(path);
    run_quietly(command);
}

fn run_quietly(mut command: std::process::Command) {
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    if let Ok(group) = Group::spawn(command, REMOVAL) {
        let _ = group.wait();
    }
}

fn choose_base(images: &Path) -> Result<PathBuf, ImageError> {
    let mut best: Option<(u64, PathBuf)> = None;
    for base in [images.to_owned(), PathBuf::from("/var/tmp"), std::env::temp_dir()] {
        let Some(free_mib) = usable(&base) else { continue };
        if free_mib >= NEED_MIB {
            return Ok(base);
        }
        if best.as_ref().is_none_or(|(free, _)| *free < free_mib) {
            best = Some((free_mib, base));
        }
    }
    let (free_mib, path) = best.unwrap_or_else(|| (0, images.to_owned()));
    Err(ImageError::NoSpace { path, free_mib, need_mib: NEED_MIB })
}

/// Returns the free space in MiB if a tree can be unpacked and entered in `base`.
fn usable(base: &Path) -> Option<u64> {
    let base = base.canonicalize().ok()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._+-".contains(&b);
    // The path becomes part of an apt source line, which knows no quoting.
    let spelled = base.as_os_str().as_encoded_bytes().iter().copied().all(plain);
    let reachable = base.ancestors().all(|directory| {
        std::fs::metadata(directory).is_ok_and(|meta| meta.permissions().mode() & 0o001 != 0)
    });
    let fs = statvfs(&base).ok()?;
    // Programs of the tree are run, and it has device nodes.
    let barred = fs.f_flag.intersects(StatVfsMountFlags::NOEXEC)
        || (rustix::process::geteuid().is_root() && fs.f_flag.contains(StatVfsMountFlags::NODEV));
    (spelled && reachable && !barred).then_some((fs.f_bavail * fs.f_frsize) >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chmod(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_private_or_oddly_named_directory_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        chmod(directory.path(), 0o755);
        let inner = directory.path().join("images");
        std::fs::create_dir(&inner).unwrap();
        chmod(&inner, 0o755);
        assert!(usable(&inner).is_some());
        chmod(directory.path(), 0o700);
        assert!(usable(&inner).is_none());
        chmod(directory.path(), 0o755);
        let blank = directory.path().join("my images");
        std::fs::create_dir(&blank).unwrap();
        chmod(&blank, 0o755);
        assert!(usable(&blank).is_none());
    }

    #[test]
    fn a_killed_builds_directory_is_removed_by_the_next_one() {
        let images = tempfile::tempdir().unwrap();
        let first = Scratch::create(images.path(), "key").unwrap();
        let left = first.path().to_owned();
        std::fs::create_dir(left.join("mmdebstrap.x")).unwrap();
        std::mem::forget(first);
        let second = Scratch::create(images.path(), "key").unwrap();
        assert!(!left.exists());
        let path = second.path().to_owned();
        drop(second);
        assert!(!path.exists());
        assert!(!images.path().join("key.scratch").exists());
    }

    #[test]
    fn a_record_cannot_make_us_remove_another_directory() {
        let images = tempfile::tempdir().unwrap();
        let precious = tempfile::tempdir().unwrap();
        let record = images.path().join("key.scratch");
        std::fs::write(&record, precious.path().to_str().unwrap()).unwrap();
        remove_recorded(&record);
        assert!(precious.path().exists());
        assert!(!record.exists());
    }
}
