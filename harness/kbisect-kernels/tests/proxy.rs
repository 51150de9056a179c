//! Downloads through the proxy that apt is set to use.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use kbisect_kernels::{Catalog, Options, Settings, Silent, Source, Store};
use support::archive::{Archive, kernel, suite};
use support::chain;
use support::proxy::Proxy;
use support::server::Fault;

const VARIABLES: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];

/// Settings of a host whose apt has these lines; `None` where they would not count.
fn settings(dir: &Path, apt: &str, options: Options) -> Option<Settings> {
    if Command::new("apt-config").arg("--version").output().is_err() {
        eprintln!("SKIPPED: there is no apt-config on this host");
        return None;
    }
    if let Some(name) = VARIABLES.iter().find(|name| std::env::var_os(name).is_some()) {
        eprintln!("SKIPPED: {name} is set, and wins over apt's settings");
        return None;
    }
    let apt_dir = dir.join("apt");
    fs::create_dir_all(apt_dir.join("apt.conf.d")).unwrap();
    fs::write(apt_dir.join("apt.conf.d/80proxy"), apt).unwrap();
    fs::write(dir.join("config.toml"), "").unwrap();
    let settings = Settings::discover(&Options {
        cache_dir: Some(dir.join("cache")),
        apt_dir: Some(apt_dir),
        config_file: Some(dir.join("config.toml")),
        ..options
    });
    Some(settings.unwrap())
}

#[test]
fn kernels_come_through_the_proxy_of_apt() {
    let archive = Archive::new(vec![suite("trixie", vec![kernel("6.12.57+deb13", "6.12.57-1")])]);
    let proxy = Proxy::start(&archive.server);
    let dir = tempfile::tempdir().unwrap();
    let apt = format!("Acquire::http::Proxy \"http://me:secret@{}/\";\n", proxy.address);
    let mirror = Some("http://mirror.invalid/debian".to_owned());
    let options = Options { mirror, ..archive.options(&["trixie"]) };
    let Some(settings) = settings(dir.path(), &apt, options) else { return };
    let store = Store::open(&settings.cache_dir).unwrap();
    archive.server.fault("amd64.deb", Fault::CutAfter(10_000));
    let catalog = Catalog::load(&settings, &store, &Silent).unwrap();
    store.ensure(&catalog.resolve("6.12.57").unwrap(), &settings, &Silent).unwrap();
    let requests = proxy.requests();
    let package = "GET http://mirror.invalid/debian/pool/linux-image-6.12.57+deb13-cloud-amd64";
    let of_package: Vec<&String> =
        requests.iter().filter(|head| head.starts_with(package)).collect();
    assert_eq!(of_package.len(), 2, "it was taken up where it broke: {requests:?}");
    assert!(of_package[1].contains("range: bytes=10000-"), "{}", of_package[1]);
    assert!(requests.iter().all(|head| head.contains("host: mirror.invalid\r\n")));
    // me:secret
    assert!(
        requests.iter().all(|head| head.contains("proxy-authorization: Basic bWU6c2VjcmV0\r\n"))
    );
}

#[test]
fn a_proxy_that_opens_no_tunnel_is_named() {
    let archive = Archive::new(Vec::new());
    let proxy = Proxy::start(&archive.server);
    let dir = tempfile::tempdir().unwrap();
    let apt = format!("Acquire::http::Proxy \"http://{}/\";\n", proxy.address);
    let options = Options {
        sources: vec![Source::UBUNTU_MAINLINE],
        urls: vec![(Source::UBUNTU_MAINLINE, "https://mirror.invalid/mainline".to_owned())],
        ..Options::default()
    };
    let Some(settings) = settings(dir.path(), &apt, options) else { return };
    let store = Store::open(&settings.cache_dir).unwrap();
    let error = Catalog::load(&settings, &store, &Silent).unwrap_err();
    assert!(chain(&error).contains("proxy"), "{}", chain(&error));
    assert!(proxy.requests().iter().all(|head| head.starts_with("CONNECT mirror.invalid:443")));
}

#[test]
fn a_host_that_apt_asks_directly_is_asked_directly() {
    let archive = Archive::new(vec![suite("trixie", vec![kernel("6.12.57+deb13", "6.12.57-1")])]);
    let proxy = Proxy::start(&archive.server);
    let dir = tempfile::tempdir().unwrap();
    let apt = format!(
        "Acquire::http::Proxy \"http://{}/\";\nAcquire::http::Proxy::mirror.invalid \"DIRECT\";\n",
        proxy.address
    );
    let mirror = Some("http://mirror.invalid/debian".to_owned());
    let options = Options { mirror, ..archive.options(&["trixie"]) };
    let Some(settings) = settings(dir.path(), &apt, options) else { return };
    let store = Store::open(&settings.cache_dir).unwrap();
    assert!(Catalog::load(&settings, &store, &Silent).is_err(), "there is no such host");
    assert_eq!(proxy.requests(), Vec::<String>::new());
}
