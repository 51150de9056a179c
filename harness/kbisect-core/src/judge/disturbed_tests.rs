//! Verdicts on trials in which our own side was not alive all the time.

use super::tests::{check, good};
use std::collections::BTreeMap;

use super::*;
use crate::disturbed::{Gap, Window};
use crate::flow::Loss;

fn window(from_ms: u64, to_ms: u64) -> Window {
    Window { from_ms, to_ms }
}

fn disturbed(seen: Observation, cause: Cause, from_ms: u64, to_ms: u64) -> Judged {
    let mut seen = seen;
    seen.gaps.add(Gap { cause, from_ms, to_ms });
    judge_whole(&seen, WarningPolicy::Bad)
}

/// A check that failed from second 10 to 16.
fn failed(wrong: Wrong) -> Observation {
    Observation {
        checks: vec![check(CheckStatus::Fail)],
        check_windows: BTreeMap::from([("payload".to_owned(), window(10_000, 16_000))]),
        wrong: BTreeMap::from([("payload".to_owned(), wrong)]),
        ..good()
    }
}

fn reported(kind: SymptomKind, window: Option<Window>) -> (ConsoleReport, Option<Window>) {
    let report = ConsoleReport {
        console: None,
        kind,
        title: format!("{kind} in f"),
        phase: Phase::Setup,
        fatal: false,
        line: 1,
        alt_titles: Vec::new(),
        frames: Vec::new(),
        text: "INFO: rcu detected stall".to_owned(),
    };
    (report, window)
}

fn with_reports(list: Vec<(ConsoleReport, Option<Window>)>) -> Observation {
    let (reports, report_windows) = list.into_iter().unzip();
    Observation { reports, report_windows, ..good() }
}

#[test]
fn a_check_that_failed_while_kbisect_was_stopped_says_nothing() {
    let judged = disturbed(failed(Wrong::NoConnection), Cause::HarnessLate, 10_500, 19_500);
    assert_eq!(judged.disturbed, Some(Cause::HarnessLate));
    let Verdict::Infra(why) = &judged.verdict else { panic!("{}", judged.verdict) };
    assert!(why.starts_with("kbisect itself did not run (5.5 of 6.0 s were disturbed)"), "{why}");
    assert!(why.contains("payload: no connection in time"), "{why}");
    // Before the check, and for a moment within it.
    for (from, to) in [(2000, 9000), (12_000, 13_400), (16_000, 40_000)] {
        let judged = disturbed(failed(Wrong::NoConnection), Cause::HarnessLate, from, to);
        assert_eq!(judged.verdict.word(), "bad", "{from} to {to}");
        assert_eq!(judged.disturbed, None);
    }
}

#[test]
fn good_stands_whatever_we_did() {
    let judged = disturbed(good(), Cause::HarnessLate, 0, 60_000);
    assert_eq!(judged, Judged { verdict: Verdict::Good, disturbed: None });
}

#[test]
fn a_located_loss_rests_on_its_own_time() {
    let loss = |from_ms, to_ms| Observation {
        losses: vec![(
            "payload".to_owned(),
            Loss {
                kind: SymptomKind::LostIngress,
                title: "replies of server:80 lost inside client".to_owned(),
                detail: "2 frames".to_owned(),
                place: None,
                window: Some(window(from_ms, to_ms)),
            },
        )],
        ..failed(Wrong::NoConnection)
    };
    let judged = disturbed(loss(10_000, 11_100), Cause::PeerStopped, 10_500, 10_900);
    assert_eq!(judged.disturbed, Some(Cause::PeerStopped));
    let judged = disturbed(loss(10_000, 11_100), Cause::PeerStopped, 12_000, 16_000);
    assert_eq!(judged.verdict.symptom().map(|it| it.kind), Some(SymptomKind::LostIngress));
    let hasty = judge(&loss(10_000, 10_900), WarningPolicy::Bad);
    assert_eq!(hasty.word(), "infra", "a loss is not proven in less than a second: {hasty}");
}

#[test]
fn a_stall_over_which_qemu_was_stopped_is_ours_and_a_crash_is_not() {
    let stall = || reported(SymptomKind::Hang, Some(window(1000, 23_000)));
    let judged = disturbed(with_reports(vec![stall()]), Cause::CandidateStopped, 2000, 22_900);
    assert_eq!(judged.disturbed, Some(Cause::CandidateStopped));
    let short = disturbed(with_reports(vec![stall()]), Cause::CandidateStopped, 2000, 6000);
    assert_eq!(short.verdict.symptom().map(|it| it.kind), Some(SymptomKind::Hang));
    let peers = disturbed(with_reports(vec![stall()]), Cause::PeerStopped, 2000, 22_900);
    assert_eq!(peers.verdict.symptom().map(|it| it.kind), Some(SymptomKind::Hang));
    for (fatal, kind) in [(false, SymptomKind::Oops), (true, SymptomKind::Panic)] {
        let mut oops = reported(SymptomKind::Oops, None);
        oops.0.fatal = fatal;
        let both = with_reports(vec![stall(), oops]);
        let judged = disturbed(both, Cause::CandidateStopped, 2000, 22_900);
        let symptom = judged.verdict.symptom().expect("the oops stands");
        assert_eq!((symptom.kind, symptom.title.as_str()), (kind, "oops in f"));
    }
    // What panics over the stall panics over our own doing.
    let mut panic = reported(SymptomKind::Panic, None);
    panic.0.fatal = true;
    let led_to = with_reports(vec![stall(), panic]);
    let judged = disturbed(led_to, Cause::CandidateStopped, 2000, 22_900);
    assert_eq!(judged.disturbed, Some(Cause::CandidateStopped), "{}", judged.verdict);
}

#[test]
fn silence_counts_while_the_candidates_qemu_ran() {
    let silent = || Observation {
        end: MachineEnd::Silent { seconds: 64 },
        silence: window(5000, 69_000),
        ..good()
    };
    for (cause, word) in [
        (Cause::CandidateStopped, "infra"),
        (Cause::HarnessLate, "infra"),
        (Cause::PeerSilent, "bad"),
    ] {
        assert_eq!(disturbed(silent(), cause, 6000, 40_000).verdict.word(), word, "{cause}");
    }
    let slow = Observation {
        hello: false,
        boot_timeout: Some(60),
        booting: window(0, 60_000),
        ..Observation::default()
    };
    assert_eq!(judge(&slow, WarningPolicy::Bad).word(), "skip");
    assert_eq!(disturbed(slow, Cause::CandidateStopped, 0, 40_000).verdict.word(), "infra");
}

#[test]
fn what_a_step_says_stands_or_falls_with_what_it_rests_on() {
    let refused = |rules, timed_out| Observation {
        refused: Some(Refused {
            step: "rules".to_owned(),
            node: "gw".to_owned(),
            rules,
            on_candidate: true,
            timed_out,
            window: window(1000, 5000),
            output: "Operation not supported".to_owned(),
        }),
        ..good()
    };
    for (rules, timed_out, word) in
        [(true, false, "bad"), (true, true, "infra"), (false, false, "infra")]
    {
        let judged = disturbed(refused(rules, timed_out), Cause::HarnessLate, 1500, 4500);
        assert_eq!(judged.verdict.word(), word, "rules: {rules}, timed out: {timed_out}");
        assert_eq!(judge(&refused(rules, timed_out), WarningPolicy::Bad).word(), "bad");
    }
}

#[test]
fn the_title_says_what_was_wrong() {
    let seen = failed(Wrong::Status { got: 502, expected: 200 });
    let verdict = judge(&seen, WarningPolicy::Bad);
    let symptom = verdict.symptom().unwrap();
    assert_eq!(symptom.kind, SymptomKind::CheckFailed);
    assert_eq!(symptom.title, "payload: status 502, expected 200");
    // An answer that came at once is an answer.
    let quick = Observation {
        check_windows: BTreeMap::from([("payload".to_owned(), window(10, 12))]),
        ..seen
    };
    assert_eq!(judge(&quick, WarningPolicy::Bad).word(), "bad");
}

#[test]
fn what_the_reference_side_did_not_do_is_never_the_candidates() {
    let seen = failed(Wrong::Reference("server gave no answer at all".to_owned()));
    let verdict = judge(&seen, WarningPolicy::Bad);
    assert!(matches!(&verdict, Verdict::Infra(why) if why.contains("gave no answer")), "{verdict}");
}
