//! Readers of what mirrors, services, proxies and packages say, for fuzzers: each takes any bytes, and
//! gives what of them would become a part of an address or of a path.

use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::archive::packages::{
    self, is_changelog_package, is_debug_package, is_kernel_package, is_source_package,
};
use crate::archive::release::Release;
use crate::http_proxy;
use crate::import::{bzimage, selftests};
use crate::modules::image::ModuleImage;
use crate::modules::lookup::Lookup;
use crate::sources::{mainline, snapshot};
use crate::store::Meta;

/// A Release file: the path of the index that would be fetched.
pub fn release(text: &[u8]) -> Option<String> {
    let release = Release::parse(&String::from_utf8_lossy(text));
    let _ = (release.is_for("trixie"), release.expired(SystemTime::UNIX_EPOCH));
    release.packages_file("amd64").map(|file| file.path.clone())
}

/// A Packages index: the paths of kernel, debug, changelog and source packages.
pub fn packages(index: &[u8]) -> Vec<String> {
    let keep = |name: &str| {
        is_kernel_package(name)
            || is_debug_package(name)
            || is_changelog_package(name)
            || is_source_package(name)
    };
    let entries = packages::read(Cursor::new(index), keep).unwrap_or_default();
    entries.into_iter().map(|entry| entry.filename).collect()
}

/// The checksums beside a mainline build, and the list of builds: addresses below `base`.
pub fn mainline(text: &[u8], base: &str) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let kernel = mainline::kernels(r#"href="v6.12.57/""#).remove(0).kernel;
    let listed = mainline::kernels(&text);
    let names = listed.iter().map(|candidate| mainline::directory(&candidate.kernel));
    let mut urls: Vec<String> = names.map(|name| format!("{base}/{name}")).collect();
    urls.extend(mainline::package_urls(&text, &kernel, base, "amd64"));
    urls
}

/// An answer of the snapshot service; whether it is one.
pub fn snapshot(answer: &[u8]) -> bool {
    snapshot::is_answer(answer)
}

/// What a proxy answers: status, and at most `most` bytes of content.
///
/// # Errors
/// When it makes no sense or ends too early.
pub fn proxy(answer: Vec<u8>, most: u64) -> io::Result<(u16, Vec<u8>)> {
    let answer = http_proxy::read(Cursor::new(answer))?;
    let _ = answer.redirection("http://a.example/x");
    let mut body = Vec::new();
    answer.body.take(most).read_to_end(&mut body)?;
    Ok((answer.status, body))
}

/// An archive of a kernel's source, not compressed by much: its self-tests go into `folder`. Whether there are
/// any.
pub fn source_archive(archive: &[u8], format: &str, folder: &Path) -> Option<bool> {
    selftests::of_archive(&mut &*archive, format, "fuzzed", folder).ok()
}

/// A kernel image, packed or not: the release, which becomes a part of paths.
pub fn boot_image(path: &Path) -> Option<String> {
    bzimage::read(path).ok().map(|banner| banner.release)
}

/// A module file: its name and release.
pub fn module(file: &[u8]) -> Option<(String, String)> {
    let image = ModuleImage::parse(file, "stem").ok()?;
    Some((image.name.clone(), image.release().to_owned()))
}

/// The text files of a module tree, in the order of depmod's: files to insert for some names.
pub fn module_index(texts: [&str; 5], names: &[&str]) -> Vec<PathBuf> {
    let lookup = Lookup::of(texts);
    let mut files = Vec::new();
    for name in names {
        let _ = (lookup.provides(name), lookup.nearest(name), lookup.file(name));
        files.extend(lookup.closure(&[name]).unwrap_or_default());
    }
    files
}

/// Metadata of a stored kernel; what would be written of it.
pub fn meta(json: &[u8]) -> Option<Vec<u8>> {
    let meta: Meta = serde_json::from_slice(json).ok()?;
    serde_json::to_vec(&meta).ok()
}
