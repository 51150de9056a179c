//! `kbisect check`: what it calls a regression, its exit codes, its documents.

#[path = "../../../kbisect-report/tests/common/validate.rs"]
pub mod validate;

use std::path::Path;

use kbisect_core::gate::GateResult;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::place::{BAD, Ended, NO_BOOT, PANIC, Place, is_gone, pid_in};

/// Kernel 6.12.1 to 6.12.4: good, bad, bad in another way, does not boot.
fn place() -> Place {
    Place::series(4, |number| ["", BAD, PANIC, NO_BOOT][number as usize - 1].to_owned())
}

/// Asserts that a document fits its schema.
#[track_caller]
pub fn fits(result: &Value) {
    let schema = serde_json::from_str(kbisect_report::schema("check").unwrap()).unwrap();
    assert_eq!(validate::problems(&schema, result), Vec::<String>::new(), "{result:#}");
}

/// Version and standing of the cells of a scenario.
fn standings(result: &Value, scenario: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let cells = result["cells"].as_array().unwrap().iter();
    cells
        .filter(|cell| cell["scenario"] == scenario)
        .map(|cell| (text(&cell["kernel"]["version"]), text(&cell["standing"])))
        .collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(version, word)| ((*version).to_owned(), (*word).to_owned())).collect()
}

#[test]
fn all_good_is_passed() {
    let place = Place::series(2, |_| String::new());
    let ended = place.run("check 6.12.1 6.12.2 6.12.1 --scenario smoke,smoke --json").code(0);
    let result = ended.json();
    fits(&result);
    assert_eq!(
        (&result["schema"], &result["outcome"]),
        (&"kbisect.check/1".into(), &"passed".into())
    );
    // What is named twice is tried once.
    assert_eq!(standings(&result, "smoke"), pairs(&[("6.12.1", "good"), ("6.12.2", "good")]));
    let trials = result["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 2);
    let folder = place.run_folder();
    assert_eq!(result["run_dir"], folder.display().to_string());
    assert_eq!(std::fs::read_to_string(folder.join("result.json")).unwrap(), ended.stdout);
    for trial in trials {
        assert_eq!(trial["scenario"], "smoke");
        let trial = folder.join(trial["directory"].as_str().unwrap());
        assert!(
            trial.join("trial.json").is_file() && trial.join("candidate/console.log").is_file()
        );
    }
    assert!(folder.join("scenarios/smoke/scenario/scenario.json").is_file());
    assert!(folder.join("lab/smoke").is_dir());
    // The document reads back as what it was written from.
    let read: GateResult = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), result);
}

#[test]
fn what_fails_and_passed_at_the_baseline_is_a_regression() {
    let ended = place().run("check 6.12.2 --scenario smoke --baseline 6.12.1 --json").code(1);
    let result = ended.json();
    fits(&result);
    assert_eq!(result["outcome"], "regressed");
    assert_eq!(standings(&result, "smoke"), pairs(&[("6.12.1", "good"), ("6.12.2", "regressed")]));
    assert_eq!(result["cells"][0]["under_test"], false);
    assert_eq!(
        result["cells"][1]["symptom"]["title"],
        "payload: connected, no whole answer in time"
    );
    // The baseline is no kernel under test.
    assert_eq!(result["counts"]["good"], 0);
    assert_eq!(result["counts"]["regressed"], 1);
}

#[test]
fn without_a_baseline_every_failure_is_a_regression() {
    let ended = place().run("check 6.12.1..6.12.3 --scenario smoke").code(1);
    for part in [
        "6.12.1  good\n",
        "6.12.2  regressed\n",
        "payload: connected, no whole answer in time",
        "2 regressed, 1 good",
    ] {
        assert!(ended.stdout.contains(part), "no `{part}`: {}", ended.stdout);
    }
    assert!(
        ended.stdout.contains("repeat: kbisect run 6.12.2 --scenario smoke"),
        "{}",
        ended.stdout
    );
}

#[test]
fn what_failed_before_in_the_same_way_is_no_regression() {
    let place = Place::series(4, |number| match number {
        1 | 2 => BAD.to_owned(),
        3 => PANIC.to_owned(),
        _ => String::new(),
    });
    let words = "--scenario smoke --baseline 6.12.1 --json";
    // That it failed before is no licence, unless it is given by name.
    let result = place.run(&format!("check 6.12.2 6.12.4 {words} --results a")).code(1).json();
    assert_eq!(result["outcome"], "already-broken");
    let result = place.run(&format!("check 6.12.2 {words} --allow-broken other --results b"));
    assert_eq!(result.code(1).json()["outcome"], "already-broken");
    let result = place.run(&format!("check 6.12.2 {words} --allow-broken all --results c"));
    assert_eq!(result.code(0).json()["outcome"], "passed");
    let words_c = format!("{words} --allow-broken payload --results d");
    let result = place.run(&format!("check 6.12.2 6.12.4 {words_c}")).code(0).json();
    assert_eq!(result["cells"][1]["allowed"], true);
    assert_eq!(
        standings(&result, "smoke"),
        pairs(&[("6.12.1", "already-broken"), ("6.12.2", "already-broken"), ("6.12.4", "fixed")])
    );
    assert_eq!(result["counts"]["already_broken"], 1);
    assert_eq!(
        result["cells"][0]["reason"],
        "check-failed: payload: connected, no whole answer in time"
    );
    let other = Place::series(3, |number| if number == 3 { PANIC } else { BAD }.to_owned());
    let result = other.run(&format!("check 6.12.3 {words}")).code(1).json();
    assert_eq!(result["cells"][1]["standing"], "regressed");
    let reason = result["cells"][1]["reason"].as_str().unwrap();
    assert!(reason.contains("the baseline fails in another way"), "{reason}");
}

#[test]
fn a_kernel_that_cannot_answer_is_shown_and_never_green_by_itself() {
    let place = place();
    let result =
        place.run("check 6.12.1 6.12.4 --scenario smoke --json --results a").code(1).json();
    assert_eq!(result["outcome"], "not-tested");
    assert_eq!(standings(&result, "smoke"), pairs(&[("6.12.1", "good"), ("6.12.4", "not-tested")]));
    // Leave for gaps is none for a kernel that gave no answer at all.
    let ended = place.run("check 6.12.1 6.12.4 --scenario smoke --allow-skips --results b").code(1);
    assert!(ended.stdout.contains("6.12.4  not tested\n"), "{}", ended.stdout);
    let gap = "at start\n boot 6.12.5\nat exec nft\n reply status 1 \
               rules.nft:1:1-2: Error: Could not process rule: No such file or directory\n\
               at lacks\n reply lacking synproxy\n";
    place.kernel("6.12.5", gap);
    crate::scenario_errors::scenario(&place, "");
    std::fs::write(place.path("broken/rules.nft"), "synproxy\n").unwrap();
    let words = "check 6.12.5 --scenario smoke,./broken --allow-skips --results e";
    let ended = place.run(words).code(0);
    assert!(ended.stdout.contains("passed: 1 not tested, 1 good"), "{}", ended.stdout);
    place.run("check 6.12.4 --scenario smoke --allow-skips --results c").code(1);
}

#[test]
fn our_own_failures_are_retried_and_then_end_the_check() {
    let place = Place::new();
    let once =
        format!("at http\n first-time {}\n stderr oom\n exit 1\n", place.path("once").display());
    place.kernel("6.12.1", &once);
    place.kernel("6.12.2", "at http\n stderr oom\n exit 1\n");
    place.kernel("6.12.3", "");
    let result = place.run("check 6.12.1 --scenario smoke --json --results a").code(0).json();
    assert_eq!(result["trials"].as_array().unwrap().len(), 2, "tried again");
    assert_eq!(result["cells"][0]["trial"], 2);
    let words = "check 6.12.3 6.12.2 6.12.1 --scenario smoke --junit junit.xml --json --results b";
    let ended = place.run(words).code(69);
    assert!(ended.stderr.contains("error: trial of 6.12.2 failed for reasons of this host"));
    let result = ended.json();
    fits(&result);
    assert_eq!(result["outcome"], "aborted");
    assert!(result["reason"].as_str().unwrap().contains("oom"));
    assert_eq!(
        standings(&result, "smoke"),
        pairs(&[("6.12.3", "good"), ("6.12.2", "no-answer"), ("6.12.1", "no-answer")])
    );
    assert_eq!(result["trials"].as_array().unwrap().len(), 4);
    let junit = std::fs::read_to_string(place.path("junit.xml")).unwrap();
    assert!(junit.contains("tests=\"3\" failures=\"0\" errors=\"2\" skipped=\"0\""), "{junit}");
}

#[test]
fn junit_has_a_case_for_each_kernel_and_scenario() {
    let place = place();
    // The stand-in plays this one; a copy is as good as another scenario.
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/smoke");
    std::fs::create_dir_all(place.path("mine")).unwrap();
    for file in ["scenario.toml", "nginx.conf"] {
        std::fs::copy(shipped.join(file), place.path("mine").join(file)).unwrap();
    }
    let words = "check 6.12.1..6.12.4 --scenario smoke,./mine --baseline 6.12.3 --junit junit.xml";
    place.run(words).code(1);
    let junit = std::fs::read_to_string(place.path("junit.xml")).unwrap();
    assert_eq!(junit.matches("<testsuite ").count(), 2, "{junit}");
    assert_eq!(junit.matches("<testcase ").count(), 8, "{junit}");
    let parts = [
        "<testsuites name=\"kbisect check\" tests=\"8\" failures=\"2\" errors=\"4\" skipped=\"0\"",
        "<testsuite name=\"smoke\" tests=\"4\" failures=\"1\" errors=\"2\" skipped=\"0\"",
        "<property name=\"baseline\" value=\"6.12.3\"/>",
        "<testcase name=\"6.12.1\" classname=\"smoke\"",
        "<testcase name=\"6.12.2\" classname=\"./mine\"",
        "<failure type=\"check-failed\" message=\"check-failed: payload: connected, no whole answer in time; the baseline",
        "<error type=\"already-broken\" message=\"already broken: panic: ",
        "<error type=\"not-tested\" message=\"",
    ];
    for part in parts {
        assert!(junit.contains(part), "no `{part}`: {junit}");
    }
    // The same for code scanning, and beside the code of a pull request.
    let report = |form: &str| place.as_printed(&format!("report --format {form}")).code(0).stdout;
    let sarif: serde_json::Value = serde_json::from_str(&report("sarif")).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), 6, "{sarif:#}");
    let rule = |result: &serde_json::Value| result["ruleId"].as_str().unwrap().to_owned();
    assert_eq!(results.iter().filter(|it| rule(it) == "check-failed").count(), 2);
    let files: Vec<&str> = results
        .iter()
        .map(|it| &it["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])
        .map(|uri| uri.as_str().unwrap())
        .collect();
    assert!(files.contains(&"mine/scenario.toml"), "{files:?}");
    assert!(files.contains(&"scenarios/smoke/scenario.toml"), "{files:?}");
    let github = report("github");
    assert_eq!(github.lines().filter(|line| line.starts_with("::error file=")).count(), 6);
    assert_eq!(github.lines().count(), 6, "{github}");
    let told = "::error file=mine/scenario.toml,title=./mine on 6.12.2::";
    assert!(github.contains(told), "{github}");
}

#[test]
fn ctrl_c_leaves_what_was_found() {
    let place = Place::new();
    place.kernel("6.12.1", "");
    let script = format!("at http\n pid {}\n mute\n", place.path("held").display());
    place.kernel("6.12.2", &script);
    let run = place.start("check 6.12.1 6.12.2 --scenario smoke --json");
    let held = pid_in(&place.path("held"));
    let pid = Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let ended = Ended::of(run.wait_with_output().unwrap()).code(130);
    assert!(ended.stderr.contains("resume with: kbisect resume results/"), "{}", ended.stderr);
    assert!(is_gone(held) && is_gone(pid_in(&place.path("peer"))));
    let result = ended.json();
    assert_eq!(result["outcome"], "aborted");
    assert_eq!(standings(&result, "smoke"), pairs(&[("6.12.1", "good"), ("6.12.2", "no-answer")]));
}
