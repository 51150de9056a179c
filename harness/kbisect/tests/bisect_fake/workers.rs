//! Trials side by side: the same answer, whatever becomes of one of them.

use std::path::PathBuf;
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::place::{BAD, Ended, PANIC, Place, is_gone, pid_in};

const RUN: &str = "6.12.1..6.12.12 --scenario smoke --json";

/// Stops at `event` the first time that it is tried, and says so by its process id.
fn held(place: &Place, number: u32, event: &str) -> String {
    let (once, pid) = (place.path(&format!("once-{number}")), pid_file(place, number));
    format!("at {event}\n first-time {}\n pid {}\n mute\n", once.display(), pid.display())
}

fn pid_file(place: &Place, number: u32) -> PathBuf {
    place.path(&format!("held-{number}"))
}

/// Kernel 6.12.1 to 6.12.12, bad from 8 on, with something before that for each.
fn series(before: impl Fn(&Place, u32) -> String) -> Place {
    let place = Place::new();
    for number in 1..=12 {
        let script = before(&place, number) + if number >= 8 { BAD } else { "" };
        place.kernel(&format!("6.12.{number}"), &script);
    }
    place
}

fn events(place: &Place) -> Vec<Value> {
    let text = std::fs::read_to_string(place.run_folder().join("journal.jsonl")).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn of<'a>(events: &'a [Value], what: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == what).collect()
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[track_caller]
fn assert_found(result: &Value) {
    assert_eq!(result["outcome"], "found", "{result}");
    assert_eq!(result["last_good"]["version"], "6.12.7");
    assert_eq!(result["first_bad"]["version"], "6.12.8");
}

/// Each trial has a folder of its own, and none is left of those that do not count.
#[track_caller]
fn assert_folders(place: &Place, result: &Value) {
    let lists = ["trials", "beside"].map(|list| result[list].as_array());
    let mut wanted: Vec<String> = lists
        .into_iter()
        .flatten()
        .flatten()
        .map(|trial| trial["directory"].as_str().unwrap().to_owned())
        .collect();
    wanted.sort();
    let mut found: Vec<String> = std::fs::read_dir(place.run_folder().join("trials"))
        .unwrap()
        .map(|entry| format!("trials/{}", entry.unwrap().file_name().to_string_lossy()))
        .collect();
    found.sort();
    assert_eq!(found, wanted);
    wanted.dedup();
    assert_eq!(found.len(), wanted.len());
}

#[test]
fn the_answer_is_that_of_one_worker() {
    let place = series(|_, _| String::new());
    let alone = place.bisect("6.12.1..6.12.12", "--results one").code(0).json();
    assert_found(&alone);
    for workers in [2, 3, 5] {
        let place = series(|_, _| String::new());
        let result =
            place.bisect("6.12.1..6.12.12", &format!("--workers {workers}")).code(0).json();
        assert_found(&result);
        assert_eq!(result["symptom"], alone["symptom"]);
        assert_folders(&place, &result);
        let events = events(&place);
        let used: std::collections::BTreeSet<u64> =
            of(&events, "trial-began").iter().map(|at| at["worker"].as_u64().unwrap()).collect();
        assert_eq!(used.len(), workers, "all of them work");
    }
}

#[test]
fn the_answer_under_doubt_is_that_of_one_worker() {
    let place = series(|_, _| String::new());
    let result = place.bisect("6.12.1..6.12.12", "--flaky --workers 3").code(0).json();
    assert_found(&result);
    assert_eq!(result["confidence"]["level"], "confirmed");
    assert_folders(&place, &result);
}

#[test]
fn trials_overlap() {
    // Each of the first two waits for the other one to have come as far.
    let place = series(|place, number| {
        let other = match number {
            1 => 12,
            12 => 1,
            _ => return String::new(),
        };
        let here = place.path(&format!("here-{number}"));
        let there = place.path(&format!("here-{other}"));
        format!("at prepare\n pid {}\n await {}\n", here.display(), there.display())
    });
    assert_found(&place.bisect("6.12.1..6.12.12", "--workers 2").code(0).json());
}

#[test]
fn a_failure_waits_for_the_symptom_that_the_bad_end_shows() {
    // The good end fails, in its own way and first; what counts is what the bad end says.
    let place = Place::new();
    let go = place.path("go");
    place
        .kernel("6.12.1", &format!("at ping\n pid {}\nat http\n reply other-body\n", go.display()));
    for number in 2..=5 {
        place.kernel(&format!("6.12.{number}"), "");
    }
    place.kernel("6.12.6", &format!("at prepare\n await {}\n{PANIC}", go.display()));
    let result = place.bisect("6.12.1..6.12.6", "--workers 2").code(1).json();
    assert_eq!(result["symptom"]["kind"], "panic", "{}", result["symptom"]);
    assert_eq!(result["outcome"], "aborted", "an end that fails otherwise gives no answer");
    let trials = result["trials"].as_array().unwrap();
    let good_end = trials.iter().find(|trial| trial["kernel"]["version"] == "6.12.1").unwrap();
    assert_eq!(good_end["matching"]["how"], "different", "{result}");
}

#[test]
fn a_failure_beside_a_bad_end_that_passes_is_told_and_does_not_count() {
    let place = Place::new();
    place.kernel("6.12.1", BAD);
    for number in 2..=6 {
        place.kernel(&format!("6.12.{number}"), "");
    }
    let ended = place.bisect("6.12.1..6.12.6", "--workers 2").code(1);
    let result = ended.json();
    assert_eq!(result["outcome"], "not-reproduced");
    // A cut that ended before the bad end did was good; the failure is in none of them.
    let trials = result["trials"].as_array().unwrap();
    assert!(trials.iter().any(|trial| trial["kernel"]["version"] == "6.12.6"), "{trials:?}");
    assert!(trials.iter().all(|trial| trial["verdict"] == "good"), "{trials:?}");
    assert_folders(&place, &result);
}

#[test]
fn what_is_moot_is_ended_and_leaves_nothing() {
    // The middle fails; what is newer would hang for ever otherwise.
    let place = series(|place, number| match number {
        9 => held(place, number, "http"),
        6 | 7 => format!("at prepare\n await {}\n", pid_file(place, 9).display()),
        _ => String::new(),
    });
    // 6.12.6 and 6.12.9 are tried side by side when the ends are known.
    let result = place.bisect("6.12.1..6.12.12", "--workers 3").code(0).json();
    assert_found(&result);
    assert_folders(&place, &result);
    let events = events(&place);
    let numbers: Vec<&Value> = of(&events, "trial-began").iter().map(|at| &at["number"]).collect();
    let cancelled = of(&events, "trial-cancelled");
    assert!(!cancelled.is_empty(), "what is under way for ever is ended");
    for cancelled in cancelled {
        assert!(numbers.contains(&&cancelled["number"]), "{cancelled}");
    }
}

#[test]
fn kill_9_repeats_all_that_were_under_way_with_any_number_of_workers() {
    for (workers, again) in [(2, "--workers 1"), (3, ""), (1, "--workers 3"), (2, "--workers auto")]
    {
        // The first trials stop: one with each worker.
        let first = &[12, 1, 6][..workers];
        let place = series(|place, number| {
            if first.contains(&number) { held(place, number, "http") } else { String::new() }
        });
        let mut run = place.start(&format!("{RUN} --workers {workers}"));
        let machines: Vec<u32> =
            first.iter().map(|number| pid_in(&pid_file(&place, *number))).collect();
        signal(&run, Signal::KILL);
        run.wait().unwrap();
        for machine in machines {
            assert!(is_gone(machine), "a machine outlives us");
        }
        let words = format!("resume {} --json {again}", place.run_folder().display());
        let result = place.run(&words).code(0).json();
        assert_found(&result);
        assert_folders(&place, &result);
        let events = events(&place);
        for number in first {
            let index = number - 1;
            let begun = of(&events, "trial-began");
            let times = begun.iter().filter(|at| at["index"] == index).count();
            let ended = of(&events, "trial-ended");
            let counted = ended.iter().filter(|at| at["index"] == index).count();
            assert!(counted <= 1, "6.12.{number} counts once");
            // The middle may have become moot meanwhile.
            assert!(times == counted + 1 || *number == 6, "6.12.{number} is repeated");
        }
    }
}

#[test]
fn ctrl_c_ends_all_and_leaves_no_machine() {
    let place = series(|place, number| match number {
        1 | 12 => held(place, number, "http"),
        _ => String::new(),
    });
    let run = place.start(&format!("{RUN} --workers 2"));
    let machines = [1, 12].map(|number| pid_in(&pid_file(&place, number)));
    let peer = pid_in(&place.path("peer"));
    signal(&run, Signal::INT);
    let ended = Ended::of(run.wait_with_output().unwrap()).code(130);
    for machine in machines.into_iter().chain([peer]) {
        assert!(is_gone(machine), "a machine is left");
    }
    assert!(ended.stderr.contains("kbisect resume"), "{}", ended.stderr);
    let words = format!("resume {} --json", place.run_folder().display());
    assert_found(&place.run(&words).code(0).json());
}

#[test]
fn our_own_failure_in_one_worker_leaves_the_other_alone() {
    // The good end fails for our reasons twice, while the bad end is under way all the time.
    let place = Place::new();
    let twice: Vec<PathBuf> = (0..2).map(|at| place.path(&format!("oom-{at}"))).collect();
    for number in 1..=12 {
        let mut script = String::new();
        if number == 1 {
            for file in &twice {
                script += &format!("at http\n first-time {}\n exit 1\n", file.display());
            }
        }
        if number == 12 {
            script += &format!("at prepare\n await {}\n", twice[1].display());
        }
        script += if number >= 8 { BAD } else { "" };
        place.kernel(&format!("6.12.{number}"), &script);
    }
    let result = place.bisect("6.12.1..6.12.12", "--workers 2").code(0).json();
    assert_found(&result);
    let trials = result["trials"].as_array().unwrap();
    let infra: Vec<&Value> = trials.iter().filter(|trial| trial["verdict"] == "infra").collect();
    assert_eq!(infra.len(), 2);
    assert!(infra.iter().all(|trial| trial["kernel"]["version"] == "6.12.1"));
    let bad_ends = trials.iter().filter(|trial| trial["kernel"]["version"] == "6.12.12").count();
    assert_eq!(bad_ends, 1, "the other trial went on");
    assert_folders(&place, &result);
}

#[test]
fn a_run_that_fails_keeps_the_answers_of_those_under_way() {
    // The good end fails for our own reasons until the run gives up; the bad end answers only then.
    let place = Place::new();
    let last = place.path("last");
    let files: Vec<PathBuf> = (0..2).map(|at| place.path(&format!("oom-{at}"))).collect();
    let mut script = String::new();
    for file in &files {
        script += &format!("at http\n first-time {}\n exit 1\n", file.display());
    }
    script += &format!(
        "at http\n first-time {}\n pid {}\n exit 1\n",
        place.path("oom-2").display(),
        last.display()
    );
    place.kernel("6.12.1", &script);
    for number in 2..=5 {
        place.kernel(&format!("6.12.{number}"), "");
    }
    place.kernel("6.12.6", &format!("at http\n await {}\n reply read-timeout\n", last.display()));
    let ended = place.bisect("6.12.1..6.12.6", "--workers 2").code(69);
    assert!(ended.stderr.contains("kbisect resume"), "{}", ended.stderr);
    let result = ended.json();
    let bad_end = result["trials"].as_array().unwrap().iter().find(|t| t["verdict"] == "bad");
    assert_eq!(bad_end.unwrap()["kernel"]["version"], "6.12.6", "its answer is not lost");
    let words = format!("resume {} --json", place.run_folder().display());
    let result = place.run(&words).code(0).json();
    assert_eq!(result["first_bad"]["version"], "6.12.6");
}

#[test]
fn kernels_are_checked_side_by_side() {
    let place = series(|place, number| {
        let other = match number {
            1 => 2,
            2 => 1,
            _ => return String::new(),
        };
        let here = place.path(&format!("here-{number}"));
        let there = place.path(&format!("here-{other}"));
        format!("at prepare\n pid {}\n await {}\n", here.display(), there.display())
    });
    let words = "check 6.12.1..6.12.12 --scenario smoke --json --workers 2 --crypto-tests";
    let result = place.run(words).code(1).json();
    let trials = result["trials"].as_array().unwrap();
    assert_eq!(trials.len(), 12);
    for (at, trial) in trials.iter().enumerate() {
        let number = at + 1;
        assert_eq!(trial["number"], number);
        assert_eq!(trial["kernel"]["version"], format!("6.12.{number}"));
        assert_eq!(trial["verdict"], if number >= 8 { "bad" } else { "good" });
    }
}

#[test]
fn bad_numbers_of_workers_are_named() {
    let place = Place::series(2, |_| String::new());
    for (value, said) in
        [("0", "no worker tries nothing"), ("many", "no number of workers"), ("999", "too many")]
    {
        for command in ["6.12.1..6.12.2", "check 6.12.1"] {
            let words = format!("{command} --scenario smoke --workers {value}");
            let ended = place.run(&words).code(2);
            assert!(ended.stderr.contains(said), "{words}: {}", ended.stderr);
        }
    }
}
