//! `kbisect report` and what is made from the definition of the command line, from outside.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The result of one trial, as version 0.1.0 wrote it before a record held its beginning.
const RESULT: &str = r#"{
  "schema": "kbisect.run/1", "scenario": "connlimit", "number": 1,
  "kernel": {"version": "6.12.69", "package_version": "6.12.69-1", "flavour": "cloud-amd64",
             "source": "debian:trixie", "id": "c66a8a604461c2b0294fbb15497262c690d53b5d3e5daf5971448f73dafad48d"},
  "verdict": "bad",
  "symptom": {"kind": "lost-ingress", "title": "replies lost inside client",
              "detail": "replies to tcp 192.0.2.10:40002 -> 192.0.2.1:80 reached client"},
  "checks": [{"name": "payload", "status": "fail", "detail": "<b>no answer</b>"}],
  "timings_s": {"boot": 5.0}, "wall_s": 6.0, "directory": "trials/001", "accelerator": "tcg",
  "repeat": "kbisect run 6.12.69-1 --scenario connlimit",
  "environment": {"qemu": "10.0.2", "accelerator": "tcg", "image": "k", "host": "Linux", "cpus": 2,
                  "placement": "split"},
  "run_dir": "/elsewhere", "tool_version": "0.1.0"
}"#;

/// A place with a run in it.
fn place() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("results/r1/trials/001/candidate")).unwrap();
    fs::write(dir.path().join("results/r1/result.json"), RESULT).unwrap();
    fs::write(
        dir.path().join("results/r1/trials/001/candidate/console.log"),
        "[    1.0] eth0: 192.0.2.10\n",
    )
    .unwrap();
    dir
}

struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

fn kbisect(dir: &Path, words: &[&str]) -> Ended {
    let output = Command::new(env!("CARGO_BIN_EXE_kbisect"))
        .args(words)
        .current_dir(dir)
        .env("HOME", dir)
        .env("XDG_CACHE_HOME", dir.join("cache"))
        .env("XDG_CONFIG_HOME", dir.join("config"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let stderr = text(output.stderr);
    assert!(!stderr.contains("panicked"), "{words:?}: {stderr}");
    Ended { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr }
}

#[track_caller]
fn good(dir: &Path, words: &[&str]) -> Ended {
    let ended = kbisect(dir, words);
    assert_eq!(ended.code, 0, "{words:?}: {}{}", ended.stdout, ended.stderr);
    ended
}

#[test]
fn every_form_of_an_old_result() {
    let dir = place();
    for (form, begins) in [
        ("md", "# connlimit on 6.12.69: bad"),
        ("html", "<!DOCTYPE html>"),
        ("text", "Subject: [BUG] lost-ingress: replies lost inside client on 6.12.69"),
        ("json", "{\n"),
        ("junit", "<?xml"),
        ("ktap", "KTAP version 1"),
    ] {
        let ended = good(dir.path(), &["report", "r1", "--format", form]);
        assert!(ended.stdout.starts_with(begins), "{form}: {}", ended.stdout);
    }
    let ended = kbisect(dir.path(), &["report", "r1", "--format", "bisect-log"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("a single trial has no bisection log"), "{}", ended.stderr);
    good(dir.path(), &["report", "r1", "--format", "html", "--output", "out.html"]);
    assert!(
        fs::read_to_string(dir.path().join("out.html")).unwrap().contains("&lt;b&gt;no answer")
    );
}

#[test]
fn an_unknown_form_is_answered_with_the_list() {
    let ended = kbisect(place().path(), &["report", "r1", "--format", "pdf"]);
    assert_eq!(ended.code, 2);
    let list =
        "`pdf` is no form of report; forms are: md, html, text, json, junit, ktap, bisect-log";
    assert!(ended.stderr.contains(list), "{}", ended.stderr);
}

#[test]
fn a_redacted_report_says_what_it_replaced() {
    let dir = place();
    let ended = good(dir.path(), &["report", "r1", "--format", "text", "--redact"]);
    assert!(!ended.stdout.contains("192.0.2.10"), "{}", ended.stdout);
    assert!(ended.stderr.contains("replaced: 192.0.2.10 -> 21.0.1.10"), "{}", ended.stderr);
    let ended = kbisect(dir.path(), &["report", "r1", "--redact", "--redact-pattern", "a("]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("`a(` is no regular expression"), "{}", ended.stderr);
}

#[test]
fn a_bundle_is_written_whole_or_not_at_all() {
    let dir = place();
    let ended = good(dir.path(), &["report", "r1", "--bundle"]);
    assert!(ended.stdout.starts_with("r1.tar.zst ("), "{}", ended.stdout);
    let first = fs::read(dir.path().join("r1.tar.zst")).unwrap();
    let ended = good(dir.path(), &["report", "r1", "--bundle=json.tar.zst", "--json"]);
    let document: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(document["schema"], "kbisect.bundle/1");
    assert_eq!(document["path"], "json.tar.zst");
    good(dir.path(), &["report", "r1", "--bundle=again.tar.zst"]);
    // The command that made it stands in it: the same command gives the same bytes.
    good(dir.path(), &["report", "r1", "--bundle"]);
    assert_eq!(fs::read(dir.path().join("r1.tar.zst")).unwrap(), first);
    let ended =
        kbisect(dir.path(), &["report", "r1", "--bundle=no.tar.zst", "--secret", "eth[0-9]"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("a configured secret remains in"), "{}", ended.stderr);
    assert!(!dir.path().join("no.tar.zst").exists());
    // From the configuration too.
    fs::create_dir_all(dir.path().join("config/kbisect")).unwrap();
    fs::write(dir.path().join("config/kbisect/config.toml"), "secret-patterns = ['eth0']\n")
        .unwrap();
    assert_eq!(kbisect(dir.path(), &["report", "r1", "--bundle=no.tar.zst"]).code, 2);
    let ended = kbisect(dir.path(), &["report", "r1", "--bundle=no.tar.zst", "--with-kernel"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("is not in the local store"), "{}", ended.stderr);
}

#[test]
fn kbisect_alone_names_what_to_do_with_the_newest_run() {
    let ended = good(place().path(), &[]);
    assert!(ended.stdout.contains("kbisect report r1 --bundle"), "{}", ended.stdout);
}

#[test]
fn completions_and_pages_know_the_options() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = good(dir.path(), &["completions", shell]).stdout;
        assert!(script.contains("redact-pattern"), "{shell}");
    }
    good(dir.path(), &["man", "pages"]);
    let page = fs::read_to_string(dir.path().join("pages/kbisect-report.1")).unwrap();
    assert!(page.contains(".TH") && page.contains("reproduce.sh"), "{page}");
    assert!(dir.path().join("pages/kbisect.1").is_file());
    assert_eq!(kbisect(dir.path(), &["completions", "tcsh"]).code, 2);
}

#[test]
fn the_copy_of_a_scenario_in_a_run_can_be_named() {
    let dir = place();
    let kept = dir.path().join("results/r1/scenario");
    fs::create_dir_all(&kept).unwrap();
    let text = include_str!("../../../scenarios/connlimit/scenario.toml");
    let parsed = kbisect_core::scenario::Scenario::parse("connlimit", "x", text).unwrap();
    let json = serde_json::to_string(parsed.scenario()).unwrap();
    fs::write(kept.join("scenario.json"), &json).unwrap();
    let ended = kbisect(dir.path(), &["scenario", "show", "results/r1/scenario"]);
    assert_eq!(ended.code, 2, "its files are not there");
    assert!(ended.stderr.contains("there is no file `rules.v4`"), "{}", ended.stderr);
    for file in ["rules.v4", "nginx.conf"] {
        fs::write(kept.join(file), "").unwrap();
    }
    let ended = good(dir.path(), &["scenario", "show", "results/r1/scenario"]);
    assert!(
        ended.stdout.contains("client") && ended.stdout.contains("payload"),
        "{}",
        ended.stdout
    );
    fs::write(
        kept.join("scenario.json"),
        json.replace("\"node\":\"client\"", "\"node\":\"ghost\""),
    )
    .unwrap();
    let ended = kbisect(dir.path(), &["scenario", "show", "results/r1/scenario"]);
    assert!(ended.stderr.contains("there is no node `ghost`"), "{}", ended.stderr);
}
