//! How a bisection ends, for planted culprits.

use serde_json::Value;

use crate::place::{BAD, NO_BOOT, PANIC, Place};

fn versions(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|kernel| kernel["version"].as_str().unwrap()).collect()
}

fn from(first_bad: u32) -> impl Fn(u32) -> String {
    move |number| if number >= first_bad { BAD.to_owned() } else { String::new() }
}

#[test]
fn a_planted_culprit_is_found_wherever_it_is() {
    for first_bad in [2, 7, 12] {
        let place = Place::series(12, from(first_bad));
        let ended = place.bisect("6.12.1..6.12.12", "").code(0);
        let result = ended.json();
        assert_eq!(result["schema"], "kbisect.bisect/1");
        assert_eq!(result["outcome"], "found");
        assert_eq!(result["last_good"]["version"], format!("6.12.{}", first_bad - 1));
        assert_eq!(result["first_bad"]["version"], format!("6.12.{first_bad}"));
        for field in ["flavour", "source", "id"] {
            assert!(result["first_bad"][field].is_string(), "{field}");
        }
        assert_eq!(versions(&result["candidates"]), [format!("6.12.{first_bad}")]);
        assert_eq!(result["symptom"]["kind"], "check-failed");
        assert_eq!(result["symptom"]["title"], "payload: connected, no whole answer in time");
        assert!(result["symptom"]["detail"].as_str().unwrap().contains("body bytes"));
        assert!(result["confidence"].is_object() && result["wall_s"].is_f64());
        // ceil(log2 12) and the two ends, and what confirms the answer.
        let trials = result["trials"].as_array().unwrap();
        assert!(trials.len() <= 6 + 5, "{} trials", trials.len());
        assert_eq!(result["confidence"]["level"], "confirmed");
        assert!(result["confidence"]["probability"].as_f64().unwrap() >= 0.99);
        let run_dir = place.run_folder();
        assert_eq!(result["run_dir"], run_dir.display().to_string());
        let written = std::fs::read_to_string(run_dir.join("result.json")).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), result);
        assert_eq!(written, ended.stdout, "the file is the very document");
        assert!(run_dir.join("report.md").is_file());
        for trial in trials {
            let folder = run_dir.join(trial["directory"].as_str().unwrap());
            assert!(folder.join("candidate/console.log").is_file(), "{}", folder.display());
        }
    }
}

#[test]
fn the_terminal_summary_names_the_culprit() {
    let place = Place::series(4, from(3));
    let ended = place.run("6.12.1..6.12.4 --scenario smoke").code(0);
    assert!(ended.stdout.contains("6.12.2") && ended.stdout.contains("6.12.3"), "{}", ended.stdout);
    assert!(ended.stdout.contains("kbisect run 6.12.3"), "the command to repeat: {}", ended.stdout);
    assert!(ended.stdout.contains("confirmed, 99."), "{}", ended.stdout);
}

#[test]
fn a_fix_is_found_with_the_ends_swapped() {
    let place = Place::series(8, |number| if number < 6 { BAD.to_owned() } else { String::new() });
    let result = place.bisect("6.12.1..6.12.8", "--find-fix").code(0).json();
    assert_eq!(result["outcome"], "found");
    assert_eq!(result["last_bad"]["version"], "6.12.5");
    assert_eq!(result["first_good"]["version"], "6.12.6");
    assert!(result.get("first_bad").is_none_or(Value::is_null));
}

#[test]
fn kernels_that_do_not_boot_beside_the_culprit_leave_a_range() {
    let place = Place::series(8, |number| match number {
        4 | 5 => NO_BOOT.to_owned(),
        6.. => BAD.to_owned(),
        _ => String::new(),
    });
    let result = place.bisect("6.12.1..6.12.8", "").code(1).json();
    assert_eq!(result["outcome"], "range");
    assert_eq!(result["last_good"]["version"], "6.12.3");
    assert_eq!(result["first_bad"]["version"], "6.12.6");
    assert_eq!(versions(&result["candidates"]), ["6.12.4", "6.12.5", "6.12.6"]);
}

#[test]
fn kernels_that_do_not_boot_elsewhere_do_not_hide_the_culprit() {
    let place = Place::series(8, |number| match number {
        4 => NO_BOOT.to_owned(),
        6.. => BAD.to_owned(),
        _ => String::new(),
    });
    let result = place.bisect("6.12.1..6.12.8", "").code(0).json();
    assert_eq!(result["first_bad"]["version"], "6.12.6");
    let tried = result["trials"].as_array().unwrap();
    let skipped = tried.iter().any(|trial| trial["kernel"]["version"] == "6.12.4");
    let expected = if skipped { "found-despite-skips" } else { "found" };
    assert_eq!(result["outcome"], expected);
}

#[test]
fn a_bad_end_that_passes_is_not_reproduced() {
    let place = Place::series(5, |_| String::new());
    let result = place.bisect("6.12.1..6.12.5", "").code(1).json();
    assert_eq!(result["outcome"], "not-reproduced");
    assert_eq!(result["trials"].as_array().unwrap().len(), 2, "nothing is worth more than a boot");
}

#[test]
fn a_good_end_that_fails_is_said() {
    let place = Place::series(5, |_| BAD.to_owned());
    let result = place.bisect("6.12.1..6.12.5", "").code(1).json();
    assert_eq!(result["outcome"], "good-fails");
}

#[test]
fn an_end_that_does_not_boot_gives_no_answer() {
    let place =
        Place::series(5, |number| if number == 5 { NO_BOOT.to_owned() } else { String::new() });
    let result = place.bisect("6.12.1..6.12.5", "").code(1).json();
    assert_eq!(result["outcome"], "aborted");
    assert!(result["reason"].as_str().unwrap().contains("bad end"), "{}", result["reason"]);
}

#[test]
fn another_symptom_does_not_move_the_search() {
    let place = Place::series(9, |number| match number {
        5 => PANIC.to_owned(),
        7.. => BAD.to_owned(),
        _ => String::new(),
    });
    let result = place.bisect("6.12.1..6.12.9", "").code(0).json();
    assert_eq!(result["first_bad"]["version"], "6.12.7");
    let trials = result["trials"].as_array().unwrap();
    let other = trials.iter().find(|trial| trial["kernel"]["version"] == "6.12.5").unwrap();
    assert_eq!((&other["verdict"], &other["symptom"]["kind"]), (&"bad".into(), &"panic".into()));
    let reason = other["reason"].as_str().unwrap();
    assert!(reason.contains("other symptom"), "{reason}");
    assert_eq!(other["no_answer"]["why"], "other-symptom");
    assert_eq!(result["outcome"], "found-despite-skips");
    // The journal keeps the record as the trial left it, and what it was taken for beside it.
    let journal = place.run_folder().join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    let is_other = |line: &Value| {
        line["event"] == "trial-ended" && line["record"]["kernel"]["version"] == "6.12.5"
    };
    let mut lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = lines.iter_mut().find(|line| is_other(line)).unwrap();
    assert_eq!(
        (&line["record"]["reason"], &line["record"]["matching"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(line["taken"]["no_answer"], other["no_answer"]);
    // Before, the record itself was changed; such a journal is read alike.
    line["record"]["reason"] = other["reason"].clone();
    line["record"]["matching"] = line["taken"]["matching"].take();
    line.as_object_mut().unwrap().remove("taken");
    let old: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(&journal, old).unwrap();
    let words = format!("report {} --format json", place.run_folder().display());
    let again = place.as_printed(&words).code(0).json();
    assert_eq!(again["trials"], result["trials"]);
    assert_eq!(again["series"], result["series"]);
}

#[test]
fn a_panic_with_other_words_and_the_same_stack_is_the_same() {
    // The blamed function differs, the functions around it do not.
    let place = Place::series(6, |number| match number {
        3 => "at http\n print [ 1.0] nothing\n panic nft_fake_eval\n exit 0\n".to_owned(),
        4.. => PANIC.to_owned(),
        _ => String::new(),
    });
    let result = place.bisect("6.12.1..6.12.6", "").code(0).json();
    assert_eq!(result["symptom"]["kind"], "panic");
    assert_eq!(result["first_bad"]["version"], "6.12.3");
}

#[test]
fn an_end_that_is_taken_for_granted_is_not_tried() {
    let place = Place::series(8, from(4));
    let result = place.bisect("6.12.1..6.12.8", "--skip-endpoint good").code(0).json();
    assert_eq!(result["first_bad"]["version"], "6.12.4");
    assert!(!place.begun().contains(&"6.12.1".to_owned()), "{:?}", place.begun());
}

#[test]
fn a_range_across_series_is_warned_about() {
    let place = Place::series(3, |_| String::new());
    place.kernel("6.16.1", BAD);
    let result = place.bisect("6.12.1..6.16.1", "").code(0).json();
    assert_eq!(result["first_bad"]["version"], "6.16.1");
    let warnings = result["warnings"].to_string();
    assert!(warnings.contains("ordered, not history"), "{warnings}");
}

#[test]
fn a_dry_run_starts_nothing() {
    let place = Place::series(3, from(2));
    let plan = place.bisect("6.12.1..6.12.3", "--dry-run").code(0).json();
    assert_eq!(plan["schema"], "kbisect.plan/2");
    assert!(!place.path("results").exists() && !place.path("peer").exists());
    // A root image that is not there is not built for it.
    std::fs::remove_dir_all(place.path("cache/images")).unwrap();
    let without = place.bisect("6.12.1..6.12.3", "--dry-run").code(0).json();
    assert_eq!(without["environment"]["image"], plan["environment"]["image"]);
    assert!(!place.path("cache/images").exists());
}

/// Guards against blaming kernels for a rule set that no kernel takes.
#[test]
fn rules_that_the_good_end_refuses_are_the_scenarios_fault() {
    let said = "iptables-restore: No chain/target/match by that name";
    let refuse = format!("at exec iptables-restore\n reply status 1 {said}\n");
    let place = Place::series(4, |_| refuse.clone());
    let ended = place.run("6.12.1..6.12.4 --scenario connlimit --json").code(1);
    let result = ended.json();
    assert_eq!(result["outcome"], "good-fails");
    assert_eq!(result["symptom"]["kind"], "rules-refused");
    let reason = result["reason"].as_str().unwrap();
    assert!(reason.contains("the scenario's fault") && reason.contains(said), "{reason}");
    let report = std::fs::read_to_string(place.run_folder().join("report.md")).unwrap();
    assert!(report.contains("the scenario's fault"), "{report}");
}
