//! Healthy trials, and the verdicts that rest on what the guest answers.

use kbisect_core::trial::{CheckStatus, Phase, SymptomKind, Verdict};
use kbisect_vm::trial::Notice;

use crate::bench::{Bench, pid_in, runs};

#[test]
fn a_healthy_trial_is_good_and_leaves_nothing_running() {
    let mut bench = Bench::new();
    let pid = bench.file("pid");
    let result = bench.trial(&format!("at start\n pid {}\n boot 6.12.57-fake\n", pid.display()));
    assert_eq!(result.verdict, Verdict::Good, "{:?}", result.observation);
    assert!(!runs(pid_in(&pid)), "the candidate machine still runs");
    assert_eq!(result.release.as_deref(), Some("6.12.57-fake"));
    let phases: Vec<Phase> = bench
        .notices
        .iter()
        .filter_map(|notice| if let Notice::Phase(phase) = notice { Some(*phase) } else { None })
        .collect();
    assert_eq!(phases, Phase::ALL);
    let checked: Vec<CheckStatus> =
        result.observation.checks.iter().map(|check| check.status).collect();
    assert_eq!(checked, [CheckStatus::Pass, CheckStatus::Pass]);
    for file in ["candidate/console.log", "candidate/qemu.cmdline", "wires/lan.pcapng"] {
        assert!(bench.trial_folder().join(file).is_file(), "{file}");
    }
}

#[test]
fn the_peer_machine_stays_up_between_trials() {
    let mut bench = Bench::with_peer(|folder| {
        format!("at start\n pid {}\n boot 6.1.0\n", folder.join("peer").display())
    });
    for _ in 0..3 {
        assert_eq!(bench.trial("").verdict, Verdict::Good);
    }
    let pid = pid_in(&bench.file("peer"));
    assert!(runs(pid));
    assert!(!bench.file("lab/peer-2").exists(), "one peer serves all trials");
    bench.session.close();
    assert!(!runs(pid), "the peer machine still runs");
}

#[test]
fn a_failed_step_is_refused_rules_or_a_failed_step() {
    let mut bench = Bench::new();
    let no = "reply status 1 Error: Could not process rule: No such file or directory";
    let (kind, title) = bench.bad(&format!("at exec nft\n {no}\n"));
    assert_eq!(
        (kind, title.as_str()),
        (SymptomKind::RulesRefused, "rules refused: rules on client")
    );
    let (kind, title) = bench.bad("at exec replay-step\n reply status 3\n");
    assert_eq!((kind, title.as_str()), (SymptomKind::CheckFailed, "step failed: again on client"));
    let (kind, _) = bench.bad("at exec replay-step\n reply timed-out\n");
    assert_eq!(kind, SymptomKind::CheckFailed);
    let (kind, _) = bench.bad("at exec replay-step\n reply failed no such node\n");
    assert_eq!(kind, SymptomKind::CheckFailed);
}

#[test]
fn nodes_that_cannot_be_made_are_the_kernels_doing() {
    let mut bench = Bench::new();
    let (kind, _) =
        bench.bad("at prepare\n reply failed RTNETLINK answers: Operation not supported\n");
    assert_eq!(kind, SymptomKind::CheckFailed);
}

#[test]
fn each_way_that_http_fails_is_a_failed_check() {
    let mut bench = Bench::new();
    for (reply, words, title) in [
        ("local", "the kernel refused", "the kernel refused: Operation not permitted"),
        ("refused", "refused", "connection refused"),
        ("connect-timeout", "no connection within", "no connection in time"),
        ("reset", "reset after 0 body bytes", "connection reset"),
        ("read-timeout", "but only 0 body bytes", "connected, no whole answer in time"),
        ("malformed", "no HTTP", "the answer makes no sense"),
        ("body 65535", "65535 body bytes, expected 65536", "not the 65536 body bytes expected"),
        ("other-body", "expected `8`", "not the body expected"),
        ("code 502", "status 502, expected 200", "status 502, expected 200"),
        ("failed no such node", "no such node", "the kernel refused: no such node"),
    ] {
        let result = bench.trial(&format!("at http\n reply {reply}\n"));
        let Verdict::Bad(symptom) = &result.verdict else { panic!("{reply}: {}", result.verdict) };
        assert_eq!(symptom.kind, SymptomKind::CheckFailed, "{reply}");
        assert_eq!(symptom.title, format!("payload: {title}"), "no numbers of this run");
        assert!(symptom.detail.contains(words), "{reply}: {}", symptom.detail);
        let alive = &result.observation.checks[1];
        assert_eq!(alive.status, CheckStatus::Pass, "the checks after a failed one are made too");
    }
}

#[test]
fn what_the_reference_refuses_is_never_the_candidates_fault() {
    for script in [
        "at prepare\n reply failed no such module\n",
        "at serve nginx\n reply failed it ended with status 1\n",
        "at serve nginx\n panic nf_fake\n shutdown guest guest-reset\n exit 0\n",
        "at serve nginx\n exit 1\n",
        "at serve nginx\n hang\n",
        "at serve nginx\n channel garbage\n",
        "at start\n exit 1\n",
        "at start\n print nothing more\n",
        "at start\n panic start_kernel\n exit 0\n",
    ] {
        let mut bench = Bench::with_peer(|_| script.to_owned());
        let reason = bench.infra("");
        assert!(!reason.is_empty(), "{script}");
    }
}

#[test]
fn a_peer_that_died_is_started_again() {
    let mut bench = Bench::with_peer(|folder| {
        let once = folder.join("once");
        format!("at http never\n mute\nat serve nginx\n first-time {}\n exit 1\n", once.display())
    });
    bench.infra("");
    assert_eq!(bench.trial("").verdict, Verdict::Good);
    assert!(bench.file("lab/peer-2").exists());
}

#[test]
fn an_answer_that_makes_no_sense_is_never_a_verdict_on_the_kernel() {
    let mut bench = Bench::new();
    for event in ["exec nft", "serve app", "http"] {
        let result = bench.trial(&format!("at {event}\n reply nonsense\n"));
        // `Ready` is what a service is expected to answer.
        if event != "serve app" {
            assert_eq!(result.verdict.word(), "infra", "{event}: {}", result.verdict);
        }
    }
}
