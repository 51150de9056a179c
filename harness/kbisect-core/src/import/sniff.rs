//! What a file of a dump holds. Its content tells; its name does not have to.

use super::record::Record;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `ip -j addr` or `ip -j link`.
    Interfaces,
    /// `ip -j route`.
    Routes,
    /// `ip -j rule`.
    Rules,
    /// `ip -j neigh`.
    Neighbours,
    /// `nft list ruleset`.
    Nft,
    /// `iptables-save`.
    Iptables,
    /// `ip6tables-save`.
    Ip6tables,
    /// `ipset save`.
    Ipset,
    /// `sysctl -a`.
    Sysctl,
    /// `/proc/modules`, or the names in it.
    Modules,
    /// iproute2's `rt_tables`.
    Tables,
    /// `wg show all listen-port`.
    Wireguard,
    /// A file for people: what host-dump did.
    Note,
    /// Nothing.
    Empty,
}

/// Whether a file is JSON, as `ip -j` writes it.
pub(super) fn is_json(text: &str) -> bool {
    text.trim_start().starts_with(['[', '{'])
}

/// Tells what a list of objects is.
pub(super) fn of_records(records: &[Record]) -> Option<Kind> {
    let any = |key: &str| records.iter().any(|record| record.has(key));
    if records.is_empty() {
        return Some(Kind::Empty);
    }
    if any("ifname") {
        return Some(Kind::Interfaces);
    }
    if any("priority") {
        return Some(Kind::Rules);
    }
    if any("dst") {
        // A neighbour that does not answer has no hardware address, but a state.
        let neighbours = any("lladdr") || any("state");
        return Some(if neighbours { Kind::Neighbours } else { Kind::Routes });
    }
    None
}

/// Tells what a text is; `name` helps where the content could be two things.
pub(super) fn of_text(name: &str, text: &str) -> Option<Kind> {
    let name = name.to_ascii_lowercase();
    if text.starts_with("# kbisect host dump") || name.starts_with("readme") {
        return Some(Kind::Note);
    }
    let lines = || {
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .take(200)
    };
    let Some(first) = lines().next() else { return Some(Kind::Empty) };
    if lines().any(|line| line.starts_with('*')) && lines().any(|line| line.starts_with(':')) {
        let v6 =
            text.lines().take(20).any(|line| line.contains("ip6tables-save")) || name.contains('6');
        return Some(if v6 { Kind::Ip6tables } else { Kind::Iptables });
    }
    if lines().any(|line| line.starts_with("table ") && line.ends_with('{')) {
        return Some(Kind::Nft);
    }
    if first.starts_with("create ") || name.contains("ipset") {
        return Some(Kind::Ipset);
    }
    if lines().any(|line| line.split_once('=').is_some_and(|(key, _)| key.trim().contains('.'))) {
        return Some(Kind::Sysctl);
    }
    let port = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words.as_slice(), [_, port] if *port == "off" || port.parse::<u16>().is_ok())
    };
    if ["wireguard", "wg"].iter().any(|part| name.contains(part)) && lines().all(port) {
        return Some(Kind::Wireguard);
    }
    if lines().all(is_table_name) {
        return Some(Kind::Tables);
    }
    let loaded = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.len() >= 5 && matches!(words[4], "Live" | "Loading" | "Unloading")
    };
    if lines().all(loaded) || name.contains("modules") {
        return Some(Kind::Modules);
    }
    None
}

/// `10  cloud`
fn is_table_name(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let number = words.next().and_then(super::record::parse_number);
    number.is_some() && words.next().is_some() && words.next().is_none_or(|word| word == "#")
}
