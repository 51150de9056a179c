//! The snapshot service and the mainline builds, as a local server that has their layouts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use kbisect_kernels::{
    Candidate, CandidateState, Catalog, FetchError, Options, Settings, Silent, Source, Store,
};
use support::archive::{Archive, kernel, suite};
use support::gpg::Key;
use support::mainline::{self, Layout};
use support::server::{Fault, Server};
use support::snapshot::{Binary, Snapshot};
use support::{Record, chain, deb, settings};

fn versions(candidates: &[Candidate]) -> Vec<&str> {
    candidates.iter().map(|c| c.kernel.package_version.as_str()).collect()
}

fn open(settings: &Settings) -> (Store, Catalog) {
    let store = Store::open(&settings.cache_dir).unwrap();
    let catalog = Catalog::load(settings, &store, &Silent).unwrap();
    (store, catalog)
}

fn image(release: &str, version: &str, suffix: &str) -> Binary {
    let release = format!("{release}-cloud-amd64");
    let name = format!("linux-image-{release}{suffix}");
    Binary { data: deb::image_package(&release, version), name, version: version.to_owned() }
}

fn other(name: &str, version: &str) -> Binary {
    Binary { name: name.to_owned(), version: version.to_owned(), data: b"!<arch>\n".to_vec() }
}

/// 5.10.40 and 5.10.70 are signed, 5.10.46 is not, and 5.10.60 was never built for amd64.
fn service() -> Snapshot {
    let mut service = Snapshot::default();
    for (release, version) in [("5.10.0-7", "5.10.40-1"), ("5.10.0-9", "5.10.70-1")] {
        let signed = version.replace('-', "+");
        service.add("linux", version, Some(image(release, version, "-unsigned")));
        service.add("linux", version, Some(other("linux-headers-5.10.0-7-cloud-amd64", version)));
        service.add("linux-signed-amd64", &signed, Some(image(release, version, "")));
        service.add("linux-signed-amd64", &signed, Some(other("linux-image-cloud-amd64", version)));
    }
    service.add("linux", "5.10.46-4", Some(image("5.10.0-8", "5.10.46-4", "-unsigned")));
    service.add("linux", "5.10.60-1", Some(other("linux-image-5.10.0-8-armmp", "5.10.60-1")));
    service.add("linux", "4.19.1-1~exp1", None);
    service
}

struct Lab {
    root: tempfile::TempDir,
    server: Server,
}

impl Lab {
    fn new(write: impl FnOnce(&Path)) -> Self {
        let root = tempfile::tempdir().unwrap();
        write(root.path());
        let server = Server::start(root.path());
        Self { root, server }
    }

    fn options(&self, source: Source) -> Options {
        Options {
            sources: vec![source],
            urls: vec![
                (Source::SNAPSHOT, self.server.url.clone()),
                (Source::UBUNTU_MAINLINE, self.server.url.clone()),
            ],
            ..Options::default()
        }
    }

    /// How the one file of a package is asked for.
    fn file_of(&self, name: &str) -> String {
        let asked = self.server.requests();
        let position = asked.iter().position(|path| path.contains(name)).unwrap();
        let file = asked[position..].iter().find(|path| path.starts_with("/file/"));
        file.unwrap().trim_start_matches("/file/").to_owned()
    }
}

/// Settings with another address of the snapshot service.
fn elsewhere(mut settings: Settings, url: &str) -> Settings {
    settings.services.get_mut("snapshot").unwrap().url = url.to_owned();
    settings
}

fn snapshot() -> Lab {
    Lab::new(|root| drop(service().write(root)))
}

#[test]
fn the_snapshot_service_has_a_range_that_the_archive_has_not() {
    let lab = snapshot();
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), lab.options(Source::SNAPSHOT));
    let (store, catalog) = open(&settings);
    let series = catalog.series("5.10.40", "5.10.70").unwrap();
    assert_eq!(versions(&series), ["5.10.40-1", "5.10.46-4", "5.10.60-1", "5.10.70-1"]);
    assert_eq!(
        lab.server.requests(),
        ["/mr/package/linux/"],
        "nothing is asked before it is needed"
    );
    assert!(Source::is_estimate(&series[0].kernel) && series[0].download_bytes() > 1 << 20);

    let ready = store.ensure(&series[0], &settings, &Silent).unwrap();
    assert_eq!(ready.kernel.id, series[0].kernel.id);
    assert_eq!(ready.kernel.source, "snapshot");
    assert_eq!(ready.kernel.release.as_deref(), Some("5.10.0-7-cloud-amd64"));
    assert_eq!(lab.server.count("unsigned"), 0, "the signed package is there");
    let meta = fs::read_to_string(ready.dir.join("meta.json")).unwrap();
    let meta: serde_json::Value = serde_json::from_str(&meta).unwrap();
    let package = &meta["packages"][0];
    assert_eq!(package["sha1"].as_str().unwrap(), lab.file_of("5.10.40"));
    assert_eq!(package["sha256"].as_str().unwrap().len(), 64, "what came is recorded");
    assert!(package["size"].as_u64().unwrap() > 16_000);

    let unsigned = store.ensure(&series[1], &settings, &Silent).unwrap();
    assert_eq!(unsigned.kernel.release.as_deref(), Some("5.10.0-8-cloud-amd64"));
    let (_, catalog) = open(&settings);
    let again = catalog.series("5.10.40", "5.10.70").unwrap();
    assert_eq!(again[0].state, CandidateState::Stored);
    assert_eq!(again.len(), 4, "what is stored is not there twice");
    let lists =
        lab.server.requests().into_iter().filter(|path| path == "/mr/package/linux/").count();
    assert_eq!(lists, 1, "the list is fresh");
}

#[test]
fn a_version_without_packages_cannot_be_tested_and_a_file_that_is_gone_neither() {
    let lab = snapshot();
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), lab.options(Source::SNAPSHOT));
    let (store, catalog) = open(&settings);
    let error = store.ensure(&catalog.resolve("5.10.60").unwrap(), &settings, &Silent).unwrap_err();
    assert!(matches!(error, FetchError::Untestable { .. }) && error.is_final());
    let text = chain(&error);
    assert!(
        text.contains("5.10.60-1") && text.contains("snapshot service has no package"),
        "{text}"
    );
    fs::remove_dir_all(lab.root.path().join("file")).unwrap();
    let error = store.ensure(&catalog.resolve("5.10.40").unwrap(), &settings, &Silent).unwrap_err();
    assert!(error.is_final() && chain(&error).contains("404"), "{}", chain(&error));
    assert!(store.list().unwrap().is_empty());
}

#[test]
fn what_the_archive_has_under_a_signature_is_taken_from_there() {
    let lab = snapshot();
    let archive = Archive::new(vec![suite("bullseye", vec![kernel("5.10.0-9", "5.10.70-1")])]);
    let dir = tempfile::tempdir().unwrap();
    let options = archive.options(&["bullseye"]);
    let settings = settings(dir.path(), Options { ..with(options, &lab) });
    let (_, catalog) = open(&settings);
    let series = catalog.series("5.10.40", "5.10.70").unwrap();
    assert_eq!(versions(&series), ["5.10.40-1", "5.10.46-4", "5.10.60-1", "5.10.70-1"]);
    assert_eq!(series[0].kernel.source, "snapshot");
    assert_eq!(series[3].kernel.source, "debian:bullseye");
    // Without the service its kernels are unknown, and the error says who has them.
    let settings = Settings { sources: vec![Source::ARCHIVE], ..settings };
    let (_, catalog) = open(&settings);
    let error = catalog.series("5.10.40", "5.10.70").unwrap_err();
    let hint = error.hint().unwrap();
    assert!(error.to_string().contains("no kernel `5.10.40` in the archive or the local store"));
    assert!(hint.contains("add --source snapshot") && hint.contains("--source ubuntu-mainline"));
}

fn with(options: Options, lab: &Lab) -> Options {
    Options {
        sources: vec![Source::SNAPSHOT],
        urls: vec![(Source::SNAPSHOT, lab.server.url.clone())],
        ..options
    }
}

#[test]
fn a_service_that_asks_for_patience_gets_it_and_a_broken_download_goes_on() {
    let lab = snapshot();
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), lab.options(Source::SNAPSHOT));
    lab.server.fault("/mr/package/linux/", Fault::Status(429, "retry-after: 0\r\n"));
    let (store, catalog) = open(&settings);
    lab.server.fault("/binpackages", Fault::Status(503, ""));
    let candidate = catalog.resolve("5.10.40").unwrap();
    let packages = service().write(lab.root.path());
    let name = packages.iter().map(|path| path.file_name().unwrap().to_str().unwrap());
    name.for_each(|sha1| lab.server.fault(sha1, Fault::CutAfter(10_000)));
    store.ensure(&candidate, &settings, &Silent).unwrap();
    let resumed = lab.server.requests().iter().any(|request| request.ends_with(" from 10000"));
    assert!(resumed, "{:?}", lab.server.requests());
    // Longer than anybody would wait.
    lab.server.fault("/binpackages", Fault::Status(429, "retry-after: 86400\r\n"));
    let error = store.ensure(&catalog.resolve("5.10.70").unwrap(), &settings, &Silent).unwrap_err();
    assert!(chain(&error).contains("asks to wait for 86400 s"), "{}", chain(&error));
    assert!(!error.is_final(), "it may be there tomorrow");
}

#[test]
fn a_damaged_file_is_not_taken() {
    let lab = snapshot();
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), lab.options(Source::SNAPSHOT));
    let (store, catalog) = open(&settings);
    // The signed and the unsigned package are one file here.
    for path in BTreeSet::from_iter(service().write(lab.root.path())) {
        let mut data = fs::read(&path).unwrap();
        *data.last_mut().unwrap() ^= 1;
        fs::write(path, data).unwrap();
    }
    let error = store.ensure(&catalog.resolve("5.10.40").unwrap(), &settings, &Silent).unwrap_err();
    assert!(chain(&error).contains("expected SHA-1"), "{}", chain(&error));
    assert!(store.list().unwrap().is_empty());
}

#[test]
fn answers_that_make_no_sense_are_errors_and_no_list_is_lost() {
    let lab = snapshot();
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), lab.options(Source::SNAPSHOT));
    let (store, catalog) = open(&settings);
    let candidate = catalog.resolve("5.10.40").unwrap();
    let base = lab.root.path();
    for (path, text) in [
        ("mr/package/linux-signed-amd64/5.10.40+1/binpackages", "<html>log in</html>"),
        (
            "mr/binary/linux-image-5.10.0-7-cloud-amd64/5.10.40-1/binfiles?fileinfo=1",
            r#"{"result": [{"hash": "0000000000000000000000000000000000000000", "architecture": "amd64"}]}"#,
        ),
    ] {
        let good = fs::read(base.join(path)).unwrap();
        fs::write(base.join(path), text).unwrap();
        let error = store.ensure(&candidate, &settings, &Silent).unwrap_err();
        assert!(
            chain(&error).contains("is not what the Debian snapshot service"),
            "{}",
            chain(&error)
        );
        assert!(!error.is_final(), "a portal page says nothing of the kernel");
        fs::write(base.join(path), good).unwrap();
    }
    // Names and hashes that would lead elsewhere are passed over.
    let path = base.join("mr/package/linux-signed-amd64/5.10.40+1/binpackages");
    let names = r#"{"result": [{"name": "linux-image-5.10.0-7/../x-cloud-amd64", "version": "5.10.40-1"}]}"#;
    fs::write(path, names).unwrap();
    let before = lab.server.requests().len();
    store.ensure(&candidate, &settings, &Silent).unwrap();
    let asked = &lab.server.requests()[before..];
    assert!(asked.iter().all(|request| !request.contains("..")), "{asked:?}");
    fs::write(base.join("mr/package/linux/index"), "<html>log in</html>").unwrap();
    let refresh = Settings { refresh: true, ..settings.clone() };
    let error = Catalog::load(&refresh, &store, &Silent).unwrap_err();
    assert!(error.to_string().contains("is no list of kernels"), "{error}");
    assert!(open(&settings).1.resolve("5.10.70").is_ok(), "the list from before is still there");
}

#[test]
fn offline_the_list_is_used_with_its_age_and_what_is_missing_is_said() {
    let lab = snapshot();
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), lab.options(Source::SNAPSHOT));
    let (store, catalog) = open(&settings);
    store.ensure(&catalog.resolve("5.10.70").unwrap(), &settings, &Silent).unwrap();
    let list = fs::read_dir(dir.path().join("cache/lists/v1")).unwrap().flatten();
    let list = list.map(|e| e.path()).find(|path| path.extension().is_none()).unwrap();
    let three_days = std::time::SystemTime::now() - std::time::Duration::from_secs(3 * 86_400);
    fs::File::options().write(true).open(list).unwrap().set_modified(three_days).unwrap();
    let before = lab.server.requests().len();
    let offline = Settings { offline: true, ..settings.clone() };
    let record = Record::default();
    let catalog = Catalog::load(&offline, &store, &record).unwrap();
    let notes = record.notes.lock().unwrap().join("\n");
    assert!(notes.contains("the list of the Debian snapshot service is 3 days old"), "{notes}");
    store.ensure(&catalog.resolve("5.10.70").unwrap(), &offline, &Silent).unwrap();
    let error = store.ensure(&catalog.resolve("5.10.40").unwrap(), &offline, &Silent).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("5.10.40-1 is not in the store") && text.contains("snapshot service"),
        "{text}"
    );
    assert!(error.hint().unwrap().contains("kernels fetch 5.10.40-1 --source snapshot"));
    assert_eq!(lab.server.requests().len(), before, "the network was not used");
    // A machine that never saw the list can use its store.
    let empty = elsewhere(offline, "https://elsewhere.invalid");
    let catalog = Catalog::load(&empty, &store, &Silent).unwrap();
    assert!(
        catalog.warnings().join("\n").contains("is not in the cache"),
        "{:?}",
        catalog.warnings()
    );
    assert_eq!(catalog.all().len(), 1);
    // An unreachable service leaves what is cached.
    let gone = elsewhere(settings, "http://127.0.0.1:9");
    let error = Catalog::load(&gone, &store, &Silent).unwrap_err();
    assert!(
        error.to_string().contains("cannot get the list of the Debian snapshot service"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("proxy"));
}

/// Packages as Ubuntu's builds have them: image alone, modules with configuration, compressed by zstd.
fn mainline_files(upstream: &str, digits: &str) -> Vec<(String, Vec<u8>)> {
    let release = format!("{upstream}-{digits}-generic");
    let version = format!("{upstream}-{digits}.202105261234");
    let image = vec![deb::file(format!("./boot/vmlinuz-{release}"), deb::plain_image(&release))];
    let mut modules: Vec<deb::Entry> = deb::MODULES
        .iter()
        .map(|name| {
            let path = format!("./lib/modules/{release}/kernel/drivers/{name}.ko.zst");
            deb::file(path, zstd::encode_all(name.as_bytes(), 3).unwrap())
        })
        .collect();
    modules.push(deb::file(format!("./lib/modules/{release}/modules.builtin"), ""));
    modules.push(deb::file(format!("./boot/config-{release}"), "CONFIG_SQUASHFS_ZSTD=y\n"));
    modules.push(deb::file(format!("./boot/System.map-{release}"), "0".repeat(5000)));
    let package = |kind: &str, entries: &[deb::Entry]| {
        let name = format!("linux-{kind}-{release}");
        (format!("{name}_{version}_amd64.deb"), deb::deb(&name, &version, entries))
    };
    vec![
        (format!("linux-headers-{release}_{version}_amd64.deb"), b"headers".to_vec()),
        package("image-unsigned", &image),
        package("modules", &modules),
    ]
}

fn mainline_lab() -> Lab {
    Lab::new(|root| {
        mainline::write(root, "v5.10.40", Layout::Now, &mainline_files("5.10.40", "051040"));
        mainline::write(root, "v5.4.20", Layout::Before, &mainline_files("5.4.20", "050420"));
        mainline::write(root, "v5.10.41", Layout::Now, &[]);
        mainline::write(root, "v5.10", Layout::Now, &mainline_files("5.10.0", "051000")[..2]);
        mainline::write(root, "v6.17-rc6", Layout::Now, &mainline_files("6.17.0", "061700rc6"));
    })
}

#[test]
fn mainline_builds_of_both_layouts_are_kernels() {
    let lab = mainline_lab();
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), lab.options(Source::UBUNTU_MAINLINE));
    let (store, catalog) = open(&settings);
    let all = catalog.all();
    let shown: Vec<&str> = all.iter().map(|c| c.kernel.version.as_str()).collect();
    assert_eq!(shown, ["5.4.20", "5.10", "5.10.40", "5.10.41", "6.17~rc6"]);
    for (spec, release) in [
        ("5.10.40", "5.10.40-051040-generic"),
        ("v5.4.20", "5.4.20-050420-generic"),
        ("6.17-rc6", "6.17.0-061700rc6-generic"),
    ] {
        let candidate = catalog.resolve(spec).unwrap();
        let ready = store.ensure(&candidate, &settings, &Silent).unwrap();
        assert_eq!(ready.kernel.release.as_deref(), Some(release));
        assert_eq!(ready.kernel.flavour, "generic");
        let tree = ready.modules.as_ref().unwrap();
        assert_eq!(tree.boot_order.len(), deb::MODULES.len());
        assert!(
            tree.missing.is_empty(),
            "zstd modules are unpacked on the way: {:?}",
            tree.missing
        );
        assert!(ready.system_map.is_some());
    }
    assert_eq!(lab.server.count("headers"), 0, "only what is needed");
    for (spec, why) in
        [("5.10.41", "no build of v5.10.41"), ("5.10", "no generic kernel with modules")]
    {
        let error = store.ensure(&catalog.resolve(spec).unwrap(), &settings, &Silent).unwrap_err();
        assert!(error.is_final() && chain(&error).contains(why), "{}", chain(&error));
    }
    // Debian's kernels make no series with them unless they are asked for.
    let stored = Settings { sources: vec![Source::STORE], offline: true, ..settings };
    assert_eq!(open(&stored).1.all().len(), 0);
}

#[test]
fn mainline_checksums_must_be_signed_once_a_keyring_is_named() {
    let lab = mainline_lab();
    let dir = tempfile::tempdir().unwrap();
    let (key, stranger) = (Key::new(), Key::new());
    let mut settings = settings(dir.path(), lab.options(Source::UBUNTU_MAINLINE));
    settings.services.get_mut("ubuntu-mainline").unwrap().keyrings = vec![key.keyring()];
    let (store, catalog) = open(&settings);
    let sums = lab.root.path().join("v5.10.40/amd64/CHECKSUMS");
    let signature = lab.root.path().join("v5.10.40/amd64/CHECKSUMS.gpg");
    let candidate = catalog.resolve("5.10.40").unwrap();
    let ensure = || store.ensure(&candidate, &settings, &Silent).map(drop).map_err(|e| chain(&e));
    assert!(ensure().unwrap_err().contains("CHECKSUMS.gpg"), "no signature");
    let text = fs::read(&sums).unwrap();
    fs::write(&signature, stranger.detach_sign(&text)).unwrap();
    let error = ensure().unwrap_err();
    assert!(
        error.contains("cannot trust the checksums") && error.contains("not in the keyring"),
        "{error}"
    );
    fs::write(&signature, key.detach_sign(b"other text")).unwrap();
    assert!(ensure().unwrap_err().contains("changed after it was signed"));
    fs::write(&signature, key.detach_sign(&text)).unwrap();
    // Well signed, but the file is another.
    let image = fs::read_dir(lab.root.path().join("v5.10.40/amd64")).unwrap().flatten();
    let image = image.map(|e| e.path()).find(|p| p.to_string_lossy().contains("unsigned")).unwrap();
    let good = fs::read(&image).unwrap();
    fs::write(&image, b"!<arch>\n").unwrap();
    assert!(ensure().unwrap_err().contains("expected SHA-256"));
    fs::write(&image, good).unwrap();
    ensure().unwrap();
}
