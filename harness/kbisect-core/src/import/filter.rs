//! Packet filter dumps: loaded as they are. What is looked at is which of them to load, and what
//! they need of a kernel.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::finding::Finding;
use super::host::{Filter, FilterKind, Host};

/// Words of nft rules and the modules behind them.
const NFT_MODULES: &[(&str, &str)] = &[
    ("ct", "nft_ct"),
    ("snat", "nft_nat"),
    ("dnat", "nft_nat"),
    ("masquerade", "nft_masq"),
    ("redirect", "nft_redir"),
    ("limit", "nft_limit"),
    ("log", "nft_log"),
    ("quota", "nft_quota"),
    ("queue", "nft_queue"),
    ("fib", "nft_fib_inet"),
    ("tproxy", "nft_tproxy"),
    ("synproxy", "nft_synproxy"),
    ("numgen", "nft_numgen"),
    ("jhash", "nft_hash"),
    ("symhash", "nft_hash"),
    ("flowtable", "nft_flow_offload"),
];
/// What kernels up to 5.x have as modules of their own, or only some builds have.
const NFT_OPTIONAL: &[(&str, &str)] = &[
    ("counter", "nft_counter"),
    ("reject", "nft_reject_inet"),
    ("reject", "nft_reject_ipv4"),
    ("log", "nf_log_syslog"),
    ("flowtable", "nf_flow_table_inet"),
    ("helper", "nft_objref"),
];
/// Modules of iptables' matches and targets that are called the same in every kernel.
const XT_MODULES: &[&str] = &[
    "xt_addrtype",
    "xt_comment",
    "xt_connlimit",
    "xt_connmark",
    "xt_conntrack",
    "xt_hashlimit",
    "xt_iprange",
    "xt_length",
    "xt_limit",
    "xt_mac",
    "xt_mark",
    "xt_multiport",
    "xt_physdev",
    "xt_recent",
    "xt_set",
    "xt_statistic",
    "xt_string",
    "xt_tcpmss",
    "xt_u32",
    "xt_CT",
    "xt_CONNMARK",
    "xt_LOG",
    "xt_MARK",
    "xt_TCPMSS",
    "xt_TPROXY",
];

/// Decides which filter dumps are loaded, and takes out of nft's what iptables' has as well.
pub(super) fn settle(host: &mut Host) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Policies that accept and no rule: the same as nothing.
    host.filters.retain(|filter| match filter.kind {
        FilterKind::Iptables | FilterKind::Ip6tables => {
            filter.text.lines().map(str::trim).any(|line| {
                line.starts_with(['-', '[']) || line.starts_with(':') && !line.contains(" ACCEPT ")
            })
        }
        _ => true,
    });
    let managed: BTreeSet<(String, String)> = host
        .filters
        .iter()
        .filter(|filter| matches!(filter.kind, FilterKind::Iptables | FilterKind::Ip6tables))
        // The legacy back end is apart from nft: both are to be loaded.
        .filter(|filter| !filter.text.lines().take(5).any(|line| line.contains("(legacy)")))
        .flat_map(|filter| {
            let family = if filter.kind == FilterKind::Iptables { "ip" } else { "ip6" };
            let tables = filter.text.lines().filter_map(|line| line.trim().strip_prefix('*'));
            tables.map(move |table| (family.to_owned(), table.to_owned())).collect::<Vec<_>>()
        })
        .collect();
    for filter in host.filters.iter_mut().filter(|filter| filter.kind == FilterKind::Nft) {
        let (text, taken) = without(&filter.text, &managed);
        for (line, family, table) in taken {
            let message = format!(
                "table {family} {table} is left out: it is iptables', whose own dump is loaded"
            );
            findings.push(Finding::at(&filter.file, line, message));
        }
        filter.text = text;
        // No network card of a machine does it, and the kernel refuses the table then.
        let offload = |line: &str| matches!(line.trim(), "flags offload" | "flags offload;");
        while let Some(at) = filter.text.lines().position(offload) {
            let lines = filter.text.split_inclusive('\n').enumerate();
            filter.text = lines.filter(|(line, _)| *line != at).map(|(_, line)| line).collect();
            let message =
                "`flags offload` of a flowtable is left out: cards of machines cannot do that";
            findings.push(Finding::at(&filter.file, at + 1, message));
        }
        let foreign = filter.text.lines().zip(1..).find(|(line, _)| {
            let line = line.trim_start();
            line.starts_with("xt match")
                || line.contains(" xt target ")
                || line.contains(" xt match ")
        });
        if let Some((_, line)) = foreign {
            let message = "nft cannot load rules that iptables made: take iptables-save's dump too";
            findings.push(Finding::at(&filter.file, line, message));
        }
    }
    host.filters.retain(|filter| !is_blank(&filter.text));
    host.filters.sort_by_key(|filter| filter.kind);
    for filter in &host.filters {
        let named = host.dropped.iter().filter_map(|name| {
            let quoted = format!("\"{name}\"");
            let mentions = |line: &str| {
                line.contains(&quoted) || line.split_whitespace().any(|word| word == name)
            };
            let line = filter.text.lines().position(mentions)? + 1;
            let message = format!("names interface `{name}`, which the scenario does not have");
            Some(Finding::at(&filter.file, line, message))
        });
        findings.extend(named);
    }
    findings
}

/// The text without the tables, and the tables that were there, with the lines they began on.
fn without(
    text: &str,
    tables: &BTreeSet<(String, String)>,
) -> (String, Vec<(usize, String, String)>) {
    if tables.is_empty() {
        return (text.to_owned(), Vec::new());
    }
    let mut kept = String::new();
    let mut taken = Vec::new();
    let mut inside = false;
    for (line, number) in text.split_inclusive('\n').zip(1..) {
        let words: Vec<&str> = line.split_whitespace().collect();
        // nft indents everything but the tables themselves.
        if let ["table", family, table, ..] = words[..]
            && line.starts_with("table ")
            && tables.contains(&(family.to_owned(), table.to_owned()))
        {
            taken.push((number, family.to_owned(), table.to_owned()));
            inside = !line.trim_end().ends_with('}');
            continue;
        }
        if !inside && !line.starts_with("# Warning: table ") {
            kept.push_str(line);
        }
        if line.starts_with('}') {
            inside = false;
        }
    }
    (kept, taken)
}

fn is_blank(text: &str) -> bool {
    text.lines().map(str::trim).all(|line| line.is_empty() || line.starts_with('#'))
}

/// Modules that rules need, and those that only some kernels have.
pub(super) fn modules(filter: &Filter) -> (BTreeSet<&'static str>, BTreeSet<&'static str>) {
    let mut needed = BTreeSet::new();
    let mut optional = BTreeSet::new();
    match filter.kind {
        FilterKind::Ipset => {
            needed.insert("ip_set");
        }
        FilterKind::Nft => {
            needed.insert("nf_tables");
            let words = words(&filter.text);
            let has = |word: &str| words.contains(word);
            let of = |list: &[(&str, &'static str)]| -> Vec<&'static str> {
                list.iter().filter(|(word, _)| has(word)).map(|(_, module)| *module).collect()
            };
            needed.extend(of(NFT_MODULES));
            optional.extend(of(NFT_OPTIONAL));
            if filter.text.contains("type nat hook") {
                needed.insert("nft_chain_nat");
            }
            if has("ct") || filter.text.contains("type nat hook") {
                needed.insert("nf_conntrack");
            }
        }
        FilterKind::Iptables | FilterKind::Ip6tables => {
            needed.extend(["nf_tables", "nft_compat", "x_tables"]);
            let words: BTreeSet<&str> = filter.text.split_whitespace().collect();
            if filter.text.lines().any(|line| line.trim() == "*nat") {
                needed.extend(["nft_chain_nat", "nf_conntrack"]);
            }
            for module in XT_MODULES {
                let name = module.trim_start_matches("xt_");
                if words.contains(name) {
                    optional.insert(*module);
                    if name.to_ascii_lowercase().starts_with("conn") || name == "CT" {
                        needed.insert("nf_conntrack");
                    }
                }
            }
        }
    }
    (needed, optional)
}

/// Words of an nft rule set outside quotes.
fn words(text: &str) -> BTreeSet<&str> {
    let mut words = BTreeSet::new();
    for line in text.lines() {
        for part in line.split('"').step_by(2) {
            words.extend(part.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
        }
    }
    words
}

/// The address that sources are translated to: the first that a rule names.
pub(super) fn snat_address(filters: &[Filter]) -> Option<IpAddr> {
    let rules = filters.iter().flat_map(|filter| filter.text.lines());
    rules.filter(|line| !line.trim_start().starts_with('#')).find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |at: usize| words.get(at).and_then(|word| address(word));
        let nft = words.iter().position(|word| *word == "snat").and_then(|snat| {
            let to = words.iter().skip(snat).position(|word| *word == "to")? + snat;
            after(to + 1)
        });
        let iptables = || {
            let to = words.iter().position(|word| *word == "--to-source")?;
            after(to + 1)
        };
        nft.or_else(iptables)
    })
}

/// The address of `ADDRESS`, `ADDRESS:PORT` or `ADDRESS-ADDRESS`.
fn address(word: &str) -> Option<IpAddr> {
    let word = word.split('-').next().unwrap_or_default();
    word.parse().ok().or_else(|| word.rsplit_once(':')?.0.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(kind: FilterKind, text: &str) -> Filter {
        Filter { kind, file: "rules".to_owned(), text: text.to_owned() }
    }

    #[test]
    fn tables_of_iptables_are_loaded_once() {
        let nft = "# Warning: table ip filter is managed by iptables-nft, do not touch!\n\
                   table ip filter {\n\tchain INPUT {\n\t}\n}\ntable inet own {\n\tchain x {\n\t}\n}\n";
        let v4 =
            "# Generated by iptables-save v1.8.9 (nf_tables)\n*filter\n:INPUT DROP [0:0]\nCOMMIT\n";
        let mut host = Host {
            filters: vec![filter(FilterKind::Nft, nft), filter(FilterKind::Iptables, v4)],
            ..Host::default()
        };
        let findings = settle(&mut host);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].line, Some(2));
        assert_eq!(host.filters[0].kind, FilterKind::Iptables);
        assert_eq!(host.filters[1].text, "table inet own {\n\tchain x {\n\t}\n}\n");
    }

    #[test]
    fn the_legacy_back_end_does_not_touch_nfts_tables() {
        let nft = "table ip filter {\n}\n";
        let v4 =
            "# Generated by iptables-save v1.8.9 (legacy)\n*filter\n:INPUT DROP [0:0]\nCOMMIT\n";
        let mut host = Host {
            filters: vec![filter(FilterKind::Nft, nft), filter(FilterKind::Iptables, v4)],
            ..Host::default()
        };
        assert_eq!(settle(&mut host), []);
        assert_eq!(host.filters.len(), 2);
        assert_eq!(host.filters[1].text, nft);
    }

    #[test]
    fn an_iptables_dump_that_does_nothing_is_left_out() {
        let v4 = "*filter\n:INPUT ACCEPT [5:300]\n:FORWARD ACCEPT [0:0]\nCOMMIT\n";
        let mut host = Host { filters: vec![filter(FilterKind::Iptables, v4)], ..Host::default() };
        settle(&mut host);
        assert!(host.filters.is_empty());
    }

    #[test]
    fn modules_follow_from_the_words_outside_quotes() {
        let text = "table inet x {\n chain y { type nat hook postrouting priority srcnat;\n\
                    oifname \"limit\" counter snat ip to 192.0.2.1 comment \"ct log\"\n}\n}\n";
        let (needed, optional) = modules(&filter(FilterKind::Nft, text));
        assert_eq!(
            Vec::from_iter(needed),
            ["nf_conntrack", "nf_tables", "nft_chain_nat", "nft_nat"]
        );
        assert_eq!(Vec::from_iter(optional), ["nft_counter"]);
    }

    #[test]
    fn modules_of_iptables_follow_from_matches_and_targets() {
        let text = "*filter\n-A INPUT -m conntrack --ctstate NEW -m frobnicate -j LOG\nCOMMIT\n";
        let (needed, optional) = modules(&filter(FilterKind::Iptables, text));
        assert_eq!(Vec::from_iter(needed), ["nf_conntrack", "nf_tables", "nft_compat", "x_tables"]);
        assert_eq!(Vec::from_iter(optional), ["xt_LOG", "xt_conntrack"]);
    }

    #[test]
    fn the_address_of_source_nat_is_found() {
        for (line, address) in [
            ("counter packets 0 bytes 0 snat ip to 185.15.56.1", Some("185.15.56.1")),
            ("snat to 192.0.2.1:1024-65535 persistent", Some("192.0.2.1")),
            ("-A POSTROUTING -o eth0 -j SNAT --to-source 192.0.2.1-192.0.2.9", Some("192.0.2.1")),
            ("snat to ip saddr map { 10.0.0.1 : 192.0.2.1 }", None),
            ("masquerade", None),
            ("# snat to 192.0.2.1", None),
        ] {
            let found = snat_address(&[filter(FilterKind::Nft, line)]);
            assert_eq!(found, address.map(|text| text.parse().expect("an address")), "{line}");
        }
    }
}
