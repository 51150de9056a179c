//! Packages of both kinds, told apart by how they begin.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::error::ImportError;
use super::sink::Sink;
use super::{deb, rpm};
use crate::files::at;

/// A kind of package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Debian's.
    Deb,
    /// That of Fedora, Red Hat and SUSE.
    Rpm,
}

impl Kind {
    /// Tells the kind of a file; `None` when it is no package. A damaged one is known by its name: its
    /// user is to hear of the damage, not that it is no kernel image.
    pub fn of(path: &Path) -> Result<Option<Self>, ImportError> {
        let mut head = Vec::new();
        File::open(path).and_then(|file| file.take(8).read_to_end(&mut head)).map_err(at(path))?;
        let suffix = path.extension().and_then(|extension| extension.to_str());
        Ok(match suffix {
            _ if deb::is_package(&head) => Some(Self::Deb),
            _ if rpm::is_package(&head) => Some(Self::Rpm),
            Some("deb") => Some(Self::Deb),
            Some("rpm") => Some(Self::Rpm),
            _ => None,
        })
    }
}

/// Puts the kernel's files of a package into the sink.
pub fn unpack(path: &Path, sink: &mut Sink) -> Result<(), ImportError> {
    match Kind::of(path)? {
        Some(Kind::Rpm) => rpm::unpack(path, sink),
        Some(Kind::Deb) | None => deb::unpack(path, sink),
    }
}

/// Reads a package's name.
pub fn name(path: &Path) -> Result<Option<String>, ImportError> {
    match Kind::of(path)? {
        Some(Kind::Rpm) => rpm::name(path),
        Some(Kind::Deb) | None => deb::control_field(path, "Package"),
    }
}
