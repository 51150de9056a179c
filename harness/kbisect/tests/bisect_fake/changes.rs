//! What changed between the two sides: at the end of a run, later, and without a run.

use std::fs;
use std::process::{Command, Stdio};

use crate::place::{BAD, Ended, Place};

fn second_is_bad() -> Place {
    Place::series(2, |number| if number == 2 { BAD.to_owned() } else { String::new() })
}

/// `kbisect changes` takes no options about machines.
fn changes(place: &Place, words: &str) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbisect"));
    command
        .arg("changes")
        .args(words.split_whitespace())
        .arg("--offline")
        .arg("--cache")
        .arg(place.path("cache"))
        .current_dir(place.path("."))
        .env("HOME", place.path("."))
        .env("XDG_CONFIG_HOME", place.path("config"))
        .stdin(Stdio::null());
    Ended::of(command.output().unwrap())
}

fn report(place: &Place) -> String {
    fs::read_to_string(place.run_folder().join("report.md")).unwrap()
}

/// A changelog of the releases 6.12.1 and 6.12.2.
fn changelog(place: &Place) -> String {
    let file = place.path("changelog");
    let text = "linux (6.12.2-1) trixie; urgency=medium\n\n  * New upstream stable update:\n    \
                https://example.org/ChangeLog-6.12.2\n    - drm: paint\n    - tcp: forget the window\n\n \
                -- A <a@example.org>  x\n\nlinux (6.12.1-1) trixie; urgency=medium\n\n  * tcp: too old\n";
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[test]
fn without_a_changelog_the_run_says_why_and_can_be_told_later() {
    let place = second_is_bad();
    let result = place.bisect("6.12.1..6.12.2", "").code(0).json();
    assert_eq!(result["outcome"], "found");
    assert_eq!(result["changes"]["status"], "unavailable");
    let reason = result["changes"]["reason"].as_str().unwrap();
    assert!(reason.contains("--offline"), "{reason}");
    assert!(report(&place).contains("What changed is not available, because"));
    // Later, with a changelog at hand, it becomes a part of the run and of its reports.
    let run = place.run_folder().display().to_string();
    let file = changelog(&place);
    let ended = changes(&place, &format!("{run} --changelog {file} --json")).code(0);
    let document = ended.json();
    assert_eq!(document["schema"], "kbisect.changes/1");
    assert_eq!(document["status"], "ranked");
    assert_eq!(document["considered"]["changes"], 2);
    assert_eq!(document["top"][0]["subject"], "tcp: forget the window", "the check speaks tcp");
    let report = report(&place);
    assert!(report.contains("tcp: forget the window") && !report.contains("too old"), "{report}");
    let written = fs::read_to_string(place.run_folder().join("result.json")).unwrap();
    let written: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written["changes"]["top"], document["top"]);
    assert_eq!(written["wall_s"], result["wall_s"], "it took no time of the run's");
}

#[test]
fn what_staying_forgoes_is_told_with_its_cves_and_what_undoes_a_suspect() {
    let place = Place::series(3, |number| if number >= 2 { BAD.to_owned() } else { String::new() });
    let result = place.bisect("6.12.1..6.12.3", "").code(0).json();
    assert!(result["forgone"].is_null(), "no changelog, no word: {}", result["forgone"]);
    let file = place.path("changelog");
    let text = "linux (6.12.3-1) trixie; urgency=medium\n\n  * New upstream stable update:\n    \
                https://example.org/ChangeLog-6.12.3\n    - drm: paint (CVE-2025-1234)\n    \
                - Revert \"tcp: forget the window\"\n\n -- A <a@example.org>  x\n\n\
                linux (6.12.2-1) trixie; urgency=medium\n\n  * New upstream stable update:\n    \
                https://example.org/ChangeLog-6.12.2\n    - tcp: forget the window\n\n \
                -- A <a@example.org>  x\n\nlinux (6.12.1-1) trixie; urgency=medium\n\n  * tcp: too old\n";
    fs::write(&file, text).unwrap();
    let run = place.run_folder().display().to_string();
    changes(&place, &format!("{run} --changelog {}", file.display())).code(0);
    let report = report(&place);
    for part in [
        "Staying on 6.12.1 forgoes 3 changes up to 6.12.3, which mend 1 CVE.",
        "`CVE-2025-1234` drm: paint",
        "Later changes say that they undo or mend what is suspect: Revert \"tcp: forget the window\" (6.12.3).",
    ] {
        assert!(report.contains(part), "no `{part}` in {report}");
    }
}

#[test]
fn it_can_be_left_out_and_a_repository_that_is_none_is_no_failure() {
    let place = second_is_bad();
    let result = place.bisect("6.12.1..6.12.2", "--no-changes").code(0).json();
    assert!(result["changes"].is_null(), "{}", result["changes"]);
    assert!(!report(&place).contains("## What changed"));
    let place = second_is_bad();
    let folder = place.path("cache").display().to_string();
    let result = place.bisect("6.12.1..6.12.2", &format!("--git {folder}")).code(0).json();
    assert_eq!(result["outcome"], "found");
    let reason = result["changes"]["reason"].as_str().unwrap();
    assert!(reason.ends_with("has no tag v6.12.1"), "{reason}");
}

#[test]
fn two_kernels_can_be_compared_without_a_run() {
    let place = Place::new();
    let file = changelog(&place);
    let words = format!("6.12.1..6.12.2 --scenario smoke --changelog {file}");
    let ended = changes(&place, &words).code(0);
    assert!(ended.stdout.contains("  1. tcp: forget the window (6.12.2)\n"), "{}", ended.stdout);
    let words = format!("6.12.1..6.12.2 --symptom-text paint --changelog {file}");
    let ended = changes(&place, &words).code(0);
    assert!(ended.stdout.contains("  1. drm: paint (6.12.2)\n"), "{}", ended.stdout);
    let ended = changes(&place, &format!("6.12.1..6.12.2 --changelog {file}")).code(2);
    assert!(ended.stderr.contains("--scenario NAME"), "{}", ended.stderr);
    let words = format!("6.12.2..6.12.1 --scenario smoke --changelog {file}");
    let ended = changes(&place, &words).code(2);
    assert!(ended.stderr.contains("6.12.2 is not older than 6.12.1"), "{}", ended.stderr);
    let ended = changes(&place, "no-such-run").code(2);
    assert!(ended.stderr.contains("no run `no-such-run`"), "{}", ended.stderr);
}
