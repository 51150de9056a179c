//! Services that are not ready, end, or are killed: what is said of it, and what is kept.

use kbisect_core::trial::{Symptom, SymptomKind, Verdict};

use crate::bench::Bench;

const OOM: &str = "print [   13.100000] Out of memory: Killed process 231 (app) total-vm:90000kB, \
    anon-rss:80000kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:220kB oom_score_adj:0";

fn bad(bench: &mut Bench, script: &str) -> Symptom {
    match bench.trial(script).verdict {
        Verdict::Bad(symptom) => symptom,
        other => panic!("bad was expected, not {other}\n{}", bench.console()),
    }
}

#[test]
fn each_way_to_fail_has_a_title_of_its_own() {
    let mut bench = Bench::new();
    for (actions, title, detail) in [
        ("service-exit 7", "ended with status 7", "ended with status 7"),
        ("service-signal 11", "killed by SIGSEGV", "was ended by signal 11"),
        ("service-signal 9", "killed by SIGKILL", "was ended by signal 9"),
        ("reply ended 3", "ended with status 3", "ended with status 3 before it was ready"),
        ("reply failed not ready after 2.0 s", "not ready in time", "not ready after 2.0 s"),
        ("reply failed cannot start app: No such file", "did not start", "No such file"),
    ] {
        let found = bad(&mut bench, &format!("at serve app\n service-print bye\n {actions}\n"));
        assert_eq!(found.kind, SymptomKind::ServiceDown, "{actions}");
        assert_eq!(found.title, format!("service app on client {title}"), "{actions}");
        assert_eq!(found.place.as_deref(), Some("client"));
        assert!(found.detail.contains(detail), "{actions}: {}", found.detail);
        assert!(found.detail.ends_with(": bye"), "{actions}: {}", found.detail);
        let log = std::fs::read_to_string(bench.trial_folder().join("services/app.log")).unwrap();
        assert_eq!(log, "bye\n", "{actions}");
    }
}

#[test]
fn the_end_of_a_reference_service_is_our_own_affair() {
    for script in ["service-exit 1", "service-signal 9", "reply ended 1"] {
        let mut bench = Bench::with_peer(|_| format!("at serve nginx\n {script}\n"));
        assert!(bench.infra("").contains("web"), "{script}");
        let reason = bench.infra("at serve app\n service-exit 1\n");
        assert!(reason.contains("web"), "no fair trial without it: {reason}");
    }
}

#[test]
fn a_service_that_is_started_again_has_not_ended() {
    let mut bench = Bench::new();
    let result = bench.trial("at serve app\n service-again 1\n service-again 139\n");
    assert_eq!(result.verdict, Verdict::Good);
    let note = "service app on client was started again 2 times: it ended with status 139";
    assert!(result.notes.iter().any(|said| said == note), "{:?}", result.notes);
    let found = bad(&mut bench, "at serve app\n service-again 1\n service-exit 1\n");
    assert_eq!(found.title, "service app on client ended with status 1");
}

#[test]
fn a_kill_for_want_of_memory_is_named() {
    let mut bench = Bench::new();
    for end in ["service-signal 9", "service-exit 137", "service-exit 1"] {
        let found = bad(&mut bench, &format!("at serve app\n {OOM}\n {end}\n"));
        assert_eq!(found.kind, SymptomKind::ServiceDown, "{end}");
        assert_eq!(found.title, "service app on client killed: out of memory", "{end}");
        assert!(found.detail.contains("process 231 (app)"), "{end}: {}", found.detail);
    }
    // The report may be read after the service's end was told.
    let late = format!("at serve app\n service-signal 9\nat http\n {OOM}\n");
    assert_eq!(bad(&mut bench, &late).title, "service app on client killed: out of memory");
    // Nobody's end: the report stands for itself.
    let found = bad(&mut bench, &format!("at http\n {OOM}\n"));
    assert_eq!(
        (found.kind, found.title.as_str()),
        (SymptomKind::Warning, "out of memory: process killed")
    );
    assert!(found.detail.contains("231 (app)"), "{}", found.detail);
}

#[test]
fn the_end_of_a_service_does_not_hide_what_the_kernel_said() {
    let mut bench = Bench::new();
    for (report, kind) in [
        ("warning nf_fake_setup", SymptomKind::Warning),
        ("oops nft_fake_eval", SymptomKind::Oops),
        ("panic nft_fake_eval\n exit 0", SymptomKind::Panic),
        ("lockup nft_fake_eval\n hang", SymptomKind::Hang),
    ] {
        let script = format!("at serve app\n service-signal 11\nat http\n {report}\n");
        let found = bad(&mut bench, &script);
        assert_eq!(found.kind, kind, "{report}: {found}");
        assert!(!found.title.contains("service"), "{found}");
    }
    let script = "at serve app\n service-signal 11\nat http\n warning nf_fake_setup\n";
    let detail = bad(&mut bench, script).detail;
    assert!(detail.contains("service `app` on client: was ended by signal 11"), "{detail}");
}

#[test]
fn a_step_that_fails_after_the_service_ended_does_not_hide_that() {
    let mut bench = Bench::new();
    let script = "at serve app\n service-exit 4\nat exec replay-step\n reply status 7\n";
    let found = bad(&mut bench, script);
    assert_eq!(found.title, "service app on client ended with status 4");
}

#[test]
fn what_services_print_is_kept_and_bounded() {
    let mut bench = Bench::with_peer(|_| "at serve nginx\n service-print hello\n".to_owned());
    let script = "at serve app\n service-print first\n service-flood 8\n service-print last\n";
    assert_eq!(bench.trial(script).verdict, Verdict::Good);
    let folder = bench.trial_folder().join("services");
    assert_eq!(std::fs::read_to_string(folder.join("web.log")).unwrap(), "hello\n");
    let log = std::fs::read_to_string(folder.join("app.log")).unwrap();
    assert!(log.starts_with("first\nyyy") && log.ends_with("yyy\nlast\n"), "{} bytes", log.len());
    assert!(log.len() < 2 << 20, "{} bytes are kept of 8 MiB", log.len());
    assert!(log.contains("[kbisect: "), "what is left out is told");
}

#[test]
fn a_service_is_ready_once_its_line_was_printed() {
    let scenario = r#"
schema = "kbisect.scenario/1"
summary = "a service that says when it is ready"
[nodes.client]
kernel = "candidate"
[[services]]
name = "app"
node = "client"
command = ["app"]
ready = { log = "^up on port [0-9]+$" }
ready_timeout_s = 1
[[checks]]
name = "alive"
node = "client"
alive = true
"#;
    let mut bench = Bench::with(scenario, |_| String::new());
    let result = bench.trial("at serve app\n service-print up on port 80\n");
    assert_eq!(result.verdict, Verdict::Good);
    // The line may be gone from what is kept when it is looked for.
    let result = bench.trial("at serve app\n service-print up on port 80\n service-flood 4\n");
    assert_eq!(result.verdict, Verdict::Good);
    let found = bad(&mut bench, "at serve app\n service-print up\n");
    assert_eq!(found.title, "service app on client not ready in time");
    let found = bad(&mut bench, "at serve app\n service-print up\n service-exit 2\n");
    assert_eq!(found.title, "service app on client ended with status 2");
}
