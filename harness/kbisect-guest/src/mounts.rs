//! File systems that the machine and the roots of isolated nodes are made of.

use std::fs;

use nix::mount::{MsFlags, mount};

/// Where the read-only root image stays visible, for the overlays of isolated nodes.
pub const LOWER: &str = "/run/kbisect/lower";
/// Where the module image stays visible, likewise.
pub const MODULES: &str = "/run/kbisect/modules";

/// Mounts a file system that has no device.
pub fn mount_kind(kind: &str, target: &str, options: &str) -> nix::Result<()> {
    mount(Some(kind), target, Some(kind), MsFlags::empty(), Some(options))
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

/// What daemons expect and no node can do without, in the current root.
pub fn late_mounts() {
    let _ = fs::create_dir_all("/dev/pts");
    let _ = fs::create_dir_all("/dev/shm");
    let _ = mount_kind("devpts", "/dev/pts", "newinstance,ptmxmode=0666,mode=620");
    let _ = mount_kind("tmpfs", "/dev/shm", "mode=1777");
    let _ = mount_kind("cgroup2", "/sys/fs/cgroup", "");
    let _ = mount_kind("debugfs", "/sys/kernel/debug", "");
}

/// Makes `<modules>/<release>` point to the module image, in the root that `modules` is in.
pub fn link_modules(modules: &str) {
    let release = nix::sys::utsname::uname()
        .map(|name| name.release().to_string_lossy().into_owned())
        .unwrap_or_default();
    let _ = fs::create_dir_all(modules);
    // The image holds either the tree itself or one folder named after the release.
    let _ = std::os::unix::fs::symlink(MODULES, format!("{modules}/{release}"));
}
