//! Trials in which our own side was not alive: no verdict, then the right one.

use serde_json::Value;

use crate::place::{BAD, Place};

/// The first attempt of a kernel is disturbed by what `does` says, at an event of the script.
fn once(place: &Place, does: &str) -> String {
    let once = place.path("once");
    does.replace("ONCE", &format!("first-time {}", once.display()))
        .replace("PEER", &place.path("peer").display().to_string())
}

/// A series that breaks at its third kernel, whose good end is disturbed once.
fn bisect(does: &str) -> Value {
    let place = Place::new();
    for number in 1..=5 {
        let mut script = if number >= 3 { BAD.to_owned() } else { String::new() };
        if number == 1 {
            script = once(&place, does);
        }
        place.kernel(&format!("6.12.{number}"), &script);
    }
    place.bisect("6.12.1..6.12.5", "").code(0).json()
}

#[track_caller]
fn disturbed_once(does: &str, cause: Option<&str>, why: &str) {
    let result = bisect(does);
    assert_eq!(result["first_bad"]["version"], "6.12.3", "{result}");
    let trials = result["trials"].as_array().unwrap();
    let of_good_end: Vec<&Value> =
        trials.iter().filter(|trial| trial["kernel"]["version"] == "6.12.1").collect();
    let words: Vec<&str> =
        of_good_end.iter().map(|trial| trial["verdict"].as_str().unwrap()).collect();
    assert_eq!(words, ["infra", "good"], "{does}");
    let reason = of_good_end[0]["reason"].as_str().unwrap();
    assert!(reason.contains(why), "{does}: {reason}");
    let decided = of_good_end[0]["disturbed"]["decided"].as_str();
    assert_eq!(decided, cause, "{does}: {}", of_good_end[0]["disturbed"]);
}

/// kbisect was stopped for 9 s while checks ran, and called replies lost.
#[test]
fn a_check_that_fails_while_kbisect_is_stopped_is_repeated() {
    disturbed_once(
        "at http\n ONCE\n stop-harness 2000\n reply connect-timeout\n",
        Some("harness-late"),
        "kbisect itself did not run",
    );
}

/// Both QEMUs were stopped in set-up, and the kernel told of a stall.
#[test]
fn a_stall_of_a_machine_that_was_stopped_is_no_hang() {
    disturbed_once(
        "at exec\n ONCE\n stop-self 4000\n lockup sha256_transform_blocks\n",
        Some("candidate-stopped"),
        "the candidate's QEMU was stopped",
    );
}

/// The peer's QEMU was killed while a check of the candidate ran: requests never left, it was said.
#[test]
fn a_peer_that_dies_while_a_check_runs_ends_the_trial_at_once() {
    disturbed_once(
        "at http\n ONCE\n kill PEER\n reply nothing\n",
        None,
        "the peer machine failed: QEMU ended by itself",
    );
}

#[test]
fn a_check_that_fails_while_its_machine_is_stopped_is_repeated() {
    disturbed_once(
        "at http\n ONCE\n stop-self 2000\n reply read-timeout\n",
        Some("candidate-stopped"),
        "the candidate's QEMU was stopped",
    );
}

#[test]
fn what_passed_while_kbisect_was_stopped_passed() {
    let place = Place::new();
    place.kernel("6.12.1", &once(&place, "at http\n ONCE\n stop-harness 2000\n"));
    let result = place.run("run 6.12.1 --scenario smoke --json").code(0).json();
    assert_eq!(result["verdict"], "good");
    assert_eq!(result["disturbed"]["gaps"][0]["cause"], "harness-late");
    assert_eq!(result["disturbed"]["decided"], Value::Null);
}

#[test]
fn a_crash_stands_whatever_we_did() {
    let place = Place::new();
    let does = "at http\n ONCE\n stop-harness 2000\n oops nft_fake_eval\n reply nothing\n";
    place.kernel("6.12.1", &once(&place, does));
    let result = place.run("run 6.12.1 --scenario smoke --json").code(1).json();
    assert_eq!(result["symptom"]["kind"], "oops");
}

/// A host that never has a processor for kbisect is named as such, with what keeps it busy.
#[test]
fn a_host_without_processors_is_told_and_what_to_do() {
    let place = Place::new();
    let never = "at http\n stop-harness 2000\n reply connect-timeout\n";
    place.kernel("6.12.1", never);
    place.kernel("6.12.2", never);
    let ended = place.bisect("6.12.1..6.12.2", "").code(69);
    assert!(ended.stderr.contains("too few processors"), "{}", ended.stderr);
    assert!(ended.stderr.contains("--workers 1"), "{}", ended.stderr);
}
