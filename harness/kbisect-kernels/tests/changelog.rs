//! The kernel's changelog, out of a package of a small signed archive on this host, and the log of a
//! git repository.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use kbisect_core::kernel::Kernel;
use kbisect_core::version::PackageVersion;
use kbisect_kernels::{
    Catalog, ChangelogError, GitLogError, Settings, Silent, Store, changelog, changelog_file,
    git_log,
};
use support::archive::{Archive, Package, kernel, package, suite};
use support::{Record, chain, deb, settings};

const PLACE: &str = "./usr/share/doc/linux-libc-dev/changelog.Debian.gz";

fn text(versions: &[&str]) -> String {
    versions
        .iter()
        .map(|version| {
            format!("linux ({version}) trixie; urgency=medium\n\n  * net: change of {version}\n\n -- A <a@b>  x\n\n")
        })
        .collect()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn headers(version: &str, entries: &[deb::Entry]) -> Package {
    package("linux-libc-dev", version, deb::deb("linux-libc-dev", version, entries))
}

fn with_log(version: &str, versions: &[&str]) -> Package {
    headers(version, &[deb::file(PLACE, gz(text(versions).as_bytes()))])
}

fn of(settings: &Settings, version: &str) -> Kernel {
    let store = Store::open(&settings.cache_dir).unwrap();
    let catalog = Catalog::load(settings, &store, &Silent).unwrap();
    catalog.resolve(version).unwrap().kernel
}

#[test]
fn the_next_newer_package_of_the_series_is_fetched_once() {
    let trixie = vec![
        kernel("6.12.57+deb13", "6.12.57-1"),
        kernel("6.12.69+deb13", "6.12.69-1"),
        with_log("6.12.73-1", &["6.12.73-1", "6.12.69-1", "6.12.57-1"]),
        with_log("6.12.63-1", &["6.12.63-1", "6.12.57-1"]),
    ];
    // Newer, and of the series' next one.
    let testing = vec![kernel("6.16.3", "6.16.3-1"), with_log("6.16.3-1", &["6.16.3-1"])];
    let archive = Archive::new(vec![suite("testing", testing), suite("trixie", trixie)]);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), archive.options(&["testing", "trixie"]));
    let (old, new) = (of(&settings, "6.12.57"), of(&settings, "6.12.69"));
    let record = Record::default();
    let found = changelog(&new, &settings, &record).unwrap();
    assert_eq!((found.package.as_str(), found.version.as_str()), ("linux-libc-dev", "6.12.73-1"));
    let segment = found.log.between(&old, &new);
    let subjects: Vec<_> = segment.changes.iter().map(|change| change.subject.as_str()).collect();
    assert_eq!(subjects, ["net: change of 6.12.69-1"]);
    // The index was read for the kernels; only the package is fetched.
    assert_eq!(*record.begun.lock().unwrap(), ["linux-libc-dev 6.12.73-1"]);
    let again = Record::default();
    assert_eq!(changelog(&new, &settings, &again).unwrap(), found);
    assert_eq!(again.begun.lock().unwrap().len(), 0, "it is in the cache");
    let offline = Settings { offline: true, ..settings };
    assert_eq!(changelog(&new, &offline, &Silent).unwrap(), found);
    let other = Kernel { package_version: PackageVersion::parse("6.1.9-1").unwrap(), ..new };
    let error = changelog(&other, &offline, &Silent).unwrap_err();
    assert!(matches!(error, ChangelogError::Offline), "{error}");
}

#[test]
fn a_branch_that_lacks_the_version_is_passed_over() {
    let security = vec![
        kernel("6.12.69+deb13", "6.12.69-1"),
        with_log("6.12.70-1", &["6.12.70-1", "6.12.50-1"]),
    ];
    let trixie = vec![
        kernel("6.12.80+deb13", "6.12.80-1"),
        with_log("6.12.80-1", &["6.12.80-1", "6.12.69-1"]),
    ];
    let archive = Archive::new(vec![suite("updates", security), suite("trixie", trixie)]);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), archive.options(&["updates", "trixie"]));
    let found = changelog(&of(&settings, "6.12.69"), &settings, &Silent).unwrap();
    assert_eq!(found.version, "6.12.80-1");
}

#[test]
fn what_is_not_there_or_not_right_is_told() {
    let failure = |packages: Vec<Package>| {
        let mut all = vec![kernel("6.12.69+deb13", "6.12.69-1")];
        all.extend(packages);
        let archive = Archive::new(vec![suite("trixie", all)]);
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path(), archive.options(&["trixie"]));
        let new = of(&settings, "6.12.69");
        let error = changelog(&new, &settings, &Silent).unwrap_err();
        let left = fs::read_dir(settings.cache_dir.join("changelogs/v1"));
        assert_eq!(left.map_or(0, Iterator::count), 0, "nothing of it is kept");
        chain(&error)
    };
    let absent = "the archive has no linux-libc-dev that tells of 6.12.69-1";
    assert_eq!(failure(Vec::new()), absent);
    assert_eq!(failure(vec![with_log("6.12.63-1", &["6.12.63-1"])]), absent, "it is older");
    let none = failure(vec![headers("6.12.69-1", &[])]);
    assert!(none.contains("linux-libc-dev 6.12.69-1 holds no changelog"), "{none}");
    let link = deb::Entry::Link(PLACE.to_owned(), "/etc/passwd".to_owned());
    let link = failure(vec![headers("6.12.69-1", &[link])]);
    assert!(link.contains("holds no changelog"), "{link}");
    let nonsense = failure(vec![headers("6.12.69-1", &[deb::file(PLACE, "not gzip")])]);
    assert!(nonsense.contains("holds no changelog"), "{nonsense}");
    let large = deb::file(PLACE, vec![0_u8; 17 << 20]);
    let large = failure(vec![headers("6.12.69-1", &[large])]);
    assert!(large.contains("is larger than a file of its kind can be"), "{large}");
}

#[test]
fn a_bomb_is_read_up_to_a_bound() {
    let mut bomb = text(&["6.12.69-1"]).into_bytes();
    bomb.resize(80 << 20, b' ');
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("changelog.gz");
    fs::write(&file, gz(&bomb)).unwrap();
    assert_eq!(changelog_file(&file).unwrap().version, "6.12.69-1");
    fs::write(&file, "no changelog").unwrap();
    assert!(matches!(changelog_file(&file), Err(ChangelogError::NoChangelog { .. })));
    let missing = changelog_file(&dir.path().join("missing"));
    assert!(matches!(missing, Err(ChangelogError::Io { .. })));
}

fn git(folder: &Path, words: &[&str]) {
    let status = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(["-c", "user.name=A Person", "-c", "user.email=a@example.org"])
        .args(words)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .status()
        .unwrap();
    assert!(status.success(), "git {words:?}");
}

#[test]
fn commits_between_two_tags_have_files_and_authors() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    git(folder, &["init", "--quiet"]);
    fs::create_dir_all(folder.join("net/netfilter")).unwrap();
    for (n, tag) in ["v6.12.57", "v6.12.58", "v6.12.59"].into_iter().enumerate() {
        fs::write(folder.join("net/netfilter/nft_turnstile.c"), format!("{n}")).unwrap();
        git(folder, &["add", "."]);
        git(folder, &["commit", "--quiet", "-m", &format!("netfilter: change {n}\n\nmore")]);
        git(folder, &["tag", tag]);
    }
    let kernel = |version: &str| Kernel {
        package_version: PackageVersion::parse(version).unwrap(),
        ..kernel_of(version)
    };
    let (range, segment) = git_log(folder, &kernel("6.12.57-1"), &kernel("6.12.59-1")).unwrap();
    assert_eq!(range, "v6.12.57..v6.12.59");
    let subjects: Vec<_> = segment.changes.iter().map(|change| change.subject.as_str()).collect();
    assert_eq!(subjects, ["netfilter: change 1", "netfilter: change 2"]);
    let first = &segment.changes[0];
    assert_eq!(first.files, ["net/netfilter/nft_turnstile.c"]);
    assert_eq!(first.author.as_deref(), Some("A Person"));
    let error = git_log(folder, &kernel("6.12.57-1"), &kernel("6.12.60-1")).unwrap_err();
    assert!(matches!(&error, GitLogError::NoTag { tag, .. } if tag == "v6.12.60"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = git_log(empty.path(), &kernel("6.12.57-1"), &kernel("6.12.59-1")).unwrap_err();
    assert!(matches!(error, GitLogError::NoTag { .. }), "{error}");
}

fn kernel_of(version: &str) -> Kernel {
    serde_json::from_value(serde_json::json!({
        "version": version, "package_version": version, "flavour": "", "source": "local", "id": "x",
    }))
    .unwrap()
}
