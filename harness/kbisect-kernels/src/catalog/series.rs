//! The kernels between two endpoints.

use super::resolve::{self, Named};
use super::{Catalog, Item, Preference, ResolveError, family_of};
use crate::candidate::Candidate;

/// Which end of a range a text names: of several kernels of one upstream version the range is to
/// hold all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Lower,
    Upper,
}

struct Endpoint<'a> {
    item: &'a Item,
    exact: bool,
    rebuild: bool,
}

impl Catalog {
    /// Lists the kernels from `good` to `bad`, both included, in order. Builds of one source
    /// version for several releases are one candidate. Variants are left out unless they are the
    /// endpoints.
    pub fn series(&self, good: &str, bad: &str) -> Result<Vec<Candidate>, ResolveError> {
        let lower = endpoint(self, good, End::Lower)?;
        let upper = endpoint(self, bad, End::Upper)?;
        let mut preference = Preference::default();
        for end in [&lower, &upper].into_iter().filter(|end| end.exact) {
            preference.pinned.push(end.item.candidate.kernel.id.0.clone());
            preference.families.extend(end.item.suites().map(|suite| family_of(suite).to_owned()));
        }
        if let Some(pair) = two_builds_of_one_source(self, &lower, &upper, good, bad)? {
            return Ok(pair);
        }
        let mut all = self.ordered(&preference);
        include(&mut all, self, lower.item, &preference);
        include(&mut all, self, upper.item, &preference);
        let position = |end: &Endpoint<'_>| {
            let wanted = resolve::chosen(self, end.item, &preference).kernel.id;
            all.iter().position(|candidate| candidate.kernel.id == wanted)
        };
        let (from, to) = match (position(&lower), position(&upper)) {
            (Some(from), Some(to)) => (from, to),
            _ => unreachable!("both endpoints were put into the list"),
        };
        if from > to {
            return Err(ResolveError::Reversed { good: good.to_owned(), bad: bad.to_owned() });
        }
        if from == to {
            let kernel = all[from].kernel.package_version.to_string();
            return Err(ResolveError::SameKernel {
                good: good.to_owned(),
                bad: bad.to_owned(),
                kernel,
            });
        }
        let mut series: Vec<Candidate> = all.drain(from..=to).collect();
        for (end, spec, n) in [(&lower, good, 0), (&upper, bad, series.len() - 1)] {
            if end.rebuild {
                let note = resolve::rebuild_note(spec, &series[n]);
                series[n].notes.push(note);
            }
        }
        Ok(series)
    }
}

fn endpoint<'a>(catalog: &'a Catalog, spec: &str, end: End) -> Result<Endpoint<'a>, ResolveError> {
    Ok(match resolve::named(catalog, spec)? {
        Named::Exactly(item) => Endpoint { item, exact: true, rebuild: false },
        Named::Upstream(items) => {
            let item = if end == End::Lower { items.first() } else { items.last() };
            let item = item.expect("a name of nothing is an error");
            Endpoint { item, exact: false, rebuild: false }
        }
        Named::Rebuild(items) => Endpoint { item: items[0], exact: false, rebuild: true },
    })
}

/// Two builds of one source that were both asked for exactly are a range of their own: the compiler
/// may be what differs.
fn two_builds_of_one_source(
    catalog: &Catalog,
    lower: &Endpoint<'_>,
    upper: &Endpoint<'_>,
    good: &str,
    bad: &str,
) -> Result<Option<Vec<Candidate>>, ResolveError> {
    let kernel = |end: &Endpoint<'_>| end.item.candidate.kernel.clone();
    let (a, b) = (kernel(lower), kernel(upper));
    let pair = lower.exact
        && upper.exact
        && lower.item.archive
        && upper.item.archive
        && lower.item.source_version == upper.item.source_version
        && a.flavour == b.flavour
        && a.id != b.id;
    if !pair {
        return Ok(None);
    }
    if a.package_version > b.package_version {
        return Err(ResolveError::Reversed { good: good.to_owned(), bad: bad.to_owned() });
    }
    let build = |id: &str| {
        let pinned = Preference { pinned: vec![id.to_owned()], families: Vec::new() };
        let item = if id == a.id.0 { lower.item } else { upper.item };
        resolve::chosen(catalog, item, &pinned)
    };
    Ok(Some(vec![build(&a.id.0), build(&b.id.0)]))
}

/// Puts an endpoint into the list when it is not there: one of another flavour, named exactly.
fn include(all: &mut Vec<Candidate>, catalog: &Catalog, item: &Item, preference: &Preference) {
    let wanted = resolve::chosen(catalog, item, preference);
    if all.iter().all(|candidate| candidate.kernel.id != wanted.kernel.id) {
        insert(all, wanted);
    }
}

/// Puts a kernel into its place; a variant comes after the kernel that it was made from.
pub(super) fn insert(all: &mut Vec<Candidate>, kernel: Candidate) {
    let version = &kernel.kernel.package_version;
    let variant = kernel.kernel.variant.is_some();
    let at = all.partition_point(|other| {
        let other = &other.kernel.package_version;
        other < version || (variant && other == version)
    });
    all.insert(at, kernel);
}
