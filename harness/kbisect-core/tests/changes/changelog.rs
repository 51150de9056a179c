//! Debian's changelog: entries, stable releases, marks, ranges.

use kbisect_core::changes::{Change, Changelog};
use kbisect_core::kernel::KernelId;
use kbisect_core::kernel::Variant;
use kbisect_core::version::PackageVersion;
use proptest::prelude::*;

use crate::{LOG, debian, local};

fn subjects(changes: &[Change]) -> Vec<&str> {
    changes.iter().map(|change| change.subject.as_str()).collect()
}

#[test]
fn bullets_become_changes_with_their_release_and_numbers() {
    let log = Changelog::parse(LOG);
    let versions: Vec<_> = log.entries.iter().map(|entry| entry.version.as_str()).collect();
    assert_eq!(versions, ["6.12.9-1~bpo12+1", "6.12.9-1", "6.12.7-2", "6.12.7-1", "6.12-1~exp1"]);
    assert!(log.truncated);
    assert_eq!(log.entries[0].changes, [], "a rebuild is no change");
    let changes = &log.entries[1].changes;
    let expected = [
        "net: tidy the queue of the loopback device before it is handed to the next one",
        "bridge: align a table",
        "mm: count pages twice",
        "[media] tuner: sleep longer",
        "gatekeeper: Enable GATEKEEPER as module",
    ];
    assert_eq!(subjects(changes), expected);
    let releases: Vec<_> = changes.iter().map(|change| change.release.as_deref()).collect();
    let (eight, nine) = (Some("6.12.8"), Some("6.12.9"));
    assert_eq!(releases, [eight, eight, nine, nine, None]);
    assert_eq!(changes[0].cves, ["CVE-2026-10001"]);
    assert_eq!(changes[1].limited_to, ["arm64"]);
    assert_eq!(changes[2].limited_to, ["x86", "arm64"]);
    assert_eq!(changes[3].bugs, ["1012345", "1012346"]);
    assert_eq!(changes[4].package_version.as_deref(), Some("6.12.9-1"));
    assert_eq!(log.entries[3].changes[0].release.as_deref(), Some("6.12.7"));
    assert_eq!(log.entries[4].unlisted, ["6.12"]);
}

#[test]
fn the_range_begins_after_the_good_end_and_holds_the_bad_one() {
    let log = Changelog::parse(LOG);
    let segment = log.between(&debian("6.12.7-1"), &debian("6.12.9-1"));
    assert_eq!(segment.changes[0].subject, "Fix a build failure", "the oldest comes first");
    assert_eq!(segment.changes.len(), 6);
    assert_eq!(segment.notes, [] as [String; 0]);
    // A rebuild is the same kernel as what it was built from.
    let rebuilt = log.between(&debian("6.12.7-1~bpo12+1"), &debian("6.12.9-1~bpo12+1"));
    assert_eq!(rebuilt, segment);
    let revision = log.between(&debian("6.12.7-1"), &debian("6.12.7-2"));
    assert_eq!(subjects(&revision.changes), ["Fix a build failure"]);
    assert_eq!(log.between(&debian("6.12.9-1"), &debian("6.12.9-1")).changes, []);
}

#[test]
fn kernels_that_are_no_packages_are_found_by_their_release() {
    let log = Changelog::parse(LOG);
    let segment = log.between(&local("6.12.8"), &local("6.12.9"));
    // 6.12.8 and 6.12.9 came with one package; what is its own belongs to its release.
    let expected = [
        "mm: count pages twice",
        "[media] tuner: sleep longer",
        "gatekeeper: Enable GATEKEEPER as module",
    ];
    assert_eq!(subjects(&segment.changes), expected);
    assert!(segment.notes[0].starts_with("not both kernels are packages"), "{:?}", segment.notes);
}

#[test]
fn what_the_list_lacks_is_said() {
    let log = Changelog::parse(LOG);
    let segment = log.between(&debian("6.11.2-1"), &debian("6.12.9-1"));
    let said = |what: &str| segment.notes.iter().any(|note| note.contains(what));
    assert!(said("crosses from stable series 6.11 to 6.12"), "{:?}", segment.notes);
    assert!(said("does not list the commits of 6.12"), "{:?}", segment.notes);
    assert!(said("begins with 6.12-1~exp1"), "{:?}", segment.notes);
    let mut variant = debian("6.12.9-1");
    variant.variant = Some(Variant {
        base: PackageVersion::parse("6.12.9-1").unwrap(),
        base_id: KernelId(String::new()),
        modules: vec!["vrf".to_owned()],
        cmdline: Vec::new(),
    });
    let segment = log.between(&debian("6.12.7-1"), &variant);
    assert!(segment.notes[0].contains("variant of 6.12.9-1 (module vrf)"), "{:?}", segment.notes);
}

#[test]
fn a_changelog_tells_of_its_versions_only() {
    let log = Changelog::parse(LOG);
    let has = |version: &str| log.has(&PackageVersion::parse(version).unwrap());
    assert!(has("6.12.7-2") && has("6.12.7-1~bpo12+1") && !has("6.12.8-1"));
}

#[test]
fn hostile_text_is_bounded_and_clean() {
    let long = "x".repeat(100_000);
    let text = format!(
        "linux (1.2-1) a; urgency=low\n\n  * net:\u{1b}[2J \u{202e}y\n    - {long}\n      {long}\n  * [{long}] z\n"
    );
    let log = Changelog::parse(&text);
    let changes = &log.entries[0].changes;
    assert_eq!(changes[0].subject, "net:[2J y");
    assert!(changes.iter().all(|change| change.subject.len() <= 400));
    let many = "linux (1.2-1) a; urgency=low\n".repeat(50_000);
    let log = Changelog::parse(&many);
    assert!(log.truncated && log.entries.len() < 25_000);
    for nonsense in
        ["", "  * a", "    - a", "linux (x) a;", "linux (1) ", " --", "linux ()) ;\n  * b"]
    {
        assert_eq!(Changelog::parse(nonsense).entries.len(), 0, "{nonsense:?}");
    }
}

proptest! {
    /// Whatever is read can be cut, and nothing is cut out that was not read.
    #[test]
    fn any_lines_are_read(lines in proptest::collection::vec("( {0,6}[*-]? ?.{0,40}|linux \\([0-9.]{1,6}-1\\) a; b)", 0..40)) {
        let log = Changelog::parse(&lines.join("\n"));
        let all: usize = log.entries.iter().map(|entry| entry.changes.len()).sum();
        let segment = log.between(&debian("0-1"), &debian("99999999-1"));
        prop_assert!(segment.changes.len() <= all);
        prop_assert!(all <= lines.len());
    }
}
