//! Addresses and networks.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address with a prefix length: of an interface, or of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Network {
    pub(super) address: IpAddr,
    pub(super) prefix: u8,
}

impl Network {
    /// Reads `ADDRESS/PREFIX` or `ADDRESS`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.split_once('/') {
            Some((address, prefix)) => Self::new(address.parse().ok()?, prefix.parse().ok()?),
            None => text.parse().ok().map(Self::host),
        }
    }

    /// None when the prefix is longer than the address.
    pub(super) fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        (prefix <= bits(address)).then_some(Self { address, prefix })
    }

    pub(super) fn host(address: IpAddr) -> Self {
        Self { address, prefix: bits(address) }
    }

    /// Everything of a family.
    pub(super) fn all(v6: bool) -> Self {
        let address = match v6 {
            true => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            false => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        Self { address, prefix: 0 }
    }

    pub(super) fn is_v6(&self) -> bool {
        self.address.is_ipv6()
    }

    /// Whether it is one address alone.
    pub(super) fn is_host(&self) -> bool {
        self.prefix == bits(self.address)
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.is_v6() == address.is_ipv6()
            && number(address) & self.mask() == number(self.address) & self.mask()
    }

    /// Its first and its last address as numbers.
    pub(super) fn ends(&self) -> (u128, u128) {
        let first = number(self.address) & self.mask();
        let all = u128::MAX >> (128 - u32::from(bits(self.address)));
        (first, first | (all & !self.mask()))
    }

    /// The same without the bits behind the prefix.
    pub(super) fn network(&self) -> Self {
        let base = number(self.address) & self.mask();
        Self { address: address(base, self.is_v6()), prefix: self.prefix }
    }

    /// An address in it for a host that is not one of `taken`: the tenth where there are as many, since
    /// the first ones are routers as a rule. Those that are `bad` come last.
    pub(super) fn pick(&self, taken: &[IpAddr], bad: impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
        let base = number(self.network().address);
        let size = 1u128.checked_shl(u32::from(bits(self.address) - self.prefix));
        let size = size.unwrap_or(u128::MAX);
        // In a small network the first and the last address can be hosts too (RFC 3021).
        let inside = match size {
            1 | 2 => 0..size,
            _ => 1..size - 1,
        };
        let likely = [10, 20, 30].into_iter().filter(|offset| inside.contains(offset));
        let free = |address: &IpAddr| !taken.contains(address);
        let address = |offset| address(base | offset, self.is_v6());
        let mut good = likely
            .clone()
            .chain(inside.clone().skip(10).step_by(7).take(64))
            .map(address)
            .filter(|address| free(address) && !bad(*address));
        good.next()
            .or_else(|| likely.chain(inside.clone().take(taken.len() + 1)).map(address).find(free))
    }

    fn mask(&self) -> u128 {
        let bits = u32::from(bits(self.address));
        let ones = u128::MAX >> (128 - bits);
        ones & !(ones.checked_shr(u32::from(self.prefix)).unwrap_or(0))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Whether an address is one that every interface makes for itself.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.segments()[0] & 0xffc0 == 0xfe80)
}

fn bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

fn address(number: u128, v6: bool) -> IpAddr {
    match v6 {
        true => IpAddr::V6(Ipv6Addr::from(number)),
        // The upper bits are those of an IPv4 network and its mask: nothing is cut off.
        false => IpAddr::V4(Ipv4Addr::from(number as u32)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        Network::parse(text).expect("a network")
    }

    #[test]
    fn networks_hold_their_addresses() {
        for (net, inside, outside) in [
            ("172.16.0.0/21", "172.16.7.255", "172.16.8.0"),
            ("185.15.56.244/29", "185.15.56.241", "185.15.56.239"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("2001:db8::/64", "2001:db8::1", "2001:db8:0:1::1"),
            ("192.0.2.1/32", "192.0.2.1", "192.0.2.2"),
            ("::/0", "ff00::", "0.0.0.0"),
        ] {
            assert!(network(net).contains(inside.parse().expect("an address")), "{net} {inside}");
            assert!(!network(net).contains(outside.parse().expect("address")), "{net} {outside}");
        }
        assert_eq!(network("185.15.56.244/29").network().to_string(), "185.15.56.240/29");
        for bad in ["", "1.2.3.4/33", "::/129", "1.2.3.4/", "x/8", "1.2.3/8", "1.2.3.4/8/8"] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_rules_single_out_is_picked_last() {
        let tenth: IpAddr = "10.0.0.10".parse().expect("an address");
        let picked = network("10.0.0.0/24").pick(&[], |address| address == tenth);
        assert_eq!(picked, Some("10.0.0.20".parse().expect("an address")));
        let only = network("10.0.0.10/32").pick(&[], |address| address == tenth);
        assert_eq!(only, Some(tenth), "better than none");
    }

    #[test]
    fn hosts_are_picked_inside_and_free() {
        for (net, taken, picked) in [
            ("172.16.0.0/21", "", Some("172.16.0.10")),
            ("172.16.0.0/21", "172.16.0.10", Some("172.16.0.20")),
            ("185.15.56.236/30", "185.15.56.237", Some("185.15.56.238")),
            ("192.0.2.0/31", "192.0.2.0", Some("192.0.2.1")),
            ("192.0.2.7/32", "", Some("192.0.2.7")),
            ("192.0.2.7/32", "192.0.2.7", None),
            ("2001:db8::/64", "", Some("2001:db8::a")),
            ("0.0.0.0/0", "", Some("0.0.0.10")),
            ("::/0", "", Some("::a")),
        ] {
            let taken: Vec<IpAddr> = taken.parse().into_iter().collect();
            let picked: Option<IpAddr> = picked.map(|text| text.parse().expect("an address"));
            assert_eq!(network(net).pick(&taken, |_| false), picked, "{net}");
        }
    }
}
