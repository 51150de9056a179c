//! The kernel's own self-tests out of its source: what scripts need of each other, and headers for their
//! helpers. A source tree is a stranger's archive: nothing of it is run here, no link is made, and what leads
//! out of it is refused.

use std::fs;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::deb;
use super::error::ImportError;
use super::sink::decoder;
use crate::files::at;

/// Where self-tests lie in a kernel's source.
pub const FOLDER: &str = "tools/testing/selftests";
/// Largest file that is kept; the largest of a kernel's has 600 KB.
const MAX_FILE: u64 = 8 << 20;
/// Most that is kept in all.
const MAX_ALL: u64 = 512 << 20;
/// Parts of the tree that are kept.
const KEPT: [&str; 5] = [
    "tools/testing/selftests/net",
    "tools/testing/selftests/lib",
    "tools/testing/selftests/kselftest",
    "tools/include",
    "include/uapi",
];
/// How the package names the archive of its source.
const ARCHIVE: &str = "usr/src/linux-source-";

/// Whether a file of the source, by its path below the tree's top, is kept.
fn is_kept(path: &Path) -> bool {
    // Single files beside the folders: kselftest.h and the like.
    let beside = path.parent() == Some(Path::new(FOLDER))
        && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("kselftest"));
    beside || KEPT.iter().any(|kept| path.starts_with(kept))
}

/// Unpacks the self-tests of a `linux-source` package into a folder that is there. Says whether there
/// were any.
pub fn of_package(package: &Path, target: &Path) -> Result<bool, ImportError> {
    let mut any = false;
    // All packages have it as .tar.xz by now.
    let is_archive = |path: &Path| {
        path.to_str().is_some_and(|path| path.starts_with(ARCHIVE) && path.ends_with(".tar.xz"))
    };
    deb::with_file(package, &is_archive, &mut |reader| {
        any = of_archive(reader, "xz", &deb::file_name(package), target)?;
        Ok(())
    })?;
    Ok(any)
}

/// Unpacks the self-tests of a source archive that is compressed as `format` says; `name` is for messages.
pub fn of_archive(
    reader: &mut dyn Read,
    format: &str,
    name: &str,
    target: &Path,
) -> Result<bool, ImportError> {
    let broken = |error: std::io::Error| deb::broken(name, &error);
    let mut any = false;
    let mut left = MAX_ALL;
    let mut reader = decoder(format, reader).map_err(broken)?;
    deb::each_of_tar(&mut reader, name, &mut |mut entry| {
        let path = entry.clean()?;
        let inner: PathBuf = path.components().skip(1).collect();
        if !entry.is_file() || !is_kept(&inner) {
            return Ok(ControlFlow::Continue(()));
        }
        let content = entry.read(MAX_FILE.min(left))?;
        left -= content.len() as u64;
        let to = target.join(&inner);
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder).map_err(at(folder))?;
        }
        fs::write(&to, content).map_err(at(&to))?;
        any |= inner.starts_with(FOLDER);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            builder.append(&header, content.as_bytes()).unwrap();
        }
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, &builder.into_inner().unwrap()).unwrap();
        packed.finish().unwrap()
    }

    fn unpacked(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<bool, ImportError>) {
        let dir = tempfile::tempdir().unwrap();
        let archive = archive(files);
        let any = of_archive(&mut &archive[..], "gz", "source.tar.gz", &dir.path().join("tree"));
        (dir, any)
    }

    #[test]
    fn self_tests_and_headers_are_kept_and_nothing_else() {
        let (dir, any) = unpacked(&[
            ("linux-1/tools/testing/selftests/net/a.sh", "a"),
            ("linux-1/tools/testing/selftests/kselftest.h", "h"),
            ("linux-1/tools/testing/selftests/mm/b.sh", "b"),
            ("linux-1/include/uapi/linux/if.h", "i"),
            ("linux-1/net/core/dev.c", "c"),
        ]);
        assert!(any.unwrap());
        let there = |path: &str| dir.path().join("tree").join(path).is_file();
        assert!(there("tools/testing/selftests/net/a.sh"));
        assert!(there("tools/testing/selftests/kselftest.h") && there("include/uapi/linux/if.h"));
        assert!(!there("tools/testing/selftests/mm/b.sh") && !there("net/core/dev.c"));
        let (_dir, any) = unpacked(&[("linux-1/net/core/dev.c", "c")]);
        assert!(!any.unwrap());
    }

    #[test]
    fn what_leads_out_of_the_tree_is_refused() {
        for path in ["linux-1/tools/../../../x", "/etc/x"] {
            let (dir, any) = unpacked(&[(path, "x")]);
            let error = any.unwrap_err();
            assert!(matches!(error, ImportError::Unsafe { .. }), "{error}");
            assert!(!dir.path().join("x").exists());
        }
    }
}
