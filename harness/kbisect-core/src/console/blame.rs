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
    /// The module it is in.
    pub module: Option<String>,
}

/// The first function that is not a helper.
pub(super) fn first(frames: &[Frame<'_>], skip: Skip) -> Option<Culprit> {
    let helper = |frame: &Frame<'_>| match demangle(frame.name) {
        Some(name) => is_helper(&name, skip),
        None => is_helper(bare(frame.name), skip),
    };
    frames.iter().find(|frame| !helper(frame)).map(culprit)
}

/// The function through which a busy or overrun stack entered its subsystem. What such a stack
/// shows at its inner end depends on the moment, the entry does not: it is the function just
/// inside of one that calls into subsystems (a system call, `__fput`, a work item, a softirq).
pub(super) fn entry(frames: &[Frame<'_>]) -> Option<Culprit> {
    let frames = after_interrupt(frames);
    for (i, frame) in frames.iter().enumerate() {
        let name = bare(frame.name);
        if is_busy(name) {
            return Some(culprit(frame));
        }
        if let Some(outer) = frames.get(i + 1)
            && is_dispatcher(bare(outer.name))
            && !is_dispatcher(name)
            && !is_helper(name, Skip::Common)
        {
            return Some(culprit(frame));
        }
    }
    first(frames, Skip::Waiting)
}

/// Whether it is the trace of the CPU whose timer interrupt noticed a stall.
pub(super) fn is_noticed_in(frames: &[Frame<'_>]) -> bool {
    frames.iter().any(is_noticing)
}

fn is_noticing(frame: &Frame<'_>) -> bool {
    let name = bare(frame.name);
    NOTICED_IN.contains(&name) || name.starts_with("rcu_dump_cpu_stacks")
}

/// Drops the timer interrupt in which a stall was noticed.
fn after_interrupt<'a, 'b>(frames: &'a [Frame<'b>]) -> &'a [Frame<'b>] {
    let Some(tick) = frames.iter().position(is_noticing) else { return frames };
    let entry = |frame: &Frame<'_>| INTERRUPT_ENTRY.iter().any(|e| bare(frame.name).starts_with(e));
    let Some(first) = frames[tick..].iter().position(entry).map(|i| tick + i) else {
        return frames;
    };
    let past = frames[first..].iter().position(|f| !entry(f)).map_or(frames.len(), |i| first + i);
    if past == frames.len() { frames } else { &frames[past..] }
}

fn culprit(frame: &Frame<'_>) -> Culprit {
    let module = frame.module.map(str::to_owned);
    let demangled = demangle(frame.name);
    let bare = demangled.as_deref().unwrap_or_else(|| bare(frame.name));
    let mut others = Vec::new();
    let name = if let Some(family) = family(bare) {
        family.to_owned()
    } else if let Some((wrapped, call)) = syscall(bare) {
        // Wrappers came with 4.17: `SyS_mount` is `__x64_sys_mount` now.
        let long = format!("sys_{call}");
        let (name, other) = if wrapped { (long, call.to_owned()) } else { (call.to_owned(), long) };
        others.push(other);
        name
    } else {
        bare.to_owned()
    };
    if name != bare && others.iter().all(|other| other != bare) {
        others.push(bare.to_owned());
    }
    Culprit { name, others, module }
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

/// The name of the system call that a function is an entry point of, and whether the function is an
/// architecture's wrapper: `__x64_sys_mount`, `SyS_mount`, `sys_mount`, `ksys_mount`.
fn syscall(name: &str) -> Option<(bool, &str)> {
    const WRAPPERS: &[&str] = &[
        "__x64_",
        "__ia32_compat_",
        "__ia32_",
        "__x32_compat_",
        "__arm64_compat_",
        "__arm64_",
        "__riscv_compat_",
        "__riscv_",
        "__s390x_",
        "__s390_",
        "__powerpc_",
    ];
    const BODIES: &[&str] = &[
        "__se_compat_sys_",
        "__se_sys_",
        "__do_compat_sys_",
        "__do_sys_",
        "compat_SyS_",
        "compat_SYSC_",
        "C_SYSC_",
        "compat_sys_",
        "SyS_",
        "SYSC_",
        "ksys_",
        "sys_",
    ];
    let after = |prefixes: &[&str]| prefixes.iter().find_map(|prefix| name.strip_prefix(prefix));
    let (wrapped, call) = match after(WRAPPERS).and_then(|rest| rest.strip_prefix("sys_")) {
        Some(call) => (true, call),
        None => (false, after(BODIES)?),
    };
    (!call.is_empty()).then_some((wrapped, call))
}

/// Functions that do the same and take each other's place between versions.
fn family(name: &str) -> Option<&'static str> {
    let is = |heads: &[&str]| heads.iter().any(|head| name.starts_with(head));
    if is(&["smp_call_function"]) {
        Some("smp_call_function")
    } else if is(&["synchronize_rcu", "synchronize_sched"]) {
        Some("synchronize_rcu")
    } else {
        None
    }
}

/// Functions that are where the time goes when a stack holds them: cross calls wait for another
/// CPU, rule sets are traversed for as long as they are.
fn is_busy(name: &str) -> bool {
    name.starts_with("smp_call_function")
        || matches!(name, "ipt_do_table" | "ip6t_do_table" | "ebt_do_table" | "arpt_do_table")
}

/// The timer interrupt's own functions, in which a stall is noticed.
const NOTICED_IN: &[&str] = &[
    "update_process_times",
    "tick_periodic",
    "tick_sched_handle",
    "tick_sched_timer",
    "tick_nohz_handler",
    "rcu_check_callbacks",
    "rcu_sched_clock_irq",
    "hrtimer_interrupt",
    "watchdog_timer_fn",
];

/// How interrupts come in, on each architecture: prefixes.
const INTERRUPT_ENTRY: &[&str] = &[
    "__irq_svc",
    "__sysvec_apic_timer_interrupt",
    "apic_timer_interrupt",
    "asm_call_irq_on_stack",
    "asm_call_on_stack",
    "asm_common_interrupt",
    "asm_sysvec_",
    "call_on_irq_stack",
    "common_interrupt",
    "do_interrupt_handler",
    "do_io_irq",
    "do_irq",
    "do_riscv_irq",
    "do_vint",
    "el1_interrupt",
    "el1_irq",
    "el1h_64_irq",
    "ext_int_handler",
    "generic_handle_arch_irq",
    "gic_handle_irq",
    "handle_arch_irq",
    "handle_exception",
    "handle_riscv_irq",
    "handle_vint",
    "instr_sysvec_",
    "local_apic_timer_interrupt",
    "ret_from_exception",
    "riscv_intc_irq",
    "smp_apic_timer_interrupt",
    "sysvec_apic_timer_interrupt",
    "timer_interrupt",
];

/// Layers: functions that call into one subsystem or another, by what they dispatch. A star at the end
/// stands for any rest.
const DISPATCHERS: &[&str] = &[
    // System calls.
    "do_syscall_* do_fast_syscall_* do_int80_* __do_fast_syscall_* entry_SYS* entry_INT80* \
     system_call_* sysenter_* invoke_syscall __invoke_syscall x64_sys_call ia32_sys_call el0_svc_common \
     ret_fast_syscall ret_from_syscall syscall_handler __do_syscall system_call_exception syscall_common",
    // Files: the operations that drivers and file systems implement.
    "vfs_read __vfs_read vfs_write __vfs_write new_sync_read new_sync_write do_iter_read do_iter_write \
     do_iter_readv_writev do_loop_readv_writev vfs_readv vfs_writev vfs_iter_read vfs_iter_write vfs_ioctl \
     do_vfs_ioctl vfs_poll do_select do_sys_poll do_poll vfs_fsync_range vfs_open do_dentry_open \
     do_sys_open do_sys_openat2 call_mmap mmap_region evict __fput ____fput fput __fput_sync",
    // Sockets: the operations of protocol families.
    "sock_sendmsg __sock_sendmsg sock_sendmsg_nosec ____sys_sendmsg sock_recvmsg \
     sock_write_iter sock_read_iter sock_close __sys_connect __sys_connect_file __sys_sendto \
     __sys_recvfrom __sys_bind __sys_listen __sys_accept4 __sys_setsockopt __sys_getsockopt \
     do_sock_setsockopt do_sock_getsockopt sock_common_setsockopt sock_common_getsockopt",
    // Netlink: the messages of its families.
    "rtnetlink_rcv_msg nfnetlink_rcv_msg genl_rcv_msg genl_family_rcv_msg* xfrm_user_rcv_msg \
     sock_diag_rcv_msg netlink_rcv_skb",
    // Soft interrupts, timers, received packets, RCU callbacks, tasklets.
    "__do_softirq handle_softirqs do_softirq run_ksoftirqd irq_exit __irq_exit_rcu irq_exit_rcu \
     __run_hrtimer __hrtimer_run_queues hrtimer_run_softirq call_timer_fn expire_timers run_timer_softirq \
     __run_timers net_rx_action net_tx_action __napi_poll napi_poll process_backlog \
     __netif_receive_skb_core __netif_receive_skb_one_core __netif_receive_skb_list_core \
     __netif_receive_skb_list_ptype rcu_do_batch rcu_core rcu_process_callbacks tasklet_action \
     tasklet_action_common __handle_irq_event_percpu handle_irq_event_percpu",
    // Work and threads.
    "process_one_work process_scheduled_works worker_thread kthread kthread_worker_fn ret_from_fork* \
     task_work_run get_signal smpboot_thread_fn",
    // Page faults: the operations of mappings.
    "__do_fault",
    // Start-up: the initialisation of each subsystem.
    "do_one_initcall do_initcalls",
];

/// The layers, as a table.
static DISPATCHER_NAMES: LazyLock<Names> = LazyLock::new(|| {
    let names = DISPATCHERS.iter().flat_map(|layer| layer.split_ascii_whitespace());
    Names::new(names.map(|name| (name, 1)))
});

/// Whether a function is one that calls into subsystems.
fn is_dispatcher(name: &str) -> bool {
    let handles_all = ["ioctl", "read", "write"].iter().any(|call| name.ends_with(call));
    DISPATCHER_NAMES.of(name) != 0
        || handles_all
            && (name.ends_with("_compat_ioctl")
                || syscall(name)
                    .is_some_and(|(_, call)| matches!(call, "ioctl" | "read" | "write")))
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
            ("__arm64_compat_sys_mount", "sys_mount"),
            ("__se_sys_mount", "mount"),
            ("ksys_mount", "mount"),
            ("sys_mount", "mount"),
            ("compat_SyS_mount", "mount"),
            ("synchronize_rcu_expedited", "synchronize_rcu"),
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
        assert_eq!(blamed(entry(&trace)), "my_write");
        let rules = frames(&[
            "nf_ct_get",
            "ipt_do_table",
            "nf_hook_slow",
            "ip_rcv",
            "__netif_receive_skb_one_core",
        ]);
        assert_eq!(blamed(entry(&rules)), "ipt_do_table");
        assert_eq!(blamed(entry(&frames(&["_raw_spin_lock", "lonely"]))), "lonely");
    }
}
