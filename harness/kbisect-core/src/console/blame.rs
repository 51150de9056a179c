//! Which function is to blame, and what it is called in a title.

use std::sync::LazyLock;

use super::helpers::{Skip, is_helper};
use super::names::Names;
use super::trace::Frame;

/// A function as it enters a title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Culprit {
    /// Stable name.
    pub name: String,
    /// Other names that it goes by: as printed, and as other versions of the kernel print it.
    pub others: Vec<String>,
    pub module: Option<String>,
}

/// The first function that is not a helper.
pub(super) fn first(frames: &[Frame<'_>], skip: Skip) -> Option<Culprit> {
    let helper = |frame: &Frame<'_>| match demangle(frame.name) {
        Some(name) => is_helper(&name, skip),
        None => is_helper(bare(frame.name), skip),
    };
    frames.iter().find(|frame| !helper(frame)).map(named)
}

/// The function through which a busy or overrun stack entered its subsystem. What such a stack
/// shows at its inner end depends on the moment, the entry does not: it is the function just
/// inside of one that calls into subsystems (a system call, `__fput`, a work item, a softirq).
/// A stack that shows no such function tells nothing stable.
pub(super) fn entry(frames: &[Frame<'_>], skip: Skip) -> Option<Culprit> {
    let mut counting = frames.iter().filter(|frame| !is_helper(bare(frame.name), skip)).peekable();
    let mut inner = *counting.peek()?;
    for frame in counting {
        let name = bare(frame.name);
        if family(name) == Some(CROSS_CALL) {
            // It waits for another CPU: the time goes here, whoever called.
            return Some(of_family(frame, CROSS_CALL));
        }
        if RULE_SETS.contains(&name) {
            return Some(named(frame));
        }
        if is_dispatcher(name) {
            return Some(named(inner));
        }
        inner = frame;
    }
    None
}

/// The frames that a timer interrupt interrupted, where a trace shows one: what the CPU was at when a
/// stall was noticed.
pub(super) fn interrupted<'a, 'b>(frames: &'a [Frame<'b>]) -> Option<&'a [Frame<'b>]> {
    let is_entry = |frame: &Frame<'_>| INTERRUPT_ENTRIES.of(bare(frame.name)) != 0;
    let last = frames.iter().position(is_entry)?;
    let past = frames[last..].iter().position(|frame| !is_entry(frame))?;
    let outer = &frames[last + past..];
    // Where the instruction pointer is printed, the trace goes on there.
    Some(outer.iter().position(|frame| frame.ip).map_or(outer, |ip| &outer[ip..]))
}

/// What a task that waits shows: where many tasks wait for one thing, that, else the first function
/// that is no way of waiting.
pub(super) fn waiting(frames: &[Frame<'_>]) -> Option<Culprit> {
    for frame in frames {
        let name = bare(frame.name);
        if name.contains(RTNL) {
            return Some(named(frame));
        }
        if family(name) == Some(GRACE_PERIOD) {
            return Some(of_family(frame, GRACE_PERIOD));
        }
    }
    first(frames, Skip::Waiting)
}

/// A function, whether helper or not.
pub(super) fn named(frame: &Frame<'_>) -> Culprit {
    let module = frame.module.map(str::to_owned);
    let demangled = demangle(frame.name);
    let bare = demangled.as_deref().unwrap_or_else(|| bare(frame.name));
    let name = syscall(bare).to_owned();
    let mut others = Vec::new();
    if name != bare {
        // As printed, and as other versions of the kernel print it.
        others.push(bare.to_owned());
        others.extend(name.strip_prefix("sys_").map(str::to_owned));
    }
    Culprit { name, others, module }
}

/// A function under the name of its family.
fn of_family(frame: &Frame<'_>, family: &str) -> Culprit {
    let Culprit { name, mut others, module } = named(frame);
    others.insert(0, name);
    Culprit { name: family.to_owned(), others, module }
}

/// The name without what the compiler appends (`.isra.0`, `.constprop.0`, `.part.0`, `.cold`).
pub(super) fn bare(name: &str) -> &str {
    match name.find('.') {
        Some(dot) if dot > 0 && !name.starts_with('<') => &name[..dot],
        _ => name,
    }
}

/// Readable form of a Rust symbol.
pub(super) fn demangle(name: &str) -> Option<String> {
    if !name.starts_with("_R") && !name.starts_with("_ZN") {
        return None;
    }
    let demangled = rustc_demangle::try_demangle(name).ok()?;
    // The alternate form leaves the hashes out, which change with the compiler.
    Some(format!("{demangled:#}"))
}

/// The lock of all network configuration.
const RTNL: &str = "rtnl_lock";
const GRACE_PERIOD: &str = "synchronize_rcu";
const CROSS_CALL: &str = "smp_call_function";

/// Walks through the rules of iptables and its kin, which take as long as the rules make them: what is
/// slow is below, by turns, and the way in is the same for all packets.
const RULE_SETS: &[&str] = &["ipt_do_table", "ip6t_do_table", "arpt_do_table", "ebt_do_table"];

/// Functions that wait for the same and take each other's place between versions.
fn family(name: &str) -> Option<&'static str> {
    let holds = |words: &[&str]| words.iter().any(|word| name.contains(word));
    if holds(&["synchronize_rcu", "synchronize_srcu", "synchronize_sched", "synchronize_net"]) {
        Some(GRACE_PERIOD)
    } else if holds(&[CROSS_CALL]) {
        Some(CROSS_CALL)
    } else {
        None
    }
}

/// The entry point of a system call without what architectures, versions and layers put in front:
/// `SyS_mount`, `__do_sys_mount` and `ksys_mount` are `mount`. The architectures' wrappers are
/// `sys_mount`, as in the table of system calls.
fn syscall(name: &str) -> &str {
    const WRAPPERS: &[&str] = &["__x64_", "__ia32_", "__arm64_", "__riscv_", "__s390x_"];
    const BODIES: &[&str] = &[
        "__se_sys_",
        "__do_sys_",
        "compat_SyS_",
        "compat_SYSC_",
        "SyS_",
        "SYSC_",
        "____sys_",
        "___sys_",
        "__sys_",
        "ksys_",
        "sys_",
        "__se_",
    ];
    let after = |prefixes: &[&str]| prefixes.iter().find_map(|prefix| name.strip_prefix(prefix));
    after(WRAPPERS).or_else(|| after(BODIES)).filter(|rest| !rest.is_empty()).unwrap_or(name)
}

/// How the timer's interrupt comes in and is handled, on each architecture.
const INTERRUPTS: &str = "*apic_timer_interrupt* asm_call_irq_on_stack asm_call_on_stack \
    asm_sysvec_* instr_sysvec_* run_on_irqstack* run_sysvec_on_irqstack* *common_interrupt call_on_irq_stack do_interrupt_handler gic_handle_irq \
    el1_irq el1_interrupt el1h_64_irq* irq_svc riscv_intc_irq do_riscv_irq do_irq handle_riscv_irq \
    handle_arch_irq generic_handle_arch_irq timer_interrupt hardware_interrupt_common* \
    decrementer_common* do_vint handle_vint handle_int do_ext_irq ext_int_handler do_io_irq";

/// Functions that call into subsystems, by what they dispatch.
const DISPATCHERS: &[&str] = &[
    // System calls, by the architectures' entries.
    "*do_syscall_* *do_fast_syscall_* do_int80_* sysenter_dispatch tracesys_phase2 x64_sys_call \
     ia32_sys_call system_call_exception invoke_syscall el0_svc_* ret_fast_syscall do_trap_ecall_u \
     handle_syscall",
    // System calls that only pass on to a device, a protocol or a file system.
    "ioctl sys_ioctl connect sys_connect socketpair sys_socketpair setsockopt listen accept",
    // Files: the operations that drivers and file systems implement.
    "*vfs_write* *vfs_read* *vfs_iter_read* *vfs_iter_write* *do_iter_read* *do_iter_write* \
     *call_read_iter* *call_write_iter* new_sync_read new_sync_write *vfs_ioctl *compat_ioctl* \
     *compat_sys_ioctl* *blkdev_driver_ioctl *blkdev_ioctl *ksys_ioctl call_mmap *mmap_region* *do_mmap* \
     *do_dentry_open* *vfs_open* *__fput*",
    // Sockets: the operations of protocol families.
    "sock_sendmsg* sock_recvmsg* sock_release sock_mmap sock_do_ioctl sock_ioctl compat_sock_ioctl \
     kernel_setsockopt *sock_common_setsockopt* do_sock_setsockopt kernel_listen kernel_accept \
     *sk_common_release*",
    // Netlink: the messages of its families, and their dumps.
    "nfnetlink_rcv_msg* rtnetlink_rcv_msg* netlink_dump*",
    // Page faults: the operations of mappings.
    "*__do_fault* *do_page_fault* page_fault",
    // Soft interrupts, timers, received packets, tasklets, calls from other CPUs.
    "*do_softirq* handle_softirqs run_ksoftirqd *call_timer_fn* *_run_timers* *run_timer_softirq* \
     *hrtimer_run* *netif_receive_skb* *tasklet_action* *tasklet_hi_action*",
    // Work, threads, and what a task does on its way back to user space.
    "process_one_work kthread smpboot_thread_fn ret_from_fork* task_work_run *exit_to_usermode*",
    // A CPU's first function, and the idle loop.
    "start_secondary cpu_startup_entry",
];

static INTERRUPT_ENTRIES: LazyLock<Names> = LazyLock::new(|| table(&[INTERRUPTS]));
static DISPATCHER_NAMES: LazyLock<Names> = LazyLock::new(|| table(DISPATCHERS));

fn table(lists: &[&'static str]) -> Names {
    let patterns = lists.iter().flat_map(|list| list.split_ascii_whitespace());
    Names::new(patterns.map(|pattern| (pattern, 1)))
}

/// Whether a function is one that calls into subsystems.
fn is_dispatcher(name: &str) -> bool {
    DISPATCHER_NAMES.of(name) != 0 || DISPATCHER_NAMES.of(syscall(name)) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(names: &[&'static str]) -> Vec<Frame<'static>> {
        names.iter().map(|name| Frame { name, module: None, ip: false }).collect()
    }

    fn blamed(culprit: Option<Culprit>) -> String {
        culprit.map_or_else(|| "nobody".to_owned(), |c| c.name)
    }

    #[test]
    fn names_are_stable() {
        for (name, expected) in [
            ("nft_do_chain.constprop.0", "nft_do_chain"),
            ("do_ip_setsockopt.isra.12", "do_ip_setsockopt"),
            ("foo.cold", "foo"),
            ("__x64_sys_mount", "sys_mount"),
            ("__sys_setsockopt", "setsockopt"),
            ("__se_sys_mount", "mount"),
            ("ksys_mount", "mount"),
            ("sys_mount", "mount"),
            ("compat_SyS_mount", "mount"),
            (
                "_RNvCshgDM7dBCdno_11rust_binder26rust_binder_unlocked_ioctl",
                "rust_binder::rust_binder_unlocked_ioctl",
            ),
        ] {
            assert_eq!(blamed(first(&frames(&[name]), Skip::Common)), expected);
        }
    }

    #[test]
    fn blames_the_first_that_is_no_helper() {
        let trace = frames(&["dump_stack", "kasan_report", "memcpy", "nft_set_elem_init", "main"]);
        assert_eq!(blamed(first(&trace, Skip::Common)), "nft_set_elem_init");
        assert_eq!(first(&frames(&["memcpy"]), Skip::Common), None);
    }

    #[test]
    fn a_stall_is_blamed_on_the_way_into_the_subsystem() {
        let trace = frames(&[
            "dump_stack",
            "rcu_sched_clock_irq",
            "update_process_times",
            "hrtimer_interrupt",
            "asm_sysvec_apic_timer_interrupt",
            "queued_spin_lock_slowpath",
            "inner",
            "my_write",
            "vfs_write",
            "ksys_write",
            "do_syscall_64",
        ]);
        let stalled = interrupted(&trace).expect("the timer interrupted it");
        assert_eq!(blamed(entry(stalled, Skip::Stall)), "my_write");
        let rules =
            frames(&["nf_ct_get", "ipt_do_table", "nf_hook_slow", "ip_rcv", "process_one_work"]);
        assert_eq!(blamed(entry(&rules, Skip::Stall)), "ipt_do_table");
        let busy = frames(&["inner", "smp_call_function_many_cond", "text_poke", "vfs_write"]);
        assert_eq!(blamed(entry(&busy, Skip::Stall)), "smp_call_function");
        let call = frames(&["tcp_setsockopt", "__sys_setsockopt", "do_syscall_64"]);
        assert_eq!(blamed(entry(&call, Skip::Stall)), "tcp_setsockopt");
        assert_eq!(entry(&frames(&["_raw_spin_lock", "lonely"]), Skip::Stall), None);
    }

    #[test]
    fn a_task_that_waits_is_blamed_on_what_many_wait_for() {
        let wait = ["__schedule", "schedule", "__mutex_lock"];
        let rtnl = frames(&[&wait[..], &["rtnl_lock", "my_configure"]].concat());
        assert_eq!(blamed(waiting(&rtnl)), "rtnl_lock");
        let grace = frames(&[&wait[..2], &["__wait_rcu_gp", "synchronize_srcu", "a"]].concat());
        assert_eq!(blamed(waiting(&grace)), "synchronize_rcu");
        let own = frames(&[&wait[..], &["my_lock_is_a_helper_too_lock", "my_close"]].concat());
        assert_eq!(blamed(waiting(&own)), "my_close");
    }
}
