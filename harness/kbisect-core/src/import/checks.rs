//! Which way through the host the first check takes.

use std::net::IpAddr;

use super::host::{FilterKind, Host};
use super::peers::Peer;
use super::plan::Plan;
use super::{filter, sysctl};

/// Addresses for "a server on the internet": networks for documentation (RFC 5737, RFC 3849), which
/// no host has.
const SERVERS: [IpAddr; 4] = [
    IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 80)),
    IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 80)),
    IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 80)),
    IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 0x80)),
];

/// The first check: who asks whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// Index of the node that serves.
    pub(super) server: usize,
    pub(super) address: IpAddr,
    /// Index of the node that asks; none for the host itself.
    pub(super) client: Option<usize>,
    /// What the client sends from.
    pub(super) source: Option<IpAddr>,
    /// What the server is to see instead, if the rules translate.
    pub(super) seen_as: Option<IpAddr>,
}

/// Chooses the way of the first check and puts the server's address on its node.
pub(super) fn choose(host: &Host, plan: &mut Plan) -> Option<Way> {
    let mut ways: Vec<(usize, Way)> = Vec::new();
    for v6 in [false, true] {
        // Without a dump, a host that has somebody on two sides is taken for a router.
        let forwards = sysctl::forwards(&host.sysctl, v6).unwrap_or(true);
        for (server, at) in plan.peers.iter().enumerate() {
            let back = at.back[usize::from(v6)];
            let Some(own) = at.address(v6).filter(|_| back || at.is_lonely) else { continue };
            let internet = at.is_default(v6);
            let address = if internet { internet_address(host, plan, v6) } else { Some(own) };
            let Some(address) = address else { continue };
            let clients = plan.peers.iter().enumerate().filter(|(_, client)| {
                let through = client.vrf == at.vrf
                    && client.back[usize::from(v6)]
                    && back
                    && !client.is_default(v6)
                    && forwards;
                let bridged = client.is_lonely && at.is_lonely && on_one_bridge(host, client, at);
                client.towards != at.towards && (through || bridged)
            });
            let clients = clients.map(|(index, client)| (Some(index), client.source(v6)));
            for (client, source) in clients.chain(back.then_some((None, None))) {
                let networks = client.is_some_and(|index| !plan.peers[index].networks.is_empty());
                // The host itself, in a VRF, is the last choice: it needs a command for that.
                let rank = usize::from(client.is_some()) * 16
                    + usize::from(internet) * 8
                    + usize::from(networks) * 4
                    + usize::from(at.vrf.is_none()) * 2
                    + usize::from(!v6);
                ways.push((rank, Way { server, address, client, source, seen_as: None }));
            }
        }
    }
    let best = ways.iter().map(|(rank, _)| *rank).max()?;
    let (_, mut way) = ways.into_iter().find(|(rank, _)| *rank == best)?;
    way.seen_as = filter::snat_address(&host.filters)
        .filter(|address| address.is_ipv6() == way.address.is_ipv6() && way.client.is_some());
    let server = &mut plan.peers[way.server];
    if server.addresses.iter().all(|network| network.address != way.address) {
        server.services.push(way.address);
    }
    let v6 = way.address.is_ipv6();
    if way.client.is_some() && sysctl::forwards(&host.sysctl, v6).is_none() {
        let key = if v6 { "net.ipv6.conf.all.forwarding" } else { "net.ipv4.ip_forward" };
        plan.assumed.push((key.to_owned(), "1".to_owned()));
    }
    Some(way)
}

/// Whether the host passes frames from one to the other, whatever its routes are.
fn on_one_bridge(host: &Host, a: &Peer, b: &Peer) -> bool {
    let bridge = |peer: &Peer| host.interface(&peer.towards).and_then(|i| i.master.clone());
    bridge(a).is_some() && bridge(a) == bridge(b)
}

/// An address that neither the host nor its rules know anything of.
fn internet_address(host: &Host, plan: &Plan, v6: bool) -> Option<IpAddr> {
    let free = |address: &IpAddr| {
        let text = address.to_string();
        // The /24, as rules would write it.
        let prefix = text.trim_end_matches(|c: char| c.is_ascii_digit());
        let in_rules = host
            .filters
            .iter()
            .any(|filter| filter.kind != FilterKind::Ipset && filter.text.contains(prefix));
        let routed =
            host.routes.iter().any(|route| route.to.prefix > 0 && route.to.contains(*address));
        let own = host.interfaces.iter().flat_map(|interface| &interface.addresses);
        let near = own.chain(plan.peers.iter().flat_map(|peer| &peer.addresses));
        !in_rules && !routed && !near.into_iter().any(|network| network.contains(*address))
    };
    let of_family = || SERVERS.iter().copied().filter(|address| address.is_ipv6() == v6);
    of_family().find(free).or_else(|| of_family().find(|address| !is_taken(host, plan, *address)))
}

fn is_taken(host: &Host, plan: &Plan, address: IpAddr) -> bool {
    let own = host.interfaces.iter().flat_map(|interface| &interface.addresses);
    own.chain(plan.peers.iter().flat_map(|peer| &peer.addresses)).any(|a| a.address == address)
        || plan.peers.iter().any(|peer| peer.behind.contains(&address))
}
