//! Bundles: the same bytes for the same run, sums that fit, nothing left of what was redacted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::process::Command;

use common::folder::{dossier, written};
use common::{Does, Play};
use kbisect_report::{
    Bundle, BundleError, BundleFile, BundleOptions, Carries, RedactRules, pattern,
};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use Does::{Lose, Pass};

fn run() -> TempDir {
    written(&Play::new(&[("6.12.57-1", Pass), ("6.12.69-1", Lose), ("6.12.96-1", Lose)]))
}

fn bytes(dir: &TempDir, options: BundleOptions) -> Vec<u8> {
    let mut out = Vec::new();
    Bundle::new(&dossier(dir), options).unwrap().write(&mut out).unwrap();
    out
}

/// Name, mode and content of each member.
fn unpacked(bytes: &[u8]) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut archive = tar::Archive::new(zstd::Decoder::new(bytes).unwrap());
    let mut found = BTreeMap::new();
    let mut names = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        let mode = header.mode().unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let (folder, name) = path.split_once('/').unwrap();
        assert_eq!(folder, "sample");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        names.push(name.to_owned());
        found.insert(name.to_owned(), (mode, content));
    }
    assert_eq!(names.last().map(String::as_str), Some("SHA256SUMS"));
    assert!(names[..names.len() - 1].is_sorted(), "{names:?}");
    found
}

fn rules(patterns: &[&str]) -> RedactRules {
    RedactRules {
        patterns: patterns.iter().map(|text| pattern(text).unwrap()).collect(),
        names: vec!["buildhost7".to_owned()],
        mirrors: Vec::new(),
    }
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let dir = run();
    let first = bytes(&dir, BundleOptions::default());
    // A copy elsewhere, written in another order and at another time.
    let copy = tempfile::tempdir().unwrap();
    let status = Command::new("cp").arg("-r").arg(dir.path().join(".")).arg(copy.path()).status();
    assert!(status.unwrap().success());
    fs::write(copy.path().join("report.md"), "an old report").unwrap();
    assert_eq!(first, bytes(&copy, BundleOptions::default()));
}

#[test]
fn a_bundle_holds_everything_and_its_sums_fit() {
    let dir = run();
    let config = BundleFile::text("configs/config-6.12.69-1", "CONFIG_X=y\n".to_owned());
    let options = BundleOptions { files: vec![config], ..BundleOptions::default() };
    let files = unpacked(&bytes(&dir, options));
    for name in [
        "README.txt",
        "bisect.log",
        "configs/config-6.12.69-1",
        "journal.jsonl",
        "junit.xml",
        "manifest.json",
        "report.html",
        "report.ktap",
        "report.md",
        "report.txt",
        "reproduce.sh",
        "result.json",
        "scenario/rules.v4",
        "scenario/scenario.json",
        "trials/03-6.12.69/candidate/console.log",
        "trials/03-6.12.69/candidate/qemu.cmdline",
        "trials/03-6.12.69/wires/lan.pcapng",
    ] {
        assert!(files.contains_key(name), "{name} in {:?}", files.keys());
    }
    let sums = String::from_utf8(files["SHA256SUMS"].1.clone()).unwrap();
    assert_eq!(sums.lines().count(), files.len() - 1);
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        let found: String =
            Sha256::digest(&files[name].1).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(sum, found, "{name}");
    }
}

#[test]
fn the_script_is_a_shell_script_that_knows_its_trial() {
    let dir = run();
    let carries = Carries { kernels: true, image: true, tool: true };
    let files = unpacked(&bytes(&dir, BundleOptions { carries, ..BundleOptions::default() }));
    let (mode, script) = &files["reproduce.sh"];
    assert_eq!(*mode, 0o755);
    let text = String::from_utf8(script.clone()).unwrap();
    assert!(text.contains(&format!("KERNEL_ID={}\n", "01".repeat(32))), "{text}");
    assert!(text.contains("HAS_KERNELS=yes\n") && text.contains("VERDICT=bad\n"));
    // It says the same when kbisect says the same, and otherwise not: played by a stand-in.
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| fs::write(place.path().join(name), content).unwrap();
    write("reproduce.sh", script);
    // How the symptom compares with the bundle's is what the tool says of it, as the search does.
    let matching = |how: &str| format!("\\\"matching\\\": {{ \\\"how\\\": \\\"{how}\\\" }}");
    for (exit, matching, status, word) in [
        (1, matching("title"), 0, "REPRODUCED: bad, lost-ingress"),
        (1, matching("stack"), 0, "REPRODUCED: bad, lost-ingress"),
        (1, matching("different"), 1, "DIFFERENT"),
        (1, String::new(), 1, "DIFFERENT"),
        (0, String::new(), 1, "DIFFERENT: good here"),
        (201, String::new(), 2, "could not be made"),
    ] {
        let tool = format!(
            "#!/bin/sh\n[ \"$1\" != --version ] || {{ echo kbisect 0.1.0; exit 0; }}\n\
             while [ $# -gt 0 ]; do [ \"$1\" != --results ] || out=$2; shift; done\n\
             mkdir -p \"$out/r\"; echo \"{matching}\" > \"$out/r/result.json\"\n\
             touch \"$out/r\"; exit {exit}\n"
        );
        write("tool", tool.as_bytes());
        let output = Command::new("sh")
            .arg("-c")
            .arg("chmod +x tool && KBISECT=./tool sh ./reproduce.sh")
            .current_dir(place.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn nothing_of_what_was_redacted_is_left() {
    let dir = run();
    let note = "ticket INC-4711 on buildhost7, see http://wiki.corp.internal/x\n";
    let trial = dir.path().join("trials/03-6.12.69");
    fs::write(trial.join("candidate/qemu.log"), note).unwrap();
    let options = || BundleOptions {
        redact: Some(rules(&["INC-[0-9]+"])),
        secrets: vec![regex::bytes::Regex::new("INC-").unwrap()],
        command: vec!["kbisect".into(), "--redact-pattern".into(), "INC-4711".into()],
        ..BundleOptions::default()
    };
    let packed = bytes(&dir, options());
    assert_eq!(packed, bytes(&dir, options()));
    let files = unpacked(&packed);
    let old: [&[u8]; 9] = [
        b"192.0.2.10",
        b"192.0.2.1:",
        &[192, 0, 2, 10],
        b"02:6b:ab:e5:38:ae",
        &[2, 0, 0, 0, 0, 2, 8, 0],
        b"INC-4711",
        b"buildhost7",
        b"wiki.corp",
        b"Host: server",
    ];
    for (name, (_, content)) in &files {
        for old in old {
            let there = content.windows(old.len()).any(|window| window == old);
            assert!(!there, "{:?} in {name}", String::from_utf8_lossy(old));
        }
    }
    let text = |name: &str| String::from_utf8(files[name].1.clone()).unwrap();
    // Still one story: the connection in the report is the one in the capture.
    assert!(
        text("report.txt").contains("21.0.1.10:40002 -> 21.0.1.1:80"),
        "{}",
        text("report.txt")
    );
    let capture = &files["trials/03-6.12.69/wires/lan.pcapng"].1;
    assert!(capture.windows(4).any(|window| window == [21, 0, 1, 10]));
    serde_json::from_str::<serde_json::Value>(&text("result.json")).unwrap();
    assert!(text("manifest.json").contains("\"placeholder\": \"21.0.1.10\""));
    assert!(text("scenario/scenario.json").contains("21.0.1.10/24"));
}

#[test]
fn a_secret_that_remains_stops_the_bundle() {
    let dir = run();
    let trial = dir.path().join("trials/03-6.12.69");
    fs::write(trial.join("candidate/qemu.log"), "one\n-----BEGIN PRIVATE KEY-----\n").unwrap();
    let secrets = vec![regex::bytes::Regex::new("BEGIN [A-Z ]*KEY").unwrap()];
    let options = BundleOptions { secrets, ..BundleOptions::default() };
    let error = Bundle::new(&dossier(&dir), options).unwrap_err();
    assert!(matches!(error, BundleError::Secret { .. }));
    let said = error.to_string();
    assert!(said.contains("trials/03-6.12.69/candidate/qemu.log (line 2)"), "{said}");
    assert!(!said.contains("BEGIN"), "{said}");
    assert!(error.hint().unwrap().contains("nothing was written"));
}

#[test]
fn what_cannot_go_along_is_left_out_and_said_so() {
    let dir = run();
    let trial = dir.path().join("trials/03-6.12.69");
    fs::write(trial.join("vmcore.kdump"), [0; 64]).unwrap();
    fs::write(trial.join("blob"), [0xff, 0, 0xfe, 0].repeat(16)).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", trial.join("link")).unwrap();
    let redact = Some(rules(&[]));
    let bundle =
        Bundle::new(&dossier(&dir), BundleOptions { redact, ..BundleOptions::default() }).unwrap();
    let left: Vec<&str> = bundle.left_out.iter().map(|(path, _)| path.as_str()).collect();
    for name in ["vmcore.kdump", "blob", "link"] {
        assert!(left.iter().any(|path| path.ends_with(name)), "{name}: {left:?}");
    }
    let mut out = Vec::new();
    bundle.write(&mut out).unwrap();
    let readme = String::from_utf8(unpacked(&out)["README.txt"].1.clone()).unwrap();
    assert!(readme.contains("vmcore.kdump: a memory dump (64 bytes)"), "{readme}");
}

/// A mirror is named in what comes from the store, and nowhere in the run's folder.
#[test]
fn the_mirror_of_a_kernel_is_replaced_too() {
    let dir = run();
    let meta = "{\"url\": \"http://aptcache:3142/debian/pool/x.deb\", \"proxy\": \
                \"http://joe:hunter2@10.77.1.2:3128/\", \"sha\": \"deb.corp.example\", \"at\": \
                \"http://server/x\"}\n";
    let files = vec![BundleFile::text("versions/kernel-6.12.69.json", meta.to_owned())];
    let options = BundleOptions {
        files,
        redact: Some(rules(&[])),
        command: vec!["kbisect".into(), "--mirror=http://10.88.1.2/debian".into()],
        ..BundleOptions::default()
    };
    let files = unpacked(&bytes(&dir, options));
    for (name, (_, content)) in &files {
        let content = String::from_utf8_lossy(content);
        for old in ["aptcache", "10.77.1.2", "hunter2", "deb.corp", "10.88.1.2"] {
            assert!(!content.contains(old), "{old} in {name}: {content}");
        }
    }
}

/// A file too large to be held, of which the end has an address that nothing else names.
#[test]
fn a_file_of_any_size_is_redacted() {
    let dir = run();
    let trial = dir.path().join("trials/03-6.12.69");
    let line = "[   12.000000] eth0: link becomes ready, nothing to see here\n";
    let mut log = line.repeat((40 << 20) / line.len());
    log += "peer 10.99.7.5 with 52-54-00-aa-bb-cc\n\u{fffd} last 10.99.7.6\n";
    let mut log = log.into_bytes();
    log.extend(b"\xff\xfe stray bytes, 10.99.7.7\n");
    fs::write(trial.join("candidate/qemu.log"), log).unwrap();
    let options = BundleOptions { redact: Some(rules(&[])), ..BundleOptions::default() };
    let files = unpacked(&bytes(&dir, options));
    let text = String::from_utf8_lossy(&files["trials/03-6.12.69/candidate/qemu.log"].1);
    let end = &text[text.len() - 120..];
    assert!(end.contains("peer 10.0.") && end.contains("with 02-00-00-00-00-0"), "{end}");
    for old in ["10.99.7", "52-54-00"] {
        assert!(!text.contains(old), "{old}: {end}");
    }
}
