//! `ip -j route`, `ip -j rule`, `ip -j neigh` and the names of routing tables.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::finding::Finding;
use super::host::{Hop, Neighbour, Route, Rule};
use super::network::{Network, is_link_local};
use super::record::{Record, parse_number};

/// Numbers of routing tables by name.
#[derive(Clone, Debug)]
pub(super) struct Tables(BTreeMap<String, u32>);

impl Default for Tables {
    fn default() -> Self {
        let reserved = [("unspec", 0), ("default", 253), ("main", MAIN), ("local", LOCAL)];
        Self(reserved.map(|(name, number)| (name.to_owned(), number)).into())
    }
}

/// The table that rules 32766 look up (`RT_TABLE_MAIN`).
pub(super) const MAIN: u32 = 254;
/// The table of the host's own addresses (`RT_TABLE_LOCAL`).
pub(super) const LOCAL: u32 = 255;

impl Tables {
    /// Adds the names of an `rt_tables` file.
    pub(super) fn add(&mut self, text: &str) {
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            if let (Some(number), Some(name)) = (words.next().and_then(parse_number), words.next())
            {
                self.0.insert(name.to_owned(), number);
            }
        }
    }

    fn number(&self, text: &str) -> Option<u32> {
        parse_number(text).or_else(|| self.0.get(text).copied())
    }

    fn of(&self, record: &Record, what: &str) -> Result<u32, Finding> {
        let Some(text) = record.text("table") else { return Ok(MAIN) };
        self.number(&text).ok_or_else(|| {
            let message = format!(
                "routing table `{text}` has no number: add the host's /etc/iproute2/rt_tables"
            );
            record.finding(what, message)
        })
    }
}

/// Reads one route; none for those that the kernel makes by itself. An error in `Err(Ok(_))` leaves
/// the route out, one in `Err(Err(_))` is a reason to stop.
pub(super) fn route(record: &Record, tables: &Tables) -> Result<Option<Route>, Trouble> {
    let kind = record.text("type").unwrap_or_else(|| "unicast".to_owned());
    let to = record.text("dst").unwrap_or_default();
    let what = format!("route to {to}");
    let protocol = record.text("protocol");
    // 2 is `kernel` for `ip -N`. Multicast and broadcast routes are made by nobody else.
    let own = matches!(protocol.as_deref(), Some("kernel" | "2"));
    if own || matches!(kind.as_str(), "broadcast" | "multicast" | "anycast") {
        return Ok(None);
    }
    let leave_out = |why: &str| Trouble::LeftOut(record.finding(&what, format!("left out: {why}")));
    let gone = ["dead", "linkdown"].iter().any(|flag| record.lists("flags", flag));
    if gone {
        return Err(leave_out("its link is down"));
    }
    if record.has("encap") {
        return Err(leave_out("encapsulation is not imported"));
    }
    let known = ["unicast", "local", "unreachable", "blackhole", "prohibit", "throw"];
    if !known.contains(&kind.as_str()) {
        return Err(leave_out(&format!("its type is `{kind}`")));
    }
    let rejects = !matches!(kind.as_str(), "unicast" | "local");
    let mut hops = Vec::new();
    let ways = record.objects("nexthops");
    for way in if ways.is_empty() { vec![record.clone()] } else { ways } {
        let via = way.object("via").and_then(|via| via.text("host"));
        let gateway = way.text("gateway").or(via);
        let gateway: Option<IpAddr> = match gateway.as_deref().map(str::parse) {
            None => None,
            Some(Ok(gateway)) => Some(gateway),
            Some(Err(_)) => return Err(leave_out("its gateway is no address")),
        };
        let onlink = way.lists("flags", "onlink");
        let weight = way.number("weight").unwrap_or(1).clamp(1, 256);
        match way.text("dev") {
            Some(device) => hops.push(Hop { gateway, device, onlink, weight }),
            None if rejects => {}
            None => return Err(leave_out("it names no interface")),
        }
    }
    if rejects {
        // IPv6 shows them on `lo`.
        hops.clear();
    }
    let source: Option<IpAddr> = record.text("prefsrc").and_then(|text| text.parse().ok());
    let network = match to.as_str() {
        "default" => {
            // A way without a gateway does not tell the family; only IPv6 routes have `pref`.
            let seen = hops.iter().filter(|hop| hop.gateway.is_some()).find_map(|hop| hop.gateway);
            let via_v6 = record.object("via").is_some();
            let v6 = match (seen, source) {
                (_, Some(source)) => source.is_ipv6(),
                (Some(gateway), None) if !via_v6 => gateway.is_ipv6(),
                _ => record.has("pref"),
            };
            Network::all(v6)
        }
        text => match Network::parse(text) {
            Some(network) => network,
            None => {
                let message = format!("`{text}` is no destination");
                return Err(Trouble::Broken(record.finding("", message)));
            }
        },
    };
    // What every IPv6 interface has for its own link.
    let own_link = is_link_local(network.address) || network.address.is_multicast();
    if network.is_v6() && own_link && hops.iter().all(|hop| hop.gateway.is_none()) {
        return Ok(None);
    }
    let metrics = record.objects("metrics");
    Ok(Some(Route {
        kind,
        to: network.network(),
        hops,
        table: tables.of(record, &what).map_err(Trouble::Broken)?,
        metric: record.number("metric").filter(|metric| *metric > 0),
        source,
        mtu: metrics.iter().find_map(|metrics| metrics.number("mtu")),
    }))
}

/// Why a route or a rule is not there.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It cannot be rebuilt.
    LeftOut(Finding),
    /// The dump is broken.
    Broken(Finding),
}

impl Route {
    /// Whether it goes over a gateway, which other routes may have to lead to.
    pub(super) fn needs_others(&self) -> bool {
        self.hops.iter().any(|hop| hop.gateway.is_some())
    }

    /// As arguments of `ip route add`.
    pub(super) fn words(&self) -> String {
        let mut words = Vec::new();
        if self.kind != "unicast" {
            words.push(self.kind.clone());
        }
        words.push(match self.to.prefix {
            0 if !self.to.is_v6() => "default".to_owned(),
            _ => self.to.to_string(),
        });
        if let [hop] = self.hops.as_slice() {
            words.push(self.hop_words(hop));
        }
        words.push(if self.table == MAIN {
            String::new()
        } else {
            format!("table {}", self.table)
        });
        words.extend(self.metric.map(|metric| format!("metric {metric}")));
        words.extend(self.source.map(|source| format!("src {source}")));
        words.extend(self.mtu.map(|mtu| format!("mtu {mtu}")));
        if self.hops.len() > 1 {
            for hop in &self.hops {
                words.push(format!("nexthop {} weight {}", self.hop_words(hop), hop.weight));
            }
        }
        words.retain(|word| !word.is_empty());
        words.join(" ")
    }

    fn hop_words(&self, hop: &Hop) -> String {
        let via = match hop.gateway {
            Some(gateway) if gateway.is_ipv6() && !self.to.is_v6() => {
                format!("via inet6 {gateway} ")
            }
            Some(gateway) => format!("via {gateway} "),
            None => String::new(),
        };
        let onlink = if hop.onlink { " onlink" } else { "" };
        format!("{via}dev {}{onlink}", hop.device)
    }
}

/// Reads one rule.
pub(super) fn rule(record: &Record, v6: bool, tables: &Tables) -> Result<Rule, Trouble> {
    let Some(priority) = record.number("priority") else {
        return Err(Trouble::Broken(record.finding("", "a rule without `priority`")));
    };
    let what = format!("rule {priority}");
    let text = |key: &str| record.text(key).unwrap_or_default();
    let mut words: Vec<String> = Vec::new();
    let mut devices = Vec::new();
    let mut conditions = 0;
    for key in record.keys() {
        let value = text(key);
        let number = record.number(key);
        let word = match key {
            "src" | "dst" if matches!(value.as_str(), "all" | "") => continue,
            "src" | "dst" => {
                let prefix = record.text(&format!("{key}len")).map(|prefix| format!("/{prefix}"));
                let network = Network::parse(&format!("{value}{}", prefix.unwrap_or_default()));
                let side = if key == "src" { "from" } else { "to" };
                network.map(|network| format!("{side} {network}"))
            }
            "not" => Some("not".to_owned()),
            "fwmark" => match (number, record.has("fwmask"), record.number("fwmask")) {
                (Some(mark), false, _) => Some(format!("fwmark {mark:#x}")),
                (Some(mark), true, Some(mask)) => Some(format!("fwmark {mark:#x}/{mask:#x}")),
                _ => None,
            },
            "iif" | "oif" => {
                devices.push(value.clone());
                Some(format!("{key} {value}"))
            }
            "tos" | "ipproto" | "sport" | "dport" if is_word(&value) => {
                Some(format!("{key} {value}"))
            }
            "sport_start" | "dport_start" => {
                let end = record.number(&key.replace("start", "end"));
                let side = &key[..5];
                number.zip(end).map(|(start, end)| format!("{side} {start}-{end}"))
            }
            "uid_start" => number
                .zip(record.number("uid_end"))
                .map(|(start, end)| format!("uidrange {start}-{end}")),
            "suppress_prefixlen" => number.map(|n| format!("suppress_prefixlength {n}")),
            // The kernel's own values, and halves of others.
            "priority" | "protocol" | "table" | "l3mdev" | "srclen" | "dstlen" | "fwmask"
            | "sport_end" | "dport_end" | "uid_end" | "action" | "goto" | "iif_detached"
            | "oif_detached" => continue,
            _ => None,
        };
        let Some(word) = word else {
            let message = format!("left out: `{key}` is not understood");
            return Err(Trouble::LeftOut(record.finding(&what, message)));
        };
        if key != "suppress_prefixlen" {
            conditions += 1;
        }
        words.push(word);
    }
    // `not` has to come before what it turns round.
    words.sort_by_key(|word| word != "not");
    let l3mdev = record.has("l3mdev");
    let mut plain_lookup = None;
    match (text("action").as_str(), record.number("goto")) {
        _ if l3mdev => words.push("l3mdev".to_owned()),
        (_, Some(target)) => words.push(format!("goto {target}")),
        ("", None) | ("to_tbl", None) => {
            let table = tables.of(record, &what).map_err(Trouble::Broken)?;
            plain_lookup = (words.is_empty()).then_some(table);
            words.push(format!("table {table}"));
        }
        (action @ ("blackhole" | "unreachable" | "prohibit"), None) => {
            words.push(action.to_owned())
        }
        (action, None) => {
            let message = format!("left out: the action `{action}` is not understood");
            return Err(Trouble::LeftOut(record.finding(&what, message)));
        }
    }
    let l3mdev = l3mdev && conditions == 0;
    Ok(Rule { v6, priority, l3mdev, plain_lookup, words: words.join(" "), devices })
}

/// Reads an entry of the neighbour table; none for what it did not reach.
pub(super) fn neighbour(record: &Record) -> Option<Neighbour> {
    let failed = record.lists("state", "FAILED") || record.lists("state", "INCOMPLETE");
    let address: IpAddr = record.text("dst")?.parse().ok()?;
    (!failed && !address.is_multicast()).then_some(Neighbour {
        address,
        device: record.text("dev")?,
        hardware: record.text("lladdr"),
    })
}

/// Whether a value can stand among the arguments of `ip`.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}
