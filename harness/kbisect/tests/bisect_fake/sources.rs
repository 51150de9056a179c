//! Kernels that a service only lists.

use std::fs;
use std::process::Stdio;

use serde_json::Value;

use crate::place::{BAD, Ended, Place};
use crate::support::server::{Fault, Server};

/// Six good and bad kernels of one's own, and between them three that the service lists and does not
/// have: each half of the range would begin with one of those.
struct Listed {
    place: Place,
    server: Server,
}

impl Listed {
    fn new() -> Self {
        let script = |number| if number >= 5 { BAD.to_owned() } else { String::new() };
        let place = Place::series(6, script);
        let dir = place.path("service/mr/package/linux");
        fs::create_dir_all(&dir).unwrap();
        let versions = ["6.12.3-1", "6.12.3-2", "6.12.3-3", "6.12.5-1"];
        let list = versions.map(|version| format!(r#"{{"version": "{version}"}}"#)).join(", ");
        fs::write(dir.join("index"), format!(r#"{{"result": [{list}]}}"#)).unwrap();
        let server = Server::start(&place.path("service"));
        Self { place, server }
    }

    fn options(&self) -> String {
        format!(
            "--source snapshot --snapshot-url {0} --mirror {0}/none --suite none",
            self.server.url
        )
    }

    /// Runs a command that may use this network.
    fn run(&self, words: &str) -> Ended {
        self.run_with(&format!("{words} {}", self.options()))
    }

    fn run_with(&self, words: &str) -> Ended {
        let mut command = self.place.command(words);
        let online: Vec<_> =
            command.get_args().filter(|word| *word != "--offline").map(ToOwned::to_owned).collect();
        let mut other = std::process::Command::new(command.get_program());
        other.args(online).stdin(Stdio::null());
        for (name, value) in command.get_envs() {
            other.env(name, value.unwrap());
        }
        other.current_dir(command.get_current_dir().unwrap());
        command.stdin(Stdio::null());
        Ended::of(other.output().unwrap())
    }
}

#[test]
fn a_version_that_is_listed_and_not_there_is_skipped_with_the_reason() {
    let listed = Listed::new();
    let ended = listed.run("6.12.1..6.12.6 --scenario smoke --reference 6.1.100 --json").code(0);
    let result = ended.json();
    assert_eq!(result["first_bad"]["version"], "6.12.5", "{result}");
    let trials = result["trials"].as_array().unwrap();
    let skipped: Vec<&Value> =
        trials.iter().filter(|trial| trial["kernel"]["source"] == "snapshot").collect();
    assert!(!skipped.is_empty(), "the half of the range begins with one of them: {result}");
    for trial in skipped {
        assert_eq!(trial["verdict"], "skip");
        let reason = trial["reason"].as_str().unwrap();
        assert!(reason.contains("the Debian snapshot service has no package"), "{reason}");
    }
    assert!(ended.stderr.contains("the archive is left out"), "{}", ended.stderr);
}

#[test]
fn a_service_that_is_down_is_no_skip_and_the_run_goes_on_later() {
    let listed = Listed::new();
    for _ in 0..40 {
        listed.server.fault("/binpackages", Fault::Status(503, ""));
    }
    let ended = listed.run("6.12.1..6.12.6 --scenario smoke --reference 6.1.100 --json").code(69);
    let error = &ended.stderr;
    assert!(error.contains("cannot find out what to download for kernel 6.12.3-"), "{error}");
    assert!(error.contains("HTTP status 503"), "{error}");
    // The service answers again. The command that is printed finds the same kernels.
    let hint = error.lines().find_map(|line| line.split("kbisect resume ").nth(1)).unwrap();
    let words = hint.split(['`', ';']).next().unwrap();
    assert!(words.contains("--source snapshot"), "{words}");
    assert!(words.contains("--snapshot-url http://127.0.0.1"), "{words}");
    while listed.server.take_fault("/binpackages") {}
    let result = listed.place.as_printed(&format!("resume {words} --json")).code(0).json();
    assert_eq!(result["first_bad"]["version"], "6.12.5", "{result}");
}

#[test]
fn offline_the_kernels_that_are_missing_are_named_with_their_source() {
    let listed = Listed::new();
    let words = "6.12.1..6.12.6 --scenario smoke --reference 6.1.100 --dry-run";
    listed.run(words).code(0);
    let ended = listed.place.run(&format!("{words} {}", listed.options())).code(0);
    let said = &ended.stderr;
    let missing = "not in the store, and --offline was given: 6.12.3-1, 6.12.3-2, 6.12.3-3, 6.12.5-1 (in \
                   the Debian snapshot service)";
    assert!(said.contains(missing), "{said}");
    assert!(said.contains("the list of the Debian snapshot service is 0 minutes old"), "{said}");
    assert!(ended.stdout.contains("to download: about 26 MB"), "{}", ended.stdout);
}

#[test]
fn a_range_is_fetched_but_for_what_is_not_there() {
    let listed = Listed::new();
    let fetch = |what: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kbisect"));
        let words = format!("kernels fetch {what} {}", listed.options());
        command.args(words.split_whitespace()).arg("--cache").arg(listed.place.path("cache"));
        command.env("HOME", listed.place.path("home")).stdin(Stdio::null());
        Ended::of(command.output().unwrap())
    };
    let ended = fetch("6.12.2..6.12.4").code(0);
    assert!(ended.stdout.contains("6.12.2") && ended.stdout.contains("6.12.4"), "{}", ended.stdout);
    assert!(
        ended.stderr.contains("left out: kernel 6.12.3-2 cannot be tested"),
        "{}",
        ended.stderr
    );
    let ended = fetch("6.12.3-2").code(2);
    assert!(ended.stderr.contains("snapshot service has no package"), "{}", ended.stderr);
}

#[test]
fn an_end_that_the_archive_lacks_names_the_source_that_may_have_it() {
    let place = Place::series(2, |_| String::new());
    let ended = place.run("5.10.40..5.10.70 --scenario smoke --json").code(2);
    assert!(ended.stderr.contains("add --source snapshot"), "{}", ended.stderr);
    let listed = Listed::new();
    let address = format!(
        "--source store --snapshot-url {0} --mirror {0}/none --suite none",
        listed.server.url
    );
    let words = "6.12.2..6.12.5-1 --scenario smoke --reference 6.1.100 --dry-run";
    let ended = listed.run_with(&format!("{words} {address}")).code(2);
    assert!(ended.stderr.contains("add --source snapshot"), "{}", ended.stderr);
    let ended = listed.run_with(&format!("{words} {address} --yes")).code(0);
    assert!(ended.stdout.contains("6.12.3-2"), "{}", ended.stdout);
    let ended = place.run("kernels list --source snapshots").code(2);
    assert!(ended.stderr.contains("ubuntu-mainline"), "{}", ended.stderr);
}
