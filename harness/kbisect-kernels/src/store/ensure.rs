//! From a candidate to a stored kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use super::{FetchError, Lock, Meta, Store, StoreError};
use crate::candidate::{Candidate, CandidateState};
use crate::files::free_space;
use crate::http::{Client, Wanted};
use crate::import::prepare::{self, Modules};
use crate::import::sink::Sink;
use crate::import::{ImportError, deb};
use crate::progress::Progress;
use crate::ready::ReadyKernel;
use crate::settings::Settings;

/// A package takes about this many times its size while it is imported: itself, the modules
/// uncompressed, and the finished images.
const ROOM: u64 = 6;

pub fn ensure(
    store: &Store,
    candidate: &Candidate,
    settings: &Settings,
    progress: &dyn Progress,
) -> Result<ReadyKernel, FetchError> {
    let id = &candidate.kernel.id;
    let version = candidate.kernel.package_version.to_string();
    if let Some(ready) = store.get(id) {
        return Ok(ready);
    }
    if let CandidateState::Untestable { reason } = &candidate.state {
        return Err(FetchError::Untestable { kernel: version, reason: reason.clone() });
    }
    if candidate.packages.is_empty() {
        return Err(FetchError::Gone { kernel: version });
    }
    if settings.offline {
        return Err(FetchError::Offline { kernel: version });
    }
    let path = store.lock_of(id);
    // By another kbisect, or by this one, ahead of its search.
    let on_wait = || progress.note(&format!("waiting for {version}: it is being fetched already"));
    let _lock = Lock::wait(&path, on_wait).map_err(StoreError::at(&path))?;
    // The one that was waited for has most likely done the work.
    if let Some(ready) = store.get(id) {
        return Ok(ready);
    }
    check_room(store, candidate)?;
    store.put(id, |work, out| make(store, candidate, progress, work, out))
}

fn check_room(store: &Store, candidate: &Candidate) -> Result<(), StoreError> {
    let bytes: u64 = candidate.packages.iter().map(|package| package.size).sum();
    match free_space(store.dir()) {
        Some(free) if free < bytes.saturating_mul(ROOM) => Err(StoreError::disk_full(store.dir())),
        _ => Ok(()),
    }
}

fn make(
    store: &Store,
    candidate: &Candidate,
    progress: &dyn Progress,
    work: &Path,
    out: &Path,
) -> Result<Meta, FetchError> {
    let version = candidate.kernel.package_version.to_string();
    let debs = download(store, candidate, progress, work, &version)?;
    // Unpacking has no size that could be shown; the item only says what goes on.
    let _item = progress.begin(&format!("unpacking {version}"), None);
    let prepared = in_background(|| import(&debs, &version, work, out))
        .map_err(|error| FetchError::of_import(&version, store.dir(), error))?;
    let mut kernel = candidate.kernel.clone();
    kernel.release = Some(prepared.banner.release.clone());
    Ok(Meta::new(kernel, candidate.packages.clone(), prepared.banner.release, prepared.modules))
}

fn download(
    store: &Store,
    candidate: &Candidate,
    progress: &dyn Progress,
    work: &Path,
    version: &str,
) -> Result<Vec<PathBuf>, FetchError> {
    let dir = work.join("packages");
    fs::create_dir_all(&dir).map_err(StoreError::at(&dir))?;
    let urls: Vec<&str> = candidate.packages.iter().map(|package| package.url.as_str()).collect();
    let client = Client::new(&urls);
    let mut debs = Vec::new();
    for (n, package) in candidate.packages.iter().enumerate() {
        // Its real name is in the message of any error; on disk a number is safer.
        let target = dir.join(format!("{n}.deb"));
        let mut item = progress.begin(&package.name, Some(package.size));
        let wanted = Wanted { url: &package.url, size: package.size, sha256: &package.sha256 };
        client
            .download(&wanted, &target, item.as_mut(), progress)
            .map_err(|error| FetchError::of_download(version, store.dir(), error))?;
        debs.push(target);
    }
    Ok(debs)
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
