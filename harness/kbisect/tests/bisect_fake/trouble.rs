//! Our own failures and the host's: retried, then told, never taken for an answer.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::place::{BAD, Ended, Place};

/// A QEMU that says its version and then fails.
fn broken(place: &Place) -> PathBuf {
    let path = place.path("broken-qemu");
    let script = "#!/bin/sh\n[ \"$1\" = --version ] && { echo QEMU emulator version 10.0.2; exit 0; }\n\
                  echo 'cannot allocate memory' >&2\nexit 1\n";
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_trial_that_failed_once_for_our_own_reasons_is_tried_again() {
    let place = Place::new();
    for number in 1..=6 {
        let mut script = String::new();
        if number == 6 {
            let once = place.path("once");
            script += &format!("at http\n first-time {}\n stderr oom\n exit 1\n", once.display());
        }
        if number >= 3 {
            script += BAD;
        }
        place.kernel(&format!("6.12.{number}"), &script);
    }
    let result = place.bisect("6.12.1..6.12.6", "").code(0).json();
    assert_eq!(result["first_bad"]["version"], "6.12.3");
    assert_eq!(place.begun()[..2], ["6.12.6", "6.12.6"]);
    assert_eq!(result["trials"][0]["verdict"], "infra");
    assert!(result["trials"][0]["reason"].as_str().unwrap().contains("oom"));
}

#[test]
fn a_host_that_fails_ends_the_run_and_can_be_resumed() {
    let place = Place::series(6, |number| if number >= 3 { BAD.to_owned() } else { String::new() });
    let words = "6.12.1..6.12.6 --scenario smoke --json";
    let ended = Ended::of(place.command_with(words, &broken(&place)).output().unwrap()).code(69);
    assert!(ended.stderr.contains("cannot allocate memory"), "{}", ended.stderr);
    assert!(ended.stderr.contains("kbisect resume"), "{}", ended.stderr);
    assert_eq!(ended.json()["outcome"], "aborted");
    assert!(ended.json()["reason"].as_str().unwrap().contains("cannot allocate memory"));
    assert_eq!(place.begun().len(), 3, "tried three times");
    let folder = place.run_folder();
    let result = place.run(&format!("resume {} --json", folder.display())).code(0).json();
    assert_eq!(result["first_bad"]["version"], "6.12.3");
}

#[test]
fn a_peer_that_does_not_come_up_is_no_answer() {
    let place = Place::series(3, |_| BAD.to_owned());
    place.kernel("6.1.101", "at start\n panic mount_root\n exit 0\n");
    let ended = place.bisect("6.12.1..6.12.3", "").code(69);
    assert!(ended.stderr.contains("peer machine did not come up"), "{}", ended.stderr);
}

#[test]
fn qemu_that_is_missing_or_too_old_is_told_before_anything_begins() {
    let place = Place::series(2, |_| String::new());
    let words = "6.12.1..6.12.2 --scenario smoke --json";
    let missing = place.path("nowhere");
    let ended = Ended::of(place.command_with(words, &missing).output().unwrap()).code(69);
    assert!(ended.stderr.contains("nowhere") && ended.stderr.contains("hint:"), "{}", ended.stderr);
    let old = place.path("old-qemu");
    std::fs::write(&old, "#!/bin/sh\necho QEMU emulator version 5.2.0\n").unwrap();
    std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o755)).unwrap();
    let ended = Ended::of(place.command_with(words, &old).output().unwrap()).code(69);
    assert!(ended.stderr.contains("5.2.0") && ended.stderr.contains("7.2"), "{}", ended.stderr);
    assert!(!place.path("results").exists(), "nothing half-written is left");
}

#[test]
fn results_that_cannot_be_written_are_told() {
    let place = Place::series(2, |_| String::new());
    std::fs::write(place.path("file"), b"in the way").unwrap();
    let ended = place.run("6.12.1..6.12.2 --scenario smoke --json --results file/results").code(69);
    assert!(ended.stderr.contains("file/results"), "{}", ended.stderr);
}

#[test]
fn a_journal_that_is_damaged_in_the_middle_is_not_resumed() {
    let place = Place::series(4, |number| if number >= 3 { BAD.to_owned() } else { String::new() });
    place.bisect("6.12.1..6.12.4", "").code(0);
    let folder = place.run_folder();
    let journal = folder.join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[3] = "{\"at_ms\": 5, \"event\": \"trial-en";
    let damaged = format!("{}\n", lines.join("\n"));
    std::fs::write(&journal, &damaged).unwrap();
    let ended = place.run(&format!("resume {} --json", folder.display())).code(69);
    assert!(ended.stderr.contains("journal"), "{}", ended.stderr);
    assert_eq!(std::fs::read_to_string(&journal).unwrap(), damaged, "it is left as it is");
}
