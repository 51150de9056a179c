//! Which function is to blame, and what it is called in a title.

use super::helpers::{Skip, is_helper};
use super::trace::Frame;

/// A function as it enters a title.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Culprit {
    /// Stable name.
    pub name: String,
    /// A more exact name, where the stable one stands for a family.
    pub exact: Option<String>,
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

/// Drops the timer interrupt in which a stall was noticed.
fn after_interrupt<'a, 'b>(frames: &'a [Frame<'b>]) -> &'a [Frame<'b>] {
    let noticed = |frame: &Frame<'_>| {
        let name = bare(frame.name);
        NOTICED_IN.contains(&name) || name.starts_with("rcu_dump_cpu_stacks")
    };
    let Some(tick) = frames.iter().position(noticed) else { return frames };
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
    let stable = family(bare).unwrap_or_else(|| strip_syscall(bare));
    let exact = (stable != bare).then(|| bare.to_owned());
    Culprit { name: stable.to_owned(), exact, module }
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

/// Entry points of one system call have one name: `__x64_sys_mount`, `SyS_mount` -> `mount`.
fn strip_syscall(name: &str) -> &str {
    for prefix in [
        "__x64_sys_",
        "__ia32_sys_",
        "__arm64_sys_",
        "__riscv_sys_",
        "__se_sys_",
        "__do_sys_",
        "__ia32_compat_sys_",
        "__x64_compat_sys_",
        "__x32_compat_sys_",
        "__arm64_compat_sys_",
        "__se_compat_sys_",
        "__do_compat_sys_",
        "compat_SyS_",
        "compat_SYSC_",
        "C_SYSC_",
        "compat_sys_",
        "SyS_",
        "SYSC_",
    ] {
        if let Some(rest) = name.strip_prefix(prefix).filter(|rest| !rest.is_empty()) {
            return rest;
        }
    }
    name
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

const NOTICED_IN: &[&str] = &[
    "update_process_times",
    "tick_sched_handle",
    "tick_sched_timer",
    "tick_nohz_handler",
    "rcu_check_callbacks",
    "rcu_sched_clock_irq",
    "hrtimer_interrupt",
    "watchdog_timer_fn",
];

const INTERRUPT_ENTRY: &[&str] = &[
    "apic_timer_interrupt",
    "asm_sysvec_",
    "asm_common_interrupt",
    "common_interrupt",
    "do_interrupt_handler",
    "el1_interrupt",
    "el1_irq",
    "el1h_64_irq",
    "handle_arch_irq",
    "handle_exception",
    "call_on_irq_stack",
    "do_irq",
    "do_riscv_irq",
    "gic_handle_irq",
    "instr_sysvec_",
    "local_apic_timer_interrupt",
    "ret_from_exception",
    "riscv_intc_irq",
    "smp_apic_timer_interrupt",
    "sysvec_apic_timer_interrupt",
    "__sysvec_apic_timer_interrupt",
    "__irq_svc",
];

/// Functions that call into one subsystem or another.
fn is_dispatcher(name: &str) -> bool {
    const EXACT: &[&str] = &[
        "__fput",
        "____fput",
        "fput",
        "__fput_sync",
        "__run_hrtimer",
        "__hrtimer_run_queues",
        "hrtimer_run_softirq",
        "__do_softirq",
        "handle_softirqs",
        "do_softirq",
        "call_timer_fn",
        "expire_timers",
        "run_timer_softirq",
        "__run_timers",
        "net_rx_action",
        "net_tx_action",
        "__napi_poll",
        "napi_poll",
        "process_backlog",
        "rcu_do_batch",
        "rcu_core",
        "rcu_process_callbacks",
        "tasklet_action",
        "tasklet_action_common",
        "__tasklet_hi_schedule",
        "irq_exit",
        "__irq_exit_rcu",
        "irq_exit_rcu",
        "process_one_work",
        "process_scheduled_works",
        "worker_thread",
        "kthread",
        "kthread_worker_fn",
        "ret_from_fork",
        "task_work_run",
        "vfs_read",
        "__vfs_read",
        "vfs_write",
        "__vfs_write",
        "new_sync_read",
        "new_sync_write",
        "do_iter_read",
        "do_iter_write",
        "do_iter_readv_writev",
        "do_loop_readv_writev",
        "vfs_ioctl",
        "do_vfs_ioctl",
        "vfs_poll",
        "vfs_fsync_range",
        "vfs_open",
        "do_dentry_open",
        "vfs_mknod",
        "vfs_unlink",
        "vfs_iter_read",
        "vfs_iter_write",
        "call_mmap",
        "mmap_region",
        "do_select",
        "do_sys_poll",
        "do_poll",
        "evict",
        "mount_fs",
        "legacy_get_tree",
        "vfs_get_tree",
        "get_signal",
        "__handle_irq_event_percpu",
        "handle_irq_event_percpu",
        "__netif_receive_skb_core",
        "__netif_receive_skb_one_core",
        "__netif_receive_skb_list_core",
        "__netif_receive_skb_list_ptype",
        "sock_sendmsg",
        "__sock_sendmsg",
        "sock_sendmsg_nosec",
        "____sys_sendmsg",
        "sock_recvmsg",
        "____sys_recvmsg",
        "sock_write_iter",
        "sock_read_iter",
        "sock_close",
        "__sys_connect",
        "__sys_connect_file",
        "__sys_sendto",
        "__sys_recvfrom",
        "__sys_bind",
        "__sys_listen",
        "__sys_accept4",
        "__sys_setsockopt",
        "__sys_getsockopt",
        "do_sock_setsockopt",
        "do_sock_getsockopt",
        "do_sys_open",
        "do_sys_openat2",
        "invoke_syscall",
        "x64_sys_call",
        "ia32_sys_call",
        "el0_svc_common",
        "ret_fast_syscall",
    ];
    EXACT.contains(&name)
        || [
            "do_syscall_",
            "do_fast_syscall_",
            "do_int80_",
            "__do_fast_syscall_",
            "entry_SYS",
            "entry_INT80",
            "system_call_fastpath",
            "ret_from_fork",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix))
        || name.ends_with("_compat_ioctl")
        || strip_syscall(name) == "ioctl"
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
            ("__x64_sys_mount", "mount"),
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
