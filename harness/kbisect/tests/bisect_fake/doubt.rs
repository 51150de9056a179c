//! Failures that show in some runs only.

use std::fmt::Write as _;

use serde_json::Value;

use crate::place::{BAD, NO_BOOT, Place};

/// A kernel that fails in the runs of this pattern, `x` failing and `.` passing, and in all after it.
fn sometimes(place: &Place, version: &str, runs: &str) {
    let mut script = String::new();
    for (at, run) in runs.chars().enumerate() {
        let used = place.path(&format!("{version}-{at}"));
        let does = if run == 'x' { "reply other-body" } else { "reply body 65536" };
        writeln!(script, "at http\n first-time {}\n {does}", used.display()).unwrap();
    }
    writeln!(script, "at http\n reply other-body").unwrap();
    place.kernel(version, &script);
}

fn place() -> Place {
    let place = Place::new();
    for number in 1..=8 {
        let version = format!("6.12.{number}");
        match number {
            // Passes twice before it fails: one try each would call it good.
            5 => sometimes(&place, &version, "..x.x"),
            6 => sometimes(&place, &version, ".x"),
            7.. => sometimes(&place, &version, "x"),
            _ => place.kernel(&version, ""),
        }
    }
    place
}

#[test]
fn halving_is_misled_where_the_search_under_doubt_is_not() {
    let result = place().bisect("6.12.1..6.12.8", "--quick").code(0).json();
    assert_ne!(result["first_bad"]["version"], "6.12.5", "one try each");
    assert_eq!(result["confidence"]["level"], "unconfirmed");
    // Without that the repeats disagree, and it goes on as if it had been asked for.
    let ended = place().bisect("6.12.1..6.12.8", "").code(0);
    let result = ended.json();
    assert!(ended.stderr.contains("failed in some runs and passed in others"), "{}", ended.stderr);
    assert_eq!(result["first_bad"]["version"], "6.12.5", "{}", result["confidence"]);
    assert_eq!(result["confidence"]["level"], "confirmed");
    assert!(result["doubt"]["probability"].as_f64().unwrap() >= 0.99);
    let place = place();
    let result = place.bisect("6.12.1..6.12.8", "--flaky").code(0).json();
    assert_eq!(result["outcome"], "found", "{}", result["confidence"]);
    assert_eq!(result["first_bad"]["version"], "6.12.5");
    assert_eq!(result["last_good"]["version"], "6.12.4");
    assert_eq!(result["confidence"]["level"], "confirmed");
    assert!(result["doubt"]["probability"].as_f64().unwrap() >= 0.99);
    let tally = &result["series"][4]["belief"]["tally"];
    assert!(tally["fails"].as_u64().unwrap() >= 3, "{tally}");
    assert!(result["series"][3]["belief"]["tally"]["passes"].as_u64().unwrap() >= 3);
    let report = std::fs::read_to_string(place.run_folder().join("report.md")).unwrap();
    assert!(report.contains("that the change came with 6.12.5"), "{report}");
}

#[test]
fn a_spent_budget_ends_with_the_credible_versions() {
    let place = place();
    let result = place.bisect("6.12.1..6.12.8", "--budget 6runs").code(1).json();
    assert_eq!(result["outcome"], "range");
    assert_eq!(result["reason"], "the budget is spent");
    let candidates = result["candidates"].as_array().unwrap();
    assert!(candidates.len() > 1);
    assert!(
        candidates.iter().any(|kernel| kernel["version"] == "6.12.5"),
        "{}",
        result["candidates"]
    );
    assert!(result.get("first_bad").is_some(), "the end of the range");
}

#[test]
fn a_run_under_doubt_is_resumed_with_its_counts() {
    use rustix::process::{Pid, Signal, kill_process};
    let whole = place();
    let wanted = whole.bisect("6.12.1..6.12.8", "--flaky").code(0).json();
    let place = place();
    // The bad end holds its first trial up.
    let (once, pid) = (place.path("once"), place.path("held"));
    let held = format!(
        "at http\n first-time {}\n pid {}\n mute\nat http\n reply other-body\n",
        once.display(),
        pid.display()
    );
    place.kernel("6.12.9", &held);
    let mut run = place.start("6.12.1..6.12.9 --scenario smoke --flaky --json");
    let _ = crate::place::pid_in(&pid);
    let process = Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
    kill_process(process, Signal::KILL).unwrap();
    run.wait().unwrap();
    let words = format!("resume {} --json", place.run_folder().display());
    let result = place.run(&words).code(0).json();
    assert_eq!(result["first_bad"]["version"], wanted["first_bad"]["version"]);
    assert_eq!(result["confidence"]["level"], "confirmed");
}

#[test]
fn bad_values_are_named() {
    let place = Place::series(2, |_| String::new());
    for (options, said) in [
        ("--stop 1", "nothing is ever certain"),
        ("--budget 0runs", "a budget of no runs"),
        ("--budget soon", "is no budget"),
        ("--p-min 2", "0.001"),
        ("--quick --strict", "cannot be used with"),
    ] {
        let ended = place.run(&format!("6.12.1..6.12.2 --scenario smoke {options}")).code(2);
        assert!(ended.stderr.contains(said), "{options}: {}", ended.stderr);
    }
}

/// A journal is scored again by what was counted: that of a halving, and one of a version of kbisect
/// that had fewer fields.
#[test]
fn old_journals_are_scored_again() {
    let place = Place::series(8, |number| if number > 4 { BAD.to_owned() } else { String::new() });
    place.bisect("6.12.1..6.12.8", "").code(0);
    let folder = place.run_folder();
    let score = |options: &str| {
        place.as_printed(&format!("score {} --json {options}", folder.display())).code(0).json()
    };
    let scored = score("");
    assert_eq!(scored["outcome"], "aborted", "one try each decides nothing");
    let reason = scored["reason"].as_str().unwrap();
    assert!(reason.contains("next would be 6.12."), "{reason}");
    let culprit =
        |scored: &Value, at: usize| scored["series"][at]["belief"]["culprit"].as_f64().unwrap();
    assert!((0..8).all(|at| at == 4 || culprit(&scored, at) < culprit(&scored, 4)), "{scored:#}");
    assert!(culprit(&scored, 4) < 0.99);
    assert!(scored["doubt"]["left"]["low"].as_u64() < scored["doubt"]["left"]["high"].as_u64());
    // Where the ends are sure and a failure is never missed, the same counts are worth more.
    let text = place.as_printed(&format!("score {} --robust", folder.display())).code(0).stdout;
    assert!(text.contains("6.12.5 ") && text.contains("1/1 failed"), "{text}");
    assert!(text.contains("the counts do not decide"), "{text}");

    let journal = folder.join("journal.jsonl");
    let lines = std::fs::read_to_string(&journal).unwrap();
    let mut old = String::new();
    for line in lines.lines() {
        let mut line: Value = serde_json::from_str(line).unwrap();
        if let Some(options) = line.pointer_mut("/plan/options").and_then(Value::as_object_mut) {
            options.retain(|name, _| matches!(name.as_str(), "assume_old" | "assume_new"));
        }
        if let Some(record) = line.get_mut("record").and_then(Value::as_object_mut) {
            let new = ["matching", "began_ms", "evidence", "counters", "state", "hops", "release"];
            record.retain(|name, _| !new.contains(&name.as_str()));
        }
        writeln!(old, "{line}").unwrap();
    }
    std::fs::write(&journal, old).unwrap();
    let again = score("");
    assert_eq!(again["series"][4]["belief"], scored["series"][4]["belief"]);
    assert_eq!(again["doubt"], scored["doubt"]);
    let none = place.as_printed("score nowhere").code(2);
    assert!(none.stderr.contains("no run"), "{}", none.stderr);
}

#[test]
fn contradictory_counts_name_no_culprit() {
    // Good, bad, good, bad: whatever a single change says, it is wrong.
    let place = Place::series(9, |number| {
        let bad = matches!(number, 3 | 4 | 5 | 8 | 9);
        if bad { BAD.to_owned() } else { String::new() }
    });
    // Where the search looks decides whether it meets the contradiction; what it met is told.
    let ended = place.bisect("6.12.1..6.12.9", "--flaky --strict --stop 0.999");
    let result = ended.json();
    let found = result["outcome"] == "found";
    assert_eq!(ended.code, i32::from(!found));
    if found {
        let first = result["first_bad"]["version"].as_str().unwrap();
        assert!(["6.12.3", "6.12.8"].contains(&first), "a real change: {first}");
    }
    // The good end fails in every run, and passes in none; one run boots it as shipped.
    let place = Place::series(5, |_| BAD.to_owned());
    let result = place.bisect("6.12.1..6.12.5", "--flaky").code(1).json();
    assert_eq!(result["outcome"], "good-fails");
    assert!(result["reason"].as_str().unwrap().contains("4 of 4 runs"), "{}", result["reason"]);
    assert!(result.get("first_bad").is_none());
}

#[test]
fn versions_that_cannot_be_tested_are_a_range_and_ends_an_outcome() {
    let place = Place::series(7, |number| match number {
        1 => String::new(),
        7 => BAD.to_owned(),
        _ => NO_BOOT.to_owned(),
    });
    let result = place.bisect("6.12.1..6.12.7", "--flaky").code(1).json();
    assert_eq!(result["outcome"], "range");
    assert_eq!(result["candidates"].as_array().unwrap().len(), 6);
    assert!(result["reason"].as_str().unwrap().contains("give no answer"), "{}", result["reason"]);
    let report = std::fs::read_to_string(place.run_folder().join("report.md")).unwrap();
    assert!(report.contains("6.12.2 to 6.12.6 (5 neighbours) cannot be tested"), "{report}");
    let place = Place::series(4, |_| NO_BOOT.to_owned());
    let ended = place.bisect("6.12.1..6.12.4", "--flaky").code(1);
    let result = ended.json();
    assert_eq!(result["outcome"], "aborted");
    assert!(result["reason"].as_str().unwrap().contains("bad end of the range gives no answer"));
    assert_eq!(place.begun().len(), 1);
}

#[test]
fn a_budget_that_is_used_up_is_told_and_can_be_raised() {
    let place = place();
    let first = place.bisect("6.12.1..6.12.8", "--budget 6runs").code(1).json();
    let made = place.begun().len();
    let folder = place.run_folder();
    let resume =
        |options: &str| place.run(&format!("resume {} --json {options}", folder.display()));
    // It is over: the same is told again, and nothing is tried.
    let again = resume("").code(1).json();
    assert_eq!(again, first);
    // What is no more than was used.
    let used = resume("--budget 6runs").code(2);
    assert!(used.stderr.contains("6 runs were made"), "{}", used.stderr);
    assert_eq!(place.begun().len(), made);
    let result = resume("--budget 200runs").code(0).json();
    assert_eq!(result["first_bad"]["version"], "6.12.5");
    assert_eq!(result["confidence"]["level"], "confirmed");
    assert!(place.begun().len() > made);
    let whole = self::place().bisect("6.12.1..6.12.8", "--flaky").code(0).json();
    assert_eq!(
        result["trials"].as_array().unwrap().len(),
        whole["trials"].as_array().unwrap().len()
    );
    // One that found its culprit has nothing left to spend it on.
    let found = resume("--budget 300runs").code(0).json();
    assert_eq!(found["first_bad"]["version"], "6.12.5");
}
