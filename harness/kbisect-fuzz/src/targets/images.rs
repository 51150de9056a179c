//! Kernel images, modules, their indexes, and debug information.

use std::collections::BTreeMap;

use kbisect_kernels::readers;

/// Heads of kernel images, packed or not, and ELF files of modules.
pub(super) fn kernel_image(input: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let path = folder.path().join("vmlinuz");
    std::fs::write(&path, input).expect("room for the file");
    if let Some(release) = readers::boot_image(&path) {
        assert!(!release.contains('/') && !release.starts_with('.'), "{release:?}");
    }
    let _ = readers::module(input);
}

/// depmod's files, one after the other, with a zero byte between them.
pub(super) fn modules(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut parts = text.splitn(5, '\0');
    let texts: [&str; 5] = std::array::from_fn(|_| parts.next().unwrap_or_default());
    let names: Vec<&str> = texts[0]
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(path, _)| path)
        .chain(["nf_tables", "crypto-x", "a*"])
        .take(8)
        .collect();
    let _ = readers::module_index(texts, &names);
}

/// An object file with debug information, and the trace that is looked up in it.
pub(super) fn symbols(input: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let vmlinux = folder.path().join("vmlinux");
    std::fs::write(&vmlinux, input).expect("room for the file");
    let modules = BTreeMap::from([("mod".to_owned(), vmlinux.clone())]);
    let files = kbisect_symbols::Files { vmlinux, modules };
    let trace = "RIP: 0010:main+0x4/0x20\n f+0x1/0x10 [mod]\n start_kernel+0x10/0x100\n";
    if let Ok(decoded) = kbisect_symbols::decode(trace, &files) {
        assert!(decoded.text.len() < 1 << 20);
    }
}
