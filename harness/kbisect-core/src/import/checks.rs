//! Which way through the host the first check takes.

use std::net::IpAddr;

use super::host::Host;
use super::internet;
use super::known::Known;
use super::nat::{Flow, What, source_of};
use super::peers::Peer;
use super::plan::Plan;
use super::{sysctl, tunnels};

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
    /// What the server is to see.
    pub(super) seen: Seen,
}

/// What a server sees of a client's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The client's own: no rule translates it.
    Own,
    /// The rule of this index makes it another one.
    As(usize, IpAddr),
    /// The rules say something about it that is not understood.
    Unclear,
}

/// Chooses the way of the first check and puts the server's address on its node.
pub(super) fn choose(host: &Host, known: &Known, plan: &mut Plan) -> Option<Way> {
    let mut ways: Vec<(usize, Way)> = Vec::new();
    for v6 in [false, true] {
        // Without a dump, a host that has somebody on two sides is taken for a router.
        let forwards = sysctl::forwards(&host.sysctl, v6).unwrap_or(true);
        for (server, at) in plan.peers.iter().enumerate() {
            let back = at.back[usize::from(v6)];
            let Some(own) = at.address(v6).filter(|_| back || at.is_lonely) else { continue };
            let internet = at.is_default(v6);
            let address = match internet {
                true => internet::address(host, &plan.around(), known, v6, &[]),
                false => Some(own),
            };
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
                // Tunnels have a check of their own.
                let plain = [Some(server), client].into_iter().flatten();
                let plain =
                    plain.into_iter().all(|index| !tunnels::is_far(host, &plan.peers[index]));
                // The host itself, in a VRF, is the last choice: it needs a command for that.
                let rank = usize::from(plain) * 32
                    + usize::from(client.is_some()) * 16
                    + usize::from(internet) * 8
                    + usize::from(networks) * 4
                    + usize::from(at.vrf.is_none()) * 2
                    + usize::from(!v6);
                ways.push((rank, Way { server, address, client, source, seen: Seen::Own }));
            }
        }
    }
    let best = ways.iter().map(|(rank, _)| *rank).max()?;
    let (_, mut way) = ways.into_iter().find(|(rank, _)| *rank == best)?;
    if let Some((client, source)) = way.client.zip(way.source) {
        way.seen = seen(host, known, plan, (client, source), (way.server, way.address));
    }
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

/// What a server sees of a client that asks it by HTTP.
pub(super) fn seen(
    host: &Host,
    known: &Known,
    plan: &Plan,
    (client, from): (usize, IpAddr),
    (server, to): (usize, IpAddr),
) -> Seen {
    let leaves = plan.peers[server].towards.as_str();
    let enters = plan.peers[client].towards.as_str();
    let flow =
        Flow { enters: Some(enters), leaves: Some(leaves), from, to, protocol: "tcp", port: 80 };
    match source_of(&known.translations, &flow) {
        Err(()) => Seen::Unclear,
        Ok(None) => Seen::Own,
        Ok(Some((index, rule))) => match rule.what {
            What::Source(Some(address)) => Seen::As(index, address),
            // The first address that its interface has.
            _ => {
                let addresses = host.interface(leaves).map(|i| i.addresses.as_slice());
                let first = addresses.unwrap_or_default().iter();
                let mut first = first.filter(|network| network.is_v6() == to.is_ipv6());
                first.next().map_or(Seen::Unclear, |own| Seen::As(index, own.address))
            }
        },
    }
}

/// Whether the host passes frames from one to the other, whatever its routes are.
fn on_one_bridge(host: &Host, a: &Peer, b: &Peer) -> bool {
    let bridge = |peer: &Peer| host.interface(&peer.towards).and_then(|i| i.master.clone());
    bridge(a).is_some() && bridge(a) == bridge(b)
}
