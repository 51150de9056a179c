//! One build: tree, tar, squashfs, manifest, and the rename that makes it count.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::ImageSources;
use super::command::{self, Privilege};
use super::definition::{ARCHITECTURE, ImageDefinition};
use super::failure::{BuildCause, ImageError, telling_lines};
use super::fs::at;
use super::manifest::{self, ImageManifest, installed_packages};
use super::scratch::{Scratch, remove_tree};
use super::supervise::{Group, supervised};

/// Name of the image file in its directory.
pub(super) const SQUASHFS: &str = "root.squashfs";
const LOG: &str = "build.log";
/// How long each of the programs may take, over a slow line too.
const DEADLINE: Duration = Duration::from_secs(2 * 3600);

/// What a build tells while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageProgress {
    /// Another process builds the same image; this one waits for it.
    Waiting,
    /// A step began, in mmdebstrap's words, such as `downloading packages with apt`.
    Step(String),
    /// Done.
    Packed {
        /// Size of the squashfs file in bytes.
        size_bytes: u64,
    },
}

/// Builds the image into `images/KEY`. The caller holds the image's lock.
pub(super) fn build(
    definition: &ImageDefinition,
    images: &Path,
    key: &str,
    sources: &ImageSources,
    progress: &mut dyn FnMut(ImageProgress),
) -> Result<(), ImageError> {
    require_tools()?;
    let staging = Staging::create(images, key)?;
    let scratch = Scratch::create(images, key)?;
    let keyring = copy_keyring(&sources.keyring, scratch.path())?;

    let squashfs = staging.path.join(SQUASHFS);
    let log = staging.path.join(LOG);
    let privilege =
        if rustix::process::geteuid().is_root() { Privilege::Root } else { Privilege::User };
    let tree =
        command::mmdebstrap(&definition.content, sources, privilege, scratch.path(), &keyring);
    let pack = command::sqfstar(definition.content.compression, privilege, &squashfs);
    if !run_pipeline(tree, pack, &log, progress)? {
        return Err(failed(&log, images, key, privilege));
    }
    drop(scratch);

    let packages = read_packages(&squashfs, &log)?;
    let Some(packages) = packages else { return Err(failed(&log, images, key, privilege)) };
    let (size_bytes, sha256) = measure(&squashfs)?;
    let manifest = ImageManifest {
        schema: manifest::SCHEMA.to_owned(),
        key: key.to_owned(),
        suite: definition.content.suite.clone(),
        architecture: ARCHITECTURE.to_owned(),
        compression: definition.content.compression,
        built_at: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        size_bytes,
        sha256,
        packages,
    };
    staging.publish(&manifest)?;
    progress(ImageProgress::Packed { size_bytes });
    Ok(())
}

fn require_tools() -> Result<(), ImageError> {
    let mut tools = vec![
        ("mmdebstrap", "mmdebstrap"),
        ("sqfstar", "squashfs-tools"),
        ("unsquashfs", "squashfs-tools"),
        ("gpgv", "gpgv"),
    ];
    if !rustix::process::geteuid().is_root() {
        tools.push(("newuidmap", "uidmap"));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    for (tool, package) in tools {
        if !std::env::split_paths(&path).any(|directory| directory.join(tool).is_file()) {
            return Err(ImageError::ToolMissing { tool, package });
        }
    }
    Ok(())
}

/// The subordinate user cannot read a keyring below a private home directory, hence the copy.
fn copy_keyring(keyring: &Path, scratch: &Path) -> Result<PathBuf, ImageError> {
    let bytes = std::fs::read(keyring)
        .map_err(|source| ImageError::Keyring { path: keyring.to_owned(), source })?;
    // apt tells armoured keyrings from binary ones by their suffix.
    let armoured = keyring.extension().is_some_and(|extension| extension == "asc");
    let copy = scratch.join(if armoured { "keyring.asc" } else { "keyring.gpg" });
    std::fs::write(&copy, bytes).map_err(at("write", &copy))?;
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o644))
        .map_err(at("change the mode of", &copy))?;
    Ok(copy)
}

/// Runs `tree | pack`, both writing errors to `log`; true when both succeeded.
fn run_pipeline(
    mut tree: Command,
    mut pack: Command,
    log: &Path,
    progress: &mut dyn FnMut(ImageProgress),
) -> Result<bool, ImageError> {
    let mut log_file = append(log)?;
    tree.stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = |name: &str| at("start", Path::new(name));
    let mut group = Group::spawn(tree, DEADLINE).map_err(start("mmdebstrap"))?;
    let tar = group.leader().stdout.take().expect("stdout was piped");
    let messages = group.leader().stderr.take().expect("stderr was piped");
    let mut packer = pack
        .stdin(tar)
        .stdout(log_file.try_clone().map_err(at("open", log))?)
        .stderr(log_file.try_clone().map_err(at("open", log))?)
        .process_group(group.id())
        .spawn()
        .map_err(start("sqfstar"))?;
    // The command holds the reading end of the tar pipe: kept, a dead packer would go unnoticed.
    drop(pack);

    let mut messages = BufReader::new(messages);
    let mut line = Vec::new();
    while messages.read_until(b'\n', &mut line).map_err(at("read messages of", log))? > 0 {
        log_file.write_all(&line).map_err(at("write", log))?;
        let text = String::from_utf8_lossy(&line);
        if let Some(step) = step(&text) {
            progress(ImageProgress::Step(step));
        }
        line.clear();
    }
    let tree_ended = group.wait().map_err(at("wait for", Path::new("mmdebstrap")))?;
    let pack_ended = packer.wait().map_err(at("wait for", Path::new("sqfstar")))?;
    for (name, status) in [("mmdebstrap", tree_ended), ("sqfstar", pack_ended)] {
        if !status.success() {
            writeln!(log_file, "{name} ended with {status}").map_err(at("write", log))?;
        }
    }
    Ok(tree_ended.success() && pack_ended.success())
}

/// Returns the step that a line of mmdebstrap announces.
fn step(line: &str) -> Option<String> {
    let text = line.trim().strip_prefix("I: ")?;
    let text = text.strip_suffix("...")?;
    (!text.contains('/')).then(|| text.to_owned())
}

fn append(path: &Path) -> Result<File, ImageError> {
    OpenOptions::new().create(true).append(true).open(path).map_err(at("open", path))
}

/// Moves the log out of the staging directory, which is about to go, and makes the error of it.
fn failed(log: &Path, images: &Path, key: &str, privilege: Privilege) -> ImageError {
    let kept = images.join(format!("{key}.{LOG}"));
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    if let Err(source) = std::fs::rename(log, &kept) {
        return at("write", &kept)(source);
    }
    ImageError::Build {
        cause: BuildCause::of_log(&text, privilege),
        lines: telling_lines(&text),
        log: kept,
    }
}

/// Lists the packages in the finished image, which at the same time proves that it can be read.
fn read_packages(
    squashfs: &Path,
    log: &Path,
) -> Result<Option<std::collections::BTreeMap<String, String>>, ImageError> {
    let mut command = supervised("unsquashfs");
    command.arg("-cat").arg(squashfs).arg("var/lib/dpkg/status");
    command.stdout(Stdio::piped()).stderr(append(log)?);
    let mut group =
        Group::spawn(command, DEADLINE).map_err(at("start", Path::new("unsquashfs")))?;
    let mut status = String::new();
    let mut output = group.leader().stdout.take().expect("stdout was piped");
    output.read_to_string(&mut status).map_err(at("read", squashfs))?;
    let ended = group.wait().map_err(at("wait for", Path::new("unsquashfs")))?;
    let packages = installed_packages(&status);
    Ok((ended.success() && !packages.is_empty()).then_some(packages))
}

fn measure(path: &Path) -> Result<(u64, String), ImageError> {
    let mut file = File::open(path).map_err(at("open", path))?;
    let mut hash = Sha256::new();
    let size = std::io::copy(&mut file, &mut hash).map_err(at("read", path))?;
    // It is renamed into place next: a power cut must not leave a name with nothing behind it.
    file.sync_all().map_err(at("write", path))?;
    Ok((size, hex::encode(hash.finalize())))
}

/// The directory that becomes the image, removed when dropped before that.
struct Staging {
    path: PathBuf,
    target: PathBuf,
    old_log: PathBuf,
}

impl Staging {
    fn create(images: &Path, key: &str) -> Result<Self, ImageError> {
        let path = images.join(format!(".new-{key}"));
        remove_tree(&path);
        std::fs::create_dir(&path).map_err(at("create directory", &path))?;
        Ok(Self { path, target: images.join(key), old_log: images.join(format!("{key}.{LOG}")) })
    }

    fn publish(self, manifest: &ImageManifest) -> Result<(), ImageError> {
        let path = self.path.join(manifest::FILE);
        let mut text =
            serde_json::to_vec_pretty(manifest).expect("a manifest has string keys only");
        text.push(b'\n');
        std::fs::write(&path, text).map_err(at("write", &path))?;
        sync(&path)?;
        sync(&self.path)?;
        // What is there now, if anything, was found to be unusable.
        remove_tree(&self.target);
        std::fs::rename(&self.path, &self.target).map_err(at("create directory", &self.target))?;
        sync(self.target.parent().unwrap_or(Path::new("/")))?;
        let _ = std::fs::remove_file(&self.old_log);
        Ok(())
    }
}

/// Makes a file, or the names in a directory, durable.
fn sync(path: &Path) -> Result<(), ImageError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(at("write", path))
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.path.exists() {
            remove_tree(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_off_mmdebstraps_messages() {
        let step = |line| step(line);
        assert_eq!(
            step("I: installing essential packages...\n").unwrap(),
            "installing essential packages"
        );
        assert_eq!(step("I: using /var/tmp/x as tempdir\n"), None);
        assert_eq!(step("I: removing tempdir /var/tmp/x...\n"), None);
        assert_eq!(step("W: something...\n"), None);
    }
}
