//! WireGuard interfaces of the host: their other ends are nodes behind the default gateway.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::host::{Host, Kind};
use super::internet;
use super::known::Known;
use super::network::Network;
use super::peers::{Peer, around};

/// What `wg` listens on when nothing tells (wg-quick(8) has it in all examples).
const PORT: u16 = 51820;

/// The way to the other end of a tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tunnel {
    /// The host's interface.
    pub(super) device: String,
    /// Index of the node at its other end.
    pub(super) far: usize,
    /// Index of the default gateway that leads there.
    pub(super) gateway: usize,
    /// Name of the link between these two.
    pub(super) link: String,
    /// The gateway's interface on it.
    pub(super) interface: String,
    /// The far node's address there, and the gateway's.
    pub(super) address: Network,
    pub(super) through: Network,
    /// The host's address that the far node sends to.
    pub(super) host: IpAddr,
    /// UDP port of both ends.
    pub(super) port: u16,
}

/// Whether a node is the other end of a tunnel.
pub(super) fn is_far(host: &Host, peer: &Peer) -> bool {
    host.interface(&peer.towards).is_some_and(|interface| interface.kind == Kind::Wireguard)
}

/// The tunnels that can be made, one for each interface. Other nodes at such ends are taken out.
pub(super) fn plan(host: &Host, peers: &mut Vec<Peer>, known: &Known) -> Vec<Tunnel> {
    let mut seen = BTreeSet::new();
    let outside = outside(host, peers);
    peers.retain(|peer| {
        !is_far(host, peer) || outside.is_some() && seen.insert(peer.towards.clone())
    });
    let Some(own) = outside else { return Vec::new() };
    let is_gateway = |peer: &Peer| peer.is_default(false) && peer.back[0] && !is_far(host, peer);
    let Some(gateway) = peers.iter().position(is_gateway) else { return Vec::new() };
    let mut used = Vec::new();
    let mut tunnels: Vec<Tunnel> = Vec::new();
    for (far, peer) in peers.iter().enumerate().filter(|(_, peer)| is_far(host, peer)) {
        let address = internet::address(host, &around(peers), known, false, &used);
        let Some(address) = address else { continue };
        used.push(address);
        let through = Network { address, prefix: 24 }.pick(&[address], |_| false);
        let number = tunnels.len();
        tunnels.push(Tunnel {
            device: peer.towards.clone(),
            far,
            gateway,
            link: peer.link.clone(),
            interface: format!("far{number}"),
            address: Network { address, prefix: 24 },
            through: Network { address: through.unwrap_or(address), prefix: 24 },
            host: own,
            port: host
                .wireguard
                .get(&peer.towards)
                .copied()
                .filter(|port| *port > 0)
                .unwrap_or(PORT),
        });
    }
    tunnels
}

/// The host's address towards its default gateway.
fn outside(host: &Host, peers: &[Peer]) -> Option<IpAddr> {
    let is_gateway = |peer: &&Peer| peer.is_default(false) && peer.back[0] && !is_far(host, peer);
    let gateway = peers.iter().find(is_gateway)?;
    let addresses = &host.interface(&gateway.towards)?.addresses;
    addresses.iter().find(|network| !network.is_v6()).map(|network| network.address)
}
