//! One start of QEMU with a guest that proves that it runs.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use super::found::Accelerator;
use super::payload::{PROOF, boot_sector, pvh_kernel};
use crate::process::run_within;

/// How long a guest may take to say that it runs. A working KVM needs well under a second, one inside
/// an emulated machine some seconds.
const DEADLINE: Duration = Duration::from_secs(20);
/// Exit status of QEMU when the guest wrote [`PROOF`] to the debug-exit device.
const PROOF_STATUS: i32 = (PROOF as i32) << 1 | 1;

/// What is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A disk that the firmware boots.
    BootSector,
    /// A kernel that is entered by its PVH entry.
    Pvh,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The guest ran; it took this long from the start of QEMU.
    Proof(Duration),
    /// QEMU ended without the proof.
    Ended {
        /// Its exit status, in words.
        status: String,
        /// The first line that it printed.
        said: Option<String>,
    },
    /// Nothing came in time.
    Silent,
    /// It was not started at all.
    NotStarted(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proof(took) => write!(f, "a guest ran after {} ms", took.as_millis()),
            Self::Ended { status, said: Some(said) } => {
                write!(f, "QEMU ended with {status}: {said}")
            }
            Self::Ended { status, said: None } => {
                write!(f, "QEMU ended with {status} and said nothing")
            }
            Self::Silent => {
                write!(f, "a guest gave no sign of life within {} s", DEADLINE.as_secs())
            }
            Self::NotStarted(why) => write!(f, "QEMU could not be started: {why}"),
        }
    }
}

/// QEMU's arguments for a payload in a file.
pub fn arguments(
    accelerator: Accelerator,
    payload: Payload,
    file: &Path,
) -> Vec<std::ffi::OsString> {
    let cpu = match accelerator {
        Accelerator::Kvm => "host",
        Accelerator::Tcg => "max",
    };
    let machine = format!("pc,accel={accelerator}");
    let mut arguments: Vec<std::ffi::OsString> = Vec::new();
    arguments.extend(
        ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-m", "64"]
            .map(Into::into),
    );
    arguments.extend(["-machine", machine.as_str(), "-cpu", cpu].map(Into::into));
    arguments.extend(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"].map(Into::into));
    match payload {
        Payload::Pvh => arguments.extend(["-kernel".into(), file.into()]),
        // An IDE disk cannot be read-only.
        Payload::BootSector => {
            let mut drive = std::ffi::OsString::from("format=raw,if=virtio,readonly=on,file=");
            drive.push(escaped(file));
            arguments.extend(["-drive".into(), drive]);
        }
    }
    arguments
}

/// Starts QEMU with a payload and waits for the proof.
pub fn start(qemu: &Path, accelerator: Accelerator, payload: Payload) -> Outcome {
    match try_start(qemu, accelerator, payload) {
        Ok(outcome) => outcome,
        Err(error) => Outcome::NotStarted(error.to_string()),
    }
}

fn try_start(qemu: &Path, accelerator: Accelerator, payload: Payload) -> std::io::Result<Outcome> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("probe");
    let content = match payload {
        Payload::BootSector => boot_sector(),
        Payload::Pvh => pvh_kernel(),
    };
    fs::write(&file, content)?;
    let mut command = Command::new(qemu);
    command.args(arguments(accelerator, payload, &file));
    let began = Instant::now();
    match run_within(command, DEADLINE, 1 << 16) {
        Ok(ended) => {
            let said = String::from_utf8_lossy(&ended.stderr);
            Ok(judge(ended.status, began.elapsed(), &said))
        }
        Err(error) if error.kind() == ErrorKind::TimedOut => Ok(Outcome::Silent),
        Err(error) => Err(error),
    }
}

pub(super) fn judge(status: ExitStatus, took: Duration, stderr: &str) -> Outcome {
    let said = stderr.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned);
    if status.code() == Some(PROOF_STATUS) {
        return Outcome::Proof(took);
    }
    Outcome::Ended { status: status.to_string(), said }
}

/// Doubles the commas of a path: they separate QEMU's options.
pub(crate) fn escaped(path: &Path) -> std::ffi::OsString {
    path.display().to_string().replace(',', ",,").into()
}
