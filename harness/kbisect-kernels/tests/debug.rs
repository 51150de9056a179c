//! Debug packages, against a small signed archive on this host.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use std::collections::BTreeSet;
use std::fs;

use kbisect_core::kernel::KernelId;
use kbisect_kernels::{Catalog, DebugInfoError, PruneRule, Settings, Silent, Store};
use support::archive::{Archive, Package, kernel, package, suite};
use support::{Record, chain, deb, settings};

const RELEASE: &str = "6.12.57+deb13-cloud-amd64";
const VERSION: &str = "6.12.57-1";

fn debug_package(version: &str) -> Package {
    let folder = format!("./usr/lib/debug/lib/modules/{RELEASE}");
    let entries = [
        deb::file(format!("./usr/lib/debug/boot/vmlinux-{RELEASE}"), "symbols of the kernel"),
        deb::file(format!("{folder}/kernel/nf_tables.ko"), "symbols of nf_tables"),
        deb::file(format!("{folder}/kernel/nft-fake.ko.debug"), "symbols of nft_fake"),
        deb::Entry::Link(format!("{folder}/vmlinux"), "../../../boot/vmlinux".to_owned()),
    ];
    let name = format!("linux-image-{RELEASE}-dbg");
    let data = deb::deb(&name, version, &entries);
    package(&name, version, data)
}

/// A store that holds the kernel.
fn stored(settings: &Settings) -> (Store, KernelId) {
    let store = Store::open(&settings.cache_dir).unwrap();
    let catalog = Catalog::load(settings, &store, &Silent).unwrap();
    let candidate = catalog.resolve("6.12.57").unwrap();
    let id = store.ensure(&candidate, settings, &Silent).unwrap().kernel.id;
    (store, id)
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn what_is_asked_for_is_fetched_once_and_unpacked() {
    let packages = vec![kernel("6.12.57+deb13", VERSION), debug_package(VERSION)];
    let archive = Archive::new(vec![suite("trixie", packages)]);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), archive.options(&["trixie"]));
    let (store, id) = stored(&settings);
    let record = Record::default();
    let found = store.debug_info(&id, &names(&["nft_fake", "../x"]), &settings, &record).unwrap();
    assert_eq!(fs::read_to_string(&found.vmlinux).unwrap(), "symbols of the kernel");
    assert_eq!(found.modules.keys().collect::<Vec<_>>(), ["nft_fake"]);
    assert_eq!(fs::read_to_string(&found.modules["nft_fake"]).unwrap(), "symbols of nft_fake");
    assert_eq!(found.package, format!("linux-image-{RELEASE}-dbg {VERSION}"));
    assert!(record.begun.lock().unwrap().contains(&format!("linux-image-{RELEASE}-dbg")));
    // Another module of the same kernel needs no network.
    let offline = Settings { offline: true, ..settings };
    let found = store.debug_info(&id, &names(&["nf_tables"]), &offline, &Silent).unwrap();
    assert_eq!(fs::read_to_string(&found.modules["nf_tables"]).unwrap(), "symbols of nf_tables");
}

#[test]
fn debug_packages_go_when_there_is_no_room_for_them() {
    let packages = vec![kernel("6.12.57+deb13", VERSION), debug_package(VERSION)];
    let archive = Archive::new(vec![suite("trixie", packages)]);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), archive.options(&["trixie"]));
    let (store, id) = stored(&settings);
    let fetch = || store.debug_info(&id, &names(&[]), &settings, &Silent).unwrap();
    let vmlinux = fetch().vmlinux;
    let name = format!("linux-image-{RELEASE}-dbg_{VERSION}");
    let rule = |max_bytes, dry_run| PruneRule { max_bytes, dry_run, ..PruneRule::default() };
    let size = store.get(&id).unwrap().size;
    let none = store.prune(&rule(Some(u64::MAX), false)).unwrap();
    assert!(none.debug_removed.is_empty() && none.left_bytes > size, "{none:?}");
    let would = store.prune(&rule(Some(size), true)).unwrap();
    assert_eq!((would.debug_removed, would.removed.len()), (vec![name.clone()], 0));
    assert!(vmlinux.exists());
    let done = store.prune(&rule(Some(size), false)).unwrap();
    assert_eq!((done.debug_removed, done.left_bytes), (vec![name.clone()], size));
    assert!(!vmlinux.exists());
    // What is wanted again is fetched again.
    assert!(fetch().vmlinux.exists());
    let all = PruneRule { keep: Some(0), ..PruneRule::default() };
    assert_eq!(store.prune(&all).unwrap().debug_removed, [name]);
}

#[test]
fn what_cannot_be_had_is_said() {
    // The archive went on to another version, as it does.
    let packages = vec![kernel("6.12.57+deb13", VERSION), debug_package("6.12.57-2")];
    let archive = Archive::new(vec![suite("trixie", packages)]);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), archive.options(&["trixie"]));
    let (store, id) = stored(&settings);
    let error = store.debug_info(&id, &names(&[]), &settings, &Silent).unwrap_err();
    let DebugInfoError::Absent { package, version, .. } = &error else { panic!("{error}") };
    assert_eq!(
        (package.as_str(), version.as_str()),
        (&*format!("linux-image-{RELEASE}-dbg"), VERSION)
    );
    let offline = Settings { offline: true, ..settings.clone() };
    let error = store.debug_info(&id, &names(&[]), &offline, &Silent).unwrap_err();
    assert!(matches!(error, DebugInfoError::Offline), "{error}");
    let unknown = KernelId("0".repeat(64));
    let error = store.debug_info(&unknown, &names(&[]), &settings, &Silent).unwrap_err();
    assert!(matches!(error, DebugInfoError::NotArchived { .. }), "{error}");
}

#[test]
fn a_package_that_was_tampered_with_is_refused() {
    let packages = vec![kernel("6.12.57+deb13", VERSION), debug_package(VERSION)];
    let archive = Archive::new(vec![suite("trixie", packages)]);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), archive.options(&["trixie"]));
    let (store, id) = stored(&settings);
    let path = archive.pool(&format!("linux-image-{RELEASE}-dbg"), VERSION);
    let mut data = fs::read(&path).unwrap();
    *data.last_mut().unwrap() ^= 0xff;
    fs::write(&path, data).unwrap();
    let error = store.debug_info(&id, &names(&[]), &settings, &Silent).unwrap_err();
    assert!(chain(&error).contains("SHA-256"), "{}", chain(&error));
    let left = fs::read_dir(settings.cache_dir.join("debug/v1")).unwrap().flatten();
    let packages = left.filter(|entry| entry.path().join("package.deb").exists()).count();
    assert_eq!(packages, 0);
}
