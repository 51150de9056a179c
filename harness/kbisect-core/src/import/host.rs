//! The host as its dumps tell it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::finding::Finding;
use super::network::Network;

/// Everything that was read.
#[derive(Clone, Debug, Default)]
pub(super) struct Host {
    /// In the kernel's order.
    pub(super) interfaces: Vec<Interface>,
    pub(super) routes: Vec<Route>,
    pub(super) rules: Vec<Rule>,
    /// Whether rules were dumped, by family: IPv4, IPv6.
    pub(super) rules_dumped: [bool; 2],
    pub(super) neighbours: Vec<Neighbour>,
    /// sysctls by the name that the kernel's files have below `/proc/sys`, joined by `/`.
    pub(super) sysctl: BTreeMap<String, String>,
    pub(super) modules: BTreeSet<String>,
    pub(super) filters: Vec<Filter>,
    /// Ports of WireGuard interfaces; 0 for one that is chosen anew each time.
    pub(super) wireguard: BTreeMap<String, u16>,
    /// Interfaces that were there and are left out.
    pub(super) dropped: BTreeSet<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) mtu: u32,
    pub(super) master: Option<String>,
    pub(super) addresses: Vec<Network>,
}

impl Interface {
    /// Whether a link of the scenario leads out of it.
    pub(super) fn is_wire(&self) -> bool {
        matches!(self.kind, Kind::Wire(_))
    }
}

/// What an interface is, as far as it can be rebuilt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Loopback,
    /// A network card, or what is one in the scenario: a link leads out of it.
    Wire(Wire),
    Vlan {
        lower: String,
        id: u32,
        /// The protocol when it is not 802.1Q: `802.1ad`.
        protocol: Option<String>,
    },
    Vrf {
        table: u32,
    },
    Bridge {
        vlan_filtering: bool,
    },
    Dummy,
    /// A WireGuard tunnel, with keys of the scenario's own.
    Wireguard,
    /// Both ends of a pair are on the host.
    Veth {
        peer: String,
    },
}

/// Where a wire comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Card,
    /// Several cards that are one in the scenario.
    Bond,
    /// The end of a veth pair whose other end is in another name space.
    Veth,
}

/// One route that somebody set: those that the kernel makes by itself are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// `unicast`, `unreachable`, ...
    pub(super) kind: String,
    pub(super) to: Network,
    /// More than one for a multipath route; none for `unreachable` and its like.
    pub(super) hops: Vec<Hop>,
    pub(super) table: u32,
    pub(super) metric: Option<u32>,
    pub(super) source: Option<IpAddr>,
    pub(super) mtu: Option<u32>,
}

/// One way to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) gateway: Option<IpAddr>,
    pub(super) device: String,
    pub(super) onlink: bool,
    pub(super) weight: u32,
}

/// One policy rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) v6: bool,
    pub(super) priority: u32,
    /// Whether it is the one that VRFs need, which the kernel makes with the first VRF.
    pub(super) l3mdev: bool,
    /// The table, if it only looks one up for everything.
    pub(super) plain_lookup: Option<u32>,
    /// As arguments of `ip rule add`, without the priority.
    pub(super) words: String,
    /// Interfaces that it names.
    pub(super) devices: Vec<String>,
}

/// An entry of the neighbour table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Neighbour {
    pub(super) address: IpAddr,
    pub(super) device: String,
    pub(super) hardware: Option<String>,
}

/// A file that is loaded as it is.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    pub(super) kind: FilterKind,
    /// The dump's file.
    pub(super) file: String,
    pub(super) text: String,
}

/// What loads a file of rules, in the order of loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FilterKind {
    Ipset,
    Iptables,
    Ip6tables,
    Nft,
}

impl Host {
    pub(super) fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.name == name)
    }

    /// The VRF that an interface is in, at any depth.
    pub(super) fn vrf_of(&self, name: &str) -> Option<&str> {
        let mut name = name;
        // A chain of masters is at most VRF over bridge over port; dumps can claim anything.
        for _ in 0..8 {
            let interface = self.interface(name)?;
            if matches!(interface.kind, Kind::Vrf { .. }) {
                return Some(&interface.name);
            }
            name = interface.master.as_deref()?;
        }
        None
    }

    /// Takes out interfaces that a rule holds for and, step by step, what hangs on them. Gives a
    /// finding for each that went along.
    pub(super) fn leave_out(&mut self, names: BTreeSet<String>) -> Vec<Finding> {
        let mut findings = Vec::new();
        self.dropped.extend(names);
        loop {
            let hanging = |interface: &&Interface| {
                let lower = match &interface.kind {
                    Kind::Vlan { lower, .. } => lower,
                    Kind::Veth { peer } => peer,
                    _ => return false,
                };
                self.dropped.contains(lower) && !self.dropped.contains(&interface.name)
            };
            let Some(next) = self.interfaces.iter().find(hanging) else { break };
            let message = "is left out too: it hangs on an interface that is";
            findings.push(Finding::new("", &next.name, message));
            self.dropped.insert(next.name.clone());
        }
        self.interfaces.retain(|interface| !self.dropped.contains(&interface.name));
        for interface in &mut self.interfaces {
            if interface.master.as_ref().is_some_and(|master| self.dropped.contains(master)) {
                interface.master = None;
            }
        }
        findings
    }

    /// Takes out routes and rules over interfaces that are not there, with a finding for each.
    pub(super) fn prune(&mut self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let known: BTreeSet<&str> =
            self.interfaces.iter().map(|interface| interface.name.as_str()).collect();
        self.routes.retain(|route| {
            let missing = route.hops.iter().find(|hop| !known.contains(hop.device.as_str()));
            if let Some(hop) = missing {
                let message =
                    format!("left out: it goes over `{}`, which is not there", hop.device);
                findings.push(Finding::new("", &format!("route to {}", route.to), message));
            }
            missing.is_none()
        });
        self.rules.retain(|rule| {
            let missing = rule.devices.iter().find(|device| !known.contains(device.as_str()));
            if let Some(device) = missing {
                let message = format!("left out: it names `{device}`, which is not there");
                findings.push(Finding::new("", &format!("rule {}", rule.priority), message));
            }
            missing.is_none()
        });
        self.neighbours.retain(|neighbour| known.contains(neighbour.device.as_str()));
        findings
    }
}
