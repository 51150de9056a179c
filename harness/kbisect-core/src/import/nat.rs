//! What the rules of the host translate, and for which connections, as far as their words tell.

use std::net::IpAddr;

use super::network::Network;

/// Chains that lead to others, at most so deep.
const DEPTH: u8 = 4;

/// A rule about addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Translation {
    /// The dump's file and line.
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) what: What,
    pub(super) when: Conditions,
    /// How a check counts it.
    pub(super) counted: Option<Counted>,
}

/// What becomes of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Another destination: one address, or one that the rule chooses by what cannot be told.
    Destination(Option<(IpAddr, Option<u16>)>),
    /// Another source: this address, or that of the interface.
    Source(Option<IpAddr>),
    /// Another source out of several.
    SomeSource,
    /// Nothing: no later rule of the chain is looked at.
    Stays,
}

/// Key and value of `counter = { ... }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) key: &'static str,
    pub(super) name: String,
    /// Packets that it begins with: a dump has what was counted until then.
    pub(super) from: u64,
}

impl Counted {
    /// None for a name that no check can have: longer than the kernel takes, or with control characters.
    pub(super) fn new(key: &'static str, name: &str, from: u64) -> Option<Self> {
        let fits =
            name.len() <= 255 && !name.trim().is_empty() && !name.chars().any(char::is_control);
        fits.then(|| Self { key, name: name.to_owned(), from })
    }
}

/// A list of which one must be met, or none where it is negated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Any<T> {
    pub(super) not: bool,
    pub(super) of: Vec<T>,
}

/// What a connection has to be like. All have to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Conditions {
    pub(super) v6: Option<bool>,
    pub(super) enters: Vec<Any<String>>,
    pub(super) leaves: Vec<Any<String>>,
    pub(super) from: Vec<Any<Network>>,
    pub(super) to: Vec<Any<Network>>,
    /// `tcp` or `udp`, or others that no check is made of.
    pub(super) protocol: Option<String>,
    pub(super) ports: Vec<Any<(u16, u16)>>,
    /// Something that is not understood.
    pub(super) unclear: bool,
}

/// A connection at the host. What is not known is not set.
#[derive(Clone, Debug)]
pub(super) struct Flow<'a> {
    pub(super) enters: Option<&'a str>,
    pub(super) leaves: Option<&'a str>,
    pub(super) from: IpAddr,
    pub(super) to: IpAddr,
    pub(super) protocol: &'a str,
    pub(super) port: u16,
}

impl Conditions {
    /// Both.
    pub(super) fn and(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.v6 = both.v6.or(other.v6);
        both.enters.extend(other.enters.iter().cloned());
        both.leaves.extend(other.leaves.iter().cloned());
        both.from.extend(other.from.iter().cloned());
        both.to.extend(other.to.iter().cloned());
        both.protocol = both.protocol.or_else(|| other.protocol.clone());
        both.ports.extend(other.ports.iter().cloned());
        both.unclear |= other.unclear;
        both
    }

    /// Whether a connection may come in by an interface.
    pub(super) fn lets_in(&self, name: &str) -> bool {
        all(&self.enters, |pattern| is_name(pattern, name))
    }

    /// Whether they hold for a connection; none when that cannot be told.
    pub(super) fn hold(&self, flow: &Flow<'_>) -> Option<bool> {
        let known = self.v6.is_none_or(|v6| v6 == flow.to.is_ipv6())
            && all(&self.from, |network| network.contains(flow.from))
            && all(&self.to, |network| network.contains(flow.to))
            && self.protocol.as_ref().is_none_or(|name| name == flow.protocol)
            && all(&self.ports, |(first, last)| (*first..=*last).contains(&flow.port))
            && flow.enters.is_none_or(|name| all(&self.enters, |pattern| is_name(pattern, name)))
            && flow.leaves.is_none_or(|name| all(&self.leaves, |pattern| is_name(pattern, name)));
        match known {
            false => Some(false),
            true if self.unclear => None,
            true => Some(true),
        }
    }
}

fn all<T>(conditions: &[Any<T>], is: impl Fn(&T) -> bool) -> bool {
    conditions.iter().all(|any| any.of.iter().any(&is) != any.not)
}

/// `eth+` of iptables and `eth*` of nft are all that begin so.
fn is_name(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix(['+', '*']) {
        Some(begin) => name.starts_with(begin),
        None => pattern == name,
    }
}

/// What has to hold for a chain to be reached: by the first way to it from one that nobody jumps to. `jump`
/// gives the chain that a rule leads to and what has to hold for it.
pub(super) fn reached<R>(
    rules: &[R],
    chain: &str,
    chain_of: &impl Fn(&R) -> &str,
    jump: &impl Fn(&R, &str) -> Option<Conditions>,
) -> Conditions {
    let mut whole = Conditions::default();
    let mut at = chain.to_owned();
    for _ in 0..DEPTH {
        let way = rules.iter().find_map(|rule| Some((chain_of(rule), jump(rule, &at)?)));
        let Some((from, conditions)) = way.filter(|(from, _)| *from != at) else { return whole };
        whole = whole.and(&conditions);
        at = from.to_owned();
    }
    whole.unclear = true;
    whole
}

/// The rule that gives a connection its source, and the address if it is one alone. `Err` when that
/// cannot be told.
pub(super) fn source_of<'a>(
    translations: &'a [Translation],
    flow: &Flow<'_>,
) -> Result<Option<(usize, &'a Translation)>, ()> {
    for (index, one) in translations.iter().enumerate() {
        if matches!(one.what, What::Destination(_)) {
            continue;
        }
        match (one.when.hold(flow), &one.what) {
            (Some(false), _) => {}
            (Some(true), What::Stays) => return Ok(None),
            (Some(true), What::Source(_)) => return Ok(Some((index, one))),
            _ => return Err(()),
        }
    }
    Ok(None)
}

/// A port, or the first and the last of several.
pub(super) fn ports(text: &str) -> Option<(u16, u16)> {
    match text.split_once([':', '-']) {
        Some((first, last)) => Some((first.parse().ok()?, last.parse().ok()?)),
        None => match text.parse() {
            Ok(port) => Some((port, port)),
            // As nft lists them without `-n`, and as people write them.
            Err(_) => named_port(text).map(|port| (port, port)),
        },
    }
}

fn named_port(text: &str) -> Option<u16> {
    const NAMES: [(&str, u16); 14] = [
        ("ftp", 21),
        ("ssh", 22),
        ("telnet", 23),
        ("smtp", 25),
        ("domain", 53),
        ("http", 80),
        ("pop3", 110),
        ("ntp", 123),
        ("imap2", 143),
        ("https", 443),
        ("submission", 587),
        ("imaps", 993),
        ("openvpn", 1194),
        ("http-alt", 8080),
    ];
    NAMES.iter().find(|(name, _)| *name == text).map(|(_, port)| *port)
}

/// `ADDRESS`, `ADDRESS:PORT`, `[ADDRESS]:PORT`; none for ranges and for what is no address.
pub(super) fn target(text: &str) -> Option<(IpAddr, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let port = match port.strip_prefix(':') {
            Some(port) => Some(port.parse().ok()?),
            None => None,
        };
        return Some((address.parse().ok()?, port));
    }
    if let Ok(address) = text.parse() {
        return Some((address, None));
    }
    let (address, port) = text.rsplit_once(':')?;
    Some((address.parse().ok()?, Some(port.parse().ok()?)))
}
