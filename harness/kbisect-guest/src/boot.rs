//! From the first instruction of user space to a machine that an agent can run on.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};

use crate::modules::insert;
use crate::mounts::{LOWER, MODULES, late_mounts, link_modules, mount_kind, overlay};

/// What the agent must know of the boot.
pub struct Booted {
    /// Boot modules that did not load.
    pub failed_modules: Vec<String>,
    /// Why the root image could not be mounted, if so.
    pub root_error: Option<String>,
}

/// Brings the machine up.
pub fn bring_up() -> Booted {
    mount_api();
    let failed_modules = load_modules(Path::new("/kbisect/modules"));
    let root_error = mount_root().err();
    Booted { failed_modules, root_error }
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
