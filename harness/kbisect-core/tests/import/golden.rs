//! Whole files, against those under `tests/import/`.
//!
//! To write them anew after a change, and to read the difference:
//! `KBISECT_UPDATE_GOLDEN=1 cargo test -p kbisect-core --test import`

use kbisect_core::import::Imported;

use super::{folder, import, scenario, text, warnings};

fn golden(name: &str, text: &str) {
    let path = format!("{}/tests/import/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("KBISECT_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = expected.lines().zip(text.lines()).find(|(expected, now)| expected != now);
    assert!(
        expected == text,
        "tests/import/{name} differs, first in (expected, now): {differs:#?}"
    );
}

fn check(name: &str) -> Imported {
    let dumps = folder(name);
    let made = import(&dumps, &[]).unwrap();
    scenario(&made);
    golden(&format!("{name}.toml"), &text(&made, "scenario.toml"));
    assert_eq!(import(&dumps, &[]), Ok(made.clone()), "the same dumps give the same scenario");
    made
}

#[test]
fn a_gateway_with_vlans_in_a_vrf() {
    let made = check("cloudgw");
    assert_eq!(made.files["rules.nft"], folder("cloudgw")["nft.rules"], "rules are verbatim");
    assert_eq!(
        text(&made, "ip-rules.v4"),
        "rule add pref 1200 fwmark 0x10 table 10\nrule add pref 32765 table 255\nrule del pref 0\n"
    );
    assert!(!made.files.contains_key("rules.v4"), "an empty dump is nothing to load");
}

/// As a stranger has it: sets of bogons that hold all networks for documentation, a block list with the first
/// address beyond them, ports that are passed on, three kinds of other sources, a tunnel.
#[test]
fn a_gateway_with_iptables_sets_and_ports_that_are_passed_on() {
    let made = check("edge");
    let text = text(&made, "scenario.toml");
    for part in [
        "http = { url = \"http://203.0.113.10:8443/small\"",
        "dns = { server = \"203.0.113.10\", port = 5353",
        "body = { equals = \"203.0.113.10\" }",
        "body = { equals = \"203.0.113.11\" }",
        "203.0.113.10/32 dev eth0 src 185.15.56.10",
        "counter = { iptables_comment = \"web shop\" }",
        "wg0 type wireguard",
    ] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    assert!(!text.contains("45.80.80.80") && !text.contains("198.51.100."), "{text}");
    let told = warnings(&made);
    for part in [
        "iptables.rules:34: what it passes on has no check: the rule says more than is understood here",
        "wg0: WireGuard with keys of the scenario's own",
    ] {
        assert!(told.contains(part), "no `{part}` in:\n{told}");
    }
    let nginx = self::text(&made, "nginx.conf");
    for port in [22, 25, 80, 443] {
        assert!(nginx.contains(&format!("listen {port};")), "{nginx}");
    }
}

#[test]
fn a_gateway_with_nft_sets_maps_and_a_flowtable() {
    let made = check("sets");
    let text = text(&made, "scenario.toml");
    for part in [
        "http = { url = \"http://192.0.2.34:443/small\"",
        "http = { url = \"http://192.0.2.34:8080/small\"",
        "http = { url = \"http://192.0.2.65/small\"",
        "dns = { server = \"192.0.2.34\", port = 1194",
        "http = { url = \"http://[2001:db8:1::2]:8080/small\"",
        "body = { equals = \"192.0.2.34\" }",
        "body = { equals = \"192.0.2.65\" }",
        "counter = { nft = \"masq\", at_least = 90413 }",
        "counter = { nft_comment = \"vpn\", at_least = 4 }",
    ] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    let told = warnings(&made);
    for part in ["`flags offload` of a flowtable is left out", "has no check"] {
        assert!(told.contains(part), "no `{part}` in:\n{told}");
    }
    assert!(!self::text(&made, "rules.nft").contains("offload"));
}

#[test]
fn a_host_with_some_of_everything() {
    let made = check("mixed");
    let dumps = folder("mixed");
    assert_eq!(made.files["rules.v4"], dumps["iptables.rules"], "rules are verbatim");
    assert_eq!(made.files["rules.v6"], dumps["ip6tables.rules"], "rules are verbatim");
    assert_eq!(made.files["rules.ipset"], dumps["ipset.rules"], "sets are verbatim");
    let nft = text(&made, "rules.nft");
    assert!(nft.starts_with("table inet own {\n") && !nft.contains("table ip "), "{nft}");
    assert_eq!(
        text(&made, "links.batch"),
        "link set dev veth1 master br0\nlink set dev veth1 up\n\
         link set dev eno4.100 mtu 9000\nlink set dev eno4.100.7 mtu 9000\n"
    );
    assert_eq!(
        text(&made, "ip-rules.v4"),
        "rule add pref 100 fwmark 0x1/0xff table 100\n\
         rule add pref 110 dport 80-90 ipproto tcp from 10.9.0.0/24 table 200\n\
         rule add pref 120 iif eno4.100.7 blackhole\n\
         rule add not pref 130 from 10.0.0.0/8 suppress_prefixlength 0 table 254\n"
    );
    assert_eq!(text(&made, "ip-rules.v6"), "rule add pref 140 from 2001:db8:77::/64 table 200\n");
    let routes = text(&made, "routes.batch");
    for route in [
        "route add 10.61.0.0/16 via 10.9.0.5 dev veth0 table 200 mtu 1400\n",
        "route add 10.60.0.0/16 nexthop via 10.9.0.5 dev veth0 weight 2 nexthop via 10.7.0.9 dev \
         eno4.100.7 weight 1\n",
        "route add ::/0 via fe80::1 dev bond0 metric 1024\n",
    ] {
        assert!(routes.contains(route), "no `{route}` in:\n{routes}");
    }
}
