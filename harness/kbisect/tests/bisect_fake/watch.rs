//! Runs that are watched, while they go on and afterwards.

use std::io::{BufRead, BufReader};
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use crate::place::{BAD, Ended, PANIC, Place, pid_in};

/// Watches with the words alone: there is no QEMU and no cache in it.
fn watch(place: &Place, words: &str) -> Ended {
    place.as_printed(&format!("watch {words}"))
}

/// Kernels 1 to 6, bad from 4 on; the trial of the third, if it comes to that, hangs until it is killed.
fn held() -> Place {
    let place = Place::new();
    for number in 1..=6 {
        let script = match number {
            6 => {
                let (once, pid) = (place.path("once"), place.path("held"));
                let (once, pid) = (once.display(), pid.display());
                format!("at ping\n first-time {once}\n pid {pid}\n mute\n{BAD}")
            }
            4.. => BAD.to_owned(),
            _ => String::new(),
        };
        place.kernel(&format!("6.12.{number}"), &script);
    }
    place
}

#[test]
fn a_run_is_followed_until_it_is_killed_and_to_its_end() {
    let place = held();
    let mut run = place.start("6.12.1..6.12.6 --scenario smoke --flaky --json");
    pid_in(&place.path("held"));
    // While it goes on: as it is now, without waiting.
    let now = watch(&place, "--once").code(0);
    assert!(now.stderr.contains("the run goes on"), "{}", now.stderr);
    assert!(now.stdout.contains("trial 1  6.12.6"), "{}", now.stdout);
    assert!(now.stdout.contains("bad versions fail in"), "{}", now.stdout);
    // A watcher that waits sees the end of the process.
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kbisect"));
    let mut watcher = command
        .args(["watch", "--json"])
        .current_dir(place.path(""))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(watcher.stderr.take().unwrap()).lines();
    let begun = said.next().unwrap().unwrap();
    assert!(begun.contains("smoke: 6.12.1..6.12.6"), "{begun}");
    let process = Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
    kill_process(process, Signal::KILL).unwrap();
    run.wait().unwrap();
    let rest: Vec<String> = said.map(Result::unwrap).collect();
    assert!(rest.last().unwrap().contains("not alive any more"), "{rest:?}");
    let ended = Ended::of(watcher.wait_with_output().unwrap()).code(1);
    assert_eq!(ended.json()["outcome"], "aborted");
    // After the fact, and after it went on: the same document as the run's own.
    let words = format!("resume {} --json", place.run_folder().display());
    let result = place.run(&words).code(0);
    let watched = watch(&place, "--json").code(0);
    // Byte by byte: also what was read back from the journal.
    let differs = watched.stdout.lines().zip(result.stdout.lines()).find(|(a, b)| a != b);
    assert!(watched.stdout == result.stdout, "{differs:?}");
    let watched = watch(&place, "").code(0);
    assert!(watched.stderr.contains("resuming where"), "{}", watched.stderr);
    assert!(watched.stdout.contains("fails from 6.12.4 on"), "{}", watched.stdout);
}

/// What a watcher tells of a finished run is what the run told, but for the clock.
#[test]
fn a_watcher_tells_what_the_run_told() {
    let place =
        Place::series(5, |number| if number > 3 { PANIC.to_owned() } else { String::new() });
    let run = place.run("6.12.1..6.12.5 --scenario smoke --flaky").code(0);
    let watched = watch(&place, &place.run_folder().display().to_string()).code(0);
    assert_eq!(watched.stdout, run.stdout);
    let told = |text: &str| -> Vec<String> {
        let after_clock = |line: &str| line.split_once("s] ").map(|(_, rest)| rest.to_owned());
        let lines: Vec<String> = text.lines().filter_map(after_clock).collect();
        let begins = lines.iter().position(|line| line.contains("6.12.1..6.12.5")).unwrap();
        // What a step does just now is not in the journal.
        lines[begins..].iter().filter(|line| line.contains("6.12.")).cloned().collect()
    };
    assert_eq!(told(&watched.stderr), told(&run.stderr));
    assert!(told(&run.stderr).len() > 20);
}

/// A check is watched as a search is, and its document is its own.
#[test]
fn a_check_can_be_watched() {
    let place = Place::series(3, |number| if number > 2 { BAD.to_owned() } else { String::new() });
    let run = place.run("check 6.12.1..6.12.3 --scenario smoke").code(1);
    let watched = watch(&place, "").code(1);
    assert_eq!(watched.stdout, run.stdout);
    for line in [
        "check of 3 kernels with smoke, tcg",
        "trial 1 of about 3: 6.12.1 with smoke",
        "trial 3: 6.12.3 with smoke: checks",
        "boots as shipped before that is believed",
    ] {
        assert!(watched.stderr.contains(line), "no `{line}`: {}", watched.stderr);
    }
    let once = watch(&place, "--once").code(1);
    assert!(
        once.stdout.contains("check of 3 kernels with smoke: 2 good, 2 bad"),
        "{}",
        once.stdout
    );
    let result = place.run_folder().join("result.json");
    let json = watch(&place, "--json").code(1);
    assert_eq!(json.stdout, std::fs::read_to_string(result).unwrap());
}

#[test]
fn what_cannot_be_watched_is_named() {
    let place = Place::series(2, |number| if number > 1 { BAD.to_owned() } else { String::new() });
    let none = watch(&place, "").code(2);
    assert!(none.stderr.contains("no run with a journal in `results`"), "{}", none.stderr);
    assert!(watch(&place, "nowhere").code(2).stderr.contains("no run `nowhere`"));
    place.run("run 6.12.1 --scenario smoke --results single");
    let single = std::fs::read_dir(place.path("single")).unwrap().next().unwrap().unwrap().path();
    // As single trials were before they had one.
    std::fs::remove_file(single.join("journal.jsonl")).unwrap();
    let ended = watch(&place, &single.display().to_string()).code(2);
    assert!(ended.stderr.contains("has no journal"), "{}", ended.stderr);

    place.bisect("6.12.1..6.12.2", "").code(0);
    let folder = place.run_folder();
    let journal = folder.join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    let with = |text: &str| {
        std::fs::write(&journal, text).unwrap();
        watch(&place, &folder.display().to_string())
    };
    // A line that was being written when the run was killed.
    let end = text.rfind("\"event\":\"ended\"").unwrap();
    let cut = with(&text[..end + 9]).code(1);
    assert!(cut.stderr.contains("not alive any more"), "{}", cut.stderr);
    let newer = with(&format!("{text}{{\"at_ms\":1,\"event\":\"paused\"}}\n")).code(69);
    assert!(newer.stderr.contains("unknown event `paused`"), "{}", newer.stderr);
    assert!(newer.stderr.contains("another version"), "{}", newer.stderr);
    let damaged = with(&text.replacen("trial-ended", "\"", 1)).code(69);
    assert!(damaged.stderr.contains("is damaged"), "{}", damaged.stderr);
    let empty = with("").code(2);
    assert!(empty.stderr.contains("before it began"), "{}", empty.stderr);
    assert!(Path::new(&journal).is_file());
}
