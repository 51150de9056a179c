//! PID 1: from the first instruction of user space to the agent, then reaping.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::{ForkResult, fork};

use crate::agent;

/// What the agent must know of the boot.
pub struct Booted {
    /// Boot modules that did not load.
    pub failed_modules: Vec<String>,
    /// Why the root image could not be mounted, if so.
    pub root_error: Option<String>,
}

/// Where the read-only root image stays visible, for the overlays of isolated nodes.
pub const LOWER: &str = "/run/kbisect/lower";
/// Where the module image stays visible, likewise.
pub const MODULES: &str = "/run/kbisect/modules";

/// Brings the machine up, starts the agent and reaps orphans for ever.
pub fn init() -> ! {
    mount_api();
    let failed_modules = load_modules(Path::new("/kbisect/modules"));
    let root_error = mount_root().err();
    // Fork before any thread exists; the child needs no exec then.
    // SAFETY: this process has one thread.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => agent::run(&Booted { failed_modules, root_error }),
        Ok(ForkResult::Parent { child }) => loop {
            match wait() {
                Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) if pid == child => {
                    println!("kbisect-guest: the agent ended, powering off");
                    power_off();
                }
                _ => {}
            }
        },
        Err(error) => {
            println!("kbisect-guest: cannot fork: {error}");
            power_off();
        }
    }
}

/// Powers the machine off. Without ACPI the call returns or halts; then a reset ends QEMU, which
/// runs with -no-reboot.
pub fn power_off() -> ! {
    let _ = reboot(RebootMode::RB_POWER_OFF);
    let _ = fs::write("/proc/sysrq-trigger", "b");
    loop {
        std::thread::park();
    }
}

fn mount_api() {
    for (kind, target) in [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")] {
        let _ = fs::create_dir_all(target);
        if let Err(error) = mount_kind(kind, target, "") {
            println!("kbisect-guest: cannot mount {kind}: {error}");
        }
    }
}

/// Mounts a file system that has no device.
pub fn mount_kind(kind: &str, target: &str, options: &str) -> nix::Result<()> {
    mount(Some(kind), target, Some(kind), MsFlags::empty(), Some(options))
}

/// Loads the modules that the harness put in order, and says which did not load.
fn load_modules(directory: &Path) -> Vec<String> {
    let order = fs::read_to_string(directory.join("order")).unwrap_or_default();
    let mut failed = Vec::new();
    for name in order.lines().filter(|line| !line.is_empty()) {
        let result = insert(&directory.join(name));
        if let Err(error) = result {
            failed.push(format!("{name}: {error}"));
        }
    }
    failed
}

/// Inserts one module; one that is there already is fine.
fn insert(path: &Path) -> Result<(), String> {
    let file = fs::File::open(path).map_err(|error| error.to_string())?;
    match nix::kmod::finit_module(&file, c"", nix::kmod::ModuleInitFlags::empty()) {
        Ok(()) | Err(nix::Error::EEXIST) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Modules that were asked for by name.
#[derive(Default)]
pub struct Modules {
    names: BTreeSet<String>,
    files: BTreeSet<PathBuf>,
}

impl Modules {
    /// Loads modules with their dependencies, from the module image. What does not exist or does not
    /// load shows where it is needed. Without `modprobe`, whose start alone costs as much as all this
    /// under emulation. Each module once: the kernel would check its signature before it says that it
    /// has it.
    pub fn load(&mut self, names: &[String]) {
        let names = names.iter().map(|name| name.replace('-', "_"));
        let new: Vec<String> = names.filter(|name| self.names.insert(name.clone())).collect();
        if new.is_empty() {
            return;
        }
        let tree = Path::new(MODULES);
        let text = fs::read_to_string(tree.join("modules.dep")).unwrap_or_default();
        let mut found: BTreeMap<String, (&str, &str)> = BTreeMap::new();
        // modules.dep(5): `path: dependency dependency ...`, each to be loaded before those left of it.
        for line in text.lines() {
            let Some((path, dependencies)) = line.split_once(':') else { continue };
            let base = path.rsplit('/').next().unwrap_or(path);
            let stem = base.split('.').next().unwrap_or(base);
            // Most are not it, and this is all done by an emulator.
            let wanted = new.iter().find(|name| is_module(name, stem));
            if let Some(name) = wanted {
                found.entry(name.clone()).or_insert((path, dependencies));
            }
        }
        for (path, dependencies) in new.iter().filter_map(|name| found.get(name)) {
            for path in dependencies.split_whitespace().rev().chain([*path]) {
                let path = tree.join(path);
                if !self.files.contains(&path) && insert(&path).is_ok() {
                    self.files.insert(path);
                }
            }
        }
    }
}

/// Whether a file's stem is that of a module, whose name has underscores where the stem may have dashes.
fn is_module(name: &str, stem: &str) -> bool {
    let same = |(a, b): (u8, u8)| a == b || (a == b'_' && b == b'-');
    name.len() == stem.len() && name.bytes().zip(stem.bytes()).all(same)
}

/// Mounts the root image under an overlay and makes it `/`, for this process and, since the kernel
/// shares PID 1's `fs_struct` with its helper threads, for `modprobe` calls of the kernel too.
fn mount_root() -> Result<(), String> {
    let at = |what: &str, error: nix::Error| format!("{what}: {error}");
    wait_for(Path::new("/dev/vda"))?;
    for directory in ["/lower", "/rw", "/newroot"] {
        fs::create_dir_all(directory).map_err(|error| format!("{directory}: {error}"))?;
    }
    mount(Some("/dev/vda"), "/lower", Some("squashfs"), MsFlags::MS_RDONLY, None::<&str>)
        .map_err(|error| at("cannot mount the root image (squashfs on /dev/vda)", error))?;
    overlay("/lower", "/rw", "/newroot")?;
    let inside = |path: &str| format!("/newroot{path}");
    mount_kind("tmpfs", &inside("/run"), "mode=755").map_err(|error| at("/run", error))?;
    for directory in ["/run/lock", LOWER, MODULES, "/run/netns", kbisect_proto::ASSETS_DIR] {
        let _ = fs::create_dir_all(inside(directory));
    }
    mount_kind("tmpfs", &inside("/tmp"), "mode=1777").map_err(|error| at("/tmp", error))?;
    for api in ["/dev", "/proc", "/sys"] {
        let _ = fs::create_dir_all(inside(api));
        mount(Some(api), inside(api).as_str(), None::<&str>, MsFlags::MS_MOVE, None::<&str>)
            .map_err(|error| at(api, error))?;
    }
    mount(Some("/lower"), inside(LOWER).as_str(), None::<&str>, MsFlags::MS_MOVE, None::<&str>)
        .map_err(|error| at(LOWER, error))?;
    mount_module_image(&inside(MODULES), &inside("/lib/modules"));
    std::env::set_current_dir("/newroot").map_err(|error| error.to_string())?;
    mount(Some("/newroot"), "/", None::<&str>, MsFlags::MS_MOVE, None::<&str>)
        .map_err(|error| at("cannot move the root", error))?;
    nix::unistd::chroot(".").map_err(|error| at("chroot", error))?;
    std::env::set_current_dir("/").map_err(|error| error.to_string())?;
    late_mounts();
    Ok(())
}

/// What daemons expect and no node can do without, in the current root.
pub fn late_mounts() {
    let _ = fs::create_dir_all("/dev/pts");
    let _ = fs::create_dir_all("/dev/shm");
    let _ = mount_kind("devpts", "/dev/pts", "newinstance,ptmxmode=0666,mode=620");
    let _ = mount_kind("tmpfs", "/dev/shm", "mode=1777");
    let _ = mount_kind("cgroup2", "/sys/fs/cgroup", "");
    let _ = mount_kind("debugfs", "/sys/kernel/debug", "");
}

/// Mounts an overlay of `lower` with a fresh tmpfs at `rw`.
pub fn overlay(lower: &str, rw: &str, target: &str) -> Result<(), String> {
    mount_kind("tmpfs", rw, "mode=755")
        .map_err(|error| format!("tmpfs for the overlay: {error}"))?;
    for part in ["upper", "work"] {
        fs::create_dir_all(format!("{rw}/{part}"))
            .map_err(|error| format!("{rw}/{part}: {error}"))?;
    }
    let options = format!("lowerdir={lower},upperdir={rw}/upper,workdir={rw}/work");
    mount(Some("overlay"), target, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
        .map_err(|error| format!("cannot mount the overlay: {error}"))
}

/// Mounts the module image, if there is one, and links it to where `modprobe` looks.
fn mount_module_image(target: &str, modules: &str) {
    if !Path::new("/newroot/dev/vdb").exists() {
        return;
    }
    let flags = MsFlags::MS_RDONLY;
    if let Err(error) =
        mount(Some("/newroot/dev/vdb"), target, Some("squashfs"), flags, None::<&str>)
    {
        println!("kbisect-guest: cannot mount the module image: {error}");
        return;
    }
    link_modules(modules);
}

/// Makes `<modules>/<release>` point to the module image, in the root that `modules` is in.
pub fn link_modules(modules: &str) {
    let release = release();
    let _ = fs::create_dir_all(modules);
    // The image holds either the tree itself or one folder named after the release.
    let _ = std::os::unix::fs::symlink(MODULES, format!("{modules}/{release}"));
}

/// `uname -r`.
pub fn release() -> String {
    nix::sys::utsname::uname()
        .map(|name| name.release().to_string_lossy().into_owned())
        .unwrap_or_default()
}

fn wait_for(device: &Path) -> Result<(), String> {
    // Block devices are found asynchronously on some kernels.
    let deadline = Instant::now() + Duration::from_secs(5);
    while !device.exists() {
        if Instant::now() > deadline {
            return Err(format!("{} did not appear", device.display()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}
