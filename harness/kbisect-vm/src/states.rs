//! Saved states of machines: a kernel boots once, and later trials go on from where user space was
//! up. A cache: every entry can be thrown away, and a machine that has none boots.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use kbisect_core::trial::BootId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::accel::Accelerator;
use crate::guest;
use crate::qemu::{CommandLine, Qemu, StateFile};

/// Version of what is kept, and how.
const FORMAT: u32 = 3;
/// Bytes that stay free on the file system, at the least.
const ROOM: u64 = 2 << 30;
/// Bytes that the cache may hold when nothing else is said.
pub const DEFAULT_LIMIT: u64 = 4 << 30;

/// The cache.
#[derive(Clone, Debug)]
pub struct States {
    directory: PathBuf,
    limit: u64,
}

/// What a state depends on: the machine's command line, its files, the guest program, QEMU, and the
/// processor under KVM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateKey {
    hash: String,
    /// The files whose content it rests on.
    files: Vec<PathBuf>,
}

/// Why a state is not gone on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsound {
    /// It is damaged.
    State,
    /// A file that it rests on is not what it was, though size and time are.
    File(PathBuf),
}

/// The place of one state in the cache.
#[derive(Clone, Debug)]
pub struct Slot {
    states: States,
    key: StateKey,
}

/// What is known of a state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    format: u32,
    /// Kernel image that it was booted from; without it the state is of no use.
    kernel: PathBuf,
    /// The boot that it was saved from.
    pub boot: BootId,
    /// `uname -r`.
    pub release: String,
    /// Boot modules that did not load.
    pub failed_modules: Vec<String>,
    /// Milliseconds that the guest was up.
    pub uptime_ms: u64,
    /// When it was saved, in milliseconds since 1970-01-01 UTC.
    pub saved_ms: u64,
    bytes: u64,
    /// BLAKE3 of the state, and of the files that the machine was booted from.
    digest: String,
    files: BTreeMap<PathBuf, String>,
}

/// A state that a machine can go on from.
#[derive(Debug)]
pub struct Saved {
    /// The state, open for reading.
    pub file: File,
    /// What it is made of.
    pub content: Content,
    /// What is known of it.
    pub about: About,
    /// What the console printed until then.
    pub console: Vec<u8>,
}

/// The content of a state and of what it rests on.
#[derive(Debug)]
pub struct Content {
    state: File,
    about: About,
}

/// A place for a state that is about to be saved. Dropping it leaves nothing behind.
#[derive(Debug)]
pub struct Draft {
    /// Where it will be.
    pub slot: Slot,
    kernel: PathBuf,
    folder: tempfile::TempDir,
    /// The boot that it is of.
    pub boot: BootId,
    /// The state's file, open for writing.
    pub file: File,
}

/// What the guest said of itself before it was saved.
#[derive(Clone, Debug)]
pub struct Guest {
    /// `uname -r`.
    pub release: String,
    /// Boot modules that did not load.
    pub failed_modules: Vec<String>,
    /// Milliseconds that it was up.
    pub uptime_ms: u64,
    /// What the console printed until then.
    pub console: Vec<u8>,
}

impl States {
    /// A cache below `cache` that holds at most `limit` bytes.
    pub fn new(cache: &Path, limit: u64) -> Self {
        Self { directory: cache.join("states"), limit }
    }

    /// The key of a machine's state. Files count by path, size and time of change; their content is for
    /// [`Content::verify`].
    pub fn key(
        qemu: &Qemu,
        line: &CommandLine<'_>,
        boot_modules: Option<&Path>,
        loaded: &[String],
    ) -> io::Result<StateKey> {
        static PROGRAM: OnceLock<String> = OnceLock::new();
        let nics: Vec<_> =
            line.nics.iter().map(|nic| crate::qemu::NicSpec { socket: 0, ..nic.clone() }).collect();
        let plain = CommandLine {
            name: "any",
            initramfs: Path::new("composed"),
            console: 0,
            qmp: 0,
            channel: 0,
            nics: &nics,
            vmcore: line.vmcore.map(|_| 0),
            state: Some(StateFile::Save(0)),
            ..line.clone()
        };
        let program = PROGRAM.get_or_init(|| hex::encode(Sha256::digest(guest::PROGRAM)));
        let mut words = vec![
            format!("format {FORMAT} protocol {}", kbisect_proto::PROTOCOL),
            qemu.version.clone(),
            program.clone(),
            processor(line.accelerator),
        ];
        words.extend(plain.arguments());
        words.extend(loaded.iter().map(|module| format!("loaded {module}")));
        let files = [Some(line.kernel), Some(line.root), line.modules, boot_modules];
        for path in [Some(qemu.path.as_path())].into_iter().chain(files) {
            words.push(path.map_or(Ok("none".to_owned()), fingerprint)?);
        }
        let hash = hex::encode(Sha256::digest(words.join("\0")));
        Ok(StateKey { hash, files: files.into_iter().flatten().map(Path::to_owned).collect() })
    }

    /// Finds a state. One that is not whole is removed; whether it is sound is for [`Content::verify`].
    pub fn find(&self, key: &StateKey) -> Option<Saved> {
        let folder = self.directory.join(&key.hash);
        let text = fs::read(folder.join("about.json")).ok()?;
        let found = read(&folder, &text);
        match &found {
            // What was used last stays longest.
            Some(_) => drop(
                File::options()
                    .append(true)
                    .open(folder.join("about.json"))
                    .and_then(|file| file.set_modified(SystemTime::now())),
            ),
            None => self.forget(key),
        }
        found
    }

    /// Makes room for a new state; nothing when the disk is too full.
    pub fn begin(&self, key: &StateKey, kernel: &Path) -> io::Result<Option<Draft>> {
        fs::create_dir_all(&self.directory)?;
        let disk = rustix::fs::statvfs(&self.directory)?;
        if disk.f_bavail.saturating_mul(disk.f_frsize) < ROOM {
            return Ok(None);
        }
        let folder = tempfile::Builder::new().prefix(PARTIAL).tempdir_in(&self.directory)?;
        let file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(folder.path().join("state"))?;
        let (slot, kernel) = (self.slot(key), kernel.to_owned());
        Ok(Some(Draft { slot, kernel, folder, boot: a_boot(), file }))
    }

    /// Where the state of this key is, or would be.
    pub fn slot(&self, key: &StateKey) -> Slot {
        Slot { states: self.clone(), key: key.clone() }
    }

    /// Removes a state, if it is there.
    pub fn forget(&self, key: &StateKey) {
        let _ = fs::remove_dir_all(self.directory.join(&key.hash));
    }

    /// Bytes and number of the states that are there.
    pub fn held(&self) -> (u64, usize) {
        let entries = self.entries();
        (entries.iter().map(|entry| entry.bytes).sum(), entries.len())
    }

    /// Removes states whose kernel is gone, then those that were not used for longest, until the
    /// rest is within `limit` bytes. Gives the bytes that were freed.
    pub fn prune(&self, limit: u64) -> u64 {
        let mut entries = self.entries();
        entries.sort_by_key(|entry| (entry.alive, entry.used));
        let mut held: u64 = entries.iter().map(|entry| entry.bytes).sum();
        let before = held;
        for entry in entries {
            if entry.alive && held <= limit {
                break;
            }
            if fs::remove_dir_all(&entry.folder).is_ok() {
                held -= entry.bytes;
            }
        }
        before - held
    }

    fn entries(&self) -> Vec<Entry> {
        fs::read_dir(&self.directory).into_iter().flatten().flatten().filter_map(entry).collect()
    }
}

/// A name for a boot that no other has.
pub fn a_boot() -> BootId {
    static BOOTS: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let number = BOOTS.fetch_add(1, Ordering::Relaxed);
    BootId(format!("{:x}-{:x}-{number}", now.as_nanos(), std::process::id()))
}

/// Begins the names of folders that are not complete.
const PARTIAL: &str = "partial-";

struct Entry {
    folder: PathBuf,
    bytes: u64,
    used: SystemTime,
    /// Whether it can be used again.
    alive: bool,
}

fn entry(found: fs::DirEntry) -> Option<Entry> {
    let folder = found.path();
    let text = fs::read(folder.join("about.json")).ok();
    let about = text.and_then(|text| serde_json::from_slice::<About>(&text).ok());
    let bytes = fs::metadata(folder.join("state")).map_or(0, |data| data.len());
    let file = if about.is_some() { folder.join("about.json") } else { folder.clone() };
    let used = fs::metadata(file).and_then(|data| data.modified()).ok()?;
    // Another process may be at it; what was left by one that was killed goes after an hour.
    let fresh = used.elapsed().is_ok_and(|age| age.as_secs() < 3600);
    let alive = match about {
        Some(about) => about.format == FORMAT && about.kernel.exists(),
        None => fresh,
    };
    Some(Entry { folder, bytes, used, alive })
}

impl Content {
    /// Compares it with what it was when the state was saved. Each file is read once in the life of this
    /// process, and again when inode, size or time changed.
    pub fn verify(&self) -> Result<(), Unsound> {
        for (path, was) in &self.about.files {
            let is = File::open(path).and_then(|file| digest::of(&file));
            if is.ok().as_ref() != Some(was) {
                return Err(Unsound::File(path.clone()));
            }
        }
        let is = digest::of(&self.state);
        if is.ok().as_ref() == Some(&self.about.digest) { Ok(()) } else { Err(Unsound::State) }
    }
}

impl Slot {
    /// Removes the state, if it is there.
    pub fn forget(&self) {
        self.states.forget(&self.key);
    }
}

impl Draft {
    /// Keeps the state, which was written and belongs to this guest.
    ///
    /// # Errors
    /// Those of the files; nothing is kept then.
    pub fn keep(self, guest: Guest) -> io::Result<()> {
        let Self { slot: Slot { states, key }, kernel, folder, boot, file } = self;
        drop(file);
        let state = File::open(folder.path().join("state"))?;
        let (bytes, digest) = (state.metadata()?.len(), digest::of(&state)?);
        let files =
            key.files.iter().map(|path| Ok((path.clone(), digest::of(&File::open(path)?)?)));
        let files = files.collect::<io::Result<_>>()?;
        let saved = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let Guest { release, failed_modules, uptime_ms, console } = guest;
        let saved_ms = saved.as_millis() as u64;
        let about = About {
            format: FORMAT,
            kernel,
            boot,
            release,
            failed_modules,
            uptime_ms,
            saved_ms,
            bytes,
            digest,
            files,
        };
        fs::write(folder.path().join("console.log"), console)?;
        fs::write(folder.path().join("about.json"), serde_json::to_vec(&about)?)?;
        // The newest boot is the one to go on from; a twin that another process saves meanwhile is as good.
        states.forget(&key);
        if fs::rename(folder.path(), states.directory.join(&key.hash)).is_ok() {
            let _ = folder.keep();
            // What is in it has a check sum: after a power cut, it is whole or not used.
            File::open(&states.directory)?.sync_all()?;
        }
        states.prune(states.limit);
        Ok(())
    }
}

fn read(folder: &Path, about: &[u8]) -> Option<Saved> {
    let about: About = serde_json::from_slice(about).ok()?;
    let file = File::open(folder.join("state")).ok()?;
    // Opened twice: QEMU reads from where it is.
    let content = Content { state: File::open(folder.join("state")).ok()?, about: about.clone() };
    let console = fs::read(folder.join("console.log")).ok()?;
    let whole = file.metadata().ok()?.len() == about.bytes;
    (about.format == FORMAT && whole).then_some(Saved { file, content, about, console })
}

fn fingerprint(path: &Path) -> io::Result<String> {
    let data = fs::metadata(path)?;
    let changed = data.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{} {} {}", path.display(), data.len(), changed.as_nanos()))
}

/// What the guest sees of the processor: all of it under KVM, nothing under emulation.
fn processor(accelerator: Accelerator) -> String {
    if accelerator == Accelerator::Tcg {
        return String::new();
    }
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let first = text.split("\n\n").next().unwrap_or_default();
    let telling =
        ["vendor_id", "cpu family", "model", "model name", "stepping", "microcode", "flags"];
    let told =
        |line: &&str| line.split_once(':').is_some_and(|(name, _)| telling.contains(&name.trim()));
    first.lines().filter(told).collect::<Vec<_>>().join("\n")
}

mod digest;
#[cfg(test)]
mod tests;
