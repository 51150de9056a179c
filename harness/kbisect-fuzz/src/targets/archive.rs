//! What mirrors, services and proxies answer.

use kbisect_kernels::readers;

/// Release files, Packages indexes, checksums and lists.
pub(super) fn index(input: &[u8]) {
    const BASE: &str = "http://mirror.example/mainline/v6.12.57/amd64";
    let _ = readers::release(input);
    let _ = readers::packages(input);
    for url in readers::mainline(input, BASE) {
        let rest = url.strip_prefix(BASE).expect("below the address that was asked");
        assert!(!rest.split('/').any(|part| part == ".."), "{url}");
    }
}

pub(super) fn snapshot(input: &[u8]) {
    let _ = readers::snapshot(input);
}

pub(super) fn proxy(input: &[u8]) {
    if let Ok((status, body)) = readers::proxy(input.to_vec(), 1 << 20) {
        assert!(!(100..200).contains(&status), "{status} is no answer");
        assert!(body.len() <= input.len(), "more than came");
    }
}

/// Metadata of a kernel in the store.
pub(super) fn meta(input: &[u8]) {
    if let Some(written) = readers::meta(input) {
        assert_eq!(readers::meta(&written), Some(written), "it stays as it is");
    }
}
