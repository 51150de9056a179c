//! Saved states in a bisection: what boots, what does not, and what is made of a difference.

use std::collections::BTreeMap;

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

#[test]
fn a_second_run_goes_on_from_states_and_boots_either_side_of_the_change() {
    let place = series();
    let first = place.bisect("6.12.1..6.12.12", "").code(0).json();
    assert_eq!((count(&first, "cold"), count(&first, "restored")), (6, 0), "{:?}", boots(&first));
    let second = place.bisect("6.12.1..6.12.12", "").code(0).json();
    assert_eq!(second["first_bad"]["version"], "6.12.8");
    // As many trials as the search needs: a boot stands for the saved state that it confirms.
    assert_eq!(count(&second, "restored"), 4, "{:?}", boots(&second));
    let superseded = second["superseded"].as_array().unwrap();
    assert_eq!(superseded.len(), 1, "{superseded:?}");
    assert_eq!(
        (&superseded[0]["kernel"]["version"], &superseded[0]["boot"]),
        (&"6.12.7".into(), &"restored".into())
    );
    let cold: BTreeMap<String, String> =
        boots(&second).into_iter().filter(|(_, boot)| boot == "cold").collect();
    assert_eq!(cold.keys().collect::<Vec<_>>(), ["6.12.7", "6.12.8"], "{:?}", boots(&second));
    let statement = second["confidence"]["statement"].as_str().unwrap();
    assert!(statement.contains("a boot showed as well"), "{statement}");
}

#[test]
fn quick_ends_with_the_search_and_cold_boots_always() {
    let place = series();
    // A boot as shipped leaves no state behind.
    for number in 1..=12 {
        place.run(&format!("run 6.12.{number} --scenario smoke"));
    }
    let quick = place.bisect("6.12.1..6.12.12", "--quick").code(0).json();
    assert_eq!((count(&quick, "cold"), count(&quick, "restored")), (0, 6), "{:?}", boots(&quick));
    let statement = quick["confidence"]["statement"].as_str().unwrap();
    assert!(statement.contains("no boot confirms"), "{statement}");
    let cold = place.bisect("6.12.1..6.12.12", "--cold").code(0).json();
    assert_eq!((count(&cold, "cold"), count(&cold, "restored")), (6, 0), "{:?}", boots(&cold));
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
