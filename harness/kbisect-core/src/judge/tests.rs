//! Verdicts on what trials show.

use std::collections::BTreeMap;

use super::*;
use crate::disturbed::Window;
use crate::flow::Loss;

pub(super) fn good() -> Observation {
    Observation {
        phase: Phase::Off,
        hello: true,
        checks: vec![check(CheckStatus::Pass)],
        answered_at_end: true,
        ..Observation::default()
    }
}

pub(super) fn check(status: CheckStatus) -> CheckResult {
    CheckResult { name: "payload".to_owned(), status, detail: "timed out".to_owned(), wall_s: 0.0 }
}

fn report(kind: SymptomKind, phase: Phase, fatal: bool) -> ConsoleReport {
    ConsoleReport {
        console: None,
        kind,
        title: format!("{kind} in f"),
        phase,
        fatal,
        line: 1,
        alt_titles: Vec::new(),
        frames: Vec::new(),
        text: "BUG".to_owned(),
    }
}

fn kind_of(verdict: &Verdict) -> Option<SymptomKind> {
    verdict.symptom().map(|symptom| symptom.kind)
}

#[test]
fn with_a_clock_that_runs_away_nothing_that_rests_on_time_is_bad() {
    let wrong = |seen: Observation| {
        let seen = Observation { clock: Some("the clock runs away".to_owned()), ..seen };
        judge(&seen, WarningPolicy::Bad)
    };
    let stall = report(SymptomKind::Hang, Phase::Checks, false);
    let made_fatal = report(SymptomKind::Panic, Phase::Checks, true);
    let oops = report(SymptomKind::Oops, Phase::Checks, false);
    let failed = Observation { checks: vec![check(CheckStatus::Fail)], ..good() };
    let reports = |reports: &[&ConsoleReport]| Observation {
        reports: reports.iter().map(|report| (*report).clone()).collect(),
        ..good()
    };
    let infra = |verdict| matches!(verdict, Verdict::Infra(why) if why.starts_with("the clock runs away, so"));
    assert!(infra(wrong(failed)));
    assert!(infra(wrong(reports(&[&stall]))));
    assert!(infra(wrong(reports(&[&stall, &made_fatal]))));
    assert_eq!(kind_of(&wrong(reports(&[&made_fatal]))), Some(SymptomKind::Panic));
    assert_eq!(kind_of(&wrong(reports(&[&oops]))), Some(SymptomKind::Oops));
    assert_eq!(wrong(good()), Verdict::Good, "what was shown was shown");
    let silent = Observation { end: MachineEnd::Silent { seconds: 64 }, ..good() };
    assert_eq!(
        kind_of(&wrong(silent)),
        Some(SymptomKind::Hang),
        "silence is the host's to measure"
    );
    let peers = Observation { peer_clock: Some("x".to_owned()), ..reports(&[&stall]) };
    let verdict = judge(&peers, WarningPolicy::Bad);
    assert_eq!(kind_of(&verdict), Some(SymptomKind::Hang), "another machine's clock");
}

#[test]
fn good_needs_the_guests_word() {
    assert_eq!(judge(&good(), WarningPolicy::Bad), Verdict::Good);
    let silent = Observation { answered_at_end: false, ..good() };
    assert_eq!(judge(&silent, WarningPolicy::Bad).word(), "infra");
    let half = Observation { checks: vec![check(CheckStatus::NotRun)], ..good() };
    assert_eq!(judge(&half, WarningPolicy::Bad).word(), "infra");
}

#[test]
fn a_panic_before_user_space_is_a_skip() {
    let seen = Observation {
        reports: vec![report(SymptomKind::Panic, Phase::Boot, true)],
        ..Observation::default()
    };
    let verdict = judge(&seen, WarningPolicy::Bad);
    assert_eq!(verdict, Verdict::Skip(Untestable::NoBoot { said: "panic in f".to_owned() }));
}

#[test]
fn a_boot_that_was_too_slow_is_told_as_that() {
    let late = Observation {
        boot_timeout: Some(60),
        answered_at_end: false,
        checks: vec![check(CheckStatus::NotRun)],
        ..good()
    };
    let Verdict::Infra(why) = judge(&late, WarningPolicy::Bad) else { panic!("not ours") };
    assert!(why.contains("too slow") && why.contains("60 s") && why.contains("--slow"), "{why}");
    let never = Observation { hello: false, ..late };
    let Verdict::Skip(why) = judge(&never, WarningPolicy::Bad) else { panic!("no skip") };
    assert!(why.to_string().ends_with("no sign of life within 60 s"), "{why}");
}

#[test]
fn a_crash_outranks_our_own_trouble_that_it_caused() {
    let seen = Observation {
        infra: Some("peer lost".to_owned()),
        reports: vec![report(SymptomKind::Panic, Phase::Checks, true)],
        ..good()
    };
    assert_eq!(kind_of(&judge(&seen, WarningPolicy::Bad)), Some(SymptomKind::Panic));
}

#[test]
fn our_own_trouble_outranks_failed_checks() {
    let seen = Observation {
        infra: Some("peer lost".to_owned()),
        checks: vec![check(CheckStatus::Fail)],
        ..good()
    };
    assert_eq!(judge(&seen, WarningPolicy::Bad), Verdict::Infra("peer lost".to_owned()));
}

#[test]
fn the_ways_to_end_are_told_apart() {
    for (end, kind) in [
        (MachineEnd::Silent { seconds: 30 }, SymptomKind::Hang),
        (MachineEnd::Restarted, SymptomKind::Reboot),
        (MachineEnd::PoweredOff, SymptomKind::Reboot),
        (MachineEnd::ChannelBroken("x".to_owned()), SymptomKind::Hang),
    ] {
        let seen = Observation { end, ..good() };
        assert_eq!(kind_of(&judge(&seen, WarningPolicy::Bad)), Some(kind));
    }
    let seen = Observation { end: MachineEnd::QemuEnded("killed".to_owned()), ..good() };
    assert_eq!(judge(&seen, WarningPolicy::Bad).word(), "infra");
}

#[test]
fn a_panic_that_only_pvpanic_told_of_is_a_panic() {
    let seen = Observation { end: MachineEnd::Restarted, panicked: true, ..good() };
    assert_eq!(kind_of(&judge(&seen, WarningPolicy::Bad)), Some(SymptomKind::Panic));
    let early = Observation { hello: false, ..seen };
    assert_eq!(judge(&early, WarningPolicy::Bad).word(), "skip");
}

#[test]
fn a_panic_counts_even_when_qemu_says_nothing_of_its_end() {
    let ended = |phase, fatal| Observation {
        end: MachineEnd::QemuEnded("status 0".to_owned()),
        reports: vec![report(SymptomKind::Oops, phase, fatal)],
        hello: phase > Phase::Boot,
        ..Observation::default()
    };
    let verdict = judge(&ended(Phase::Checks, true), WarningPolicy::Bad);
    assert_eq!(kind_of(&verdict), Some(SymptomKind::Panic));
    assert_eq!(judge(&ended(Phase::Boot, true), WarningPolicy::Bad).word(), "skip");
    assert_eq!(judge(&ended(Phase::Checks, false), WarningPolicy::Bad).word(), "infra");
}

#[test]
fn a_reset_that_was_seen_on_the_console_is_no_panic() {
    let seen =
        Observation { reports: vec![report(SymptomKind::Reboot, Phase::Checks, true)], ..good() };
    assert_eq!(kind_of(&judge(&seen, WarningPolicy::Bad)), Some(SymptomKind::Reboot));
}

#[test]
fn refused_rules_are_a_symptom_on_the_candidate_and_our_fault_elsewhere() {
    let refused = |on_candidate| Refused {
        step: "rules".to_owned(),
        node: "gw".to_owned(),
        rules: true,
        on_candidate,
        timed_out: false,
        window: Window::default(),
        output: "Operation not supported".to_owned(),
    };
    let seen = Observation { refused: Some(refused(true)), ..good() };
    assert_eq!(kind_of(&judge(&seen, WarningPolicy::Bad)), Some(SymptomKind::RulesRefused));
    let seen = Observation { refused: Some(refused(false)), ..good() };
    assert_eq!(judge(&seen, WarningPolicy::Bad).word(), "infra");
}

#[test]
fn a_located_loss_names_the_symptom() {
    let loss = Loss {
        kind: SymptomKind::LostIngress,
        title: "replies lost inside gw".to_owned(),
        detail: "3 frames".to_owned(),
        place: None,
        window: None,
    };
    let failed = Observation { checks: vec![check(CheckStatus::Fail)], ..good() };
    let located = Observation { losses: vec![("payload".to_owned(), loss)], ..failed.clone() };
    assert_eq!(kind_of(&judge(&located, WarningPolicy::Bad)), Some(SymptomKind::LostIngress));
    assert_eq!(kind_of(&judge(&failed, WarningPolicy::Bad)), Some(SymptomKind::CheckFailed));
}

#[test]
fn warnings_count_after_boot_and_as_the_scenario_says() {
    let warn =
        |phase| Observation { reports: vec![report(SymptomKind::Warning, phase, false)], ..good() };
    let bad = judge(&warn(Phase::Checks), WarningPolicy::Bad);
    assert_eq!(kind_of(&bad), Some(SymptomKind::Warning));
    assert_eq!(judge(&warn(Phase::Checks), WarningPolicy::Record), Verdict::Good);
    assert_eq!(judge(&warn(Phase::Boot), WarningPolicy::Bad), Verdict::Good);
}

/// A check that could not tell is no proof: neither that the kernel is good, nor that it is bad.
#[test]
fn a_check_that_could_not_tell_leaves_no_answer_but_what_others_prove() {
    let name = check(CheckStatus::NotRun).name;
    let unclear = |needed| Observation {
        checks: vec![check(CheckStatus::NotRun)],
        unclear: BTreeMap::from([(name.clone(), needed)]),
        ..good()
    };
    let verdict = judge(&unclear(true), WarningPolicy::Bad);
    let Verdict::Skip(Untestable::Unclear { check: of, .. }) = &verdict else {
        panic!("{verdict}")
    };
    assert_eq!(*of, name);
    // Only recorded, it decides nothing.
    assert_eq!(judge(&unclear(false), WarningPolicy::Bad), Verdict::Good);
    // One that was not made is another matter.
    let cut = Observation { unclear: BTreeMap::new(), ..unclear(true) };
    assert!(matches!(judge(&cut, WarningPolicy::Bad), Verdict::Infra(_)));
    let mut failed = unclear(true);
    let other = CheckResult { name: "other".to_owned(), ..check(CheckStatus::Fail) };
    failed.checks.push(other);
    assert!(matches!(judge(&failed, WarningPolicy::Bad), Verdict::Bad(_)));
    let silent = Observation { answered_at_end: false, ..unclear(true) };
    assert!(matches!(judge(&silent, WarningPolicy::Bad), Verdict::Infra(_)));
}
