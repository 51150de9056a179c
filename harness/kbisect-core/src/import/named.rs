//! Addresses that rules and sets name: what a scenario adds of its own stays outside of them, since what
//! a set of bogons or a block list holds is dropped.

use std::net::IpAddr;

use super::network::Network;

/// Addresses and networks of all rules, as ranges.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    /// First and last address, by family, in the order of the first.
    ranges: [Vec<(u128, u128)>; 2],
    /// The same with those that overlap put together.
    merged: [Vec<(u128, u128)>; 2],
}

impl Named {
    /// Reads all texts of rules and sets.
    pub(super) fn read<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut named = Self::default();
        for word in texts.flat_map(|text| text.split(|c: char| !is_part(c))) {
            let word = word.trim_matches(['.', '-', '/']);
            let range = match word.split_once('-') {
                Some((first, last)) => range(first, last),
                None if word.contains(['.', ':']) => {
                    Network::parse(word).map(|n| (n.is_v6(), n.ends()))
                }
                None => None,
            };
            if let Some((v6, (first, last))) = range
                && first <= last
            {
                named.ranges[usize::from(v6)].push((first, last));
            }
        }
        for v6 in [0, 1] {
            // Rules for everything name nothing.
            let all = if v6 == 1 { u128::MAX } else { u128::from(u32::MAX) };
            named.ranges[v6].retain(|range| *range != (0, all));
            named.ranges[v6].sort_unstable();
            named.ranges[v6].dedup();
            for (first, last) in &named.ranges[v6] {
                match named.merged[v6].last_mut() {
                    Some((_, end)) if first <= end => *end = (*end).max(*last),
                    _ => named.merged[v6].push((*first, *last)),
                }
            }
        }
        named
    }

    /// Whether a rule or a set names any address of a network.
    pub(super) fn touches(&self, network: &Network) -> bool {
        let (first, last) = network.ends();
        let merged = &self.merged[usize::from(network.is_v6())];
        let before = merged.partition_point(|(begin, _)| *begin <= last);
        before > 0 && merged[before - 1].1 >= first
    }

    /// Whether an address is named as part of its network: alone, or with some of its neighbours. Where
    /// all of the network is named, none of its addresses is another one.
    pub(super) fn singles_out(&self, address: IpAddr, network: &Network) -> bool {
        let (first, last) = network.ends();
        let (at, _) = Network::host(address).ends();
        let ranges = &self.ranges[usize::from(network.is_v6())];
        let until = ranges.partition_point(|(begin, _)| *begin <= at);
        ranges[..until].iter().any(|(begin, end)| {
            *end >= at && (*begin > first || *end < last) && *begin >= first && *end <= last
        })
    }
}

fn is_part(c: char) -> bool {
    c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '/' | '-')
}

fn range(first: &str, last: &str) -> Option<(bool, (u128, u128))> {
    let (first, last): (IpAddr, IpAddr) = (first.parse().ok()?, last.parse().ok()?);
    let ends = |address| Network::host(address).ends().0;
    (first.is_ipv6() == last.is_ipv6()).then(|| (first.is_ipv6(), (ends(first), ends(last))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 2] = [
        "create bogons hash:net family inet\nadd bogons 10.0.0.0/8\nadd bogons 203.0.113.0/24\n",
        "-A FORWARD -s 192.168.7.0/24 -d 192.168.7.40 -j DROP [5:300] -m mac --mac-source 00:11:22:33:44:55\n\
         ip saddr { 45.0.0.1-45.0.0.9, 2001:db8::/32 } drop\n-s 0.0.0.0/0 ::/0 12:30 fe80::1:\n",
    ];

    #[test]
    fn what_rules_name_is_avoided() {
        let named = Named::read(TEXTS.into_iter());
        let touches = |net: &str| named.touches(&Network::parse(net).expect("a network"));
        for net in ["10.9.9.0/24", "203.0.113.80", "45.0.0.0/24", "2001:db8:ffff::/64", "8.0.0.0/5"]
        {
            assert!(touches(net), "{net}");
        }
        for net in ["198.51.100.0/24", "11.0.0.0/8", "45.0.1.0/24", "2001:db9::/64", "0.17.34.0/24"]
        {
            assert!(!touches(net), "{net}");
        }
        let lan = Network::parse("192.168.7.0/24").expect("a network");
        let singled = |address: &str| named.singles_out(address.parse().expect("one"), &lan);
        assert!(singled("192.168.7.40"));
        assert!(!singled("192.168.7.10"), "the whole network is named");
    }

    #[test]
    fn nothing_is_named_by_no_text() {
        let named = Named::read([""].into_iter());
        assert!(!named.touches(&Network::all(false)) && !named.touches(&Network::all(true)));
    }
}
