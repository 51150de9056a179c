//! The part of a changelog between two kernels.

use super::{Change, Changelog};
use crate::kernel::Kernel;
use crate::version::{PackageVersion, compare};

/// Most releases that a note names.
const NAMED: usize = 6;

/// The changes of a range, the oldest release first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    /// The changes.
    pub changes: Vec<Change>,
    /// What the list lacks, one line each.
    pub notes: Vec<String>,
}

impl Changelog {
    /// Cuts out what came after the kernel `old`, up to the kernel `new`. Rebuilds for another
    /// release are the same kernel as what they were built from. A kernel that is no package of the
    /// distribution is looked for by its upstream release.
    pub fn between(&self, old: &Kernel, new: &Kernel) -> Segment {
        let by_package = [old, new].iter().all(|kernel| is_package(kernel));
        let mut segment = Segment::default();
        let mut unlisted: Vec<&str> = Vec::new();
        for entry in self.entries.iter().rev() {
            let whole = if by_package {
                let version = entry.version.source();
                version > old.package_version.source() && version <= new.package_version.source()
            } else {
                within(entry.version.upstream(), old, new)
            };
            if whole {
                unlisted.extend(entry.unlisted.iter().map(String::as_str));
            }
            for change in &entry.changes {
                // One package brings several upstream releases, and the end may be between them.
                let taken = match &change.release {
                    Some(release) if !by_package => within(release, old, new),
                    _ => whole,
                };
                if taken {
                    segment.changes.push(change.clone());
                }
            }
        }
        self.notes(old, new, by_package, &unlisted, &mut segment.notes);
        segment
    }

    fn notes(
        &self,
        old: &Kernel,
        new: &Kernel,
        by_package: bool,
        unlisted: &[&str],
        notes: &mut Vec<String>,
    ) {
        if old.series() != new.series() {
            notes.push(format!(
                "the range crosses from stable series {} to {}: each series has commits of its own, and \
                 what a new series brought is not listed commit by commit",
                old.series(),
                new.series()
            ));
        }
        if !unlisted.is_empty() {
            let more = unlisted.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let named: Vec<&str> = unlisted.iter().copied().take(NAMED).collect();
            notes.push(format!(
                "the changelog does not list the commits of {}{more}",
                named.join(", ")
            ));
        }
        if self.truncated
            && let Some(oldest) = self.entries.last()
            && compare(old.package_version.upstream(), oldest.version.upstream()).is_lt()
        {
            notes.push(format!(
                "the changelog begins with {}: what came before is not in it",
                oldest.version
            ));
        }
        for kernel in [old, new] {
            if let Some(variant) = &kernel.variant {
                notes.push(format!(
                    "{} is a {variant}: what was replaced in it is in no changelog",
                    kernel.label()
                ));
            }
        }
        if !by_package {
            notes.push(
                "not both kernels are packages of the distribution: its own changes may not be in them"
                    .to_owned(),
            );
        }
    }

    /// Whether a version has an entry, rebuilds aside.
    pub fn has(&self, version: &PackageVersion) -> bool {
        let source = version.source();
        self.entries.iter().any(|entry| entry.version.source() == source)
    }
}

fn is_package(kernel: &Kernel) -> bool {
    // The snapshot service has Debian's own packages.
    let source = kernel.source.as_str();
    source.starts_with("debian") || source == "snapshot" || kernel.variant.is_some()
}

fn within(release: &str, old: &Kernel, new: &Kernel) -> bool {
    compare(release, old.package_version.upstream()).is_gt()
        && compare(release, new.package_version.upstream()).is_le()
}
