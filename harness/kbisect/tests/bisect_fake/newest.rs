//! `kbisect check --newest`, against a signed archive of its own.

use std::process::{Command, Stdio};

use crate::place::{BAD, Ended, Place};
use crate::support::archive::{Archive, Package, package, suite};
use crate::support::deb;

/// A kernel package that the stand-in plays a script from.
fn kernel(release: &str, version: &str, script: &str) -> Package {
    let release = format!("{release}-cloud-amd64");
    let image = kbisect_fake_qemu::image(&release, script);
    let mut entries = deb::modules("./", &release);
    entries.push(deb::file(format!("./boot/vmlinuz-{release}"), image));
    entries.push(deb::file(format!("./boot/config-{release}"), "CONFIG_SQUASHFS_LZ4=y\n"));
    // Packages that are nearly empty are taken for those that only pull in others.
    entries.push(deb::file("./usr/share/noise", deb::image("noise", "0")));
    let name = format!("linux-image-{release}");
    let data = deb::deb(&name, version, &entries);
    package(&name, version, data)
}

pub fn archive() -> Archive {
    Archive::new(vec![
        suite(
            "bookworm",
            vec![kernel("6.1.0-1", "6.1.170-1", ""), kernel("6.1.0-2", "6.1.176-1", "")],
        ),
        suite(
            "bookworm-security",
            vec![
                kernel("6.1.0-3", "6.1.180-1", BAD),
                kernel("6.12.5+deb12", "6.12.5-1~deb12u1", ""),
            ],
        ),
        suite("bookworm-backports", vec![kernel("6.12.9+deb12", "6.12.9-1~bpo12+1", "")]),
        crate::support::archive::Suite {
            valid_until: Some("Thu, 01 Jan 2015 00:00:00 UTC"),
            ..suite("trixie", vec![kernel("6.12.20+deb13", "6.12.20-1", "")])
        },
    ])
}

fn run(place: &Place, archive: &Archive, words: &str, suites: &[&str]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbisect"));
    command.args(words.split_whitespace());
    command.args(["--mirror", &format!("{}/debian", archive.server.url)]);
    command.args(["--security-mirror", &format!("{}/debian-security", archive.server.url)]);
    command.arg("--keyring").arg(archive.key.keyring());
    for suite in suites {
        command.args(["--suite", suite]);
    }
    command.arg("--cache").arg(place.path("cache"));
    command.arg("--qemu").arg(kbisect_fake_qemu::path()).args(["--accel", "tcg"]);
    command.current_dir(place.path("")).env("HOME", place.path("home"));
    command.env("XDG_CONFIG_HOME", place.path("config")).stdin(Stdio::null());
    Ended::of(command.output().unwrap())
}

#[test]
fn the_newest_kernel_of_a_release_is_compared_with_the_one_before_it() {
    let (place, archive) = (Place::new(), archive());
    let words = "check --newest bookworm --scenario smoke --reference 6.1.100 --json";
    let ended = run(&place, &archive, words, &[]).code(1);
    let result = ended.json();
    assert_eq!(result["newest_of"], "bookworm");
    assert_eq!(result["kernels"][0]["package_version"], "6.1.180-1", "{}", ended.stderr);
    assert_eq!(result["baseline"]["package_version"], "6.1.176-1");
    assert_eq!(result["outcome"], "regressed");
    assert!(
        ended.stderr.contains("the newest kernel of bookworm is 6.1.180-1"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("baseline: the one before it, 6.1.176-1"), "{}", ended.stderr);
    let words =
        "check --newest bookworm --baseline 6.1.170 --scenario smoke --reference 6.1.100 --json";
    let result = run(&place, &archive, &format!("{words} --results b"), &[]).code(1).json();
    assert_eq!(result["baseline"]["package_version"], "6.1.170-1");
}

#[test]
fn the_first_kernel_of_a_suite_has_no_baseline_and_says_so() {
    let (place, archive) = (Place::new(), archive());
    let words = "check --newest bookworm-backports --scenario smoke --reference 6.1.100 --json";
    let ended = run(&place, &archive, words, &[]).code(0);
    assert_eq!(ended.json()["baseline"], serde_json::Value::Null);
    assert!(ended.stderr.contains("there is none before it"), "{}", ended.stderr);
}

#[test]
fn a_suite_that_is_unknown_or_expired_is_an_error_that_names_it() {
    let (place, archive) = (Place::new(), archive());
    let words =
        |suite: &str| format!("check --newest {suite} --scenario smoke --reference 6.1.100");
    let ended = run(&place, &archive, &words("forky"), &[]).code(2);
    assert!(ended.stderr.contains("suite `forky` is not on the mirror"), "{}", ended.stderr);
    let ended = run(&place, &archive, &words("trixie"), &[]).code(69);
    assert!(ended.stderr.contains("the index of suite `trixie` expired"), "{}", ended.stderr);
    assert!(ended.stderr.contains("--allow-expired-index"), "{}", ended.stderr);
    let ended = run(&place, &archive, &(words("forky") + " --offline"), &["bookworm"]).code(2);
    assert!(ended.stderr.contains("no kernel for the suite `forky`"), "{}", ended.stderr);
    let ended = run(&place, &archive, "check --newest bookworm 6.1.170 -s smoke", &[]).code(2);
    assert!(ended.stderr.contains("cannot be used with"), "{}", ended.stderr);
}

/// One kernel that is packed in a new way must not end the map of fifty.
#[test]
fn packages_without_an_image_are_no_answer_and_no_failure_of_the_host() {
    let place = Place::new();
    let name = "linux-image-6.1.0-2-cloud-amd64";
    let mut entries = deb::modules("./", "6.1.0-2-cloud-amd64");
    entries.push(deb::file("./usr/share/noise", deb::image("noise", "0")));
    let empty = package(name, "6.1.176-1", deb::deb(name, "6.1.176-1", &entries));
    let archive =
        Archive::new(vec![suite("bookworm", vec![kernel("6.1.0-1", "6.1.170-1", ""), empty])]);
    let words = "check 6.1.170..6.1.176 --scenario smoke --reference 6.1.100 --json";
    let result = run(&place, &archive, words, &[]).code(1).json();
    assert_eq!(result["outcome"], "not-tested");
    let kernels = &result["maps"][0]["series"][0]["kernels"];
    assert_eq!((&kernels[0]["answer"], &kernels[1]["answer"]), (&"good".into(), &"skip".into()));
    let reason = kernels[1]["reason"].as_str().unwrap();
    assert!(reason.contains("no kernel image"), "{reason}");
}
