//! The accelerator: KVM when it really works, else TCG.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::process::{die_with_us, kill_group};

/// How QEMU runs guest code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accelerator {
    /// Hardware virtualisation.
    Kvm,
    /// Emulation.
    Tcg,
}

impl Accelerator {
    /// Factor for deadlines: how much longer things may take than under KVM.
    #[must_use]
    pub fn slowness(self) -> f64 {
        match self {
            Self::Kvm => 1.0,
            Self::Tcg => 4.0,
        }
    }
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        })
    }
}

/// What was found out about the accelerator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// The one to use.
    pub accelerator: Accelerator,
    /// Why KVM is not used, when it is not.
    pub reason: Option<String>,
}

/// How long a guest may take to say that it runs. A working KVM needs well under a second.
const DEADLINE: Duration = Duration::from_secs(8);

/// Exit status of QEMU when the guest wrote [`PROOF`] to the debug-exit device: `value << 1 | 1`.
const PROOF_STATUS: i32 = (PROOF as i32) << 1 | 1;
const PROOF: u8 = 0x2a;

/// Probes with a real start, or takes what a probe since the host's boot found.
///
/// # Errors
/// An unusable QEMU is none of this function's business: it then says TCG, and the first machine
/// that is started gives the error.
#[must_use]
pub fn probe(qemu: &Path, cache: &Path, again: bool) -> Probe {
    let memory = Memory::at(cache, qemu);
    if !again && let Some(found) = memory.as_ref().and_then(Memory::recall) {
        return found;
    }
    let found = match try_kvm(qemu) {
        Ok(()) => Probe { accelerator: Accelerator::Kvm, reason: None },
        Err(reason) => Probe { accelerator: Accelerator::Tcg, reason: Some(reason) },
    };
    if let Some(memory) = memory {
        memory.remember(&found);
    }
    found
}

/// Corrects the memory: KVM passed the probe, but a kernel would not boot under it.
pub fn distrust_kvm(qemu: &Path, cache: &Path, reason: &str) -> Probe {
    let found = Probe { accelerator: Accelerator::Tcg, reason: Some(reason.to_owned()) };
    if let Some(memory) = Memory::at(cache, qemu) {
        memory.remember(&found);
    }
    found
}

fn try_kvm(qemu: &Path) -> Result<(), String> {
    if !Path::new("/dev/kvm").exists() {
        return Err("/dev/kvm does not exist".to_owned());
    }
    if let Err(error) = fs::OpenOptions::new().read(true).write(true).open("/dev/kvm") {
        return Err(format!("/dev/kvm cannot be opened: {error}"));
    }
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let disk = directory.path().join("probe.img");
    fs::write(&disk, boot_sector()).map_err(|error| error.to_string())?;
    let mut command = Command::new(qemu);
    command
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-m", "64"])
        .args(["-machine", "pc,accel=kvm", "-cpu", "host"])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"])
        .arg("-drive")
        .arg(format!("file={},format=raw,if=ide,readonly=on", disk.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    die_with_us(&mut command);
    let mut child = command.spawn().map_err(|error| format!("{}: {error}", qemu.display()))?;
    let deadline = Instant::now() + DEADLINE;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            _ => break None,
        }
    };
    if status.is_none() {
        kill_group(child.id());
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    judge(status, &String::from_utf8_lossy(&output.stderr))
}

fn judge(status: Option<ExitStatus>, stderr: &str) -> Result<(), String> {
    let said =
        stderr.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing");
    match status {
        Some(status) if status.code() == Some(PROOF_STATUS) => Ok(()),
        Some(status) => Err(format!("QEMU with KVM ended with {status}: {said}")),
        None => Err(format!(
            "a guest under KVM gave no sign of life within {} s (it spins in the firmware)",
            DEADLINE.as_secs()
        )),
    }
}

/// A boot sector that writes [`PROOF`] to the debug-exit device and halts.
fn boot_sector() -> Vec<u8> {
    // mov al, PROOF; out 0xf4, al; cli; hlt; jmp $
    let mut sector = vec![0xb0, PROOF, 0xe6, 0xf4, 0xfa, 0xf4, 0xeb, 0xfe];
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    // SeaBIOS wants to see a disk of some size.
    sector.resize(1 << 20, 0);
    sector
}

/// The answer of an earlier probe, good until the host boots again or QEMU changes.
struct Memory {
    path: PathBuf,
    key: String,
}

#[derive(Serialize, Deserialize)]
struct Remembered {
    key: String,
    found: Probe,
}

impl Memory {
    fn at(cache: &Path, qemu: &Path) -> Option<Self> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let binary = fs::metadata(qemu).ok()?;
        let changed = binary.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
        let access = rustix::process::geteuid().as_raw();
        let key = format!("{} {} {changed} uid {access}", boot.trim(), qemu.display());
        Some(Self { path: cache.join("accelerator.json"), key })
    }

    fn recall(&self) -> Option<Probe> {
        let remembered: Remembered = serde_json::from_slice(&fs::read(&self.path).ok()?).ok()?;
        (remembered.key == self.key).then_some(remembered.found)
    }

    /// Failing to remember costs a probe next time, nothing else.
    fn remember(&self, found: &Probe) {
        let record = Remembered { key: self.key.clone(), found: found.clone() };
        let Some(directory) = self.path.parent() else { return };
        let _ = fs::create_dir_all(directory);
        let written = tempfile::NamedTempFile::new_in(directory).and_then(|file| {
            serde_json::to_writer(&file, &record).map_err(Into::into).map(|()| file)
        });
        if let Ok(file) = written {
            let _ = file.persist(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn only_the_proof_counts() {
        let ended = |code: i32| Some(ExitStatus::from_raw(code << 8));
        assert_eq!(judge(ended(PROOF_STATUS), ""), Ok(()));
        assert!(judge(ended(0), "").is_err(), "a clean exit proves nothing");
        let aborted =
            judge(Some(ExitStatus::from_raw(6)), "\nkvm: error: failed to set MSR 0x48b\n");
        assert!(aborted.unwrap_err().contains("failed to set MSR"));
        assert!(judge(None, "").unwrap_err().contains("no sign of life"));
    }

    #[test]
    fn a_probe_is_remembered_for_this_boot_and_this_qemu() {
        let cache = tempfile::tempdir().unwrap();
        let qemu = Path::new("/proc/self/exe");
        let found = distrust_kvm(qemu, cache.path(), "test");
        assert_eq!(probe(qemu, cache.path(), false), found);
        let other = Memory { path: cache.path().join("accelerator.json"), key: "other".to_owned() };
        assert_eq!(other.recall(), None);
    }
}
