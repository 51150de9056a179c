//! Variants of a kernel: what differs, what is refused before a boot.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to panic")]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use kbisect_kernels::{AddRequest, AddedVariant, ReadyKernel, Silent, Store, VariantRequest};
use support::chain;
use support::deb;
use support::module::FakeModule;

const RELEASE: &str = "6.12.57+deb13-cloud-amd64";
const STOCK: FakeModule = FakeModule {
    name: Some("vrf"),
    vermagic: "6.12.57+deb13-cloud-amd64 SMP mod_unload modversions ",
    versions: &[("module_layout", 1), ("nf_reset_ct", 2)],
    info: true,
    text: b"stock",
};

struct Lab {
    dir: tempfile::TempDir,
    store: Store,
    base: ReadyKernel,
}

impl Lab {
    /// A stored kernel with a module vrf, and two that the boot needs.
    fn new(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        let tree = dir.path().join("tree");
        let below = |name: &str| tree.join(format!("lib/modules/{RELEASE}")).join(name);
        write(&tree.join(format!("boot/vmlinuz-{RELEASE}")), &deb::image(RELEASE, "6.12.57-1"));
        write(&tree.join(format!("boot/config-{RELEASE}")), config.as_bytes());
        write(&below("kernel/drivers/net/vrf.ko.xz"), &deb::xz(&STOCK.bytes()));
        let other = FakeModule { name: Some("nft-nat"), ..STOCK };
        write(&below("kernel/net/nft-nat.ko"), &other.bytes());
        write(&below("kernel/fs/squashfs.ko"), b"stock squashfs");
        write(&below("modules.builtin"), b"kernel/drivers/block/virtio_blk.ko\n");
        let request = AddRequest { inputs: vec![tree], ..AddRequest::default() };
        let base = store.add(&request, &Silent).unwrap();
        Self { dir, store, base }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.dir.path().join("given").join(name);
        write(&path, bytes);
        path
    }

    fn add(
        &self,
        name: &str,
        modules: &[PathBuf],
        cmdline: &[&str],
    ) -> Result<AddedVariant, String> {
        self.add_to(&self.base, name, modules, cmdline)
    }

    fn add_to(
        &self,
        base: &ReadyKernel,
        name: &str,
        modules: &[PathBuf],
        cmdline: &[&str],
    ) -> Result<AddedVariant, String> {
        let request = VariantRequest {
            base: base.clone(),
            modules: modules.to_vec(),
            cmdline: cmdline.iter().map(|word| (*word).to_owned()).collect(),
            name: name.to_owned(),
            replace: false,
        };
        self.store
            .add_variant(&request, &Silent)
            .map_err(|error| format!("{} | {}", chain(&error), error.hint().unwrap_or_default()))
    }

    /// Unpacks a kernel's module image.
    fn unpacked(&self, kernel: &ReadyKernel) -> PathBuf {
        let target = self.dir.path().join(format!("unpacked-{}", kernel.kernel.id.short()));
        let image = &kernel.modules.as_ref().unwrap().image;
        let done = Command::new("unsquashfs").arg("-d").arg(&target).arg(image).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        target
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_module_is_replaced_and_all_else_is_the_stock_kernel() {
    let lab = Lab::new("CONFIG_SQUASHFS_LZ4=y\n");
    let changed = FakeModule { text: b"changed", ..STOCK }.bytes();
    let zst = lab.file("my-vrf.ko.zst", &zstd::encode_all(changed.as_slice(), 1).unwrap());
    let added = lab.add("lab-vrf", &[zst], &[]).unwrap();
    let (kernel, base) = (&added.kernel.kernel, &lab.base.kernel);
    assert_eq!(added.notes, Vec::<String>::new());
    assert_ne!(kernel.id, base.id);
    assert_eq!(kernel.label(), "lab-vrf");
    assert_eq!(kernel.source, "variant of 6.12.57-1 (module vrf)");
    assert_eq!(kernel.package_version, base.package_version);
    assert_eq!(kernel.release.as_deref(), Some(RELEASE));
    let variant = kernel.variant.as_ref().unwrap();
    assert_eq!((&variant.base_id, variant.modules.as_slice()), (&base.id, &["vrf".to_owned()][..]));
    assert!(added.kernel.cmdline().is_empty());
    let tree = lab.unpacked(&added.kernel);
    assert_eq!(fs::read(tree.join("kernel/drivers/net/vrf.ko")).unwrap(), changed);
    let stock = lab.unpacked(&lab.base);
    for same in ["kernel/net/nft-nat.ko", "kernel/fs/squashfs.ko", "modules.builtin"] {
        assert_eq!(fs::read(tree.join(same)).unwrap(), fs::read(stock.join(same)).unwrap());
    }
    assert_eq!(fs::read(stock.join("kernel/drivers/net/vrf.ko")).unwrap(), STOCK.bytes());
    let modules = added.kernel.modules.as_ref().unwrap();
    assert_eq!(modules.closure(&["vrf"]).unwrap(), [Path::new("kernel/drivers/net/vrf.ko")]);
    let boot = |kernel: &ReadyKernel| fs::read(&kernel.modules.as_ref().unwrap().boot_archive);
    assert_eq!(boot(&added.kernel).unwrap(), boot(&lab.base).unwrap());
    let inode = |kernel: &ReadyKernel| fs::metadata(&kernel.vmlinuz).unwrap().ino();
    assert_eq!(inode(&added.kernel), inode(&lab.base), "what is equal takes no room twice");
    assert_eq!(fs::read_dir(lab.store.dir().join("tmp")).unwrap().count(), 0);
}

#[test]
fn the_same_difference_is_the_same_kernel() {
    let lab = Lab::new("");
    let changed = FakeModule { text: b"changed", ..STOCK }.bytes();
    let plain = lab.file("vrf.ko", &changed);
    let first = lab.add("one", std::slice::from_ref(&plain), &[]).unwrap();
    let packed = lab.file("vrf.ko.xz", &deb::xz(&changed));
    let second = lab.add("two", &[packed], &[]).unwrap();
    assert_eq!(first.kernel.kernel.id, second.kernel.kernel.id);
    assert_eq!(second.kernel.kernel.name.as_deref(), Some("two"));
    assert_eq!(lab.store.list().unwrap().len(), 2);
    let with_word = lab.add("three", &[plain], &["nosmp"]).unwrap();
    assert_ne!(with_word.kernel.kernel.id, first.kernel.kernel.id);
    let other = lab.file("vrf.ko", &FakeModule { text: b"other", ..STOCK }.bytes());
    let taken = lab.add("two", &[other], &[]).unwrap_err();
    assert!(taken.contains("belongs to kernel 6.12.57-1"), "{taken}");
    assert!(lab.add("6.1.9", &[], &["nosmp"]).unwrap_err().contains("looks like a version"));
}

#[test]
fn a_command_line_alone_is_a_difference() {
    let lab = Lab::new("");
    let added = lab.add("two-words", &[], &["panic_on_warn=1", "nosmp"]).unwrap();
    assert_eq!(added.kernel.cmdline(), ["panic_on_warn=1", "nosmp"]);
    assert_eq!(added.kernel.kernel.source, "variant of 6.12.57-1 (panic_on_warn=1 nosmp)");
    let image = |kernel: &ReadyKernel| kernel.modules.as_ref().unwrap().image.clone();
    let inode = |kernel: &ReadyKernel| fs::metadata(image(kernel)).unwrap().ino();
    assert_eq!(inode(&added.kernel), inode(&lab.base));
    assert_eq!(added.kernel.modules.as_ref().unwrap().missing, lab.base.missing_for_boot());
    // A variant of a variant says what differs from the stock kernel.
    let module = lab.file("vrf.ko", &FakeModule { text: b"changed", ..STOCK }.bytes());
    let both = lab.add_to(&added.kernel, "both", &[module], &["quiet"]).unwrap();
    assert_eq!(
        both.kernel.kernel.source,
        "variant of 6.12.57-1 (module vrf; panic_on_warn=1 nosmp quiet)"
    );
    for (words, told) in [
        (&["a b"][..], "`a b` is not a word"),
        (&["ä"], "is not a word"),
        (&["\u{1b}[2J"], "`\\u{1b}[2J` is not a word"),
        (&[""], "is not a word"),
        (&[], "needs a module or a command line"),
    ] {
        let error = lab.add("x", &[], words).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
}

#[test]
fn a_module_of_another_kernel_is_refused() {
    let lab = Lab::new("CONFIG_MODVERSIONS=y\n");
    let refused = |fake: FakeModule| {
        let module = lab.file("vrf.ko", &fake.bytes());
        let error = lab.add("x", &[module], &[]).unwrap_err();
        assert_eq!(lab.store.list().unwrap().len(), 1);
        assert_eq!(fs::read_dir(lab.store.dir().join("tmp")).unwrap().count(), 0);
        error
    };
    let error = refused(FakeModule {
        vermagic: "5.10.0-30-cloud-amd64 SMP mod_unload modversions ",
        ..STOCK
    });
    assert!(
        error.contains("its vermagic is `5.10.0-30-cloud-amd64 SMP mod_unload modversions`"),
        "{error}"
    );
    assert!(error.contains(&format!("| build it against the headers of {RELEASE}")), "{error}");
    let error = refused(FakeModule {
        vermagic: "6.12.57+deb13-cloud-amd64 SMP preempt mod_unload modversions ",
        ..STOCK
    });
    assert!(error.contains("preempt"), "{error}");
    let error = refused(FakeModule {
        versions: &[("module_layout", 1), ("nf_reset_ct", 3), ("new_symbol", 9)],
        ..STOCK
    });
    assert!(error.contains("it disagrees about nf_reset_ct |"), "{error}");
}

#[test]
fn a_module_that_replaces_nothing_is_refused() {
    let lab = Lab::new("");
    let named = |name: &'static str| FakeModule { name: Some(name), ..STOCK }.bytes();
    let error = lab.add("x", &[lab.file("vrv.ko", &named("vrv"))], &[]).unwrap_err();
    assert!(error.contains("6.12.57 has no module vrv"), "{error}");
    assert!(error.ends_with("| did you mean vrf?"), "{error}");
    let error = lab.add("x", &[lab.file("zram.ko", &named("zram"))], &[]).unwrap_err();
    assert!(error.contains("no module zram") && error.ends_with("| "), "{error}");
    let built_in = lab.file("virtio_blk.ko", &named("virtio-blk"));
    let error = lab.add("x", &[built_in], &[]).unwrap_err();
    assert!(error.contains("virtio_blk is built into 6.12.57"), "{error}");
    let twice = [lab.file("a.ko", &named("vrf")), lab.file("b.ko", &named("vrf"))];
    let error = lab.add("x", &twice, &[]).unwrap_err();
    assert!(error.contains("the module vrf is given twice"), "{error}");
    let error = lab.add("x", &[lab.file("vrf.c", b"int x;")], &[]).unwrap_err();
    assert!(error.contains("vrf.c` is not a kernel module: it is no ELF file"), "{error}");
    let cut = deb::xz(&named("vrf"));
    let error = lab.add("x", &[lab.file("vrf.ko.xz", &cut[..40])], &[]).unwrap_err();
    assert!(error.contains("cannot read"), "{error}");
    let error = lab.add("x", &[lab.dir.path().join("nowhere.ko")], &[]).unwrap_err();
    assert!(error.contains("cannot read") && error.contains("No such file"), "{error}");
    assert_eq!(lab.store.list().unwrap().len(), 1);
}

#[test]
fn names_of_modules_count_not_those_of_files() {
    let lab = Lab::new("");
    let changed = FakeModule { name: Some("nft_nat"), text: b"changed", ..STOCK }.bytes();
    let added = lab.add("x", &[lab.file("vrf.ko", &changed)], &[]).unwrap();
    let tree = lab.unpacked(&added.kernel);
    assert_eq!(fs::read(tree.join("kernel/net/nft-nat.ko")).unwrap(), changed);
    assert_eq!(fs::read(tree.join("kernel/drivers/net/vrf.ko")).unwrap(), STOCK.bytes());
}

#[test]
fn signatures_are_asked_for_where_the_kernel_asks_for_them() {
    let changed = FakeModule { text: b"changed", ..STOCK };
    let mut damaged = changed.signed();
    let at = damaged.len() - 40;
    damaged[at + 2] = 9;
    let (plain, signed) = (changed.bytes(), changed.signed());
    for (config, word, bytes, told) in [
        ("", "a", &plain, Ok(None)),
        ("CONFIG_MODULE_SIG=y\n", "a", &plain, Ok(Some("tainted"))),
        ("CONFIG_MODULE_SIG=y\n", "a", &signed, Ok(None)),
        ("CONFIG_MODULE_SIG=y\n", "a", &damaged, Err("damaged signature")),
        ("CONFIG_MODULE_SIG_FORCE=y\n", "a", &plain, Err("(CONFIG_MODULE_SIG_FORCE)")),
        ("CONFIG_MODULE_SIG_FORCE=y\n", "a", &signed, Ok(Some("is not seen before"))),
        ("", "module.sig_enforce=1", &plain, Err("`module.sig_enforce=1` on its command line")),
        ("", "module.sig_enforce", &plain, Err("is not signed")),
        ("", "module.sig_enforce=0", &plain, Ok(None)),
        ("", "lockdown=integrity", &plain, Err("`lockdown=integrity`")),
        ("", "lockdown=none", &plain, Ok(None)),
    ] {
        let lab = Lab::new(config);
        let result = lab.add("x", &[lab.file("vrf.ko", bytes)], &[word]);
        match (&result, told) {
            (Ok(added), Ok(None)) => assert_eq!(added.notes, Vec::<String>::new()),
            (Ok(added), Ok(Some(told))) => assert!(added.notes[0].contains(told), "{result:?}"),
            (Err(error), Err(told)) => assert!(error.contains(told), "{error}"),
            _ => panic!("{config} {word}: {result:?}"),
        }
    }
}
