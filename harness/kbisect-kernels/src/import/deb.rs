//! Reading `.deb` packages in-process (deb(5)): an ar archive of two tar archives. Their content is
//! hostile until proven otherwise.

use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};

use super::error::ImportError;
use super::names::LongNames;
use super::sink::{Role, Sink, decoder};
use crate::files::at;

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
    let mut unpacked = 0;
    each_entry(deb, "data.tar", &mut |mut entry| {
        let path = entry.clean()?;
        unpacked += entry.tar.size();
        if unpacked > MAX_UNPACKED_MIB << 20 {
            return Err(entry.too_many());
        }
        let kind = entry.tar.header().entry_type();
        if kind.is_symlink() || kind.is_hard_link() {
            check_link(&path, &entry.link, kind.is_symlink()).map_err(|why| entry.refused(why))?;
        } else if let Some(role) = Role::of(&path).filter(|_| kind.is_file()) {
            let data = entry.read(MAX_FILE)?;
            sink.put(&name, role, data)?;
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// Largest file that is extracted: a vmlinux with debug information has 600 MB.
const MAX_EXTRACTED: u64 = 4 << 30;

/// Writes chosen files of a package, each whole or not at all; `choose` gives the place of one by
/// its clean relative path. Links are passed over.
pub fn extract(deb: &Path, choose: &dyn Fn(&Path) -> Option<PathBuf>) -> Result<(), ImportError> {
    each_entry(deb, "data.tar", &mut |mut entry| {
        let path = entry.clean()?;
        let Some(target) = choose(&path).filter(|_| entry.is_file()) else {
            return Ok(ControlFlow::Continue(()));
        };
        let size = entry.tar.size();
        if size > MAX_EXTRACTED {
            return Err(entry.too_large());
        }
        let folder = target.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(at(folder))?;
        let copied = std::io::copy(&mut (&mut entry.tar).take(size), &mut file);
        if copied.map_err(at(&target))? != size {
            return Err(entry.cut_short());
        }
        file.persist(&target).map_err(|error| at(&target)(error.error))?;
        Ok(ControlFlow::Continue(()))
    })
}

/// Gives the content of the first file that `is_it` knows by its clean relative path to `take`; says whether
/// there was one.
pub fn with_file(
    deb: &Path,
    is_it: &dyn Fn(&Path) -> bool,
    take: &mut dyn FnMut(&mut dyn Read) -> Result<(), ImportError>,
) -> Result<bool, ImportError> {
    let mut found = false;
    each_entry(deb, "data.tar", &mut |mut entry| {
        if !entry.is_file() || !is_it(&entry.clean()?) {
            return Ok(ControlFlow::Continue(()));
        }
        found = true;
        take(&mut entry.tar)?;
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}

/// Reads one file of a package, of at most `max` bytes; `None` when it is not there, or a link.
pub fn read_file(deb: &Path, wanted: &Path, max: u64) -> Result<Option<Vec<u8>>, ImportError> {
    let mut found = None;
    each_entry(deb, "data.tar", &mut |mut entry| {
        if entry.is_file() && clean(&entry.path).is_ok_and(|path| path == wanted) {
            found = Some(entry.read(max)?);
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

/// Reads fields of a package's control file.
pub fn control_field(deb: &Path, field: &str) -> Result<Option<String>, ImportError> {
    let mut text = String::new();
    each_entry(deb, "control.tar", &mut |mut entry| {
        if entry.path.file_name().is_some_and(|file| file == "control") {
            let read = (&mut entry.tar).take(MAX_CONTROL).read_to_string(&mut text);
            read.map_err(|error| broken(entry.package, &error))?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    Ok(value.map(|value| value.trim().to_owned()))
}

/// One entry of an archive under its whole name, which may be longer than the archive's header holds.
pub(super) struct Entry<'a, 'r> {
    package: &'a str,
    path: PathBuf,
    link: PathBuf,
    tar: tar::Entry<'r, &'r mut dyn Read>,
}

impl Entry<'_, '_> {
    pub(super) fn is_file(&self) -> bool {
        self.tar.header().entry_type().is_file()
    }

    /// Its path, relative and plain.
    pub(super) fn clean(&self) -> Result<PathBuf, ImportError> {
        clean(&self.path).map_err(|reason| self.refused(reason))
    }

    /// Its content, of at most `max` bytes.
    pub(super) fn read(&mut self, max: u64) -> Result<Vec<u8>, ImportError> {
        let size = self.tar.size();
        if size > max {
            return Err(self.too_large());
        }
        // The size is only what the entry says of itself.
        let mut data = Vec::with_capacity(usize::try_from(size).unwrap_or(0).min(1 << 20));
        self.tar.read_to_end(&mut data).map_err(|error| broken(self.package, &error))?;
        if data.len() as u64 == size { Ok(data) } else { Err(self.cut_short()) }
    }

    pub(super) fn refused(&self, reason: &'static str) -> ImportError {
        let entry = self.path.to_string_lossy().into_owned();
        ImportError::Unsafe { file: self.package.to_owned(), entry, reason }
    }

    fn too_large(&self) -> ImportError {
        self.refused("is larger than a file of its kind can be")
    }

    fn too_many(&self) -> ImportError {
        ImportError::TooBig { file: self.package.to_owned(), limit: MAX_UNPACKED_MIB }
    }

    fn cut_short(&self) -> ImportError {
        package_error(self.package, format!("`{}` is cut short", self.path.display()))
    }
}

/// Goes through the entries of a member of a package, until one is enough.
fn each_entry(
    deb: &Path,
    member: &str,
    take: &mut dyn FnMut(Entry<'_, '_>) -> Result<ControlFlow<()>, ImportError>,
) -> Result<(), ImportError> {
    each_member(deb, member, &mut |reader| each_of_tar(reader, &file_name(deb), take))
}

/// Goes through the entries of a tar archive, until one is enough. `package` is what it came from.
pub(super) fn each_of_tar(
    mut reader: &mut dyn Read,
    package: &str,
    take: &mut dyn FnMut(Entry<'_, '_>) -> Result<ControlFlow<()>, ImportError>,
) -> Result<(), ImportError> {
    let broken = |error: std::io::Error| broken(package, &error);
    let mut archive = tar::Archive::new(&mut reader as &mut dyn Read);
    let mut names = LongNames::default();
    for (n, entry) in archive.entries().map_err(broken)?.raw(true).enumerate() {
        let mut tar = entry.map_err(broken)?;
        if names.take(&mut tar).map_err(broken)? {
            continue;
        }
        let entry = Entry { package, path: names.path(&tar), link: names.link(&tar), tar };
        if n > MAX_ENTRIES {
            return Err(entry.too_many());
        }
        if take(entry)?.is_break() {
            break;
        }
    }
    Ok(())
}

pub(super) fn broken(package: &str, error: &std::io::Error) -> ImportError {
    package_error(package, format!("its contents are broken: {error}"))
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
