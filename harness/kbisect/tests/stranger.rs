//! Runs from a stranger, and what the commands make of them: nothing outside of their folders is read or
//! written.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A trial whose folder is in the user's home.
fn result(directory: &str) -> String {
    format!(
        r#"{{
  "schema": "kbisect.run/1", "scenario": "connlimit", "number": 1,
  "kernel": {{"version": "6.12.69", "package_version": "6.12.69-1", "flavour": "cloud-amd64",
             "source": "debian:trixie", "id": "c66a8a604461c2b0294fbb15497262c690d53b5d3e5daf5971448f73dafad48d"}},
  "verdict": "bad",
  "symptom": {{"kind": "panic", "title": "panic in x", "detail": "x"}},
  "reports": [{{"kind": "panic", "title": "panic in x", "phase": "checks", "fatal": true, "line": 1,
               "alt_titles": [], "frames": [], "text": "RIP: 0010:x+0x1/0x2\n"}}],
  "checks": [], "timings_s": {{}}, "wall_s": 6.0, "directory": "{directory}", "accelerator": "tcg",
  "repeat": "kbisect run 6.12.69-1 --scenario connlimit",
  "environment": {{"qemu": "10.0.2", "accelerator": "tcg", "image": "k", "host": "Linux", "cpus": 2,
                  "placement": "split"}},
  "run_dir": "/elsewhere", "tool_version": "0.1.0"
}}"#
    )
}

fn place(directory: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("results/r1/trials/001/candidate")).unwrap();
    fs::create_dir_all(dir.path().join("home")).unwrap();
    fs::write(dir.path().join("home/secret"), "[    1.0] secret of this host\n").unwrap();
    fs::write(dir.path().join("results/r1/result.json"), result(directory)).unwrap();
    dir
}

/// Exit code and everything that was said.
fn kbisect(dir: &Path, words: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_kbisect"))
        .args(words)
        .arg("--offline")
        .current_dir(dir)
        .env("HOME", dir)
        .env("XDG_CACHE_HOME", dir.join("cache"))
        .env("XDG_CONFIG_HOME", dir.join("config"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{words:?}: {said}");
    (output.status.code().unwrap(), said)
}

const COMMANDS: [&[&str]; 8] = [
    &["report", "r1"],
    &["report", "r1", "--format", "html"],
    &["report", "r1", "--bundle", "out.tar.zst"],
    &["resume", "r1"],
    &["watch", "r1", "--once"],
    &["decode", "r1", "--vmlinux", "/proc/self/exe"],
    &["score", "r1"],
    &["changes", "r1"],
];

/// The control: without what is wrong, the same run is read.
#[test]
fn a_run_that_stays_in_its_folder_is_read() {
    for words in &COMMANDS[..3] {
        let dir = place("trials/001");
        let (code, said) = kbisect(dir.path(), words);
        assert_eq!(code, 0, "{words:?}: {said}");
    }
}

#[test]
fn a_run_with_a_link_in_it_is_refused() {
    for (link, target) in [
        ("trials/001/candidate/console.log", "home/secret"),
        ("trials/001/wires", "home"),
        ("journal.jsonl", "home/journal"),
        ("check.jsonl", "home/secret"),
        ("scenario", "home"),
        ("report.html", "home/secret"),
    ] {
        for words in COMMANDS {
            let dir = place("trials/001");
            symlink(dir.path().join(target), dir.path().join("results/r1").join(link)).unwrap();
            let (code, said) = kbisect(dir.path(), words);
            assert_eq!(code, 2, "{link} {words:?}: {said}");
            assert!(said.contains("is a link or a special file"), "{link} {words:?}: {said}");
            assert!(!said.contains("secret of this host"), "{link} {words:?}: {said}");
            let home: Vec<_> = fs::read_dir(dir.path().join("home")).unwrap().collect();
            assert_eq!(home.len(), 1, "{link} {words:?}: {home:?}");
            let secret = fs::read_to_string(dir.path().join("home/secret")).unwrap();
            assert_eq!(secret, "[    1.0] secret of this host\n");
        }
    }
}

#[test]
fn a_trial_elsewhere_is_neither_read_nor_written() {
    for directory in ["../../home", "/proc/self/cwd/home"] {
        for words in COMMANDS {
            let dir = place(directory);
            let (code, said) = kbisect(dir.path(), words);
            assert!(code == 2 || code == 69, "{directory} {words:?}: {code} {said}");
            let told = said.contains("is not in that of the run");
            assert!(told || !["report", "decode"].contains(&words[0]), "{words:?}: {said}");
            let home: Vec<_> = fs::read_dir(dir.path().join("home")).unwrap().collect();
            assert_eq!(home.len(), 1, "{directory} {words:?}: {said}");
        }
    }
}

/// `reproduce.sh` hands the bundle's scenario to `kbisect run`.
#[test]
fn a_bundle_with_a_broken_scenario_is_not_run() {
    let dir = place("trials/001");
    let folder = dir.path().join("bundle/scenario");
    fs::create_dir_all(&folder).unwrap();
    let scenario = |node: &str| {
        format!(
            r#"{{"schema": "kbisect.scenario/1", "name": "x", "summary": "x",
  "nodes": {{"{node}": {{"kernel": "candidate"}}}},
  "checks": [{{"name": "up", "node": "{node}", "probe": "alive", "timeout_s": 5.0, "record_only": false}}]}}"#
        )
    };
    let run = ["run", "6.12.69", "--scenario", "bundle/scenario"];
    fs::write(folder.join("scenario.json"), scenario("../../home")).unwrap();
    let (code, said) = kbisect(dir.path(), &run);
    assert!(code >= 128 && said.contains("is no name"), "{code} {said}");
    fs::write(folder.join("scenario.json"), scenario("a")).unwrap();
    symlink(dir.path().join("home/secret"), folder.join("rules")).unwrap();
    let (code, said) = kbisect(dir.path(), &run);
    assert!(code >= 128 && said.contains("is a link"), "{code} {said}");
    fs::remove_file(folder.join("rules")).unwrap();
    let (_, said) = kbisect(dir.path(), &run);
    assert!(!said.contains("scenario"), "a valid one is not the trouble: {said}");
}
