//! What of the host is rebuilt: links, devices, addresses, and the nodes around it.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::{Finding, ImportError};
use super::host::{Host, Interface, Kind};
use super::known::Known;
use super::names::unique;
use super::network::Network;
use super::peers::{self, Peer};
use super::routes::MAIN;
use super::tunnels::{self, Tunnel};
use crate::scenario::words;

/// More network cards than this do not fit into a machine with all the rest.
const WIRES_MOST: usize = 12;
/// Routes that stand in scenario.toml itself; more go to a file of their own.
const ROUTES_INLINE: usize = 60;
/// What an interface's MTU is without a word (bytes).
pub(super) const MTU: u32 = 1500;

/// The scenario before it is written.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// Name of the node that stands for the host.
    pub(super) node: String,
    /// Links by name, with the host's interface on it.
    pub(super) links: BTreeMap<String, Interface>,
    /// `ip link add` arguments, in order.
    pub(super) devices: Vec<String>,
    /// Lines for `ip -batch` that devices need after the links are up.
    pub(super) late: Vec<String>,
    /// Addresses of devices and of `lo`.
    pub(super) addresses: BTreeMap<String, Vec<Network>>,
    /// `ip route add` arguments.
    pub(super) routes: Vec<String>,
    /// Those that go to a file.
    pub(super) late_routes: Vec<String>,
    /// Lines for `ip -batch` that make the kernel's policy rules the host's: IPv4, IPv6.
    pub(super) rules: [Vec<String>; 2],
    /// sysctls that the first check needs and the dumps do not tell.
    pub(super) assumed: Vec<(String, String)>,
    /// Words for the kernel command line.
    pub(super) cmdline: Vec<String>,
    /// Modules for devices.
    pub(super) modules: BTreeSet<&'static str>,
    /// The nodes around.
    pub(super) peers: Vec<Peer>,
    /// Ways to those of them that are at the other end of a tunnel.
    pub(super) tunnels: Vec<Tunnel>,
    pub(super) warnings: Vec<Finding>,
}

impl Plan {
    /// Plans the scenario of a host; interfaces that nothing uses are taken out of `host`.
    pub(super) fn make(host: &mut Host, node: &str, known: &Known) -> Result<Self, ImportError> {
        if words::name(node).is_err() {
            let message =
                format!("`{}` cannot name a node: 1 to 32 of a-z, 0-9 and -", plain(node));
            return Err(ImportError::one(Finding::new("", "", message)));
        }
        let mut plan = Self { node: node.to_owned(), ..Self::default() };
        plan.warnings = leave_out_unused(host);
        plan.links(host)?;
        plan.devices(host);
        plan.routes(host);
        plan.rules = [false, true].map(|v6| rules(host, v6));
        plan.peers = peers::make(host, known, &plan.links, node, &mut plan.warnings);
        plan.tunnels = tunnels::plan(host, &mut plan.peers, known);
        plan.tell_of_tunnels(host);
        Ok(plan)
    }

    /// Networks of the nodes around, and single addresses behind them.
    pub(super) fn around(&self) -> Vec<Network> {
        let far = self.tunnels.iter().map(|tunnel| tunnel.address);
        peers::around(&self.peers).into_iter().chain(far).collect()
    }

    fn tell_of_tunnels(&mut self, host: &Host) {
        for interface in host.interfaces.iter().filter(|i| i.kind == Kind::Wireguard) {
            let name = &interface.name;
            let message = match self.tunnels.iter().any(|tunnel| tunnel.device == *name) {
                true => {
                    "WireGuard with keys of the scenario's own; one node is at its other end, for all of the \
                     host's peers"
                }
                false => {
                    "WireGuard without anybody at its other end: the host has no IPv4 default gateway, or \
                     nothing is routed there"
                }
            };
            self.warnings.push(Finding::new("", name, message));
        }
    }

    fn links(&mut self, host: &Host) -> Result<(), ImportError> {
        let wires: Vec<&Interface> = host.interfaces.iter().filter(|i| i.is_wire()).collect();
        if wires.is_empty() {
            let message = "no interface leads out of the host, so nothing could be sent to it";
            return Err(ImportError::one(Finding::new("", "", message)));
        }
        if wires.len() > WIRES_MOST {
            let names = wires.iter().skip(WIRES_MOST).map(|wire| wire.name.clone());
            let message = format!(
                "{} network cards are in use, a machine has room for {WIRES_MOST}",
                wires.len()
            );
            return Err(ImportError::Dumps {
                findings: vec![Finding::new("", "", message)],
                ignorable: names.collect(),
            });
        }
        for wire in wires {
            let name = unique(&wire.name, |name| self.links.contains_key(name));
            self.links.insert(name, wire.clone());
        }
        Ok(())
    }

    fn devices(&mut self, host: &Host) {
        let mut devices: Vec<&Interface> =
            host.interfaces.iter().filter(|i| !i.is_wire()).collect();
        devices.sort_by_key(|interface| order(host, interface));
        for interface in devices {
            let name = &interface.name;
            let master = match &interface.master {
                Some(master) => format!(" master {master}"),
                None => String::new(),
            };
            let mut late_address = false;
            match &interface.kind {
                Kind::Loopback | Kind::Wire(_) => {}
                Kind::Vrf { table } => {
                    self.modules.insert("vrf");
                    self.devices.push(format!("{name} type vrf table {table}"));
                }
                Kind::Bridge { vlan_filtering } => {
                    self.modules.insert("bridge");
                    let filtering = if *vlan_filtering { " vlan_filtering 1" } else { "" };
                    if *vlan_filtering {
                        let message = "filters VLANs, but which port has which is not in the dumps: \
                                       add `bridge vlan add` lines to a `run` step";
                        self.warnings.push(Finding::new("", name, message));
                    }
                    self.devices.push(format!("{name}{master} type bridge{filtering}"));
                }
                Kind::Dummy => {
                    // The module makes a dummy0 by itself when it is loaded.
                    if name == "dummy0" {
                        self.cmdline.push("dummy.numdummies=0".to_owned());
                    }
                    self.devices.push(format!("{name}{master} type dummy"));
                }
                Kind::Wireguard => {
                    self.modules.insert("wireguard");
                    self.devices.push(format!("{name}{master} type wireguard"));
                }
                Kind::Vlan { lower, id, protocol } => {
                    self.modules.insert("8021q");
                    let protocol = protocol.iter().map(|name| format!(" protocol {name}"));
                    let protocol: String = protocol.collect();
                    // A VLAN cannot have more than what it lies on has at that time.
                    let small = interface.mtu < MTU;
                    let mtu = if small { format!(" mtu {}", interface.mtu) } else { String::new() };
                    self.devices.push(format!(
                        "link {lower} name {name}{mtu}{master} type vlan{protocol} id {id}"
                    ));
                    if interface.mtu > MTU {
                        self.late.push(format!("link set dev {name} mtu {}", interface.mtu));
                    }
                }
                Kind::Veth { peer } if name < peer => {
                    self.modules.insert("veth");
                    self.devices.push(format!("{name}{master} type veth peer name {peer}"));
                }
                Kind::Veth { .. } => {
                    // The other end made it; its own settings have to wait until it is there.
                    if let Some(master) = &interface.master {
                        self.late.push(format!("link set dev {name} master {master}"));
                    }
                    self.late.push(format!("link set dev {name} up"));
                    let lines =
                        interface.addresses.iter().map(|a| format!("addr add {a} dev {name}"));
                    self.late.extend(lines);
                    late_address = true;
                }
            }
            if !interface.addresses.is_empty() && !late_address {
                self.addresses.insert(name.clone(), interface.addresses.clone());
            }
        }
    }

    fn routes(&mut self, host: &Host) {
        // What only exists after the late lines cannot stand in `routes`.
        let is_late = |device: &str| match host.interface(device).map(|i| &i.kind) {
            Some(Kind::Veth { peer }) => device > peer.as_str(),
            _ => false,
        };
        let late_one = |route: &&super::host::Route| {
            route.hops.iter().any(|hop| is_late(&hop.device))
                || route.hops.iter().any(|hop| hop.gateway.is_some())
                    && host.interfaces.iter().any(|i| is_late(&i.name))
        };
        let many = host.routes.len() > ROUTES_INLINE;
        let (late, early): (Vec<_>, Vec<_>) =
            host.routes.iter().partition(|route| many || late_one(route));
        self.routes = early.iter().map(|route| route.words()).collect();
        self.late_routes = late.iter().map(|route| route.words()).collect();
    }
}

/// Takes out interfaces that carry nothing, with a finding for each.
fn leave_out_unused(host: &mut Host) -> Vec<Finding> {
    let mut used: BTreeSet<String> = BTreeSet::new();
    let ports = |bridge: &str| {
        let on = move |i: &&Interface| i.master.as_deref() == Some(bridge);
        host.interfaces.iter().filter(on).map(|i| i.name.clone()).collect::<Vec<_>>()
    };
    let hops = host.routes.iter().flat_map(|route| &route.hops).map(|hop| &hop.device);
    let rules = host.rules.iter().flat_map(|rule| &rule.devices);
    let mut todo: Vec<String> = hops.chain(rules).cloned().collect();
    for interface in &host.interfaces {
        let bridges =
            matches!(interface.kind, Kind::Bridge { .. }) && ports(&interface.name).len() > 1;
        let routed = matches!(interface.kind, Kind::Vrf { table } if host.routes.iter().any(|route| route.table == table));
        if interface.kind == Kind::Loopback || !interface.addresses.is_empty() || bridges || routed
        {
            todo.push(interface.name.clone());
        }
    }
    while let Some(name) = todo.pop() {
        let Some(interface) = host.interface(&name) else { continue };
        if !used.insert(name.clone()) {
            continue;
        }
        todo.extend(interface.master.clone());
        match &interface.kind {
            Kind::Vlan { lower, .. } => todo.push(lower.clone()),
            Kind::Veth { peer } => todo.push(peer.clone()),
            Kind::Bridge { .. } => todo.extend(ports(&name)),
            Kind::Loopback | Kind::Wire(_) | Kind::Vrf { .. } | Kind::Dummy | Kind::Wireguard => {}
        }
    }
    let all = host.interfaces.iter().map(|interface| interface.name.clone());
    let unused: BTreeSet<String> = all.filter(|name| !used.contains(name)).collect();
    let message = "left out: it has no address and no route, and nothing that has one lies on it";
    let mut findings: Vec<Finding> =
        unused.iter().map(|name| Finding::new("", name, message)).collect();
    findings.extend(host.leave_out(unused));
    findings
}

/// Where a device comes among the others: after all that its own line names.
fn order(host: &Host, interface: &Interface) -> usize {
    let mut depth = match interface.kind {
        Kind::Loopback | Kind::Wire(_) | Kind::Vrf { .. } => return 0,
        Kind::Bridge { .. } => return 1,
        Kind::Dummy | Kind::Veth { .. } | Kind::Wireguard => return 2,
        Kind::Vlan { .. } => 3,
    };
    let mut below = interface;
    while let Kind::Vlan { lower, .. } = &below.kind {
        let Some(next) = host.interface(lower).filter(|_| depth < 16) else { break };
        below = next;
        depth += 1;
    }
    depth
}

/// What turns the kernel's own policy rules into the host's.
fn rules(host: &Host, v6: bool) -> Vec<String> {
    if !host.rules_dumped[usize::from(v6)] {
        return Vec::new();
    }
    // The kernel's own: the local table, l3mdev with the first VRF, the main and the default table.
    let vrf = host.interfaces.iter().any(|interface| matches!(interface.kind, Kind::Vrf { .. }));
    let mut own = vec![(0, Some(super::routes::LOCAL)), (32766, Some(MAIN))];
    own.extend(vrf.then_some((1000, None)));
    own.extend((!v6).then_some((32767, Some(253))));
    let is = |rule: &super::host::Rule, (priority, table): (u32, Option<u32>)| {
        rule.priority == priority && rule.plain_lookup == table && (table.is_some() || rule.l3mdev)
    };
    let of_family = || host.rules.iter().filter(|rule| rule.v6 == v6);
    let mut lines: Vec<String> = of_family()
        .filter(|rule| !own.iter().any(|own| is(rule, *own)))
        // Without a VRF there is nothing that such a rule could look up.
        .filter(|rule| vrf || !rule.l3mdev)
        .map(|rule| match rule.words.strip_prefix("not ") {
            Some(rest) => format!("rule add not pref {} {rest}", rule.priority),
            None => format!("rule add pref {} {}", rule.priority, rule.words),
        })
        .collect();
    // Last, so that the host is never without a table of its own addresses.
    let gone = own.iter().filter(|own| !of_family().any(|rule| is(rule, **own)));
    lines.extend(gone.map(|(priority, _)| format!("rule del pref {priority}")));
    lines
}

/// A text of the user's for a message.
fn plain(text: &str) -> String {
    text.chars().take(60).filter(|c| !c.is_control()).collect()
}
