//! Defensive work: by hand, dry, one after the other, and all written down.

use std::io::Write;
use std::process::Stdio;

use kbisect_report::DryRunDocument;
use serde_json::Value;

use crate::gate::validate;
use crate::place::{BAD, Ended, Place};

/// Runs a command with answers on its standard input.
fn answered(place: &Place, words: &str, answers: &str) -> Ended {
    let mut command = place.command(words);
    let pipes = || Stdio::piped();
    let mut child = command.stdin(pipes()).stdout(pipes()).stderr(pipes()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(answers.as_bytes()).unwrap();
    Ended::of(child.wait_with_output().unwrap())
}

#[test]
fn what_is_confirmed_is_done_and_is_a_scenario_again() {
    let place = Place::series(1, |_| String::new());
    // The nodes, the payload, the server, the check.
    let ended = answered(&place, "run 6.12.1 --scenario smoke --step --json", "y\nskip\nyes\ny\n");
    let result = ended.code(0).json();
    assert_eq!(result["verdict"], "good");
    let notes = result["notes"].to_string();
    assert!(notes.contains("left out by hand: make the payload"), "{notes}");
    let confirmed = place.run_folder().join("confirmed/scenario");
    let text = std::fs::read_to_string(confirmed.join("scenario.json")).unwrap();
    let scenario: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(scenario["setup"], serde_json::json!([]));
    assert_eq!(scenario["services"].as_array().unwrap().len(), 1);
    let again = place.run(&format!("run 6.12.1 --scenario {} --json", confirmed.display()));
    assert_eq!(again.code(0).json()["verdict"], "good");
}

#[test]
fn the_commands_are_shown_before_they_run_and_abort_ends_the_run() {
    let place = Place::series(1, |_| String::new());
    let ended = answered(&place, "run 6.12.1 --scenario smoke --step", "y\nwhat\na\n").code(130);
    for shown in
        ["client: ip address add 192.0.2.10/24 dev eth0", "seq 1000000 1008191 > /tmp/payload"]
    {
        assert!(ended.stderr.contains(shown), "{}", ended.stderr);
    }
    assert!(!ended.stderr.contains("check payload"), "{}", ended.stderr);
    // Resumed it asks again, and nobody there to answer is no consent.
    let resume = format!("resume {}", place.run_folder().display());
    let silent = answered(&place, &resume, "").code(130);
    assert!(silent.stderr.contains("the nodes"), "{}", silent.stderr);
    let resumed = answered(&place, &resume, "y\ny\ny\ny\n").code(0);
    assert!(resumed.stderr.contains("do it?"), "{}", resumed.stderr);
}

#[test]
fn dry_runs_say_what_would_be_done_and_leave_nothing() {
    let place = Place::series(3, |_| BAD.to_owned());
    place.run("run 6.12.1 --scenario smoke --results kept").code(1);
    let kept = std::fs::read_dir(place.path("kept")).unwrap().next().unwrap().unwrap().path();
    let schema = serde_json::from_str(kbisect_report::schema("dry-run").unwrap()).unwrap();
    for (words, trials, steps) in [
        ("run 6.12.1 --scenario smoke".to_owned(), 1, 4),
        ("check 6.12.1..6.12.3 --scenario smoke".to_owned(), 3, 0),
        ("scenario selftest smoke --no-faults".to_owned(), 2, 0),
        (format!("minimize {}", kept.display()), 1, 8),
    ] {
        let ended = place.run(&format!("{words} --dry-run --json")).code(0);
        let document = ended.json();
        assert_eq!(validate::problems(&schema, &document), Vec::<String>::new());
        let read: DryRunDocument = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!((read.trials.len(), read.steps.len()), (trials, steps), "{words}: {read:?}");
        let text = place.run(&format!("{words} --dry-run")).code(0).stdout;
        assert!(text.contains("nothing is done now"), "{text}");
    }
    assert!(!place.path("results").exists());
}

#[test]
fn every_command_of_a_trial_is_in_its_log() {
    let place = Place::series(1, |_| String::new());
    place.run("run 6.12.1 --scenario smoke").code(0);
    let trials = place.run_folder().join("trials");
    let trial = std::fs::read_dir(trials).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(trial.join("commands.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let has = |node: &str, key: &str, words: &str| {
        lines.iter().any(|line| line["node"] == node && line[key].to_string().contains(words))
    };
    assert!(has("client", "made", "ip addr add 192.0.2.10/24 dev eth0"), "{text}");
    assert!(has("server", "command", "seq 1000000 1008191"), "{text}");
    assert!(has("server", "service", "nginx"), "{text}");
    assert!(has("client", "probe", "http"), "{text}");
    assert!(lines.iter().all(|line| line["exit"].is_string() && line["at_ms"].is_u64()), "{text}");
}

#[test]
fn a_canary_widens_only_while_it_passes() {
    let place = Place::series(4, |number| [BAD, ""][usize::from(number != 2)].to_owned());
    let check = "check 6.12.1..6.12.4 --scenario smoke,synproxy --canary --workers 2 --json";
    let result = place.run(check).code(1).json();
    let stands = |scenario: &str| -> Vec<String> {
        let cells = result["cells"].as_array().unwrap().iter();
        let of = cells.filter(|cell| cell["scenario"] == scenario);
        of.map(|cell| cell["standing"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(stands("smoke"), ["good", "regressed", "not-tested", "not-tested"]);
    assert_eq!(stands("synproxy"), ["not-tested"; 4]);
    // One that passes goes all the way.
    let place = Place::series(3, |_| String::new());
    let result = place.run("check 6.12.1..6.12.3 --scenario smoke --canary --json").code(0).json();
    assert_eq!((&result["outcome"], &result["counts"]["good"]), (&"passed".into(), &3.into()));
}
