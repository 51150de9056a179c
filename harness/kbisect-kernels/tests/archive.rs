//! Indexes and downloads, against a small signed archive on this host.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use std::error::Error;
use std::fs;

use kbisect_kernels::{
    Candidate, CandidateState, Catalog, Options, Provided, Settings, Silent, Store,
};
use support::archive::{Archive, Sign, Suite, kernel, package, suite};
use support::gpg::Key;
use support::server::Fault;
use support::{Record, chain, deb, settings};

const PAST: &str = "Fri, 06 Nov 2020 08:08:01 UTC";

fn load(settings: &Settings) -> Result<(Store, Catalog), String> {
    let store = Store::open(&settings.cache_dir).unwrap();
    let catalog = Catalog::load(settings, &store, &Silent)
        .map_err(|error| format!("{} | {}", chain(&error), error.hint().unwrap_or_default()))?;
    Ok((store, catalog))
}

fn versions(candidates: &[Candidate]) -> Vec<&str> {
    candidates.iter().map(|c| c.kernel.package_version.as_str()).collect()
}

/// Nothing of a kernel is in the store, and nothing half-made.
fn assert_empty(store: &Store) {
    assert_eq!(store.list().unwrap().len(), 0);
    let left: Vec<_> = fs::read_dir(store.dir().join("tmp")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_kernel_is_fetched_verified_and_ready() {
    let archive = Archive::new(vec![
        suite("trixie", vec![kernel("6.12.57+deb13", "6.12.57-1")]),
        suite("trixie-security", vec![kernel("6.12.69+deb13", "6.12.69-1")]),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), archive.options(&["trixie", "trixie-security"]));
    let (store, catalog) = load(&settings).unwrap();
    let series = catalog.series("6.12.57", "6.12.69").unwrap();
    assert_eq!(versions(&series), ["6.12.57-1", "6.12.69-1"]);
    assert!(series[0].download_bytes() > 16_000);
    let record = Record::default();
    let ready = store.ensure(&series[0], &settings, &record).unwrap();
    assert!(
        record.begun.lock().unwrap().contains(&"linux-image-6.12.57+deb13-cloud-amd64".to_owned())
    );
    assert_eq!(ready.kernel.id, series[0].kernel.id);
    assert_eq!(ready.kernel.release.as_deref(), Some("6.12.57+deb13-cloud-amd64"));
    assert_eq!(ready.config_value("CONFIG_SQUASHFS_LZ4").as_deref(), Some("y"));
    assert_eq!(ready.system_map, None, "Debian's is a pointer to the debug package");
    let tree = ready.modules.as_ref().unwrap();
    assert_eq!(tree.boot_order.len(), deb::MODULES.len());
    assert_eq!(ready.missing_for_boot(), Vec::<String>::new());
    assert_eq!(tree.provides("virtio-net"), Provided::Module);
    assert_eq!(tree.provides("builtin"), Provided::Builtin);
    assert_eq!(tree.provides("9p"), Provided::Missing);
    assert!(tree.closure(&["9p"]).unwrap_err().to_string().contains("`9p`"));
    let squashfs = fs::read(&tree.image).unwrap();
    assert_eq!((&squashfs[..4], squashfs[20]), (&b"hsqs"[..], 5), "squashfs, lz4");
    // The second time nothing is asked for: neither indexes nor packages.
    let before = archive.server.requests().len();
    let (store, catalog) = load(&settings).unwrap();
    let again = catalog.resolve("6.12.57").unwrap();
    assert_eq!(again.state, CandidateState::Stored);
    store.ensure(&again, &settings, &Silent).unwrap();
    assert_eq!(archive.server.requests().len(), before);
}

#[test]
fn a_refresh_sees_what_is_new() {
    let archive = Archive::new(vec![suite("trixie", vec![kernel("6.12.57+deb13", "6.12.57-1")])]);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), archive.options(&["trixie"]));
    load(&settings).unwrap();
    archive.publish(suite("trixie", vec![kernel("6.12.58+deb13", "6.12.58-1")]));
    assert_eq!(versions(&load(&settings).unwrap().1.all()), ["6.12.57-1"]);
    let settings = Settings { refresh: true, ..settings };
    assert_eq!(versions(&load(&settings).unwrap().1.all()), ["6.12.58-1"]);
}

#[test]
fn an_index_that_cannot_be_trusted_is_refused() {
    let stranger = Key::new();
    let one = || vec![kernel("6.12.57+deb13", "6.12.57-1")];
    let archive = Archive::new(vec![
        Suite { sign: Sign::Not, ..suite("trixie", one()) },
        Suite { sign: Sign::By(&stranger), ..suite("bookworm", one()) },
        Suite { sign: Sign::ThenChanged, ..suite("bullseye", one()) },
        suite("sid", one()),
    ]);
    // A good signature, but of another suite.
    let dists = archive.root.path().join("debian/dists");
    fs::create_dir(dists.join("experimental")).unwrap();
    fs::copy(dists.join("sid/InRelease"), dists.join("experimental/InRelease")).unwrap();
    for (name, reason) in [
        ("trixie", "not signed"),
        ("bookworm", "not in the keyring"),
        ("bullseye", "changed after it was signed"),
        ("experimental", "not of `experimental`"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path(), archive.options(&[name]));
        let error = load(&settings).unwrap_err();
        assert!(error.contains(reason) && error.contains(name), "{error}");
        assert_eq!(archive.server.count("Packages"), 0, "nothing more is asked for");
        // And it does not hide in the cache.
        assert!(load(&Settings { offline: true, ..settings }).unwrap().1.all().is_empty());
    }
}

#[test]
fn an_armoured_keyring_serves_as_well() {
    let archive = Archive::new(vec![suite("trixie", vec![kernel("6.12.57+deb13", "6.12.57-1")])]);
    let dir = tempfile::tempdir().unwrap();
    let keyrings = vec![Key::new().keyring(), archive.key.armoured_keyring()];
    // The stranger's keyring is gone with its key: it is to be named, not passed over.
    let gone = Options { keyrings: keyrings.clone(), ..archive.options(&["trixie"]) };
    let config_file = Some(dir.path().join("config.toml"));
    fs::write(config_file.as_ref().unwrap(), "").unwrap();
    assert!(
        Settings::discover(&Options { config_file, ..gone })
            .unwrap_err()
            .to_string()
            .contains("public.gpg")
    );
    let options = Options { keyrings: keyrings[1..].to_vec(), ..archive.options(&["trixie"]) };
    assert_eq!(load(&settings(dir.path(), options)).unwrap().1.all().len(), 1);
}

#[test]
fn an_expired_index_is_left_out_or_an_error_or_accepted() {
    let one = |n: u32| vec![kernel(&format!("6.12.{n}+deb13"), &format!("6.12.{n}-1"))];
    let archive = Archive::new(vec![
        suite("trixie", one(57)),
        Suite { valid_until: Some(PAST), ..suite("sid", one(58)) },
    ]);
    let dir = tempfile::tempdir().unwrap();
    let by_default = settings(dir.path(), archive.options(&[]));
    let store = Store::open(&by_default.cache_dir).unwrap();
    let record = Record::default();
    let catalog = Catalog::load(&by_default, &store, &record).unwrap();
    assert_eq!(versions(&catalog.all()), ["6.12.57-1"]);
    assert_eq!(catalog.warnings().len(), 1, "{:?}", catalog.warnings());
    let warning = &catalog.warnings()[0];
    assert!(warning.contains("sid") && warning.contains("--allow-expired-index"), "{warning}");
    assert_eq!(*record.notes.lock().unwrap(), catalog.warnings());
    let named = settings(dir.path(), archive.options(&["trixie", "sid"]));
    let error = load(&named).unwrap_err();
    assert!(error.contains("`sid` expired on Fri, 06 Nov 2020"), "{error}");
    assert!(error.contains("--allow-expired-index"), "{error}");
    let accepted = Settings { allow_expired: true, ..named };
    assert_eq!(versions(&load(&accepted).unwrap().1.all()), ["6.12.57-1", "6.12.58-1"]);
}

#[test]
fn an_absent_suite_is_an_error_only_when_it_was_named() {
    let archive = Archive::new(vec![suite("trixie", vec![kernel("6.12.57+deb13", "6.12.57-1")])]);
    let dir = tempfile::tempdir().unwrap();
    let (_, catalog) = load(&settings(dir.path(), archive.options(&[]))).unwrap();
    assert_eq!((catalog.all().len(), catalog.warnings().len()), (1, 0));
    let error = load(&settings(dir.path(), archive.options(&["trixie", "woody"]))).unwrap_err();
    assert!(error.contains("`woody` is not on the mirror"), "{error}");
    assert!(error.contains("/debian/dists/woody/InRelease"), "{error}");
}

#[test]
fn without_a_mirror_the_error_says_what_to_give() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), Options::default());
    let error = load(&settings).unwrap_err();
    assert!(error.contains("--mirror") && error.contains("--keyring"), "{error}");
    assert!(load(&Settings { offline: true, ..settings }).is_ok());
}

#[test]
fn an_unreachable_mirror_leaves_what_is_cached() {
    let archive = Archive::new(vec![suite("trixie", vec![kernel("6.12.57+deb13", "6.12.57-1")])]);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), archive.options(&["trixie"]));
    load(&settings).unwrap();
    for _ in 0..20 {
        archive.server.fault("InRelease", Fault::CutAfter(0));
    }
    let refreshing = Settings { refresh: true, ..settings.clone() };
    let (_, catalog) = load(&refreshing).unwrap();
    assert_eq!(catalog.all().len(), 1);
    let warning = &catalog.warnings()[0];
    assert!(warning.contains("cannot be reached") && warning.contains("trixie"), "{warning}");
    // Nothing is cached of this one, and nobody listens there.
    let mut elsewhere = settings.clone();
    let mirrors = elsewhere.mirrors.as_mut().unwrap();
    mirrors.main = "http://127.0.0.1:1".to_owned();
    let error = load(&elsewhere).unwrap_err();
    assert!(error.contains("http://127.0.0.1:1/dists/trixie/InRelease"), "{error}");
    assert!(error.contains("--offline"), "{error}");
    let offline = Settings { offline: true, ..settings };
    let (store, catalog) = load(&offline).unwrap();
    assert_eq!(catalog.all().len(), 1);
    let error = store.ensure(&catalog.all()[0], &offline, &Silent).unwrap_err();
    assert!(error.to_string().contains("--offline"), "{error}");
}

#[test]
fn a_damaged_cache_is_fetched_again() {
    let archive = Archive::new(vec![suite("trixie", vec![kernel("6.12.57+deb13", "6.12.57-1")])]);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), archive.options(&["trixie"]));
    load(&settings).unwrap();
    for sub in ["inrelease", "index"] {
        for entry in fs::read_dir(settings.cache_dir.join("archive/v1").join(sub)).unwrap() {
            fs::write(entry.unwrap().path(), "garbage").unwrap();
        }
        assert_eq!(load(&settings).unwrap().1.all().len(), 1, "{sub}");
    }
}

#[test]
fn a_wrong_checksum_is_named_and_nothing_is_kept() {
    let archive = Archive::new(vec![suite("trixie", vec![kernel("6.12.57+deb13", "6.12.57-1")])]);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), archive.options(&["trixie"]));
    let (store, catalog) = load(&settings).unwrap();
    let candidate = catalog.resolve("6.12.57").unwrap();
    let file = archive.pool("linux-image-6.12.57+deb13-cloud-amd64", "6.12.57-1");
    let good = fs::read(&file).unwrap();
    let mut changed = good.clone();
    *changed.last_mut().unwrap() ^= 1;
    let mut longer = good.clone();
    longer.push(0);
    for (bad, reason) in [(changed, candidate.packages[0].sha256.as_str()), (longer, "bytes")] {
        fs::write(&file, bad).unwrap();
        let error = store.ensure(&candidate, &settings, &Silent).unwrap_err();
        let text = chain(&error);
        assert!(
            text.contains("linux-image-6.12.57+deb13-cloud-amd64_6.12.57-1_amd64.deb"),
            "{text}"
        );
        assert!(
            text.contains("expected") && text.contains(reason) && text.contains("got"),
            "{text}"
        );
        assert!(error.hint().is_some());
        assert_empty(&store);
    }
    fs::write(&file, good).unwrap();
    store.ensure(&candidate, &settings, &Silent).unwrap();
}

#[test]
fn a_file_that_left_the_archive_asks_for_a_refresh() {
    let archive = Archive::new(vec![suite("trixie", vec![kernel("6.12.57+deb13", "6.12.57-1")])]);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), archive.options(&["trixie"]));
    let (store, catalog) = load(&settings).unwrap();
    fs::remove_file(archive.pool("linux-image-6.12.57+deb13-cloud-amd64", "6.12.57-1")).unwrap();
    let error = store.ensure(&catalog.resolve("6.12.57").unwrap(), &settings, &Silent).unwrap_err();
    assert!(chain(&error).contains("404"), "{}", chain(&error));
    assert!(error.hint().unwrap().contains("--refresh"));
    assert_empty(&store);
}

#[test]
fn a_broken_connection_is_taken_up_where_it_broke() {
    let archive = Archive::new(vec![suite("trixie", vec![kernel("6.12.57+deb13", "6.12.57-1")])]);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), archive.options(&["trixie"]));
    let (store, catalog) = load(&settings).unwrap();
    archive.server.fault("amd64.deb", Fault::CutAfter(10_000));
    archive.server.fault("amd64.deb", Fault::CutAfter(5_000));
    store.ensure(&catalog.resolve("6.12.57").unwrap(), &settings, &Silent).unwrap();
    let requests: Vec<String> = archive.server.requests();
    let debs: Vec<&String> = requests.iter().filter(|request| request.contains(".deb")).collect();
    assert_eq!(debs.len(), 3, "{debs:?}");
    assert!(debs[1].ends_with("from 10000") && debs[2].ends_with("from 15000"), "{debs:?}");
}

#[test]
fn a_server_without_ranges_sends_all_again() {
    let archive = Archive::new(vec![suite("trixie", vec![kernel("6.12.57+deb13", "6.12.57-1")])]);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), archive.options(&["trixie"]));
    let (store, catalog) = load(&settings).unwrap();
    archive.server.fault("amd64.deb", Fault::CutAfter(10_000));
    archive.server.fault("amd64.deb", Fault::NoRange);
    store.ensure(&catalog.resolve("6.12.57").unwrap(), &settings, &Silent).unwrap();
    assert_eq!(archive.server.count(".deb"), 2);
}

#[test]
fn a_connection_that_never_holds_is_given_up() {
    let archive = Archive::new(vec![suite("trixie", vec![kernel("6.12.57+deb13", "6.12.57-1")])]);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), archive.options(&["trixie"]));
    let (store, catalog) = load(&settings).unwrap();
    for _ in 0..20 {
        archive.server.fault("amd64.deb", Fault::CutAfter(0));
    }
    let error = store.ensure(&catalog.resolve("6.12.57").unwrap(), &settings, &Silent).unwrap_err();
    assert!(chain(&error).contains("cannot download"), "{}", chain(&error));
    assert_empty(&store);
}

fn split_kernel(modules: bool) -> Vec<support::archive::Package> {
    let (release, version) = ("7.2.12+deb13-cloud-amd64", "7.2.12-1");
    let dir = format!("./usr/lib/modules/{release}");
    let image = deb::file(format!("{dir}/vmlinuz"), deb::image(release, version));
    let config = deb::file(format!("{dir}/config"), "CONFIG_SQUASHFS_ZSTD=y\n");
    let make = |kind: &str, entries: &[deb::Entry]| {
        let name = format!("linux-{kind}-{release}");
        let data = deb::deb(&name, version, entries);
        package(&name, version, data)
    };
    let mut packages = vec![make("image", &[]), make("binary", &[image]), make("base", &[config])];
    if modules {
        packages.push(make("modules", &deb::modules("./usr/", release)));
    }
    packages
}

#[test]
fn split_packages_are_put_together() {
    let archive = Archive::new(vec![suite("trixie-backports", split_kernel(true))]);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), archive.options(&["trixie-backports"]));
    let (store, catalog) = load(&settings).unwrap();
    let candidate = catalog.resolve("7.2.12").unwrap();
    assert_eq!(candidate.packages.len(), 3);
    let ready = store.ensure(&candidate, &settings, &Silent).unwrap();
    assert_eq!(ready.config_value("SQUASHFS_ZSTD").as_deref(), Some("y"));
    let tree = ready.modules.unwrap();
    assert_eq!(
        tree.closure(&["overlay"]).unwrap(),
        ["kernel/drivers/overlay.ko".into()] as [std::path::PathBuf; 1]
    );
    assert_eq!(
        fs::read(&tree.image).unwrap()[20],
        6,
        "zstd, which the kernel's configuration names"
    );
}

#[test]
fn a_kernel_without_its_modules_is_refused_beforehand() {
    let archive = Archive::new(vec![suite("trixie-backports", split_kernel(false))]);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), archive.options(&["trixie-backports"]));
    let (store, catalog) = load(&settings).unwrap();
    let candidate = catalog.resolve("7.2.12").unwrap();
    assert!(matches!(candidate.state, CandidateState::Untestable { .. }));
    let error = store.ensure(&candidate, &settings, &Silent).unwrap_err();
    assert!(error.to_string().contains("modules package"), "{error}");
    assert_eq!(archive.server.count(".deb"), 0);
}

#[test]
fn overlapping_suites_are_one_kernel() {
    let both = || vec![kernel("6.1.0-50", "6.1.176-1")];
    let archive = Archive::new(vec![
        suite("bookworm", both()),
        suite("bookworm-updates", both()),
        suite("bookworm-security", vec![kernel("6.1.0-51", "6.1.177-1")]),
        suite("bullseye", vec![kernel("6.1.0-0.deb11.50", "6.1.176-1~deb11u1")]),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), archive.options(&[]));
    let (_, catalog) = load(&settings).unwrap();
    let all = catalog.all();
    assert_eq!(versions(&all), ["6.1.176-1", "6.1.177-1"]);
    assert_eq!(all[0].also_in, ["bookworm-updates"]);
    assert_eq!(all[0].other_builds[0].package_version.as_str(), "6.1.176-1~deb11u1");
    assert!(all[1].packages[0].url.contains("/debian-security/pool/"));
}

#[test]
fn verified_packages_that_are_no_kernel_are_named() -> Result<(), Box<dyn Error>> {
    let release = "6.12.57+deb13-cloud-amd64";
    let name = format!("linux-image-{release}");
    let noise = deb::image("x", "y");
    let no_modules =
        [deb::file(format!("./boot/vmlinuz-{release}"), deb::image(release, "6.12.57-1"))];
    for (data, reason) in [
        (noise.clone(), "not a usable package"),
        (
            deb::ar(&[("debian-binary", b"2.0\n".to_vec()), ("data.tar.xz", noise)]),
            "not a usable package",
        ),
        (deb::deb(&name, "6.12.57-1", &no_modules), "no modules of 6.12.57+deb13-cloud-amd64"),
    ] {
        let packages = vec![package(&name, "6.12.57-1", data)];
        let archive = Archive::new(vec![suite("trixie", packages)]);
        let dir = tempfile::tempdir()?;
        let settings = settings(dir.path(), archive.options(&["trixie"]));
        let (store, catalog) = load(&settings)?;
        let error = store.ensure(&catalog.resolve("6.12.57")?, &settings, &Silent).unwrap_err();
        assert!(chain(&error).contains(reason), "{}", chain(&error));
        assert_empty(&store);
    }
    Ok(())
}
