//! Saved states in a bisection: what boots, what does not, and what is made of a difference.

use serde_json::Value;

use crate::place::{BAD, Place};

/// What the check of the scenario `smoke` sees when a guest loses packets only after it was restored.
const BAD_RESTORED: &str = "at http\n only-restored\n reply read-timeout\n";

fn series() -> Place {
    Place::series(12, |number| if number >= 8 { BAD.to_owned() } else { String::new() })
}

/// Versions and how they came up, trial by trial.
fn boots(result: &Value) -> Vec<(String, String)> {
    let of = |trial: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        (text(&trial["kernel"]["version"]), text(&trial["boot"]))
    };
    result["trials"].as_array().unwrap().iter().map(of).collect()
}

fn count(result: &Value, kind: &str) -> usize {
    boots(result).iter().filter(|(_, boot)| boot == kind).count()
}

/// How the trials of a version came up.
fn of(result: &Value, version: &str) -> Vec<String> {
    boots(result).into_iter().filter(|(of, _)| of == version).map(|(_, boot)| boot).collect()
}

#[test]
fn a_second_run_goes_on_from_states_and_boots_either_side_of_the_change() {
    let place = series();
    let first = place.bisect("6.12.1..6.12.12", "").code(0).json();
    // Each version boots once, and either side once more.
    assert_eq!(count(&first, "cold"), 6 + 2, "{:?}", boots(&first));
    assert_eq!(of(&first, "6.12.8"), ["cold", "cold", "restored"], "{:?}", boots(&first));
    let second = place.bisect("6.12.1..6.12.12", "").code(0).json();
    assert_eq!(second["first_bad"]["version"], "6.12.8");
    assert_eq!(second["confidence"]["level"], "confirmed");
    assert_eq!(count(&second, "cold"), 2, "{:?}", boots(&second));
    for side in ["6.12.7", "6.12.8"] {
        assert_eq!(of(&second, side), ["restored", "cold", "restored"], "{:?}", boots(&second));
    }
    assert_eq!(second["trials"].as_array().unwrap().len(), 10);
    let statement = second["confidence"]["statement"].as_str().unwrap();
    assert!(statement.contains("6.12.8 failed in 3 of 3 runs (1 booted)"), "{statement}");
    // Runs of one boot have its name in common.
    let ids = |version: &str| {
        let trials = second["trials"].as_array().unwrap().iter();
        let own = trials.filter(|trial| trial["kernel"]["version"] == version);
        own.map(|trial| trial["boot_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let ids = ids("6.12.8");
    assert!(ids[0] == ids[2] && ids[0] != ids[1], "{ids:?}");
}

#[test]
fn quick_ends_with_the_search_and_cold_boots_always() {
    let place = series();
    place.bisect("6.12.1..6.12.12", "").code(0);
    let quick = place.bisect("6.12.1..6.12.12", "--quick").code(0).json();
    assert_eq!((count(&quick, "cold"), count(&quick, "restored")), (0, 6), "{:?}", boots(&quick));
    assert_eq!(quick["confidence"]["level"], "unconfirmed");
    let statement = quick["confidence"]["statement"].as_str().unwrap();
    assert!(statement.contains("no boot confirms"), "{statement}");
    let cold = place.bisect("6.12.1..6.12.12", "--cold").code(0).json();
    assert_eq!((count(&cold, "cold"), count(&cold, "restored")), (10, 0), "{:?}", boots(&cold));
}

#[test]
fn no_answer_about_an_end_rests_on_a_saved_state_alone() {
    let place = Place::series(5, |_| String::new());
    for _ in 0..2 {
        place.run("run 6.12.5 --scenario smoke").code(0);
    }
    let result = place.bisect("6.12.1..6.12.5", "").code(1).json();
    assert_eq!(result["outcome"], "not-reproduced");
    assert_eq!(of(&result, "6.12.5"), ["restored", "cold"]);
}

#[test]
fn a_regression_of_the_gate_rests_on_a_boot() {
    let place = Place::series(2, |number| [BAD, BAD_RESTORED][number as usize - 1].to_owned());
    place.run("run 6.12.1 --scenario smoke").code(1);
    place.run("run 6.12.2 --scenario smoke").code(0);
    let result = place.run("check 6.12.1 6.12.2 --scenario smoke --json").code(1).json();
    assert_eq!(of(&result, "6.12.1"), ["restored", "cold"]);
    assert_eq!(of(&result, "6.12.2"), ["restored", "cold", "cold", "cold"]);
    let standing = |at: usize| result["cells"][at]["standing"].as_str().unwrap().to_owned();
    assert_eq!((standing(0), standing(1)), ("regressed".to_owned(), "good".to_owned()));
    let reason = result["cells"][1]["reason"].as_str().unwrap();
    assert!(reason.contains("passed in 3 boots"), "{reason}");
}

#[test]
fn a_failure_of_restored_guests_alone_is_nobodys_fault() {
    // 6.12.4 to 6.12.7 work when they boot.
    let place = Place::series(12, |number| match number {
        8.. => BAD.to_owned(),
        4..8 => BAD_RESTORED.to_owned(),
        _ => String::new(),
    });
    for number in 1..=12 {
        place.run(&format!("run 6.12.{number} --scenario smoke"));
    }
    let ended = place.bisect("6.12.1..6.12.12", "").code(0);
    let result = ended.json();
    assert_eq!(result["first_bad"]["version"], "6.12.8", "{:?}", boots(&result));
    assert!(ended.stderr.contains("from now on they boot"), "{}", ended.stderr);
    let warnings = result["warnings"].to_string();
    assert!(warnings.contains("saved state"), "{warnings}");
}

#[test]
fn under_doubt_either_side_is_booted_and_a_difference_is_noticed() {
    let place = series();
    for number in 1..=12 {
        place.run(&format!("run 6.12.{number} --scenario smoke"));
    }
    let result = place.bisect("6.12.1..6.12.12", "--flaky").code(0).json();
    assert_eq!(result["first_bad"]["version"], "6.12.8");
    for side in ["6.12.7", "6.12.8"] {
        assert!(boots(&result).contains(&(side.to_owned(), "cold".to_owned())), "{side}");
    }
    assert!(count(&result, "restored") > count(&result, "cold"), "{:?}", boots(&result));

    // Restored guests fail from 6.12.4 on, booted ones from 6.12.8 on.
    let place = Place::series(12, |number| match number {
        8.. => BAD.to_owned(),
        4..8 => BAD_RESTORED.to_owned(),
        _ => String::new(),
    });
    for number in 1..=12 {
        place.run(&format!("run 6.12.{number} --scenario smoke"));
    }
    let ended = place.bisect("6.12.1..6.12.12", "--flaky").code(0);
    let result = ended.json();
    assert_eq!(result["first_bad"]["version"], "6.12.8", "{:?}", boots(&result));
    assert!(ended.stderr.contains("from now on they boot"), "{}", ended.stderr);
}

#[test]
fn a_resumed_run_boots_if_it_was_told_to() {
    let place = series();
    place.bisect("6.12.1..6.12.12", "").code(0);
    let plan = place.run("6.12.1..6.12.12 --scenario smoke --cold --dry-run --json").code(0).json();
    assert_eq!(plan["options"]["cold"], true, "{plan}");
}
