//! The local store: what was fetched or added before. It is always looked into, and named to look
//! nowhere else.

use std::path::PathBuf;

use super::about::{About, Source};
use super::asking::Asking;
use super::fetch_error::{FetchError, LookupError};
use super::list_error::CatalogError;
use super::source::{KernelSource, Listing, Trust};
use crate::candidate::{Candidate, CandidateState, PackageRef};
use crate::ready::ReadyKernel;
use crate::settings::Settings;

impl Source {
    /// The local store.
    pub const STORE: Self = Self(&About {
        name: "store",
        title: "the local store",
        help: "Nothing but the local store",
        offers: None,
        vendor: None,
        address: None,
        keyrings_key: None,
        brings: None,
        is_service: false,
    });
}

pub struct Kept;

impl KernelSource for Kept {
    fn about(&self) -> Source {
        Source::STORE
    }

    fn trust(&self, _: &[PathBuf]) -> Trust {
        Trust::Here
    }

    fn list(&self, asking: &Asking<'_>) -> Result<Listing, CatalogError> {
        let kernels = asking.store.list()?.into_iter().map(candidate).collect();
        Ok(Listing { kernels, notes: Vec::new() })
    }

    fn reason(&self, candidate: &Candidate, _: &Settings) -> Option<FetchError> {
        Some(FetchError::Gone { kernel: candidate.kernel.package_version.to_string() })
    }

    fn look_up(&self, _: &Candidate, _: &Asking<'_>) -> Result<Vec<PackageRef>, LookupError> {
        Err(LookupError::NotThere("no source lists it".to_owned()))
    }
}

fn candidate(ready: ReadyKernel) -> Candidate {
    Candidate::new(ready.kernel, CandidateState::Stored)
}
