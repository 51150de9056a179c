//! What kernels there are, and their order.

mod load;
mod newest;
mod notices;
mod resolve;
mod resolve_errors;
mod series;

#[cfg(test)]
mod tests;

pub use newest::Newest;
pub use resolve_errors::{NewestError, ResolveError};

use kbisect_core::version::PackageVersion;

use crate::COMMITS;
use crate::candidate::{Build, Candidate, CandidateState};
use crate::sources::{DEBIAN, Source, Trust, implementation};

/// All kernels that the sources list and the store holds.
#[derive(Debug)]
pub struct Catalog {
    items: Vec<Item>,
    warnings: Vec<String>,
    flavour: String,
    /// Sources as the user named them.
    sources: Vec<Source>,
    /// Offline, a build that is in the store is worth more than a better one that is not.
    prefer_stored: bool,
}

/// One build of one kernel.
#[derive(Debug, Clone)]
struct Item {
    candidate: Candidate,
    /// Version that all rebuilds of the source share.
    source_version: PackageVersion,
    /// Debian's (whatever it came from), so that its rebuilds are the same kernel.
    archive: bool,
}

impl Catalog {
    /// What the user should know: suites left out, cached indexes used in place of fresh ones. Each
    /// line was also passed to [`Progress::note`].
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// All kernels of the flavour, in order, those of the store included. Builds of one source
    /// version are one entry; variants follow the kernel that they were made from.
    pub fn all(&self) -> Vec<Candidate> {
        let mut all = self.ordered(&Preference::default());
        let variants = self.items.iter().filter(|item| item.is_variant());
        variants.for_each(|item| series::insert(&mut all, item.candidate.clone()));
        all
    }

    /// The names that kernels in the store were given, sorted.
    pub fn names(&self) -> Vec<&str> {
        let named = self.items.iter().filter_map(|item| item.candidate.kernel.name.as_deref());
        let mut names: Vec<&str> = named.collect();
        names.sort_unstable();
        names
    }

    /// Puts all kernels in order, one for each source version of the archives; `preference` says
    /// which build stands for it.
    fn ordered(&self, preference: &Preference) -> Vec<Candidate> {
        let mut items: Vec<&Item> = self.items.iter().filter(|item| self.in_series(item)).collect();
        items.sort_by(|a, b| {
            let key = |item: &Item| (item.archive, item.candidate.kernel.package_version.clone());
            a.source_version
                .cmp(&b.source_version)
                .then_with(|| key(a).cmp(&key(b)))
                .then_with(|| a.candidate.kernel.id.cmp(&b.candidate.kernel.id))
        });
        items
            .chunk_by(|a, b| a.archive && b.archive && a.source_version == b.source_version)
            .map(|group| self.choose(group, preference))
            .collect()
    }

    /// Whether a version can stand for the kernel. A variant is never meant by one: it has the
    /// version of the stock kernel.
    fn in_series(&self, item: &Item) -> bool {
        let kernel = &item.candidate.kernel;
        let source = Source::of(kernel);
        let ours = match source.and_then(Source::other_vendor) {
            // Builds of another distribution have another configuration: they make no series together
            // unless that is asked for.
            Some(vendor) => self.sources.iter().any(|named| named.vendor == Some(vendor)),
            None if source.is_some() => {
                let others = |named: &Source| named.other_vendor().is_some();
                kernel.flavour == self.flavour && !self.sources.iter().all(others)
            }
            None => kernel.flavour == self.flavour || kernel.flavour.is_empty(),
        };
        // Commits are in order by their history alone.
        ours && !item.is_variant() && kernel.source != COMMITS
    }

    /// Sources that were left out.
    fn not_looked_into(&self) -> Vec<Source> {
        Source::all().filter(|source| !source.is_wanted(&self.sources)).collect()
    }

    fn choose(&self, group: &[&Item], preference: &Preference) -> Candidate {
        let rank = |item: &&&Item| {
            let kernel = &item.candidate.kernel;
            let pinned = preference.pinned.contains(&kernel.id.0);
            let stored = self.prefer_stored && item.is_stored();
            let testable = item.is_testable();
            // The archive vouches for its builds; the snapshot service does not.
            let signed = Source::of(kernel)
                .is_some_and(|source| implementation(source).trust(&[]) == Trust::SignedIndex);
            // The first family that is asked for is worth the most.
            let family = preference.families.iter().rev().position(|f| item.in_family(f));
            let native = kernel.package_version == item.source_version;
            (
                pinned,
                stored,
                testable,
                signed,
                family.map_or(0, |n| n + 1),
                native,
                kernel.package_version.clone(),
            )
        };
        let chosen = group.iter().max_by_key(rank).expect("a group has members");
        let mut candidate = chosen.candidate.clone();
        candidate.other_builds = group
            .iter()
            .filter(|item| item.candidate.kernel.id != candidate.kernel.id)
            .map(|item| item.as_build())
            .collect();
        candidate
    }
}

/// Which build is to stand for a source version.
#[derive(Debug, Default)]
struct Preference {
    /// Ids of builds that were asked for exactly.
    pinned: Vec<String>,
    /// Releases (`bookworm`) whose builds are preferred, the best first.
    families: Vec<String>,
}

impl Item {
    fn new(candidate: Candidate) -> Self {
        let source = Source::of(&candidate.kernel);
        let archive = source.is_some_and(|source| source.vendor == Some(DEBIAN));
        let version = &candidate.kernel.package_version;
        let source_version = if archive { version.source() } else { version.clone() };
        Self { candidate, source_version, archive }
    }

    fn is_stored(&self) -> bool {
        matches!(self.candidate.state, CandidateState::Stored)
    }

    fn is_variant(&self) -> bool {
        self.candidate.kernel.variant.is_some()
    }

    fn is_testable(&self) -> bool {
        !matches!(self.candidate.state, CandidateState::Untestable { .. })
    }

    /// Suites that hold the build, the one in `source` first.
    fn suites(&self) -> impl Iterator<Item = &str> {
        let own = self.candidate.kernel.source.strip_prefix("debian:");
        own.into_iter().chain(self.candidate.also_in.iter().map(String::as_str))
    }

    /// Whether the build is one for a release, or for its updates or backports.
    fn in_family(&self, release: &str) -> bool {
        self.suites().any(|suite| family_of(suite) == release)
    }

    fn as_build(&self) -> Build {
        Build {
            package_version: self.candidate.kernel.package_version.clone(),
            suites: self.suites().map(str::to_owned).collect(),
            id: self.candidate.kernel.id.clone(),
        }
    }
}

/// The release that a suite belongs to: `bookworm` for `bookworm-backports`.
fn family_of(suite: &str) -> &str {
    suite.split(['-', '/']).next().unwrap_or(suite)
}
