//! The first lines of failures, as the kernel prints them.

use super::die::die;
use super::helpers::Skip;
use super::place::warning_place;
use super::report::Class;
use super::rule::{Blame, Rule, Title, herald, rule};

/// Pieces of text without which no line begins a report or marks a milestone. One pass over the
/// log with these is what keeps the classifier fast.
pub(super) const HINTS: &[&str] = &[
    "BUG",
    "WARNING: ",
    "INFO: ",
    "Kernel panic",
    "Unable to handle",
    "Unhandled fault",
    // The counter of oopses; none is shorter than three bytes, which is what makes the search quick.
    " [#",
    "Oops[#",
    "detected[#",
    " blocked for more than ",
    "UBSAN: ",
    "PANIC: double fault",
    "Insufficient stack space",
    "list_add ",
    "list_del corr",
    "usercopy: Kernel mem",
    "detected hard LOCKUP",
    "unregister_netdevice: w",
    "NETDEV WATCHDOG",
    "emory: Kill",
    "of memory: Kill",
    "VFS: Busy inodes",
    "VFS: Close: file c",
    "panicked at",
    "fatal error: ",
    "Linux version ",
    "reboot: ",
    "sysrq: Resetting",
    "Starting new kernel",
    "soft lockup",
    "memory leak",
];

/// What a panic says when it only follows from an earlier report.
const CONSEQUENCES: &[&str] = &[
    "Fatal exception",
    "Oops: Fatal exception",
    "panic_on_warn",
    "kernel: panic_on_warn",
    "hung_task",
    "softlockup",
    "Hard LOCKUP",
    "hardlockup",
    "scheduling while atomic",
    "RCU Stall",
    "Aiee, killing",
    "Attempted to kill",
    "KASAN: panic_on_warn",
    "kasan.fault=panic",
    "kasan.multi_shot",
    "KCSAN: panic_on_warn",
    "KFENCE",
    "UBSAN",
    "BUG!",
    "workqueue",
    "kmsan.panic",
    "KMSAN: panic_on_warn",
    "Oops",
    "System is deadlocked on memory",
    "Out of memory",
    "kernel stack overflow",
    "Kernel stack overflow",
    "stack recursion",
];

/// The reason of a panic, for the line that announces it.
pub(super) fn panic_reason(body: &str) -> Option<&str> {
    body.trim_start().strip_prefix("Kernel panic - not syncing: ")
}

/// Says whether the reason of a panic only points back to an earlier report.
pub(super) fn is_consequence(reason: &str) -> bool {
    CONSEQUENCES.iter().any(|head| reason.starts_with(head))
}

/// The rule under which a message begins a report.
pub(super) fn start_of(body: &str) -> Option<Rule> {
    let text = untagged(body);
    if let Some(rest) = text.strip_prefix("BUG:") {
        return bug_text(rest).map(bug);
    }
    if let Some(rest) = text.strip_prefix("WARNING: ") {
        return warning(rest);
    }
    if let Some(rest) = text.strip_prefix("INFO: ") {
        return info(rest);
    }
    if let Some(reason) = panic_reason(text) {
        return Some(panic_rule(reason));
    }
    if let Some(die) = die(text) {
        return Some(die);
    }
    other(text)
}

/// The message without the subsystem in front of it, and without the brackets that lockdep used
/// until 4.11 (`[ INFO: possible recursive locking detected ]`).
pub(super) fn untagged(body: &str) -> &str {
    let mut text = body.trim();
    if let Some(inner) = text.strip_prefix("[ ").and_then(|t| t.strip_suffix(']')) {
        return inner.trim();
    }
    for tag in ["rcu: ", "watchdog: ", "NMI watchdog: ", "traps: ", "workqueue: "] {
        text = text.strip_prefix(tag).unwrap_or(text);
    }
    // `watchdog: CPU0: Watchdog detected ...`
    // `CPU 0 Unable to handle kernel paging request ...` (MIPS, LoongArch)
    if let Some((cpu, rest)) = text.strip_prefix("CPU ").and_then(|rest| rest.split_once(' '))
        && cpu.bytes().all(|b| b.is_ascii_digit())
        && rest.starts_with("Unable to handle")
    {
        return rest;
    }
    if let Some((cpu, rest)) = text.split_once(": ")
        && cpu.strip_prefix("CPU").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))
        && rest.starts_with("Watchdog")
    {
        return rest;
    }
    text
}

/// The text after `BUG:`; the line may end there, cut off.
fn bug_text(rest: &str) -> Option<&str> {
    rest.strip_prefix(' ').or_else(|| rest.is_empty().then_some(rest))
}

fn bug(rest: &str) -> Rule {
    use Blame::{Entry, FirstLine, Nobody, Trace};
    use Title::{Text, UpTo};
    let starts = |head: &str| rest.starts_with(head);
    if starts("KASAN: ") {
        let freed = rest.contains("-free in ") && !rest.contains("use-after-free");
        let skip = if freed { Skip::Free } else { Skip::Common };
        rule(Title::Kasan, Class::Kasan, FirstLine(skip))
    } else if starts("KMSAN: ") {
        let leak = rest.contains("kernel-usb-infoleak");
        let skip = if leak { Skip::Usb } else { Skip::Data };
        rule(Title::Tool, Class::Kmsan, Trace(skip))
    } else if starts("KFENCE: ") {
        rule(Title::Tool, Class::Kfence, FirstLine(Skip::Common))
    } else if starts("KCSAN: ") {
        rule(Title::Kcsan, Class::Kcsan, Nobody)
    } else if rest.is_empty() {
        rule(Text("BUG: corrupted"), Class::Other, Nobody)
    } else if matches!(rest.trim_end(), "unable to handle kernel" | "Unable to handle kernel") {
        // Until 4.18 the rest was a message of its own.
        Rule {
            heralds: true,
            ..rule(Text("BUG: unable to handle kernel"), Class::BadAccess, Nobody)
        }
    } else if starts("unable to handle kernel NULL")
        || starts("kernel NULL pointer deref")
        || starts("Kernel NULL pointer deref")
    {
        herald("BUG: unable to handle kernel NULL pointer dereference", Class::BadAccess)
    } else if starts("unable to handle") || starts("Unable to handle") {
        herald("BUG: unable to handle kernel paging request", Class::BadAccess)
    } else if rest.contains("stack guard page was hit") {
        Rule {
            blame: Entry(Skip::Common),
            ..herald("BUG: stack guard page was hit", Class::StackOverflow)
        }
    } else if starts("soft lockup") {
        rule(Text("BUG: soft lockup"), Class::Lockup, Entry(Skip::Common))
    } else if starts("workqueue lockup") {
        rule(Text("BUG: workqueue lockup"), Class::Lockup, Nobody)
    } else if starts("memory leak") {
        rule(Text("memory leak"), Class::Leak, Trace(Skip::Allocation))
    } else if starts("sleeping function called from invalid context") {
        let text = "BUG: sleeping function called from invalid context";
        rule(Text(text), Class::Atomic, Trace(Skip::Common))
    } else if starts("scheduling while atomic") {
        rule(Text("BUG: scheduling while atomic"), Class::Atomic, Trace(Skip::Schedule))
    } else if starts("using ") && rest.contains(" in preemptible") {
        rule(Title::Preemptible, Class::Lockdep, Trace(Skip::Preemption))
    } else if let Some(text) = ["spinlock", "rwlock", "rt_mutex", "mutex"]
        .iter()
        .find(|lock| starts(lock))
        .and(Some(" on CPU#"))
        .filter(|text| rest.contains(text))
    {
        rule(UpTo(text), Class::Lockdep, Trace(Skip::LockWord))
    } else if starts("Bad rss-counter state") {
        rule(Text("BUG: Bad rss-counter state"), Class::Memory, Nobody)
    } else if starts("Dentry ") && rest.contains(" still in use ") {
        // Only unmounting looks.
        rule(Text("BUG: Dentry still in use in unmount"), Class::Memory, Nobody)
    } else if starts("non-zero nr_ptes ") {
        rule(Text("BUG: non-zero nr_ptes on freeing mm"), Class::Memory, Nobody)
    } else if starts("non-zero nr_pmds ") {
        rule(Text("BUG: non-zero nr_pmds on freeing mm"), Class::Memory, Nobody)
    } else if starts("Bad page state") {
        rule(Text("BUG: Bad page state"), Class::Memory, Blame::Origin)
    } else if starts("Bad page cache") {
        rule(Text("BUG: Bad page cache"), Class::Memory, Blame::Origin)
    } else if starts("Bad ") {
        rule(UpTo(" in process"), Class::Memory, Nobody)
    } else if starts("workqueue leaked") {
        rule(UpTo(": kworker"), Class::Atomic, Blame::LastWork)
    } else if starts("Invalid wait context") {
        rule(Text("WARNING: locking bug"), Class::Lockdep, Trace(Skip::LockState))
    } else {
        lockdep(rest).unwrap_or(rule(Title::Line, Class::Other, Nobody))
    }
}

fn warning(rest: &str) -> Option<Rule> {
    if warning_place(rest).is_some() {
        return Some(rule(Title::Warning, Class::Warning, Blame::Trap(Skip::Common)));
    }
    if rest.starts_with("kernel stack ") {
        return Some(rule(Title::UpTo(" at "), Class::Warning, Blame::Nobody));
    }
    lockdep(rest)
}

fn info(rest: &str) -> Option<Rule> {
    let starts = |head: &str| rest.starts_with(head);
    if starts("task ") && (rest.contains(" blocked for more") || rest.contains(" blocked in I/O")) {
        Some(rule(Title::Text("INFO: task hung"), Class::HungTask, Blame::Waiting))
    } else if starts("task ") && rest.contains(" can't die for more") {
        Some(rule(
            Title::Text("INFO: task can't die"),
            Class::HungTask,
            Blame::Trace(Skip::Schedule),
        ))
    } else if starts("rcu_") && (rest.contains("detected stall") || rest.contains("detected exped"))
    {
        Some(rule(Title::Text("INFO: rcu detected stall"), Class::RcuStall, Blame::Interrupted))
    } else if starts("trying to register non-static key") {
        let text = "INFO: trying to register non-static key";
        Some(rule(Title::Text(text), Class::Lockdep, Blame::Trace(Skip::LockKey)))
    } else if starts("Freed in ") || starts("Allocated in ") {
        Some(rule(Title::Line, Class::Memory, Blame::Nobody))
    } else {
        // Until 4.11, when lockdep informed, the place of the lock is all that titles go by.
        lockdep(rest).map(|rule| match rule.blame {
            Blame::LockCycle | Blame::LockUnsafe => Rule { blame: Blame::LockSite, ..rule },
            _ => rule,
        })
    }
}

/// `NAME:PID blocked for more than 120 seconds.`; the name is whatever a task calls itself, be it line
/// ends, so the start of the message can be missing.
fn is_hung_task(text: &str) -> bool {
    if !text.ends_with(" seconds.") {
        return false;
    }
    let Some((task, _)) = text.split_once(" blocked for more than ") else { return false };
    let pid = task.rsplit_once(':').map_or("", |(_, pid)| pid);
    !pid.is_empty() && pid.bytes().all(|b| b.is_ascii_digit())
}

fn lockdep(rest: &str) -> Option<Rule> {
    use Blame::{LockCycle, LockRelease, LockSite, LockUnsafe, Trace};
    use Title::{Level, Text};
    let rest = rest.trim_start();
    let starts = |heads: &[&str]| heads.iter().any(|head| rest.starts_with(head));
    let (title, blame) = if starts(&["possible circular locking", "possible deadlock"]) {
        (Text("possible deadlock"), LockCycle)
    } else if rest.contains("-safe -> ") && rest.contains("-unsafe lock order") {
        (Text("possible deadlock"), LockUnsafe)
    } else if starts(&["possible recursive locking", "possible irq lock inversion"]) {
        (Text("possible deadlock"), LockSite)
    } else if starts(&["inconsistent lock state"]) {
        (Text("inconsistent lock state"), Trace(Skip::Common))
    } else if starts(&["bad unlock balance"]) {
        (Level("bad unlock balance"), LockRelease)
    } else if starts(&["held lock freed"]) {
        (Level("held lock freed"), LockSite)
    } else if starts(&["lock held when returning to user"]) {
        (Level("lock held when returning to user space"), LockSite)
    } else if starts(&["Nested lock was not taken"]) {
        (Level("nested lock was not taken"), LockCycle)
    } else if starts(&["bad contention detected", "bad contention"]) {
        (Level("bad contention"), LockRelease)
    } else if rest.ends_with("still has locks held!") {
        (Level("still has locks held"), LockSite)
    } else if starts(&["suspicious RCU usage", "suspicious rcu_dereference"]) {
        (Level("suspicious RCU usage"), Trace(Skip::Rcu))
    } else if starts(&["MAX_LOCK"]) {
        (Title::Line, Blame::Nobody)
    } else {
        return None;
    };
    Some(rule(title, Class::Lockdep, blame))
}

fn panic_rule(reason: &str) -> Rule {
    let starts = |head: &str| reason.starts_with(head);
    let text = |text, class, blame| rule(Title::Text(text), class, blame);
    if starts("corrupted stack end detected") {
        text(
            "kernel panic: corrupted stack end",
            Class::StackOverflow,
            Blame::Entry(Skip::StackEnd),
        )
    } else if starts("stack-protector: ") {
        text("kernel panic: stack is corrupted", Class::Panic, Blame::FirstLine(Skip::Common))
    } else if starts("VFS: Unable to mount root") {
        text("kernel panic: VFS: Unable to mount root fs", Class::Boot, Blame::Nobody)
    } else if starts("No working init found") || starts("No init found") {
        text("kernel panic: No working init found", Class::Boot, Blame::Nobody)
    } else if starts("kernel stack overflow") || starts("Kernel stack overflow") {
        text("kernel stack overflow", Class::StackOverflow, Blame::Entry(Skip::StackEnd))
    } else {
        rule(Title::Panic, Class::Panic, Blame::Nobody)
    }
}

fn other(text: &str) -> Option<Rule> {
    let starts = |head: &str| text.starts_with(head);
    let plain = |title, class| Some(rule(Title::Text(title), class, Blame::Nobody));
    if starts("kernel BUG at ") || starts("Kernel BUG at ") {
        let blame = Blame::Trap(Skip::Bug);
        Some(Rule { blame, ..herald("kernel BUG", Class::Bug) })
    } else if starts("Unable to handle kernel ") {
        Some(Rule { title: Title::Unable, ..herald("", Class::BadAccess) })
    } else if starts("Unhandled fault: ") {
        Some(herald("Unhandled fault", Class::BadAccess))
    } else if starts("Alignment trap: not handling") {
        Some(herald("Alignment trap", Class::Trap))
    } else if starts("UBSAN: ") {
        Some(rule(Title::Ubsan, Class::Ubsan, Blame::Trace(Skip::Undefined)))
    } else if starts("list_add corruption") || starts("list_del corruption") || starts("list_add d")
    {
        Some(herald("BUG: corrupted list", Class::List))
    } else if starts("usercopy: Kernel memory ") {
        let blame = Blame::Trap(Skip::Copy);
        Some(Rule { blame, ..herald("BUG: bad usercopy", Class::Bug) })
    } else if starts("PANIC: double fault") {
        Some(herald("PANIC: double fault", Class::Trap))
    } else if starts("Insufficient stack space to handle exception") {
        Some(rule(
            Title::Text("kernel stack overflow"),
            Class::StackOverflow,
            Blame::Entry(Skip::StackEnd),
        ))
    } else if text.contains("Watchdog detected hard LOCKUP") {
        Some(rule(Title::Text("BUG: hard lockup"), Class::Lockup, Blame::Entry(Skip::Common)))
    } else if starts("unregister_netdevice: waiting for ") {
        plain("unregister_netdevice: waiting for DEV to become free", Class::Device)
    } else if text.contains("NETDEV WATCHDOG: ") && text.contains("timed out") {
        plain("NETDEV WATCHDOG: transmit queue timed out", Class::Device)
    } else if ["Out of memory: Kill", "Memory cgroup out of memory: Kill"]
        .iter()
        .filter_map(|head| text.strip_prefix(head))
        .any(|rest| rest.starts_with("ed process ") || rest.starts_with(" process "))
    {
        plain("out of memory: process killed", Class::Oom)
    } else if starts("VFS: Busy inodes after unmount") {
        plain("VFS: Busy inodes after unmount (use-after-free)", Class::Memory)
    } else if starts("VFS: Close: file count is 0") {
        plain("VFS: Close: file count is zero (use-after-free)", Class::Memory)
    } else if text.contains(": panicked at ") && starts("rust_kernel") {
        Some(Rule {
            heralds: true,
            ..rule(Title::RustPanic, Class::Bug, Blame::Trace(Skip::Common))
        })
    } else if starts("fatal error: ") {
        // Go programs: the load generator, say. Taken only with what the runtime prints next.
        plain("go runtime error", Class::UserSpace)
    } else if is_hung_task(text) {
        Some(rule(Title::Text("INFO: task hung"), Class::HungTask, Blame::Waiting))
    } else if starts("BUG ") && text.contains("ainted") && text.contains("): ") {
        // What KASAN found is announced by KASAN; the slab only describes the object.
        let details = text.ends_with("): kasan: bad access detected");
        (!details).then_some(rule(Title::Slab, Class::Memory, Blame::Nobody))
    } else {
        None
    }
}

/// Whether a line describes the object of a report that is open.
pub(super) fn is_slab_detail(body: &str) -> bool {
    ["INFO: Freed in", "INFO: Allocated in", "INFO: Slab", "INFO: Object", "BUG "]
        .iter()
        .any(|head| body.starts_with(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn healthy_lines_begin_nothing() {
        for line in [
            "INFO: lockdep is turned off.",
            "INFO: Stall ended before state dump start",
            "INFO: NMI handler (perf_event_nmi_handler) took too long to run: 1.356 msecs",
            "WARNING: the mand mount option is being deprecated and",
            "WARNING: Unable to find swap-space signature",
            "WARNING: [deprecated] old.c:12 is not used any more",
            "WARNING: [eth0] mtu: 1500 at boot",
            "nginx: worker:12 blocked for more than a while",
            "BUG x (Not tainted): kasan: bad access detected",
            "Warning: unable to open an initial console.",
            "Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on",
            "DEBUG: something",
            "random: crng init done",
            "traps: a.out[123] general protection fault ip:40052d sp:7ffd error:0 in a.out",
            "a.out[123]: segfault at 0 ip 000000000040052d sp 00007ffd error 6 in a.out",
            "systemd[1]: kbisect: Kernel panic - not syncing: quoted",
            "EXT4-fs: Warning: mounting with an experimental mount option",
            "INFO: task list [#1] of the day",
            "make: *** [#2] error",
            "debug build [#3]",
            "invalid opcode table [#3]",
            "GitHub issue [#12] is fixed",
            "Oops: something went wrong [#12]",
            "Out of memory: Killing time",
            "debugfs: Directory 'x' already present",
        ] {
            assert!(start_of(line).is_none(), "{line} begins {:?}", start_of(line));
        }
    }

    #[test]
    fn every_rule_has_a_hint() {
        for line in [
            "BUG: KASAN: x",
            "[ INFO: possible recursive locking detected ]",
            "kernel BUG at x:1!",
            "Kernel BUG [#1]",
            "Oops [#1]",
            "Oops - illegal instruction [#1]",
            "general protection fault: 0000 [#1] SMP",
            "Internal error: Oops: 96000004 [#1] SMP",
            "Kernel panic - not syncing: x",
            "UBSAN: shift-out-of-bounds in x.c:1:2",
            "Unable to handle kernel paging request at virtual address 00",
            "Unhandled fault: page domain fault (0x01b) at 0x00000008",
            "list_add corruption. x",
            "list_add double add: new=",
            "list_del corruption, x",
            "usercopy: Kernel memory overwrite attempt detected",
            "traps: PANIC: double fault, e",
            "Insufficient stack space to handle exception!",
            "watchdog: CPU3: Watchdog detected hard LOCKUP on cpu 3",
            "NMI watchdog: Watchdog detected hard LOCKUP on cpu 0",
            "unregister_netdevice: waiting for lo to become free. Usage count = 2",
            "NETDEV WATCHDOG: eth0 (virtio_net): transmit queue 0 timed out",
            "Out of memory: Killed process 12 (x)",
            "Out of memory: Kill process 12 (x) score 1",
            "Memory cgroup out of memory: Killed process 12 (x)",
            "VFS: Busy inodes after unmount of sda. Self-destruct in 5 seconds.",
            "VFS: Close: file count is 0",
            "rust_kernel: panicked at x.rs:1:2:",
            "WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2",
            "WARNING: a.c:1 at f+0x1/0x2, CPU#0: x/1",
            "WARNING: at a.c:1 f+0x1/0x2()",
            "WARNING: [a[i] at 1 || !b] net/a.c:1 at f+0x1/0x2 [m], CPU#0: x/1",
            "WARNING: CPU: 0 PID: 1 at [!x] a.c:1 f+0x1/0x2",
            "divide_error: 0000 [#1] PREEMPT SMP",
            "Oops[#1]:",
            "Kernel bug detected[#1]:",
            "CPU 1 Unable to handle kernel paging request at virtual address 0000000000000000",
            "illegal operation: 0001 ilc:1 [#1] SMP",
            "Oops: 0004 ilc:3 [#1] SMP",
            "me:7 blocked for more than 120 seconds.",
            "BUG kmalloc-64 (Not tainted): Poison overwritten",
            "WARNING: x/1 still has locks held!",
            "rcu: INFO: rcu_sched self-detected stall on CPU",
        ] {
            assert!(start_of(line).is_some(), "{line}");
            assert!(HINTS.iter().any(|hint| line.contains(hint)), "{line}");
        }
    }
}
