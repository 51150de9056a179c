//! Runs of one kernel, `run` and `scenario selftest`: killed, resumed, watched, side by side.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::place::{BAD, Place, pid_in};

/// A place whose kernel 6.12.1 stops the first time that it comes to `event`.
fn held_at(event: &str, script: &str) -> Place {
    let place = Place::new();
    let (once, pid) = (place.path("once"), place.path("held"));
    let hold = format!(
        "at {event}\n first-time {}\n pid {}\n mute\n{script}",
        once.display(),
        pid.display()
    );
    place.kernel("6.12.1", &hold);
    place
}

/// Starts a command, kills it when the kernel stopped, and tells where its run is.
fn killed(place: &Place, words: &str) -> std::path::PathBuf {
    let mut run = place.start(words);
    pid_in(&place.path("held"));
    let pid = Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
    kill_process(pid, Signal::KILL).unwrap();
    run.wait().unwrap();
    place.run_folder()
}

fn events(folder: &Path, event: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("journal.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["event"] == event).collect()
}

#[test]
fn a_single_trial_is_resumed_told_again_and_watched() {
    let place = held_at("http", BAD);
    let folder = killed(&place, "run 6.12.1 --scenario smoke --json");
    let name = folder.display();
    let none = place.as_printed(&format!("report {name}")).code(69);
    assert!(none.stderr.contains("has no answer yet"), "{}", none.stderr);
    assert!(place.as_printed("").code(0).stdout.contains("kbisect resume "));
    let refused = place.run(&format!("resume {name} --budget 3")).code(2);
    assert!(refused.stderr.contains("--budget"), "{}", refused.stderr);

    let result = place.run(&format!("resume {name} --json")).code(1).json();
    assert_eq!(
        (&result["schema"], &result["verdict"]),
        (&"kbisect.run/1".into(), &"bad".into()),
        "{result}"
    );
    assert_eq!(events(&folder, "trial-ended").len(), 1);
    assert_eq!(std::fs::read_dir(folder.join("trials")).unwrap().count(), 1);
    let written = std::fs::read_to_string(folder.join("result.json")).unwrap();
    let again = place.run(&format!("resume {name} --json")).code(1);
    assert_eq!(again.stdout, written, "nothing is left to do but to tell it");
    assert_eq!(place.as_printed(&format!("watch {name} --json")).code(1).stdout, written);
    let report = std::fs::read_to_string(folder.join("report.md")).unwrap();
    assert_eq!(place.as_printed(&format!("report {name}")).code(0).stdout, report);
}

#[test]
fn what_failed_for_our_own_reasons_is_no_verdict_on_a_commit() {
    let place = Place::new();
    place.kernel("6.12.1", "at http\n stderr oom\n exit 1\n");
    let ended = place.run("run 6.12.1 --scenario smoke --json").code(201);
    assert_eq!(ended.json()["verdict"], "infra");
}

/// What must be the same, however the trials were made.
fn told(result: &Value) -> Value {
    let variations = result["variations"].as_array().unwrap().iter();
    let variations: Vec<Value> =
        variations.map(|it| json!([it["name"], it["verdict"], it["effect"]])).collect();
    json!([variations, result["control"]["checks"], result["problems"], result["passed"]])
}

const FLAVOURED: &str = r#"
schema = "kbisect.scenario/1"
summary = "an application"
[nodes.app]
kernel = "candidate"
[[setup]]
name = "rules"
node = "app"
run = "load-the-rules"
[[services]]
name = "application"
node = "app"
command = ["the-application"]
ready = "started"
[[checks]]
name = "local"
node = "app"
command = { run = "true" }
[flavours.stopped]
summary = "the application is stopped"
without = ["application"]
[flavours.bare]
summary = "without rules"
without = ["rules"]
"#;

#[test]
fn a_self_test_is_resumed_and_its_trials_run_side_by_side() {
    let mine = |place: &Place| {
        let folder = place.path("mine");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("scenario.toml"), FLAVOURED).unwrap();
    };
    let place = Place::new();
    mine(&place);
    place.kernel("6.12.1", "");
    let whole = "scenario selftest ./mine --kernel 6.12.1 --no-faults --json --workers";
    let one = place.run(&format!("{whole} 1")).code(0).json();
    let two = place.run(&format!("{whole} 2")).code(0).json();
    assert_eq!(told(&one), told(&two));
    let by_two = events(Path::new(two["run_dir"].as_str().unwrap()), "trial-began");
    let workers: Vec<&Value> = by_two.iter().map(|began| &began["worker"]).collect();
    assert!(workers.contains(&&json!(1)) && workers.contains(&&json!(2)), "{workers:?}");

    let place = held_at("serve the-application", "");
    mine(&place);
    let folder = killed(&place, &format!("{whole} 1"));
    let name = folder.display();
    let resumed = place.run(&format!("resume {name} --json")).code(0);
    assert_eq!(told(&resumed.json()), told(&one));
    let (began, ended) = (events(&folder, "trial-began"), events(&folder, "trial-ended"));
    // As it is, two flavours, and the control; the one that was cut off began twice.
    assert_eq!((began.len(), ended.len()), (5, 4));
    assert_eq!(ended[3]["injected"], json!({ "fault": "wires-cut" }));
    let again = place.run(&format!("resume {name} --json")).code(0);
    assert_eq!(again.stdout, resumed.stdout);
    assert_eq!(place.as_printed(&format!("watch {name} --json")).code(0).stdout, resumed.stdout);
}

#[test]
fn machines_of_their_own_are_not_put_on_one() {
    let place = Place::new();
    place.kernel("6.12.1", "");
    for command in
        ["check 6.12.1", "6.12.1..6.12.1", "scenario selftest failover-tls --kernel 6.12.1"]
    {
        let scenario = if command.contains("selftest") { "" } else { " --scenario failover-tls" };
        let ended = place.run(&format!("{command}{scenario} --placement single")).code(2);
        assert!(ended.stderr.contains("machines of their own"), "{command}: {}", ended.stderr);
        assert!(!place.path("results").exists(), "{command} left a folder");
    }
}
