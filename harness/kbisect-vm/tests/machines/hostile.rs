//! Guests that lie, flood and send what is no message. None of it is good, and none of it ends us.

use kbisect_core::trial::{SymptomKind, Verdict};

use crate::bench::Bench;

#[test]
fn a_broken_guest_channel_is_never_good() {
    let mut bench = Bench::new();
    for lie in ["garbage", "oversized", "bad-sum", "no-message"] {
        for event in ["exec nft", "http"] {
            let (kind, title) = bench.bad(&format!("at {event}\n channel {lie}\n"));
            let expected = (SymptomKind::Hang, "the guest channel broke");
            assert_eq!((kind, title.as_str()), expected, "{lie} at {event}");
        }
        let reason = bench.skip(&format!("at start\n channel {lie}\n mute\n"));
        assert!(reason.contains("guest channel"), "{lie}: {reason}");
    }
}

#[test]
fn a_channel_that_goes_quiet_is_a_hang() {
    let mut bench = Bench::new();
    for lie in ["cut\n hang", "close\n hang"] {
        let (kind, _) = bench.bad(&format!("at http\n channel {lie}\n"));
        assert_eq!(kind, SymptomKind::Hang, "{lie}");
    }
}

#[test]
fn answers_that_nobody_asked_for_change_nothing() {
    let mut bench = Bench::new();
    let script = "at start\n boot 6.12.57-fake\n channel unasked\nat http\n channel unasked\n";
    assert_eq!(bench.trial(script).verdict, Verdict::Good);
}

#[test]
fn lies_on_qmp_change_nothing() {
    let mut bench = Bench::new();
    for line in [
        "this is no JSON",
        "{\"event\": \"NEVER_HEARD_OF\", \"data\": [1, 2]}",
        "{\"event\": \"SHUTDOWN\"}",
        "{\"event\": 7}",
        "{\"return\": {}, \"id\": \"nobody asked\"}",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    ] {
        let result = bench.trial(&format!("at exec nft\n qmp {line}\n"));
        assert_eq!(result.verdict, Verdict::Good, "{line}");
    }
}

#[test]
fn an_endless_line_on_qmp_hides_nothing_that_matters() {
    let mut bench = Bench::new();
    let result = bench.trial("at exec nft\n qmp-endless 64\n");
    assert_eq!(result.verdict, Verdict::Good);
    let (kind, _) = bench.bad("at http\n qmp-endless 8\n panic f\n exit 0\n");
    assert_eq!(kind, SymptomKind::Panic);
}

#[test]
fn a_flooded_console_is_cut_in_the_log_and_read_to_the_end() {
    let mut bench = Bench::new();
    let (kind, _) = bench.bad("at http\n flood 80\n panic nft_fake_eval\n exit 0\n");
    assert_eq!(kind, SymptomKind::Panic, "the panic came after the part that is kept");
    let log = std::fs::read(bench.trial_folder().join("candidate/console.log")).unwrap();
    assert!((60 << 20..66 << 20).contains(&log.len()), "{} bytes are kept", log.len());
    let end = "[kbisect: more than 64 MiB: the rest is not kept]\r\n";
    assert!(log.ends_with(end.as_bytes()), "who reads the log is told");
    let result = bench.trial("at http\n flood 80\n");
    let told = "console.log holds the first 64 MiB, all of it was read for failures";
    assert!(result.notes.iter().any(|note| note.ends_with(told)), "{:?}", result.notes);
    let result = bench.trial("at http\n flood 1\n");
    assert!(!result.notes.iter().any(|note| note.contains("console.log")), "{:?}", result.notes);
}

#[test]
fn a_console_that_never_stops_does_not_hold_a_trial_up() {
    let mut bench = Bench::new();
    let (kind, _) = bench.bad("at http\n oops nft_fake_eval\n flood 1000000000\n");
    assert_eq!(kind, SymptomKind::Oops);
    let (kind, _) = bench.bad("at http\n flood 1000000000\n");
    assert_eq!(kind, SymptomKind::Hang);
    let reason = bench.skip("at start\n flood 1000000000\n");
    assert!(reason.contains("no sign of life"), "{reason}");
}

#[test]
fn a_service_that_prints_without_end_is_good_if_the_checks_are() {
    let mut bench = Bench::new();
    let result = bench.trial("at serve app\n service-flood 8\n");
    assert_eq!(result.verdict, Verdict::Good);
}

#[test]
fn control_characters_reach_the_log_only() {
    let mut bench = Bench::new();
    let result = bench.trial("at http\n print \u{1b}[2J\u{1b}]0;title\u{7}\u{fffd} \u{0} text\n");
    assert_eq!(result.verdict, Verdict::Good);
}

#[test]
fn bytes_that_are_no_text_hide_no_crash() {
    let mut bench = Bench::new();
    // NULs, broken UTF-8, half an escape sequence, a screen that is cleared, lines drawn over.
    let noise = "00 00 ff fe c3 28 1b 5b 32 4a 1b 5b 33 e2 82 0d 0d 62 61 72 0a";
    let result = bench.trial(&format!(
        "at http\n bytes {noise}\n panic nft_fake_eval\n bytes {noise}\n exit 0\n"
    ));
    let Verdict::Bad(symptom) = &result.verdict else { panic!("{}", result.verdict) };
    assert_eq!(symptom.kind, SymptomKind::Panic);
    assert!(symptom.title.ends_with("in nft_fake_eval"), "{}", symptom.title);
    let text = &result.observation.reports[0].text;
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
}

#[test]
fn a_line_that_never_ends_hides_no_crash() {
    let mut bench = Bench::new();
    let (kind, title) = bench.bad("at http\n endless 80\n panic nft_fake_eval\n exit 0\n");
    assert_eq!(kind, SymptomKind::Panic, "{title}");
    assert_eq!(bench.trial("at http\n endless 8\n").verdict, Verdict::Good);
}

#[test]
fn a_hello_on_the_console_is_none() {
    let mut bench = Bench::new();
    for (script, words) in [
        ("at start\n marker\n mute\n", "no sign of life"),
        ("at start\n marker\n panic f\n exit 0\n", "in f"),
        (
            "at start\n print kbisect.channel.0 hello, protocol 3, 6.12.57\n mute\n",
            "no sign of life",
        ),
    ] {
        let reason = bench.skip(script);
        assert!(reason.contains(words), "{script}: {reason}");
    }
}

#[test]
fn a_crash_that_user_space_quotes_is_none() {
    let mut bench = Bench::new();
    let result = bench.trial(
        "at http\n\
         print Kernel panic - not syncing: what a test wants to see\n\
         print BUG: KASAN: use-after-free in quoted+0x1/0x2\n\
         print # [   12.345678] general protection fault: 0000 [#1] SMP\n\
         print app[12]: WARNING: CPU: 0 PID: 1 at net/a.c:1 quoted+0x1/0x2\n",
    );
    assert_eq!(result.verdict, Verdict::Good);
    assert!(result.observation.reports.is_empty(), "{:?}", result.observation.reports);
}

#[test]
fn a_disk_of_the_hosts_that_fails_is_named_and_not_the_kernels_fault() {
    let mut bench = Bench::new();
    let failed = "qmp {\"event\": \"BLOCK_IO_ERROR\", \"data\": {\"device\": \"root\", \"operation\": \"read\", \
        \"action\": \"stop\", \"reason\": \"Input/output error\"}}";
    // The guest may take the missing answer for anything, if it is let go on.
    for script in [format!("at http\n {failed}\n hang\n"), format!("at http\n {failed}\n oops f\n")]
    {
        let reason = bench.infra(&script);
        assert_eq!(
            reason, "the host could not read the root image: Input/output error",
            "{script}"
        );
    }
}

/// A guest cannot do that: QEMU does when the host fails it, and whoever finds its monitor.
#[test]
fn a_machine_that_is_paused_says_nothing_of_the_kernel() {
    let mut bench = Bench::new();
    let stop = "qmp {\"event\": \"STOP\"}";
    for script in [format!("at http\n {stop}\n hang\n"), format!("at start\n {stop}\n mute\n")] {
        let reason = bench.infra(&script);
        assert_eq!(reason, "QEMU paused the machine and did not let it go on", "{script}");
    }
    let resumed = format!("at http\n {stop}\n qmp {{\"event\": \"RESUME\"}}\n delay 500\n");
    assert_eq!(bench.trial(&resumed).verdict, Verdict::Good);
}

#[test]
fn a_second_hello_changes_nothing() {
    let mut bench = Bench::new();
    assert_eq!(bench.trial("at http\n hello 3\n marker\n").verdict, Verdict::Good);
}

#[test]
fn frames_that_are_no_packets_do_not_stop_a_wire() {
    let mut bench = Bench::new();
    for frame in [
        "00",
        "ff ff ff ff ff ff 02 6b 00 00 00 01 08 00 45",
        "00 00 00 00 00 00 00 00 00 00 00 00 86 dd 60",
    ] {
        let result = bench.trial(&format!("at exec nft\n frame 0 {frame}\n"));
        assert_eq!(result.verdict, Verdict::Good, "{frame}");
    }
}
