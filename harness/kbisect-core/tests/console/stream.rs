//! Several reports in one log, streaming, and hostile input.

use std::sync::LazyLock;

use kbisect_core::console::{Event, MilestoneKind, ReportKind, Scanner, classify};
use proptest::prelude::*;

use crate::logs::{BOOT, one, oops, stamped, stamped_by};

#[test]
fn several_reports_come_in_order() {
    let log = stamped(BOOT)
        + &stamped(&oops(
            "WARNING: CPU: 0 PID: 5 at net/a.c:1 aa_first+0x1/0x2",
            "aa_first",
            &["x1"],
        ))
        + &stamped(&"eth0: link is up\n".repeat(1000))
        + &stamped(&oops("general protection fault: 0000 [#1] SMP", "bb_second", &["x2"]))
        + &stamped("Kernel panic - not syncing: Fatal exception\n");
    let reports = classify(log.as_bytes());
    let titles: Vec<&str> = reports.iter().map(|report| report.title.as_str()).collect();
    assert_eq!(titles, ["WARNING in aa_first", "general protection fault in bb_second"]);
    assert_eq!([reports[0].fatal, reports[1].fatal], [false, true]);
    for report in &reports {
        let start = usize::try_from(report.offset).unwrap();
        let line = log[..start].matches('\n').count() + 1;
        assert_eq!(report.line, line, "{}", report.title);
        let first = log[start..].lines().next().unwrap();
        assert!(report.text.starts_with(first), "{}", report.text);
    }
    assert!(!reports[0].text.contains("link is up"));
}

#[test]
fn callers_keep_interleaved_reports_apart() {
    let warning = oops("WARNING: CPU: 0 PID: 5 at net/a.c:1 aa_one+0x1/0x2", "aa_one", &["aa_in"]);
    let fault = oops("general protection fault: 0000 [#1] SMP", "bb_two", &["bb_in"]);
    let (warning, fault) = (stamped_by("T5", &warning), stamped_by("C1", &fault));
    let log: String =
        warning.lines().zip(fault.lines()).map(|(a, b)| format!("{a}\n{b}\n")).collect();
    let reports = classify(log.as_bytes());
    let titles: Vec<&str> = reports.iter().map(|report| report.title.as_str()).collect();
    assert_eq!(titles, ["WARNING in aa_one", "general protection fault in bb_two"]);
    assert!(reports.iter().all(|report| !report.corrupted));
}

#[test]
fn a_lost_line_end_does_not_hide_a_report() {
    let log = "[   76.470085] app: vmalloc: allocation failure: 34359 bytes[   76.471107] \
               BUG: unable to handle kernel paging request at ffffffffa4493138\n\
               [   76.471114] IP: [<ffffffff824164eb>] foo_ioctl+0x129b/0x2280\n";
    let report = one(log);
    assert_eq!(report.title, "BUG: unable to handle kernel paging request in foo_ioctl");
    assert!(report.corrupted);
}

#[test]
fn control_sequences_and_bad_bytes_do_not_hide_a_report() {
    let log = stamped(&oops("general protection fault: 0000 [#1] SMP", "nft_eval", &["ip_rcv"]));
    let colored = log.replace("[   12", "\x1b[0;33m\u{7}[   12").replace(" nft", " \x1b[1mnft");
    let mut bytes = colored.into_bytes();
    bytes.extend_from_slice(b"\xff\xfe\x00 tail without an end \x1b[");
    let reports = classify(&bytes);
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].title, "general protection fault in nft_eval");
    assert!(!reports[0].text.contains('\x1b'));
}

#[test]
fn resets_are_noticed_unless_announced() {
    let boot = stamped(BOOT.lines().next().unwrap());
    let count = |log: &str| classify(log.as_bytes()).len();
    assert_eq!(count(&boot), 0);
    let report = one(&format!("{boot}{boot}"));
    assert_eq!(
        (report.kind, report.title.as_str()),
        (ReportKind::Reboot, "unexpected kernel reboot")
    );
    assert_eq!(report.line, 2);
    assert_eq!(count(&format!("{boot}{}{boot}", stamped("reboot: Restarting system"))), 0);
    assert_eq!(count(&format!("{boot}{}{boot}", stamped("sysrq: Resetting"))), 0);
    let quoted = "Kernel panic - not syncing: x\nreboot: Restarting system\n";
    assert_eq!(count(&format!("{boot}{quoted}{boot}")), 1, "user space announces nothing");
    let panic = stamped("Kernel panic - not syncing: x\nRebooting in 1 seconds..");
    assert_eq!(count(&format!("{boot}{panic}{boot}")), 1, "the panic explains it");
}

#[test]
fn milestones_and_openings_come_while_the_log_is_read() {
    let mut scanner = Scanner::new();
    let events = scanner.push(stamped(BOOT).as_bytes());
    let kinds: Vec<MilestoneKind> = events
        .into_iter()
        .map(|event| match event {
            Event::Milestone(milestone) => milestone.kind,
            other => panic!("{other:?}"),
        })
        .collect();
    let release = "6.12.57+deb13-amd64".to_owned();
    assert_eq!(kinds, [MilestoneKind::LinuxBanner { release, nth: 1 }, MilestoneKind::PowerDown]);

    let log = stamped(&oops("general protection fault: 0000 [#1] SMP", "nft_eval", &["ip_rcv"]));
    let (head, tail) = log.split_at(log.find("RIP").unwrap());
    let events = scanner.push(head.as_bytes());
    assert!(
        matches!(&events[..], [Event::Opened { kind: ReportKind::Oops, text, .. }]
            if text.contains("general protection")),
        "{events:?}"
    );
    assert!(scanner.is_collecting());
    assert_eq!(scanner.push(tail.as_bytes()), [], "a panic may follow");
    assert!(!scanner.is_collecting(), "the trace is complete");
    let events = scanner.finish();
    assert!(matches!(&events[..], [Event::Report(report)] if !report.fatal), "{events:?}");
}

#[test]
fn memory_is_bounded() {
    let mut scanner = Scanner::new();
    let mut reports = 0;
    let mut longest = 0;
    let mut take = |events: Vec<Event>| {
        for event in events {
            if let Event::Report(report) = event {
                reports += 1;
                longest = longest.max(report.text.len());
            }
        }
    };
    // One line of 32 MiB, then a flood of first lines and of frames that never end.
    for _ in 0..512 {
        take(scanner.push(&[b'x'; 64 << 10]));
    }
    let first = b"\n[    1.000000] BUG: soft lockup - CPU#0 stuck for 22s! [x:1]\n";
    for _ in 0..2000 {
        take(scanner.push(first));
    }
    for _ in 0..50_000 {
        take(scanner.push(b"[    1.000000]  some_function_of_the_kernel+0x1234/0x5678 [module]\n"));
    }
    take(scanner.finish());
    assert!(reports <= 256, "{reports}");
    assert!(scanner.dropped() >= 1700, "{}", scanner.dropped());
    assert!(longest <= 128 << 10, "{longest}");
}

#[test]
fn a_storm_of_warnings_hides_no_panic() {
    let warning = stamped_by(
        "T5",
        &oops("WARNING: CPU: 0 PID: 5 at net/a.c:1 aa_one+0x1/0x2", "aa_one", &["aa_in", "aa_out"]),
    );
    let fault =
        stamped_by("T9", &oops("general protection fault: 0000 [#1] SMP", "bb_two", &["b1"]));
    let panic = stamped_by("T9", "Kernel panic - not syncing: Fatal exception\n");
    let own = stamped_by("T7", "Kernel panic - not syncing: out of frobs\n");
    let storm = warning.repeat(5000);
    // Warnings go on between the fault and the panic that follows from it.
    let log = format!("{storm}{fault}{warning}{panic}{storm}{own}");
    let mut scanner = Scanner::new();
    let mut events = Vec::new();
    for piece in log.as_bytes().chunks(64 << 10) {
        events.extend(scanner.push(piece));
    }
    events.extend(scanner.finish());
    let told = |wanted: &str, is_fatal: bool| {
        events.iter().any(|event| {
            matches!(event, Event::Report(r) if r.title.starts_with(wanted) && r.fatal == is_fatal)
        })
    };
    assert!(told("general protection fault in bb_two", true));
    assert!(told("kernel panic: out of frobs", true));
    assert!(told("WARNING in aa_one", false) && !told("WARNING in aa_one", true));
    let opened = |wanted| {
        events.iter().any(|event| matches!(event, Event::Opened { kind, .. } if *kind == wanted))
    };
    assert!(opened(ReportKind::Oops) && opened(ReportKind::Panic));
    assert!(events.len() < 700, "{}", events.len());
    assert!(scanner.dropped() > 9000, "{}", scanner.dropped());
}

#[test]
fn repeated_banners_and_panics_are_bounded() {
    let boot = stamped(BOOT.lines().next().unwrap());
    let panic = stamped("Kernel panic - not syncing: again\n");
    for line in [boot.clone(), panic.clone(), format!("{boot}{panic}")] {
        let mut scanner = Scanner::new();
        let mut events = scanner.push(line.repeat(20_000).as_bytes());
        events.extend(scanner.finish());
        assert!(events.len() < 1000, "{}", events.len());
        assert!(scanner.dropped() > 0 || line.len() > panic.len());
    }
}

#[test]
fn hostile_conditions_and_names_cost_little() {
    let brackets = format!("[    1.000000] WARNING: [{} a.c:1 at f+0x1/0x2\n", "]".repeat(4000));
    let names = "[    1.000000] :1 blocked for more than :1 blocked for more than 1 seconds.\n";
    assert!(classify(brackets.repeat(2000).as_bytes()).len() <= 2000);
    assert!(classify(names.repeat(2000).as_bytes()).len() <= 2000);
}

/// Enough for a report to be given up waiting for its panic.
static MANY_LINES: LazyLock<String> = LazyLock::new(|| "[    1.0000] up\n".repeat(300));

fn pieces() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("BUG: KASAN: use-after-free in foo+0x1/0x2"),
        Just("[    1.000000] WARNING: CPU: 0 PID: 1 at a.c:1 foo+0x1/0x2"),
        Just("[    1.000000][  T12] general protection fault: 0000 [#1] SMP"),
        Just("[    1.000000] UBSAN: "),
        Just("UBSAN: x in "),
        Just("BUG: using "),
        Just("BUG: "),
        Just("INFO: task x:1 blocked for more than 1 seconds."),
        Just("[    1.000000] Kernel panic - not syncing: Fatal exception"),
        Just("Kernel panic - not syncing: "),
        Just("rust_kernel: panicked at x.rs:1:2:"),
        Just("Linux version 6.1 (x)"),
        Just("reboot: Restarting system"),
        Just("Call Trace:"),
        Just(" foo+0x1/0x2 [mod]"),
        Just("RIP: 0010:bar+0x1/0x2"),
        Just("Uninit was created at:"),
        Just("---[ end trace 0 ]---"),
        Just("\u{e4}+0x\u{e4}/0x[<\u{e4}>]"),
        Just("[<>] \x1b[\r<IRQ> ** \u{e4} printk messages dropped ** [1.000]"),
        Just("NETDEV WATCHDOG: eth0 timed out"),
        Just("list_add corruption"),
        Just("healthy line"),
        Just(MANY_LINES.as_str()),
    ];
    prop::collection::vec(line, 0..40).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn any_bytes_are_survived(log in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(classify(&log).len() <= log.len());
    }

    #[test]
    fn any_order_of_kernel_lines_is_survived_and_located(log in pieces()) {
        for report in classify(log.as_bytes()) {
            prop_assert!(!report.title.is_empty() && report.title.len() <= 160);
            prop_assert!(report.line >= 1 && report.line <= log.lines().count());
        }
    }

    #[test]
    fn how_the_log_is_cut_into_pieces_does_not_matter(
        log in pieces(),
        cuts in prop::collection::vec(1usize..40, 1..20),
    ) {
        let mut scanner = Scanner::new();
        let mut rest = log.as_bytes();
        let mut events = Vec::new();
        for cut in cuts.iter().cycle() {
            let (piece, after) = rest.split_at(rest.len().min(*cut));
            events.extend(scanner.push(piece));
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        events.extend(scanner.finish());
        let mut whole = Scanner::new();
        let mut expected = whole.push(log.as_bytes());
        expected.extend(whole.finish());
        // A report whose trace is complete may come earlier, but it is the same report.
        let sorted = |events: Vec<Event>| {
            let mut events: Vec<String> = events.iter().map(|e| format!("{e:?}")).collect();
            events.sort();
            events
        };
        prop_assert_eq!(sorted(events), sorted(expected));
    }
}

/// Whatever a logger puts in front of each line, and however the kernel was asked to stamp it.
#[test]
fn prefixes_of_loggers_change_nothing() {
    let body = oops("general protection fault: 0000 [#1] SMP", "nft_eval", &["ip_rcv", "ip_in"])
        + "Kernel panic - not syncing: Fatal exception in interrupt\n";
    for prefix in [
        "",
        "[    1.000000] ",
        "[12345.678901][ T4321] ",
        "[ T4321] ",
        "\u{fffd}[    1.000000] ",
        "[    1.000000][    C3] ",
        "<1>",
        "<4>[    1.000000] ",
        "kern  :alert : [    1.000000] ",
        "Nov 20 12:00:01 gw-1 kernel: ",
        "Nov  2 12:00:01 gw-1 kernel: [    1.000000] ",
        "2024-11-20T12:00:01.123456+01:00 gw.example kernel: [    1.000000] ",
        "2024-11-20T12:00:01,123456+01:00 ",
        "[    1.000000] gw kernel: ",
        "[Wed Nov 20 12:00:01 2024] ",
        "[  +0.000012] ",
        "[2024-11-20 12:00:01] [    1.000000] ",
        "[12:00:01.123] [    1.000000][  T12] ",
        "2024-11-20 12:00:01.123456 | [    1.000000] ",
        "12:00:01 <3>[    1.000000] ",
        "1,1234,5678901,-;",
    ] {
        for end in ["\n", "\r\n", "\r\r\n", "\0\n"] {
            let log: String = body.lines().map(|line| format!("{prefix}{line}{end}")).collect();
            let report = one(&log);
            assert_eq!(report.title, "general protection fault in nft_eval", "{prefix:?} {end:?}");
            assert!(report.fatal && !report.corrupted, "{prefix:?} {end:?}");
        }
    }
}
