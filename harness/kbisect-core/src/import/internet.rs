//! Addresses for what is "somewhere on the internet".

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::host::Host;
use super::known::Known;
use super::network::Network;

/// Networks for documentation (RFC 5737, RFC 3849), which no host has.
const DOCUMENTATION: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(198, 51, 100, 80)),
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 80)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 80)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x80)),
];
/// Where sets of bogons hold those, addresses of the internet have to do: no frame of a trial gets there.
const OCTETS: [u8; 12] = [45, 62, 77, 93, 109, 130, 151, 163, 178, 194, 212, 24];
const V6_PREFIXES: [u16; 4] = [0x2a0e, 0x2620, 0x2405, 0x2803];

/// An address that neither the host nor its rules know anything of, outside of the networks `around` it,
/// and not one of `taken`.
pub(super) fn address(
    host: &Host,
    around: &[Network],
    known: &Known,
    v6: bool,
    taken: &[IpAddr],
) -> Option<IpAddr> {
    let own = || {
        let interfaces = host.interfaces.iter().flat_map(|interface| &interface.addresses);
        interfaces.chain(around)
    };
    let free = |address: &IpAddr| {
        let prefix = if v6 { 64 } else { 24 };
        let neighbours = Network { address: *address, prefix };
        let routed =
            host.routes.iter().any(|route| route.to.prefix > 0 && route.to.contains(*address));
        !known.named.touches(&neighbours)
            && !routed
            && !own().any(|network| network.contains(*address))
            && !taken.iter().any(|other| neighbours.contains(*other))
    };
    let is_taken = |address: &IpAddr| {
        own().any(|network| network.address == *address) || taken.contains(address)
    };
    let all = || candidates().filter(|address| address.is_ipv6() == v6);
    all().find(free).or_else(|| all().find(|address| !is_taken(address)))
}

fn candidates() -> impl Iterator<Item = IpAddr> {
    let v4 = (0..=255u8).flat_map(|second| {
        OCTETS.map(|first| IpAddr::V4(Ipv4Addr::new(first, second.wrapping_add(80), 80, 80)))
    });
    let v6 = (0..64u16).flat_map(|second| {
        V6_PREFIXES
            .map(|first| IpAddr::V6(Ipv6Addr::new(first, 0x80 + second, 0, 0, 0, 0, 0, 0x80)))
    });
    DOCUMENTATION.into_iter().chain(v4).chain(v6)
}
