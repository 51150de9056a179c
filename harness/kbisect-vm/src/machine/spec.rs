//! What a machine is made of.

use std::io;
use std::path::{Path, PathBuf};

use crate::accel::Accelerator;
use crate::pulse::{Pulse, Side};
use crate::qemu::{CommandLine, NicSpec, Qemu};
use crate::states::{StateKey, States};
use crate::times::Times;
use crate::timing::Timing;

/// What a machine is made of.
#[derive(Clone, Debug)]
pub struct MachineSpec {
    /// `candidate` or `peer`.
    pub name: String,
    /// QEMU.
    pub qemu: Qemu,
    /// Accelerator.
    pub accelerator: Accelerator,
    /// Kernel image.
    pub kernel: PathBuf,
    /// Initramfs.
    pub initramfs: PathBuf,
    /// Root image.
    pub root: PathBuf,
    /// Module image.
    pub modules: Option<PathBuf>,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Words added to the kernel command line.
    pub cmdline: Vec<String>,
    /// Modules that are loaded before its state is saved.
    pub preload: Vec<String>,
    /// Hardware addresses that its interfaces boot with.
    pub macs: Vec<[u8; 6]>,
    /// Folder for console.log, qemu.log and qemu.cmdline.
    pub directory: PathBuf,
    /// Limits.
    pub timing: Timing,
    /// Who looks after it.
    pub pulse: Pulse,
    /// Whose machine it is.
    pub side: Side,
    /// Where waits are noted.
    pub times: Times,
    /// File that its memory is dumped to if that is asked for; it is made at once, so that QEMU
    /// inherits it open and opens nothing by name.
    pub vmcore: Option<PathBuf>,
}

impl MachineSpec {
    /// The key of its state, with these modules loaded; see [`States::key`].
    pub fn state_key(
        &self,
        boot_modules: Option<&Path>,
        loaded: &[String],
    ) -> io::Result<StateKey> {
        let nics = self.nics(std::iter::repeat(0));
        let line =
            CommandLine { vmcore: self.vmcore.as_ref().map(|_| 0), ..self.command_line(&nics) };
        States::key(&self.qemu, &line, boot_modules, loaded)
    }

    pub(super) fn nics(&self, sockets: impl Iterator<Item = i32>) -> Vec<NicSpec> {
        self.macs.iter().zip(sockets).map(|(mac, socket)| NicSpec { mac: *mac, socket }).collect()
    }

    /// The command line, without the numbers of what QEMU inherits.
    pub(super) fn command_line<'a>(&'a self, nics: &'a [NicSpec]) -> CommandLine<'a> {
        CommandLine {
            name: &self.name,
            accelerator: self.accelerator,
            kernel: &self.kernel,
            initramfs: &self.initramfs,
            root: &self.root,
            modules: self.modules.as_deref(),
            memory_mib: self.memory_mib,
            cpus: self.cpus,
            cmdline: &self.cmdline,
            console: 0,
            qmp: 0,
            channel: 0,
            nics,
            vmcore: None,
            state: None,
        }
    }
}
