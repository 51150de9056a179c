//! `--reuse`: trials of earlier runs in place of new ones.

use serde_json::Value;

use crate::place::{BAD, Place};

fn reused(result: &Value) -> Vec<bool> {
    let trials = result["trials"].as_array().unwrap().iter();
    trials.map(|trial| trial["reused"].is_object()).collect()
}

#[test]
fn what_an_earlier_run_tried_is_not_tried_again() {
    let place = Place::series(3, |number| if number == 3 { BAD } else { "" }.to_owned());
    let check = "check 6.12.1 6.12.2 --scenario smoke --json";
    let first = place.run(check).code(0).json();
    assert_eq!(reused(&first), [false, false]);
    // Not without being asked for.
    assert_eq!(reused(&place.run(check).code(0).json()), [false, false]);
    let again = place.run(&format!("{check} --reuse")).code(0);
    let result = again.json();
    crate::gate::fits(&result);
    assert_eq!(reused(&result), [true, true]);
    assert!(again.stderr.contains("--reuse"), "{}", again.stderr);
    let folder = std::path::Path::new(result["run_dir"].as_str().unwrap());
    for trial in result["trials"].as_array().unwrap() {
        let directory = folder.join(trial["directory"].as_str().unwrap());
        assert!(directory.join("candidate/console.log").is_file(), "its files are here too");
        assert!(trial["notes"].to_string().contains("not made again"), "{}", trial["notes"]);
    }
    let report = std::fs::read_to_string(folder.join("report.md")).unwrap();
    assert!(report.contains("2 trials were not made in this run"), "{report}");
    // A kernel that no run tried is tried, and one that comes from elsewhere is not a trial of one's own.
    let more = place.run("check 6.12.2 6.12.3 --scenario smoke --json --reuse").code(1).json();
    assert_eq!(reused(&more), [true, false, false]);
}

#[test]
fn a_bisection_takes_what_a_check_tried_and_boots_what_has_to_be_confirmed() {
    let place = Place::series(4, |number| if number >= 3 { BAD } else { "" }.to_owned());
    place.run("check 6.12.1 6.12.4 --scenario smoke").code(1);
    let ended = place.bisect("6.12.1..6.12.4", "--reuse").code(0);
    let result = ended.json();
    assert_eq!(result["first_bad"]["version"], "6.12.3");
    let flags = reused(&result);
    assert_eq!(flags.iter().filter(|reused| **reused).count(), 2, "{flags:?}");
    assert!(
        result["warnings"].to_string().contains("those of earlier runs"),
        "{}",
        result["warnings"]
    );
    // Each of them stands for one trial.
    let runs =
        result["trials"].as_array().unwrap().iter().filter_map(|trial| trial["reused"].as_object());
    let numbers: std::collections::BTreeSet<String> =
        runs.map(|reused| format!("{reused:?}")).collect();
    assert_eq!(numbers.len(), 2, "{numbers:?}");
}

#[test]
fn another_scenario_or_another_way_to_run_is_another_input() {
    let place = Place::series(1, |_| String::new());
    let folder = place.path("mine");
    std::fs::create_dir(&folder).unwrap();
    let text = |port: u32| {
        format!(
            "schema = \"kbisect.scenario/1\"\nsummary = \"x\"\n[nodes.app]\nkernel = \"candidate\"\n\
             [[checks]]\nname = \"local\"\nnode = \"app\"\ncommand = {{ run = \"test {port}\" }}\n"
        )
    };
    std::fs::write(folder.join("scenario.toml"), text(1)).unwrap();
    let check = "check 6.12.1 --scenario ./mine --json --reuse";
    assert_eq!(reused(&place.run(check).code(0).json()), [false]);
    assert_eq!(reused(&place.run(check).code(0).json()), [true]);
    assert_eq!(reused(&place.run(&format!("{check} --placement single")).code(0).json()), [false]);
    std::fs::write(folder.join("scenario.toml"), text(2)).unwrap();
    assert_eq!(reused(&place.run(check).code(0).json()), [false]);
}
