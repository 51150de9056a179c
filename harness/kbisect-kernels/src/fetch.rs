//! From a candidate to a stored kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use crate::candidate::{Candidate, CandidateState, PackageRef};
use crate::commits::{BuildOrder, build};
use crate::files::free_space;
use crate::import::prepare::{self, Modules};
use crate::import::sink::Sink;
use crate::import::{ImportError, deb};
use crate::progress::Progress;
use crate::ready::ReadyKernel;
use crate::settings::Settings;
use crate::sources::{Asking, FetchError, Source, implementation, queue_file};
use crate::store::{Lock, Meta, Store, StoreError};

/// A package takes about this many times its size while it is imported: itself, the modules
/// uncompressed, and the finished images.
const ROOM: u64 = 6;

impl Store {
    /// Fetches, verifies and imports a kernel unless the store has it. Two processes (or threads) that
    /// want the same kernel wait for each other.
    ///
    /// # Errors
    /// [`FetchError`]; nothing of the kernel is kept then.
    pub fn ensure(
        &self,
        candidate: &Candidate,
        settings: &Settings,
        progress: &dyn Progress,
    ) -> Result<ReadyKernel, FetchError> {
        let id = &candidate.kernel.id;
        let version = candidate.kernel.package_version.to_string();
        if let Some(ready) = self.get(id) {
            return Ok(ready);
        }
        if let CandidateState::Untestable { reason } = &candidate.state {
            return Err(FetchError::Untestable { kernel: version, reason: reason.clone() });
        }
        if let Some(order) = &candidate.build {
            return self.build(order, candidate, settings, progress);
        }
        // One that was added by hand was only ever in the store.
        let source = Source::of(&candidate.kernel).unwrap_or(Source::STORE);
        let asked = implementation(source);
        if let Some(error) = asked.reason(candidate, settings) {
            return Err(error);
        }
        let path = self.lock_of(id);
        // By another kbisect, or by this one, ahead of its search.
        let what = format!("waiting for {version}: it is being fetched already");
        let _lock = Lock::wait(&path, progress, &what).map_err(StoreError::at(&path))?;
        // The one that was waited for has most likely done the work.
        if let Some(ready) = self.get(id) {
            return Ok(ready);
        }
        // One question and one file at a time, from all kbisects of this cache: such a service is
        // shared by many, and sends clients away that hurry.
        let queue = source.is_service.then(|| settings.cache_dir.join(queue_file(source)));
        let queue = queue.as_deref().map(|path| in_queue(path, progress)).transpose()?;
        let asking = Asking { settings, store: self, progress };
        let packages = asked
            .look_up(candidate, &asking)
            .map_err(|error| FetchError::of_lookup(&version, error))?;
        check_room(self, candidate, &packages)?;
        self.put(id, |work, out| {
            let folder = work.join("packages");
            fs::create_dir_all(&folder).map_err(StoreError::at(&folder))?;
            let brought = asked.fetch(candidate, packages, &folder, &asking)?;
            // Unpacking asks nobody.
            drop(queue);
            make(self, candidate, brought, progress, work, out)
        })
    }
}

impl Store {
    fn build(
        &self,
        order: &BuildOrder,
        candidate: &Candidate,
        settings: &Settings,
        progress: &dyn Progress,
    ) -> Result<ReadyKernel, FetchError> {
        let kernel = &candidate.kernel;
        let path = self.lock_of(&kernel.id);
        let what = format!("waiting for {}: it is being built already", kernel.label());
        let _lock = Lock::wait(&path, progress, &what).map_err(StoreError::at(&path))?;
        if let Some(ready) = self.get(&kernel.id) {
            return Ok(ready);
        }
        let failed = |source| FetchError::Build { kernel: kernel.label().to_owned(), source };
        self.put(&kernel.id, |work, out| {
            build(order, kernel, (settings, progress), work, out).map_err(failed)
        })
    }
}

fn in_queue(path: &Path, progress: &dyn Progress) -> Result<Lock, StoreError> {
    let dir = path.parent().unwrap_or(path);
    fs::create_dir_all(dir).map_err(StoreError::at(dir))?;
    let what = "waiting for another download from the same service";
    Lock::wait(path, progress, what).map_err(StoreError::at(path))
}

fn check_room(
    store: &Store,
    candidate: &Candidate,
    packages: &[PackageRef],
) -> Result<(), StoreError> {
    let known: u64 = packages.iter().map(|package| package.size).sum();
    let bytes = known.max(candidate.download_bytes());
    match free_space(store.dir()) {
        Some(free) if free < bytes.saturating_mul(ROOM) => Err(StoreError::disk_full(store.dir())),
        _ => Ok(()),
    }
}

fn make(
    store: &Store,
    candidate: &Candidate,
    brought: Vec<(PathBuf, PackageRef)>,
    progress: &dyn Progress,
    work: &Path,
    out: &Path,
) -> Result<Meta, FetchError> {
    let version = candidate.kernel.package_version.to_string();
    let (debs, packages): (Vec<PathBuf>, Vec<PackageRef>) = brought.into_iter().unzip();
    // Unpacking has no size that could be shown; the item only says what goes on.
    let _item = progress.begin(&format!("unpacking {version}"), None);
    let prepared = in_background(|| import(&debs, &version, work, out))
        .map_err(|error| FetchError::of_import(&version, store.dir(), error))?;
    let mut kernel = candidate.kernel.clone();
    kernel.release = Some(prepared.banner.release.clone());
    Ok(Meta::new(kernel, packages, prepared.banner.release, prepared.modules))
}

/// Runs a job at low priority. Most kernels are fetched while a trial runs, and unpacking would
/// starve its machines; a starved guest looks like a regression.
fn in_background<T: Send>(job: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            // Linux takes this for the one thread; what it starts inherits it. Where it is not
            // allowed, the job runs as it is.
            let _ = rustix::process::setpriority_process(None, 10);
            job()
        });
        worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn import(
    debs: &[PathBuf],
    version: &str,
    work: &Path,
    out: &Path,
) -> Result<prepare::Prepared, ImportError> {
    let mut sink = Sink::new(work);
    for path in debs {
        deb::unpack(path, &mut sink)?;
        // Disk space is dearer than a second download after an error.
        let _ = fs::remove_file(path);
    }
    let found = sink.finish()?;
    prepare::prepare(work, &found, Modules::Required, &format!("the packages of {version}"), out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_job_has_low_priority() {
        let now = || rustix::process::getpriority_process(None).unwrap();
        let before = now();
        let inside = in_background(now);
        assert!(inside >= 10, "{inside}");
        assert_eq!(now(), before);
    }
}
