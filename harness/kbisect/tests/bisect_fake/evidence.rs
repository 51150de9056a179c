//! What is kept of failures: memory dumps, decoded traces, the reason of a match.

use serde_json::Value;

use crate::place::{Ended, PANIC, Place};

/// A crash that has nothing to do with [`PANIC`].
const OTHER: &str = "at http\n panic ext9_fake_write\n shutdown guest guest-reset\n exit 0\n";

fn series(place: &Place) -> Vec<Value> {
    let written = std::fs::read_to_string(place.run_folder().join("result.json")).unwrap();
    let result: Value = serde_json::from_str(&written).unwrap();
    result["trials"].as_array().unwrap().clone()
}

fn report(place: &Place) -> String {
    std::fs::read_to_string(place.run_folder().join("report.md")).unwrap()
}

/// A command that needs no machine.
fn offline(place: &Place, words: &str) -> Ended {
    place.as_printed(&format!("{words} --offline --cache {}", place.path("cache").display()))
}

#[test]
fn dumps_are_made_of_kernels_that_crash_and_of_no_others() {
    let script = |number| if number >= 3 { PANIC.to_owned() } else { String::new() };
    let place = Place::series(4, script);
    let result = place.bisect("6.12.1..6.12.4", "--vmcore").code(0).json();
    assert_eq!(result["first_bad"]["version"], "6.12.3");
    for trial in result["trials"].as_array().unwrap() {
        let file = place.run_folder().join(trial["directory"].as_str().unwrap());
        let file = file.join("candidate/vmcore");
        let vmcore = &trial["evidence"]["vmcore"];
        if trial["verdict"] == "bad" {
            assert_eq!(vmcore["bytes"], file.metadata().unwrap().len());
            assert!(vmcore["build_id"].is_string(), "{vmcore}");
            assert_eq!(trial["evidence"]["crash"]["comm"], "app");
        } else {
            assert!(vmcore.is_null() && !file.exists(), "{trial}");
        }
    }
    let report = report(&place);
    assert!(report.contains("candidate/vmcore") && report.contains("build id"), "{report}");
}

#[test]
fn the_record_says_why_a_failure_is_the_same_or_another_one() {
    let script = |number| match number {
        3 => OTHER.to_owned(),
        number if number >= 2 => PANIC.to_owned(),
        _ => String::new(),
    };
    let place = Place::series(5, script);
    place.bisect("6.12.1..6.12.5", "").code(0);
    let trials = series(&place);
    let of = |version: &str| {
        let found = trials.iter().find(|trial| trial["kernel"]["version"] == version);
        found.unwrap_or_else(|| panic!("{version} was not tried"))
    };
    assert!(of("6.12.5")["matching"].is_null(), "it is the target");
    assert_eq!(of("6.12.3")["matching"]["how"], "different");
    assert_eq!(of("6.12.2")["matching"]["how"], "title");
    let file = place.run_folder().join(of("6.12.3")["directory"].as_str().unwrap());
    let written = std::fs::read_to_string(file.join("trial.json")).unwrap();
    assert_eq!(&serde_json::from_str::<Value>(&written).unwrap(), of("6.12.3"));
    let report = report(&place);
    let others = report.split("## Other failures").nth(1).expect("another failure is listed");
    assert!(
        others.contains("ext9\\_fake\\_write") || others.contains("ext9_fake_write"),
        "{report}"
    );
    assert!(report.contains("same kind and title"), "{report}");
}

#[test]
fn debug_information_that_is_not_there_is_said_and_is_no_failure() {
    let place =
        Place::series(2, |number| if number == 2 { PANIC.to_owned() } else { String::new() });
    let missing = place.path("no-vmlinux");
    let options = format!("--vmlinux {}", missing.display());
    let result = place.bisect("6.12.1..6.12.2", &options).code(0).json();
    // The trial that the report shows is the last one of the bad kernel.
    let bad = result["trials"].as_array().unwrap().iter().rfind(|trial| trial["verdict"] == "bad");
    let decoded = &bad.unwrap()["evidence"]["decoded"];
    assert_eq!(decoded["status"], "unavailable");
    assert!(decoded["reason"].as_str().unwrap().contains("no-vmlinux"), "{decoded}");
    let before = report(&place);
    assert!(before.contains("no debug information, because cannot open"), "{before}");
    // These kernels come from no archive. What is said later becomes a part of the run.
    let run = place.run_folder().display().to_string();
    let later = offline(&place, &format!("decode {run} --json")).code(0).json();
    assert_eq!(later["schema"], "kbisect.decode/1");
    let reason = later["traces"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("does not come from an archive"), "{reason}");
    let after = report(&place);
    assert!(after.contains("does not come from an archive"), "{after}");
    assert!(!after.contains("cannot open"), "what was said before is replaced: {after}");
    let again = place.as_printed(&format!("report {run}")).code(0);
    assert_eq!(again.stdout, after, "the report is a function of the journal");
}

#[test]
fn one_trial_is_decoded_too() {
    let place = Place::series(1, |_| PANIC.to_owned());
    let missing = place.path("no-vmlinux");
    let words = format!("run 6.12.1 --scenario smoke --json --vmlinux {}", missing.display());
    let result = place.run(&words).code(1).json();
    assert_eq!(result["evidence"]["decoded"]["status"], "unavailable");
    let written = std::fs::read_to_string(place.run_folder().join("result.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), result);
}

#[test]
fn a_log_of_an_unknown_kernel_is_asked_about() {
    let place = Place::new();
    let log = place.path("console.log");
    std::fs::write(&log, "[    1.000000] Kernel panic - not syncing: sysrq triggered crash\n")
        .unwrap();
    let ended = offline(&place, &format!("decode {}", log.display())).code(2);
    assert!(
        ended.stderr.contains("--kernel") && ended.stderr.contains("--vmlinux"),
        "{}",
        ended.stderr
    );
    offline(&place, "decode no-such-run").code(2);
}
