//! `sysctl -a`: the ones that change what happens to packets, and only where they differ from what
//! a kernel has by itself.

use std::collections::{BTreeMap, BTreeSet};

/// sysctls of the whole network with the kernel's own value (Documentation/networking/ip-sysctl.rst
/// and nf_conntrack-sysctl.rst). Those that newer kernels added are not here: an older candidate
/// would refuse them.
const GLOBAL: &[(&str, &str)] = &[
    ("net/bridge/bridge-nf-call-arptables", "1"),
    ("net/bridge/bridge-nf-call-ip6tables", "1"),
    ("net/bridge/bridge-nf-call-iptables", "1"),
    ("net/bridge/bridge-nf-filter-vlan-tagged", "0"),
    ("net/ipv4/fib_multipath_hash_policy", "0"),
    ("net/ipv4/fib_multipath_use_neigh", "0"),
    ("net/ipv4/fwmark_reflect", "0"),
    ("net/ipv4/icmp_echo_ignore_all", "0"),
    ("net/ipv4/icmp_errors_use_inbound_ifaddr", "0"),
    ("net/ipv4/ip_early_demux", "1"),
    ("net/ipv4/ip_forward_use_pmtu", "0"),
    ("net/ipv4/ip_local_port_range", "32768 60999"),
    ("net/ipv4/ip_no_pmtu_disc", "0"),
    ("net/ipv4/ip_nonlocal_bind", "0"),
    ("net/ipv4/raw_l3mdev_accept", "1"),
    ("net/ipv4/tcp_ecn", "2"),
    ("net/ipv4/tcp_fwmark_accept", "0"),
    ("net/ipv4/tcp_l3mdev_accept", "0"),
    ("net/ipv4/tcp_mtu_probing", "0"),
    ("net/ipv4/tcp_sack", "1"),
    ("net/ipv4/tcp_syncookies", "1"),
    ("net/ipv4/tcp_timestamps", "1"),
    ("net/ipv4/tcp_window_scaling", "1"),
    ("net/ipv4/udp_l3mdev_accept", "0"),
    ("net/ipv4/vs/conntrack", "0"),
    ("net/ipv6/bindv6only", "0"),
    ("net/ipv6/fib_multipath_hash_policy", "0"),
    ("net/ipv6/fwmark_reflect", "0"),
    ("net/ipv6/ip_nonlocal_bind", "0"),
    ("net/netfilter/nf_conntrack_acct", "0"),
    ("net/netfilter/nf_conntrack_buckets", ""),
    ("net/netfilter/nf_conntrack_checksum", "1"),
    ("net/netfilter/nf_conntrack_generic_timeout", "600"),
    ("net/netfilter/nf_conntrack_helper", "0"),
    ("net/netfilter/nf_conntrack_icmp_timeout", "30"),
    ("net/netfilter/nf_conntrack_log_invalid", "0"),
    ("net/netfilter/nf_conntrack_max", ""),
    ("net/netfilter/nf_conntrack_tcp_be_liberal", "0"),
    ("net/netfilter/nf_conntrack_tcp_loose", "1"),
    ("net/netfilter/nf_conntrack_tcp_max_retrans", "3"),
    ("net/netfilter/nf_conntrack_tcp_timeout_close", "10"),
    ("net/netfilter/nf_conntrack_tcp_timeout_close_wait", "60"),
    ("net/netfilter/nf_conntrack_tcp_timeout_established", "432000"),
    ("net/netfilter/nf_conntrack_tcp_timeout_fin_wait", "120"),
    ("net/netfilter/nf_conntrack_tcp_timeout_last_ack", "30"),
    ("net/netfilter/nf_conntrack_tcp_timeout_max_retrans", "300"),
    ("net/netfilter/nf_conntrack_tcp_timeout_syn_recv", "60"),
    ("net/netfilter/nf_conntrack_tcp_timeout_syn_sent", "120"),
    ("net/netfilter/nf_conntrack_tcp_timeout_time_wait", "120"),
    ("net/netfilter/nf_conntrack_tcp_timeout_unacknowledged", "300"),
    ("net/netfilter/nf_conntrack_udp_timeout", "30"),
    ("net/netfilter/nf_conntrack_udp_timeout_stream", "120"),
    ("net/vrf/strict_mode", "0"),
];

/// sysctls of interfaces below `net/ipv4/conf` and `net/ipv6/conf`; forwarding is apart.
const INTERFACE: &[(&str, &str, &str)] = &[
    ("ipv4", "accept_local", "0"),
    ("ipv4", "arp_announce", "0"),
    ("ipv4", "arp_filter", "0"),
    ("ipv4", "arp_ignore", "0"),
    ("ipv4", "proxy_arp", "0"),
    ("ipv4", "proxy_arp_pvlan", "0"),
    ("ipv4", "route_localnet", "0"),
    ("ipv4", "rp_filter", "0"),
    ("ipv4", "send_redirects", "1"),
    ("ipv4", "src_valid_mark", "0"),
    ("ipv6", "accept_ra", "1"),
    ("ipv6", "disable_ipv6", "0"),
    ("ipv6", "proxy_ndp", "0"),
];

/// Size of the connection table that a guest has by itself, or less: hosts with more memory have
/// this one, so it says nothing about a host.
const CONNTRACK_USUAL: u64 = 262_144;
/// Largest number of hash buckets that fits into a guest's memory.
const BUCKETS_MOST: u64 = 1 << 20;

/// Reads `name = value` lines into paths below `/proc/sys`; only those of the network.
pub(super) fn read(text: &str) -> BTreeMap<String, String> {
    let mut sysctls = BTreeMap::new();
    for line in text.lines() {
        let Some((name, value)) = line.split_once('=') else { continue };
        let value: Vec<&str> = value.split_whitespace().collect();
        let value = value.join(" ");
        let plain = value.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        if let Some(path) = path(name.trim()).filter(|_| plain && !value.is_empty()) {
            sysctls.insert(path, value);
        }
    }
    sysctls
}

/// The path of a sysctl. A dot inside an interface's name is a `/` for sysctl(8) and a dot for
/// others; in both cases the last part is the sysctl's own name.
fn path(name: &str) -> Option<String> {
    let rest = name.strip_prefix("net.")?;
    for family in ["ipv4.conf.", "ipv6.conf."] {
        if let Some(rest) = rest.strip_prefix(family) {
            let (interface, leaf) = rest.rsplit_once('.')?;
            let interface = interface.replace('/', ".");
            return Some(format!("net/{}/conf/{interface}/{leaf}", &family[..4]));
        }
    }
    Some(format!("net/{}", rest.replace('.', "/")))
}

/// Picks those that a scenario needs, as keys and values of `[nodes.X.sysctl]`, in the order in
/// which they are to be written. `interfaces` are those that the scenario has.
pub(super) fn wanted(
    sysctls: &BTreeMap<String, String>,
    interfaces: &BTreeSet<&str>,
) -> Vec<(String, String)> {
    let mut wanted = Vec::new();
    for (path, usual) in GLOBAL {
        let Some(value) = sysctls.get(*path).filter(|value| value != usual) else { continue };
        let size: u64 = value.parse().unwrap_or(0);
        let skipped = match *path {
            "net/netfilter/nf_conntrack_max" => size <= CONNTRACK_USUAL,
            "net/netfilter/nf_conntrack_buckets" => size <= CONNTRACK_USUAL || size > BUCKETS_MOST,
            // What kernels before 5.12 have.
            "net/netfilter/nf_conntrack_udp_timeout_stream" => value == "180",
            _ => false,
        };
        if !skipped {
            wanted.push((path.replace('/', "."), value.clone()));
        }
    }
    let names = || ["all", "default"].into_iter().chain(interfaces.iter().copied());
    for (family, leaf, usual) in INTERFACE {
        for name in names() {
            let path = format!("net/{family}/conf/{name}/{leaf}");
            if let Some(value) = sysctls.get(&path).filter(|value| value != usual) {
                wanted.push((key(&path, name), value.clone()));
            }
        }
    }
    for family in ["ipv4", "ipv6"] {
        forwarding(sysctls, family, interfaces, &mut wanted);
    }
    wanted.sort();
    wanted
}

/// Writing the general switch sets it for every interface, so it has to come first: `all` does,
/// where `net.ipv4.ip_forward`, the same switch, would come after interfaces.
fn forwarding(
    sysctls: &BTreeMap<String, String>,
    family: &str,
    interfaces: &BTreeSet<&str>,
    wanted: &mut Vec<(String, String)>,
) {
    let of = |name: &str| sysctls.get(&format!("net/{family}/conf/{name}/forwarding"));
    let general = of("all").or_else(|| match family {
        "ipv4" => sysctls.get("net/ipv4/ip_forward"),
        _ => None,
    });
    let general = general.map_or("0", String::as_str);
    let others: Vec<&str> = interfaces
        .iter()
        .copied()
        .filter(|name| of(name).is_some_and(|value| value != general))
        .collect();
    if general != "0" {
        let key = match family {
            "ipv4" if others.is_empty() => "net.ipv4.ip_forward".to_owned(),
            _ => format!("net.{family}.conf.all.forwarding"),
        };
        wanted.push((key, general.to_owned()));
    }
    for name in others {
        let path = format!("net/{family}/conf/{name}/forwarding");
        wanted.extend(of(name).map(|value| (path, value.clone())));
    }
}

/// Whether the host forwards; none when the dumps do not tell.
pub(super) fn forwards(sysctls: &BTreeMap<String, String>, v6: bool) -> Option<bool> {
    let family = if v6 { "ipv6" } else { "ipv4" };
    let one = |path: &str| sysctls.get(path).map(|value| value != "0");
    let all = one(&format!("net/{family}/conf/all/forwarding"));
    let all = all.or_else(|| one("net/ipv4/ip_forward").filter(|_| !v6));
    let prefix = format!("net/{family}/conf/");
    let some = sysctls.iter().any(|(path, value)| {
        path.starts_with(&prefix) && path.ends_with("/forwarding") && value != "0"
    });
    all.map(|all| all || some)
}

/// Names of interfaces go with slashes: they may have dots, and they come after `all`.
fn key(path: &str, interface: &str) -> String {
    if matches!(interface, "all" | "default") { path.replace('/', ".") } else { path.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted_of(text: &str) -> Vec<String> {
        let interfaces = BTreeSet::from(["eth0", "eth0.7"]);
        let wanted = wanted(&read(text), &interfaces);
        wanted.into_iter().map(|(key, value)| format!("{key}={value}")).collect()
    }

    #[test]
    fn only_what_differs_from_the_kernels_own_value_is_wanted() {
        assert_eq!(
            wanted_of(
                "kernel.hostname = gw\nnet.ipv4.tcp_sack = 1\nnet.ipv4.tcp_ecn = 0\n\
                 net.netfilter.nf_conntrack_max = 262144\nnet.ipv4.tcp_fastopen_key = 1-2-3-4\n\
                 net.netfilter.nf_conntrack_tcp_be_liberal = 1\n\
                 net.ipv4.ip_local_port_range = 1024\t65535\n"
            ),
            [
                "net.ipv4.ip_local_port_range=1024 65535",
                "net.ipv4.tcp_ecn=0",
                "net.netfilter.nf_conntrack_tcp_be_liberal=1"
            ]
        );
    }

    #[test]
    fn interfaces_with_dots_are_read_as_both_programs_write_them() {
        for line in ["net.ipv4.conf.eth0/7.rp_filter = 2\n", "net.ipv4.conf.eth0.7.rp_filter = 2\n"]
        {
            assert_eq!(wanted_of(line), ["net/ipv4/conf/eth0.7/rp_filter=2"]);
        }
        assert!(wanted_of("net.ipv4.conf.gone0.rp_filter = 2\n").is_empty());
    }

    #[test]
    fn the_general_switch_is_written_before_the_exceptions() {
        let all = "net.ipv4.ip_forward = 1\nnet.ipv4.conf.all.forwarding = 1\n";
        assert_eq!(wanted_of(all), ["net.ipv4.ip_forward=1"]);
        assert_eq!(
            wanted_of(&format!("{all}net.ipv4.conf.eth0.forwarding = 0\n")),
            ["net.ipv4.conf.all.forwarding=1", "net/ipv4/conf/eth0/forwarding=0"]
        );
        assert_eq!(forwards(&read(all), false), Some(true));
        assert_eq!(forwards(&read("net.ipv4.ip_forward = 0\n"), false), Some(false));
        assert_eq!(forwards(&read(""), false), None);
    }
}
