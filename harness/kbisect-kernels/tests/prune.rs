//! Removing kernels from the store. In a process of its own: a program that another test starts
//! would hold our locks too, from its fork to its exec.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use std::fs;
use std::time::Duration;

use kbisect_kernels::{AddRequest, PruneRule, Silent, Store};
use support::deb;

#[test]
fn pruning_keeps_what_was_used_last_and_what_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("cache")).unwrap();
    let make = |n: u32| {
        let image = deb::image(&format!("6.1.{n}"), "");
        let file = dir.path().join(format!("bzImage-{n}"));
        fs::write(&file, image).unwrap();
        store.add(&AddRequest { inputs: vec![file], ..AddRequest::default() }, &Silent).unwrap()
    };
    let in_use = make(1);
    let others: Vec<_> = (2..6).map(|n| make(n).kernel).collect();
    // Uses in a known order: the later, the larger the number.
    for (n, kernel) in others.iter().enumerate() {
        let lock = store.dir().join("locks").join(format!("{}.use", kernel.id));
        let time = std::time::SystemTime::now() - Duration::from_secs(1000 - n as u64);
        fs::File::options().write(true).open(lock).unwrap().set_modified(time).unwrap();
    }
    let lock = store.dir().join("locks").join(format!("{}.use", in_use.kernel.id));
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(9000);
    fs::File::options().write(true).open(lock).unwrap().set_modified(long_ago).unwrap();
    let report = store.prune(&PruneRule::default()).unwrap();
    assert!(report.removed.is_empty(), "no rule, no loss");
    let rule = PruneRule { keep: Some(2), dry_run: true, ..PruneRule::default() };
    assert_eq!(store.prune(&rule).unwrap().removed.len(), 2);
    assert_eq!(store.list().unwrap().len(), 5, "a dry run removes nothing");
    let report = store.prune(&PruneRule { dry_run: false, ..rule }).unwrap();
    let mut removed: Vec<_> = report.removed.iter().map(|k| k.version.as_str()).collect();
    removed.sort_unstable();
    assert_eq!(removed, ["6.1.2", "6.1.3"]);
    assert_eq!(report.in_use.len(), 1);
    assert!(report.freed_bytes > 60_000 && report.left_bytes > 90_000, "{report:?}");
    let vmlinuz = in_use.vmlinuz.clone();
    assert!(vmlinuz.is_file());
    drop(in_use);
    let old = Duration::from_secs(5000);
    let named = vec![store.list().unwrap()[0].kernel.id.clone()];
    let rule = PruneRule { named, dry_run: true, ..PruneRule::default() };
    let removed = store.prune(&rule).unwrap().removed;
    assert_eq!(removed.into_iter().map(|kernel| kernel.id).collect::<Vec<_>>(), rule.named);
    let rule = PruneRule { older_than: Some(old), ..PruneRule::default() };
    assert_eq!(store.prune(&rule).unwrap().removed.len(), 1);
    assert!(!vmlinuz.exists());
    let rule = PruneRule { max_bytes: Some(40_000), ..PruneRule::default() };
    assert_eq!(store.prune(&rule).unwrap().removed[0].version, "6.1.4");
    assert_eq!(store.list().unwrap()[0].kernel.version, "6.1.5");
    assert!(fs::read_dir(store.dir().join("tmp")).unwrap().next().is_none());
}
