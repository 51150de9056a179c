//! How the kernel names things: what the ranking knows of its sources. No word of any single change
//! is here.

/// Prefixes that families of modules share: behind them stands the feature (`xt_connlimit`,
/// `nft_connlimit`).
const FAMILIES: [&str; 17] = [
    "nfnetlink_",
    "ip_vs_",
    "inet_",
    "ip6t_",
    "arpt_",
    "ipt_",
    "nft_",
    "ebt_",
    "act_",
    "cls_",
    "sch_",
    "xt_",
    "nf_",
    "em_",
    "br_",
    "ip6_",
    "ip_",
];

/// Names before a subject's colon, or folders, of network code.
const NETWORK: [&str; 50] = [
    "net",
    "netfilter",
    "ipvs",
    "ipset",
    "ipv4",
    "ipv6",
    "ip",
    "ip6",
    "inet",
    "tcp",
    "udp",
    "mptcp",
    "sctp",
    "icmp",
    "igmp",
    "mld",
    "arp",
    "ndisc",
    "route",
    "neighbour",
    "neigh",
    "fib",
    "nexthop",
    "bridge",
    "br",
    "vlan",
    "8021q",
    "vrf",
    "l3mdev",
    "bonding",
    "bond",
    "team",
    "macvlan",
    "ipvlan",
    "macsec",
    "vxlan",
    "geneve",
    "gre",
    "ipip",
    "sit",
    "tunnels",
    "tun",
    "veth",
    "xfrm",
    "esp",
    "skbuff",
    "skb",
    "sock",
    "af_packet",
    "rtnetlink",
];

/// What a feature is made with elsewhere in the kernel: a change there changes the feature.
const BUILDS_ON: [(&str, &[&str]); 27] = [
    ("connlimit", &["conncount"]),
    ("conntrack", &["ct", "nf_conntrack"]),
    ("state", &["conntrack", "ct"]),
    ("ct", &["conntrack", "nf_conntrack"]),
    ("connmark", &["conntrack"]),
    ("connbytes", &["conntrack"]),
    ("helper", &["conntrack"]),
    ("masquerade", &["nat", "conntrack"]),
    ("snat", &["nat", "conntrack"]),
    ("dnat", &["nat", "conntrack"]),
    ("redirect", &["nat", "conntrack"]),
    ("netmap", &["nat", "conntrack"]),
    ("nat", &["conntrack", "nf_nat"]),
    ("synproxy", &["conntrack"]),
    ("notrack", &["conntrack"]),
    ("interval", &["rbtree", "pipapo"]),
    ("dynset", &["set", "rhash"]),
    ("meter", &["dynset"]),
    ("flowtable", &["flow_offload", "nf_flow_table"]),
    ("queue", &["nfnetlink_queue"]),
    ("nflog", &["nfnetlink_log"]),
    ("set", &["ipset"]),
    ("vrf", &["l3mdev"]),
    ("vlan", &["8021q"]),
    ("bond", &["bonding"]),
    ("gretap", &["gre", "ip_tunnel"]),
    ("ipip", &["ip_tunnel"]),
];

/// Words in names that many functions share and that say nothing of a subsystem.
const COMMON: [&str; 75] = [
    "add", "alloc", "all", "and", "asm", "base", "call", "check", "cleanup", "clear", "cmd",
    "common", "core", "create", "data", "del", "delete", "destroy", "dev", "device", "do", "dump",
    "entry", "eval", "exit", "fast", "file", "find", "finish", "for", "free", "func", "get",
    "handle", "handler", "has", "hook", "info", "init", "insert", "int", "internal", "invoke",
    "isra", "it", "kernel", "lock", "main", "new", "next", "nft", "net", "one", "part", "ptr",
    "put", "register", "remove", "run", "set", "setup", "skb", "slow", "start", "state", "stop",
    "sys", "table", "tables", "task", "the", "unlock", "update", "work", "x64",
];

/// Marks of architectures and flavours in a distribution's changelog, other than the guest's.
const OTHER_MACHINES: [&str; 26] = [
    "arm64",
    "armhf",
    "armel",
    "arm",
    "arm*",
    "i386",
    "ia64",
    "s390x",
    "s390",
    "powerpc",
    "powerpc*",
    "ppc64el",
    "ppc64",
    "mips",
    "mips*",
    "mipsel",
    "mips64el",
    "riscv64",
    "loong64",
    "hppa",
    "hppa/parisc",
    "parisc",
    "sparc64",
    "m68k",
    "sh4",
    "rt",
];

/// The guest's own.
const GUEST_MACHINES: [&str; 5] = ["x86", "x86_64", "amd64", "x86/*", "cloud"];

/// What a name is without its family's prefix; nothing when it has none.
pub(super) fn core_of(name: &str) -> Option<&str> {
    let core = FAMILIES.iter().find_map(|family| name.strip_prefix(family))?;
    (core.len() > 1).then_some(core)
}

pub(super) fn is_network(name: &str) -> bool {
    NETWORK.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family))
}

pub(super) fn builds_on(feature: &str) -> &'static [&'static str] {
    BUILDS_ON.iter().find(|(name, _)| *name == feature).map_or(&[], |(_, on)| on)
}

pub(super) fn is_common(word: &str) -> bool {
    word.len() < 3 || COMMON.contains(&word)
}

/// Whether a mark limits a change to machines; `media` in brackets is a subsystem.
pub(super) fn is_machine(mark: &str) -> bool {
    OTHER_MACHINES.contains(&mark) || GUEST_MACHINES.contains(&mark)
}

/// Whether a change with these marks cannot matter on the guest's machine.
pub(super) fn is_elsewhere(marks: &[String]) -> bool {
    !marks.is_empty() && marks.iter().all(|mark| OTHER_MACHINES.contains(&mark.as_str()))
}

/// Folders and prefixes of what no kernel runs.
pub(super) fn is_no_code(name: &str) -> bool {
    matches!(
        name,
        "selftests"
            | "selftest"
            | "documentation"
            | "docs"
            | "kselftest"
            | "scripts"
            | "samples"
            | "maintainers"
    )
}
