//! From names in a scenario to options: modules that no Makefile names any more, words of rules and commands,
//! and what belongs to an option though nothing says so.

use std::collections::BTreeSet;

use kbisect_core::scenario::KernelNeeds;

use super::tree::Tree;

/// Modules whose option no Makefile tells in some trees, since they are part of another by now, or were once
/// called otherwise; the first option that a tree has is it.
const MODULES: &[(&str, &[&str])] = &[
    ("nf_tables_inet", &["NF_TABLES_INET"]),
    ("nf_tables_ipv4", &["NF_TABLES_IPV4"]),
    ("nf_tables_ipv6", &["NF_TABLES_IPV6"]),
    ("nf_tables_bridge", &["NF_TABLES_BRIDGE"]),
    ("nf_tables_arp", &["NF_TABLES_ARP"]),
    ("nf_tables_netdev", &["NF_TABLES_NETDEV"]),
    ("nft_counter", &["NFT_COUNTER", "NF_TABLES"]),
    ("nft_objref", &["NFT_OBJREF", "NF_TABLES"]),
    ("nft_meta", &["NFT_META", "NF_TABLES"]),
    ("nft_rt", &["NFT_RT", "NF_TABLES"]),
    ("nft_exthdr", &["NFT_EXTHDR", "NF_TABLES"]),
    ("nft_rbtree", &["NFT_RBTREE", "NFT_SET_RBTREE", "NF_TABLES"]),
    ("nft_set_rbtree", &["NFT_SET_RBTREE", "NF_TABLES"]),
    ("nft_set_hash", &["NFT_SET_HASH", "NF_TABLES"]),
    ("nf_tables_set", &["NF_TABLES_SET", "NF_TABLES"]),
    ("nft_chain_filter", &["NF_TABLES"]),
    ("nft_chain_route_ipv4", &["NFT_CHAIN_ROUTE_IPV4", "NF_TABLES_IPV4", "NF_TABLES"]),
    ("nft_chain_nat", &["NFT_NAT"]),
    ("nft_chain_nat_ipv4", &["NFT_CHAIN_NAT_IPV4", "NFT_NAT"]),
    ("nft_chain_nat_ipv6", &["NFT_CHAIN_NAT_IPV6", "NFT_NAT"]),
    ("nft_masq_ipv4", &["NFT_MASQ_IPV4", "NFT_MASQ"]),
    ("nft_masq_ipv6", &["NFT_MASQ_IPV6", "NFT_MASQ"]),
    ("nft_redir_ipv4", &["NFT_REDIR_IPV4", "NFT_REDIR"]),
    ("nft_meta_bridge", &["NFT_BRIDGE_META", "NF_TABLES_BRIDGE"]),
    ("nft_reject_netdev", &["NFT_REJECT_NETDEV"]),
    ("nf_conntrack_ipv4", &["NF_CONNTRACK_IPV4", "NF_CONNTRACK"]),
    ("nf_conntrack_ipv6", &["NF_CONNTRACK_IPV6", "NF_CONNTRACK"]),
    ("nf_nat_ipv4", &["NF_NAT_IPV4", "NF_NAT"]),
    ("nf_nat_ipv6", &["NF_NAT_IPV6", "NF_NAT"]),
    ("nf_log_ipv4", &["NF_LOG_IPV4", "NF_LOG_SYSLOG"]),
    ("nf_log_ipv6", &["NF_LOG_IPV6", "NF_LOG_SYSLOG"]),
    ("nf_log_syslog", &["NF_LOG_SYSLOG", "NF_LOG_IPV4"]),
    ("ip_tables", &["IP_NF_IPTABLES_LEGACY", "IP_NF_IPTABLES"]),
    ("ip6_tables", &["IP6_NF_IPTABLES_LEGACY", "IP6_NF_IPTABLES"]),
    ("ipt_MASQUERADE", &["IP_NF_TARGET_MASQUERADE", "NETFILTER_XT_TARGET_MASQUERADE"]),
    ("xt_MASQUERADE", &["NETFILTER_XT_TARGET_MASQUERADE", "IP_NF_TARGET_MASQUERADE"]),
    ("ipt_SYNPROXY", &["IP_NF_TARGET_SYNPROXY"]),
    ("bridge", &["BRIDGE"]),
    ("8021q", &["VLAN_8021Q"]),
    ("ipv6", &["IPV6"]),
];

/// What an option is of little use without: `nf_tables` without a family, say.
const COMPANIONS: &[(&str, &[&str])] = &[
    (
        "NF_TABLES",
        &[
            "NF_TABLES_INET",
            "NF_TABLES_IPV4",
            "NF_TABLES_IPV6",
            "NF_TABLES_SET",
            "NFT_COUNTER",
            "NFT_CT",
            "NFT_META",
            "NFT_OBJREF",
            "NFT_EXTHDR",
            "NFT_RBTREE",
            "NFT_SET_RBTREE",
            "NFT_SET_HASH",
            "NFT_SET_BITMAP",
            "NETFILTER_ADVANCED",
        ],
    ),
    (
        "NF_CONNTRACK",
        &[
            "NETFILTER_ADVANCED",
            "NF_CONNTRACK_IPV4",
            "NF_CONNTRACK_IPV6",
            "NF_CONNTRACK_PROCFS",
            "NF_CONNTRACK_EVENTS",
            "NF_CONNTRACK_MARK",
            "NF_CT_NETLINK",
            "NF_CT_PROTO_UDPLITE",
        ],
    ),
    (
        "NFT_NAT",
        &["NF_NAT", "NF_NAT_IPV4", "NF_NAT_IPV6", "NFT_CHAIN_NAT_IPV4", "NFT_CHAIN_NAT_IPV6"],
    ),
    ("NFT_MASQ", &["NFT_NAT", "NFT_MASQ_IPV4", "NFT_MASQ_IPV6"]),
    ("NFT_REDIR", &["NFT_NAT", "NFT_REDIR_IPV4", "NFT_REDIR_IPV6"]),
    ("NFT_FIB", &["NFT_FIB_INET", "NFT_FIB_IPV4", "NFT_FIB_IPV6"]),
    ("NFT_LOG", &["NF_LOG_SYSLOG", "NF_LOG_IPV4", "NF_LOG_IPV6"]),
    ("NFT_QUEUE", &["NETFILTER_NETLINK_QUEUE"]),
    (
        "NFT_FLOW_OFFLOAD",
        &["NF_FLOW_TABLE", "NF_FLOW_TABLE_INET", "NF_FLOW_TABLE_IPV4", "NF_FLOW_TABLE_IPV6"],
    ),
    ("NF_TABLES_BRIDGE", &["NFT_BRIDGE_META", "NFT_BRIDGE_REJECT", "NF_CONNTRACK_BRIDGE"]),
    ("NETFILTER_XT_TARGET_LOG", &["NF_LOG_SYSLOG", "NF_LOG_IPV4", "NF_LOG_IPV6"]),
    ("NETFILTER_XT_MATCH_POLICY", &["XFRM_USER"]),
    ("NETFILTER_XT_SET", &["IP_SET"]),
    ("BRIDGE", &["BRIDGE_IGMP_SNOOPING"]),
    (
        "IP_VS",
        &[
            "IP_VS_IPV6",
            "IP_VS_PROTO_TCP",
            "IP_VS_PROTO_UDP",
            "IP_VS_NFCT",
            "IP_VS_RR",
            "IP_VS_WRR",
        ],
    ),
    ("NET_SCHED", &["NET_CLS", "NET_CLS_ACT", "NET_SCH_INGRESS"]),
    ("MPTCP", &["MPTCP_IPV6", "INET_MPTCP_DIAG"]),
    (
        "INET_ESP",
        &["XFRM_USER", "CRYPTO_AES", "CRYPTO_CBC", "CRYPTO_GCM", "CRYPTO_SHA256", "CRYPTO_HMAC"],
    ),
    ("CRYPTO_MANAGER", &[super::machine::NO_CRYPTO_TESTS]),
    ("INET_DIAG", &["INET_TCP_DIAG", "INET_UDP_DIAG"]),
];

/// What it takes for words to be read as a tool's.
struct Tool {
    /// Words of which one is to be there, or begins one.
    words: &'static [&'static str],
    /// Modules of which one begins so.
    modules: &'static [&'static str],
    /// Options that it always needs.
    options: &'static [&'static str],
    /// What stands before a word in an option's name: `NFT_` and `synproxy` make `NFT_SYNPROXY`.
    prefixes: &'static [&'static str],
    /// Words whose options are not called so.
    special: &'static [(&'static str, &'static [&'static str])],
}

const NFT: Tool = Tool {
    words: &["nft", "iptables", "ip6tables", "ebtables", "arptables", "firewalld", "ufw"],
    modules: &["nf_tables", "nft_"],
    options: &["NF_TABLES"],
    prefixes: &["NFT_"],
    special: &[
        ("nat", &["NFT_NAT"]),
        ("snat", &["NFT_NAT"]),
        ("dnat", &["NFT_NAT"]),
        ("masquerade", &["NFT_MASQ"]),
        ("redirect", &["NFT_REDIR"]),
        ("count", &["NFT_CONNLIMIT"]),
        ("jhash", &["NFT_HASH"]),
        ("symhash", &["NFT_HASH"]),
        ("flowtable", &["NFT_FLOW_OFFLOAD"]),
        ("ipsec", &["NFT_XFRM"]),
        ("reject", &["NFT_REJECT_INET"]),
        ("dup", &["NFT_DUP_IPV4", "NFT_DUP_IPV6", "NFT_DUP_NETDEV"]),
        ("fwd", &["NFT_FWD_NETDEV"]),
        ("bridge", &["NF_TABLES_BRIDGE"]),
        ("ebtables", &["NF_TABLES_BRIDGE"]),
        ("arp", &["NF_TABLES_ARP"]),
        ("arptables", &["NF_TABLES_ARP"]),
        ("netdev", &["NF_TABLES_NETDEV"]),
        ("ingress", &["NF_TABLES_NETDEV", "NETFILTER_INGRESS"]),
        ("egress", &["NF_TABLES_NETDEV", "NETFILTER_EGRESS"]),
        ("zone", &["NF_CONNTRACK_ZONES"]),
        ("label", &["NFT_CT", "NETFILTER_XT_MATCH_CONNLABEL"]),
        ("timeout", &["NF_CONNTRACK_TIMEOUT"]),
    ],
};

const IPTABLES: Tool = Tool {
    words: &["iptables", "ip6tables", "ebtables", "arptables", "ufw"],
    modules: &[
        "x_tables",
        "xt_",
        "ip_tables",
        "ip6_tables",
        "ipt_",
        "ip6t_",
        "iptable_",
        "nft_compat",
    ],
    options: &["NFT_COMPAT", "NETFILTER_XTABLES"],
    prefixes: &[
        "NETFILTER_XT_MATCH_",
        "NETFILTER_XT_TARGET_",
        "NETFILTER_XT_",
        "IP_NF_MATCH_",
        "IP_NF_TARGET_",
        "IP6_NF_MATCH_",
        "IP6_NF_TARGET_",
        "BRIDGE_EBT_",
    ],
    special: &[
        ("snat", &["NETFILTER_XT_NAT"]),
        ("dnat", &["NETFILTER_XT_NAT"]),
        ("ttl", &["NETFILTER_XT_MATCH_HL", "NETFILTER_XT_TARGET_HL"]),
        ("mh", &["IP6_NF_MATCH_MH"]),
        ("tos", &["NETFILTER_XT_MATCH_DSCP", "NETFILTER_XT_TARGET_DSCP"]),
    ],
};

const LEGACY: Tool = Tool {
    words: &["iptables-legacy", "ip6tables-legacy"],
    modules: &["ip_tables", "ip6_tables", "iptable_", "ip6table_"],
    options: &[
        "NETFILTER_XTABLES_LEGACY",
        "IP_NF_IPTABLES",
        "IP_NF_IPTABLES_LEGACY",
        "IP_NF_FILTER",
        "IP6_NF_IPTABLES",
        "IP6_NF_IPTABLES_LEGACY",
        "IP6_NF_FILTER",
    ],
    prefixes: &["IP_NF_", "IP6_NF_"],
    special: &[],
};

const EBTABLES: Tool = Tool {
    words: &["ebtables-legacy"],
    modules: &["ebt", "ebtable"],
    options: &[
        "NETFILTER_XTABLES_LEGACY",
        "BRIDGE_NF_EBTABLES",
        "BRIDGE_NF_EBTABLES_LEGACY",
        "BRIDGE_EBT_T_FILTER",
        "BRIDGE_EBT_T_NAT",
        "BRIDGE_EBT_BROUTE",
    ],
    prefixes: &["BRIDGE_EBT_"],
    special: &[],
};

const IPSET: Tool = Tool {
    words: &["ipset"],
    modules: &["ip_set"],
    options: &[
        "IP_SET",
        "NETFILTER_XT_SET",
        "IP_SET_BITMAP_IP",
        "IP_SET_BITMAP_PORT",
        "IP_SET_HASH_IP",
        "IP_SET_HASH_IPPORT",
        "IP_SET_HASH_NET",
        "IP_SET_HASH_NETPORT",
        "IP_SET_HASH_NETIFACE",
        "IP_SET_HASH_MAC",
        "IP_SET_LIST_SET",
    ],
    prefixes: &[],
    special: &[],
};

const TC: Tool = Tool {
    words: &["tc"],
    modules: &["sch_", "cls_", "act_", "em_"],
    options: &["NET_SCHED"],
    prefixes: &["NET_SCH_", "NET_CLS_", "NET_ACT_", "NET_EMATCH_"],
    special: &[
        ("clsact", &["NET_SCH_INGRESS", "NET_CLS_ACT"]),
        ("action", &["NET_ACT_GACT"]),
        ("drop", &["NET_ACT_GACT"]),
        ("fw", &["NET_CLS_FW"]),
    ],
};

const IPVS: Tool = Tool {
    words: &["ipvsadm"],
    modules: &["ip_vs"],
    options: &["IP_VS"],
    prefixes: &["IP_VS_", "IP_VS_PROTO_"],
    special: &[],
};

const CONNTRACK: Tool = Tool {
    words: &["conntrack", "conntrackd", "nf_conntrack"],
    modules: &["nf_conntrack", "nf_nat"],
    options: &["NF_CONNTRACK"],
    prefixes: &[],
    special: &[("helper", &["NF_CT_NETLINK_HELPER"])],
};

const HELPERS: Tool = Tool {
    words: &["helper"],
    modules: &[],
    options: &[],
    prefixes: &["NF_CONNTRACK_", "NF_NAT_"],
    special: &[],
};

const CONGESTION: Tool = Tool {
    words: &["tcp_congestion_control", "tcp_allowed_congestion_control"],
    modules: &["tcp_"],
    options: &["TCP_CONG_ADVANCED", "TCP_CONG_CUBIC"],
    prefixes: &["TCP_CONG_", "NET_SCH_"],
    special: &[],
};

const IPSEC: Tool = Tool {
    words: &["xfrm", "ipsec", "swanctl", "charon", "strongswan"],
    modules: &["esp", "xfrm", "ah4", "ah6"],
    options: &["XFRM_USER", "INET_ESP", "INET6_ESP", "INET_AH", "INET6_AH", "XFRM_INTERFACE"],
    prefixes: &[],
    special: &[],
};

/// Words that mean the same whatever stands beside them.
const ANYWHERE: Tool = Tool {
    words: &[""],
    modules: &[],
    options: &[],
    prefixes: &[],
    special: &[
        ("bridge-nf-call-iptables", &["BRIDGE_NETFILTER"]),
        ("bridge-nf-call-ip6tables", &["BRIDGE_NETFILTER"]),
        ("bridge-nf-call-arptables", &["BRIDGE_NETFILTER"]),
        ("vlan_filtering", &["BRIDGE_VLAN_FILTERING"]),
        ("mptcp", &["MPTCP"]),
        ("mptcpize", &["MPTCP"]),
        ("sctp", &["IP_SCTP", "NF_CT_PROTO_SCTP"]),
        ("dccp", &["IP_DCCP"]),
        ("tipc", &["TIPC"]),
        ("mpls", &["NET_MPLS_GSO", "MPLS", "MPLS_ROUTING", "MPLS_IPTUNNEL", "LWTUNNEL"]),
        ("encap", &["LWTUNNEL"]),
        ("seg6", &["IPV6_SEG6_LWTUNNEL", "LWTUNNEL"]),
        ("l3mdev", &["NET_L3_MASTER_DEV"]),
        ("fou", &["NET_FOU", "NET_FOU_IP_TUNNELS"]),
        ("l2tp", &["L2TP", "L2TP_V3", "L2TP_ETH", "L2TP_IP"]),
        ("pppd", &["PPP", "PPP_ASYNC", "PPPOE"]),
        ("use_vmac", &["MACVLAN"]),
        ("openvpn", &["TUN"]),
        ("tuntap", &["TUN"]),
        ("netns", &["VETH"]),
        ("ss", &["INET_DIAG"]),
        ("ethtool", &["ETHTOOL_NETLINK"]),
        ("bpftool", &["BPF_SYSCALL", "BPF_JIT", "CGROUP_BPF"]),
        ("xdp", &["BPF_SYSCALL", "BPF_JIT", "XDP_SOCKETS"]),
        ("bpf", &["BPF_SYSCALL", "BPF_JIT"]),
        ("fq_codel", &["NET_SCHED", "NET_SCH_FQ_CODEL"]),
        ("memory", &["MEMCG"]),
        ("cpuset", &["CPUSETS"]),
    ],
};

const TOOLS: &[Tool] = &[
    NFT, IPTABLES, LEGACY, EBTABLES, IPSET, TC, IPVS, CONNTRACK, HELPERS, CONGESTION, IPSEC,
    ANYWHERE,
];

/// The options that build a module in this tree; none where it cannot be built.
pub fn of_module<'a>(module: &str, tree: &'a Tree) -> Vec<&'a str> {
    let built: Vec<&str> = tree.options_of(module).iter().map(String::as_str).collect();
    let built: Vec<&str> = built.into_iter().filter(|option| tree.has(option)).collect();
    if !built.is_empty() {
        return built;
    }
    let table = MODULES.iter().find(|(name, _)| *name == module.replace('-', "_"));
    let known = table.map_or(&[][..], |(_, options)| options);
    known.iter().copied().find(|option| tree.has(option)).into_iter().collect()
}

/// The options of this tree that words of the scenario name.
pub fn of_words(needs: &KernelNeeds, tree: &Tree) -> BTreeSet<String> {
    let mut options = BTreeSet::new();
    for tool in TOOLS.iter().filter(|tool| tool.is_used(needs)) {
        options.extend(tool.options.iter().map(|option| (*option).to_owned()));
        for (word, named) in tool.special {
            if needs.words.contains(*word) {
                options.extend(named.iter().map(|option| (*option).to_owned()));
            }
        }
        for prefix in tool.prefixes {
            let named = needs.words.iter().map(|word| {
                let word = word.replace('-', "_").to_ascii_uppercase();
                format!("{prefix}{word}")
            });
            options.extend(named.filter(|option| tree.has(option)));
        }
    }
    options.retain(|option| tree.has(option));
    options
}

/// Options of little use without these.
pub fn companions(option: &str) -> &'static [&'static str] {
    COMPANIONS.iter().find(|(name, _)| *name == option).map_or(&[], |(_, companions)| companions)
}

impl Tool {
    fn is_used(&self, needs: &KernelNeeds) -> bool {
        // `iptables-restore` is iptables; `nftables` is a word of prose.
        let is_it = |word: &str, tool: &str| {
            word.strip_prefix(tool).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let by_word = self
            .words
            .iter()
            .any(|tool| tool.is_empty() || needs.words.iter().any(|word| is_it(word, tool)));
        let mut modules = needs.modules.iter().chain(&needs.optional);
        by_word || modules.any(|module| self.modules.iter().any(|it| module.starts_with(it)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn tree(options: &[&str]) -> Tree {
        let dir = tempfile::tempdir().unwrap();
        let text: String =
            options.iter().map(|name| format!("config {name}\n\tbool \"{name}\"\n")).collect();
        fs::write(dir.path().join("Kconfig"), text).unwrap();
        fs::create_dir(dir.path().join("net")).unwrap();
        fs::write(dir.path().join("net/Makefile"), "obj-$(CONFIG_NET_VRF) += vrf.o\n").unwrap();
        Tree::read(dir.path()).unwrap()
    }

    fn needs(modules: &[&str], words: &[&str]) -> KernelNeeds {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        KernelNeeds { modules: set(modules), words: set(words), ..KernelNeeds::default() }
    }

    #[test]
    fn modules_that_became_part_of_another_are_that() {
        let old = tree(&["NF_TABLES", "NFT_COUNTER", "NET_VRF"]);
        assert_eq!(of_module("nft_counter", &old), ["NFT_COUNTER"]);
        assert_eq!(of_module("nft-counter", &tree(&["NF_TABLES"])), ["NF_TABLES"]);
        assert_eq!(of_module("vrf", &old), ["NET_VRF"]);
        assert!(of_module("vrf", &tree(&["NF_TABLES"])).is_empty(), "the option is gone");
        assert!(of_module("nosuch", &old).is_empty());
    }

    #[test]
    fn words_count_beside_their_tool_only() {
        let tree = tree(&[
            "NF_TABLES",
            "NFT_SYNPROXY",
            "NFT_MASQ",
            "NET_SCHED",
            "NET_SCH_NETEM",
            "NFT_COMPAT",
            "NETFILTER_XT_MATCH_CONNLIMIT",
        ]);
        let of = |modules: &[&str], words: &[&str]| {
            of_words(&needs(modules, words), &tree).into_iter().collect::<Vec<_>>()
        };
        let words = ["synproxy", "masquerade", "netem", "connlimit"];
        assert!(of(&[], &words).is_empty());
        let with = |more: &[&'static str]| [&words[..], more].concat();
        assert_eq!(of(&["nf_tables"], &words), ["NFT_MASQ", "NFT_SYNPROXY", "NF_TABLES"]);
        assert_eq!(of(&[], &with(&["tc"])), ["NET_SCHED", "NET_SCH_NETEM"]);
        assert!(
            of(&[], &with(&["iptables-restore"]))
                .contains(&"NETFILTER_XT_MATCH_CONNLIMIT".to_owned())
        );
        assert!(of(&[], &with(&["nftables"])).is_empty());
    }

    #[test]
    fn tables_are_sorted_out() {
        for (name, options) in MODULES {
            assert!(!options.is_empty(), "{name}");
            assert!(!name.contains('-'), "{name}");
        }
        let names: BTreeSet<&str> = MODULES.iter().map(|(name, _)| *name).collect();
        assert_eq!(names.len(), MODULES.len());
    }
}
