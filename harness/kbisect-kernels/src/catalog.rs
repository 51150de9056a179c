//! What kernels there are, and their order.

use crate::candidate::Candidate;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::store::Store;

/// All kernels that the archives and the store hold.
#[derive(Debug)]
pub struct Catalog {
    warnings: Vec<String>,
}

/// Why the catalog could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No mirror is known.
    #[error("no Debian mirror is known")]
    NoMirror,
}

/// Why a text names no kernel, or no series.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// No such kernel.
    #[error("no kernel `{spec}`")]
    Unknown {
        /// What was asked for.
        spec: String,
        /// Nearest kernel before it.
        below: Option<String>,
        /// Nearest kernel after it.
        above: Option<String>,
    },
}

impl Catalog {
    /// Loads the verified indexes of all suites (from the cache when they are fresh) and merges
    /// them with what the store holds.
    ///
    /// # Errors
    /// [`CatalogError`] when no mirror is known, a suite that the user named is absent, expired or
    /// not signed by a key of the keyring, or nothing can be reached and nothing is cached.
    pub fn load(
        _settings: &Settings,
        _store: &Store,
        _progress: &dyn Progress,
    ) -> Result<Self, CatalogError> {
        todo!()
    }

    /// What the user should know: suites left out, cached indexes used in place of fresh ones. Each
    /// line was also passed to [`Progress::note`].
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// All kernels, in order.
    #[must_use]
    pub fn all(&self) -> Vec<Candidate> {
        todo!()
    }

    /// Finds one kernel: by upstream version, package version, name in the store, or the first six
    /// or more digits of an id. Of several builds of a version the newest is taken, with a note.
    ///
    /// # Errors
    /// [`ResolveError::Unknown`] with the nearest kernels that exist.
    pub fn resolve(&self, _spec: &str) -> Result<Candidate, ResolveError> {
        todo!()
    }

    /// Lists the kernels from `good` to `bad`, both included, in order. Builds of one source
    /// version for several releases are one candidate.
    ///
    /// # Errors
    /// [`ResolveError`] for an unknown endpoint, a reversed range, or endpoints that are the same.
    pub fn series(&self, _good: &str, _bad: &str) -> Result<Vec<Candidate>, ResolveError> {
        todo!()
    }
}

impl CatalogError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        None
    }
}

impl ResolveError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        None
    }
}
