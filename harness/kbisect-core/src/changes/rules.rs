//! Which features of the packet filter and of the network a text of rules or commands uses. It is
//! read as words: what it means is known to the tool that loads it.

use std::collections::BTreeSet;

/// Words of nft's language that stand for an expression, a statement or a kind of table.
const NFT: [&str; 35] = [
    "synproxy",
    "ct",
    "nat",
    "masquerade",
    "redirect",
    "snat",
    "dnat",
    "limit",
    "quota",
    "set",
    "map",
    "vmap",
    "flowtable",
    "queue",
    "log",
    "reject",
    "tproxy",
    "fib",
    "socket",
    "osf",
    "numgen",
    "jhash",
    "symhash",
    "dup",
    "fwd",
    "notrack",
    "meter",
    "secmark",
    "netdev",
    "bridge",
    "rt",
    "exthdr",
    "interval",
    "helper",
    "counter",
];

/// Objects that rules refer to by their name.
const OBJECTS: [&str; 6] = ["synproxy", "counter", "quota", "limit", "secmark", "helper"];

/// Targets of iptables that every kernel has.
const BUILT_IN: [&str; 3] = ["accept", "drop", "return"];

/// Most words of a text that are read.
const MAX_WORDS: usize = 200_000;

/// What a text uses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    /// Matches, targets, statements and expressions of rules.
    pub rules: BTreeSet<String>,
    /// Kinds of devices, queues and policies.
    pub devices: BTreeSet<String>,
}

impl Used {
    pub fn nft(&mut self, text: &str) {
        let words = words(text);
        for (n, word) in words.iter().enumerate() {
            if NFT.contains(&word.as_str()) {
                self.rules.insert(word.clone());
            }
            let next = words.get(n + 1).map(String::as_str);
            match (word.as_str(), next) {
                ("ct", Some("count")) => drop(self.rules.insert("connlimit".to_owned())),
                ("add" | "update", Some(set)) if set.starts_with('@') => {
                    self.rules.insert("dynset".to_owned());
                }
                (object, Some("name")) if OBJECTS.contains(&object) => {
                    self.rules.insert("objref".to_owned());
                }
                _ => {}
            }
            if word.starts_with('@') {
                self.rules.insert("lookup".to_owned());
            }
        }
    }

    pub fn iptables(&mut self, text: &str) {
        let mut chains = BTreeSet::new();
        for line in text.lines() {
            if let Some(chain) = line.trim().strip_prefix(':') {
                chains.extend(chain.split_whitespace().next().map(str::to_ascii_lowercase));
            }
        }
        let words = words(text);
        for pair in words.windows(2) {
            let [option, name] = pair else { continue };
            let target = matches!(option.as_str(), "-j" | "--jump" | "-g" | "--goto");
            if matches!(option.as_str(), "-n" | "--new-chain") {
                chains.insert(name.clone());
            }
            let own = target && (chains.contains(name) || BUILT_IN.contains(&name.as_str()));
            if (matches!(option.as_str(), "-m" | "--match") || target) && !own {
                self.rules.insert(name.clone());
            }
        }
        let tables = words.iter().filter_map(|word| word.strip_prefix('*'));
        self.rules.extend(tables.filter(|table| *table != "filter").map(str::to_owned));
    }

    /// Arguments of `ip`, `tc` and `bridge`.
    pub fn devices(&mut self, text: &str) {
        let words = words(text);
        for pair in words.windows(2) {
            if pair[0] == "type" && pair[1].len() > 2 {
                self.devices.insert(pair[1].clone());
            }
            if pair[0] == "xfrm" {
                self.devices.insert("xfrm".to_owned());
            }
        }
        for command in text.split(['\n', ';', '|', '&']) {
            let words: Vec<&str> = command.split_whitespace().collect();
            let kinds = [
                "tbf", "htb", "netem", "fq", "fq_codel", "hfsc", "ingress", "clsact", "flower",
                "u32",
            ];
            if words.first() == Some(&"tc") {
                let used = words.iter().filter(|word| kinds.contains(word));
                self.devices.extend(used.map(|word| (*word).to_owned()));
            }
        }
    }

    /// A line for a shell: whatever it calls.
    pub fn command(&mut self, text: &str) {
        for command in text.split(['\n', ';', '|', '&']) {
            let calls = |name: &str| command.split_whitespace().any(|word| word == name);
            if ["iptables", "ip6tables", "ebtables"].into_iter().any(calls) {
                self.iptables(command);
            }
            if calls("nft") {
                self.nft(command);
            }
            if ["ip", "tc", "bridge"].into_iter().any(calls) {
                self.devices(command);
            }
        }
    }
}

/// The words of a text without its comments, in lower case.
fn words(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let split =
        |c: char| c.is_whitespace() || matches!(c, '{' | '}' | ';' | ',' | '"' | '\'' | '(' | ')');
    lines
        .flat_map(|line| line.split(split))
        .filter(|word| !word.is_empty() && word.len() <= 64)
        .take(MAX_WORDS)
        .map(str::to_ascii_lowercase)
        .collect()
}
