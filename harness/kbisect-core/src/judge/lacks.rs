//! What a kernel may lack that refused something: kinds of devices, matches, statements, protocols.
//!
//! Only names come out of here; whether the kernel has it is asked in the guest.

use crate::scenario::Action;

/// Something that a kernel has or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sought {
    /// What it is called for people.
    pub name: String,
    /// Symbols of the kernel's configuration, one of which builds it; may be empty.
    pub config: Vec<String>,
    /// Modules, their aliases, or functions of what is built in.
    pub modules: Vec<String>,
}

/// What a kernel says that does not know what it is asked for.
const UNKNOWN: [&str; 9] = [
    "Unknown device type",
    "Could not process rule: No such file or directory",
    "Could not process rule: Operation not supported",
    "missing kernel module",
    "No chain/target/match by that name",
    "RULE_APPEND failed",
    "Protocol not supported",
    "Address family not supported",
    "RTNETLINK answers: Operation not supported",
];

/// Kinds of devices whose module or symbol is not called like them.
const DEVICES: [(&str, &str, &str); 24] = [
    ("vrf", "vrf", "NET_VRF"),
    ("vxlan", "vxlan", "VXLAN"),
    ("bridge", "bridge", "BRIDGE"),
    ("vlan", "8021q", "VLAN_8021Q"),
    ("bond", "bonding", "BONDING"),
    ("dummy", "dummy", "DUMMY"),
    ("veth", "veth", "VETH"),
    ("macvlan", "macvlan", "MACVLAN"),
    ("macvtap", "macvtap", "MACVTAP"),
    ("ipvlan", "ipvlan", "IPVLAN"),
    ("wireguard", "wireguard", "WIREGUARD"),
    ("gre", "ip_gre", "NET_IPGRE"),
    ("gretap", "ip_gre", "NET_IPGRE"),
    ("ip6gre", "ip6_gre", "IPV6_GRE"),
    ("ipip", "ipip", "NET_IPIP"),
    ("sit", "sit", "IPV6_SIT"),
    ("ip6tnl", "ip6_tunnel", "IPV6_TUNNEL"),
    ("vti", "ip_vti", "NET_IPVTI"),
    ("geneve", "geneve", "GENEVE"),
    ("ifb", "ifb", "IFB"),
    ("xfrm", "xfrm_interface", "XFRM_INTERFACE"),
    ("team", "team", "NET_TEAM"),
    ("macsec", "macsec", "MACSEC"),
    ("hsr", "hsr", "HSR"),
];

/// Words of nft rules that need a module of their own.
const STATEMENTS: [(&str, &str); 19] = [
    ("ct count", "nft_connlimit"),
    ("synproxy", "nft_synproxy"),
    ("masquerade", "nft_masq"),
    ("snat", "nft_nat"),
    ("dnat", "nft_nat"),
    ("redirect", "nft_redir"),
    ("fib", "nft_fib"),
    ("socket", "nft_socket"),
    ("tproxy", "nft_tproxy"),
    ("limit", "nft_limit"),
    ("log", "nft_log"),
    ("reject", "nft_reject"),
    ("quota", "nft_quota"),
    ("queue", "nft_queue"),
    ("osf", "nft_osf"),
    ("ipsec", "nft_xfrm"),
    ("numgen", "nft_numgen"),
    ("jhash", "nft_hash"),
    ("flowtable", "nft_flow_offload"),
];

const PROTOCOLS: [(&str, &str, &str); 4] = [
    ("sctp", "sctp", "IP_SCTP"),
    ("dccp", "dccp", "IP_DCCP"),
    ("mptcp", "mptcp", "MPTCP"),
    ("tipc", "tipc", "TIPC"),
];

/// What may be lacking where this was said of a command, and `text` is what was asked for.
pub fn sought(said: &str, text: &str) -> Vec<Sought> {
    if !UNKNOWN.iter().any(|words| said.contains(words)) {
        return Vec::new();
    }
    let mut found = devices(text);
    let words: Vec<&str> = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).collect();
    let has = |name: &str| {
        let parts: Vec<&str> = name.split(' ').collect();
        words.windows(parts.len()).any(|window| window == parts)
    };
    if said.contains("Could not process rule") {
        for (name, module) in STATEMENTS.iter().filter(|(name, _)| has(name)) {
            found.push(of(name, &[&module.to_uppercase()], &[module]));
        }
    }
    if said.contains("table") || said.contains("RULE_APPEND") || said.contains("chain/target") {
        found.extend(extensions(text));
    }
    if said.contains("not supported") {
        for (name, module, symbol) in PROTOCOLS.iter().filter(|(name, ..)| has(name)) {
            found.push(of(name, &[symbol], &[module]));
        }
    }
    let mut once: Vec<Sought> = Vec::new();
    for one in found {
        if !once.contains(&one) {
            once.push(one);
        }
    }
    once
}

/// The module that makes devices of a kind, as ip(8) calls it; none where it is not known.
pub fn module_of_device(kind: &str) -> Option<&'static str> {
    DEVICES.iter().find(|(name, ..)| *name == kind).map(|(_, module, _)| *module)
}

/// The text that an action has a program read. `line` is the one that the program named, from 1.
pub fn text_of(action: &Action, asset: Option<&[u8]>, line: Option<u32>) -> String {
    let Action::Run(script) = action else {
        let text = String::from_utf8_lossy(asset.unwrap_or_default()).into_owned();
        let named = line.and_then(|line| text.lines().nth(line.checked_sub(1)? as usize));
        return named.map_or(text.clone(), str::to_owned);
    };
    script.clone()
}

fn of(name: &str, symbols: &[&str], modules: &[&str]) -> Sought {
    Sought {
        name: name.to_owned(),
        config: symbols.iter().map(|symbol| format!("CONFIG_{symbol}")).collect(),
        modules: modules.iter().map(|module| (*module).to_owned()).collect(),
    }
}

/// Kinds of devices: what stands behind `type` in commands of ip(8) that add a link.
fn devices(text: &str) -> Vec<Sought> {
    let lines = text.lines().filter(|line| line.contains("link add") || line.contains("link a "));
    let kinds = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        words.find(|word| *word == "type")?;
        words.next()
    });
    let device = |kind: &str| match DEVICES.iter().find(|(name, ..)| *name == kind) {
        Some((name, module, symbol)) => of(name, &[symbol], &[module]),
        None => of(kind, &[], &[&format!("rtnl-link-{kind}"), kind]),
    };
    kinds.map(device).collect()
}

/// Matches and targets of iptables(8).
fn extensions(text: &str) -> Vec<Sought> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let after = |options: &[&str]| {
        let pairs = words.windows(2).filter(|pair| options.contains(&pair[0]));
        pairs.map(|pair| pair[1]).collect::<Vec<_>>()
    };
    // Part of every kernel that has tables.
    const ALWAYS: [&str; 5] = ["tcp", "udp", "icmp", "ACCEPT", "DROP"];
    let matches = after(&["-m", "--match"]).into_iter().map(|name| (name, "MATCH", "mt"));
    let targets = after(&["-j", "--jump"]).into_iter().map(|name| (name, "TARGET", "tg"));
    // What is in capitals comes with the kernel; other targets are chains of the scenario.
    let targets = targets.filter(|(name, ..)| name.chars().all(|c| c.is_ascii_uppercase()));
    matches
        .chain(targets)
        .filter(|(name, ..)| !ALWAYS.contains(name) && *name != "RETURN")
        .map(|(name, class, suffix)| {
            let (upper, lower) = (name.to_uppercase(), name.to_lowercase());
            let symbols = [
                format!("NETFILTER_XT_{class}_{upper}"),
                format!("IP_NF_{class}_{upper}"),
                format!("IP6_NF_{class}_{upper}"),
                format!("NETFILTER_XT_{upper}"),
                format!("NETFILTER_XT_NAT_{upper}"),
            ];
            let modules = [
                format!("xt_{name}"),
                format!("xt_{lower}"),
                format!("ipt_{name}"),
                format!("ip6t_{name}"),
                format!("{lower}_{suffix}"),
            ];
            let symbols: Vec<&str> = symbols.iter().map(String::as_str).collect();
            of(name, &symbols, &modules.iter().map(String::as_str).collect::<Vec<_>>())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(said: &str, text: &str) -> Vec<String> {
        sought(said, text).into_iter().map(|one| one.name).collect()
    }

    #[test]
    fn what_was_asked_for_is_named() {
        let kind = "Error: Unknown device type.";
        assert_eq!(names(kind, "link add vrf-x type vrf table 10"), ["vrf"]);
        assert_eq!(names(kind, "ip link add x type new-kind"), ["new-kind"]);
        let rule = "rules.nft:4:3-9: Error: Could not process rule: No such file or directory";
        assert_eq!(names(rule, "ct count over 5 drop"), ["ct count"]);
        assert_eq!(names(rule, "tcp dport 80 counter drop"), Vec::<String>::new());
        let ipt = "iptables-restore: line 2 failed: No chain/target/match by that name.";
        let rules =
            "-A INPUT -p tcp -m tcp -m connlimit --connlimit-above 3 -j REJECT\n-A INPUT -j mine";
        assert_eq!(names(ipt, rules), ["connlimit", "REJECT"]);
        assert_eq!(names("socket: Protocol not supported", "sctp_test -H ::"), ["sctp_test"; 0]);
        assert_eq!(names("socket: Protocol not supported", "socat - sctp:192.0.2.1"), ["sctp"]);
    }

    #[test]
    fn another_answer_is_no_lack() {
        let rule = "rules.nft:4:3-9: Error: Could not process rule: Device or resource busy";
        assert!(sought(rule, "ct count over 5 drop").is_empty());
        assert!(sought("RTNETLINK answers: File exists", "link add v type vrf").is_empty());
    }

    #[test]
    fn a_line_that_is_named_is_the_one_that_is_read() {
        let action = Action::Nft("rules.nft".to_owned());
        let file = b"table\nct count over 3\nsynproxy\n";
        assert_eq!(text_of(&action, Some(file), Some(2)), "ct count over 3");
        assert_eq!(text_of(&action, Some(file), None), String::from_utf8_lossy(file));
        assert_eq!(text_of(&action, Some(file), Some(9)), String::from_utf8_lossy(file));
    }
}
