//! Logs, or the parts of which they are made.

use kbisect_core::console::{Report, classify};

/// Puts a time stamp in front of each line, as `printk.time=1` does.
pub fn stamped(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.is_empty()).enumerate();
    lines.map(|(i, line)| format!("[{:>5}.{:06}] {line}\r\n", 12 + i / 50, i * 17)).collect()
}

/// As [`stamped`], with `CONFIG_PRINTK_CALLER`.
pub fn stamped_by(caller: &str, text: &str) -> String {
    let lines = text.lines().filter(|line| !line.is_empty()).enumerate();
    lines.map(|(i, line)| format!("[   12.{i:06}][{caller:>6}] {line}\n")).collect()
}

pub fn one(log: &str) -> Report {
    let mut reports = classify(log.as_bytes());
    let titles: Vec<&String> = reports.iter().map(|report| &report.title).collect();
    assert_eq!(titles.len(), 1, "{titles:?} in\n{log}");
    reports.remove(0)
}

/// A first line, then an exception frame and a trace of these functions.
pub fn oops(first: &str, ip: &str, trace: &[&str]) -> String {
    let mut log = format!(
        "{first}\nCPU: 0 PID: 314 Comm: app Not tainted 6.1.0-13-cloud-amd64 #1  Debian 6.1.55-1\n\
         RIP: 0010:{ip}+0x1c/0x90\nRSP: 0018:ffffb0c0 EFLAGS: 00010286\nCall Trace:\n <TASK>\n"
    );
    for name in trace {
        log.push_str(&format!(" ? unrelated_guess+0x10/0x20\n {name}+0x4f/0x2a0\n"));
    }
    log.push_str(" </TASK>\n---[ end trace 0000000000000000 ]---\n");
    log
}

pub const BOOT: &str = "\
Linux version 6.12.57+deb13-amd64 (debian-kernel@lists.debian.org) #1 SMP Debian 6.12.57-1
Command line: console=ttyS0 oops=panic panic_on_warn=1 hung_task_panic=1
Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on, data leaks possible
MDS: Vulnerable: Clear CPU buffers attempted, no microcode
random: crng init done
APIC base relocation is unsupported by KVM
INFO: NMI handler (perf_event_nmi_handler) took too long to run: 1.356 msecs
INFO: lockdep is turned off.
Warning: unable to open an initial console.
WARNING: Unable to find a usable interrupt source
debugfs: Directory 'BUG' with parent '/' already present!
nf_conntrack: default automatic helper assignment has been turned off for security reasons
app[314]: segfault at 8 ip 00005581 sp 00007ffd error 4 in app[5581+1000]
traps: app[315] general protection fault ip:5581 sp:7ffd error:0 in app[5581+1000]
systemd[1]: Failed to start kernel-panic.service - Kernel panic - not syncing: notifier.
kbisect: the last run said `BUG: unable to handle page fault for address: 0`
EXT4-fs (vda1): Warning: mounting with an experimental mount option
reboot: Power down
";
