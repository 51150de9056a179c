//! A bad end that fails in several ways, and symptoms that are named.

use std::fmt::Write as _;

use serde_json::Value;

use crate::place::{Ended, PANIC, Place};

const OTHER_BODY: &str = "at http\n reply other-body\n";
/// The kind of what [`OTHER_BODY`] leads to.
const FAILED: &str = "check-failed";

/// A kernel that ends its runs as in this pattern, `p` a panic, `o` another body, `.` a pass; all
/// later runs end as `last` says.
fn ends(place: &Place, version: &str, runs: &str, last: &str) {
    let mut script = String::new();
    for (at, run) in runs.chars().enumerate() {
        let used = place.path(&format!("{version}-{at}"));
        let does = match run {
            'p' => PANIC.strip_prefix("at http\n").unwrap(),
            'o' => " reply other-body\n",
            _ => " reply body 65536\n",
        };
        write!(script, "at http\n first-time {}\n{does}", used.display()).unwrap();
    }
    place.kernel(version, &(script + last));
}

/// Kernels 1 to 8; those from 5 on panic, those from 3 on answer wrongly unless they panic, and the
/// last one does as the pattern says before it goes on with `last`.
fn place(runs: &str, last: &str) -> Place {
    let place = Place::new();
    for number in 1..=7 {
        let script = match (number, last) {
            (3.., OTHER_BODY) => OTHER_BODY,
            (5.., _) => PANIC,
            _ => "",
        };
        place.kernel(&format!("6.12.{number}"), script);
    }
    ends(&place, "6.12.8", runs, last);
    place
}

fn runs_of(result: &Value) -> Vec<u64> {
    let seen = result["symptom_choice"]["seen"].as_array().unwrap();
    seen.iter().map(|count| count["runs"].as_u64().unwrap()).collect()
}

#[test]
fn the_most_frequent_symptom_is_looked_for_when_nobody_can_be_asked() {
    // The first failure is the rarer one: it must not decide.
    let place = place("opop", PANIC);
    let ended = place.bisect("6.12.1..6.12.8", "--flaky").code(0);
    let result = ended.json();
    assert_eq!(result["symptom"]["kind"], "panic");
    assert_eq!(result["first_bad"]["version"], "6.12.5");
    assert_eq!(result["symptom_choice"]["by"], "most-frequent");
    assert_eq!(runs_of(&result), [3, 2]);
    assert!(ended.stderr.contains("fails in several ways"), "{}", ended.stderr);
    assert!(ended.stderr.contains("--symptom"), "{}", ended.stderr);
    let tally = &result["series"][7]["belief"]["tally"];
    assert_eq!((tally["others"].as_u64(), tally["passes"].as_u64()), (Some(2), Some(0)), "{tally}");
    // The first run ended with what is not looked for, as was found out later.
    let reason = result["trials"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("other symptom than `panic"), "{reason}");
    for name in ["report.md", "report.html"] {
        let report = std::fs::read_to_string(place.run_folder().join(name)).unwrap();
        assert!(report.contains("fails in several ways"), "{name}");
    }
}

#[test]
fn a_named_symptom_is_looked_for_though_another_is_seen_first() {
    for name in [FAILED, "2"] {
        let place = place("ppoop", OTHER_BODY);
        let options = format!("--flaky --symptom {name}");
        let result = place.bisect("6.12.1..6.12.8", &options).code(0).json();
        assert_eq!(result["symptom"]["kind"], FAILED, "{name}");
        assert_eq!(result["first_bad"]["version"], "6.12.3", "{name}");
        assert_eq!(result["symptom_choice"]["by"], "named", "{name}");
    }
}

#[test]
fn halving_refuses_another_symptom_than_the_one_named() {
    let place = place("", PANIC);
    let ended = place.bisect("6.12.1..6.12.8", "--symptom oops").code(1);
    let result = ended.json();
    assert_eq!(result["outcome"], "not-reproduced");
    let reason = result["reason"].as_str().unwrap();
    assert!(reason.contains("does not show `oops`, which was named"), "{reason}");
    assert!(reason.contains("panic: ") && reason.contains("1 run"), "{reason}");
    assert_eq!(place.begun().len(), 1, "nothing else is tried");
    assert!(result.get("first_bad").is_none() && result["candidates"] == serde_json::json!([]));
    // The one that shows is looked for, and called as it is.
    let place = self::place("", PANIC);
    let result = place.bisect("6.12.1..6.12.8", "--symptom fake_eval").code(0).json();
    assert_eq!(result["first_bad"]["version"], "6.12.5");
    assert_eq!(result["symptom_choice"]["by"], "named");
}

#[test]
fn the_search_under_doubt_gives_up_on_a_symptom_that_does_not_show() {
    for (name, trials, said) in
        [("lost-ingress", 6, "does not show `lost-ingress`"), ("3", 3, "symptom 3 was named")]
    {
        let place = place("", PANIC);
        let options = format!("--flaky --symptom {name}");
        let result = place.bisect("6.12.1..6.12.8", &options).code(1).json();
        assert_eq!(result["outcome"], "not-reproduced", "{name}: {}", result["reason"]);
        let reason = result["reason"].as_str().unwrap();
        assert!(reason.contains(said), "{reason}");
        assert_eq!(place.begun().len(), trials, "{name}");
        assert!(result.get("first_bad").is_none());
        let again = place.run(&format!("resume {} --json", place.run_folder().display())).code(1);
        assert_eq!(again.json()["reason"], result["reason"], "it is over");
    }
}

#[test]
fn a_number_needs_a_list() {
    let place = Place::series(2, |_| String::new());
    for options in ["--symptom 2", "--flaky --skip-endpoint bad --symptom 1"] {
        let words = format!("6.12.1..6.12.2 --scenario smoke {options}");
        let ended = place.run(&words).code(2);
        assert!(ended.stderr.contains("no list"), "{}", ended.stderr);
    }
    for (name, said) in [("0", "number 1"), ("", "no symptom")] {
        let mut command = place.command("6.12.1..6.12.2 --scenario smoke");
        let ended = Ended::of(command.args(["--symptom", name]).output().unwrap()).code(2);
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
}

/// The choice is an event of the journal; a run that was killed right before makes the same again.
#[test]
fn a_choice_survives_an_interruption() {
    let place = place("opop", PANIC);
    let whole = place.bisect("6.12.1..6.12.8", "--flaky").code(0).json();
    let folder = place.run_folder();
    let journal = folder.join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    let chosen = text.lines().position(|line| line.contains("\"symptom-chosen\"")).unwrap();
    for lines in [chosen, chosen + 1] {
        let cut: Vec<&str> = text.lines().take(lines).collect();
        std::fs::write(&journal, format!("{}\n", cut.join("\n"))).unwrap();
        let words = format!("resume {} --json", folder.display());
        let result = place.run(&words).code(0).json();
        assert_eq!(result["symptom_choice"], whole["symptom_choice"], "{lines} lines");
        assert_eq!(result["first_bad"], whole["first_bad"], "{lines} lines");
        let text = std::fs::read_to_string(&journal).unwrap();
        assert_eq!(text.matches("\"symptom-chosen\"").count(), 1, "{lines} lines");
    }
}
