//! Bringing archives and store together.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use kbisect_core::kernel::Kernel;

use super::{Catalog, CatalogError, Item};
use crate::archive::builds::{self, ArchiveBuild};
use crate::archive::index::{Loader, SuiteError, SuiteIndex};
use crate::archive::keyring::Keyring;
use crate::candidate::{Candidate, CandidateState};
use crate::http::Client;
use crate::progress::Progress;
use crate::ready::ReadyKernel;
use crate::settings::{Mirrors, Settings, SuiteChoice};
use crate::source::{self, ListError, Source};
use crate::store::Store;

/// Mirrors take a few connections of one client gladly, not a dozen.
const CONNECTIONS: usize = 4;

pub fn load(
    settings: &Settings,
    store: &Store,
    progress: &dyn Progress,
) -> Result<Catalog, CatalogError> {
    let mut warnings = Warnings { lines: Vec::new(), progress };
    let suites = archive(settings, progress, &mut warnings)?;
    let stored = store.list()?;
    let builds = builds::find(&suites, &settings.flavour);
    let mut items = items(builds, &stored, &settings.flavour);
    for source in Source::ALL.into_iter().filter(|source| settings.looks_into(*source)) {
        let Some(listing) = source::list(source, settings) else { continue };
        match listing {
            Ok(listing) => {
                listing.note.into_iter().for_each(|note| warnings.push(note));
                add_listed(&mut items, listing.kernels);
            }
            // What is stored can be used all the same.
            Err(error @ ListError::Offline { .. }) => warnings.push(error.line()),
            Err(error) => return Err(CatalogError::of_list(&error)),
        }
    }
    Ok(Catalog {
        items,
        warnings: warnings.lines,
        flavour: settings.flavour.clone(),
        sources: settings.sources.clone(),
        prefer_stored: settings.offline,
    })
}

/// Loads the archive's suites, when they are wanted. When it is there only because the snapshot service
/// brings it along, it is no error that it cannot be used.
fn archive(
    settings: &Settings,
    progress: &dyn Progress,
    warnings: &mut Warnings<'_>,
) -> Result<Vec<SuiteIndex>, CatalogError> {
    if !settings.looks_into(Source::Archive) {
        return Ok(Vec::new());
    }
    let loaded = match &settings.mirrors {
        Some(mirrors) => load_suites(settings, mirrors, progress, warnings),
        None if settings.offline => Ok(Vec::new()),
        None => Err(CatalogError::NoMirror),
    };
    match loaded {
        Err(error) if !settings.sources.contains(&Source::Archive) => {
            warnings.push(format!("the archive is left out: {error}"));
            Ok(Vec::new())
        }
        loaded => loaded,
    }
}

/// Adds what a source lists, except for what is there already: a stored kernel, or one that the archive
/// has under a signature.
fn add_listed(items: &mut Vec<Item>, kernels: Vec<Candidate>) {
    let known: HashSet<(String, String)> = items
        .iter()
        .filter(|item| item.archive && !item.is_variant())
        .map(|item| {
            let kernel = &item.candidate.kernel;
            (kernel.package_version.to_string(), kernel.flavour.clone())
        })
        .collect();
    let stored: HashSet<String> =
        items.iter().map(|item| item.candidate.kernel.id.0.clone()).collect();
    items.extend(
        kernels
            .into_iter()
            .filter(|candidate| {
                let kernel = &candidate.kernel;
                let same = (kernel.package_version.to_string(), kernel.flavour.clone());
                let of_debian = Source::of(kernel) == Some(Source::Snapshot);
                !(stored.contains(&kernel.id.0) || of_debian && known.contains(&same))
            })
            .map(Item::new),
    );
}

/// Makes one list of archive builds and stored kernels; what is both is there once.
pub(super) fn items(builds: Vec<ArchiveBuild>, stored: &[ReadyKernel], flavour: &str) -> Vec<Item> {
    let is_stored = |build: &ArchiveBuild| stored.iter().find(|ready| ready.kernel.id == build.id);
    let mut items: Vec<Item> = Vec::new();
    for build in builds {
        let known = is_stored(&build);
        let mut candidate = candidate_of(build, flavour);
        if let Some(ready) = known {
            candidate.state = CandidateState::Stored;
            candidate.kernel.name = ready.kernel.name.clone();
            candidate.kernel.release = ready.kernel.release.clone();
        }
        items.push(Item::new(candidate));
    }
    for ready in stored {
        if items.iter().all(|item| item.candidate.kernel.id != ready.kernel.id) {
            items.push(Item::new(Candidate {
                kernel: ready.kernel.clone(),
                packages: Vec::new(),
                state: CandidateState::Stored,
                also_in: Vec::new(),
                other_builds: Vec::new(),
                notes: Vec::new(),
            }));
        }
    }
    items
}

fn candidate_of(build: ArchiveBuild, flavour: &str) -> Candidate {
    let bytes = build.packages.iter().map(|package| package.size).sum();
    let mut suites = build.suites.into_iter();
    let suite = suites.next().unwrap_or_default();
    Candidate {
        kernel: Kernel {
            version: build.version.upstream().to_owned(),
            package_version: build.version,
            flavour: flavour.to_owned(),
            source: format!("debian:{suite}"),
            id: build.id,
            release: Some(build.release),
            name: None,
            variant: None,
        },
        packages: build.packages,
        state: match build.untestable {
            Some(reason) => CandidateState::Untestable { reason },
            None => CandidateState::Downloadable { bytes },
        },
        also_in: suites.collect(),
        other_builds: Vec::new(),
        notes: Vec::new(),
    }
}

struct Warnings<'a> {
    lines: Vec<String>,
    progress: &'a dyn Progress,
}

impl Warnings<'_> {
    fn push(&mut self, line: String) {
        self.progress.note(&line);
        self.lines.push(line);
    }
}

fn load_suites(
    settings: &Settings,
    mirrors: &Mirrors,
    progress: &dyn Progress,
    warnings: &mut Warnings<'_>,
) -> Result<Vec<SuiteIndex>, CatalogError> {
    let keyring =
        Keyring::prepare(&settings.keyrings).map_err(|error| CatalogError::of_keyring(&error))?;
    let names = settings.suites.names();
    let client = Client::new(&[&mirrors.main, &mirrors.security], &settings.proxies);
    let loader = Loader::new(settings, client, &keyring, progress)
        .map_err(|source| CatalogError::Cache { path: settings.cache_dir.clone(), source })?;
    let results =
        in_parallel(names.len(), |n| loader.load(settings.base_url(mirrors, &names[n]), &names[n]));
    let mut sorted = Sorted::default();
    for result in results {
        sorted.take(result, &settings.suites, settings.offline)?;
    }
    sorted.warn(warnings);
    if sorted.suites.is_empty() && !settings.offline && sorted.expired.is_empty() {
        return Err(CatalogError::NothingThere { mirror: mirrors.main.clone() });
    }
    Ok(sorted.suites)
}

#[derive(Default)]
struct Sorted {
    suites: Vec<SuiteIndex>,
    expired: Vec<String>,
    uncached: Vec<String>,
}

impl Sorted {
    /// Takes one result: of the default suites some may be absent or expired, of named ones none.
    fn take(
        &mut self,
        result: Result<SuiteIndex, SuiteError>,
        choice: &SuiteChoice,
        offline: bool,
    ) -> Result<(), CatalogError> {
        let error = match result {
            Ok(suite) => {
                self.suites.push(suite);
                return Ok(());
            }
            Err(error) => error,
        };
        match (&error, choice) {
            (SuiteError::Absent { .. } | SuiteError::NoPackages { .. }, SuiteChoice::Default) => {}
            (SuiteError::Expired { suite, until }, SuiteChoice::Default) => {
                self.expired.push(format!("{suite} (until {until})"));
            }
            (SuiteError::Unreachable { suite, .. }, _) if offline => {
                self.uncached.push(suite.clone());
            }
            _ => return Err(CatalogError::of_suite(&error)),
        }
        Ok(())
    }

    fn warn(&self, warnings: &mut Warnings<'_>) {
        if !self.expired.is_empty() {
            warnings.push(format!(
                "left out, since the mirror's index has expired: {}; use --allow-expired-index to \
                 accept it",
                self.expired.join(", ")
            ));
        }
        if !self.uncached.is_empty() {
            warnings.push(format!("not in the cache: {}", self.uncached.join(", ")));
        }
        let stale: Vec<&SuiteIndex> = self.suites.iter().filter(|s| s.stale.is_some()).collect();
        if let Some(reason) = stale.first().and_then(|suite| suite.stale.as_ref()) {
            let names: Vec<&str> = stale.iter().map(|suite| suite.suite.as_str()).collect();
            warnings.push(format!(
                "the archive cannot be reached, using cached indexes of {}: {reason}",
                names.join(", ")
            ));
        }
    }
}

/// Runs a few jobs at a time and gives their results in order.
fn in_parallel<T: Send>(count: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS.min(count) {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    if n >= count {
                        return;
                    }
                    let result = job(n);
                    results.lock().expect("no job panics while it holds it").push((n, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("all jobs have ended");
    results.sort_by_key(|(n, _)| *n);
    results.into_iter().map(|(_, result)| result).collect()
}
