//! From a scenario to machines: which node goes where, with which interfaces and addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use kbisect_core::scenario::{Interface, MachineOptions, Node, NodeKernel, Scenario};
use kbisect_proto::{Device, Nic, NodeSetup};
use sha2::{Digest, Sha256};

use crate::wire::LinkPlan;

/// Where nodes are put.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// Candidate nodes on the candidate machine, reference nodes on the peer machine.
    #[default]
    Split,
    /// Everything on the candidate machine, for hosts with little memory. Reference nodes then run
    /// the candidate kernel too.
    Single,
}

/// A network interface of a machine and the port that it is plugged into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plug {
    /// Hardware address.
    pub mac: [u8; 6],
    /// Index of the link.
    pub link: usize,
    /// Port on the link.
    pub port: usize,
}

/// One machine: its nodes and its interfaces.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MachinePlan {
    /// Nodes, ready to be sent to the guest.
    pub nodes: Vec<NodeSetup>,
    /// Interfaces.
    pub plugs: Vec<Plug>,
}

/// The whole network of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkPlan {
    /// Links in order.
    pub links: Vec<LinkPlan>,
    /// Which node an address belongs to.
    pub addresses: BTreeMap<IpAddr, String>,
    /// The machine that runs the candidate kernel.
    pub candidate: MachinePlan,
    /// The machine that runs the reference kernel; none when no node needs it.
    pub peer: Option<MachinePlan>,
    /// Machines that are one node's own.
    pub own: Vec<OwnPlan>,
}

/// A machine that is one node's own. That of the first node under test is the candidate machine where no node
/// shares it.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnPlan {
    /// Its node.
    pub node: String,
    /// Which kernel it runs.
    pub kernel: NodeKernel,
    /// The machine.
    pub machine: MachinePlan,
}

/// The machine that a node is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The candidate machine.
    Candidate,
    /// The peer machine.
    Peer,
    /// Its own, by its place in [`NetworkPlan::own`].
    Own(usize),
}

impl OwnPlan {
    /// Memory and processors of the machine.
    pub fn options<'s>(&self, scenario: &'s Scenario) -> &'s MachineOptions {
        match self.kernel {
            NodeKernel::Candidate => &scenario.candidate,
            NodeKernel::Reference => &scenario.peer,
        }
    }
}

impl NetworkPlan {
    /// Plans the machines of a scenario.
    pub fn new(scenario: &Scenario, placement: Placement) -> Self {
        let links: Vec<LinkPlan> = scenario
            .links
            .iter()
            .map(|(name, members)| LinkPlan {
                name: name.clone(),
                members: members.keys().cloned().collect(),
            })
            .collect();
        let on_candidate =
            |kernel: NodeKernel| placement == Placement::Single || kernel == NodeKernel::Candidate;
        let mut macs = BTreeSet::new();
        let mut candidate = MachinePlan::default();
        let mut peer = MachinePlan::default();
        let mut own: Vec<OwnPlan> = Vec::new();
        for (name, node) in &scenario.nodes {
            let machine = if placement == Placement::Split && !node.machine.is_shared() {
                let machine = MachinePlan::default();
                own.push(OwnPlan { node: name.clone(), kernel: node.kernel, machine });
                own.last_mut().map_or(&mut peer, |own| &mut own.machine)
            } else if on_candidate(node.kernel) {
                &mut candidate
            } else {
                &mut peer
            };
            let interfaces = interfaces_of(scenario, name);
            let mut nics = Vec::new();
            for (link, port, interface) in &interfaces {
                let mac = hardware_address(&scenario.name, name, &interface.name, &mut macs);
                machine.plugs.push(Plug { mac, link: *link, port: *port });
                nics.push(Nic { mac, name: interface.name.clone() });
            }
            machine.nodes.push(NodeSetup {
                name: name.clone(),
                isolated: true,
                nics,
                devices: node.devices.iter().map(|it| device(it)).collect(),
                sysctl: node
                    .sysctl
                    .iter()
                    .map(|(key, value)| (sysctl_path(key), value.to_string()))
                    .collect(),
                network: network_batch(node, &interfaces),
            });
        }
        let first = own.iter().position(|own| own.kernel == NodeKernel::Candidate);
        if let (true, Some(first)) = (candidate.nodes.is_empty(), first) {
            candidate = own.remove(first).machine;
        }
        // A lone node is the machine itself: nothing between it and the kernel. The peer's are made anew for
        // each trial.
        let machines = own.iter_mut().map(|own| &mut own.machine).chain([&mut candidate]);
        for machine in machines {
            if let [only] = machine.nodes.as_mut_slice() {
                only.isolated = false;
            }
        }
        let peer = (!peer.nodes.is_empty()).then_some(peer);
        Self {
            links,
            addresses: scenario
                .addresses()
                .map(|(node, address)| (address, node.to_owned()))
                .collect(),
            candidate,
            peer,
            own,
        }
    }

    /// Link index, port and hardware address of a node's interface on a link.
    pub fn plug(&self, link: &str, node: &str) -> Option<Plug> {
        let index = self.links.iter().position(|plan| plan.name == link)?;
        let port = self.links[index].members.iter().position(|member| member == node)?;
        self.machine_of(node)
            .plugs
            .iter()
            .find(|plug| plug.link == index && plug.port == port)
            .cloned()
    }

    /// The machine that a node is on.
    pub fn place_of(&self, node: &str) -> Place {
        if let Some(own) = self.own.iter().position(|own| own.node == node) {
            return Place::Own(own);
        }
        let on_candidate = self.candidate.nodes.iter().any(|setup| setup.name == node);
        if on_candidate { Place::Candidate } else { Place::Peer }
    }

    /// The plan of the machine that a node is on.
    pub fn machine_of(&self, node: &str) -> &MachinePlan {
        match (self.place_of(node), &self.peer) {
            (Place::Own(own), _) => &self.own[own].machine,
            (Place::Peer, Some(peer)) => peer,
            (Place::Candidate, _) | (Place::Peer, None) => &self.candidate,
        }
    }

    /// Whether a node runs the kernel under test.
    pub fn is_under_test(&self, node: &str) -> bool {
        match self.place_of(node) {
            Place::Candidate => true,
            Place::Peer => false,
            Place::Own(own) => self.own[own].kernel == NodeKernel::Candidate,
        }
    }

    /// Machines that run the kernel under test, that of most nodes first.
    pub fn under_test(&self) -> impl Iterator<Item = (Place, &MachinePlan)> {
        let own = self.own.iter().enumerate();
        let own = own.filter(|(_, own)| own.kernel == NodeKernel::Candidate);
        let own = own.map(|(at, own)| (Place::Own(at), &own.machine));
        std::iter::once((Place::Candidate, &self.candidate)).chain(own)
    }

    /// Nodes that run the kernel under test.
    pub fn nodes_under_test(&self) -> impl Iterator<Item = &NodeSetup> {
        self.under_test().flat_map(|(_, machine)| &machine.nodes)
    }
}

fn interfaces_of<'a>(scenario: &'a Scenario, node: &str) -> Vec<(usize, usize, &'a Interface)> {
    scenario
        .links
        .values()
        .enumerate()
        .filter_map(|(link, members)| {
            let port = members.keys().position(|member| member == node)?;
            Some((link, port, &members[node]))
        })
        .collect()
}

fn device(arguments: &str) -> Device {
    Device { name: device_name(arguments).to_owned(), arguments: arguments.to_owned() }
}

/// The name that an `ip link add` line gives: after `name` or `dev`, else the first word.
fn device_name(device: &str) -> &str {
    let words: Vec<&str> = device.split_whitespace().collect();
    let type_at = words.iter().position(|word| *word == "type").unwrap_or(words.len());
    let named = words[..type_at].iter().position(|word| matches!(*word, "name" | "dev"));
    let at = named.map_or(0, |at| at + 1);
    words.get(at).copied().unwrap_or_default()
}

fn network_batch(node: &Node, interfaces: &[(usize, usize, &Interface)]) -> String {
    let mut batch = "link set dev lo up\n".to_owned();
    for (_, _, interface) in interfaces {
        let name = &interface.name;
        if let Some(master) = &interface.master {
            batch += &format!("link set dev {name} master {master}\n");
        }
        if let Some(mtu) = interface.mtu {
            batch += &format!("link set dev {name} mtu {mtu}\n");
        }
        batch += &address_lines(name, &interface.addresses);
        batch += &format!("link set dev {name} up\n");
    }
    // After the interfaces: a VLAN cannot be up before what it lies on.
    for device in &node.devices {
        batch += &format!("link set dev {} up\n", device_name(device));
    }
    for (device, addresses) in &node.addresses {
        batch += &address_lines(device, addresses);
    }
    for route in &node.routes {
        batch += &format!("route add {route}\n");
    }
    batch
}

fn address_lines(device: &str, addresses: &[String]) -> String {
    let mut lines = String::new();
    for address in addresses {
        // Duplicate detection would keep a new IPv6 address unusable for a second.
        let nodad = if address.contains(':') { " nodad" } else { "" };
        lines += &format!("addr add {address} dev {device}{nodad}\n");
    }
    lines
}

/// `net.ipv4.ip_forward` -> `net/ipv4/ip_forward`; a key that has slashes already keeps its dots,
/// as sysctl(8) has it for interface names with dots.
fn sysctl_path(key: &str) -> String {
    if key.contains('/') { key.to_owned() } else { key.replace('.', "/") }
}

/// A locally administered address from a hash of what it belongs to: the same in every run, and
/// unique within the scenario.
fn hardware_address(
    scenario: &str,
    node: &str,
    interface: &str,
    taken: &mut BTreeSet<[u8; 6]>,
) -> [u8; 6] {
    for round in 0u32.. {
        let digest = Sha256::digest(format!("{scenario}\0{node}\0{interface}\0{round}"));
        let mac = [0x02, 0x6b, digest[0], digest[1], digest[2], digest[3]];
        if taken.insert(mac) {
            return mac;
        }
    }
    unreachable!("a scenario has fewer interfaces than there are addresses")
}

/// Wire names with their members.
pub fn members(links: &[LinkPlan]) -> BTreeMap<String, Vec<String>> {
    links.iter().map(|link| (link.name.clone(), link.members.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario() -> Scenario {
        let text = r#"
            schema = "kbisect.scenario/1"
            summary = "x"
            [nodes.gw]
            kernel = "candidate"
            sysctl = { "net.ipv4.ip_forward" = 1 }
            devices = ["vrf-x type vrf table 10"]
            routes = ["default via 192.0.2.1"]
            [nodes.vm]
            kernel = "reference"
            [nodes.server]
            kernel = "reference"
            [links.lan]
            gw = { name = "eth0", addresses = ["10.0.0.1/24"], master = "vrf-x" }
            vm = { name = "eth0", addresses = ["10.0.0.2/24", "2001:db8::2/64"] }
            [links.wan]
            gw = { name = "eth1", addresses = ["192.0.2.2/24"] }
            server = { name = "eth0", addresses = ["192.0.2.1/24"] }
            [[checks]]
            name = "alive"
            node = "gw"
            alive = true
        "#;
        Scenario::parse("test", "scenario.toml", text).unwrap().scenario().clone()
    }

    #[test]
    fn nodes_go_to_the_machine_of_their_kernel() {
        let plan = NetworkPlan::new(&scenario(), Placement::Split);
        assert_eq!(plan.candidate.nodes.len(), 1);
        assert!(!plan.candidate.nodes[0].isolated, "a lone node is the machine");
        let peer = plan.peer.unwrap();
        let names: Vec<&str> = peer.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["server", "vm"]);
        assert!(peer.nodes.iter().all(|node| node.isolated));
        let gateway = &plan.candidate.nodes[0];
        assert_eq!(gateway.sysctl, [("net/ipv4/ip_forward".to_owned(), "1".to_owned())]);
        assert_eq!(gateway.devices, [device("vrf-x type vrf table 10")]);
        assert!(gateway.network.ends_with("route add default via 192.0.2.1\n"));
    }

    #[test]
    fn a_node_can_have_a_machine_of_its_own() {
        let mut own = scenario();
        own.nodes.get_mut("vm").unwrap().machine = kbisect_core::scenario::NodeMachine::Own;
        let plan = NetworkPlan::new(&own, Placement::Split);
        assert_eq!((plan.own.len(), plan.own[0].node.as_str()), (1, "vm"));
        assert!(!plan.own[0].machine.nodes[0].isolated);
        assert_eq!((plan.place_of("vm"), plan.is_under_test("vm")), (Place::Own(0), false));
        assert_eq!(plan.plug("lan", "vm").unwrap(), plan.own[0].machine.plugs[0]);
        assert_eq!(plan.peer.as_ref().unwrap().nodes.len(), 1);
        // The candidate's where nobody shares that.
        own.nodes.get_mut("gw").unwrap().machine = kbisect_core::scenario::NodeMachine::Own;
        let plan = NetworkPlan::new(&own, Placement::Split);
        assert_eq!((plan.own.len(), plan.place_of("gw")), (1, Place::Candidate));
        own.nodes.get_mut("vm").unwrap().kernel = NodeKernel::Candidate;
        let plan = NetworkPlan::new(&own, Placement::Split);
        let under_test: Vec<&str> =
            plan.nodes_under_test().map(|node| node.name.as_str()).collect();
        assert_eq!(under_test, ["gw", "vm"]);
        let plan = NetworkPlan::new(&own, Placement::Single);
        assert_eq!((plan.own.len(), plan.candidate.nodes.len()), (0, 3));
    }

    #[test]
    fn a_single_machine_holds_everything_and_still_has_wires() {
        let plan = NetworkPlan::new(&scenario(), Placement::Single);
        assert!(plan.peer.is_none());
        assert_eq!(plan.candidate.nodes.len(), 3);
        assert!(plan.candidate.nodes.iter().all(|node| node.isolated));
        assert_eq!(plan.candidate.plugs.len(), 4);
        let macs: BTreeSet<[u8; 6]> = plan.candidate.plugs.iter().map(|plug| plug.mac).collect();
        assert_eq!(macs.len(), 4);
        assert!(macs.iter().all(|mac| mac[0] & 3 == 2), "locally administered, not multicast");
    }

    #[test]
    fn a_devices_name_is_found_where_ip_takes_it() {
        for (device, name) in [
            ("vrf-x type vrf table 10", "vrf-x"),
            ("link eth1 name eth1.7 type vlan id 7", "eth1.7"),
            ("dev br0 type bridge", "br0"),
            ("veth0 type veth peer name veth1", "veth0"),
        ] {
            assert_eq!(device_name(device), name, "{device}");
        }
    }

    #[test]
    fn addresses_are_the_same_in_every_run() {
        let plan = || NetworkPlan::new(&scenario(), Placement::Split);
        assert_eq!(plan(), plan());
    }
}
