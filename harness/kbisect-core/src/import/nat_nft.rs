//! Translations of `nft list ruleset`.

use super::host::Filter;
use super::nat::{Any, Conditions, Counted, Translation, What, ports, reached, target};
use super::network::Network;
use crate::rules::{Counter, Deed, Element, Map, Rule, Rules, read_nft};

/// Reads a file.
pub(super) fn read(filter: &Filter) -> Vec<Translation> {
    let Rules { rules, maps, counters } = read_nft(&filter.text);
    let translates = |rule: &Rule| {
        matches!(rule.deed, Some(Deed::Dnat | Deed::Snat | Deed::Masquerade | Deed::Redirect))
    };
    let mut found = Vec::new();
    for rule in &rules {
        let same_table = |other: &Rule| other.table == rule.table && other.family == rule.family;
        let sources = || {
            rules.iter().any(|other| {
                same_table(other)
                    && other.chain == rule.chain
                    && matches!(other.deed, Some(Deed::Snat | Deed::Masquerade))
            })
        };
        let stays = || {
            rule.words.last().is_some_and(|word| matches!(word.as_str(), "accept" | "return"))
                || rule.comment.is_some() && (rule.has("accept") || rule.has("return"))
        };
        let counts = translates(rule) || (stays() && sources());
        if !counts {
            continue;
        }
        let here: Vec<&Rule> = rules.iter().filter(|other| same_table(other)).collect();
        let jump = |other: &&Rule, chain: &str| jumps(other, chain, &maps);
        let way = reached(&here, &rule.chain, &|other: &&Rule| other.chain.as_str(), &jump);
        let when = conditions(rule, &maps).and(&way);
        let counted = match (&rule.counter, &rule.comment) {
            (Counter::Named(name), _) => {
                let of = counters.iter().filter(|(other, _)| other == name);
                let from = of.fold(0, |sum: u64, (_, packets)| sum.saturating_add(*packets));
                Counted::new("nft", name, from)
            }
            (Counter::Own, Some(comment)) => {
                let of = rules.iter().filter(|other| other.comment.as_ref() == Some(comment));
                let from = of.fold(0, |sum: u64, other| sum.saturating_add(other.packets()));
                Counted::new("nft_comment", comment, from)
            }
            _ => None,
        };
        let mut add = |what: What, when: Conditions| {
            let (file, line) = (filter.file.clone(), rule.line);
            found.push(Translation { file, line, what, when, counted: counted.clone() });
        };
        match rule.deed {
            Some(Deed::Dnat) => {
                let whats = destinations(rule, &maps);
                for (port, to) in whats {
                    let mut when = when.clone();
                    when.protocol = when.protocol.or_else(|| map_key(rule));
                    when.ports.extend(port.map(|port| Any { not: false, of: vec![port] }));
                    add(What::Destination(to), when);
                }
            }
            Some(Deed::Snat) => add(source(rule), when),
            Some(Deed::Masquerade) => add(What::Source(None), when),
            Some(Deed::Redirect) => add(What::Destination(None), when),
            _ => add(What::Stays, when),
        }
    }
    found
}

/// Words behind the first `word` that are arguments of a statement.
fn behind<'a>(rule: &'a Rule, word: &str) -> &'a [String] {
    let at = rule.words.iter().position(|other| other == word);
    at.map_or(&[][..], |at| &rule.words[at + 1..])
}

fn source(rule: &Rule) -> What {
    let words = behind(rule, "snat");
    let to = words.iter().position(|word| word == "to").and_then(|at| words.get(at + 1));
    match to {
        Some(to) if to.contains('-') && !to.contains(':') => What::SomeSource,
        Some(to) => target(to.split('-').next().unwrap_or_default())
            .map_or(What::SomeSource, |(address, _)| What::Source(Some(address))),
        None => What::SomeSource,
    }
}

type Destination = (Option<(u16, u16)>, Option<(std::net::IpAddr, Option<u16>)>);

/// Where `dnat` leads to: `to ADDRESS[:PORT]`, or by a map from the port.
fn destinations(rule: &Rule, maps: &[Map]) -> Vec<Destination> {
    let words = behind(rule, "dnat");
    let Some(to) = words.iter().position(|word| word == "to") else { return vec![(None, None)] };
    let words = &words[to + 1..];
    let Some(at) = words.iter().position(|word| word == "map") else {
        return vec![(None, words.first().and_then(|word| target(word)))];
    };
    let by_port = matches!(&words[..at], [protocol, dport] if dport == "dport" && protocol != "ct")
        || matches!(&words[..at], [th, dport] if th == "th" && dport == "dport");
    let elements = elements(&words[at + 1..], rule, maps);
    let one = |element: &Element| {
        let port = element.key.first().and_then(|key| ports(key))?;
        let to = match element.value.as_slice() {
            [address] => target(address)?,
            [address, dot, port] if dot == "." => (address.parse().ok()?, Some(ports(port)?.0)),
            _ => return None,
        };
        Some((Some(port), Some(to)))
    };
    match elements {
        Some(elements) if by_port => {
            elements.iter().map(|element| one(element).unwrap_or((None, None))).collect()
        }
        _ => vec![(None, None)],
    }
}

/// The protocol of a map from ports that is behind `dnat`.
fn map_key(rule: &Rule) -> Option<String> {
    let words = behind(rule, "dnat");
    let at = words.windows(3).position(|three| three[1] == "dport" && three[2] == "map")?;
    Some(words[at].clone()).filter(|name| matches!(name.as_str(), "tcp" | "udp"))
}

/// `{ ... }` or `@NAME` at the beginning of some words.
fn elements(words: &[String], rule: &Rule, maps: &[Map]) -> Option<Vec<Element>> {
    let first = words.first()?;
    if let Some(name) = first.strip_prefix('@') {
        let is =
            |map: &&Map| map.name == name && map.table == rule.table && map.family == rule.family;
        return maps.iter().find(is).map(|map| map.elements.clone());
    }
    if first != "{" {
        return None;
    }
    let end = words.iter().position(|word| word == "}")?;
    let parts = words[1..end].split(|word| word == ",").filter(|part| !part.is_empty());
    let element = |part: &[String]| {
        let colon = part.iter().position(|word| word == ":").unwrap_or(part.len());
        let value = part.get(colon + 1..).unwrap_or(&[]).to_vec();
        Element { key: part[..colon].to_vec(), value }
    };
    Some(parts.map(element).collect())
}

/// What has to hold for a rule to lead to a chain.
fn jumps(rule: &Rule, chain: &str, maps: &[Map]) -> Option<Conditions> {
    let leads = |words: &[String]| {
        words.windows(2).any(|pair| matches!(pair[0].as_str(), "jump" | "goto") && pair[1] == chain)
    };
    if !leads(&rule.words) {
        return None;
    }
    let Some(at) = rule.words.iter().position(|word| word == "vmap") else {
        return Some(conditions(rule, maps));
    };
    let mut when = Conditions::default();
    let device = at > 0 && matches!(rule.words[at - 1].as_str(), "iifname" | "iif");
    let elements = elements(&rule.words[at + 1..], rule, maps).unwrap_or_default();
    let own: Vec<String> = elements
        .into_iter()
        .filter(|element| leads(&element.value))
        .filter_map(|element| element.key.into_iter().next())
        .collect();
    match device && at == 1 {
        true => when.enters.push(Any { not: false, of: own }),
        false => when.unclear = true,
    }
    Some(when)
}

/// What has to hold for a rule to be met.
fn conditions(rule: &Rule, maps: &[Map]) -> Conditions {
    let v6 = match rule.family.as_str() {
        "ip" => Some(false),
        "ip6" => Some(true),
        _ => None,
    };
    let mut when = Conditions { v6, ..Conditions::default() };
    let mut words = rule.words.as_slice();
    while let Some(word) = words.first() {
        let next = words.get(1).map_or("", String::as_str);
        let used = match (word.as_str(), next) {
            ("iifname" | "iif", _) => {
                texts(&mut when.enters, &words[1..], rule, maps).map(|n| n + 1)
            }
            ("oifname" | "oif", _) => {
                texts(&mut when.leaves, &words[1..], rule, maps).map(|n| n + 1)
            }
            ("ip" | "ip6", "saddr" | "daddr") => {
                when.v6 = Some(word == "ip6");
                let side = if next == "saddr" { &mut when.from } else { &mut when.to };
                values(side, &words[2..], rule, maps, network).map(|n| n + 2)
            }
            ("tcp" | "udp", "dport") => {
                when.protocol = Some(word.clone());
                match words.get(2).map(String::as_str) {
                    // It is the key of a map.
                    Some("map") => Some(2),
                    _ => values(&mut when.ports, &words[2..], rule, maps, ports).map(|n| n + 2),
                }
            }
            ("meta", "l4proto") | ("ip", "protocol") => match words.get(2).map(String::as_str) {
                Some(name @ ("tcp" | "udp")) => {
                    when.protocol = Some(name.to_owned());
                    Some(3)
                }
                _ => None,
            },
            ("meta", "nfproto") => {
                when.v6 = Some(words.get(2).is_some_and(|name| name == "ipv6"));
                Some(3)
            }
            ("fib", "daddr") => {
                let local = words.iter().take(4).any(|word| word == "local");
                local.then_some(4)
            }
            ("ct", "state") if words.get(2).is_some_and(|state| state.contains("new")) => Some(3),
            ("counter", "name") => Some(3),
            ("counter", "packets") => Some(5),
            ("counter", _) => Some(1),
            ("comment", _) => Some(2),
            ("limit", "rate") => Some(words.iter().take(4).len().min(3)),
            ("log", "prefix") => Some(3),
            // The verdict: its own words are read elsewhere.
            (
                "dnat" | "snat" | "masquerade" | "redirect" | "accept" | "return" | "jump" | "goto",
                _,
            ) => {
                break;
            }
            _ => None,
        };
        match used {
            Some(used) => words = &words[used.min(words.len())..],
            None => {
                when.unclear = true;
                break;
            }
        }
    }
    when
}

fn network(text: &str) -> Option<Network> {
    Network::parse(text)
}

fn texts(to: &mut Vec<Any<String>>, words: &[String], rule: &Rule, maps: &[Map]) -> Option<usize> {
    values(to, words, rule, maps, |text| Some(text.to_owned()))
}

/// Reads `[!=] VALUE`, `[!=] { VALUE, ... }` or `[!=] @SET`; gives how many words that are.
fn values<T>(
    to: &mut Vec<Any<T>>,
    words: &[String],
    rule: &Rule,
    maps: &[Map],
    read: impl Fn(&str) -> Option<T>,
) -> Option<usize> {
    let not = words.first()?.as_str() == "!=";
    let words = &words[usize::from(not)..];
    let first = words.first()?;
    let (of, used) = match elements(words, rule, maps) {
        Some(elements) => {
            let used = match first.as_str() {
                "{" => words.iter().position(|word| word == "}")? + 1,
                _ => 1,
            };
            let plain = |element: &Element| read(element.key.first()?);
            (elements.iter().map(plain).collect::<Option<Vec<T>>>()?, used)
        }
        None if first.starts_with('@') => return None,
        None => (vec![read(first)?], 1),
    };
    to.push(Any { not, of });
    Some(used + usize::from(not))
}
