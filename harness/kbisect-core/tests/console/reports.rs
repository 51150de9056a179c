//! Each kind of report, and what must stay clean.

use kbisect_core::console::{Class, ReportKind, Scanner, classify};

use crate::logs::{BOOT, one, oops, stamped, stamped_by};

#[test]
fn a_healthy_boot_is_clean() {
    for log in [BOOT.to_owned(), stamped(BOOT), stamped_by("T1", BOOT)] {
        let reports = classify(log.as_bytes());
        assert!(reports.is_empty(), "{reports:?}");
    }
}

#[test]
fn what_user_space_prints_is_not_a_crash() {
    let quoted = "Kernel panic - not syncing: Fatal exception\n\
                  BUG: unable to handle page fault for address: 0000000000000008\n\
                  WARNING: CPU: 0 PID: 1 at net/core/dev.c:12 dev_open+0x1/0x2\n\
                  fatal error: the test wants this text\n";
    let log = format!("{}ok 1 - prints\n{quoted}ok 2 - done\n", stamped(BOOT));
    assert_eq!(classify(log.as_bytes()), []);
    let mut scanner = Scanner::new();
    scanner.push(log.as_bytes());
    assert!(!scanner.is_collecting(), "nobody has to wait for the trace of a quotation");
    // Traces that the kernel prints afterwards do not prove it, and it hides no real failure.
    let shown = "sysrq: Show backtrace of all active CPUs\nCall Trace:\n sysrq_handle+0x1/0x2\n \
                 __handle_sysrq+0x1/0x2\n vfs_write+0x1/0x2\n";
    assert_eq!(classify(format!("{log}{}", stamped(shown)).as_bytes()), []);
    let killed = stamped("Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100");
    let report = one(&format!("{log}{killed}"));
    assert_eq!(report.title, "kernel panic: Attempted to kill init!");
    assert!(!report.text.contains("BUG"), "{}", report.text);
    // With a trace it is taken for what it says: better a doubt too much than a crash missed.
    let real = oops("BUG: unable to handle page fault for address: 0008", "nft_eval", &["ip_rcv"]);
    let log = format!("{}{real}", stamped(BOOT));
    assert_eq!(one(&log).title, "BUG: unable to handle kernel paging request in nft_eval");
}

#[test]
fn stack_guard_page_has_one_title_in_all_kernels() {
    let trace = [
        "nft_synproxy_do_eval",
        "nft_do_chain",
        "nf_hook_slow",
        "ip_local_out",
        "tcp_connect",
        "tcp_v4_connect",
        "inet_stream_connect",
        "__sys_connect",
        "__x64_sys_connect",
        "do_syscall_64",
    ];
    let (page, hit) = ("at 00000000b51f8d53 (stack is 00000000..0000ffff)", "stack guard page");
    for (log, panic) in [
        (
            format!(
                "BUG: {hit} was hit {page}\nkernel stack overflow (double-fault): 0000 [#1] SMP"
            ),
            "Fatal exception in interrupt",
        ),
        (
            format!("BUG: TASK {hit} was hit {page}\n{hit}: 0000 [#1] PREEMPT SMP PTI"),
            "Fatal exception in interrupt",
        ),
        (
            format!("BUG: TASK {hit} was hit {page}\nOops: {hit}: 0000 [#1] SMP NOPTI"),
            "Fatal exception in interrupt",
        ),
        (format!("Oops: {hit}: 0000 [#1] SMP NOPTI"), "Fatal exception in interrupt"),
    ] {
        let log = oops(&log, "ip_finish_output", &trace)
            + &format!("Kernel panic - not syncing: {panic}\nKernel Offset: 0x2a000000\n");
        let report = one(&stamped(&log));
        assert_eq!(report.title, "BUG: stack guard page was hit in inet_stream_connect");
        assert_eq!((report.class, report.kind), (Class::StackOverflow, ReportKind::Oops));
        assert!(report.fatal && !report.corrupted, "{report:?}");
        assert!(report.frames.contains(&"nft_synproxy_do_eval".to_owned()));
    }
}

#[test]
fn exceptions_of_x86() {
    for (first, title) in [
        (
            "BUG: unable to handle kernel NULL pointer dereference at 0000000000000008",
            "BUG: unable to handle kernel NULL pointer dereference in nft_eval",
        ),
        (
            "BUG: kernel NULL pointer dereference, address: 0000000000000008\n\
          #PF: supervisor read access in kernel mode\nOops: 0000 [#1] SMP PTI",
            "BUG: unable to handle kernel NULL pointer dereference in nft_eval",
        ),
        (
            "BUG: unable to handle kernel paging request at ffffc90000000000",
            "BUG: unable to handle kernel paging request in nft_eval",
        ),
        (
            "BUG: unable to handle page fault for address: ffffc90000000000\nOops: Oops: 0002 [#1] SMP",
            "BUG: unable to handle kernel paging request in nft_eval",
        ),
        ("general protection fault: 0000 [#1] SMP", "general protection fault in nft_eval"),
        (
            "general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1]",
            "general protection fault in nft_eval",
        ),
        (
            "Oops: general protection fault, probably for non-canonical address 0xdead: 0000 [#1] SMP",
            "general protection fault in nft_eval",
        ),
        ("divide error: 0000 [#1] SMP", "divide error in nft_eval"),
        ("Oops: divide error: 0000 [#1] SMP NOPTI", "divide error in nft_eval"),
        ("invalid opcode: 0000 [#3] SMP", "invalid opcode in nft_eval"),
        (
            "------------[ cut here ]------------\nkernel BUG at net/core/skbuff.c:105!\n\
          invalid opcode: 0000 [#1] SMP",
            "kernel BUG in nft_eval",
        ),
        (
            "kernel BUG at net/core/skbuff.c:105!\nOops: invalid opcode: 0000 [#1] SMP",
            "kernel BUG in nft_eval",
        ),
        (
            "list_del corruption. prev->next should be ffff8880, but was dead000000000122\n\
          ------------[ cut here ]------------\nkernel BUG at lib/list_debug.c:53!\n\
          invalid opcode: 0000 [#1] SMP",
            "BUG: corrupted list in nft_eval",
        ),
        (
            "traps: PANIC: double fault, error_code: 0x0\ndouble fault: 0000 [#1] SMP",
            "PANIC: double fault in nft_eval",
        ),
    ] {
        let report = one(&stamped(&oops(first, "nft_eval", &["nft_do_chain", "nf_hook_slow"])));
        assert_eq!(report.title, title);
        assert_eq!(report.kind, ReportKind::Oops, "{title}");
        assert_eq!(report.function.as_deref(), Some("nft_eval"));
        assert!(!report.fatal && !report.corrupted, "{report:?}");
    }
}

#[test]
fn helpers_are_not_to_blame_and_modules_are_named() {
    let mut log = oops(
        "general protection fault: 0000 [#1] SMP",
        "memcpy_erms",
        &["skb_copy_bits", "ip_rcv"],
    );
    log = log
        .replace("skb_copy_bits+0x4f/0x2a0", "nft_payload_eval.constprop.0+0x4f/0x2a0 [nf_tables]");
    let report = one(&stamped(&log));
    assert_eq!(report.title, "general protection fault in nft_payload_eval");
    assert_eq!(report.module.as_deref(), Some("nf_tables"));
    assert_eq!(report.alt_titles, ["bad-access in nft_payload_eval"]);
    assert_eq!(report.frames[..2], ["memcpy_erms", "nft_payload_eval"]);
}

#[test]
fn exceptions_of_arm64_and_riscv() {
    let arm64 = "\
Unable to handle kernel NULL pointer dereference at virtual address 0000000000000010
Mem abort info:
  ESR = 0x0000000096000004
Internal error: Oops: 0000000096000004 [#1] SMP
Modules linked in: nf_tables
CPU: 1 UID: 0 PID: 77 Comm: nft Not tainted 6.12.57 #1
pstate: 60400005 (nZCv daif +PAN -UAO -TCO -DIT -SSBS BTYPE=--)
pc : nft_eval+0x34/0x120 [nf_tables]
lr : nft_do_chain+0x98/0x3c0 [nf_tables]
sp : ffff80008338ba40
x29: ffff80008338ba40 x28: 0000000000000000
Call trace:
 nft_eval+0x34/0x120 [nf_tables] (P)
 nft_do_chain+0x98/0x3c0 [nf_tables]
 el0t_64_sync+0x198/0x19c
Code: f9400260 b9401c01 7100043f 540000a1 (f9400800)
---[ end trace 0000000000000000 ]---
Kernel panic - not syncing: Oops: Fatal exception
";
    let report = one(&stamped(arm64));
    assert_eq!(report.title, "BUG: unable to handle kernel NULL pointer dereference in nft_eval");
    assert_eq!(report.module.as_deref(), Some("nf_tables"));
    assert!(report.fatal);
    let riscv = "\
Unable to handle kernel paging request at virtual address ffffffd880000000
Oops [#1]
CPU: 0 PID: 77 Comm: nft Not tainted 6.12.57 #1
epc : nft_eval+0x34/0x120
 ra : nft_do_chain+0x98/0x3c0
[<ffffffff80a3c1f0>] nft_eval+0x34/0x120
[<ffffffff80a3d2f0>] nft_do_chain+0x98/0x3c0
---[ end trace 0000000000000000 ]---
";
    let report = one(&stamped(riscv));
    assert_eq!(report.title, "BUG: unable to handle kernel paging request in nft_eval");
    let bug = "\
------------[ cut here ]------------
kernel BUG at net/core/dev.c:11!
Kernel BUG [#1]
epc : nft_eval+0x34/0x120
[<ffffffff80a3c1f0>] nft_eval+0x34/0x120
[<ffffffff80a3d2f0>] nft_do_chain+0x98/0x3c0
---[ end trace 0000000000000000 ]---
";
    assert_eq!(one(&stamped(bug)).title, "kernel BUG in nft_eval");
}

#[test]
fn warnings() {
    let trace = ["nf_nat_setup_info", "nf_nat_masquerade_ipv4", "nf_hook_slow"];
    for (first, ip, title, class) in [
        (
            "WARNING: CPU: 0 PID: 5 at net/netfilter/nf_nat_core.c:590 nf_nat_setup_info+0x1c/0x90",
            "nf_nat_setup_info",
            "WARNING in nf_nat_setup_info",
            Class::Warning,
        ),
        (
            "WARNING: net/netfilter/nf_nat_core.c:590 at nf_nat_setup_info+0x1c/0x90, CPU#0: app/5",
            "nf_nat_setup_info",
            "WARNING in nf_nat_setup_info",
            Class::Warning,
        ),
        (
            "WARNING: at net/netfilter/nf_nat_core.c:590 nf_nat_setup_info+0x1c/0x90()",
            "nf_nat_setup_info",
            "WARNING in nf_nat_setup_info",
            Class::Warning,
        ),
        (
            "refcount_t: underflow; use-after-free.\n\
          WARNING: CPU: 0 PID: 5 at lib/refcount.c:28 refcount_warn_saturate+0xba/0x110",
            "refcount_warn_saturate",
            "WARNING: refcount bug in nf_nat_setup_info",
            Class::Refcount,
        ),
        (
            "NETDEV WATCHDOG: eth0 (virtio_net): transmit queue 0 timed out\n\
          WARNING: CPU: 0 PID: 0 at net/sched/sch_generic.c:525 dev_watchdog+0x207/0x210",
            "dev_watchdog",
            "WARNING in dev_watchdog",
            Class::Warning,
        ),
    ] {
        let log = format!("------------[ cut here ]------------\n{}", oops(first, ip, &trace));
        let report = one(&stamped(&log));
        assert_eq!((report.title.as_str(), report.class), (title, class));
        assert_eq!(report.kind, ReportKind::Warning);
        assert!(!report.fatal);
    }
    let lost = one("[    1.000000] WARNING: CPU: 3 PID: 2 at net/a.c:10 genl_unbind+0x1/0x2()\n");
    assert_eq!((lost.title.as_str(), lost.corrupted), ("WARNING in corrupted", true));
}

#[test]
fn lockups_stalls_and_hung_tasks() {
    let stack = [
        "nf_ct_get_tuple",
        "ipt_do_table",
        "nf_hook_slow",
        "ip_rcv",
        "__netif_receive_skb_one_core",
    ];
    for (first, title) in [
        (
            "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [nginx:417]",
            "BUG: soft lockup in ipt_do_table",
        ),
        (
            "NMI watchdog: BUG: soft lockup - CPU#1 stuck for 23s! [nginx:417]",
            "BUG: soft lockup in ipt_do_table",
        ),
        (
            "rcu: INFO: rcu_sched self-detected stall on CPU\n\
          rcu: \t0-....: (5249 ticks this GP) idle=abc/1/0x4000 softirq=1/1 fqs=2624",
            "INFO: rcu detected stall in ipt_do_table",
        ),
        (
            "INFO: rcu_preempt detected stalls on CPUs/tasks:",
            "INFO: rcu detected stall in ipt_do_table",
        ),
        (
            "watchdog: CPU2: Watchdog detected hard LOCKUP on cpu 2",
            "BUG: hard lockup in ipt_do_table",
        ),
    ] {
        let report = one(&stamped(&oops(first, "_raw_spin_lock_bh", &stack)));
        assert_eq!((report.title.as_str(), report.kind), (title, ReportKind::Hang));
    }
    let lockup = oops("watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [x:1]", "aa", &stack)
        + "Kernel panic - not syncing: softlockup: hung tasks\n";
    assert!(one(&stamped(&lockup)).fatal);
    let hung = "\
INFO: task nft:812 blocked for more than 120 seconds.
      Not tainted 6.12.57 #1
\"echo 0 > /proc/sys/kernel/hung_task_timeout_secs\" disables this message.
task:nft             state:D stack:0     pid:812   tgid:812   ppid:1      flags:0x00000002
Call Trace:
 <TASK>
 __schedule+0x3e4/0xb90
 schedule+0x27/0xd0
 schedule_preempt_disabled+0x15/0x30
 __mutex_lock.constprop.0+0x4a6/0x760
 nf_tables_newtable+0x64/0x140 [nf_tables]
 nfnetlink_rcv_batch+0x1f3/0x2b0 [nfnetlink]
 </TASK>
";
    // Nothing marks its end.
    let report = one(&(stamped(hung) + &stamped(&"eth0: link is up\n".repeat(500))));
    assert!(report.text.trim_end().ends_with("</TASK>"), "{}", report.text);
    assert_eq!(report.title, "INFO: task hung in nf_tables_newtable");
    assert_eq!(report.alt_titles, ["hang in nf_tables_newtable"]);
    let workqueue = "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 34s!\n\
                     Showing busy workqueues and worker pools:\n";
    assert_eq!(one(&stamped(workqueue)).title, "BUG: workqueue lockup");
    let device = "unregister_netdevice: waiting for eth1 to become free. Usage count = 2\n";
    let report = one(&stamped(device));
    assert_eq!(report.title, "unregister_netdevice: waiting for DEV to become free");
    assert_eq!(report.kind, ReportKind::Hang);
}

#[test]
fn lock_debugging() {
    let lock = "\
======================================================
WARNING: possible circular locking dependency detected
6.12.57 #1 Not tainted
------------------------------------------------------
nft/812 is trying to acquire lock:
ffffffff8600aef8 (rtnl_mutex){+.+.}-{3:3}, at: nf_tables_netdev_event+0x2d/0xc0 [nf_tables]

but task is already holding lock:
ffff888006c84955 (&net->lock){+.+.}-{3:3}, at: other_function+0x17e/0xb00

the existing dependency chain (in reverse order) is:
-> #1 (&net->lock){+.+.}-{3:3}:
       chain_function+0x2b/0x40
stack backtrace:
Call Trace:
 dump_stack_lvl+0x5d/0x80
 print_circular_bug.cold+0x178/0x1be
";
    assert_eq!(one(&stamped(lock)).title, "possible deadlock in nf_tables_netdev_event");
    for (first, title) in [
        (
            "BUG: sleeping function called from invalid context at mm/slab.h:420\nin_atomic(): 1",
            "BUG: sleeping function called from invalid context in vrf_rcv",
        ),
        (
            "BUG: scheduling while atomic: app/1/0x00000201",
            "BUG: scheduling while atomic in vrf_rcv",
        ),
        (
            "BUG: using smp_processor_id() in preemptible [00000000] code: app/12",
            "BUG: using smp_processor_id() in preemptible code in vrf_rcv",
        ),
        ("BUG: spinlock bad magic on CPU#0, app/12", "BUG: spinlock bad magic in vrf_rcv"),
        (
            "WARNING: suspicious RCU usage\n6.1.0 #1 Not tainted\n-----------\nnet/a.c:1 suspicious",
            "WARNING: suspicious RCU usage in vrf_rcv",
        ),
        ("[ INFO: suspicious RCU usage. ]", "INFO: suspicious RCU usage in vrf_rcv"),
        (
            "INFO: trying to register non-static key.\nthe code is fine but needs annotation",
            "INFO: trying to register non-static key in vrf_rcv",
        ),
    ] {
        let log = format!(
            "{first}\nCall Trace:\n dump_stack+0x1/0x2\n __might_sleep+0x1/0x2\n \
                           vrf_rcv+0x1/0x2 [vrf]\n ip_rcv+0x1/0x2\n"
        );
        let report = one(&stamped(&log));
        assert_eq!((report.title.as_str(), report.kind), (title, ReportKind::Warning));
        assert_eq!(report.module.as_deref(), Some("vrf"));
    }
}

#[test]
fn sanitizers() {
    let trace = "Call Trace:\n dump_stack+0x1/0x2\n kasan_report+0x1/0x2\n __ubsan_x+0x1/0x2\n \
                 memcpy+0x1/0x2\n nft_set_elem_init+0x1/0x2 [nf_tables]\n nft_add+0x1/0x2\n\n\
                 Allocated by task 1:\n kasan_save+0x1/0x2\n other+0x1/0x2\n";
    for (first, title) in [
        (
            "BUG: KASAN: slab-use-after-free in memcpy+0x1/0x2\nRead of size 8 at addr ffff by task a/1",
            "KASAN: slab-use-after-free Read in nft_set_elem_init",
        ),
        (
            "BUG: KASAN: slab-out-of-bounds in memcpy+0x1/0x2\nWrite of size 8 at addr ffff by task a",
            "KASAN: slab-out-of-bounds Write in nft_set_elem_init",
        ),
        (
            "BUG: KASAN: double-free in kfree+0x1/0x2\nFree of addr ffff8880 by task a/1",
            "KASAN: invalid-free in nft_set_elem_init",
        ),
        (
            "BUG: KMSAN: uninit-value in nft_set_elem_init+0x1/0x2",
            "KMSAN: uninit-value in nft_set_elem_init",
        ),
        (
            "BUG: KFENCE: use-after-free read in nft_set_elem_init+0x1/0x2",
            "KFENCE: use-after-free read in nft_set_elem_init",
        ),
        (
            "BUG: KCSAN: data-race in nft_a+0x1/0x2 [nf_tables] / nft_b+0x1/0x2",
            "KCSAN: data-race in nft_a / nft_b",
        ),
        (
            "UBSAN: array-index-out-of-bounds in net/a.c:1:2\nindex 5 is out of range for type 'u8 [4]'",
            "UBSAN: array-index-out-of-bounds in nft_set_elem_init",
        ),
        (
            "UBSAN: Undefined behaviour in net/a.c:1:2",
            "UBSAN: undefined-behaviour in nft_set_elem_init",
        ),
    ] {
        let rule = "==================================================================";
        let log = format!("{rule}\n{first}\n{trace}{rule}\n");
        assert_eq!(one(&stamped(&log)).title, title);
    }
    let leak = "\
BUG: memory leak
unreferenced object 0xffff88800a6b4c00 (size 512):
  comm \"nft\", pid 812, jiffies 4294952346
  backtrace (crc 1f2e3d4c):
    [<000000008beb86da>] kmalloc_trace+0x1bb/0x3d0
    [<000000009768e365>] nft_trans_begin+0x1cd/0x8f0 [nf_tables]
";
    // kmemleak's list is read from a file: user space prints it, without stamps.
    let log = format!("{}{leak}", stamped(BOOT));
    assert_eq!(one(&log).title, "memory leak in nft_trans_begin");
}

#[test]
fn panics_and_failed_boots() {
    for (reason, title, kind) in [
        (
            "VFS: Unable to mount root fs on unknown-block(0,0)",
            "kernel panic: VFS: Unable to mount root fs",
            ReportKind::BootFailed,
        ),
        (
            "No working init found.  Try passing init= option to kernel.",
            "kernel panic: No working init found",
            ReportKind::BootFailed,
        ),
        (
            "Attempted to kill init! exitcode=0x0000000b",
            "kernel panic: Attempted to kill init!",
            ReportKind::Panic,
        ),
        ("sysrq triggered crash", "kernel panic: sysrq triggered crash", ReportKind::Panic),
        (
            "stack-protector: Kernel stack is corrupted in: udp_lookup+0x7ea/0x7f0",
            "kernel panic: stack is corrupted in udp_lookup",
            ReportKind::Panic,
        ),
        ("Fatal exception in interrupt", "kernel panic: Fatal exception", ReportKind::Panic),
    ] {
        let log = format!("Kernel panic - not syncing: {reason}\nCPU: 0 PID: 1 Comm: init #1\n");
        let report = one(&stamped(&log));
        assert_eq!((report.title.as_str(), report.kind), (title, kind));
        assert!(report.fatal);
        assert_eq!(report.suppressed, reason.starts_with("Attempted to kill init"));
        // The exception itself was lost.
        assert_eq!(report.corrupted, reason.starts_with("Fatal exception"), "{reason}");
    }
}

#[test]
fn an_oom_kill_is_a_report() {
    for line in [
        "Out of memory: Killed process 417 (nginx) total-vm:812kB, anon-rss:600kB, UID:0",
        "Out of memory: Kill process 417 (nginx) score 900 or sacrifice child",
        "Memory cgroup out of memory: Killed process 417 (nginx) total-vm:812kB",
    ] {
        let log = stamped(&format!("nginx invoked oom-killer: gfp_mask=0x140cca\n{line}\n"));
        assert_eq!(one(&log).class, Class::Oom);
    }
}

#[test]
fn the_json_form_is_the_contract() {
    let log = stamped(&oops("divide error: 0000 [#1] SMP", "nft_eval", &["ip_rcv"]));
    let json = serde_json::to_value(one(&log)).unwrap();
    assert_eq!(json["kind"], "oops");
    assert_eq!(json["title"], "divide error in nft_eval");
    assert_eq!(json["function"], "nft_eval");
    assert_eq!(json["module"], serde_json::Value::Null);
    assert_eq!(json["corrupted"], false);
    assert_eq!(json["line"], 1);
    assert!(json["text"].as_str().unwrap().contains("RIP: 0010:nft_eval+0x1c/0x90"));
}
