//! Packages of Fedora, Red Hat and SUSE.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use kbisect_kernels::{AddError, AddRequest, ReadyKernel, Silent, Store, inspect_package};
use support::chain;
use support::deb::{self, Entry, file};
use support::rpm::{self, Compressor};

const RELEASE: &str = "6.12.57-200.fc42.x86_64";

/// What `kernel-core` holds.
fn core(prefix: &str) -> Vec<Entry> {
    let dir = format!("{prefix}lib/modules/{RELEASE}");
    vec![
        file(format!("{dir}/vmlinuz"), deb::plain_image(RELEASE)),
        file(format!("{dir}/config"), "CONFIG_SQUASHFS_ZSTD=y\n"),
        file(format!("{dir}/System.map"), "0".repeat(5000)),
        file(format!("{dir}/modules.builtin"), ""),
        file(format!("{dir}/symvers.xz"), "not of interest"),
        Entry::Link(format!("{dir}/build"), format!("/usr/src/kernels/{RELEASE}")),
        Entry::Link(format!("{dir}/weak"), "../../../../etc".to_owned()),
        file("./usr/share/licenses/kernel-core/COPYING", "GPL"),
    ]
}

/// What `kernel-modules-core` holds; `format` is that of each module.
fn modules(prefix: &str, format: &str) -> Vec<Entry> {
    let dir = format!("{prefix}lib/modules/{RELEASE}/kernel");
    let module = |name: &&str| {
        let data = match format {
            "xz" => deb::xz(name.as_bytes()),
            "zst" => zstd::encode_all(name.as_bytes(), 1).unwrap(),
            _ => name.as_bytes().to_vec(),
        };
        let suffix = if format.is_empty() { String::new() } else { format!(".{format}") };
        file(format!("{dir}/{name}.ko{suffix}"), data)
    };
    deb::MODULES.iter().map(module).collect()
}

struct Place {
    dir: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        Self { dir, store }
    }

    fn write(&self, name: &str, data: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, data).unwrap();
        path
    }

    fn add(&self, inputs: Vec<PathBuf>) -> Result<ReadyKernel, AddError> {
        self.store.add(&AddRequest { inputs, ..AddRequest::default() }, &Silent)
    }

    /// The error of adding one file, and that it left nothing.
    fn refusal(&self, data: &[u8]) -> String {
        let error = self.add(vec![self.write("bad.rpm", data)]).unwrap_err();
        assert!(self.store.list().unwrap().is_empty());
        chain(&error)
    }
}

#[test]
fn a_kernel_in_two_packages_of_any_compression_is_whole() {
    let cases = [
        (Compressor::Zstd, "./", "xz"),
        (Compressor::Xz, "./usr/", "zst"),
        (Compressor::Gzip, "", ""),
    ];
    for (compressor, prefix, format) in cases {
        let place = Place::new();
        let ready = place
            .add(vec![
                place.write("core.rpm", &rpm::package("kernel-core", compressor, &core(prefix))),
                place.write(
                    "modules.rpm",
                    &rpm::package("kernel-modules-core", compressor, &modules(prefix, format)),
                ),
            ])
            .unwrap();
        let kernel = &ready.kernel;
        assert_eq!(kernel.release.as_deref(), Some(RELEASE), "{compressor:?}");
        assert_eq!(kernel.version, "6.12.57");
        assert_eq!(kernel.source, "local");
        assert_eq!(ready.config_value("CONFIG_SQUASHFS_ZSTD").as_deref(), Some("y"));
        let tree = ready.modules.as_ref().unwrap();
        assert_eq!(tree.boot_order.len(), deb::MODULES.len());
        assert!(tree.missing.is_empty(), "{:?}", tree.missing);
        assert!(ready.system_map.is_some());
    }
}

#[test]
fn the_core_alone_says_what_it_lacks() {
    let place = Place::new();
    let core = place.write("core.rpm", &rpm::package("kernel-core", Compressor::Zstd, &core("./")));
    let ready = place.add(vec![core]).unwrap();
    assert!(ready.missing_for_boot().contains(&"virtio_net".to_owned()));
}

#[test]
fn damage_is_found_and_named() {
    let place = Place::new();
    let good = rpm::package("kernel-core", Compressor::Gzip, &core("./"));
    let mut payload = good.clone();
    *payload.last_mut().unwrap() ^= 1;
    let mut longer = good.clone();
    longer.extend(b"more");
    let mut header = good.clone();
    let at = header.windows(12).position(|bytes| bytes == b"kernel-core\0").unwrap();
    let at =
        at + header[at + 1..].windows(12).position(|bytes| bytes == b"kernel-core\0").unwrap() + 1;
    header[at] ^= 1;
    let cases: [(&[u8], &str); 6] = [
        (&payload, "bad.rpm"),
        (&longer, "bad.rpm"),
        (&header, "header is damaged"),
        (&good[..good.len() / 2], "bad.rpm"),
        (&good[..200], "cut short"),
        (&[b'x'; 100], "does not begin"),
    ];
    for (data, says) in cases {
        let text = place.refusal(data);
        assert!(text.contains("bad.rpm") && text.contains(says), "{says}: {text}");
    }
    // Well compressed, but not what the header promises.
    let other = rpm::package("kernel-core", Compressor::Gzip, &core("./usr/"));
    let split = |data: &[u8]| data.windows(3).rposition(|bytes| bytes == [0x1f, 0x8b, 8]).unwrap();
    let mixed = [&good[..split(&good)], &other[split(&other)..]].concat();
    let text = place.refusal(&mixed);
    assert!(text.contains("not the one that its header names"), "{text}");
}

#[test]
fn what_is_hostile_is_refused() {
    let place = Place::new();
    let escape = |path: &str| {
        let entries = [file(path, "x")];
        place.refusal(&rpm::package("kernel-core", Compressor::Xz, &entries))
    };
    let text = escape("./lib/modules/../../../../etc/passwd");
    assert!(text.contains("leads out of the package"), "{text}");
    let text = escape("/lib/modules/6.1/kernel/a.ko");
    assert!(text.contains("absolute path"), "{text}");
    let raw = |payload: &[u8]| place.refusal(&rpm::assemble("k", "gzip", &gzip(payload)));
    // An entry that claims 4 GB and has nothing, a name that does, and no archive.
    let mut archive = rpm::cpio(&[file("./lib/modules/6.1/kernel/a.ko", "x")]);
    archive[54..62].copy_from_slice(b"ffffffff");
    assert!(raw(&archive).contains("larger than any file"), "{}", raw(&archive));
    archive[54..62].copy_from_slice(b"0fffffff");
    assert!(raw(&archive).contains("cut short"), "{}", raw(&archive));
    archive[94..102].copy_from_slice(b"7fffffff");
    assert!(raw(&archive).contains("longer than any path"), "{}", raw(&archive));
    assert!(raw(b"07070X").contains("cut short"));
    assert!(raw(&[b'0'; 500]).contains("no cpio archive"));
    assert!(raw(b"").contains("cut short"));
    let text = place.refusal(&rpm::assemble("k", "lzma2000", b"x"));
    assert!(text.contains("compressed in an unknown way"), "{text}");
    // A header that claims gigabytes is refused before any of it is read.
    let mut huge = rpm::package("kernel-core", Compressor::Gzip, &core("./"));
    huge[104..108].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(place.refusal(&huge).contains("larger than that of any package"));
}

#[test]
fn no_change_of_a_byte_leads_out_of_the_folder() {
    let good = rpm::package("kernel-core", Compressor::Gzip, &core("./")[1..4]);
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("a.rpm");
    for n in 0..good.len().min(800) {
        let mut bad = good.clone();
        bad[n] ^= [0xff, 0x01, 0x80][n % 3];
        fs::write(&path, &bad).unwrap();
        let dir = scratch.path().join("out");
        fs::create_dir(&dir).unwrap();
        // Either way is fine; a panic or a file beside the folder is not.
        let _ = inspect_package(&path, &dir);
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(names(scratch.path()), ["a.rpm"], "byte {n}");
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().flatten();
    entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}
