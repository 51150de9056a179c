//! Debian archives, by the signed indexes of their suites.
//!
//! What is trusted: an index, by a key of the archive's keyrings; the packages, by their SHA-256 in it.
//! The id of a kernel is a hash of those, so that the same build has one id wherever it is found.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use kbisect_core::kernel::Kernel;

use super::about::{About, DEBIAN, Source};
use super::asking::Asking;
use super::fetch_error::{FetchError, LookupError};
use super::list_error::CatalogError;
use super::source::{KernelSource, Listing, Trust};
use crate::archive::builds::{self, ArchiveBuild};
use crate::archive::index::{Loader, SuiteError, SuiteIndex};
use crate::candidate::{Candidate, CandidateState, PackageRef};
use crate::progress::Progress;
use crate::settings::{Mirrors, Settings, SuiteChoice};

/// How the `source` of an archive's kernel begins; a suite follows.
const ORIGIN: &str = "debian:";
/// Mirrors take a few connections of one client gladly, not a dozen.
const CONNECTIONS: usize = 4;

impl Source {
    /// Debian archives, by their signed indexes.
    pub const ARCHIVE: Self = Self(&About {
        name: "archive",
        title: "the archive",
        help: "Debian archives, by their signed indexes",
        offers: Some("the Debian archive was not looked into"),
        vendor: Some(DEBIAN),
        // Mirrors have options of their own.
        address: None,
        keyrings_key: None,
        brings: None,
        is_service: false,
    });
}

pub struct Archive;

impl KernelSource for Archive {
    fn about(&self) -> Source {
        Source::ARCHIVE
    }

    fn brought(&self, kernel: &Kernel) -> bool {
        kernel.source.starts_with(ORIGIN)
    }

    fn trust(&self, _: &[PathBuf]) -> Trust {
        Trust::SignedIndex
    }

    fn list(&self, asking: &Asking<'_>) -> Result<Listing, CatalogError> {
        let settings = asking.settings;
        let sorted = match &settings.mirrors {
            Some(mirrors) => load_suites(settings, mirrors, asking.progress)?,
            None if settings.offline => Sorted::default(),
            None => return Err(CatalogError::NoMirror),
        };
        let kernels = candidates(&sorted.suites, &settings.flavour);
        let known = builds::flavours(&sorted.suites);
        if kernels.is_empty() && !known.is_empty() {
            return Err(CatalogError::NoFlavour { flavour: settings.flavour.clone(), known });
        }
        Ok(Listing { kernels, notes: sorted.notes() })
    }

    fn reason(&self, candidate: &Candidate, settings: &Settings) -> Option<FetchError> {
        let kernel = candidate.kernel.package_version.to_string();
        if candidate.packages.is_empty() {
            return Some(FetchError::Gone { kernel });
        }
        settings.offline.then(|| FetchError::Offline { kernel, from: self.about() })
    }

    /// The index told it.
    fn look_up(
        &self,
        candidate: &Candidate,
        _: &Asking<'_>,
    ) -> Result<Vec<PackageRef>, LookupError> {
        Ok(candidate.packages.clone())
    }
}

/// The kernels of one flavour that the suites have.
pub fn candidates(suites: &[SuiteIndex], flavour: &str) -> Vec<Candidate> {
    builds::find(suites, flavour).into_iter().map(|build| candidate(build, flavour)).collect()
}

fn candidate(build: ArchiveBuild, flavour: &str) -> Candidate {
    let bytes = build.packages.iter().map(|package| package.size).sum();
    let mut suites = build.suites.into_iter();
    let suite = suites.next().unwrap_or_default();
    let kernel = Kernel {
        version: build.version.upstream().to_owned(),
        package_version: build.version,
        flavour: flavour.to_owned(),
        source: format!("{ORIGIN}{suite}"),
        id: build.id,
        release: Some(build.release),
        name: None,
        variant: None,
    };
    let state = match build.untestable {
        Some(reason) => CandidateState::Untestable { reason },
        None => CandidateState::Downloadable { bytes },
    };
    Candidate {
        packages: build.packages,
        also_in: suites.collect(),
        ..Candidate::new(kernel, state)
    }
}

fn load_suites(
    settings: &Settings,
    mirrors: &Mirrors,
    progress: &dyn Progress,
) -> Result<Sorted, CatalogError> {
    let names = settings.suites.names();
    let loader = Loader::new(settings, &[&mirrors.main, &mirrors.security], progress)?;
    let results =
        in_parallel(names.len(), |n| loader.load(settings.base_url(mirrors, &names[n]), &names[n]));
    let mut sorted = Sorted::default();
    for result in results {
        sorted.take(result, &settings.suites, settings.offline)?;
    }
    if sorted.suites.is_empty() && !settings.offline && sorted.expired.is_empty() {
        return Err(CatalogError::NothingThere(mirrors.main.clone()));
    }
    Ok(sorted)
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
            _ => return Err(CatalogError::Suite(error)),
        }
        Ok(())
    }

    /// What the user should know: suites left out, cached indexes used in place of fresh ones.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if !self.expired.is_empty() {
            notes.push(format!(
                "left out, since the mirror's index has expired: {}; use --allow-expired-index to \
                 accept it",
                self.expired.join(", ")
            ));
        }
        if !self.uncached.is_empty() {
            notes.push(format!("not in the cache: {}", self.uncached.join(", ")));
        }
        let stale: Vec<&SuiteIndex> = self.suites.iter().filter(|s| s.stale.is_some()).collect();
        if let Some(reason) = stale.first().and_then(|suite| suite.stale.as_ref()) {
            let names: Vec<&str> = stale.iter().map(|suite| suite.suite.as_str()).collect();
            notes.push(format!(
                "the archive cannot be reached, using cached indexes of {}: {reason}",
                names.join(", ")
            ));
        }
        notes
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
