//! Bundles: the same bytes for the same run, sums that fit, nothing left of what was redacted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use common::folder::{dossier, written};
use common::{Does, Play};
use kbisect_report::{
    Bundle, BundleError, BundleFile, BundleOptions, Carries, RedactRules, Redactor, pattern,
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

fn redactor(dir: &Path, patterns: &[&str]) -> Redactor {
    fn read(folder: &Path, to: &mut Vec<Vec<u8>>) {
        let mut paths: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() { read(&path, to) } else { to.push(fs::read(path).unwrap()) }
        }
    }
    let mut files = Vec::new();
    read(dir, &mut files);
    let patterns = patterns.iter().map(|text| pattern(text).unwrap()).collect();
    let rules = RedactRules { patterns, names: vec!["buildhost7".to_owned()] };
    Redactor::new(rules, files.iter().map(Vec::as_slice))
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
        redact: Some(redactor(dir.path(), &["INC-[0-9]+"])),
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
    let redact = Some(redactor(dir.path(), &[]));
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
