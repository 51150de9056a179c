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
    let log = bench.trial_folder().join("candidate/console.log").metadata().unwrap().len();
    assert!((60 << 20..72 << 20).contains(&log), "{log} bytes are kept");
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
