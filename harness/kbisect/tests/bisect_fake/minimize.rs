//! `kbisect minimize`: what a failure needs.

use serde_json::{Value, json};

use crate::place::{BAD, Place};

const SCENARIO: &str = r#"
schema = "kbisect.scenario/1"
summary = "an application meets rules"
[nodes.app]
kernel = "candidate"
sysctl = { "net.ipv4.ip_forward" = 1 }
[nodes.other]
kernel = "reference"
[links.lan]
app = { name = "eth0", addresses = ["192.0.2.10/24"] }
other = { name = "eth0", addresses = ["192.0.2.1/24"] }
[[setup]]
name = "rules"
node = "app"
iptables-restore = "rules.v4"
[[setup]]
name = "the automation"
node = "app"
run = "run-the-automation"
repeat = 3
[[services]]
name = "application"
node = "app"
command = ["the-application"]
[[services]]
name = "agent"
node = "app"
command = ["the-agent"]
[[checks]]
name = "local"
node = "app"
command = { run = "true" }
"#;

const RULES: &str =
    "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j ACCEPT\n-A INPUT -p tcp -j ACCEPT\nCOMMIT\n";

/// A place with the scenario, whose kernel panics when the application starts.
fn place() -> Place {
    let place = Place::new();
    let folder = place.path("mine");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("scenario.toml"), SCENARIO).unwrap();
    std::fs::write(folder.join("rules.v4"), RULES).unwrap();
    let panic = crate::place::PANIC.replace("at http", "at serve the-application");
    place.kernel("6.12.1", &panic);
    place.kernel("6.12.2", "");
    place
}

fn names(list: &Value) -> Vec<String> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|told| {
            format!("{} {}", told["kind"].as_str().unwrap(), told["name"].as_str().unwrap())
        })
        .collect()
}

#[test]
fn what_a_panic_needs_is_left_and_can_be_run() {
    let place = place();
    let run = place.run("run 6.12.1 --scenario ./mine --json").code(1).json();
    let folder = run["run_dir"].as_str().unwrap().to_owned();
    let one = place.run(&format!("minimize {folder} --workers 1 --json")).code(0).json();
    assert_eq!(one["schema"], "kbisect.minimize/1");
    assert_eq!(names(&one["needs"]), ["node app", "service application"], "{one}");
    let gone = names(&one["not_needed"]);
    for told in [
        "service agent",
        "check local",
        "node other",
        "setup the automation",
        "sysctl net.ipv4.ip_forward = 1 of app",
    ] {
        assert!(gone.contains(&told.to_owned()), "no `{told}`: {gone:?}");
    }
    let said = one["statement"].as_str().unwrap();
    assert!(
        said.contains("needs: node `app`, application `application`; it does not need:"),
        "{said}"
    );
    let two = place.run(&format!("minimize {folder} --workers 2 --json")).code(0).json();
    assert_eq!(two["needs"], one["needs"], "with two workers");

    let smallest = one["scenario_dir"].as_str().unwrap();
    let again = place.run(&format!("run 6.12.1 --scenario {smallest} --json")).code(1).json();
    assert_eq!(again["symptom"]["title"], run["symptom"]["title"]);
    let text = place.run(&format!("minimize {folder} --workers 1")).code(0).stdout;
    assert!(
        text.contains("\nneeded\n") && text.contains("kbisect run 6.12.1 --scenario "),
        "{text}"
    );
}

#[test]
fn a_run_without_a_failure_has_nothing_to_reduce() {
    let place = place();
    let run = place.run("run 6.12.2 --scenario ./mine --json").code(0).json();
    let ended = place.run(&format!("minimize {}", run["run_dir"].as_str().unwrap())).code(2);
    assert!(ended.stderr.contains("has no bad trial"), "{}", ended.stderr);
    place.run("minimize nowhere").code(2);
}

#[test]
fn a_failure_that_does_not_show_again_is_told() {
    let place = place();
    let once = place.path("once");
    place.kernel(
        "6.12.3",
        &format!("at exec true\n first-time {}\n reply status 1 no\n", once.display()),
    );
    let run = place.run("run 6.12.3 --scenario ./mine --json").code(1).json();
    let words = format!("minimize {} --json", run["run_dir"].as_str().unwrap());
    let result = place.run(&words).code(1).json();
    assert_eq!((&result["outcome"], &result["needs"]), (&json!("not-reproduced"), &json!([])));
    assert_eq!(result["scenario_dir"], Value::Null);
}

#[test]
fn the_failure_of_a_bisection_is_reduced_and_resumed() {
    let place = Place::series(4, |number| if number > 2 { BAD.to_owned() } else { String::new() });
    let found = place.bisect("6.12.1..6.12.4", "").code(0).json();
    let folder = found["run_dir"].as_str().unwrap().to_owned();
    let result = place.run(&format!("minimize {folder} --json")).code(0).json();
    assert!(names(&result["needs"]).contains(&"check payload".to_owned()), "{}", result["needs"]);
    let run = std::path::PathBuf::from(result["run_dir"].as_str().unwrap());
    // As if it had been killed: the end of the journal is gone.
    let journal = run.join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    let half: String =
        text.lines().take(text.lines().count() / 2).map(|line| format!("{line}\n")).collect();
    std::fs::write(&journal, half).unwrap();
    let resumed = place.run(&format!("resume {} --json", run.display())).code(0).json();
    assert_eq!(
        (&resumed["needs"], &resumed["not_needed"]),
        (&result["needs"], &result["not_needed"])
    );
}

#[test]
fn a_bisection_can_go_on_with_it() {
    let place = place();
    let ended = place.run("6.12.1..6.12.2 --find-fix --scenario ./mine --minimize").code(0);
    assert!(ended.stdout.contains("6.12.2"), "{}", ended.stdout);
    assert!(ended.stdout.contains("application"), "{}", ended.stdout);
    let runs = std::fs::read_dir(place.path("results")).unwrap().map(|entry| entry.unwrap().path());
    let smaller = runs.filter(|run| run.join("minimal/scenario/scenario.json").is_file()).count();
    assert_eq!(smaller, 1, "{}", ended.stdout);
}
