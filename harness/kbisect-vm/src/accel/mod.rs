//! How QEMU runs guests here: KVM when it really works, else TCG; whether it boots kernels by their
//! PVH entry; how fast.

mod found;
mod memory;
mod payload;
mod start;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub use self::found::{Accelerator, NoKvm, Probe};
pub use self::start::{Outcome, Payload, arguments, start};

use self::memory::Memory;
use crate::process::stop_flag;
use crate::timing::Speed;

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

#[cfg(test)]
mod tests;
