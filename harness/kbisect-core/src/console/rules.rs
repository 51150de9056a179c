//! The first lines of failures, as the kernel prints them.

use super::report::Class;

/// How to find the function to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blame {
    /// The title names none.
    Nobody,
    /// Instruction pointer, then the trace.
    Trap,
    /// The trace.
    Trace,
    /// The trace; where there is none, the function in the first line.
    TraceOrFirstLine,
    /// The place where a lock is taken, then the trace.
    LockSite,
    /// A trace of a task that waits.
    Waiting,
    /// The way into the subsystem.
    Entry,
    /// A trace of an allocation.
    Allocation,
}

/// How the title is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Title {
    /// `TEXT in FUNCTION`; `TEXT` alone under [`Blame::Nobody`].
    Text(&'static str),
    /// The level (`BUG`, `INFO`, `WARNING`) of the first line, then as [`Title::Text`].
    Level(&'static str),
    /// `KASAN: TYPE ACCESS in FUNCTION`
    Kasan,
    /// `TOOL: TYPE in FUNCTION` for `BUG: TOOL: TYPE in func+0x1/0x2`
    Tool,
    /// `KCSAN: data-race in A / B`
    Kcsan,
    /// `UBSAN: TYPE in FUNCTION`
    Ubsan,
    /// `WARNING in FUNCTION` and its special cases.
    Warning,
    /// `kernel panic: REASON`
    Panic,
    /// `BUG: unable to handle kernel ... in FUNCTION`
    Unable,
    /// `BUG: using smp_processor_id() in preemptible code in FUNCTION`
    Preemptible,
    /// The first line up to a text.
    UpTo(&'static str),
    /// The first line with its numbers made equal.
    Line,
    /// The line after a Rust panic.
    RustPanic,
}

/// One way in which a report begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// The title.
    pub title: Title,
    /// What detected it.
    pub class: Class,
    /// Whom to blame.
    pub blame: Blame,
    /// The header of an oops (`...: 0000 [#1]`): belongs to what announced it, if anything did.
    pub die: bool,
    /// Announces such a header.
    pub heralds: bool,
}

const fn rule(title: Title, class: Class, blame: Blame) -> Rule {
    Rule { title, class, blame, die: false, heralds: false }
}

const fn herald(title: &'static str, class: Class) -> Rule {
    let rule = rule(Title::Text(title), class, Blame::Trap);
    Rule { heralds: true, ..rule }
}

/// Pieces of text without which no line begins a report or marks a milestone. One pass over the
/// log with these is what keeps the classifier fast.
pub(super) const HINTS: &[&str] = &[
    "BUG",
    "WARNING: ",
    "INFO: ",
    "Kernel panic",
    "Unable to handle",
    "Unhandled fault",
    " [#",
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
    if let Some(rest) = text.strip_prefix("BUG: ") {
        return Some(bug(rest));
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
    if let Some((cpu, rest)) = text.split_once(": ")
        && cpu.strip_prefix("CPU").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))
        && rest.starts_with("Watchdog")
    {
        return rest;
    }
    text
}

fn bug(rest: &str) -> Rule {
    use Blame::{Allocation, Entry, Nobody, Trace, TraceOrFirstLine};
    use Title::{Text, UpTo};
    let starts = |head: &str| rest.starts_with(head);
    if starts("KASAN: ") {
        rule(Title::Kasan, Class::Kasan, TraceOrFirstLine)
    } else if starts("KMSAN: ") {
        rule(Title::Tool, Class::Kmsan, TraceOrFirstLine)
    } else if starts("KFENCE: ") {
        rule(Title::Tool, Class::Kfence, TraceOrFirstLine)
    } else if starts("KCSAN: ") {
        rule(Title::Kcsan, Class::Kcsan, Nobody)
    } else if starts("unable to handle kernel NULL")
        || starts("kernel NULL pointer deref")
        || starts("Kernel NULL pointer deref")
    {
        herald("BUG: unable to handle kernel NULL pointer dereference", Class::BadAccess)
    } else if starts("unable to handle") || starts("Unable to handle") {
        herald("BUG: unable to handle kernel paging request", Class::BadAccess)
    } else if rest.contains("stack guard page was hit") {
        Rule { blame: Entry, ..herald("BUG: stack guard page was hit", Class::StackOverflow) }
    } else if starts("soft lockup") {
        rule(Text("BUG: soft lockup"), Class::Lockup, Entry)
    } else if starts("workqueue lockup") {
        rule(Text("BUG: workqueue lockup"), Class::Lockup, Nobody)
    } else if starts("memory leak") {
        rule(Text("memory leak"), Class::Leak, Allocation)
    } else if starts("sleeping function called from invalid context") {
        let text = "BUG: sleeping function called from invalid context";
        rule(Text(text), Class::Atomic, Trace)
    } else if starts("scheduling while atomic") {
        rule(Text("BUG: scheduling while atomic"), Class::Atomic, Blame::Waiting)
    } else if starts("using ") && rest.contains(" in preemptible") {
        rule(Title::Preemptible, Class::Lockdep, Trace)
    } else if let Some(text) = ["spinlock", "rwlock", "rt_mutex", "mutex"]
        .iter()
        .find(|lock| starts(lock))
        .and(Some(" on CPU#"))
        .filter(|text| rest.contains(text))
    {
        rule(UpTo(text), Class::Lockdep, Trace)
    } else if starts("Bad rss-counter state") {
        rule(Text("BUG: Bad rss-counter state"), Class::Memory, Nobody)
    } else if starts("Dentry ") && rest.contains(" still in use ") {
        rule(Text("BUG: Dentry still in use"), Class::Memory, Nobody)
    } else if starts("Bad ") {
        rule(UpTo(" in process"), Class::Memory, Nobody)
    } else if starts("workqueue leaked") || starts("workqueue leaked atomic") {
        rule(UpTo(": kworker"), Class::Atomic, Nobody)
    } else if starts("Invalid wait context") {
        rule(Text("BUG: Invalid wait context"), Class::Lockdep, Blame::LockSite)
    } else {
        lockdep(rest).unwrap_or(rule(Title::Line, Class::Other, Nobody))
    }
}

fn warning(rest: &str) -> Option<Rule> {
    if warning_place(rest).is_some() {
        return Some(rule(Title::Warning, Class::Warning, Blame::Trap));
    }
    if rest.starts_with("kernel stack ") {
        return Some(rule(Title::UpTo(" at "), Class::Warning, Blame::Nobody));
    }
    lockdep(rest)
}

/// The place in `CPU: 0 PID: 1 at file.c:12 func+0x1/0x2`, `at file.c:12 func+0x1/0x2()` (before
/// 3.11) and `file.c:12 at func+0x1/0x2, CPU#0: name/1` (since 6.19): file and the rest.
pub(super) fn warning_place(rest: &str) -> Option<(&str, &str)> {
    let old = rest.strip_prefix("at ").or_else(|| {
        let after = rest.strip_prefix("CPU: ")?;
        after.split_once(" at ").map(|(_, place)| place)
    });
    let (file, function) = match old {
        Some(place) => place.split_once(' ').unwrap_or((place, "")),
        None => rest.split_once(" at ")?,
    };
    let (path, line) = file.rsplit_once(':')?;
    let numbered = !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit());
    (numbered && !path.contains(' ')).then_some((path, function))
}

fn info(rest: &str) -> Option<Rule> {
    let starts = |head: &str| rest.starts_with(head);
    if starts("task ") && (rest.contains(" blocked for more") || rest.contains(" blocked in I/O")) {
        Some(rule(Title::Text("INFO: task hung"), Class::HungTask, Blame::Waiting))
    } else if starts("task ") && rest.contains(" can't die for more") {
        Some(rule(Title::Text("INFO: task can't die"), Class::HungTask, Blame::Waiting))
    } else if starts("rcu_") && (rest.contains("detected stall") || rest.contains("detected exped"))
    {
        Some(rule(Title::Text("INFO: rcu detected stall"), Class::RcuStall, Blame::Entry))
    } else if starts("trying to register non-static key") {
        let text = "INFO: trying to register non-static key";
        Some(rule(Title::Text(text), Class::Lockdep, Blame::Trace))
    } else if starts("Freed in ") || starts("Allocated in ") {
        Some(rule(Title::Line, Class::Memory, Blame::Nobody))
    } else {
        lockdep(rest)
    }
}

fn lockdep(rest: &str) -> Option<Rule> {
    use Blame::{LockSite, Trace};
    use Title::{Level, Text};
    let rest = rest.trim_start();
    let starts = |heads: &[&str]| heads.iter().any(|head| rest.starts_with(head));
    let (title, blame) = if starts(&[
        "possible circular locking",
        "possible recursive locking",
        "possible irq lock inversion",
        "possible deadlock",
        "SOFTIRQ-safe -> SOFTIRQ-unsafe",
        "HARDIRQ-safe -> HARDIRQ-unsafe",
        "SOFTIRQ-READ-safe",
        "HARDIRQ-READ-safe",
    ]) {
        (Text("possible deadlock"), LockSite)
    } else if starts(&["inconsistent lock state"]) {
        (Text("inconsistent lock state"), LockSite)
    } else if starts(&["bad unlock balance"]) {
        (Level("bad unlock balance"), LockSite)
    } else if starts(&["held lock freed"]) {
        (Level("held lock freed"), LockSite)
    } else if starts(&["lock held when returning to user"]) {
        (Level("lock held when returning to user space"), LockSite)
    } else if starts(&["Nested lock was not taken"]) {
        (Level("nested lock was not taken"), LockSite)
    } else if starts(&["bad contention detected", "bad contention"]) {
        (Level("bad contention"), LockSite)
    } else if rest.ends_with("still has locks held!") {
        (Level("still has locks held"), LockSite)
    } else if starts(&["suspicious RCU usage", "suspicious rcu_dereference"]) {
        (Level("suspicious RCU usage"), Trace)
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
        text("kernel panic: corrupted stack end", Class::StackOverflow, Blame::Entry)
    } else if starts("stack-protector: ") {
        text("kernel panic: stack is corrupted", Class::Panic, Blame::TraceOrFirstLine)
    } else if starts("VFS: Unable to mount root") {
        text("kernel panic: VFS: Unable to mount root fs", Class::Boot, Blame::Nobody)
    } else if starts("No working init found") || starts("No init found") {
        text("kernel panic: No working init found", Class::Boot, Blame::Nobody)
    } else if starts("kernel stack overflow") || starts("Kernel stack overflow") {
        text("kernel panic: kernel stack overflow", Class::StackOverflow, Blame::Nobody)
    } else {
        rule(Title::Panic, Class::Panic, Blame::Nobody)
    }
}

/// Headers that `die()` prints: `TEXT: CODE [#COUNT] CONFIG`.
fn die(text: &str) -> Option<Rule> {
    let (full, count) = text.split_once(" [#")?;
    if !count.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let head = full.strip_prefix("Oops: ").unwrap_or(full);
    // riscv prints no code.
    let (what, code) = head.rsplit_once(": ").unwrap_or((head, ""));
    let coded = is_code(code);
    let starts = |start: &str| head.starts_with(start);
    let rule = if coded && what.contains("general protection fault") {
        trap("general protection fault")
    } else if coded && (starts("stack guard page") || starts("kernel stack overflow")) {
        let rule = herald("BUG: stack guard page was hit", Class::StackOverflow);
        Rule { blame: Blame::Entry, heralds: false, ..rule }
    } else if starts("Internal error: Oops - BUG") || full == "Kernel BUG" {
        rule(Title::Text("kernel BUG"), Class::Bug, Blame::Trap)
    } else if coded && what == "stack segment" {
        trap("stack segment fault")
    } else if let Some(name) = EXCEPTIONS.iter().find(|name| coded && what.starts_with(*name)) {
        trap(name)
    } else if starts("Internal error: Oops")
        || full.starts_with("Oops - ")
        || full.strip_prefix("Oops: ").is_some_and(is_oops)
        || full == "Oops"
    {
        rule(Title::Text("Oops"), Class::BadAccess, Blame::Trap)
    } else if starts("Internal error: ") {
        trap("Internal error")
    } else {
        return None;
    };
    Some(Rule { die: true, ..rule })
}

/// What follows `Oops: `: a code (twice `Oops: ` since 6.10), or powerpc's words.
fn is_oops(text: &str) -> bool {
    let code = text.strip_prefix("Oops: ").unwrap_or(text);
    code.split(' ').next().is_some_and(is_code) || text.contains(", sig: ")
}

const fn trap(title: &'static str) -> Rule {
    rule(Title::Text(title), Class::Trap, Blame::Trap)
}

/// Exceptions as `die()` names them.
const EXCEPTIONS: &[&str] = &[
    "divide error",
    "invalid opcode",
    "double fault",
    "alignment check",
    "int3",
    "debug",
    "bounds",
    "coprocessor error",
    "simd exception",
    "machine check",
    "Bad pagetable",
    "segment not present",
    "invalid TSS",
    "control protection fault",
    "unhandled instruction",
];

/// Whether it is the error code of an exception.
fn is_code(code: &str) -> bool {
    !code.is_empty() && code.bytes().all(|b| b.is_ascii_hexdigit())
}

fn other(text: &str) -> Option<Rule> {
    let starts = |head: &str| text.starts_with(head);
    let plain = |title, class| Some(rule(Title::Text(title), class, Blame::Nobody));
    if starts("kernel BUG at ") || starts("Kernel BUG at ") {
        Some(herald("kernel BUG", Class::Bug))
    } else if starts("Unable to handle kernel ") {
        Some(Rule { title: Title::Unable, ..herald("", Class::BadAccess) })
    } else if starts("Unhandled fault: ") {
        Some(herald("Unhandled fault", Class::BadAccess))
    } else if starts("Alignment trap: not handling") {
        Some(herald("Alignment trap", Class::Trap))
    } else if starts("UBSAN: ") {
        Some(rule(Title::Ubsan, Class::Ubsan, Blame::Trace))
    } else if starts("list_add corruption") || starts("list_del corruption") || starts("list_add d")
    {
        Some(herald("BUG: corrupted list", Class::List))
    } else if starts("usercopy: Kernel memory ") {
        Some(herald("BUG: bad usercopy", Class::Bug))
    } else if starts("PANIC: double fault") {
        Some(herald("PANIC: double fault", Class::Trap))
    } else if starts("Insufficient stack space to handle exception") {
        Some(rule(
            Title::Text("kernel panic: kernel stack overflow"),
            Class::StackOverflow,
            Blame::Nobody,
        ))
    } else if text.contains("Watchdog detected hard LOCKUP") {
        Some(rule(Title::Text("BUG: hard lockup"), Class::Lockup, Blame::Entry))
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
        Some(Rule { heralds: true, ..rule(Title::RustPanic, Class::Bug, Blame::Trap) })
    } else if starts("fatal error: ") {
        // Go programs: the load generator, say. Taken only with what the runtime prints next.
        plain("go runtime error", Class::UserSpace)
    } else if starts("BUG ") && text.contains("ainted") && text.contains("): ") {
        Some(rule(Title::Line, Class::Memory, Blame::Nobody))
    } else {
        None
    }
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
            "BUG kmalloc-64 (Not tainted): Poison overwritten",
            "WARNING: x/1 still has locks held!",
            "rcu: INFO: rcu_sched self-detected stall on CPU",
        ] {
            assert!(start_of(line).is_some(), "{line}");
            assert!(HINTS.iter().any(|hint| line.contains(hint)), "{line}");
        }
    }
}
