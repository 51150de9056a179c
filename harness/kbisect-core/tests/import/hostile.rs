//! Dumps that lie. Whatever they hold, the answer is a valid scenario or a reason, never a panic and
//! never a broken file.

use kbisect_core::import::ImportError;
use proptest::prelude::*;

use super::{Dumps, folder, import, small};

fn holds(dumps: &Dumps) {
    if let Err(error) = import(dumps, &[]) {
        assert!(matches!(error, ImportError::Dumps { .. }), "{error}");
        assert!(!error.to_string().is_empty() && error.hint().is_some());
    }
}

/// Words that mean something in a dump, and some that should not.
fn word() -> impl Strategy<Value = String> {
    let words = [
        "eth0",
        "eth1",
        "eth0.7",
        "br0",
        "vrf0",
        "lo",
        "dummy0",
        "veth0",
        "veth1",
        "bond0",
        "default",
        "192.0.2.1",
        "192.0.2.2",
        "10.0.0.0/8",
        "0.0.0.0",
        "0.0.0.0/0",
        "::",
        "::1",
        "fe80::1",
        "2001:db8::1",
        "2001:db8::/32",
        "255.255.255.255/32",
        "ether",
        "loopback",
        "none",
        "vlan",
        "vrf",
        "bridge",
        "bond",
        "dummy",
        "veth",
        "wireguard",
        "main",
        "local",
        "10",
        "kernel",
        "unicast",
        "unreachable",
        "local",
        "",
        " ",
        "a\nb",
        "\"; drop",
        "]",
        "\u{202e}",
        "-x",
        "all",
        "a-name-that-is-far-too-long-for-the-kernel",
        "4294967295",
        "0x10",
        "onlink",
        "dead",
        "to_tbl",
    ];
    prop::sample::select(words.to_vec()).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => word().prop_map(|word| serde_json::to_string(&word).unwrap()),
        2 => prop_oneof![0..40u64, Just(254), Just(4094), Just(u64::MAX)].prop_map(|n| n.to_string()),
        1 => Just("null".to_owned()),
        1 => word().prop_map(|word| format!("[{}]", serde_json::to_string(&word).unwrap())),
    ]
}

fn object(keys: &'static [&'static str]) -> impl Strategy<Value = String> {
    let pair = (prop::sample::select(keys), value());
    prop::collection::vec(pair, 0..8).prop_map(|pairs| {
        let pairs: Vec<String> =
            pairs.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        format!("{{{}}}", pairs.join(","))
    })
}

/// An interface that is likely to be taken for one.
fn interface() -> impl Strategy<Value = String> {
    let kind = prop::option::of(prop::sample::select(
        ["vlan", "vrf", "bridge", "bond", "dummy", "veth"].to_vec(),
    ));
    let network = (word(), 0..129u32);
    (word(), kind, word(), prop::option::of(word()), 0..9u32, prop::option::of(network), 0..70_000u32)
        .prop_map(|(name, kind, lower, master, id, network, mtu)| {
            let text = |text: &str| serde_json::to_string(text).unwrap();
            let info = kind.map(|kind| {
                format!(
                    r#","link":{},"linkinfo":{{"info_kind":"{kind}","info_data":{{"id":{id},"table":{id}}}}}"#,
                    text(&lower)
                )
            });
            let master = master.map(|master| format!(",\"master\":{}", text(&master)));
            let network = network.map(|(address, prefix)| {
                format!(r#","addr_info":[{{"local":{},"prefixlen":{prefix}}}]"#, text(&address))
            });
            format!(
                r#"{{"ifname":{},"link_type":"ether","mtu":{mtu}{}{}{}}}"#,
                text(&name),
                info.unwrap_or_default(),
                master.unwrap_or_default(),
                network.unwrap_or_default()
            )
        })
}

/// A route that is likely to be one.
fn route() -> impl Strategy<Value = String> {
    (word(), prop::option::of(word()), word(), prop::option::of(0..300u32)).prop_map(
        |(to, gateway, device, table)| {
            let text = |text: &str| serde_json::to_string(text).unwrap();
            let gateway = gateway.map(|gateway| format!(",\"gateway\":{}", text(&gateway)));
            let table = table.map(|table| format!(",\"table\":\"{table}\""));
            format!(
                r#"{{"dst":{},"dev":{}{}{}}}"#,
                text(&to),
                text(&device),
                gateway.unwrap_or_default(),
                table.unwrap_or_default()
            )
        },
    )
}

fn list(items: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec(items, 0..8).prop_map(|items| format!("[{}]", items.join(",")))
}

const KEYS: &[&str] = &[
    "ifname",
    "link_type",
    "link",
    "master",
    "linkinfo",
    "addr_info",
    "dst",
    "gateway",
    "dev",
    "table",
    "type",
    "priority",
    "src",
    "srclen",
    "iif",
    "fwmark",
    "fwmask",
    "goto",
    "action",
    "l3mdev",
    "not",
    "nexthops",
    "via",
    "metrics",
    "prefsrc",
    "flags",
    "lladdr",
    "state",
    "metric",
    "sport_start",
    "sport_end",
    "suppress_prefixlen",
    "uid_start",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn garbage_is_refused_or_left_out(content in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut dumps = folder("cloudgw");
        dumps.insert("x".to_owned(), content.clone());
        holds(&dumps);
        holds(&Dumps::from([("x".to_owned(), content)]));
    }

    #[test]
    fn a_dump_that_was_cut_off_or_changed_is_no_panic(
        file in 0..13usize, at in 0..4000usize, byte in any::<u8>(), cut in any::<bool>()
    ) {
        let mut dumps = folder("mixed");
        let content = dumps.values_mut().nth(file).unwrap();
        if !content.is_empty() {
            let at = at % content.len();
            if cut { content.truncate(at) } else { content[at] = byte }
        }
        holds(&dumps);
    }

    #[test]
    fn objects_of_any_keys_are_no_panic(a in list(object(KEYS)), b in list(object(KEYS))) {
        let mut dumps = folder("cloudgw");
        dumps.insert("extra.json".to_owned(), a.clone().into_bytes());
        holds(&dumps);
        holds(&small(&a, &b));
    }

    #[test]
    fn hosts_that_cannot_be_give_a_valid_scenario_or_a_reason(
        interfaces in list(interface()), routes in list(route()), rules in list(object(KEYS))
    ) {
        let mut dumps = small(&interfaces, &routes);
        dumps.insert("rule.json".to_owned(), rules.into_bytes());
        holds(&dumps);
    }

    #[test]
    fn texts_of_any_lines_are_no_panic(lines in prop::collection::vec(
        prop_oneof![
            word(),
            word().prop_map(|word| format!("net.ipv4.conf.{word}.rp_filter = {word}")),
            word().prop_map(|word| format!("table {word} {word} {{")),
            Just("}".to_owned()),
            Just("*filter".to_owned()),
            Just(":INPUT DROP [0:0]".to_owned()),
            word().prop_map(|word| format!("snat to {word}")),
        ], 0..12))
    {
        let mut dumps = folder("cloudgw");
        dumps.remove("nft.rules");
        dumps.insert("text".to_owned(), lines.join("\n").into_bytes());
        holds(&dumps);
    }
}
