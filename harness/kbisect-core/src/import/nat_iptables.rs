//! Translations of `iptables-save`.

use std::collections::BTreeMap;

use super::host::{Filter, FilterKind};
use super::nat::{Any, Conditions, Counted, Translation, What, ports, reached, target};
use super::network::Network;
use crate::rules::{Rule, read_iptables};

/// Networks of a set by its name; none for one that holds something else too.
pub(super) type Sets = BTreeMap<String, Option<Vec<Network>>>;

/// Reads the sets of `ipset save`.
pub(super) fn sets(filters: &[Filter]) -> Sets {
    let mut sets = Sets::new();
    for filter in filters.iter().filter(|filter| filter.kind == FilterKind::Ipset) {
        for line in filter.text.lines() {
            let mut words = line.split_whitespace();
            match (words.next(), words.next(), words.next()) {
                (Some("create"), Some(name), Some(kind)) => {
                    let plain = matches!(kind, "hash:net" | "hash:ip");
                    sets.insert(name.to_owned(), plain.then(Vec::new));
                }
                (Some("add"), Some(name), Some(element)) => {
                    let Some(set) = sets.get_mut(name) else { continue };
                    // An exception within the set turns its meaning round.
                    let network = Network::parse(element).filter(|_| !line.contains(" nomatch"));
                    match (network, set.as_mut()) {
                        (Some(network), Some(networks)) => networks.push(network),
                        _ => *set = None,
                    }
                }
                _ => {}
            }
        }
    }
    sets
}

/// Reads a file; `v6` for ip6tables.
pub(super) fn read(filter: &Filter, v6: bool, sets: &Sets) -> Vec<Translation> {
    let rules: Vec<Rule> = read_iptables(&filter.text, v6)
        .rules
        .into_iter()
        .filter(|rule| rule.table == "nat")
        .collect();
    let jump = |rule: &Rule, chain: &str| {
        let to = rule.after("-j").or_else(|| rule.after("-g"))?;
        (to == chain).then(|| conditions(rule, v6, sets))
    };
    let mut found = Vec::new();
    for rule in &rules {
        let what = match rule.after("-j") {
            Some("DNAT") => {
                let several = rule.has("--random") || rule.has("--persistent");
                What::Destination(
                    rule.after("--to-destination").filter(|_| !several).and_then(target),
                )
            }
            Some("SNAT") => match rule.after("--to-source") {
                Some(to) if to.contains('-') && !to.contains(':') => What::SomeSource,
                Some(to) => target(to.split('-').next().unwrap_or_default())
                    .map_or(What::SomeSource, |(address, _)| What::Source(Some(address))),
                None => What::SomeSource,
            },
            Some("MASQUERADE") => What::Source(None),
            Some("NETMAP") => What::SomeSource,
            Some("ACCEPT" | "RETURN") => What::Stays,
            _ => continue,
        };
        let way = reached(&rules, &rule.chain, &|rule: &Rule| rule.chain.as_str(), &jump);
        // What the host itself sends is no connection that passes.
        if rule.chain == "OUTPUT" || matches!(what, What::Stays) && rule.chain != "POSTROUTING" {
            continue;
        }
        found.push(Translation {
            file: filter.file.clone(),
            line: rule.line,
            what,
            when: conditions(rule, v6, sets).and(&way),
            counted: rule
                .comment
                .as_deref()
                .and_then(|name| Counted::new("iptables_comment", name, 0)),
        });
    }
    found
}

/// What has to hold for a rule to be met.
fn conditions(rule: &Rule, v6: bool, sets: &Sets) -> Conditions {
    let mut when = Conditions { v6: Some(v6), ..Conditions::default() };
    let words: Vec<&str> = rule.words.iter().map(String::as_str).collect();
    let mut not = false;
    let mut at = 2;
    while let Some(word) = words.get(at) {
        let value = words.get(at + 1).copied().unwrap_or_default();
        let negated = std::mem::take(&mut not);
        let network = |value: &str| {
            let of: Option<Vec<Network>> = value.split(',').map(Network::parse).collect();
            of.map(|of| Any { not: negated, of })
        };
        at += 2;
        match *word {
            "!" => {
                not = true;
                at -= 1;
            }
            "-i" => when.enters.push(Any { not: negated, of: vec![value.to_owned()] }),
            "-o" => when.leaves.push(Any { not: negated, of: vec![value.to_owned()] }),
            "-s" | "-d" => match (network(value), *word) {
                (Some(any), "-s") => when.from.push(any),
                (Some(any), _) => when.to.push(any),
                (None, _) => when.unclear = true,
            },
            "-p" if !negated => when.protocol = Some(value.to_owned()),
            "--dport" | "--dports" => {
                let of: Option<Vec<(u16, u16)>> = value.split(',').map(ports).collect();
                match of {
                    Some(of) => when.ports.push(Any { not: negated, of }),
                    None => when.unclear = true,
                }
            }
            "--match-set" => {
                let set = sets.get(value).cloned().flatten();
                let direction = words.get(at).copied().unwrap_or_default();
                at += 1;
                match (set, direction) {
                    (Some(of), "src") => when.from.push(Any { not: negated, of }),
                    (Some(of), "dst") => when.to.push(Any { not: negated, of }),
                    _ => when.unclear = true,
                }
            }
            "-m" if matches!(
                value,
                "tcp"
                    | "udp"
                    | "comment"
                    | "multiport"
                    | "conntrack"
                    | "state"
                    | "set"
                    | "addrtype"
                    | "limit"
            ) => {}
            // New connections to an address of the host are what is tried.
            "--ctstate" | "--state" if value.contains("NEW") && !negated => {}
            "--dst-type" if value == "LOCAL" && !negated => {}
            // What a source is that nobody has is not told by its type.
            "--comment" | "-j" | "-g" | "--to-destination" | "--to-source" | "--limit"
            | "--limit-burst" | "--to-ports" => {}
            "--random" | "--persistent" | "--random-fully" => at -= 1,
            _ => when.unclear = true,
        }
    }
    when
}
