//! Reading `.deb` packages in-process (deb(5)): an ar archive of two tar archives. Their content is
//! hostile until proven otherwise.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Component, Path, PathBuf};

use super::error::{ImportError, at};
use super::names::LongNames;
use super::sink::{Role, Sink, decoder};

const MAX_ENTRIES: usize = 200_000;
/// No file of a kernel comes near this; a vmlinuz has 15 MB.
const MAX_FILE: u64 = 512 << 20;
const MAX_UNPACKED_MIB: u64 = 4096;
const MAX_CONTROL: u64 = 1 << 20;

/// Whether a file begins as a package does.
pub fn is_package(head: &[u8]) -> bool {
    head.starts_with(b"!<arch>\n")
}

/// Puts the kernel's files of a package into the sink.
pub fn unpack(deb: &Path, sink: &mut Sink) -> Result<(), ImportError> {
    let name = file_name(deb);
    each_member(deb, "data.tar", &mut |reader| unpack_data(&name, reader, sink))
}

/// Largest file that is extracted: a vmlinux with debug information has 600 MB.
const MAX_EXTRACTED: u64 = 4 << 30;

/// Writes chosen files of a package, each whole or not at all; `choose` gives the place of one by
/// its clean relative path. Links are passed over.
pub fn extract(deb: &Path, choose: &dyn Fn(&Path) -> Option<PathBuf>) -> Result<(), ImportError> {
    let name = file_name(deb);
    each_member(deb, "data.tar", &mut |reader| {
        let broken = |error: std::io::Error| {
            package_error(&name, format!("its contents are broken: {error}"))
        };
        let mut archive = tar::Archive::new(reader);
        let mut names = LongNames::default();
        for (n, entry) in archive.entries().map_err(broken)?.raw(true).enumerate() {
            let mut entry = entry.map_err(broken)?;
            if names.take(&mut entry).map_err(broken)? {
                continue;
            }
            let path = names.path(&entry);
            let shown = path.to_string_lossy().into_owned();
            let refuse =
                |reason| ImportError::Unsafe { file: name.clone(), entry: shown.clone(), reason };
            if n > MAX_ENTRIES {
                return Err(ImportError::TooBig { file: name.clone(), limit: MAX_UNPACKED_MIB });
            }
            let path = clean(&path).map_err(refuse)?;
            let Some(target) = choose(&path).filter(|_| entry.header().entry_type().is_file())
            else {
                continue;
            };
            let size = entry.size();
            if size > MAX_EXTRACTED {
                return Err(refuse("is larger than any file of a kernel"));
            }
            let folder = target.parent().unwrap_or(Path::new("."));
            let mut file = tempfile::NamedTempFile::new_in(folder).map_err(at(folder))?;
            let copied = std::io::copy(&mut entry.take(size), &mut file).map_err(at(&target))?;
            if copied != size {
                return Err(package_error(&name, format!("`{shown}` is cut short")));
            }
            file.persist(&target).map_err(|error| at(&target)(error.error))?;
        }
        Ok(())
    })
}

/// Reads one file of a package, of at most `max` bytes; `None` when it is not there, or a link.
pub fn read_file(deb: &Path, wanted: &Path, max: u64) -> Result<Option<Vec<u8>>, ImportError> {
    let name = file_name(deb);
    let mut found = None;
    each_member(deb, "data.tar", &mut |reader| {
        let broken = |error: std::io::Error| {
            package_error(&name, format!("its contents are broken: {error}"))
        };
        let mut archive = tar::Archive::new(reader);
        let mut names = LongNames::default();
        for (n, entry) in archive.entries().map_err(broken)?.raw(true).enumerate() {
            let mut entry = entry.map_err(broken)?;
            if names.take(&mut entry).map_err(broken)? {
                continue;
            }
            if n > MAX_ENTRIES {
                return Err(ImportError::TooBig { file: name.clone(), limit: MAX_UNPACKED_MIB });
            }
            let path = names.path(&entry);
            let ours = clean(&path).is_ok_and(|path| path == wanted);
            if !ours || !entry.header().entry_type().is_file() {
                continue;
            }
            if entry.size() > max {
                let entry = path.to_string_lossy().into_owned();
                let reason = "is larger than a file of its kind can be";
                return Err(ImportError::Unsafe { file: name.clone(), entry, reason });
            }
            let mut data = Vec::new();
            entry.take(max).read_to_end(&mut data).map_err(broken)?;
            found = Some(data);
            return Ok(());
        }
        Ok(())
    })?;
    Ok(found)
}

/// Reads fields of a package's control file.
pub fn control_field(deb: &Path, field: &str) -> Result<Option<String>, ImportError> {
    let name = file_name(deb);
    let mut text = String::new();
    each_member(deb, "control.tar", &mut |reader| {
        let broken = |error: std::io::Error| {
            package_error(&name, format!("its control archive is broken: {error}"))
        };
        let mut archive = tar::Archive::new(reader);
        let mut names = LongNames::default();
        for entry in archive.entries().map_err(broken)?.raw(true) {
            let mut entry = entry.map_err(broken)?;
            if names.take(&mut entry).map_err(broken)? {
                continue;
            }
            let path = names.path(&entry);
            if path.file_name().is_some_and(|file| file == "control") {
                entry.take(MAX_CONTROL).read_to_string(&mut text).map_err(broken)?;
            }
        }
        Ok(())
    })?;
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    Ok(value.map(|value| value.trim().to_owned()))
}

fn each_member(
    deb: &Path,
    wanted: &str,
    take: &mut dyn FnMut(&mut dyn Read) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let name = file_name(deb);
    let broken = |error: std::io::Error| package_error(&name, error.to_string());
    let file = File::open(deb).map_err(at(deb))?;
    let mut archive = ar::Archive::new(BufReader::with_capacity(1 << 17, file));
    let mut first = true;
    while let Some(member) = archive.next_entry() {
        let member = member.map_err(broken)?;
        let id = String::from_utf8_lossy(member.header().identifier()).into_owned();
        let id = id.trim_end_matches('/');
        if std::mem::take(&mut first) && id != "debian-binary" {
            return Err(package_error(
                &name,
                "it is an ar archive but no Debian package".to_owned(),
            ));
        }
        let Some(suffix) = id.strip_prefix(wanted) else { continue };
        return match suffix.strip_prefix('.') {
            None => take(&mut BufReader::new(member)),
            Some(format) => {
                let reader = decoder(format, member).map_err(broken)?;
                take(&mut BufReader::with_capacity(1 << 17, reader))
            }
        };
    }
    Err(package_error(&name, format!("it has no `{wanted}`")))
}

fn unpack_data(name: &str, reader: &mut dyn Read, sink: &mut Sink) -> Result<(), ImportError> {
    let broken =
        |error: std::io::Error| package_error(name, format!("its contents are broken: {error}"));
    let mut archive = tar::Archive::new(reader);
    let mut unpacked = 0;
    let mut names = LongNames::default();
    for (n, entry) in archive.entries().map_err(broken)?.raw(true).enumerate() {
        let mut entry = entry.map_err(broken)?;
        if names.take(&mut entry).map_err(broken)? {
            continue;
        }
        let kind = entry.header().entry_type();
        let (path, target) = (names.path(&entry), names.link(&entry));
        let shown = path.to_string_lossy().into_owned();
        let refuse =
            |reason| ImportError::Unsafe { file: name.to_owned(), entry: shown.clone(), reason };
        let path = clean(&path).map_err(refuse)?;
        unpacked += entry.size();
        if n > MAX_ENTRIES || unpacked > MAX_UNPACKED_MIB << 20 {
            return Err(ImportError::TooBig { file: name.to_owned(), limit: MAX_UNPACKED_MIB });
        }
        if kind.is_symlink() || kind.is_hard_link() {
            check_link(&path, &target, kind.is_symlink()).map_err(refuse)?;
            continue;
        }
        if !kind.is_file() {
            continue;
        }
        let Some(role) = Role::of(&path) else { continue };
        if entry.size() > MAX_FILE {
            return Err(refuse("is larger than any file of a kernel"));
        }
        // The size is only what the entry says of itself.
        let mut data = Vec::with_capacity(usize::try_from(entry.size()).unwrap_or(0).min(1 << 20));
        entry.read_to_end(&mut data).map_err(broken)?;
        if data.len() as u64 != entry.size() {
            return Err(package_error(name, format!("`{shown}` is cut short")));
        }
        sink.put(name, role, data)?;
    }
    Ok(())
}

/// Makes a path of an archive relative and plain, or refuses it.
pub fn clean(path: &Path) -> Result<PathBuf, &'static str> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => clean.push(part),
            Component::CurDir => {}
            Component::ParentDir => return Err("leads out of the package with `..`"),
            Component::RootDir | Component::Prefix(_) => return Err("has an absolute path"),
        }
    }
    Ok(clean)
}

/// Judges a link below `lib/modules`. No link is ever made; but one that leads away from there says
/// that the package is not what it claims to be. `build` and `source` lead to the headers and are
/// normal, and so are the links between documentation directories.
fn check_link(path: &Path, target: &Path, symbolic: bool) -> Result<(), &'static str> {
    if Role::of(path).is_none() {
        return Ok(());
    }
    if target.is_absolute() {
        return Err("is a link to an absolute path");
    }
    let mut depth = if symbolic { path.components().count() as i64 - 1 } else { 0 };
    for component in target.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => depth -= 1,
            _ => {}
        }
        if depth < 0 {
            return Err("is a link that leads out of the package");
        }
    }
    Ok(())
}

fn package_error(file: &str, reason: String) -> ImportError {
    ImportError::Package { file: file.to_owned(), reason }
}

/// The last part of a path, for messages.
pub fn file_name(path: &Path) -> String {
    path.file_name()
        .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}
