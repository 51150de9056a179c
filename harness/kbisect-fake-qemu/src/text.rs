//! What a kernel prints: made up for the tests, in the form that kernels print it in.

use crate::script::Crash;

/// The first lines of a boot.
pub fn banner(release: &str) -> String {
    format!(
        "[    0.000000] Linux version {release} (fake@kbisect) (gcc 12) #1 SMP\r\n\
         [    0.000000] Command line: console=ttyS0 quiet panic=-1\r\n"
    )
}

/// A dump of the memory of a kernel of this release.
pub fn memory(release: &str) -> Vec<u8> {
    kbisect_core::evidence::kdump::head_with(&format!(
        "OSRELEASE={release}\nBUILD-ID=0123456789abcdef0123456789abcdef01234567\n"
    ))
}

/// A failure in `function`, in the words of a kernel.
pub fn crash(kind: Crash, function: &str) -> String {
    let first = match kind {
        Crash::Panic | Crash::Oops => {
            "BUG: kernel NULL pointer dereference, address: 0000000000000008\nOops: 0000 [#1] SMP NOPTI".to_owned()
        }
        Crash::Warning => format!("WARNING: CPU: 0 PID: 314 at net/fake/fake.c:12 {function}+0x1c/0x90"),
        Crash::Lockup => "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [app:314]".to_owned(),
    };
    let mut text = format!(
        "{first}\nCPU: 0 PID: 314 Comm: app Not tainted 6.12.0-fake #1\nRIP: 0010:{function}+0x1c/0x90\n\
         RSP: 0018:ffffb0c0 EFLAGS: 00010286\nCall Trace:\n <TASK>\n {function}_outer+0x4f/0x2a0\n \
         nf_hook_slow+0x43/0xc0\n ip_local_out+0x5a/0x70\n do_syscall_64+0x5b/0xc0\n </TASK>\n\
         ---[ end trace 0000000000000000 ]---\n"
    );
    if kind == Crash::Panic {
        text +=
            "Kernel panic - not syncing: Fatal exception in interrupt\nKernel Offset: disabled\n";
    }
    text.lines().enumerate().map(|(line, text)| format!("[   12.{line:06}] {text}\r\n")).collect()
}
