//! `kbisect scenario import kselftest` from outside, of a stand-in for a kernel's source. Nothing boots.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const TESTS: &str = "tree/tools/testing/selftests";

/// A place with a source tree.
fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let files = [
        ("net/Makefile", "TEST_PROGS := one.sh \\\n\ttwo.sh\nTEST_GEN_FILES := sender\n"),
        ("net/one.sh", "#!/bin/bash\nsource lib.sh\n./sender | jq . && netperf\n"),
        ("net/two.sh", "#!/bin/sh\necho \"TEST: nothing   [ OK ]\"\n"),
        ("net/lib.sh", "ksft_skip=4\n"),
        ("net/sender.c", "#include <stdio.h>\nint main(void) { return puts(\"{}\") < 0; }\n"),
        ("net/broken.sh", "#!/bin/sh\n./no_program\n"),
        ("net/no_program.c", "int main(void) { return missing_name; }\n"),
        ("net/binary.sh", "\u{7f}ELF"),
    ];
    for (path, content) in files {
        let path = place.path().join(TESTS).join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    place
}

fn kbisect(place: &Path, path: Option<&str>, line: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbisect"));
    command
        .args(line.split_whitespace())
        .current_dir(place)
        .env("HOME", place)
        .env("XDG_CACHE_HOME", place.join("cache"))
        .env("XDG_CONFIG_HOME", place.join("config"));
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let stderr = text(&output.stderr);
    assert!(!stderr.contains("panicked"), "{line}: {stderr}");
    (output.status.code().unwrap(), text(&output.stdout), stderr)
}

#[test]
fn scripts_come_with_what_they_need() {
    let place = place();
    let place = place.path();
    let line = "scenario import kselftest net --tree ./tree --learn none --output new";
    let (code, stdout, stderr) = kbisect(place, None, line);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("./tree: 2 checks\n  one on host"), "{stdout}");
    assert!(stderr.contains("`net/one.sh`: it calls programs that the root image's release has no package of: netperf"), "{stderr}");
    let files = place.join("new/selftests");
    for file in ["start", "net/one.sh", "net/two.sh", "net/lib.sh"] {
        assert!(files.join(file).is_file(), "{file}");
    }
    assert!(fs::read(files.join("net/sender")).unwrap().starts_with(b"\x7fELF"));
    assert!(!files.join("net/sender.c").exists());
    let text = fs::read_to_string(place.join("new/scenario.toml")).unwrap();
    assert!(text.contains("image = { packages = [\"bc\", \"jq\", "), "{text}");
    assert!(text.contains("\"{assets}/selftests\", \"net/two.sh\""), "{text}");
    let (code, _, stderr) = kbisect(place, None, "scenario check ./new");
    assert_eq!(code, 0, "{stderr}");
    // One check alone.
    let (code, stdout, stderr) = kbisect(place, None, "scenario show ./new:two");
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("new:two:") && !stdout.contains("one.sh,"), "{stdout}");
    let (code, _, stderr) = kbisect(place, None, "scenario show ./new:tow");
    assert_eq!(code, 2);
    assert!(stderr.contains("no flavour and no check `tow`"), "{stderr}");
    assert!(stderr.contains("did you mean `two`?"), "{stderr}");
}

#[test]
fn what_cannot_be_taken_over_is_named_with_the_next_step() {
    let place = place();
    let place = place.path();
    for (words, says) in [
        ("net/on.sh --tree ./tree", ["no self-test `net/on.sh`", "net/one.sh"]),
        ("net/../../x --tree ./tree", ["`net/../../x` leads out", "net/fib_tests.sh"]),
        ("net/binary.sh --tree ./tree", ["`net/binary.sh` is no script", "name a shell script"]),
        ("net/one.sh --tree ./gone", ["gone", "--tree"]),
        ("net/one.sh --tree ./tree/tools", ["no tools/testing/selftests/net", "linux-source"]),
        (
            "net/one.sh --tree linux-source-9.99 --offline",
            ["linux-source-9.99 is not in the cache", "without --offline"],
        ),
    ] {
        let line = format!("scenario import kselftest {words} --learn none --output new");
        let (code, _, stderr) = kbisect(place, None, &line);
        assert!([2, 69].contains(&code), "{words}: {stderr}");
        for part in says {
            assert!(stderr.contains(part), "{words}: {stderr}");
        }
        assert!(!place.join("new").exists());
    }
    let (code, _, stderr) = kbisect(place, None, "scenario import ktap a b");
    assert_eq!(code, 2);
    assert!(stderr.contains("one file at a time"), "{stderr}");
    let (code, _, stderr) = kbisect(place, None, "scenario import ktap a --tree ./tree");
    assert_eq!(code, 2);
    assert!(stderr.contains("--tree is about self-tests"), "{stderr}");
}

/// A script is taken over without its helper, and who reads that knows what is missing.
#[test]
fn a_helper_that_is_not_built_is_named() {
    let place = place();
    let place = place.path();
    let line =
        "scenario import kselftest net/broken.sh --tree ./tree --learn none --output new --json";
    let (code, stdout, stderr) = kbisect(place, None, line);
    assert_eq!(code, 0, "{stderr}");
    let document: Value = serde_json::from_str(&stdout).unwrap();
    let reason = document["remarks"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("`net/no_program`") && reason.contains("missing_name"), "{reason}");
    assert_eq!(document["checks"].as_array().unwrap().len(), 1);
    // No compiler at all.
    let line = "scenario import kselftest net/one.sh --tree ./tree --learn none --output other";
    let (code, _, stderr) = kbisect(place, Some("/nowhere"), line);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("`net/one.sh`: its helper `net/sender` is not built"), "{stderr}");
    assert!(stderr.contains("install `gcc` and `libc6-dev`"), "{stderr}");
}
