//! A look into a package that is not trusted yet, without a store.

use std::path::{Path, PathBuf};

use crate::import::deb;
use crate::import::sink::Sink;
use crate::store::ImportFailure;

/// What a kernel takes out of a package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageContents {
    /// Name, from its control file.
    pub package: Option<String>,
    /// Version, from its control file.
    pub version: Option<String>,
    /// Kernel images that were unpacked.
    pub images: Vec<PathBuf>,
    /// Configuration that was unpacked.
    pub config: Option<PathBuf>,
    /// Releases that have modules, below `lib/modules` of the directory's `tree`.
    pub releases: Vec<String>,
}

/// Unpacks the kernel's files of a Debian package into an empty directory, as [`crate::Store`] does
/// before it makes images of them. Nothing is written anywhere else, whatever the package holds.
///
/// # Errors
/// When the package is damaged, wants to write elsewhere or unpacks to too much; what was unpacked
/// until then is left behind.
pub fn inspect_package(deb: &Path, dir: &Path) -> Result<PackageContents, ImportFailure> {
    let package = deb::control_field(deb, "Package")?;
    let version = deb::control_field(deb, "Version")?;
    let mut sink = Sink::new(dir);
    deb::unpack(deb, &mut sink)?;
    let found = sink.finish()?;
    Ok(PackageContents {
        package,
        version,
        images: found.images,
        config: found.config,
        releases: found.releases,
    })
}
