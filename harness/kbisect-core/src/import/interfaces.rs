//! `ip -j -d addr` and `ip -j -d link`.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Finding;
use super::host::{Host, Interface, Kind, Wire};
use super::network::{Network, is_link_local};
use super::record::Record;
use crate::scenario::words;

/// Kinds that can be rebuilt, for messages.
const KNOWN: &str =
    "network cards, VLANs, VRFs, bridges, bonds, dummies, veth pairs, WireGuard, loopback";
/// What modules make by themselves when they are loaded, in every name space.
const FALLBACKS: [&str; 9] =
    ["tunl0", "gre0", "gretap0", "erspan0", "sit0", "ip6tnl0", "ip6gre0", "ip_vti0", "ip6_vti0"];
/// More interfaces than any scenario can use.
const MOST: usize = 1000;

/// What reading interfaces gave beside them.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Reasons to stop.
    pub(super) errors: Vec<Finding>,
    /// Interfaces that are such a reason.
    pub(super) unknown: Vec<String>,
    /// What was left out.
    pub(super) warnings: Vec<Finding>,
}

/// Reads interfaces into `host`. `ignored` ones are not looked at.
pub(super) fn read(records: &[Record], ignored: &BTreeSet<String>, host: &mut Host) -> Read {
    let mut read = Read::default();
    // `link` and `addr` tell of the same interfaces; each may have been taken without `-d`.
    let mut merged: BTreeMap<u32, Seen<'_>> = BTreeMap::new();
    let mut by_name: BTreeMap<String, u32> = BTreeMap::new();
    for (order, record) in (0..).zip(records) {
        let Some(name) = record.text("ifname") else {
            read.errors.push(record.finding("", "an interface without `ifname`"));
            continue;
        };
        let known = by_name.entry(name.clone()).or_insert(order);
        merged
            .entry(*known)
            .or_insert_with(|| Seen { name, records: Vec::new() })
            .records
            .push(record);
    }
    if merged.len() > MOST {
        let message = format!("{} interfaces: more than {MOST} cannot be imported", merged.len());
        read.errors.push(Finding::new(&records[0].file, "", message));
        return read;
    }
    let names: BTreeSet<&str> = by_name.keys().map(String::as_str).collect();
    let mut dropped: BTreeSet<String> =
        ignored.iter().filter(|name| names.contains(name.as_str())).cloned().collect();
    for name in ignored.iter().filter(|name| !names.contains(name.as_str())) {
        let message = "is to be ignored, but there is no such interface";
        read.warnings.push(Finding::new("", name, message));
    }
    for seen in merged.values().filter(|seen| !ignored.contains(&seen.name)) {
        match seen.kind(&names) {
            Ok(Some(kind)) => host.interfaces.extend(seen.interface(kind, &mut read)),
            // Parts of a bond.
            Ok(None) => {
                dropped.insert(seen.name.clone());
            }
            Err(kind) if FALLBACKS.contains(&seen.name.as_str()) && !seen.is_up() => {
                let message = format!("left out: an unused `{kind}` interface of the kernel's own");
                read.warnings.push(seen.finding(message));
                dropped.insert(seen.name.clone());
            }
            Err(kind) => {
                let message =
                    format!("interfaces of kind `{kind}` cannot be rebuilt (known are {KNOWN})");
                read.errors.push(seen.finding(message));
                read.unknown.push(seen.name.clone());
            }
        }
    }
    let flattened: BTreeSet<String> = host
        .interfaces
        .iter()
        .filter(|interface| interface.kind == Kind::Wire(Wire::Bond))
        .map(|interface| interface.name.clone())
        .collect();
    for bond in flattened {
        let parts: Vec<&str> = merged
            .values()
            .filter(|seen| seen.text("master").as_ref() == Some(&bond))
            .map(|seen| seen.name.as_str())
            .collect();
        let message = format!(
            "a bond of {} becomes one network card: link aggregation is not part of the scenario",
            if parts.is_empty() { "nothing".to_owned() } else { parts.join(" and ") }
        );
        read.warnings.push(Finding::new("", &bond, message));
    }
    read.warnings.extend(host.leave_out(dropped));
    untangle(host, &mut read);
    read
}

/// Sees to it that interfaces hang together as the kernel would have them: what refers to something
/// that is not there, or to itself by a detour, is a dump of something else.
fn untangle(host: &mut Host, read: &mut Read) {
    let kinds: BTreeMap<String, Kind> =
        host.interfaces.iter().map(|i| (i.name.clone(), i.kind.clone())).collect();
    let file = |name: &str, message: String| Finding::new("", name, message);
    for interface in &mut host.interfaces {
        let fits =
            match (interface.master.as_ref().and_then(|name| kinds.get(name)), &interface.kind) {
                (Some(Kind::Vrf { .. }), Kind::Vrf { .. } | Kind::Loopback) => false,
                (Some(Kind::Vrf { .. }), _) => true,
                (Some(Kind::Bridge { .. }), kind) => !matches!(
                    kind,
                    Kind::Vrf { .. } | Kind::Bridge { .. } | Kind::Loopback | Kind::Wireguard
                ),
                _ => false,
            };
        // What cannot be rebuilt was told of, and so is what hangs on it.
        if let Some(master) =
            interface.master.take_if(|_| !fits).filter(|master| !read.unknown.contains(master))
        {
            let message = format!("is under `{master}`, which is no VRF or bridge of the dumps");
            read.errors.push(file(&interface.name, message));
            read.unknown.push(interface.name.clone());
        }
        match interface.kind.clone() {
            Kind::Vlan { lower, .. }
                if !reaches_ground(&kinds, &interface.name) && !read.unknown.contains(&lower) =>
            {
                let message = format!("lies on `{lower}`, which cannot carry VLANs");
                read.errors.push(file(&interface.name, message));
                read.unknown.push(interface.name.clone());
            }
            // The other end has the name, but is no other end: it is in another name space.
            Kind::Veth { peer }
                if peer == interface.name || !is_end_of(&kinds, &peer, &interface.name) =>
            {
                interface.kind = Kind::Wire(Wire::Veth);
            }
            _ => {}
        }
    }
}

fn is_end_of(kinds: &BTreeMap<String, Kind>, name: &str, other: &str) -> bool {
    matches!(kinds.get(name), Some(Kind::Veth { peer }) if peer == other)
}

/// Whether a VLAN lies, through at most two others, on what sends frames.
fn reaches_ground(kinds: &BTreeMap<String, Kind>, name: &str) -> bool {
    let mut name = name;
    for _ in 0..4 {
        match kinds.get(name) {
            Some(Kind::Vlan { lower, .. }) => name = lower,
            Some(Kind::Vrf { .. } | Kind::Loopback | Kind::Wireguard) | None => return false,
            Some(_) => return true,
        }
    }
    false
}

/// Everything that the dumps say about one interface.
struct Seen<'a> {
    name: String,
    records: Vec<&'a Record>,
}

impl Seen<'_> {
    fn text(&self, key: &str) -> Option<String> {
        self.records.iter().find_map(|record| record.text(key))
    }

    fn is_up(&self) -> bool {
        self.records.iter().any(|record| record.lists("flags", "UP"))
    }

    fn finding(&self, message: impl Into<String>) -> Finding {
        self.records[0].finding(&self.name, message)
    }

    /// The interface's kind, none for part of a bond; the kernel's word for it when it is not known.
    fn kind(&self, names: &BTreeSet<&str>) -> Result<Option<Kind>, String> {
        let info = self.records.iter().find_map(|record| record.object("linkinfo"));
        let slave = info.as_ref().and_then(|info| info.text("info_slave_kind"));
        if matches!(slave.as_deref(), Some("bond" | "team")) {
            return Ok(None);
        }
        let link_type = self.text("link_type").unwrap_or_default();
        let data = info.as_ref().and_then(|info| info.object("info_data"));
        let number = |key| data.as_ref().and_then(|data| data.number(key));
        let Some(kind) = info.as_ref().and_then(|info| info.text("info_kind")) else {
            let below = self.text("link").filter(|lower| *lower != self.name);
            return match link_type.as_str() {
                _ if self.name == "lo" || link_type == "loopback" => Ok(Some(Kind::Loopback)),
                "ether" | "" if below.is_none() => Ok(Some(Kind::Wire(Wire::Card))),
                "ether" | "" => Err("unknown, since the dump was taken without `ip -d`".to_owned()),
                other => Err(other.to_owned()),
            };
        };
        Ok(Some(match kind.as_str() {
            "vlan" => {
                let id = number("id").filter(|id| (1..=4094).contains(id));
                let lower = self.text("link");
                let protocol = data.as_ref().and_then(|data| data.text("protocol"));
                let protocol = protocol.filter(|name| !name.eq_ignore_ascii_case("802.1q"));
                let known = protocol.as_ref().is_none_or(|name| name == "802.1ad");
                match (id, lower) {
                    (Some(id), Some(lower)) if known => Kind::Vlan { lower, id, protocol },
                    (_, None) => return Err("vlan, on an interface of another name space".into()),
                    _ => return Err("vlan, without a usable id or protocol".to_owned()),
                }
            }
            "vrf" => match number("table") {
                Some(table) => Kind::Vrf { table },
                None => return Err("vrf, without a table".to_owned()),
            },
            "bridge" => Kind::Bridge { vlan_filtering: number("vlan_filtering") == Some(1) },
            "bond" | "team" => Kind::Wire(Wire::Bond),
            "dummy" => Kind::Dummy,
            "wireguard" => Kind::Wireguard,
            "veth" => match self.text("link").filter(|peer| names.contains(peer.as_str())) {
                Some(peer) if !self.records.iter().any(|record| record.has("link_netnsid")) => {
                    Kind::Veth { peer }
                }
                _ => Kind::Wire(Wire::Veth),
            },
            _ => return Err(kind),
        }))
    }

    fn interface(&self, kind: Kind, read: &mut Read) -> Option<Interface> {
        if kind != Kind::Loopback && words::interface(&self.name).is_err() {
            read.errors.push(self.finding("a scenario cannot name this interface"));
            read.unknown.push(self.name.clone());
            return None;
        }
        let mut addresses = Vec::new();
        for info in self.records.iter().flat_map(|record| record.objects("addr_info")) {
            let local = info.text("local").unwrap_or_default();
            let prefix = info.number("prefixlen").and_then(|prefix| u8::try_from(prefix).ok());
            let network = local.parse().ok().zip(prefix).and_then(|(a, p)| Network::new(a, p));
            let Some(network) = network else {
                // An interface without an address of its own borrows one with an empty entry.
                if info.keys().next().is_some() {
                    read.errors
                        .push(self.finding(format!("`{local}` is no address with a prefix")));
                }
                continue;
            };
            // Link-local ones come by themselves, and temporary ones go.
            let passing = info.has("temporary") || info.has("dadfailed");
            let own = kind == Kind::Loopback && network.address.is_loopback();
            if is_link_local(network.address) || passing || own || addresses.contains(&network) {
                continue;
            }
            addresses.push(network);
        }
        let mtu = self.records.iter().find_map(|record| record.number("mtu")).unwrap_or(1500);
        Some(Interface {
            name: self.name.clone(),
            kind,
            mtu,
            master: self.text("master"),
            addresses,
        })
    }
}
