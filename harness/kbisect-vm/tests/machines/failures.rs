//! Crashes, hangs, resets: each is told apart, in each phase where it can happen.

use kbisect_core::trial::{Phase, SymptomKind, Verdict};

use crate::bench::Bench;

/// An event in each phase after the boot.
const EVENTS: [(&str, Phase); 5] = [
    ("prepare", Phase::Setup),
    ("exec nft", Phase::Setup),
    ("serve app", Phase::Workload),
    ("exec replay-step", Phase::Replay),
    ("http", Phase::Checks),
];

#[test]
fn a_panic_is_a_panic_in_each_phase() {
    let mut bench = Bench::new();
    for (event, phase) in EVENTS {
        let result = bench.trial(&format!(
            "at {event}\n panic nft_fake_eval\n shutdown guest guest-reset\n exit 0\n"
        ));
        let Verdict::Bad(symptom) = &result.verdict else { panic!("{event}: {}", result.verdict) };
        assert_eq!(symptom.kind, SymptomKind::Panic, "{event}");
        assert!(symptom.title.ends_with("in nft_fake_eval"), "{}", symptom.title);
        assert!(symptom.frames.contains(&"nft_fake_eval_outer".to_owned()), "{:?}", symptom.frames);
        assert_eq!(result.observation.reports[0].phase, phase, "{event}");
    }
}

#[test]
fn a_panic_needs_no_word_from_qemu() {
    let mut bench = Bench::new();
    let (kind, _) = bench.bad("at http\n panic f\n exit 0\n");
    assert_eq!(kind, SymptomKind::Panic);
    let (kind, _) = bench.bad("at http\n pvpanic\n panic f\n hang\n");
    assert_eq!(kind, SymptomKind::Panic, "a guest that stays is not waited for");
}

#[test]
fn an_oops_is_told_from_a_panic() {
    let mut bench = Bench::new();
    let (kind, title) = bench.bad("at http\n oops nft_fake_eval\n");
    assert_eq!(kind, SymptomKind::Oops);
    assert!(title.ends_with("in nft_fake_eval"), "{title}");
    let (kind, _) = bench.bad("at http\n oops nft_fake_eval\n hang\n");
    assert_eq!(kind, SymptomKind::Oops);
}

#[test]
fn a_warning_is_a_symptom_and_does_not_end_the_trial() {
    let mut bench = Bench::new();
    let result = bench.trial("at http\n warning nf_fake_setup\n");
    let Verdict::Bad(symptom) = &result.verdict else { panic!("{}", result.verdict) };
    assert_eq!(
        (symptom.kind, symptom.title.as_str()),
        (SymptomKind::Warning, "WARNING in nf_fake_setup")
    );
    assert!(result.observation.answered_at_end);
}

/// A kernel that measured its TSC on a starved host lives 46 times too fast: its stall detectors
/// fire, and the time-outs of what runs on it are over at once.
#[test]
fn what_a_runaway_clock_brings_about_is_not_the_kernels_fault() {
    let mut bench = Bench::new();
    for fault in ["lockup nft_fake_eval", "reply connect-timeout"] {
        let result = bench.trial(&format!("at exec nft\n clock 126000\nat http\n {fault}\n"));
        let Verdict::Infra(why) = &result.verdict else { panic!("{fault}: {}", result.verdict) };
        assert!(why.contains("the clock of the candidate machine is wrong"), "{why}");
    }
    let result = bench.trial("at exec nft\n clock 126000\n");
    assert_eq!(result.verdict, Verdict::Good, "what was shown was shown");
    let (kind, _) = bench.bad("at exec nft\n clock 126000\nat http\n oops nft_fake_eval\n");
    assert_eq!(kind, SymptomKind::Oops, "a crash needs no clock");
}

#[test]
fn a_peer_with_a_runaway_clock_is_replaced() {
    let mut bench = Bench::with_peer(|_| "at start\n boot 6.1.0\n clock 126000\n".to_owned());
    let result = bench.trial("at http\n reply connect-timeout\n");
    let Verdict::Infra(why) = &result.verdict else { panic!("{}", result.verdict) };
    assert!(why.contains("the clock of the peer machine is wrong"), "{why}");
    assert!(!bench.file("lab/peer-2").exists());
    assert_eq!(bench.trial("").verdict, Verdict::Good);
    assert!(bench.file("lab/peer-2").exists());
}

#[test]
fn lock_ups_and_silence_are_hangs() {
    let mut bench = Bench::new();
    let (kind, title) = bench.bad("at http\n lockup nft_fake_eval\n hang\n");
    assert_eq!(kind, SymptomKind::Hang);
    assert!(title.starts_with("BUG: soft lockup in "), "{title}");
    let (kind, title) = bench.bad("at exec nft\n hang\n");
    assert_eq!((kind, title.as_str()), (SymptomKind::Hang, "the machine stopped answering"));
    // It still sends signs of life, but a request with a deadline of the guest's own stays open.
    let (kind, _) = bench.bad("at http\n mute\n");
    assert_eq!(kind, SymptomKind::Hang);
}

#[test]
fn restarts_and_power_off_are_reboots() {
    let mut bench = Bench::new();
    for script in [
        "at http\n shutdown guest guest-reset\n exit 0\n",
        "at http\n print [ 0.000000] Linux version 6.12.57-fake (fake@kbisect) #1 SMP\n mute\n",
        "at http\n shutdown guest guest-shutdown\n exit 0\n",
        "at exec nft\n shutdown guest guest-reset\n exit 0\n",
    ] {
        let (kind, _) = bench.bad(script);
        assert_eq!(kind, SymptomKind::Reboot, "{script}");
    }
}

#[test]
fn qemu_that_fails_is_never_the_kernels_fault() {
    let mut bench = Bench::new();
    for (script, words) in [
        (
            "at start\n stderr qemu: could not load the kernel\n exit 1\n",
            "could not load the kernel",
        ),
        ("at exec nft\n stderr qemu: out of memory\n exit 1\n", "out of memory"),
        ("at http\n die\n", "signal: 9"),
        ("at http\n exit 0\n", "it said nothing"),
        ("at http\n shutdown host host-signal\n exit 0\n", "host-signal"),
    ] {
        let reason = bench.infra(script);
        assert!(reason.contains(words), "{script}: {reason}");
    }
}

#[test]
fn a_kernel_that_does_not_reach_user_space_gives_no_answer() {
    let mut bench = Bench::new();
    let banner = "print [ 0.000000] Linux version 6.12.57-fake (fake@kbisect) #1 SMP";
    for (script, words) in [
        (
            format!(
                "at start\n {banner}\n panic mount_root\n shutdown guest guest-reset\n exit 0\n"
            ),
            "mount_root",
        ),
        (format!("at start\n {banner}\n oops probe_fake\n"), "probe_fake"),
        (format!("at start\n {banner}\n"), "no sign of life"),
        ("at start\n mute\n".to_owned(), "no sign of life"),
        (format!("at start\n {banner}\n shutdown guest guest-reset\n exit 0\n"), "restarted"),
        (
            format!("at start\n {banner}\n shutdown guest guest-shutdown\n exit 0\n"),
            "switched itself off",
        ),
        (format!("at start\n {banner}\n marker\n hello 99\n heartbeats\n"), "protocol 99"),
    ] {
        let reason = bench.skip(&script);
        assert!(reason.contains(words), "{script}: {reason}");
    }
}

#[test]
fn a_warning_of_the_boot_says_nothing_about_the_scenario() {
    let mut bench = Bench::new();
    let script = "at start\n warning pci_fake_probe\n boot 6.12.57-fake\n";
    assert_eq!(bench.trial(script).verdict, Verdict::Good);
}

#[test]
fn what_a_program_prints_is_no_crash() {
    let mut bench = Bench::new();
    let script = "at exec nft\n print app: Kernel panic - not syncing: quoted by a test\n";
    assert_eq!(bench.trial(script).verdict, Verdict::Good, "{}", bench.console());
}
