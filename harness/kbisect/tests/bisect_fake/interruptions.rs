//! kill -9, Ctrl-C, resume: the same answer, at most one trial repeated, no process left.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::place::{BAD, Ended, Place, is_gone, pid_in};

/// Kernel 6.12.1 to 6.12.12, bad from 8 on; kernel `held` stops at `event` the first time that it
/// is tried, and says so by its process id in the file `held`.
fn held_at(held: u32, event: &str) -> Place {
    let folder = Place::new();
    for number in 1..=12 {
        let mut script = String::new();
        if number == held {
            let (once, pid) = (folder.path("once"), folder.path("held"));
            script += &format!(
                "at {event}\n first-time {}\n pid {}\n mute\n",
                once.display(),
                pid.display()
            );
        }
        if number >= 8 {
            script += BAD;
        }
        folder.kernel(&format!("6.12.{number}"), &script);
    }
    folder
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

fn resume(place: &Place, run: &Path) -> Ended {
    place.run(&format!("resume {} --json", run.display()))
}

/// What must be the same after an interruption. Ids differ, since the scripts do.
fn answer(result: &Value) -> Value {
    let trials: Vec<Value> = result["trials"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trial| serde_json::json!([trial["kernel"]["version"], trial["verdict"]]))
        .collect();
    serde_json::json!({
        "outcome": result["outcome"],
        "last_good": result["last_good"]["version"],
        "first_bad": result["first_bad"]["version"],
        "symptom": result["symptom"],
        "trials": trials,
    })
}

#[test]
fn resuming_after_kill_9_gives_the_same_answer() {
    let whole =
        Place::series(12, |number| if number >= 8 { BAD.to_owned() } else { String::new() });
    let expected = whole.bisect("6.12.1..6.12.12", "").code(0).json();
    let order = whole.begun();
    for (held, event) in
        [(12, "prepare"), (1, "http"), (6, "http"), (9, "ping"), (7, "prepare"), (8, "http")]
    {
        assert!(order.contains(&format!("6.12.{held}")), "{held} is tried: {order:?}");
        let place = held_at(held, event);
        let mut run = place.start("6.12.1..6.12.12 --scenario smoke --json");
        let (candidate, peer) = (pid_in(&place.path("held")), pid_in(&place.path("peer")));
        signal(&run, Signal::KILL);
        run.wait().unwrap();
        assert!(is_gone(candidate), "the candidate machine outlives us ({held} at {event})");
        assert!(is_gone(peer), "the peer machine outlives us ({held} at {event})");
        let folder = place.run_folder();
        let result = resume(&place, &folder).code(0).json();
        assert_eq!(answer(&result), answer(&expected), "{held} at {event}");
        let mut begun = order.clone();
        let at = begun.iter().position(|version| *version == format!("6.12.{held}")).unwrap();
        begun.insert(at, format!("6.12.{held}"));
        assert_eq!(place.begun(), begun, "only the trial that was running is repeated");
    }
}

#[test]
fn killed_twice_is_resumed_twice() {
    let place = Place::new();
    for number in 1..=12 {
        let mut script = String::new();
        if [12, 6].contains(&number) {
            let (once, pid) =
                (place.path(&format!("once-{number}")), place.path(&format!("held-{number}")));
            script += &format!(
                "at http\n first-time {}\n pid {}\n mute\n",
                once.display(),
                pid.display()
            );
        }
        if number >= 8 {
            script += BAD;
        }
        place.kernel(&format!("6.12.{number}"), &script);
    }
    let mut run = place.start("6.12.1..6.12.12 --scenario smoke --json");
    pid_in(&place.path("held-12"));
    signal(&run, Signal::KILL);
    run.wait().unwrap();
    let folder = place.run_folder();
    let mut run = place.start(&format!("resume {} --json", folder.display()));
    let held = pid_in(&place.path("held-6"));
    signal(&run, Signal::KILL);
    run.wait().unwrap();
    assert!(is_gone(held));
    let result = resume(&place, &folder).code(0).json();
    assert_eq!(result["first_bad"]["version"], "6.12.8");
}

#[test]
fn a_journal_that_was_cut_in_a_line_is_resumed() {
    let place = held_at(6, "http");
    let mut run = place.start("6.12.1..6.12.12 --scenario smoke --json");
    pid_in(&place.path("held"));
    signal(&run, Signal::KILL);
    run.wait().unwrap();
    let folder = place.run_folder();
    let journal = folder.join("journal.jsonl");
    let bytes = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, &bytes[..bytes.len() - 7]).unwrap();
    let ended = resume(&place, &folder).code(0);
    assert_eq!(ended.json()["first_bad"]["version"], "6.12.8");
}

#[test]
fn a_run_that_ended_is_told_again() {
    let place = Place::series(4, |number| if number >= 3 { BAD.to_owned() } else { String::new() });
    let first = place.bisect("6.12.1..6.12.4", "").code(0);
    let begun = place.begun();
    let again = resume(&place, &place.run_folder()).code(0);
    assert_eq!(again.stdout, first.stdout);
    assert_eq!(place.begun(), begun, "nothing is tried again");
}

#[test]
fn ctrl_c_stops_cleanly_and_says_how_to_go_on() {
    for (held, event, sent) in
        [(6, "http", Signal::INT), (12, "prepare", Signal::INT), (1, "ping", Signal::TERM)]
    {
        let place = held_at(held, event);
        let run = place.start("6.12.1..6.12.12 --scenario smoke --json");
        let (candidate, peer) = (pid_in(&place.path("held")), pid_in(&place.path("peer")));
        signal(&run, sent);
        let ended = Ended::of(run.wait_with_output().unwrap()).code(130);
        assert!(is_gone(candidate) && is_gone(peer), "{held} at {event}");
        let command = ended
            .stderr
            .lines()
            .find_map(|line| line.split_once("kbisect resume ").map(|(_, words)| words))
            .unwrap_or_else(|| panic!("no command to resume with: {}", ended.stderr));
        let document = ended.json();
        let written = std::fs::read(place.run_folder().join("result.json")).unwrap();
        assert_eq!(document, serde_json::from_slice::<Value>(&written).unwrap());
        assert_eq!(document["outcome"], "aborted");
        assert_eq!(document["reason"], "interrupted");
        // The command is good as it is printed.
        let result = place.as_printed(&format!("resume {command} --json")).code(0).json();
        assert_eq!(result["first_bad"]["version"], "6.12.8", "{held} at {event}");
    }
}

#[test]
fn one_folder_is_worked_on_by_one_kbisect() {
    let place = held_at(6, "http");
    let mut run = place.start("6.12.1..6.12.12 --scenario smoke --json");
    pid_in(&place.path("held"));
    let second = resume(&place, &place.run_folder()).code(69);
    assert!(second.stderr.contains("another kbisect works on"), "{}", second.stderr);
    second.json();
    assert!(run.try_wait().unwrap().is_none(), "the first one goes on");
    signal(&run, Signal::KILL);
    run.wait().unwrap();
    resume(&place, &place.run_folder()).code(0);
}

#[test]
fn two_runs_at_once_do_not_disturb_each_other() {
    let place = Place::series(6, |number| if number >= 4 { BAD.to_owned() } else { String::new() });
    let runs: Vec<Child> = (0..2)
        .map(|number| {
            place.start(&format!(
                "6.12.1..6.12.6 --scenario smoke --json --results results-{number}"
            ))
        })
        .collect();
    for run in runs {
        let ended = Ended::of(run.wait_with_output().unwrap()).code(0);
        assert_eq!(ended.json()["first_bad"]["version"], "6.12.4");
    }
}

/// A disk that is full in the middle of a line, for a limit on the size of files stands in.
#[test]
fn a_line_that_finds_no_room_is_taken_back_and_the_run_resumed() {
    let place =
        || Place::series(12, |number| if number >= 8 { BAD.to_owned() } else { String::new() });
    let words = "6.12.1..6.12.12 --scenario smoke --json --cold";
    let whole = place();
    // A trial whose files found no room is told, too; it proves nothing.
    let answer = |result: &Value| {
        let mut answer = answer(result);
        let trials = answer["trials"].as_array_mut().unwrap();
        trials.retain(|trial| trial[1] != "infra");
        answer
    };
    let expected = answer(&whole.run(words).code(0).json());
    let journal = std::fs::read(whole.run_folder().join("journal.jsonl")).unwrap();
    let first = journal.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for part in 1..=5 {
        let place = place();
        let most = first + (journal.len() - first) * part / 6;
        // sh(1) counts in blocks of 512 bytes.
        let limit = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", most / 512 + 1);
        let plain = place.command(words);
        let mut command = Command::new("sh");
        command.args(["-c", &limit]).arg(plain.get_program()).args(plain.get_args());
        command.current_dir(plain.get_current_dir().unwrap());
        for (name, value) in plain.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        let ended = Ended::of(command.output().unwrap()).code(69);
        assert!(ended.stderr.contains("kbisect resume"), "{}", ended.stderr);
        let folder = place.run_folder();
        let left = std::fs::read(folder.join("journal.jsonl")).unwrap();
        assert!(left.len() <= most + 512 && left.ends_with(b"\n"), "{part}: half a line is left");
        assert_eq!(answer(&resume(&place, &folder).code(0).json()), expected, "{part}");
    }
}

/// Before there is a run, nobody has to be asked: here a mirror takes the question and never answers.
#[test]
fn ctrl_c_ends_a_wait_for_the_archive() {
    for sent in [Signal::INT, Signal::TERM] {
        let place = Place::series(2, |_| String::new());
        let mirror = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/debian", mirror.local_addr().unwrap());
        let plain = place.command(&format!("run 6.12.1 --scenario smoke --mirror {url}"));
        let mut command = Command::new(plain.get_program());
        command.args(plain.get_args().filter(|word| *word != "--offline"));
        command.current_dir(plain.get_current_dir().unwrap());
        for (name, value) in plain.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command.env("no_proxy", "*").stdout(Stdio::piped()).stderr(Stdio::piped());
        let run = command.spawn().unwrap();
        let _held = mirror.accept().unwrap();
        signal(&run, sent);
        let ended = Ended::of(run.wait_with_output().unwrap()).code(130);
        assert!(ended.stderr.contains("interrupted"), "{}", ended.stderr);
        assert!(!place.path("results").exists());
    }
}
