//! QEMU's command line, and what version it is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use kbisect_process::run_within;

use crate::accel::Accelerator;

/// Oldest QEMU that will do: `-netdev stream` came with 7.2.
pub const OLDEST: (u32, u32) = (7, 2);

/// The program.
pub const PROGRAM: &str = "qemu-system-x86_64";

/// Why QEMU cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QemuError {
    /// It is not installed.
    #[error("{PROGRAM} is not installed")]
    Missing,
    /// It cannot be run.
    #[error("cannot run {path}")]
    Run {
        /// Path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It does not say its version.
    #[error("{path} does not say which version it is")]
    Unknown {
        /// Path.
        path: PathBuf,
    },
    /// It is too old.
    #[error("{path} is version {version}, kbisect needs {}.{}", OLDEST.0, OLDEST.1)]
    TooOld {
        /// Path.
        path: PathBuf,
        /// Its version.
        version: String,
    },
}

impl QemuError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Missing | Self::TooOld { .. } => {
                "install the package qemu-system-x86 (scripts/deps does; if qemu-utils comes from \
                 backports, QEMU must too)"
                    .to_owned()
            }
            Self::Run { path, .. } | Self::Unknown { path } => {
                format!("try `{} --version`", path.display())
            }
        })
    }
}

/// A QEMU that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Qemu {
    /// Path.
    pub path: PathBuf,
    /// Version text: `10.0.2`.
    pub version: String,
}

impl Qemu {
    /// Finds QEMU: `explicit` if given, else in `PATH`, and checks its version.
    pub fn find(explicit: Option<&Path>) -> Result<Self, QemuError> {
        let path = match explicit {
            Some(path) => path.to_owned(),
            None => in_path(PROGRAM).ok_or(QemuError::Missing)?,
        };
        let mut command = Command::new(&path);
        command.arg("--version");
        let output = run_within(command, Duration::from_secs(60), 1 << 16)
            .map_err(|source| QemuError::Run { path: path.clone(), source })?;
        let text = String::from_utf8_lossy(&output.stdout);
        let Some((version, number)) = parse_version(&text) else {
            return Err(QemuError::Unknown { path });
        };
        if number < OLDEST {
            return Err(QemuError::TooOld { path, version });
        }
        Ok(Self { path, version })
    }
}

impl Qemu {
    /// Whether a machine's state can be kept in a file that QEMU inherits: from 8.2 on.
    pub fn keeps_states(&self) -> bool {
        self.number() >= Some((8, 2))
    }

    fn number(&self) -> Option<(u32, u32)> {
        parse_version(&format!("version {}", self.version)).map(|(_, number)| number)
    }

    /// The compressed format of memory dumps. Before 8.2 QEMU knows the flattened form only, which
    /// `crash` reads too.
    pub fn dump_format(&self) -> &'static str {
        if self.number() >= Some((8, 2)) { "kdump-raw-zlib" } else { "kdump-zlib" }
    }
}

/// What the host cannot read is no I/O error of the guest's: the machine stops, and QMP says why.
const ON_ERROR: &str = "rerror=stop,werror=report";

/// Looks a program up in `PATH`.
pub fn in_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}

fn parse_version(text: &str) -> Option<(String, (u32, u32))> {
    let version = text.split_once("version ")?.1.split_whitespace().next()?.to_owned();
    let mut parts = version.split('.');
    let number = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some((version, number))
}

/// A network interface of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NicSpec {
    /// Hardware address.
    pub mac: [u8; 6],
    /// Number of the inherited socket that carries its frames.
    pub socket: i32,
}

/// Everything that goes into QEMU's command line.
#[derive(Clone, Debug)]
pub struct CommandLine<'a> {
    /// Name shown in the process list.
    pub name: &'a str,
    /// Accelerator.
    pub accelerator: Accelerator,
    /// Kernel image.
    pub kernel: &'a Path,
    /// Initramfs.
    pub initramfs: &'a Path,
    /// Root image (read-only).
    pub root: &'a Path,
    /// Module image (read-only), if the kernel has modules.
    pub modules: Option<&'a Path>,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Words added to the kernel command line.
    pub cmdline: &'a [String],
    /// Socket of the serial console.
    pub console: i32,
    /// Socket of QMP.
    pub qmp: i32,
    /// Socket of the guest channel.
    pub channel: i32,
    /// Network interfaces.
    pub nics: &'a [NicSpec],
    /// Number of the inherited file that the guest's memory is dumped to, if it may be.
    pub vmcore: Option<i32>,
    /// The inherited file that the machine's state is written to or read from, if so.
    pub state: Option<StateFile>,
}

/// An inherited file with the state of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateFile {
    /// The machine boots, and can be saved into this file.
    Save(i32),
    /// The machine does not boot: it goes on from this state.
    Load(i32),
}

impl CommandLine<'_> {
    /// Kernel command line.
    ///
    /// `panic=-1` with `-no-reboot` ends QEMU at a panic once the trace is out; `reboot=t` makes
    /// that restart quick; `net.ifnames=0` keeps names out of user space's hands. A machine whose
    /// memory is wanted stays as it is after a panic (`panic=0`): a restart loses the registers.
    pub fn kernel_arguments(&self) -> String {
        let panic = if self.vmcore.is_some() { "panic=0" } else { "panic=-1" };
        let mut words =
            vec!["console=ttyS0", "quiet", "loglevel=5", panic, "reboot=t", "net.ifnames=0"];
        if self.accelerator == Accelerator::Tcg {
            // As the kernel does by itself under KVM (arch/x86/kernel/kvm.c): on a busy host the
            // timer of an emulated machine is late, and the check would panic.
            words.push("no_timer_check");
        }
        words.extend(self.cmdline.iter().map(String::as_str));
        words.join(" ")
    }

    /// Arguments for QEMU.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        let mut add = |option: &str, value: String| {
            arguments.push(option.to_owned());
            if !value.is_empty() {
                arguments.push(value);
            }
        };
        add("-name", format!("kbisect-{}", self.name));
        add("-nodefaults", String::new());
        add("-no-user-config", String::new());
        add("-display", "none".to_owned());
        add("-no-reboot", String::new());
        // At a pvpanic notice QEMU would power off before the trace is printed; the guest's own
        // restart ends the machine a moment later.
        match self.vmcore {
            None => add("-action", "panic=none,watchdog=none".to_owned()),
            Some(file) => {
                // A restart all the same (a triple fault, a scenario's own `panic=`) pauses QEMU
                // before anything is overwritten.
                add("-action", "panic=none,watchdog=none,shutdown=pause".to_owned());
                add("-add-fd", format!("fd={file},set=1"));
                // Where the kernel says how to read its memory (docs/specs/vmcoreinfo.rst).
                add("-device", "vmcoreinfo".to_owned());
            }
        }
        match self.state {
            Some(StateFile::Save(file)) => add("-add-fd", format!("fd={file},set=2")),
            Some(StateFile::Load(file)) => {
                add("-add-fd", format!("fd={file},set=2"));
                // Read once QMP is there to say how it went.
                add("-incoming", "defer".to_owned());
            }
            None => {}
        }
        add(
            "-sandbox",
            "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny".to_owned(),
        );
        // `pc` boots faster than `q35` everywhere, and every kernel knows it.
        add("-machine", format!("pc,accel={},usb=off,vmport=off", self.accelerator));
        add(
            "-cpu",
            match self.accelerator {
                Accelerator::Kvm => "host".to_owned(),
                Accelerator::Tcg => "max".to_owned(),
            },
        );
        add("-m", self.memory_mib.to_string());
        add("-smp", self.cpus.to_string());
        add("-kernel", self.kernel.display().to_string());
        // One that goes on from its state has read it already.
        if !matches!(self.state, Some(StateFile::Load(_))) {
            add("-initrd", self.initramfs.display().to_string());
        }
        add("-append", self.kernel_arguments());
        for (name, socket) in
            [("console", self.console), ("qmp", self.qmp), ("channel", self.channel)]
        {
            add("-chardev", format!("socket,id={name},fd={socket},server=off"));
        }
        add("-serial", "chardev:console".to_owned());
        add("-mon", "chardev=qmp,mode=control".to_owned());
        add("-device", "virtio-serial-pci".to_owned());
        add("-device", format!("virtserialport,chardev=channel,name={}", kbisect_proto::PORT_NAME));
        add("-object", "rng-builtin,id=entropy".to_owned());
        add("-device", "virtio-rng-pci,rng=entropy".to_owned());
        add("-device", "pvpanic".to_owned());
        add("-device", "i6300esb".to_owned());
        for (id, image) in [("root", Some(self.root)), ("modules", self.modules)] {
            let Some(image) = image else { continue };
            // Commas separate options, so one in a path is doubled (QEMU's own rule).
            let file = image.display().to_string().replace(',', ",,");
            add(
                "-drive",
                format!(
                    "if=none,id={id},file={file},format=raw,readonly=on,file.locking=off,{ON_ERROR}"
                ),
            );
            add("-device", format!("virtio-blk-pci,drive={id}"));
        }
        for (index, nic) in self.nics.iter().enumerate() {
            let mac = nic.mac.map(|byte| format!("{byte:02x}")).join(":");
            add(
                "-netdev",
                format!("stream,id=net{index},server=off,addr.type=fd,addr.str={}", nic.socket),
            );
            // No option ROM: loading it costs time. The long queue keeps a descheduled guest from
            // dropping frames, which would look like the regression.
            add(
                "-device",
                format!("virtio-net-pci,netdev=net{index},mac={mac},romfile=,rx_queue_size=1024"),
            );
        }
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_qemu_prints_them() {
        let debian = "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\nCopyright (c) ...";
        assert_eq!(parse_version(debian), Some(("10.0.2".to_owned(), (10, 0))));
        assert_eq!(parse_version("QEMU emulator version 7.2.0").map(|v| v.1), Some((7, 2)));
        assert_eq!(parse_version("something else"), None);
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Qemu::find(Some(Path::new("/nonexistent/qemu"))).unwrap_err();
        assert!(matches!(error, QemuError::Run { .. }), "{error}");
        assert!(error.hint().is_some());
    }

    #[test]
    fn commas_in_paths_cannot_add_options() {
        let line = CommandLine {
            name: "candidate",
            accelerator: Accelerator::Tcg,
            kernel: Path::new("/k"),
            initramfs: Path::new("/i"),
            root: Path::new("/a,readonly=off"),
            modules: None,
            memory_mib: 256,
            cpus: 1,
            cmdline: &["x=1".to_owned()],
            console: 3,
            qmp: 4,
            channel: 5,
            nics: &[],
            vmcore: None,
            state: None,
        };
        let arguments = line.arguments().join(" ");
        assert!(arguments.contains("file=/a,,readonly=off,format=raw,readonly=on"), "{arguments}");
        assert!(arguments.contains("-sandbox on"));
        assert!(line.kernel_arguments().ends_with("x=1"));
    }

    #[test]
    fn a_machine_whose_memory_is_wanted_stays_after_a_panic() {
        let mut line = CommandLine {
            name: "candidate",
            accelerator: Accelerator::Tcg,
            kernel: Path::new("/k"),
            initramfs: Path::new("/i"),
            root: Path::new("/r"),
            modules: None,
            memory_mib: 256,
            cpus: 1,
            cmdline: &[],
            console: 3,
            qmp: 4,
            channel: 5,
            nics: &[],
            vmcore: None,
            state: None,
        };
        assert!(line.kernel_arguments().contains("panic=-1"));
        assert!(!line.arguments().join(" ").contains("add-fd"));
        line.vmcore = Some(9);
        assert!(line.kernel_arguments().contains("panic=0"));
        let arguments = line.arguments().join(" ");
        assert!(arguments.contains("-add-fd fd=9,set=1"), "{arguments}");
        assert!(arguments.contains("-sandbox on"), "{arguments}");
    }

    #[test]
    fn the_format_of_a_dump_is_one_that_this_qemu_writes() {
        let format = |version: &str| {
            Qemu { path: PathBuf::from("/q"), version: version.to_owned() }.dump_format()
        };
        assert_eq!(format("10.0.2"), "kdump-raw-zlib");
        assert_eq!(format("8.2.1"), "kdump-raw-zlib");
        assert_eq!(format("8.1.5"), "kdump-zlib");
        assert_eq!(format("7.2"), "kdump-zlib");
    }
}
