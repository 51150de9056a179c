//! What a source of kernels has to be able to do.

use std::path::{Path, PathBuf};

use kbisect_core::kernel::Kernel;

use super::about::Source;
use super::asking::Asking;
use super::download;
use super::fetch_error::{FetchError, LookupError};
use super::list_error::CatalogError;
use crate::candidate::{Candidate, PackageRef};
use crate::settings::Settings;

/// A source of kernels. A new one is a file of its own and a line in `registry.rs`.
pub trait KernelSource: Sync {
    /// What it is called.
    fn about(&self) -> Source;

    /// Whether a kernel came from here.
    fn brought(&self, kernel: &Kernel) -> bool {
        kernel.source == self.about().name
    }

    /// What vouches for its kernels, when the user named these keyrings for it.
    fn trust(&self, keyrings: &[PathBuf]) -> Trust;

    /// Lists what it has, out of the cache when that is fresh or the network is not to be used.
    fn list(&self, asking: &Asking<'_>) -> Result<Listing, CatalogError>;

    /// Why a kernel of its list cannot be had now, as far as that is known without asking.
    fn reason(&self, candidate: &Candidate, settings: &Settings) -> Option<FetchError> {
        let kernel = candidate.kernel.package_version.to_string();
        settings.offline.then(|| FetchError::Offline { kernel, from: self.about() })
    }

    /// Finds out what a version that was asked for consists of. What is empty or 0 in the answer is
    /// filled in once it is here.
    fn look_up(
        &self,
        candidate: &Candidate,
        asking: &Asking<'_>,
    ) -> Result<Vec<PackageRef>, LookupError>;

    /// Brings the packages into an empty folder and verifies them; gives their files, and what is
    /// known of them now.
    fn fetch(
        &self,
        candidate: &Candidate,
        packages: Vec<PackageRef>,
        folder: &Path,
        asking: &Asking<'_>,
    ) -> Result<Vec<(PathBuf, PackageRef)>, FetchError> {
        let client = download::client(&packages, asking.settings, self.about().is_service);
        download::all(candidate, packages, folder, &client, asking)
    }
}

/// What vouches for kernels, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// An index that holds their checksums is signed by a key of the archive's keyrings.
    SignedIndex,
    /// They are on this host already.
    Here,
    /// Checksums beside each kernel are signed by a key of the source's own keyrings.
    SignedChecksums,
    /// Nothing but the connection, which has to be encrypted.
    Connection,
}

/// What a source lists.
#[derive(Debug, Default)]
pub struct Listing {
    /// Kernels, in the list's order.
    pub kernels: Vec<Candidate>,
    /// What the user should know of the list, such as its age.
    pub notes: Vec<String>,
}
