//! Changelogs and git logs, cut to a range and ranked. Words of the input are what they are ranked
//! by, too, so that names meet.

use kbisect_core::changes::{
    ChangeSource, Changelog, Clues, Ranking, Segment, TOP, rank, read_git_log,
};
use kbisect_core::kernel::{Kernel, KernelId};
use kbisect_core::version::PackageVersion;

pub(super) fn target(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let log = Changelog::parse(&text);
    let mut clues = Clues::default();
    clues.text(&text.chars().take(300).collect::<String>());
    for (source, old, new) in [
        ("debian:x", "6.12.57-1", "6.12.69-1~bpo12+1"),
        ("local", "6.1.9", "6.13"),
        ("debian:x", "0-1", "99999999-1"),
    ] {
        let segment = log.between(&kernel(source, old), &kernel(source, new));
        let all: usize = log.entries.iter().map(|entry| entry.changes.len()).sum();
        assert!(segment.changes.len() <= all, "{} of {all}", segment.changes.len());
        check(segment, &clues);
    }
    check(read_git_log(&text), &clues);
}

fn check(segment: Segment, clues: &Clues) {
    for change in &segment.changes {
        assert!(!change.subject.chars().any(char::is_control), "{:?}", change.subject);
        assert!(change.subject.len() <= 400, "{} bytes", change.subject.len());
    }
    let count = segment.changes.len();
    let source = ChangeSource::Git { repository: String::new(), range: String::new() };
    let ranking = rank(segment, clues, source, "1", "2");
    assert!(ranking.top.len() <= TOP.min(count));
    assert!(ranking.considered.touching <= count && ranking.considered.changes == count);
    assert!(ranking.top.is_sorted_by(|a, b| a.score >= b.score), "the most suspect comes first");
    let text = serde_json::to_string(&ranking).expect("texts and finite numbers");
    let back: Ranking = serde_json::from_str(&text).expect("what was written is read");
    assert_eq!(back, ranking, "a journal keeps it");
}

fn kernel(source: &str, version: &str) -> Kernel {
    let package_version = PackageVersion::parse(version).expect("a version");
    Kernel {
        version: package_version.upstream().to_owned(),
        package_version,
        flavour: String::new(),
        source: source.to_owned(),
        id: KernelId(String::new()),
        release: None,
        name: None,
        variant: None,
    }
}
