//! What the rules tell of addresses: which they name, and which they translate.

use super::host::{Filter, FilterKind, Host};
use super::named::Named;
use super::nat::Translation;
use super::{nat_iptables, nat_nft};

/// More rules than this are not looked at: the host has a program that makes them.
const MOST: usize = 400;

/// Read once, used all over.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) named: Named,
    pub(super) translations: Vec<Translation>,
}

impl Known {
    pub(super) fn read(host: &Host) -> Self {
        Self {
            named: Named::read(host.filters.iter().map(|filter| filter.text.as_str())),
            translations: translations(&host.filters),
        }
    }
}

/// The translations of all rules, in the order in which they are met.
fn translations(filters: &[Filter]) -> Vec<Translation> {
    let sets = nat_iptables::sets(filters);
    let of = |filter: &Filter| match filter.kind {
        FilterKind::Ipset => Vec::new(),
        FilterKind::Iptables => nat_iptables::read(filter, false, &sets),
        FilterKind::Ip6tables => nat_iptables::read(filter, true, &sets),
        FilterKind::Nft => nat_nft::read(filter),
    };
    filters.iter().flat_map(of).take(MOST).collect()
}
