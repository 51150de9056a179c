//! What dumps can be, and what is wrong with them.

use kbisect_core::import::{ImportError, Options, from_dumps};

use super::{Dumps, folder, import, scenario, small, text, warnings};

const ADDR: &str = r#"[{"ifname":"lo","link_type":"loopback"},
    {"ifname":"eth0","link_type":"ether","addr_info":[{"local":"192.0.2.2","prefixlen":24}]},
    {"ifname":"eth1","link_type":"ether","addr_info":[{"local":"10.0.0.1","prefixlen":24}]}]"#;
const ROUTE: &str = r#"[{"dst":"default","gateway":"192.0.2.1","dev":"eth0"}]"#;

fn fails(dumps: &Dumps) -> (String, String) {
    let error = import(dumps, &[]).unwrap_err();
    assert!(matches!(error, ImportError::Dumps { .. }), "{error}");
    (error.to_string(), error.hint().unwrap())
}

#[test]
fn two_files_are_enough() {
    let made = import(&small(ADDR, ROUTE), &[]).unwrap();
    let scenario = scenario(&made);
    let names: Vec<&str> = scenario.nodes.keys().map(String::as_str).collect();
    assert_eq!(names, ["gateway", "host-10-0-0-10", "router-192-0-2-1"]);
    let forwards = &scenario.nodes["gateway"].sysctl["net.ipv4.ip_forward"];
    assert_eq!(forwards.to_string(), "1", "the check goes through the host");
    let told = warnings(&made);
    for missing in ["no dump of `sysctl -a`", "no packet filter rules", "no dump of `ip -j rule`"] {
        assert!(told.contains(missing), "{told}");
    }
}

#[test]
fn a_file_is_told_by_its_content() {
    let dumps = folder("mixed");
    let made = import(&dumps, &[]).unwrap();
    // `6` tells the families of iptables and of policy rules apart, nothing else is asked of names.
    let renamed: Dumps = dumps
        .iter()
        .zip(b'a'..)
        .map(|((name, content), letter)| {
            let six = if name.contains('6') { "6" } else { "" };
            (format!("{}{six}", char::from(letter)), content.clone())
        })
        .collect();
    let again = import(&renamed, &[]).unwrap();
    for name in ["rules.v4", "rules.v6", "rules.nft", "routes.batch", "ip-rules.v4", "ip-rules.v6"]
    {
        assert_eq!(again.files[name], made.files[name], "{name}");
    }
}

#[test]
fn dumps_of_all_families_can_overlap() {
    let mut dumps = folder("cloudgw");
    let made = import(&dumps, &[]).unwrap();
    let all = [&dumps["ip-route4.json"][..], &dumps["ip-route6.json"][..]].concat();
    dumps.insert("ip-route-all.json".to_owned(), all);
    assert_eq!(import(&dumps, &[]).unwrap().files, made.files);
}

#[test]
fn an_interface_that_cannot_be_rebuilt_is_named() {
    let addr = ADDR.replace(
        "[{\"ifname\":\"lo\"",
        r#"[{"ifname":"tun0","link_type":"none","linkinfo":{"info_kind":"tun"},
            "addr_info":[{"local":"10.8.0.1","prefixlen":24}]},{"ifname":"lo""#,
    );
    let route = ROUTE.replace('[', r#"[{"dst":"10.20.0.0/16","dev":"tun0"},"#);
    let dumps = small(&addr, &route);
    let (message, hint) = fails(&dumps);
    assert_eq!(
        message,
        "addr.json: [0] tun0: interfaces of kind `tun` cannot be rebuilt (known are network cards, \
         VLANs, VRFs, bridges, bonds, dummies, veth pairs, WireGuard, loopback)"
    );
    assert!(hint.ends_with("--ignore-interface tun0"), "{hint}");
    let made = import(&dumps, &["tun0"]).unwrap();
    scenario(&made);
    assert!(!text(&made, "scenario.toml").contains("dev tun0"));
    let told = warnings(&made);
    let part = "route to 10.20.0.0/16: left out: it goes over `tun0`, which is not there";
    assert!(told.contains(part), "{told}");
}

#[test]
fn what_hangs_on_an_interface_that_cannot_be_rebuilt_is_not_blamed() {
    let addr = r#"[{"ifname":"ovs","link_type":"ether","linkinfo":{"info_kind":"openvswitch"}},
        {"ifname":"eth0","link_type":"ether","master":"ovs"},
        {"ifname":"ovs.7","link":"ovs","link_type":"ether",
         "linkinfo":{"info_kind":"vlan","info_data":{"id":7}}}]"#;
    let (message, hint) = fails(&small(addr, ROUTE));
    assert!(
        message.starts_with("addr.json: [0] ovs: ") && message.lines().count() == 1,
        "{message}"
    );
    assert!(hint.ends_with(": --ignore-interface ovs"), "{hint}");
}

#[test]
fn what_lies_on_an_ignored_interface_goes_along() {
    let made = import(&folder("mixed"), &["eno4"]).unwrap();
    let text = text(&made, "scenario.toml");
    scenario(&made);
    assert!(!text.contains("[links.eno4]") && !text.contains("type vlan"), "{text}");
    let told = warnings(&made);
    for name in ["eno4.100", "eno4.100.7"] {
        assert!(told.contains(&format!("{name}: is left out too")), "{told}");
    }
    assert!(told.contains("rule 120: left out: it names `eno4.100.7`"), "{told}");
    let none = import(&folder("mixed"), &["eth99"]).unwrap();
    assert!(warnings(&none).contains("eth99: is to be ignored, but there is no such interface"));
}

#[test]
fn rules_about_an_interface_that_is_gone_are_pointed_at() {
    let made = import(&folder("cloudgw"), &["data0.1107"]).unwrap();
    let told = warnings(&made);
    let part = "nft.rules:22: names interface `data0.1107`, which the scenario does not have";
    assert!(told.contains(part), "{told}");
}

#[test]
fn broken_dumps_are_told_with_their_place() {
    let cases: &[(&str, &str, &str)] = &[
        (ADDR, "[{", "route.json:1: not JSON, column 2: EOF while parsing an object"),
        (ADDR, "{\"nftables\":[]}", "route.json: not a list of objects, as `ip -j` writes it"),
        (ADDR, "[1]", "route.json: [0]: not an object"),
        ("[]", ROUTE, "no dump of `ip -j -d addr show`: nothing tells of interfaces"),
        (ADDR, "", "no dump of `ip -j route show table all`: nothing tells of routes"),
        (
            r#"[{"ifname":"lo","link_type":"loopback"}]"#,
            ROUTE,
            "no interface leads out of the host, so nothing could be sent to it",
        ),
        (
            ADDR,
            r#"[{"dst":"default","gateway":"192.0.2.1","dev":"eth0","table":"blue"}]"#,
            "route.json: [0] route to default: routing table `blue` has no number: add the host's \
             /etc/iproute2/rt_tables",
        ),
        (
            ADDR,
            r#"[{"dst":"192.0.2.0/33","dev":"eth0"}]"#,
            "route.json: [0]: `192.0.2.0/33` is no destination",
        ),
        (
            r#"[{"ifname":"eth0","link_type":"ether","addr_info":[{"local":"x","prefixlen":24}]}]"#,
            ROUTE,
            "addr.json: [0] eth0: `x` is no address with a prefix",
        ),
        (
            r#"[{"ifname":"eth0.7","link":"eth0","link_type":"ether"}]"#,
            ROUTE,
            "addr.json: [0] eth0.7: interfaces of kind `unknown, since the dump was taken without \
             `ip -d`` cannot be rebuilt",
        ),
        (
            r#"[{"ifname":"eth0.7","link":"eth0","link_type":"ether",
                "linkinfo":{"info_kind":"vlan","info_data":{"id":7}}}]"#,
            ROUTE,
            "eth0.7: lies on `eth0`, which cannot carry VLANs",
        ),
        (
            r#"[{"ifname":"eth0","link_type":"ether","master":"eth1"},
                {"ifname":"eth1","link_type":"ether","master":"eth0"}]"#,
            ROUTE,
            "eth0: is under `eth1`, which is no VRF or bridge of the dumps",
        ),
        (
            r#"[{"ifname":"a b","link_type":"ether"}]"#,
            ROUTE,
            "addr.json: [0] a b: a scenario cannot name this interface",
        ),
    ];
    for (addr, route, message) in cases {
        let (told, _) = fails(&small(addr, route));
        assert!(told.starts_with(message), "expected {message}\ngot      {told}");
    }
    let mut dumps = small(ADDR, ROUTE);
    dumps.insert("nft.rules".to_owned(), b"table inet x {\n\xff\n}\n".to_vec());
    assert!(fails(&dumps).0.starts_with("nft.rules:2: not UTF-8 text"));
    let mut dumps = small(ADDR, ROUTE);
    dumps.insert("a.nft".to_owned(), b"table inet x {\n}\n".to_vec());
    dumps.insert("b.nft".to_owned(), b"table inet x {\n}\n".to_vec());
    assert!(fails(&dumps).0.starts_with("b.nft: the same kind of rules as `a.nft`"));
}

#[test]
fn what_is_no_dump_is_not_looked_at() {
    let mut dumps = small(ADDR, ROUTE);
    dumps.insert("notes".to_owned(), b"remember the milk\n".to_vec());
    let made = import(&dumps, &[]).unwrap();
    assert!(warnings(&made).contains("notes: not looked at"), "{}", warnings(&made));
}

#[test]
fn the_node_has_the_name_that_was_asked_for() {
    let options = |node: &str| Options { node: node.to_owned(), ignored: [].into() };
    let made = from_dumps("made", &small(ADDR, ROUTE), &options("edge1")).unwrap();
    assert!(scenario(&made).nodes.contains_key("edge1"));
    let error = from_dumps("made", &small(ADDR, ROUTE), &options("Edge 1")).unwrap_err();
    assert!(error.to_string().starts_with("`Edge 1` cannot name a node"), "{error}");
}
