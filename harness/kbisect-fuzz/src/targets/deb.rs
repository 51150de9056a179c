//! Packages: Debian's, and rpm's.

use std::fs;
use std::path::Path;

use kbisect_kernels::inspect_package;

const BLOCK: usize = 512;
const AR_HEADER: usize = 60;

pub(super) fn target(input: &[u8]) {
    unpack(input);
    // Check sums of the tar headers stop most of what is changed: once more with right ones.
    let mut mended = input.to_vec();
    mend(&mut mended);
    if mended != input {
        unpack(&mended);
    }
}

/// An rpm package. Seeds carry no digests, so that what is changed is read all the same.
pub(super) fn rpm(input: &[u8]) {
    unpack(input);
}

fn unpack(package: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let (deb, dir) = (folder.path().join("a.deb"), folder.path().join("kernel"));
    fs::write(&deb, package).expect("room for the package");
    fs::create_dir(&dir).expect("room for a folder");
    match inspect_package(&deb, &dir) {
        Ok(contents) => {
            for path in contents.images.iter().chain(&contents.config) {
                assert!(path.starts_with(&dir) && path.is_file(), "{}", path.display());
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let mut beside: Vec<_> = names(folder.path());
    beside.sort();
    assert_eq!(beside, ["a.deb", "kernel"], "files outside the folder");
    plain(&dir);
}

/// Only folders and files, no links and nothing special.
fn plain(dir: &Path) {
    for name in names(dir) {
        let path = dir.join(name);
        let kind = path.symlink_metadata().expect("it was listed").file_type();
        assert!(kind.is_dir() || kind.is_file(), "{} is {kind:?}", path.display());
        if kind.is_dir() {
            plain(&path);
        }
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a folder of the test");
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Corrects the check sums in plain tar members (tar(5): the sum of the header's bytes, with the
/// field itself as spaces).
fn mend(package: &mut [u8]) {
    let mut at = 8;
    while let Some(header) = package.get(at..at + AR_HEADER) {
        let is_tar = [&b"data.tar "[..], b"data.tar/", b"control.tar ", b"control.tar/"]
            .iter()
            .any(|name| header.starts_with(name));
        let size = number(&header[48..58], 10).min(package.len() - at - AR_HEADER);
        let start = at + AR_HEADER;
        if is_tar {
            mend_tar(&mut package[start..start + size]);
        }
        at = start + size + size % 2;
    }
}

fn mend_tar(tar: &mut [u8]) {
    let mut at = 0;
    while let Some(header) = tar.get_mut(at..at + BLOCK) {
        if header.iter().any(|byte| *byte != 0) {
            header[148..156].fill(b' ');
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        let size = number(&header[124..136], 8).min(1 << 20);
        at += BLOCK + size.next_multiple_of(BLOCK);
    }
}

fn number(field: &[u8], radix: u32) -> usize {
    let digits = String::from_utf8_lossy(field);
    let digits = digits.trim_matches([' ', '\0']);
    usize::from_str_radix(digits, radix).unwrap_or(0)
}
