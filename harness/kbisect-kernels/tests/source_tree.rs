//! Source packages, against a small signed archive on this host.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use std::fs;
use std::io::Write as _;

use kbisect_kernels::{Settings, Silent, SourceTreeError, WantedSource, source_tree};
use support::archive::{Archive, Package, package, suite};
use support::{chain, deb, settings};

const SCRIPT: &str = "tools/testing/selftests/net/own.sh";

/// A package as Debian's: the tree is an archive in it.
fn source(version: &str, path: &str, content: &str) -> Package {
    let series: Vec<&str> = version.split('.').take(2).collect();
    let series = series.join(".");
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    let path = format!("linux-source-{series}/{path}");
    header.set_size(content.len() as u64);
    header.set_mode(0o755);
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.set_cksum();
    builder.append(&header, content.as_bytes()).unwrap();
    let mut packed = liblzma::write::XzEncoder::new(Vec::new(), 1);
    packed.write_all(&builder.into_inner().unwrap()).unwrap();
    let file =
        deb::file(format!("./usr/src/linux-source-{series}.tar.xz"), packed.finish().unwrap());
    let name = format!("linux-source-{series}");
    package(&name, version, deb::deb(&name, version, &[file]))
}

fn named(name: &str) -> WantedSource {
    WantedSource::parse(name, "bookworm")
}

fn script(settings: &Settings, wanted: &WantedSource) -> (String, String) {
    let tree = source_tree(wanted, settings, &Silent).unwrap();
    (tree.name, fs::read_to_string(tree.folder.join(SCRIPT)).unwrap())
}

#[test]
fn the_newest_package_is_fetched_once_and_unpacked() {
    let packages = vec![
        source("6.1.170-3", SCRIPT, "older"),
        source("6.12.9-1", SCRIPT, "old"),
        source("6.12.57-1", SCRIPT, "new"),
    ];
    let archive = Archive::new(vec![suite("bookworm", packages)]);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), archive.options(&["bookworm"]));
    let newest = WantedSource::OfRelease("bookworm".to_owned());
    let expected = ("linux-source-6.12 6.12.57-1".to_owned(), "new".to_owned());
    assert_eq!(script(&settings, &newest), expected);
    assert_eq!(script(&settings, &named("6.1")).1, "older");
    assert_eq!(script(&settings, &named("linux-source-6.12=6.12.9-1")).1, "old");
    let offline = Settings { offline: true, ..settings.clone() };
    assert_eq!(script(&offline, &newest), expected);
    let error = source_tree(&named("6.2"), &settings, &Silent).unwrap_err();
    assert!(matches!(&error, SourceTreeError::Absent { .. }), "{error}");
    assert_eq!(
        chain(&error),
        "the archive has no package linux-source-6.2 (there are: linux-source-6.1, linux-source-6.12)"
    );
    let error = source_tree(&named("6.2"), &offline, &Silent).unwrap_err();
    assert!(matches!(error, SourceTreeError::Offline(_)), "{error}");
}

#[test]
fn a_package_that_leads_out_of_its_tree_or_has_no_tests_is_refused() {
    let packages = vec![
        source("6.1.1-1", "../../../../escaped", "x"),
        source("6.2.1-1", "net/core/dev.c", "x"),
    ];
    let archive = Archive::new(vec![suite("bookworm", packages)]);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), archive.options(&["bookworm"]));
    let error = source_tree(&named("6.1"), &settings, &Silent).unwrap_err();
    assert!(chain(&error).contains("leads out of the package"), "{}", chain(&error));
    let error = source_tree(&named("6.2"), &settings, &Silent).unwrap_err();
    assert!(matches!(error, SourceTreeError::NoTests(_)), "{error}");
    assert!(error.hint().is_some());
    // Neither is taken for one that is whole.
    let offline = Settings { offline: true, ..settings };
    assert!(source_tree(&named("6.1"), &offline, &Silent).is_err());
}
