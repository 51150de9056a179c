//! The nodes around the host: one for each next hop of its routes, and one for each network that no
//! next hop is in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::filter;
use super::finding::Finding;
use super::host::{Host, Interface, Kind, Route};
use super::internet;
use super::known::Known;
use super::names::unique;
use super::nat::What;
use super::network::{Network, is_link_local};
use super::routes::MAIN;

/// More nodes than this make a trial slow and a file that nobody reads.
const PEERS_MOST: usize = 16;
/// Networks behind a node that get an address each.
const BEHIND_MOST: usize = 8;
/// Routes back that stand one by one; beyond, one default route does.
const BACK_MOST: usize = 40;

/// A node around the host.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    pub(super) name: String,
    pub(super) link: String,
    /// VLAN tags from the outside in; protocol when it is not 802.1Q.
    pub(super) tags: Vec<(u32, Option<String>)>,
    /// The host's interface towards it, and the VRF that this is in.
    pub(super) towards: String,
    pub(super) vrf: Option<String>,
    /// Addresses on its own interface.
    pub(super) addresses: Vec<Network>,
    /// Networks behind it, and an address in each of the first ones.
    pub(super) networks: Vec<Network>,
    pub(super) behind: Vec<IpAddr>,
    /// Whether it is a default gateway of the host: IPv4, IPv6.
    pub(super) default: [bool; 2],
    /// Whether a route of the host goes over it.
    pub(super) is_hop: bool,
    /// Whether the host has an address there to answer to: IPv4, IPv6.
    pub(super) back: [bool; 2],
    /// Its interface, where that is a tunnel's; empty otherwise.
    pub(super) tunnel: String,
    /// Whether nothing but the port of a bridge is known there.
    pub(super) is_lonely: bool,
    /// `ip route add` arguments.
    pub(super) routes: Vec<String>,
    /// Further addresses of services on it, for the checks.
    pub(super) services: Vec<IpAddr>,
}

impl Peer {
    /// Its interface towards the host: `eth0`, or a VLAN on it.
    pub(super) fn device(&self) -> String {
        if !self.tunnel.is_empty() {
            return self.tunnel.clone();
        }
        let tags: Vec<String> = self.tags.iter().map(|(id, _)| format!(".{id}")).collect();
        format!("eth0{}", tags.concat())
    }

    /// An address on its interface, not one of the link alone.
    pub(super) fn address(&self, v6: bool) -> Option<IpAddr> {
        let of = |network: &&Network| network.is_v6() == v6 && !is_link_local(network.address);
        self.addresses.iter().find(of).map(|network| network.address)
    }

    /// What it sends from when it has the choice: an address behind it, or its own.
    pub(super) fn source(&self, v6: bool) -> Option<IpAddr> {
        let behind = self.behind.iter().copied().find(|address| address.is_ipv6() == v6);
        behind.or_else(|| self.address(v6))
    }

    pub(super) fn is_default(&self, v6: bool) -> bool {
        self.default[usize::from(v6)]
    }

    fn has(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|own| own.address == address)
    }

    fn is_at(&self, (link, tags): &Path) -> bool {
        self.link == *link && self.tags == *tags
    }
}

/// Makes the nodes. `node` is the host's own name.
pub(super) fn make(
    host: &Host,
    known: &Known,
    links: &BTreeMap<String, Interface>,
    node: &str,
    warnings: &mut Vec<Finding>,
) -> Vec<Peer> {
    let mut makers = Makers { host, known, links, peers: Vec::new(), warnings };
    makers.hops();
    makers.hosts();
    makers.lonely_links();
    makers.choose();
    makers.networks();
    makers.names(node);
    makers.routes_back();
    makers.peers
}

/// Networks of nodes, and single addresses behind them.
pub(super) fn around(peers: &[Peer]) -> Vec<Network> {
    let behind = |peer: &Peer| peer.behind.iter().copied().map(Network::host).collect::<Vec<_>>();
    peers.iter().flat_map(|peer| [peer.addresses.clone(), behind(peer)].concat()).collect()
}

struct Makers<'a> {
    host: &'a Host,
    known: &'a Known,
    links: &'a BTreeMap<String, Interface>,
    peers: Vec<Peer>,
    warnings: &'a mut Vec<Finding>,
}

/// Link and VLAN tags on the way out of an interface.
type Path = (String, Vec<(u32, Option<String>)>);

impl Makers<'_> {
    /// One node for each next hop.
    fn hops(&mut self) {
        let mut done = BTreeSet::new();
        for route in &self.host.routes {
            for hop in &route.hops {
                let Some(gateway) = hop.gateway else { continue };
                if !done.insert((hop.device.clone(), gateway)) {
                    continue;
                }
                let own = |i: &Interface| i.addresses.iter().any(|a| a.address == gateway);
                if self.host.interfaces.iter().any(own) {
                    let message = "is the host's own address: no node stands for it";
                    self.warn(&format!("next hop {gateway}"), message);
                    continue;
                }
                let Some(path) = self.path(&hop.device, 0) else {
                    let message = format!("no link leads there from `{}`: no node", hop.device);
                    self.warn(&format!("next hop {gateway}"), &message);
                    continue;
                };
                let default = self.is_default(&hop.device, gateway);
                self.hop(&hop.device, gateway, default, path);
            }
        }
        self.both_families();
    }

    fn is_default(&self, device: &str, gateway: IpAddr) -> bool {
        self.host.routes.iter().filter(|route| route.to.prefix == 0).any(|route| {
            route.hops.iter().any(|hop| hop.device == device && hop.gateway == Some(gateway))
        })
    }

    fn hop(&mut self, device: &str, gateway: IpAddr, default: bool, path: Path) {
        let hardware = |address: IpAddr| {
            let of = |n: &&super::host::Neighbour| n.device == device && n.address == address;
            self.host.neighbours.iter().find(of).and_then(|neighbour| neighbour.hardware.clone())
        };
        let mine = hardware(gateway);
        let v6 = gateway.is_ipv6();
        // The same router has an address of each family, as a rule.
        let same = |peer: &&mut Peer| {
            let other = peer.addresses.iter().any(|a| a.is_v6() != v6);
            let shared =
                peer.addresses.iter().any(|a| mine.is_some() && hardware(a.address) == mine);
            let pair = default && peer.default[usize::from(!v6)] && !peer.default[usize::from(v6)];
            peer.towards == device && other && (shared || pair)
        };
        let network = self.on_device(device, gateway);
        // Two interfaces of the host can be on one network, above all those on a bridge.
        let at = |peer: &&mut Peer| peer.is_at(&path) && peer.has(gateway);
        if let Some(peer) = self.peers.iter_mut().find(at) {
            peer.default[usize::from(v6)] |= default;
            return;
        }
        if let Some(peer) = self.peers.iter_mut().find(same) {
            peer.addresses.push(network);
            peer.default[usize::from(v6)] |= default;
            return;
        }
        let mut peer = self.peer(device, path);
        peer.addresses.push(network);
        peer.default[usize::from(v6)] = default;
        peer.is_hop = true;
        self.peers.push(peer);
    }

    fn peer(&self, device: &str, (link, tags): Path) -> Peer {
        Peer {
            name: String::new(),
            link,
            tags,
            towards: device.to_owned(),
            vrf: self.host.vrf_of(device).map(str::to_owned),
            addresses: Vec::new(),
            networks: Vec::new(),
            behind: Vec::new(),
            default: [false, false],
            is_hop: false,
            back: [false, false],
            tunnel: self.tunnel(device),
            is_lonely: false,
            routes: Vec::new(),
            services: Vec::new(),
        }
    }

    fn tunnel(&self, device: &str) -> String {
        let is = self.host.interface(device).is_some_and(|i| i.kind == Kind::Wireguard);
        if is { device.to_owned() } else { String::new() }
    }

    /// An address with the prefix of the host's network there.
    fn on_device(&self, device: &str, address: IpAddr) -> Network {
        if is_link_local(address) {
            return Network { address, prefix: 64 };
        }
        let networks = self.host.interface(device).map_or(&[][..], |i| i.addresses.as_slice());
        let around = networks.iter().find(|network| network.contains(address));
        around.map_or(Network::host(address), |network| Network { address, prefix: network.prefix })
    }

    /// A host in the network of each interface that has no next hop.
    fn hosts(&mut self) {
        for interface in &self.host.interfaces {
            let Some(path) = self.path(&interface.name, 0) else { continue };
            let has_peer = self.peers.iter().any(|peer| {
                let near = interface.addresses.iter().any(|network| {
                    peer.addresses.iter().any(|address| network.contains(address.address))
                });
                peer.towards == interface.name || near && peer.is_at(&path)
            });
            if has_peer {
                continue;
            }
            let mut peer = self.peer(&interface.name, path);
            for v6 in [false, true] {
                let of = |network: &&Network| network.is_v6() == v6 && !network.is_host();
                let Some(network) = interface.addresses.iter().find(of) else { continue };
                let address = self.free_address(&interface.name, network);
                peer.addresses
                    .extend(address.map(|a| Network { address: a, prefix: network.prefix }));
            }
            if !peer.addresses.is_empty() {
                self.peers.push(peer);
            }
        }
    }

    /// Next hops of one family get an address of the other, where the host has such a network.
    fn both_families(&mut self) {
        for index in 0..self.peers.len() {
            let towards = self.peers[index].towards.clone();
            let first = self.peers.iter().position(|peer| peer.towards == towards) == Some(index);
            let Some(interface) = self.host.interface(&towards).filter(|_| first) else { continue };
            for v6 in [false, true] {
                let known =
                    self.peers.iter().any(|p| p.towards == towards && p.address(v6).is_some());
                let of = |network: &&Network| network.is_v6() == v6 && !network.is_host();
                let Some(network) = interface.addresses.iter().find(of).filter(|_| !known) else {
                    continue;
                };
                let address = self.free_address(&towards, network);
                let address = address.map(|address| Network { address, prefix: network.prefix });
                self.peers[index].addresses.extend(address);
            }
        }
    }

    /// An address in a network of the host that something was seen to have, or else a free one.
    fn free_address(&self, device: &str, network: &Network) -> Option<IpAddr> {
        let taken = self.taken();
        let free = |address: &IpAddr| network.contains(*address) && !taken.contains(address);
        // Where a port leads to is somebody who is there for certain.
        let target =
            self.known.translations.iter().find_map(|translation| match translation.what {
                What::Destination(Some((address, _))) => Some(address).filter(free),
                _ => None,
            });
        let seen = self.host.neighbours.iter().filter(|n| n.device == device);
        let seen = seen
            .map(|n| n.address)
            .find(|address| free(address) && !self.known.named.singles_out(*address, network));
        target.or(seen).or_else(|| self.pick(network, &taken))
    }

    /// An address that no rule singles out, if there is one.
    fn pick(&self, network: &Network, taken: &[IpAddr]) -> Option<IpAddr> {
        network.pick(taken, |address| self.known.named.singles_out(address, network))
    }

    fn taken(&self) -> Vec<IpAddr> {
        let own = self.host.interfaces.iter().flat_map(|i| i.addresses.iter().map(|a| a.address));
        let hops =
            self.host.routes.iter().flat_map(|route| &route.hops).filter_map(|hop| hop.gateway);
        let peers = self.peers.iter().flat_map(|peer| {
            peer.addresses.iter().map(|a| a.address).chain(peer.behind.iter().copied())
        });
        own.chain(hops).chain(peers).collect()
    }

    /// A link needs somebody at its other end, even when nothing tells who that is.
    fn lonely_links(&mut self) {
        let lonely: Vec<String> = self
            .links
            .keys()
            .filter(|link| !self.peers.iter().any(|peer| peer.link == **link))
            .cloned()
            .collect();
        // RFC 2544's network for tests, where the rules let it: nodes on two ports of a bridge reach each other.
        let tests = Network { address: IpAddr::from([198, 18, 0, 0]), prefix: 24 };
        let mut base = [198, 18, 0];
        if self.known.named.touches(&tests)
            && let Some(IpAddr::V4(v4)) =
                internet::address(self.host, &around(&self.peers), self.known, false, &[])
        {
            base.copy_from_slice(&v4.octets()[..3]);
        }
        for (number, link) in (1..=254u8).zip(lonely) {
            let Some(wire) = self.links.get(&link) else { continue };
            let mut peer = self.peer(&wire.name, (link.clone(), Vec::new()));
            let address = IpAddr::from([base[0], base[1], base[2], number]);
            peer.addresses.push(Network { address, prefix: 24 });
            peer.is_lonely = true;
            let message =
                "no next hop and no network is known there: its node has an address for tests";
            self.warn(&wire.name.clone(), message);
            self.peers.push(peer);
        }
    }

    /// Keeps the most useful nodes when there are too many: one on each link, default gateways,
    /// next hops.
    fn choose(&mut self) {
        if self.peers.len() <= PEERS_MOST {
            return;
        }
        let mut links = BTreeSet::new();
        let mut order: Vec<usize> = (0..self.peers.len()).collect();
        order.sort_by_key(|index| {
            let peer = &self.peers[*index];
            (!links.insert(peer.link.clone()), peer.default == [false; 2], !peer.is_hop, *index)
        });
        let keep: BTreeSet<usize> = order.into_iter().take(PEERS_MOST).collect();
        let gone = self.peers.len() - PEERS_MOST;
        let mut index = 0..;
        self.peers.retain(|_| index.next().is_some_and(|index| keep.contains(&index)));
        let message = format!("{gone} more have no node: there is room for {PEERS_MOST}");
        self.warn("next hops and networks", &message);
    }

    /// Networks behind the next hops. Those that everything is routed to come before those that
    /// only policy rules lead to: the first one is what a node sends from.
    fn networks(&mut self) {
        let mut routes: Vec<&Route> =
            self.host.routes.iter().filter(|route| route.to.prefix > 0).collect();
        routes.sort_by_key(|route| {
            let vrf = |i: &Interface| matches!(i.kind, Kind::Vrf { table } if table == route.table);
            route.table != MAIN && !self.host.interfaces.iter().any(vrf)
        });
        for route in routes {
            for hop in &route.hops {
                let Some(path) = self.path(&hop.device, 0) else { continue };
                // A tunnel has one node at its end, whatever the next hop is called.
                let tunnel = !self.tunnel(&hop.device).is_empty();
                if hop.gateway.is_none() && !tunnel {
                    continue;
                }
                let at = self.peers.iter().position(|peer| {
                    peer.is_at(&path) && (tunnel || hop.gateway.is_some_and(|way| peer.has(way)))
                });
                let Some(at) = at.filter(|at| !self.peers[*at].networks.contains(&route.to)) else {
                    continue;
                };
                let address = self.pick(&route.to, &self.taken());
                let peer = &mut self.peers[at];
                peer.networks.push(route.to);
                if peer.behind.len() < BEHIND_MOST {
                    peer.behind.extend(address);
                }
            }
        }
    }

    fn names(&mut self, node: &str) {
        let mut taken = BTreeSet::from([node.to_owned()]);
        for peer in &mut self.peers {
            let kind = match (peer.tunnel.is_empty(), peer.is_hop) {
                (false, _) => "tunnel",
                (true, true) => "router",
                (true, false) => "host",
            };
            let address = peer.address(false).or_else(|| peer.address(true));
            let address = address.or_else(|| peer.addresses.first().map(|a| a.address));
            let address = address.map(|a| a.to_string()).unwrap_or_default();
            peer.name = unique(&format!("{kind}-{address}"), |name| taken.contains(name));
            taken.insert(peer.name.clone());
        }
    }

    /// Default gateways know the networks on the other side of the host; for all others the host is
    /// the way to everything.
    fn routes_back(&mut self) {
        for index in 0..self.peers.len() {
            for v6 in [false, true] {
                let peer = &self.peers[index];
                let Some(own) = peer.addresses.iter().find(|a| a.is_v6() == v6) else { continue };
                let device = peer.device();
                let Some(gateway) = self.way_back(peer, v6) else {
                    if peer.is_lonely {
                        continue;
                    }
                    let place = peer.name.clone();
                    let family = if v6 { "IPv6" } else { "IPv4" };
                    let message =
                        format!("has no way back: the host has no {family} address there");
                    self.warn(&place, &message);
                    continue;
                };
                let near = peer.addresses.iter().any(|a| !a.is_host() && a.contains(gateway));
                let onlink = if near { "" } else { " onlink" };
                let way = format!("via {gateway} dev {device}{onlink}");
                let inside = self.inside(index, v6);
                let routes = if peer.is_default(v6) && inside.len() <= BACK_MOST {
                    inside.iter().map(|network| format!("{network} {way}")).collect()
                } else {
                    let source = peer.source(v6).filter(|source| *source != own.address);
                    let source = source.map(|source| format!(" src {source}")).unwrap_or_default();
                    let all = if v6 { "::/0" } else { "default" };
                    vec![format!("{all} {way}{source}")]
                };
                self.peers[index].routes.extend(routes);
                self.peers[index].back[usize::from(v6)] = true;
            }
        }
    }

    /// The host's address that a node sends to.
    fn way_back(&self, peer: &Peer, v6: bool) -> Option<IpAddr> {
        let addresses = &self.host.interface(&peer.towards)?.addresses;
        let of_family = || addresses.iter().filter(|network| network.is_v6() == v6);
        let near = of_family()
            .find(|network| peer.addresses.iter().any(|own| network.contains(own.address)));
        near.or_else(|| of_family().next()).map(|network| network.address)
    }

    /// Networks on the other side of the host, in the same VRF.
    fn inside(&self, index: usize, v6: bool) -> Vec<Network> {
        let peer = &self.peers[index];
        let mut inside = BTreeSet::new();
        for interface in &self.host.interfaces {
            let same = self.host.vrf_of(&interface.name) == peer.vrf.as_deref();
            let hidden = interface.kind == Kind::Wireguard;
            if same && !hidden && interface.name != peer.towards {
                inside.extend(interface.addresses.iter().map(Network::network));
            }
        }
        for other in self.peers.iter().filter(|other| other.vrf == peer.vrf) {
            if other.towards != peer.towards && other.tunnel.is_empty() {
                inside.extend(other.networks.iter().copied());
            }
        }
        if let Some(address) = filter::snat_address(&self.host.filters) {
            let own = self.host.interfaces.iter().flat_map(|interface| &interface.addresses);
            let others = self.peers.iter().flat_map(|peer| &peer.networks);
            // Part of a network that is known has its routes already, in whatever VRF that is.
            let known = own.chain(others).any(|network| network.contains(address));
            if !known {
                inside.insert(Network::host(address));
            }
        }
        inside.retain(|network| network.is_v6() == v6 && network.prefix > 0);
        inside.into_iter().collect()
    }

    /// How frames leave the host from an interface; none when they do not.
    fn path(&self, device: &str, depth: u8) -> Option<Path> {
        // Dumps can claim circles.
        let interface = self.host.interface(device).filter(|_| depth < 8)?;
        match &interface.kind {
            Kind::Wire(_) => {
                let link = self.links.iter().find(|(_, wire)| wire.name == device)?.0;
                Some((link.clone(), Vec::new()))
            }
            Kind::Vlan { lower, id, protocol } => {
                let (link, mut tags) = self.path(lower, depth + 1)?;
                // Interface names have 15 bytes.
                (tags.len() < 2).then(|| tags.push((*id, protocol.clone())))?;
                Some((link, tags))
            }
            Kind::Bridge { .. } => {
                let on = |i: &&Interface| i.master.as_deref() == Some(device);
                let mut ports: Vec<&Interface> = self.host.interfaces.iter().filter(on).collect();
                ports.sort_by_key(|port| !port.is_wire());
                ports.iter().find_map(|port| self.path(&port.name, depth + 1))
            }
            Kind::Veth { peer } => {
                let master = self.host.interface(peer)?.master.as_ref()?;
                self.path(master, depth + 1)
            }
            Kind::Wireguard => Some((format!("{}-far", unique(device, |_| false)), Vec::new())),
            Kind::Loopback | Kind::Vrf { .. } | Kind::Dummy => None,
        }
    }

    fn warn(&mut self, place: &str, message: &str) {
        self.warnings.push(Finding::new("", place, message));
    }
}
