//! New addresses for old ones, so that everything still fits together.
//!
//! The network part is replaced as a whole by a number, the host part stays: addresses of one subnet
//! stay in one subnet, a network's address stays one, and a route still covers what it covered. The
//! numbers follow the order of the old networks, so the same run gets the same placeholders, and
//! nothing but that order can be told from them. What has a meaning of its own (loopback, link-local,
//! multicast, private or public) keeps it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// First octets for public networks: assigned, and seen on no public route for decades, so that a
/// reader takes them for placeholders. Further ones are counted up from 34.
const PUBLIC: [u8; 8] = [21, 22, 26, 28, 29, 30, 33, 55];
/// Longest network part that is replaced: a host part of 8 bits stays at least.
const LONGEST: u8 = 24;
/// Network part of an IPv6 address.
const LONGEST_6: u8 = 64;

/// What was found in a run's files.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// IPv4 addresses, with the shortest prefix that they were written with.
    v4: BTreeMap<Ipv4Addr, u8>,
    v6: BTreeMap<Ipv6Addr, u8>,
    /// Those of them that end in an IPv4 address.
    tails: BTreeSet<Ipv6Addr>,
    macs: BTreeSet<[u8; 6]>,
}

impl Found {
    /// A prefix that is not longer than what a group has in common does not count: a route to
    /// 10.0.0.0/8 is no reason to leave 10.1.2.3 as it is.
    pub(crate) fn add(&mut self, address: IpAddr, prefix: Option<u8>) {
        match address {
            IpAddr::V4(address) => {
                let prefix = prefix.filter(|bits| *bits > group_of(address).fixed).unwrap_or(32);
                let known = self.v4.entry(address).or_insert(32);
                *known = (*known).min(prefix);
            }
            IpAddr::V6(address) => {
                if let Some(shift) = embedded(address) {
                    let inner = Ipv4Addr::from((u128::from(address) >> shift) as u32);
                    self.add(inner.into(), prefix.and_then(|bits| bits.checked_sub(96)));
                }
                if let Some(mac) = hardware(u128::from(address) as u64) {
                    self.add_mac(mac);
                }
                let prefix = prefix.filter(|bits| *bits >= 16).unwrap_or(128);
                let known = self.v6.entry(address).or_insert(128);
                *known = (*known).min(prefix);
            }
        }
    }

    /// Adds an IPv6 address that was written with an IPv4 address at its end.
    pub(crate) fn add_tail(&mut self, address: Ipv6Addr, prefix: Option<u8>) {
        self.add(address.into(), prefix);
        self.add(Ipv4Addr::from(u128::from(address) as u32).into(), None);
        self.tails.insert(address);
    }

    pub(crate) fn add_mac(&mut self, mac: [u8; 6]) {
        if !is_group(mac) && mac != [0; 6] {
            self.macs.insert(mac);
        }
    }
}

/// The replacement of each address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Addresses {
    v4: BTreeMap<Ipv4Addr, Ipv4Addr>,
    v6: BTreeMap<Ipv6Addr, Ipv6Addr>,
    macs: BTreeMap<[u8; 6], [u8; 6]>,
}

impl Addresses {
    pub(crate) fn new(found: &Found) -> Self {
        let mut addresses = Self::default();
        for (number, mac) in found.macs.iter().enumerate() {
            let [.., a, b, c] = (number as u32 + 1).to_be_bytes();
            addresses.macs.insert(*mac, [0x02, 0, 0, a, b, c]);
        }
        addresses.number_v4(&found.v4);
        addresses.number_v6(&found.v6, &found.tails);
        addresses
    }

    fn number_v4(&mut self, found: &BTreeMap<Ipv4Addr, u8>) {
        let mut groups: BTreeMap<Group, Vec<(Ipv4Addr, u8)>> = BTreeMap::new();
        for (address, prefix) in found.iter().filter(|(address, _)| !keeps_v4(**address)) {
            groups.entry(group_of(*address)).or_default().push((*address, *prefix));
        }
        let mut public = PUBLIC.into_iter().chain(34..=54).chain(56..=99).chain(200..=223);
        for (Group { fixed, bits, public: is_public }, members) in groups {
            let shortest = members.iter().map(|(_, prefix)| *prefix).min().unwrap_or(32);
            let network = shortest.clamp(fixed, LONGEST.max(fixed));
            let base = if is_public { u32::from(public.next().unwrap_or(199)) << 24 } else { bits };
            let part = |address: Ipv4Addr| u32::from(address) & mask(network) & !mask(fixed);
            let networks: BTreeSet<u32> =
                members.iter().map(|(address, _)| part(*address)).collect();
            let shift = 32 - u32::from(network);
            let most = 1_u64.checked_shl(u32::from(network - fixed)).unwrap_or(u64::MAX);
            let mut last = networks.len() as u32;
            let numbers: BTreeMap<u32, u32> = (1..)
                .zip(networks)
                .map(|(number, known)| {
                    let mut new = number;
                    // None keeps its own, as long as there are others.
                    while !is_public && new << shift == known && u64::from(last) + 1 < most {
                        last += 1;
                        new = last;
                    }
                    (known, new)
                })
                .collect();
            for (address, _) in members {
                let number = numbers.get(&part(address)).copied().unwrap_or(0) << shift;
                // More networks than numbers: the last bits of the fixed part would be overrun.
                let number = number & !mask(fixed);
                let host = u32::from(address) & !mask(network);
                self.v4.insert(address, Ipv4Addr::from(base | number | host));
            }
        }
    }

    fn number_v6(&mut self, found: &BTreeMap<Ipv6Addr, u8>, tails: &BTreeSet<Ipv6Addr>) {
        let numbered =
            |address: &Ipv6Addr| keeps_v6(*address).is_none() && embedded(*address).is_none();
        let shortest = found
            .iter()
            .filter(|(address, _)| numbered(address))
            .map(|(_, prefix)| *prefix)
            .min()
            .unwrap_or(128);
        let network = shortest.clamp(33, LONGEST_6);
        let high = |address: &Ipv6Addr| u128::from(*address) >> (128 - network);
        let networks: BTreeSet<u128> = found.keys().filter(|a| numbered(a)).map(high).collect();
        for address in found.keys() {
            // The prefix says what the address is for, and the rest of it is an IPv4 address.
            if let Some(shift) = embedded(*address) {
                let new = self.inner(*address, shift);
                let interface = self.interface(u128::from(new) as u64);
                let new = u128::from(new) & !u128::from(u64::MAX) | u128::from(interface);
                self.v6.insert(*address, Ipv6Addr::from(new));
                continue;
            }
            let base = match keeps_v6(*address) {
                Some(true) => continue,
                // Link-local: the prefix says nothing, the interface identifier does.
                Some(false) => u128::from(*address) & !u128::from(u64::MAX),
                None => {
                    let at = networks.iter().position(|known| *known == high(address));
                    let number = at.map_or(0, |at| at as u128 + 1) << (128 - network);
                    let low = u128::from(*address) & (u128::MAX >> network) & !u128::from(u64::MAX);
                    (0x2001_0db8_u128 << 96) | number | low
                }
            };
            let interface = self.interface(u128::from(*address) as u64);
            let new = Ipv6Addr::from(base | u128::from(interface));
            let new = if tails.contains(address) { self.inner(new, 0) } else { new };
            self.v6.insert(*address, new);
        }
    }

    /// The address with another IPv4 address within it.
    fn inner(&self, address: Ipv6Addr, shift: u32) -> Ipv6Addr {
        let bits = u128::from(address);
        let old = Ipv4Addr::from((bits >> shift) as u32);
        let new = self.v4(old).unwrap_or(old);
        let hole = !(u128::from(u32::MAX) << shift);
        Ipv6Addr::from(bits & hole | u128::from(u32::from(new)) << shift)
    }

    /// An interface identifier; one that is made from a hardware address gets that of the new one
    /// (RFC 4291, appendix A).
    fn interface(&self, old: u64) -> u64 {
        match hardware(old).and_then(|mac| self.mac(mac)) {
            Some([a, b, c, d, e, f]) => u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]),
            None => old,
        }
    }

    /// The new address; nothing for one that keeps its meaning or was not found. A network that is
    /// as large as a group, such as 10.0.0.0/8, stays its beginning.
    pub(crate) fn ip(&self, address: IpAddr, prefix: Option<u8>) -> Option<IpAddr> {
        match address {
            IpAddr::V4(old) if prefix.is_some_and(|bits| bits <= group_of(old).fixed) => {
                let (group, new) = (group_of(old), self.v4.get(&old)?);
                let host = u32::from(old) & !mask(group.fixed);
                Some(IpAddr::V4(Ipv4Addr::from(u32::from(*new) & mask(group.fixed) | host)))
            }
            IpAddr::V4(address) => self.v4.get(&address).map(|new| IpAddr::V4(*new)),
            IpAddr::V6(address) => self.v6.get(&address).map(|new| IpAddr::V6(*new)),
        }
    }

    pub(crate) fn v4(&self, address: Ipv4Addr) -> Option<Ipv4Addr> {
        self.v4.get(&address).copied()
    }

    pub(crate) fn v6(&self, address: Ipv6Addr) -> Option<Ipv6Addr> {
        self.v6.get(&address).copied()
    }

    pub(crate) fn mac(&self, mac: [u8; 6]) -> Option<[u8; 6]> {
        self.macs.get(&mac).copied()
    }
}

fn mask(bits: u8) -> u32 {
    if bits == 0 { 0 } else { u32::MAX << (32 - u32::from(bits.min(32))) }
}

/// Multicast and broadcast.
fn is_group(mac: [u8; 6]) -> bool {
    mac[0] & 1 == 1
}

/// Addresses that say the same on every network.
fn keeps_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    let mask_like = u32::from(address).leading_ones() + u32::from(address).trailing_zeros() == 32;
    matches!(first, 0 | 127 | 224..) || (first, second) == (169, 254) || (first >= 128 && mask_like)
}

/// `Some(true)` stays as it is, `Some(false)` has a link-local prefix.
fn keeps_v6(address: Ipv6Addr) -> Option<bool> {
    if address.is_multicast() || address.is_loopback() || address.is_unspecified() {
        return Some(true);
    }
    (address.segments()[0] & 0xffc0 == 0xfe80).then_some(false)
}

/// The hardware address that an interface identifier is made from (RFC 4291, appendix A).
fn hardware(identifier: u64) -> Option<[u8; 6]> {
    match identifier.to_be_bytes() {
        [a, b, c, 0xff, 0xfe, d, e, f] => Some([a ^ 2, b, c, d, e, f]),
        _ => None,
    }
}

/// Where an IPv6 address has an IPv4 address within it, by its prefix: how many bits follow. Mapped
/// and translated (RFC 4291 §2.5.5.2, RFC 2765), NAT64 (RFC 6052, RFC 8215) and 6to4 (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<u32> {
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => Some(0),
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] => Some(0),
        [0x2002, ..] => Some(80),
        _ => None,
    }
}

/// Addresses that go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    /// How many bits all of them have in common.
    fixed: u8,
    /// Those bits.
    bits: u32,
    /// Whether the bits are replaced too.
    public: bool,
}

/// Private networks stay private (RFC 1918, RFC 6598); of all others nothing is kept, but those of
/// one first octet go together.
fn group_of(address: Ipv4Addr) -> Group {
    let value = u32::from(address);
    for (fixed, prefix) in [
        (8, Ipv4Addr::new(10, 0, 0, 0)),
        (12, Ipv4Addr::new(172, 16, 0, 0)),
        (16, Ipv4Addr::new(192, 168, 0, 0)),
        (10, Ipv4Addr::new(100, 64, 0, 0)),
    ] {
        let bits = u32::from(prefix);
        if value & mask(fixed) == bits {
            return Group { fixed, bits, public: false };
        }
    }
    Group { fixed: 8, bits: value & mask(8), public: true }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mapped(list: &[(&str, u8)]) -> Addresses {
        let mut found = Found::default();
        for (address, prefix) in list {
            found.add(address.parse().unwrap(), Some(*prefix));
        }
        Addresses::new(&found)
    }

    #[test]
    fn subnets_stay_subnets() {
        let addresses = mapped(&[
            ("172.16.0.0", 21),
            ("172.16.0.10", 32),
            ("172.16.7.255", 32),
            ("185.15.56.0", 25),
            ("185.15.56.236", 30),
            ("185.15.57.1", 32),
        ]);
        let new = |text: &str| addresses.ip(text.parse().unwrap(), None).unwrap().to_string();
        assert_eq!(new("172.16.0.0"), "172.16.8.0");
        assert_eq!(new("172.16.0.10"), "172.16.8.10");
        assert_eq!(new("172.16.7.255"), "172.16.15.255");
        assert_eq!(new("185.15.56.236"), "21.0.1.236");
        assert_eq!(new("185.15.57.1"), "21.0.2.1");
        let addresses = mapped(&[("10.0.0.0", 8), ("10.0.0.0", 24), ("10.0.0.7", 32)]);
        let all = addresses.ip("10.0.0.0".parse().unwrap(), Some(8)).unwrap();
        let new = |text: &str| addresses.ip(text.parse().unwrap(), None).unwrap().to_string();
        assert_eq!(
            (all.to_string(), new("10.0.0.0"), new("10.0.0.7")),
            ("10.0.0.0".into(), "10.0.1.0".into(), "10.0.1.7".into())
        );
    }

    #[test]
    fn no_private_network_keeps_its_own_number() {
        let addresses = mapped(&[("10.1.0.5", 16), ("10.2.0.5", 16), ("192.168.1.7", 24)]);
        let new = |text: &str| addresses.ip(text.parse().unwrap(), None).unwrap().to_string();
        assert_eq!(new("10.1.0.5"), "10.3.0.5");
        assert_eq!(new("10.2.0.5"), "10.4.0.5");
        assert_eq!(new("192.168.1.7"), "192.168.2.7");
    }

    #[test]
    fn what_means_the_same_everywhere_stays() {
        let addresses = mapped(&[
            ("127.0.0.1", 8),
            ("0.0.0.0", 32),
            ("255.255.255.0", 32),
            ("224.0.0.1", 32),
            ("169.254.1.1", 16),
            ("ff02::1", 128),
            ("::1", 128),
        ]);
        for text in ["127.0.0.1", "0.0.0.0", "255.255.255.0", "224.0.0.1", "169.254.1.1", "ff02::1"]
        {
            assert_eq!(addresses.ip(text.parse().unwrap(), None), None, "{text}");
        }
    }

    #[test]
    fn a_hardware_address_does_not_survive_in_an_interface_identifier() {
        let mut found = Found::default();
        found.add_mac([0x02, 0x6b, 0xab, 0xe5, 0x38, 0xae]);
        found.add("fe80::6b:abff:fee5:38ae".parse().unwrap(), Some(64));
        found.add("2620:0:861:1::9".parse().unwrap(), Some(64));
        let addresses = Addresses::new(&found);
        let new = |text: &str| addresses.ip(text.parse().unwrap(), None).unwrap().to_string();
        assert_eq!(new("fe80::6b:abff:fee5:38ae"), "fe80::ff:fe00:1");
        assert_eq!(new("2620:0:861:1::9"), "2001:db8:0:1::9");
    }

    proptest! {
        /// Different addresses stay different, and two are in one written subnet exactly when they
        /// were.
        #[test]
        fn relations_are_kept(list in prop::collection::vec((any::<u32>(), 8u8..=32), 1..30)) {
            let mut found = Found::default();
            for (address, prefix) in &list {
                found.add(IpAddr::V4(Ipv4Addr::from(*address)), Some(*prefix));
            }
            let addresses = Addresses::new(&found);
            let new = |old: u32| addresses.v4(Ipv4Addr::from(old)).map(u32::from);
            for (a, _) in &list {
                for (b, prefix) in &list {
                    let (Some(x), Some(y)) = (new(*a), new(*b)) else { continue };
                    prop_assert_eq!(a == b, x == y);
                    if group_of(Ipv4Addr::from(*a)) == group_of(Ipv4Addr::from(*b)) {
                        prop_assert_eq!(a & mask(*prefix) == b & mask(*prefix), x & mask(*prefix) == y & mask(*prefix));
                    }
                }
            }
        }
    }
}
