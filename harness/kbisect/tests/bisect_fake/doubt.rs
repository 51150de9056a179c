//! Failures that show in some runs only.

use std::fmt::Write as _;

use crate::place::Place;

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
    let result = place().bisect("6.12.1..6.12.8", "").code(0).json();
    assert_ne!(result["first_bad"]["version"], "6.12.5", "one try each");
    assert_eq!(result["confidence"]["level"], "unconfirmed");
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
