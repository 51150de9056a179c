//! Who is put around a host, and what the first check asks.

use kbisect_core::scenario::{NodeKernel, Probe, Scenario};

use super::{import, scenario, small, text, warnings};

fn card(name: &str, addresses: &str) -> String {
    let addresses = addresses.split_whitespace().map(|address| {
        let (local, prefix) = address.split_once('/').unwrap();
        format!(r#"{{"local":"{local}","prefixlen":{prefix}}}"#)
    });
    let addresses = addresses.collect::<Vec<_>>().join(",");
    format!(r#"{{"ifname":"{name}","link_type":"ether","addr_info":[{addresses}]}}"#)
}

fn made(cards: &[String], routes: &str) -> Scenario {
    let made = import(&small(&format!("[{}]", cards.join(",")), routes), &[]).unwrap();
    scenario(&made)
}

/// The one check, as who asks which URL.
fn asks(scenario: &Scenario) -> (String, String) {
    assert_eq!(scenario.checks.len(), 1);
    let check = &scenario.checks[0];
    let Probe::Http(http) = &check.probe else { panic!("{check:?}") };
    assert!(check.probe.verifies_payload() && !check.record_only);
    (check.node.clone(), http.host.to_string())
}

#[test]
fn the_check_goes_through_the_host_to_the_side_of_the_default_gateway() {
    let scenario = made(
        &[card("wan", "192.0.2.2/24"), card("lan", "10.0.0.1/24")],
        r#"[{"dst":"default","gateway":"192.0.2.1","dev":"wan"},
            {"dst":"10.5.0.0/16","gateway":"10.0.0.7","dev":"lan"}]"#,
    );
    let client = "router-10-0-0-7".to_owned();
    assert_eq!(asks(&scenario), (client.clone(), "198.51.100.80".to_owned()));
    assert_eq!(scenario.nodes[&client].addresses["lo"], ["10.5.0.10/32"]);
    assert_eq!(scenario.nodes[&client].routes, ["default via 10.0.0.1 dev eth0 src 10.5.0.10"]);
    let server = &scenario.nodes["router-192-0-2-1"];
    assert_eq!(
        server.routes,
        ["10.0.0.0/24 via 192.0.2.2 dev eth0", "10.5.0.0/16 via 192.0.2.2 dev eth0"],
        "it knows what is behind the host, and nothing else"
    );
    assert_eq!(scenario.nodes_on(NodeKernel::Candidate).collect::<Vec<_>>(), ["gateway"]);
}

#[test]
fn without_a_default_route_two_sides_talk_to_each_other() {
    let scenario = made(&[card("a", "10.1.0.1/24"), card("b", "10.2.0.1/24")], "[]");
    assert_eq!(asks(&scenario), ("host-10-2-0-10".to_owned(), "10.1.0.10".to_owned()));
}

#[test]
fn a_host_with_one_side_asks_by_itself() {
    let cards = [card("eth0", "192.0.2.2/24")];
    let scenario = made(&cards, r#"[{"dst":"default","gateway":"192.0.2.1","dev":"eth0"}]"#);
    assert_eq!(asks(&scenario).0, "gateway");
}

#[test]
fn a_host_that_does_not_forward_asks_by_itself() {
    let addr = format!("[{},{}]", card("wan", "192.0.2.2/24"), card("lan", "10.0.0.1/24"));
    let routes = r#"[{"dst":"default","gateway":"192.0.2.1","dev":"wan"}]"#;
    let mut dumps = small(&addr, routes);
    dumps.insert("sysctl".to_owned(), b"net.ipv4.ip_forward = 0\n".to_vec());
    assert_eq!(asks(&scenario(&import(&dumps, &[]).unwrap())).0, "gateway");
}

#[test]
fn ipv6_alone_is_enough() {
    let scenario = made(
        &[card("wan", "2001:db8:1::2/64"), card("lan", "2001:db8:2::1/64")],
        r#"[{"dst":"default","gateway":"fe80::9","dev":"wan","pref":"medium"}]"#,
    );
    assert_eq!(asks(&scenario), ("host-2001-db8-2--a".to_owned(), "2001:db8:ffff::80".to_owned()));
    let router = &scenario.links["wan"]["router-2001-db8-1--a"];
    assert_eq!(router.addresses, ["fe80::9/64", "2001:db8:1::a/64"]);
    assert_eq!(scenario.nodes["gateway"].routes, ["::/0 via fe80::9 dev wan"]);
}

#[test]
fn one_router_with_two_families_is_one_node() {
    let scenario = made(
        &[card("wan", "192.0.2.2/24 2001:db8::2/64")],
        r#"[{"dst":"default","gateway":"192.0.2.1","dev":"wan"},
            {"dst":"default","gateway":"2001:db8::1","dev":"wan","pref":"medium"}]"#,
    );
    assert_eq!(scenario.nodes.len(), 2);
    let router = &scenario.links["wan"]["router-192-0-2-1"];
    assert_eq!(router.addresses, ["192.0.2.1/24", "2001:db8::1/64"]);
}

#[test]
fn ports_of_a_bridge_without_addresses_have_somebody_on_them() {
    let port = |name: &str| {
        format!(
            r#"{{"ifname":"{name}","link_type":"ether","master":"br0",
                "linkinfo":{{"info_slave_kind":"bridge"}}}}"#
        )
    };
    let bridge = r#"{"ifname":"br0","link_type":"ether","linkinfo":{"info_kind":"bridge"}}"#;
    let addr = format!("[{},{},{bridge}]", port("p1"), port("p2"));
    let made = import(&small(&addr, "[]"), &[]).unwrap();
    let scenario = scenario(&made);
    assert_eq!(scenario.links["p2"]["host-198-18-0-2"].addresses, ["198.18.0.2/24"]);
    assert_eq!(asks(&scenario), ("host-198-18-0-2".to_owned(), "198.18.0.1".to_owned()));
    assert!(warnings(&made).contains("p1: no next hop and no network is known there"));
}

#[test]
fn the_other_end_of_a_veth_pair_in_another_name_space_is_a_link() {
    let veth = r#"{"ifname":"up0","link_index":7,"link_netnsid":0,"link_type":"ether",
        "linkinfo":{"info_kind":"veth"},"addr_info":[{"local":"10.3.0.1","prefixlen":30}]}"#;
    let made = import(&small(&format!("[{veth}]"), "[]"), &[]).unwrap();
    assert_eq!(scenario(&made).links["up0"]["host-10-3-0-2"].addresses, ["10.3.0.2/30"]);
}

#[test]
fn many_routes_go_to_a_file_and_many_next_hops_are_cut() {
    let hops = (10..60)
        .map(|n| format!(r#"{{"dst":"10.{n}.0.0/16","gateway":"192.0.2.{n}","dev":"eth0"}}"#));
    let more = (0..50)
        .map(|n| format!(r#"{{"dst":"11.{n}.0.0/16","gateway":"192.0.2.10","dev":"eth0"}}"#));
    let routes: Vec<String> = hops.chain(more).collect();
    let addr = format!("[{}]", card("eth0", "192.0.2.2/24"));
    let made = import(&small(&addr, &format!("[{}]", routes.join(","))), &[]).unwrap();
    assert_eq!(text(&made, "routes.batch").lines().count(), 100);
    assert_eq!(scenario(&made).nodes.len(), 17);
    assert!(warnings(&made).contains("34 more have no node"), "{}", warnings(&made));
}

#[test]
fn more_cards_than_a_machine_holds_are_refused() {
    let cards: Vec<String> =
        (0..14).map(|n| card(&format!("eth{n}"), &format!("10.{n}.0.1/24"))).collect();
    let error = import(&small(&format!("[{}]", cards.join(",")), "[]"), &[]).unwrap_err();
    assert_eq!(error.to_string(), "14 network cards are in use, a machine has room for 12");
    assert!(error.hint().unwrap().ends_with("--ignore-interface eth12 --ignore-interface eth13"));
}
