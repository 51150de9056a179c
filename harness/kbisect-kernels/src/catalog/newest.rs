//! The newest kernel that the archive offers for a suite.

use kbisect_core::kernel::Kernel;

use super::{Catalog, Item, NewestError, Preference};
use crate::candidate::{Candidate, CandidateState};
use crate::sources::Source;

/// What stands for a release beside the suite of its name: a machine that runs it takes kernels from
/// these as well. Backports are taken by those who ask for them.
const WITH_RELEASE: [&str; 2] = ["-updates", "-security"];

/// The newest kernel, and the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newest {
    /// The newest; it may be untestable.
    pub kernel: Candidate,
    /// The newest one before it that can be tested, of the same suites; none when it is the first.
    pub before: Option<Candidate>,
}

impl Catalog {
    /// The newest kernel that can be tried of those that are newer than this one: of the same series, and of
    /// the same distribution and flavour, or built by hand as it is. With `stored` one that is at hand.
    pub fn newest_beyond(&self, kernel: &Kernel, stored: bool) -> Option<Candidate> {
        let vendor = |kernel: &Kernel| Source::of(kernel).map(Source::other_vendor);
        let is_of_it = |other: &Kernel| {
            other.series() == kernel.series()
                && other.flavour == kernel.flavour
                && vendor(other) == vendor(kernel)
                && other.package_version > kernel.package_version
        };
        let can_be_tried = |candidate: &Candidate| match candidate.state {
            CandidateState::Stored => true,
            CandidateState::Downloadable { .. } => !stored,
            CandidateState::Buildable | CandidateState::Untestable { .. } => false,
        };
        let all = self.ordered(&Preference::default());
        all.into_iter().rev().find(|other| is_of_it(&other.kernel) && can_be_tried(other))
    }

    /// Finds the newest kernel that the archive offers for a suite now, and the one before it. A release
    /// (`bookworm`) stands for its updates and its security suite too, since a machine that runs it takes
    /// kernels from there; not for its backports. Newer kernels that are rebuilt for a release count only
    /// where it has none of its own. Without a suite all that were loaded count.
    pub fn newest(&self, suite: Option<&str>) -> Result<Newest, NewestError> {
        let of_archive = |item: &&Item| Source::of(&item.candidate.kernel) == Some(Source::ARCHIVE);
        // A stored kernel that the index names no more has no packages.
        let offered = |item: &&Item| !item.candidate.packages.is_empty();
        let wanted = |name: &str| {
            suite.is_none_or(|suite| {
                name == suite
                    || WITH_RELEASE.iter().any(|kind| name.strip_suffix(kind) == Some(suite))
            })
        };
        let mut items: Vec<&Item> = self
            .items
            .iter()
            .filter(|item| !item.is_variant() && item.candidate.kernel.flavour == self.flavour)
            .filter(of_archive)
            .filter(|item| item.suites().any(wanted))
            .collect();
        // A release also carries newer kernels, rebuilt for it, for those who ask for them by name. What
        // its machines upgrade to is its own.
        let own = |item: &Item| item.candidate.kernel.package_version == item.source_version;
        if suite.is_some() && items.iter().any(|item| offered(item) && own(item)) {
            items.retain(|item| own(item));
        }
        items.sort_by(|a, b| {
            let key = |item: &Item| {
                (item.source_version.clone(), item.candidate.kernel.package_version.clone())
            };
            key(a).cmp(&key(b))
        });
        let Some(newest) = items.iter().rev().find(|item| offered(item)) else {
            return Err(match suite {
                Some(suite) => {
                    NewestError::NoSuite { suite: suite.to_owned(), known: suites(self) }
                }
                None => NewestError::Nothing,
            });
        };
        let before = items
            .iter()
            .rev()
            .find(|item| item.source_version < newest.source_version && item.is_testable());
        Ok(Newest {
            kernel: newest.candidate.clone(),
            before: before.map(|item| item.candidate.clone()),
        })
    }
}

/// Suites that offer a kernel, sorted.
fn suites(catalog: &Catalog) -> Vec<String> {
    let offered = catalog.items.iter().filter(|item| !item.candidate.packages.is_empty());
    let of_archive =
        offered.filter(|item| Source::of(&item.candidate.kernel) == Some(Source::ARCHIVE));
    let mut names: Vec<String> =
        of_archive.flat_map(|item| item.suites().map(str::to_owned).collect::<Vec<_>>()).collect();
    names.sort();
    names.dedup();
    names
}
