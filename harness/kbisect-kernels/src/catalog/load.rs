//! Bringing together what the sources have.

use std::collections::{HashMap, HashSet};

use super::notices::is_due;
use super::{Catalog, Item};
use crate::candidate::{Candidate, CandidateState};
use crate::chain::chain;
use crate::progress::Progress;
use crate::settings::Settings;
use crate::sources::{Asking, CatalogError, Source, Trust, implementation};
use crate::store::Store;

impl Catalog {
    /// Loads what all sources have that are wanted (verified indexes and lists, from the cache when they
    /// are fresh), and what the store holds.
    ///
    /// # Errors
    /// [`CatalogError`] when no mirror is known, a suite that the user named is absent, expired or
    /// not signed by a key of the keyring, or a source cannot be reached and nothing is cached.
    pub fn load(
        settings: &Settings,
        store: &Store,
        progress: &dyn Progress,
    ) -> Result<Self, CatalogError> {
        let asking = Asking { settings, store, progress };
        let mut warnings = Vec::new();
        let warn = |line: String, warnings: &mut Vec<String>| {
            progress.note(&line);
            warnings.push(line);
        };
        let mut lists = Vec::new();
        for source in Source::all().filter(|source| settings.looks_into(*source)) {
            let asked = implementation(source);
            match asked.list(&asking) {
                Ok(listing) => {
                    for note in listing.notes {
                        match is_due(&settings.cache_dir, &note) {
                            true => warn(note, &mut warnings),
                            false => warnings.push(note),
                        }
                    }
                    lists.push((asked.trust(settings.keyrings_of(source)), listing.kernels));
                }
                // What is stored can be used all the same.
                Err(error @ CatalogError::Offline(..)) => warn(chain(&error), &mut warnings),
                // It is no error of one that merely came along.
                Err(error) if source.offers.is_some() && !settings.sources.contains(&source) => {
                    let text = format!("{} is left out: {}", source.title, chain(&error));
                    warn(text, &mut warnings);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Self {
            items: merge(lists),
            warnings,
            flavour: settings.flavour.clone(),
            sources: settings.sources.clone(),
            prefer_stored: settings.offline,
        })
    }
}

/// Makes one list of all, where each build is there once. What vouches for more comes first, and takes the
/// place of the same version of Debian's from elsewhere.
pub(super) fn merge(mut lists: Vec<(Trust, Vec<Candidate>)>) -> Vec<Item> {
    lists.sort_by_key(|(trust, _)| *trust);
    let mut items: Vec<Item> = Vec::new();
    for (trust, kernels) in lists {
        let known: HashSet<_> = items
            .iter()
            .filter(|item| !item.is_variant())
            .filter_map(Item::version_of_debian)
            .collect();
        let places: HashMap<String, usize> =
            items.iter().map(|item| item.candidate.kernel.id.0.clone()).zip(0..).collect();
        let mut new = Vec::new();
        for item in kernels.into_iter().map(Item::new) {
            if let Some(at) = places.get(&item.candidate.kernel.id.0) {
                items[*at].is_also(item.candidate);
                continue;
            }
            let again = trust > Trust::Here
                && item.version_of_debian().is_some_and(|version| known.contains(&version));
            if !again {
                new.push(item);
            }
        }
        items.extend(new);
    }
    items
}

impl Item {
    /// What Debian's builds of one version and flavour have in common.
    fn version_of_debian(&self) -> Option<(String, String)> {
        let kernel = &self.candidate.kernel;
        self.archive.then(|| (kernel.package_version.to_string(), kernel.flavour.clone()))
    }

    /// Takes over what the store knows of the same build.
    fn is_also(&mut self, stored: Candidate) {
        if stored.state == CandidateState::Stored {
            self.candidate.state = stored.state;
            self.candidate.kernel.name = stored.kernel.name;
            self.candidate.kernel.release = stored.kernel.release;
        }
    }
}
