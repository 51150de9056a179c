//! A look into a package that is not trusted yet, without a store.

use std::path::{Path, PathBuf};

use crate::import::package::{self, Kind};
use crate::import::sink::Sink;
use crate::import::{ImportError, deb};

/// What a kernel takes out of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageContents {
    /// Name, from its control file or header.
    pub package: Option<String>,
    /// Version, from the control file of a Debian package.
    pub version: Option<String>,
    /// Kernel images that were unpacked.
    pub images: Vec<PathBuf>,
    /// Configuration that was unpacked.
    pub config: Option<PathBuf>,
    /// Releases that have modules, below `lib/modules` of the directory's `tree`.
    pub releases: Vec<String>,
}

/// Unpacks the kernel's files of a package (`.deb`, `.rpm`) into an empty directory, as [`crate::Store`] does
/// before it makes images of them. Nothing is written anywhere else, whatever the package holds.
///
/// # Errors
/// When the package is damaged, wants to write elsewhere or unpacks to too much; what was unpacked
/// until then is left behind.
pub fn inspect_package(path: &Path, dir: &Path) -> Result<PackageContents, ImportError> {
    let name = package::name(path)?;
    let version = match Kind::of(path)? {
        Some(Kind::Rpm) => None,
        Some(Kind::Deb) | None => deb::control_field(path, "Version")?,
    };
    let mut sink = Sink::new(dir);
    package::unpack(path, &mut sink)?;
    let found = sink.finish()?;
    Ok(PackageContents {
        package: name,
        version,
        images: found.images,
        config: found.config,
        releases: found.releases,
    })
}
