//! The store: adding, hostile packages, several at once, killed writers, pruning.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Barrier;
use std::thread;

use kbisect_core::kernel::KernelId;
use kbisect_kernels::{AddRequest, Catalog, Provided, ReadyKernel, Silent, Store};
use support::archive::{Archive, kernel, suite};
use support::deb::{self, Entry};
use support::{Record, chain, settings};

const RELEASE: &str = "6.12.57+deb13-cloud-amd64";

fn store(dir: &Path) -> Store {
    Store::open(&dir.join("cache")).unwrap()
}

fn write(path: PathBuf, data: impl AsRef<[u8]>) -> PathBuf {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, data).unwrap();
    path
}

fn add(store: &Store, inputs: Vec<PathBuf>, name: Option<&str>) -> Result<ReadyKernel, String> {
    let name = name.map(str::to_owned);
    let request = AddRequest { inputs, name, ..AddRequest::default() };
    store
        .add(&request, &Silent)
        .map_err(|error| format!("{} | {}", chain(&error), error.hint().unwrap_or_default()))
}

fn tmp_is_empty(store: &Store) -> bool {
    fs::read_dir(store.dir().join("tmp")).unwrap().next().is_none()
}

#[test]
fn a_package_is_added_once_whatever_it_is_called() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let data = deb::image_package(RELEASE, "6.12.57-1");
    let one = write(dir.path().join("one.deb"), &data);
    let two = write(dir.path().join("two.deb"), &data);
    let first = add(&store, vec![one], None).unwrap();
    assert_eq!(first.kernel.package_version.as_str(), "6.12.57-1");
    assert_eq!(first.kernel.version, "6.12.57");
    assert_eq!(first.kernel.flavour, "cloud-amd64");
    assert_eq!(first.kernel.release.as_deref(), Some(RELEASE));
    assert_eq!(first.modules.as_ref().unwrap().boot_order.len(), deb::MODULES.len());
    let second = add(&store, vec![two], Some("again")).unwrap();
    assert_eq!(second.kernel.id, first.kernel.id);
    assert_eq!(second.kernel.name.as_deref(), Some("again"));
    assert_eq!(store.list().unwrap().len(), 1);
    assert!(tmp_is_empty(&store));
    let mode = fs::metadata(&first.vmlinuz).unwrap().permissions();
    assert!(mode.readonly(), "what is in the store is not to change");
}

#[test]
fn an_added_archive_package_is_the_archives_kernel() {
    let archive = Archive::new(vec![suite("trixie", vec![kernel("6.12.57+deb13", "6.12.57-1")])]);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), archive.options(&["trixie"]));
    let store = Store::open(&settings.cache_dir).unwrap();
    let file = archive.pool(&format!("linux-image-{RELEASE}"), "6.12.57-1");
    let added = add(&store, vec![file], None).unwrap();
    let catalog = Catalog::load(&settings, &store, &Silent).unwrap();
    assert_eq!(catalog.all().len(), 1);
    assert_eq!(catalog.all()[0].kernel.id, added.kernel.id);
}

#[test]
fn an_image_alone_and_one_with_modules_are_two_kernels() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let image = write(dir.path().join("bzImage"), deb::image("5.10.43", ""));
    let alone = add(&store, vec![image.clone()], None).unwrap();
    assert!(alone.modules.is_none());
    assert_eq!((alone.kernel.version.as_str(), alone.kernel.flavour.as_str()), ("5.10.43", ""));
    write(dir.path().join("mods/lib/modules/5.10.43/kernel/virtio_blk.ko"), "x");
    let request = AddRequest {
        inputs: vec![image],
        modules: Some(dir.path().join("mods")),
        version: Some("5.10.61".to_owned()),
        name: Some("vrf-broken".to_owned()),
        replace: false,
    };
    let with = store.add(&request, &Silent).unwrap();
    assert_ne!(with.kernel.id, alone.kernel.id);
    assert_eq!(with.kernel.package_version.as_str(), "5.10.61");
    assert_eq!(with.modules.as_ref().unwrap().boot_order, ["00-virtio_blk.ko"]);
    let missing = with.missing_for_boot();
    assert_eq!(missing, ["virtio_pci", "virtio_net", "virtio_console", "squashfs", "overlay"]);
    let taken = add(&store, vec![dir.path().join("bzImage")], Some("vrf-broken")).unwrap_err();
    assert!(taken.contains("belongs to kernel 5.10.61"), "{taken}");
    let request = AddRequest {
        inputs: vec![dir.path().join("bzImage")],
        name: Some("vrf-broken".to_owned()),
        replace: true,
        ..AddRequest::default()
    };
    let taken = store.add(&request, &Silent).unwrap();
    assert_eq!(taken.kernel.id, alone.kernel.id);
    assert_eq!(taken.kernel.label(), "vrf-broken");
    let before = store.get(&with.kernel.id).unwrap().kernel;
    assert_eq!(before.label(), format!("vrf-broken.{}", before.id.short()));
}

#[test]
fn the_configuration_answers_for_a_kernel_without_modules() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let image = write(dir.path().join("vmlinuz-5.10.43"), deb::image("5.10.43", ""));
    let all = ["VIRTIO_PCI", "VIRTIO_BLK", "VIRTIO_NET", "VIRTIO_CONSOLE", "SQUASHFS"];
    let built_in: String = all.iter().map(|option| format!("CONFIG_{option}=y\n")).collect();
    write(dir.path().join("config-5.10.43"), format!("{built_in}CONFIG_OVERLAY_FS=m\n"));
    let ready = add(&store, vec![image], None).unwrap();
    assert_eq!(ready.missing_for_boot(), ["overlay"], "a module that is not there does not count");
    assert_eq!(ready.provides("squashfs", Some("SQUASHFS")), Some(Provided::Builtin));
    assert_eq!(ready.provides("vrf", Some("NET_VRF")), Some(Provided::Missing));
    assert_eq!(ready.provides("vrf", None), None);
}

#[test]
fn a_directory_is_added_with_its_modules() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let tree = dir.path().join("tree");
    write(tree.join("boot/vmlinuz-6.1.9"), deb::image("6.1.9", ""));
    write(tree.join("boot/config-6.1.9"), "CONFIG_HZ=250\n");
    write(tree.join("lib/modules/6.1.9/kernel/overlay.ko.xz"), deb::xz(b"overlay"));
    let ready = add(&store, vec![tree], Some("mine")).unwrap();
    assert_eq!(ready.config_value("HZ").as_deref(), Some("250"));
    assert_eq!(ready.modules.unwrap().boot_order, ["00-overlay.ko"]);
}

#[test]
fn what_is_no_kernel_says_what_to_give() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let file = |name: &str, data: &[u8]| write(dir.path().join(name), data);
    let good = deb::image_package(RELEASE, "6.12.57-1");
    for (input, reason) in [
        (file("vmlinux", b"\x7fELF\x02\x01"), "vmlinux"),
        (file("vmlinux", b"\x7fELF\x02\x01"), "arch/x86/boot/bzImage"),
        (file("garbage", &[7; 5000]), "no Linux boot header"),
        (file("empty", b""), "no Linux boot header"),
        (file("garbage.deb", &[7; 5000]), "not a usable package"),
        (file("short.deb", &good[..good.len() / 2]), "not a usable package"),
        (file("other.a", &deb::ar(&[("a.o", vec![1, 2])])), "no Debian package"),
        (file("old.deb", &deb::ar(&[("debian-binary", b"2.0\n".to_vec())])), "has no `data.tar`"),
        (dir.path().join("cache"), "no kernel image"),
        (dir.path().join("nowhere"), "does not exist"),
    ] {
        let error = add(&store, vec![input.clone()], None).unwrap_err();
        assert!(error.contains(reason), "{}: {error}", input.display());
        assert_eq!(store.list().unwrap().len(), 0);
        assert!(tmp_is_empty(&store));
    }
    assert!(add(&store, vec![], None).is_err());
    let image = file("bzImage", &deb::image("6.1.9", ""));
    let error = add(&store, vec![image.clone(), image.clone()], None).unwrap_err();
    assert!(error.contains("only packages"), "{error}");
    for name in ["6.1.9", "", "a/b", "..", "-x", "deadbeef"] {
        assert!(add(&store, vec![image.clone()], Some(name)).is_err(), "{name}");
    }
}

#[test]
fn hostile_packages_write_nothing_outside() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let module = format!("./lib/modules/{RELEASE}/kernel/a.ko");
    let link = |target: &str| vec![Entry::Link(module.clone(), target.to_owned())];
    let evil: Vec<(Vec<Entry>, &str)> = vec![
        (vec![deb::file("../../../../escaped", "x")], "leads out"),
        (vec![deb::file(format!("./lib/modules/{RELEASE}/../../../../escaped"), "x")], "leads out"),
        (vec![deb::file("/tmp/escaped", "x")], "absolute"),
        (link("/etc/passwd"), "absolute path"),
        (link("../../../../../../etc/passwd"), "leads out"),
    ];
    for (mut entries, reason) in evil {
        entries.insert(0, deb::file(format!("./boot/vmlinuz-{RELEASE}"), deb::image(RELEASE, "1")));
        let file = write(dir.path().join("evil.deb"), deb::deb("linux-image-x", "1", &entries));
        let error = add(&store, vec![file], None).unwrap_err();
        assert!(error.contains("evil.deb") && error.contains(reason), "{error}");
        assert_eq!(store.list().unwrap().len(), 0);
        assert!(tmp_is_empty(&store));
    }
    let everything: Vec<String> = walk(dir.path());
    assert!(!everything.iter().any(|path| path.contains("escaped")), "{everything:?}");
}

fn walk(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().flatten();
    entries
        .flat_map(|entry| {
            let path = entry.path();
            let mut found = vec![path.display().to_string()];
            if entry.file_type().unwrap().is_dir() {
                found.extend(walk(&path));
            }
            found
        })
        .collect()
}

#[test]
fn links_that_stay_inside_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let mut entries = deb::modules("./", RELEASE);
    let tree = format!("./lib/modules/{RELEASE}/kernel");
    entries.push(Entry::Link(format!("{tree}/here"), "drivers".to_owned()));
    entries.push(deb::file(format!("{tree}/here/late.ko"), "late"));
    entries.push(Entry::Link("./usr/share/doc/x".to_owned(), "/somewhere".to_owned()));
    entries.push(deb::file(format!("./boot/vmlinuz-{RELEASE}"), deb::image(RELEASE, "6.12.57-1")));
    let file = write(dir.path().join("a.deb"), deb::deb("linux-image-x", "1", &entries));
    add(&store, vec![file], None).unwrap();
}

#[test]
fn threads_that_want_one_kernel_fetch_it_once() {
    let archive = Archive::new(vec![suite("trixie", vec![kernel("6.12.57+deb13", "6.12.57-1")])]);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), archive.options(&["trixie"]));
    let store = Store::open(&settings.cache_dir).unwrap();
    let candidate = Catalog::load(&settings, &store, &Silent).unwrap().resolve("6.12.57").unwrap();
    let (stalled, release) = archive.server.stall("amd64.deb");
    let start = Barrier::new(3);
    let record = Record::default();
    thread::scope(|scope| {
        let first = scope.spawn(|| store.ensure(&candidate, &settings, &Silent).unwrap().dir);
        stalled.recv().unwrap();
        let late: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    store.ensure(&candidate, &settings, &record).unwrap().dir
                })
            })
            .collect();
        start.wait();
        // Each of the two either waits or, wrongly, fetches the kernel itself.
        wait_until(|| record.notes.lock().unwrap().len() + archive.server.count(".deb") == 3);
        drop(release);
        let dir = first.join().unwrap();
        for thread in late {
            assert_eq!(thread.join().unwrap(), dir);
        }
    });
    assert_eq!(archive.server.count(".deb"), 1);
    assert!(record.notes.lock().unwrap()[0].contains("it is being fetched already"));
}

/// A user who wants to stop once a download stalls.
struct Stops(std::sync::atomic::AtomicBool);

impl kbisect_kernels::Progress for Stops {
    fn begin(&self, what: &str, total: Option<u64>) -> Box<dyn kbisect_kernels::ProgressItem> {
        Silent.begin(what, total)
    }
    fn note(&self, _: &str) {}
    fn cancelled(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

/// The server holds its answer back for as long as the test runs: what ends the wait is the user.
#[test]
fn a_download_that_stalls_can_be_stopped() {
    let archive = Archive::new(vec![suite("trixie", vec![kernel("6.12.57+deb13", "6.12.57-1")])]);
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), archive.options(&["trixie"]));
    let store = Store::open(&settings.cache_dir).unwrap();
    let candidate = Catalog::load(&settings, &store, &Silent).unwrap().resolve("6.12.57").unwrap();
    let (stalled, _release) = archive.server.stall("amd64.deb");
    let stops = Stops(std::sync::atomic::AtomicBool::new(false));
    let error = thread::scope(|scope| {
        let flag = &stops.0;
        scope.spawn(move || {
            stalled.recv().unwrap();
            flag.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        store.ensure(&candidate, &settings, &stops).unwrap_err()
    });
    assert!(error.to_string().contains("cancelled") || format!("{error:?}").contains("Cancelled"));
    assert_eq!(archive.server.count(".deb"), 1, "nothing is asked for again");
}

/// Not a test of its own: the other process of the tests below.
#[test]
fn other_process() {
    let Some(dir) = std::env::var_os("KBISECT_TEST_DIR").map(PathBuf::from) else { return };
    let var = |name: &str| std::env::var(name).unwrap();
    let options = kbisect_kernels::Options {
        mirror: Some(var("KBISECT_TEST_MIRROR")),
        keyrings: vec![PathBuf::from(var("KBISECT_TEST_KEYRING"))],
        suites: vec!["trixie".to_owned()],
        ..Default::default()
    };
    let settings = settings(&dir, options);
    let store = Store::open(&settings.cache_dir).unwrap();
    let candidate = Catalog::load(&settings, &store, &Silent).unwrap().resolve("6.12.57").unwrap();
    store.ensure(&candidate, &settings, &Silent).unwrap();
}

fn start_other_process(archive: &Archive, dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "other_process"])
        .env("KBISECT_TEST_DIR", dir)
        .env("KBISECT_TEST_MIRROR", format!("{}/debian", archive.server.url))
        .env("KBISECT_TEST_KEYRING", archive.key.keyring())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn processes_that_want_one_kernel_fetch_it_once() {
    let archive = Archive::new(vec![suite("trixie", vec![kernel("6.12.57+deb13", "6.12.57-1")])]);
    let dir = tempfile::tempdir().unwrap();
    let (stalled, release) = archive.server.stall("amd64.deb");
    let mut children: Vec<Child> =
        (0..3).map(|_| start_other_process(&archive, dir.path())).collect();
    stalled.recv().unwrap();
    drop(release);
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(archive.server.count(".deb"), 1);
    assert_eq!(store(dir.path()).list().unwrap().len(), 1);
}

#[test]
fn a_killed_writer_leaves_nothing_that_counts() {
    let archive = Archive::new(vec![suite("trixie", vec![kernel("6.12.57+deb13", "6.12.57-1")])]);
    let dir = tempfile::tempdir().unwrap();
    let (stalled, _release) = archive.server.stall("amd64.deb");
    let mut child = start_other_process(&archive, dir.path());
    stalled.recv().unwrap();
    // While it lives, another kbisect that starts leaves its work alone.
    assert!(!tmp_is_empty(&store(dir.path())));
    child.kill().unwrap();
    child.wait().unwrap();
    let store = store(dir.path());
    assert!(tmp_is_empty(&store), "the next start clears it away");
    assert_eq!(store.list().unwrap().len(), 0);
    assert!(start_other_process(&archive, dir.path()).wait().unwrap().success());
    assert_eq!(store.list().unwrap().len(), 1);
}

#[test]
fn a_kernel_that_cannot_be_read_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path());
    let file = write(dir.path().join("a.deb"), deb::image_package(RELEASE, "6.12.57-1"));
    let ready = add(&store, vec![file.clone()], None).unwrap();
    fs::remove_file(ready.dir.join("meta.json")).unwrap();
    assert!(store.get(&ready.kernel.id).is_none());
    assert_eq!(add(&store, vec![file], None).unwrap().kernel.id, ready.kernel.id);
    assert!(store.get(&KernelId("../../x".to_owned())).is_none());
}

/// Waits for something that another thread does. It yields rather than sleeps: nothing depends on
/// how long it takes.
fn wait_until(done: impl Fn() -> bool) {
    while !done() {
        thread::yield_now();
    }
}
