//! From what a user writes to a kernel.

use kbisect_core::version::PackageVersion;

use super::{Catalog, Item, Preference, ResolveError};
use crate::candidate::Candidate;

/// Shorter beginnings of an id are more likely a typing error.
const ID_DIGITS: usize = 6;

/// What a text names.
pub(super) enum Named<'a> {
    /// One build.
    Exactly(&'a Item),
    /// All kernels of an upstream version, lowest first.
    Upstream(Vec<&'a Item>),
    /// A source version that only rebuilds exist of.
    Rebuild(Vec<&'a Item>),
}

impl Catalog {
    /// Finds one kernel: by upstream version, package version, release (`uname -r`), name in the
    /// store, or the first six or more digits of an id. Of several kernels of one upstream version
    /// the newest is taken, with a note.
    pub fn resolve(&self, spec: &str) -> Result<Candidate, ResolveError> {
        match named(self, spec)? {
            Named::Exactly(item) => Ok(with_others(self, item)),
            Named::Upstream(items) => {
                let newest = items.last().expect("a name of nothing is an error");
                let mut candidate = chosen(self, newest, &Preference::default());
                candidate.notes.extend(several_note(spec, &items, newest));
                Ok(candidate)
            }
            Named::Rebuild(items) => {
                let mut candidate = chosen(self, items[0], &Preference::default());
                candidate.notes.push(rebuild_note(spec, &candidate));
                Ok(candidate)
            }
        }
    }
}

/// Says what a text names. In this order: a name in the store, a package version, a release, an
/// upstream version, a source version, the beginning of an id.
pub(super) fn named<'a>(catalog: &'a Catalog, spec: &str) -> Result<Named<'a>, ResolveError> {
    let items = &catalog.items;
    let kernel_is = |test: &dyn Fn(&Item) -> bool| items.iter().find(|item| test(item));
    if let Some(item) = kernel_is(&|item| item.candidate.kernel.name.as_deref() == Some(spec)) {
        return Ok(Named::Exactly(item));
    }
    // An archive's kernel has the right to its own name before a copy made by hand, and a variant
    // has none to that of the stock kernel.
    let archive_first = |test: &dyn Fn(&Item) -> bool| {
        kernel_is(&|item| item.archive && test(item))
            .or_else(|| kernel_is(&|item| !item.is_variant() && test(item)))
    };
    let release = |item: &Item| item.candidate.kernel.release.as_deref() == Some(spec);
    let version = version_of(spec);
    let exact = |item: &Item| {
        version.as_ref().is_some_and(|version| {
            version.revision().is_some() && item.candidate.kernel.package_version == *version
        })
    };
    let is_release = || archive_first(&release).filter(|_| spec.contains('-'));
    if let Some(item) = archive_first(&exact).or_else(is_release) {
        return Ok(Named::Exactly(item));
    }
    if let Some(version) = version {
        let ordered = |test: &dyn Fn(&Item) -> bool| {
            let mut found: Vec<&Item> =
                items.iter().filter(|item| catalog.in_series(item) && test(item)).collect();
            found.sort_by(|a, b| a.source_version.cmp(&b.source_version));
            found
        };
        if version.revision().is_none() {
            let found = ordered(&|item| item.candidate.kernel.version == version.as_str());
            if !found.is_empty() {
                return Ok(Named::Upstream(found));
            }
            let found = ordered(&|item| item.candidate.kernel.series() == version.as_str());
            if !found.is_empty() {
                return Ok(Named::Upstream(found));
            }
        } else {
            let found = ordered(&|item| item.archive && item.source_version == version);
            if !found.is_empty() {
                return Ok(Named::Rebuild(found));
            }
        }
    }
    by_id(catalog, spec)?.map(Named::Exactly).ok_or_else(|| unknown(catalog, spec))
}

/// Shows the build that stands for an item's source version.
pub(super) fn chosen(catalog: &Catalog, item: &Item, preference: &Preference) -> Candidate {
    if !item.archive {
        return item.candidate.clone();
    }
    let group: Vec<&Item> = siblings(catalog, item).collect();
    catalog.choose(&group, preference)
}

pub(super) fn rebuild_note(spec: &str, candidate: &Candidate) -> String {
    format!("{spec} itself is not there; took its rebuild {}", candidate.kernel.package_version)
}

fn with_others(catalog: &Catalog, item: &Item) -> Candidate {
    let pinned = vec![item.candidate.kernel.id.0.clone()];
    chosen(catalog, item, &Preference { pinned, families: Vec::new() })
}

/// The builds of an item's source version, itself included.
fn siblings<'a>(catalog: &'a Catalog, item: &'a Item) -> impl Iterator<Item = &'a Item> {
    catalog.items.iter().filter(move |other| {
        other.archive
            && other.source_version == item.source_version
            && other.candidate.kernel.flavour == item.candidate.kernel.flavour
    })
}

fn several_note(spec: &str, items: &[&Item], newest: &Item) -> Option<String> {
    let mut versions: Vec<String> =
        items.iter().map(|item| item.source_version.to_string()).collect();
    versions.dedup();
    if items.iter().any(|item| item.candidate.kernel.version != spec) {
        return Some(format!("{spec} is a series; took its newest, {}", newest.source_version));
    }
    (versions.len() > 1).then(|| {
        format!("{spec} is {}; took the newest, {}", versions.join(" and "), newest.source_version)
    })
}

fn by_id<'a>(catalog: &'a Catalog, spec: &str) -> Result<Option<&'a Item>, ResolveError> {
    let digits = spec.to_ascii_lowercase();
    if digits.len() < ID_DIGITS || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(None);
    }
    let found: Vec<&Item> = catalog
        .items
        .iter()
        .filter(|item| item.candidate.kernel.id.0.starts_with(&digits))
        .collect();
    if found.len() > 1 {
        let show = |item: &&Item| {
            let kernel = &item.candidate.kernel;
            format!("{} ({})", kernel.id.short(), kernel.package_version)
        };
        let found = found.iter().map(show).collect();
        return Err(ResolveError::Ambiguous { spec: spec.to_owned(), found });
    }
    Ok(found.first().copied())
}

fn unknown(catalog: &Catalog, spec: &str) -> ResolveError {
    let Some(version) = version_of(spec) else {
        return ResolveError::NotAVersion(spec.to_owned());
    };
    let all = catalog.ordered(&Preference::default());
    let show = |candidate: &Candidate| {
        // Without a revision only the upstream version is of interest.
        let kernel = &candidate.kernel;
        match version.revision() {
            Some(_) => kernel.package_version.to_string(),
            None => kernel.version.clone(),
        }
    };
    let split = all.partition_point(|candidate| candidate.kernel.package_version < version);
    ResolveError::Unknown {
        spec: spec.to_owned(),
        below: all[..split].last().map(show),
        above: all.get(split).map(show),
        elsewhere: catalog.not_looked_into(),
    }
}

/// Reads a version as people write it: with a `v` in front, and release candidates with a `-`.
fn version_of(spec: &str) -> Option<PackageVersion> {
    let text = spec.strip_prefix('v').unwrap_or(spec);
    PackageVersion::parse(&text.replace("-rc", "~rc")).ok()
}
