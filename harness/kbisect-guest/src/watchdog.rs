//! The machine's watchdog: QEMU has a device, and some kernels a driver for it. Fed from user space,
//! it tells the harness when user space no longer runs.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

use crate::modules::Modules;

nix::ioctl_readwrite!(set_timeout, b'W', 6, nix::libc::c_int);

const DEVICE: &str = "/dev/watchdog";
/// Seconds. The kernel's own detectors come first, for they say where it hangs: 20 s for a soft
/// lock-up, 21 s for an RCU stall, and a few for the report.
const TIMEOUT_S: nix::libc::c_int = 32;

/// Loads the driver, if there is one.
pub fn load() {
    Modules::default().load(&["i6300esb".to_owned()]);
}

/// Feeds the watchdog for as long as user space runs. Returns when there is none.
pub fn feed() {
    if !Path::new(DEVICE).exists() {
        // The trial's own modules come first.
        std::thread::sleep(Duration::from_millis(200));
        load();
    }
    let Ok(mut device) = OpenOptions::new().write(true).open(DEVICE) else { return };
    let mut seconds = TIMEOUT_S;
    // SAFETY: the descriptor is open, and the argument is the integer that the call reads and
    // writes (Documentation/watchdog/watchdog-api.rst).
    let _ = unsafe { set_timeout(device.as_raw_fd(), &raw mut seconds) };
    while device.write_all(b"1").is_ok() {
        std::thread::sleep(Duration::from_secs(1));
    }
}
