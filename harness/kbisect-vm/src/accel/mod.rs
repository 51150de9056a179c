//! How QEMU runs guests here: KVM when it really works, else TCG; whether it boots kernels by their
//! PVH entry; how fast.

mod memory;
mod payload;
mod start;

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::start::{Outcome, Payload, arguments, start};

use self::memory::Memory;
use crate::process::stop_flag;
use crate::timing::Speed;

/// How QEMU runs guest code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accelerator {
    /// Hardware virtualisation.
    Kvm,
    /// Emulation.
    Tcg,
}

impl fmt::Display for Accelerator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        })
    }
}

/// What was found out about this host and its QEMU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The accelerator to use.
    pub accelerator: Accelerator,
    /// Why KVM is not used, when it is not.
    pub no_kvm: Option<NoKvm>,
    /// Why kernels cannot be booted by their PVH entry, if they cannot.
    pub no_pvh: Option<String>,
    /// How long guests take for what they do.
    pub speed: Speed,
}

/// Why KVM is not used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum NoKvm {
    /// The user wants emulation.
    #[error("asked for on the command line")]
    NotWanted,
    /// There is no device.
    #[error("/dev/kvm does not exist")]
    Absent,
    /// The device is for its owner alone.
    #[error("/dev/kvm is for its owner only")]
    OwnerOnly,
    /// The device is not for this user.
    #[error("/dev/kvm is for the group `{group}` only, and this user is not in it")]
    NoPermission {
        /// The device's group.
        group: String,
    },
    /// The device cannot be opened for another reason.
    #[error("/dev/kvm cannot be opened: {0}")]
    CannotOpen(String),
    /// QEMU runs under emulation what it does not run with KVM.
    #[error("{0}")]
    Unusable(String),
    /// What proves that KVM works did not run under emulation either, so nothing is known of KVM.
    #[error(
        "it could not be tried: the guest that proves it does not run under emulation either ({0})"
    )]
    Untried(String),
    /// A kernel that is known to work did not boot with it.
    #[error("{0}")]
    Distrusted(String),
}

impl NoKvm {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NotWanted => "leave `--accel tcg` out to use KVM".to_owned(),
            Self::Absent => "switch on virtualisation in the firmware (or nested virtualisation on the \
                             host of this machine); trials work without, only slower"
                .to_owned(),
            Self::OwnerOnly => "give a group access: `sudo chgrp kvm /dev/kvm && sudo chmod 660 /dev/kvm`, and be in \
                                that group"
                .to_owned(),
            Self::NoPermission { group } => {
                format!("run `sudo adduser $USER {group}`, and log in again")
            }
            Self::CannotOpen(_) | Self::Unusable(_) | Self::Distrusted(_) => {
                "trials work without, only slower; `kbisect doctor --again` tries KVM again".to_owned()
            }
            Self::Untried(_) => {
                "this is an error of kbisect or of this QEMU, not of KVM: please report it with the \
                 output of `kbisect doctor --again`"
                    .to_owned()
            }
        }
    }
}

/// Which accelerator the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// KVM when it works.
    Auto,
    /// KVM, tried again whatever was found before.
    AutoAgain,
    /// Emulation.
    Tcg,
}

/// Probes with real starts, or takes what a probe since the host's boot found.
///
/// An unusable QEMU is none of this function's business: it then says TCG, and the first machine
/// that is started gives the error.
#[must_use]
pub fn probe(qemu: &Path, cache: &Path, wish: Wish) -> Probe {
    let no_kvm = match wish {
        Wish::Tcg => Some(NoKvm::NotWanted),
        Wish::Auto | Wish::AutoAgain => open_device().err(),
    };
    // A device that cannot be opened is looked at each time: that costs nothing, and groups change.
    let accelerator = if no_kvm.is_none() { Accelerator::Kvm } else { Accelerator::Tcg };
    let memory = Memory::at(cache, qemu, accelerator);
    let recalled = memory.as_ref().filter(|_| wish != Wish::AutoAgain).and_then(Memory::recall);
    let found = recalled.unwrap_or_else(|| {
        let found = match accelerator {
            Accelerator::Kvm => try_kvm(qemu),
            Accelerator::Tcg => emulation(qemu).probe(NoKvm::NotWanted),
        };
        // A probe that was cut off knows nothing.
        if let Some(memory) = memory.filter(|_| !stop_flag().load(Ordering::SeqCst)) {
            memory.remember(&found);
        }
        found
    });
    Probe { no_kvm: no_kvm.or(found.no_kvm), ..found }
}

/// Corrects the memory: KVM passed the probe, but a kernel would not boot under it.
pub fn distrust_kvm(qemu: &Path, cache: &Path, reason: &str) -> Probe {
    let found = emulation(qemu).probe(NoKvm::Distrusted(reason.to_owned()));
    if let Some(memory) = Memory::at(cache, qemu, Accelerator::Kvm) {
        memory.remember(&found);
    }
    found
}

fn open_device() -> Result<(), NoKvm> {
    const DEVICE: &str = "/dev/kvm";
    let error = match fs::OpenOptions::new().read(true).write(true).open(DEVICE) {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    Err(match error.kind() {
        std::io::ErrorKind::NotFound => NoKvm::Absent,
        std::io::ErrorKind::PermissionDenied => whose(DEVICE),
        _ => NoKvm::CannotOpen(error.to_string()),
    })
}

/// Who may open a device that this user may not.
fn whose(path: &str) -> NoKvm {
    const GROUP_MAY: u32 = 0o060;
    match fs::metadata(path) {
        Ok(data) if data.mode() & GROUP_MAY == GROUP_MAY => {
            NoKvm::NoPermission { group: group_of(&data) }
        }
        _ => NoKvm::OwnerOnly,
    }
}

/// The name of the group that a file belongs to, or its number (group(5)).
fn group_of(data: &fs::Metadata) -> String {
    let number = data.gid().to_string();
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    groups
        .lines()
        .find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1) == Some(&number)).then(|| name.to_owned())
        })
        .unwrap_or(number)
}

fn try_kvm(qemu: &Path) -> Probe {
    let kvm = Accelerator::Kvm;
    let by_pvh = start(qemu, kvm, Payload::Pvh);
    if let Outcome::Proof(took) = by_pvh {
        return found(kvm, None, None, measure(qemu, kvm, Payload::Pvh, took));
    }
    // The control: what does not run under emulation either says nothing about KVM.
    let control = emulation(qemu);
    if control.no_pvh.is_none() {
        return control.probe(NoKvm::Unusable(by_pvh.to_string()));
    }
    match start(qemu, kvm, Payload::BootSector) {
        Outcome::Proof(took) => {
            found(kvm, None, control.no_pvh, measure(qemu, kvm, Payload::BootSector, took))
        }
        failed => {
            let why = match control.speed {
                Ok(_) => NoKvm::Unusable(failed.to_string()),
                Err(ref neither) => NoKvm::Untried(neither.to_string()),
            };
            control.probe(why)
        }
    }
}

/// How fast guests are, by the quickest of some starts: what else the host does at that moment is not
/// its speed.
fn measure(qemu: &Path, accelerator: Accelerator, payload: Payload, first: Duration) -> Speed {
    const MORE: u32 = 2;
    let again = (0..MORE).filter_map(|_| match start(qemu, accelerator, payload) {
        Outcome::Proof(took) => Some(took),
        _ => None,
    });
    Speed::of_probe(again.fold(first, Duration::min))
}

/// What guests do under emulation.
struct Emulation {
    no_pvh: Option<String>,
    speed: Result<Speed, Outcome>,
}

fn emulation(qemu: &Path) -> Emulation {
    let tcg = Accelerator::Tcg;
    let by_pvh = start(qemu, tcg, Payload::Pvh);
    if let Outcome::Proof(took) = by_pvh {
        let speed = measure(qemu, tcg, Payload::Pvh, took);
        return Emulation { no_pvh: None, speed: Ok(speed) };
    }
    let speed = match start(qemu, tcg, Payload::BootSector) {
        Outcome::Proof(took) => Ok(measure(qemu, tcg, Payload::BootSector, took)),
        failed => Err(failed),
    };
    Emulation { no_pvh: Some(by_pvh.to_string()), speed }
}

impl Emulation {
    fn probe(self, why: NoKvm) -> Probe {
        let speed = self.speed.unwrap_or(Speed::unknown());
        found(Accelerator::Tcg, Some(why), self.no_pvh, speed)
    }
}

fn found(
    accelerator: Accelerator,
    no_kvm: Option<NoKvm>,
    no_pvh: Option<String>,
    speed: Speed,
) -> Probe {
    Probe { accelerator, no_kvm, no_pvh, speed }
}

/// Doubles the commas of a path: they separate QEMU's options.
pub(crate) fn escaped(path: &Path) -> OsString {
    path.display().to_string().replace(',', ",,").into()
}

#[cfg(test)]
mod tests;
