//! From a candidate to a stored kernel.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use super::{FetchError, Lock, Meta, Store, StoreError};
use crate::candidate::{Candidate, CandidateState, PackageRef};
use crate::files::free_space;
use crate::http::{Checksum, Client, Size, Wanted};
use crate::import::prepare::{self, Modules};
use crate::import::sink::Sink;
use crate::import::{ImportError, deb};
use crate::progress::Progress;
use crate::ready::ReadyKernel;
use crate::settings::Settings;
use crate::source::{self, Source};

/// A package takes about this many times its size while it is imported: itself, the modules
/// uncompressed, and the finished images.
const ROOM: u64 = 6;
/// Where an index tells no sizes, no package is larger.
const LARGEST: u64 = 1 << 30;

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
    let source = Source::of(&candidate.kernel);
    let queued = source.filter(|source| source::wants_a_queue(*source));
    if candidate.packages.is_empty() && queued.is_none() {
        return Err(FetchError::Gone { kernel: version });
    }
    if settings.offline {
        let from = source.unwrap_or(Source::Archive);
        return Err(FetchError::Offline { kernel: version, from });
    }
    let path = store.lock_of(id);
    // By another kbisect, or by this one, ahead of its search.
    let what = format!("waiting for {version}: it is being fetched already");
    let _lock = Lock::wait(&path, progress, &what).map_err(StoreError::at(&path))?;
    // The one that was waited for has most likely done the work.
    if let Some(ready) = store.get(id) {
        return Ok(ready);
    }
    // One question and one file at a time, from all kbisects of this cache: such a service is shared by
    // many, and sends clients away that hurry.
    let queue = queued.map(|source| settings.cache_dir.join(source::queue_file(source)));
    let queue = queue.as_deref().map(|path| in_queue(path, progress)).transpose()?;
    let packages = match queued {
        Some(_) => source::look_up(&candidate.kernel, settings, progress)
            .map_err(|error| FetchError::of_lookup(&version, error))?,
        None => candidate.packages.clone(),
    };
    check_room(store, candidate, &packages)?;
    store.put(id, |work, out| {
        let client = client_for(&packages, settings, queued.is_some());
        let (debs, packages) = download(store, &version, packages, &client, progress, work)?;
        // Unpacking asks nobody.
        drop(queue);
        make(store, candidate, (debs, packages), progress, work, out)
    })
}

fn in_queue(path: &Path, progress: &dyn Progress) -> Result<Lock, StoreError> {
    let dir = path.parent().unwrap_or(path);
    fs::create_dir_all(dir).map_err(StoreError::at(dir))?;
    let what = "waiting for another download from the same service";
    Lock::wait(path, progress, what).map_err(StoreError::at(path))
}

fn client_for(packages: &[PackageRef], settings: &Settings, encrypted: bool) -> Client {
    let urls: Vec<&str> = packages.iter().map(|package| package.url.as_str()).collect();
    let client = Client::new(&urls, &settings.proxies);
    match urls.first() {
        Some(url) if encrypted => client.staying_encrypted(url),
        _ => client,
    }
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
    (debs, packages): (Vec<PathBuf>, Vec<PackageRef>),
    progress: &dyn Progress,
    work: &Path,
    out: &Path,
) -> Result<Meta, FetchError> {
    let version = candidate.kernel.package_version.to_string();
    // Unpacking has no size that could be shown; the item only says what goes on.
    let _item = progress.begin(&format!("unpacking {version}"), None);
    let prepared = in_background(|| import(&debs, &version, work, out))
        .map_err(|error| FetchError::of_import(&version, store.dir(), error))?;
    let mut kernel = candidate.kernel.clone();
    kernel.release = Some(prepared.banner.release.clone());
    Ok(Meta::new(kernel, packages, prepared.banner.release, prepared.modules))
}

/// Downloads and verifies packages; gives their places, and themselves with what is known of them now.
fn download(
    store: &Store,
    version: &str,
    packages: Vec<PackageRef>,
    client: &Client,
    progress: &dyn Progress,
    work: &Path,
) -> Result<(Vec<PathBuf>, Vec<PackageRef>), FetchError> {
    let dir = work.join("packages");
    fs::create_dir_all(&dir).map_err(StoreError::at(&dir))?;
    let (mut debs, mut done) = (Vec::new(), Vec::new());
    for (n, mut package) in packages.into_iter().enumerate() {
        // Its real name is in the message of any error; on disk a number is safer.
        let target = dir.join(format!("{n}.deb"));
        let known = Some(package.size).filter(|size| *size > 0);
        let mut item = progress.begin(&package.name, known);
        let wanted = Wanted {
            url: &package.url,
            size: known.map_or(Size::AtMost(LARGEST), Size::Exactly),
            checksum: match &package.sha1 {
                Some(sha1) if package.sha256.is_empty() => Checksum::Sha1(sha1),
                _ => Checksum::Sha256(&package.sha256),
            },
        };
        let sha256 = client
            .download(&wanted, &target, item.as_mut(), progress)
            .map_err(|error| FetchError::of_download(version, store.dir(), error))?;
        package.size = fs::metadata(&target).map_err(StoreError::at(&target))?.len();
        package.sha256 = sha256;
        debs.push(target);
        done.push(package);
    }
    Ok((debs, done))
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
