//! Kernels for trials: the reference, and the candidates as they are needed.

use std::sync::Arc;

use anyhow::Context as _;
use kbisect_core::kernel::Kernel;
use kbisect_core::trial::Untestable;
use kbisect_kernels::{
    BuildError, Candidate, CandidateState, FetchError, Progress, ProgressItem, ReadyKernel, Source,
    Store,
};
use kbisect_vm::lab::BootFiles;
use kbisect_vm::session::Interrupt;

use super::context::Base;
use crate::cli::Global;
use crate::errors;

/// The stable series that the reference kernel is taken from: that of the Debian release which the
/// root image is pinned to. Old enough to boot quickly, and maintained.
const REFERENCE_SERIES: &str = "6.1";

/// The files that a kernel is booted from. It is unpacked for that, once.
pub fn boot_files(store: &Store, kernel: &ReadyKernel) -> BootFiles {
    BootFiles {
        vmlinuz: kernel.vmlinuz.clone(),
        unpacked: store.unpacked(kernel).map_err(|error| errors::message(&error.into())),
        boot_modules: kernel.modules.as_ref().map(|tree| tree.boot_archive.clone()),
        modules: kernel.modules.as_ref().map(|tree| tree.image.clone()),
        cmdline: kernel.cmdline().to_vec(),
    }
}

/// Finds a kernel of a plan again.
///
/// # Errors
/// That it is known no more.
pub fn again(base: &Base, kernel: &Kernel) -> anyhow::Result<Candidate> {
    let found = base.catalog.resolve(&kernel.id.0).or_else(|error| match kernel.variant {
        // Its version is that of the stock kernel, which is another one.
        Some(_) => Err(error),
        None => base.catalog.resolve(kernel.package_version.as_str()),
    });
    found.with_context(|| {
        format!("kernel {} of the run is neither in the store nor in its source", kernel.label())
    })
}

/// Fetches a kernel that is to be tried. The inner error says why it can never be had: that is a
/// skip, not a failure of this host.
///
/// # Errors
/// Those of the download that may go away; an interruption.
pub fn to_try(
    base: &Base,
    candidate: &Candidate,
) -> anyhow::Result<Result<ReadyKernel, Untestable>> {
    to_try_unless(base, candidate, &Interrupt::default())
}

/// As [`to_try`], for as long as `cancel` is not set.
///
/// # Errors
/// As [`to_try`]; that it was cancelled.
pub fn to_try_unless(
    base: &Base,
    candidate: &Candidate,
    cancel: &Interrupt,
) -> anyhow::Result<Result<ReadyKernel, Untestable>> {
    let progress = Cancellable { shown: base.progress(), cancel: cancel.clone() };
    let ready = base.store.ensure(candidate, &base.settings, &progress);
    base.go_on()?;
    match ready {
        Ok(kernel) => Ok(Ok(kernel)),
        Err(FetchError::Build { source: BuildError::Conflicts { files }, .. }) => {
            Ok(Err(Untestable::Conflicts { files }))
        }
        Err(FetchError::Build { source, .. }) if source.is_final() => {
            Ok(Err(Untestable::NoBuild { said: errors::message(&source.into()) }))
        }
        Err(error) if error.is_final() => {
            let said = errors::message(&error.into());
            Ok(Err(Untestable::NoPackages { said: format!("it cannot be obtained: {said}") }))
        }
        Err(error) => Err(error.into()),
    }
}

/// Shown as others are, and can be ended alone.
pub struct Cancellable {
    /// Where it is shown.
    pub shown: Arc<dyn Progress>,
    /// What ends it.
    pub cancel: Interrupt,
}

impl Progress for Cancellable {
    fn begin(&self, what: &str, total: Option<u64>) -> Box<dyn ProgressItem> {
        self.shown.begin(what, total)
    }
    fn note(&self, line: &str) {
        self.shown.note(line);
    }
    fn cancelled(&self) -> bool {
        self.cancel.is_set() || self.shown.cancelled()
    }
}

/// Fetches a kernel unless it is in the store.
///
/// # Errors
/// Those of the download; an interruption.
pub fn ensure(base: &Base, candidate: &Candidate) -> anyhow::Result<ReadyKernel> {
    let progress = base.progress();
    let ready = base.store.ensure(candidate, &base.settings, progress.as_ref());
    base.go_on()?;
    Ok(ready?)
}

/// Chooses and fetches the kernel of the reference nodes: the one named, else the newest of the
/// root image's own series, else the newest that is in the store.
pub fn reference(base: &Base, named: Option<&str>) -> anyhow::Result<ReadyKernel> {
    match choose_reference(base, named)? {
        Reference::Ready(kernel) => Ok(*kernel),
        Reference::Found(candidate) => ensure(base, &candidate),
    }
}

/// The same, without fetching it.
pub fn planned_reference(base: &Base, named: Option<&str>) -> anyhow::Result<Kernel> {
    Ok(match choose_reference(base, named)? {
        Reference::Ready(kernel) => kernel.kernel,
        Reference::Found(candidate) => candidate.kernel,
    })
}

/// The id of the kernel that reference nodes have.
///
/// # Errors
/// Those of [`Base::new`]; that there is none.
pub fn reference_id(global: &Global) -> anyhow::Result<String> {
    Ok(planned_reference(&Base::new(global)?, None)?.id.0)
}

/// A kernel for the reference nodes.
enum Reference {
    Ready(Box<ReadyKernel>),
    Found(Box<Candidate>),
}

fn choose_reference(base: &Base, named: Option<&str>) -> anyhow::Result<Reference> {
    if let Some(spec) = named {
        return Ok(Reference::Found(Box::new(base.catalog.resolve(spec)?)));
    }
    let all = base.catalog.all();
    let stored = |candidate: &&Candidate| candidate.state == CandidateState::Stored;
    let downloadable = |candidate: &&Candidate| {
        !base.settings.offline && matches!(candidate.state, CandidateState::Downloadable { .. })
    };
    // What a service merely lists may not be there at all.
    let fetchable =
        |candidate: &&Candidate| downloadable(candidate) && !Source::is_estimate(&candidate.kernel);
    // A kernel that somebody added by hand is under suspicion, not a reference.
    let of_archive = || all.iter().rev().filter(|candidate| candidate.kernel.name.is_none());
    let of_series =
        || of_archive().filter(|candidate| candidate.kernel.series() == REFERENCE_SERIES);
    let choice = of_series()
        .find(|candidate| stored(candidate) || fetchable(candidate))
        .or_else(|| of_archive().find(stored))
        .or_else(|| all.iter().rev().find(|c| stored(c) && c.kernel.variant.is_none()));
    // Another distribution's kernel is no part of the series, and good enough here.
    if choice.is_none()
        && let Some(kernel) = stored_of_archive(base)?
    {
        return Ok(Reference::Ready(Box::new(kernel)));
    }
    match choice.or_else(|| of_series().find(downloadable)) {
        Some(candidate) => Ok(Reference::Found(Box::new(candidate.clone()))),
        None => Err(errors::infrastructure(
            "there is no kernel for the reference nodes",
            format!(
                "name one with --reference, or with a further --suite one that holds {REFERENCE_SERIES} \
                 kernels; with --offline it must be in the store"
            ),
        )),
    }
}

/// The newest archive kernel of the store, one of the root image's own series before all others.
fn stored_of_archive(base: &Base) -> anyhow::Result<Option<ReadyKernel>> {
    let of_archive =
        |kernel: &Kernel| kernel.variant.is_none() && Source::of(kernel) == Some(Source::ARCHIVE);
    let stored = base.store.list()?;
    let found = stored
        .iter()
        .filter(|ready| of_archive(&ready.kernel) && ready.missing_for_boot().is_empty())
        .max_by_key(|ready| {
            let of_series = ready.kernel.series() == REFERENCE_SERIES;
            (of_series, ready.kernel.package_version.clone())
        });
    // By its id, so that nobody prunes it while it is in use.
    Ok(found.and_then(|ready| base.store.get(&ready.kernel.id)))
}
