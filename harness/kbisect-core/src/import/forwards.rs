//! Checks that use what the rules translate: a connection from outside for each port that is passed on,
//! one from inside for each rule that gives another source.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::checks::{Seen, Way, seen};
use super::host::Host;
use super::internet;
use super::known::Known;
use super::nat::{Any, Conditions, Flow, Translation, What};
use super::network::Network;
use super::plan::Plan;
use super::tunnels;

/// As many ports are tried; each has a server of its own.
const MOST: usize = 8;

/// A connection to a port that the host passes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Forward {
    /// Index of the rule.
    pub(super) rule: usize,
    /// Index of the node that asks, and of the one that answers.
    pub(super) client: usize,
    pub(super) server: usize,
    pub(super) udp: bool,
    /// What is asked.
    pub(super) address: IpAddr,
    pub(super) port: u16,
    /// Where the server listens.
    pub(super) to_port: u16,
}

/// A client whose address another rule than the first check's translates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) rule: usize,
    pub(super) client: usize,
    pub(super) seen_as: IpAddr,
}

/// Why a rule has no check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Untried {
    /// Its conditions, or where it leads to, are not understood.
    Unclear,
    /// Nobody in the scenario can meet them.
    Nobody,
    /// Nothing of the scenario is where it leads to.
    NoTarget,
    /// There are enough.
    Enough,
}

/// What the translations are tried with, and which are not.
#[derive(Clone, Debug, Default)]
pub(super) struct Tried {
    pub(super) forwards: Vec<Forward>,
    pub(super) sources: Vec<Source>,
    /// By index of the rule.
    pub(super) untried: Vec<(usize, Untried)>,
}

/// Chooses the checks, and puts addresses on the nodes that they need.
pub(super) fn choose(host: &Host, known: &Known, plan: &mut Plan, way: Option<&Way>) -> Tried {
    let mut tried = Tried::default();
    let mut ports = BTreeSet::new();
    for (rule, translation) in known.translations.iter().enumerate() {
        let What::Destination(to) = &translation.what else { continue };
        let forward = match to {
            _ if tried.forwards.len() >= MOST => Err(Untried::Enough),
            None => Err(Untried::Unclear),
            Some((address, port)) => {
                forward(host, known, plan, (rule, &tried.forwards), (*address, *port))
            }
        };
        match forward {
            // Rules for one port can be there for several interfaces and addresses.
            Ok(forward) if ports.insert((forward.udp, forward.address, forward.port)) => {
                tried.forwards.push(forward);
            }
            Ok(_) => {}
            Err(why) => tried.untried.push((rule, why)),
        }
    }
    let mut done: BTreeSet<usize> = BTreeSet::new();
    if let Some(Way { seen: Seen::As(rule, _), .. }) = way {
        done.insert(*rule);
    }
    if let Some(way) = way.filter(|way| way.client.is_some()) {
        let v6 = way.address.is_ipv6();
        for client in 0..plan.peers.len() {
            let peer = &plan.peers[client];
            let asks = client != way.server
                && peer.towards != plan.peers[way.server].towards
                && peer.back[usize::from(v6)]
                && peer.vrf == plan.peers[way.server].vrf
                && !tunnels::is_far(host, peer);
            let Some(source) = peer.source(v6).filter(|_| asks) else { continue };
            let to = (way.server, way.address);
            let Seen::As(rule, seen_as) = seen(host, known, plan, (client, source), to) else {
                continue;
            };
            if done.insert(rule) && tried.sources.len() < MOST {
                tried.sources.push(Source { rule, client, seen_as });
            }
        }
    }
    for (rule, translation) in known.translations.iter().enumerate() {
        if done.contains(&rule) {
            continue;
        }
        match translation.what {
            What::SomeSource => tried.untried.push((rule, Untried::Unclear)),
            What::Source(_) if translation.when.unclear => {
                tried.untried.push((rule, Untried::Unclear));
            }
            What::Source(_) => tried.untried.push((rule, Untried::Nobody)),
            What::Destination(_) | What::Stays => {}
        }
    }
    tried
}

fn forward(
    host: &Host,
    known: &Known,
    plan: &mut Plan,
    (rule, earlier): (usize, &[Forward]),
    (to, to_port): (IpAddr, Option<u16>),
) -> Result<Forward, Untried> {
    let when = &known.translations[rule].when;
    let v6 = to.is_ipv6();
    let udp = match when.protocol.as_deref() {
        Some("tcp") => false,
        Some("udp") => true,
        _ => return Err(Untried::Unclear),
    };
    let port = when.ports.iter().find(|any| !any.not).and_then(|any| any.of.first());
    let port = port.map(|(first, _)| *first).filter(|port| *port > 0).ok_or(Untried::Unclear)?;
    let to_port = to_port.unwrap_or(port);
    let server = server(plan, to).ok_or(Untried::NoTarget)?;
    let client = client(plan, &known.translations[rule], server, v6).ok_or(Untried::Nobody)?;
    let address = asked(host, plan, when.to.as_slice(), client, v6).ok_or(Untried::Nobody)?;
    let source =
        source(host, known, plan, when.from.as_slice(), client, v6).ok_or(Untried::Nobody)?;
    let towards = plan.peers[client].towards.clone();
    let flow = Flow {
        enters: Some(&towards),
        leaves: None,
        from: source,
        to: address,
        protocol: if udp { "udp" } else { "tcp" },
        port,
    };
    match when.hold(&flow) {
        Some(true) => {}
        Some(false) => return Err(Untried::Nobody),
        None => return Err(Untried::Unclear),
    }
    let gateway = host_towards(host, plan, client, v6).ok_or(Untried::Nobody)?;
    if !has_address(plan, server, to) {
        plan.peers[server].services.push(to);
    }
    if !has_address(plan, client, source) {
        plan.peers[client].services.push(source);
    }
    let peer = &plan.peers[client];
    // Nobody else is asked for: the way there is the host, from the address that the rule wants.
    let onlink = peer.addresses.iter().any(|own| !own.is_host() && own.contains(gateway));
    let device = peer.device();
    let way = match (address == gateway, onlink) {
        (true, true) => format!("dev {device}"),
        (false, true) => format!("via {gateway} dev {device}"),
        (_, false) => format!("via {gateway} dev {device} onlink"),
    };
    let route = format!("{} {way} src {source}", Network::host(address));
    let begin = format!("{} ", Network::host(address));
    let own = peer.addresses.first().map(|own| own.address) == Some(source);
    let known_way = plan.peers[client].routes.iter().position(|route| route.starts_with(&begin));
    match known_way {
        // Another port is asked from there already: one source has to do for both.
        Some(at) => {
            let before = plan.peers[client].routes[at].clone();
            let before = before.rsplit_once(" src ").and_then(|(_, source)| source.parse().ok());
            let fits = |when: &Conditions, from: IpAddr, port: u16, udp: bool| {
                let protocol = if udp { "udp" } else { "tcp" };
                when.hold(&Flow { from, port, protocol, ..flow.clone() }) == Some(true)
            };
            let others_too = || {
                earlier
                    .iter()
                    .filter(|one| one.client == client && one.address == address)
                    .all(|one| fits(&known.translations[one.rule].when, source, one.port, one.udp))
            };
            if before.is_none_or(|before| !fits(when, before, port, udp)) {
                if !others_too() {
                    return Err(Untried::Nobody);
                }
                plan.peers[client].routes[at] = route;
            }
        }
        None if own && onlink && address == gateway => {}
        None => plan.peers[client].routes.push(route),
    }
    Ok(Forward { rule, client, server, udp, address, port, to_port })
}

fn has_address(plan: &Plan, peer: usize, address: IpAddr) -> bool {
    let peer = &plan.peers[peer];
    let on_lo = peer.behind.contains(&address) || peer.services.contains(&address);
    on_lo || peer.addresses.iter().any(|own| own.address == address)
}

/// The node that an address is at: it has it, is in its network, or leads there.
fn server(plan: &Plan, to: IpAddr) -> Option<usize> {
    let peers = || plan.peers.iter().enumerate().filter(|(_, peer)| peer.tunnel.is_empty());
    let has = peers().find(|(_, peer)| peer.addresses.iter().any(|own| own.address == to));
    let near = || {
        peers().find(|(_, peer)| {
            peer.default == [false, false]
                && peer.addresses.iter().any(|own| !own.is_host() && own.contains(to))
        })
    };
    let behind = || peers().find(|(_, peer)| peer.networks.iter().any(|net| net.contains(to)));
    has.or_else(near).or_else(behind).map(|(index, _)| index)
}

/// The node that asks: on an interface that the rule names, a default gateway where there is one.
fn client(plan: &Plan, rule: &Translation, server: usize, v6: bool) -> Option<usize> {
    let fits = |peer: &usize| {
        let at = &plan.peers[*peer];
        at.towards != plan.peers[server].towards
            && at.back[usize::from(v6)]
            && rule.when.lets_in(&at.towards)
    };
    let mut fitting: Vec<usize> = (0..plan.peers.len()).filter(fits).collect();
    fitting.sort_by_key(|peer| {
        let peer = &plan.peers[*peer];
        (!peer.is_default(v6), !peer.tunnel.is_empty())
    });
    fitting.first().copied()
}

/// The host's address on the side of a node.
fn host_towards(host: &Host, plan: &Plan, peer: usize, v6: bool) -> Option<IpAddr> {
    let peer = &plan.peers[peer];
    let addresses = &host.interface(&peer.towards)?.addresses;
    let of_family = || addresses.iter().filter(|network| network.is_v6() == v6);
    let near = of_family().find(|net| peer.addresses.iter().any(|own| net.contains(own.address)));
    near.or_else(|| of_family().next()).map(|network| network.address)
}

/// The address that is asked: the one that the rule is about, or the host's.
fn asked(host: &Host, plan: &Plan, to: &[Any<Network>], client: usize, v6: bool) -> Option<IpAddr> {
    let named = to.iter().find(|any| !any.not).map(|any| any.of.as_slice());
    match named {
        None => host_towards(host, plan, client, v6),
        Some(networks) => {
            let own = host.interfaces.iter().flat_map(|interface| &interface.addresses);
            let own: Vec<IpAddr> = own.map(|network| network.address).collect();
            let of_host = networks
                .iter()
                .find_map(|network| own.iter().copied().find(|address| network.contains(*address)));
            of_host.or_else(|| networks.first()?.pick(&[], |_| false))
        }
    }
}

/// What the node that asks sends from.
fn source(
    host: &Host,
    known: &Known,
    plan: &Plan,
    from: &[Any<Network>],
    client: usize,
    v6: bool,
) -> Option<IpAddr> {
    let peer = &plan.peers[client];
    if let Some(named) = from.iter().find(|any| !any.not) {
        let own = peer.addresses.iter().map(|own| own.address).chain(peer.behind.iter().copied());
        let mut fitting = own.filter(|own| named.of.iter().any(|network| network.contains(*own)));
        return fitting.next().or_else(|| named.of.first()?.pick(&[], |_| false));
    }
    if !peer.is_default(v6) {
        return peer.source(v6);
    }
    // Not its own: that is often in a private network, which rules for the outside drop.
    let mut services = peer.services.iter().copied().filter(|address| address.is_ipv6() == v6);
    services.next().or_else(|| internet::address(host, &plan.around(), known, v6, &[]))
}
