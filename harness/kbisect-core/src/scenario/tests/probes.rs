//! What a file can say about kinds of checks that connect somewhere, and what they say of themselves.

use std::collections::BTreeMap;

use super::super::{Expected, Probe, Scenario, TcpProbe};
use super::{FILE, errors, warnings};
use crate::selftest::{Sight, sight};
use crate::trial::{CheckResult, CheckStatus};

const TEXT: &str = r#"
schema = "kbisect.scenario/1"
summary = "an application"
[nodes.app]
kernel = "candidate"
[nodes.server]
kernel = "reference"
[links.lan]
app = { name = "eth0", addresses = ["192.0.2.10/24"] }
server = { name = "eth0", addresses = ["192.0.2.1/24"] }
[[checks]]
name = "asked"
node = "app"
"#;

/// Each kind with every key.
const WHOLE: &str = include_str!("probes.toml");

/// The scenario with one check.
fn text(probe: &str) -> String {
    format!("{TEXT}{probe}\n")
}

fn scenario(probe: &str) -> Scenario {
    Scenario::parse("x", FILE, &text(probe)).expect("valid").scenario().clone()
}

fn told(probe: &str, expected: &str) {
    assert_eq!(errors(&text(probe)), [format!("{FILE}:{expected}")], "{probe}");
}

/// A kept scenario whose check has one value changed.
fn kept(probe: &str, pointer: &str, value: serde_json::Value) -> Result<Scenario, String> {
    let mut json = serde_json::to_value(scenario(probe)).expect("plain data");
    *json.pointer_mut(&format!("/checks/0/probe{pointer}")).expect("it is there") = value;
    Scenario::from_kept(json.to_string().as_bytes()).map_err(|error| error.to_string())
}

/// What `scenario selftest` says of the check when it passes with all wires cut.
fn sight_when_cut(probe: &str) -> Sight {
    let scenario = scenario(probe);
    let result = CheckResult {
        name: "asked".to_owned(),
        status: CheckStatus::Pass,
        detail: String::new(),
        wall_s: 0.0,
    };
    sight(&scenario, &scenario.checks[0], Some(&result), Some(&result)).sight
}

#[test]
fn every_key_reaches_the_model() {
    let parsed = Scenario::parse("x", FILE, WHOLE).expect("valid");
    let tcp = TcpProbe {
        to: "192.0.2.1:25".parse().expect("a socket"),
        send: Some("QUIT\r\n".into()),
        expect: Expected {
            equals: Some("220 x".into()),
            contains: Some("220".into()),
            least_bytes: Some(5),
        },
        connections: 3,
    };
    let checks = parsed.scenario().checks.iter();
    assert_eq!(checks.map(|check| check.probe.clone()).collect::<Vec<_>>(), [Probe::Tcp(tcp)]);
}

const TCP: &str = r#"tcp = { to = "192.0.2.1:25", send = "QUIT", expect = { contains = "220" } }"#;

#[test]
fn what_makes_no_sense_of_a_tcp_check_is_told_with_its_place() {
    for (from, to, expected) in [
        (
            "\"192.0.2.1:25\"",
            "\"192.0.2.1\"",
            "14:9: checks[0].tcp.to: `192.0.2.1` is no address with a port, such as `192.0.2.1:7` or `[2001:db8::1]:7`",
        ),
        (
            "to = \"192.0.2.1:25\", ",
            "",
            "14:1: checks[0].tcp: `to` is missing: address and port, such as `192.0.2.1:25`",
        ),
        ("\"QUIT\"", "\"\"", "14:30: checks[0].tcp.send: must not be empty"),
        ("\"QUIT\"", "7", "14:30: checks[0].tcp.send: must be a text, not a whole number"),
        (
            "contains = \"220\"",
            "",
            "14:45: checks[0].tcp.expect: one of `equals`, `contains`, `least_bytes` is needed",
        ),
        (
            "contains",
            "contain",
            "14:56: checks[0].tcp.expect.contain: unknown key (known here: `contains`, `equals`, `least_bytes`; did you mean `contains`?)",
        ),
        (
            "contains = \"220\"",
            "least_bytes = 0",
            "14:56: checks[0].tcp.expect.least_bytes: must be from 1 to 67108864, not 0",
        ),
        (
            "send = \"QUIT\"",
            "connections = 1001",
            "14:30: checks[0].tcp.connections: must be from 1 to 1000, not 1001",
        ),
    ] {
        assert_eq!(TCP.matches(from).count(), 1, "{from}");
        let changed = TCP.replace(from, to);
        let found = errors(&text(&changed));
        assert!(found.contains(&format!("{FILE}:{expected}")), "{found:#?}");
    }
    let long = TCP.replace("QUIT", &"x".repeat(65_537));
    told(&long, "14:30: checks[0].tcp.send: must have at most 65536 bytes, not 65537");
}

#[test]
fn a_tcp_check_says_what_it_is_about() {
    let asked = scenario(TCP).checks[0].probe.clone();
    assert!(asked.verifies_payload());
    assert_eq!(asked.protocols(), ["tcp"]);
    let summary = "TCP 192.0.2.1:25, sends a text, expects an answer with `220`";
    assert_eq!(asked.summary(), summary);
    assert_eq!(warnings(&text(TCP), BTreeMap::new()), Vec::<String>::new());
    // A connection alone verifies nothing.
    let connects = "tcp = { to = \"192.0.2.1:25\" }";
    assert!(!scenario(connects).checks[0].probe.verifies_payload());
    let warned = warnings(&text(connects), BTreeMap::new());
    assert!(warned[0].contains("no payload is verified"), "{warned:?}");
    // With cut wires nothing can answer but the node itself.
    assert_eq!(sight_when_cut(TCP), Sight::Blind);
    assert_eq!(sight_when_cut(&TCP.replace("192.0.2.1:", "192.0.2.10:")), Sight::NoNetwork);
    let elsewhere = TCP.replace("192.0.2.1:", "192.0.2.7:");
    let warned = warnings(&text(&elsewhere), BTreeMap::new());
    let expected = "14:9: checks[0].tcp.to: no interface of the scenario has the address 192.0.2.7";
    assert!(warned.contains(&format!("{FILE}:{expected}")), "{warned:?}");
}

#[test]
fn a_kept_tcp_check_goes_through_the_same_rules() {
    let whole = kept(TCP, "/tcp/connections", 7.into()).expect("valid");
    let Probe::Tcp(tcp) = &whole.checks[0].probe else { panic!("{whole:?}") };
    assert_eq!((tcp.connections, tcp.send.as_deref()), (7, Some("QUIT")));
    for (pointer, value) in [
        ("/tcp/connections", 0.into()),
        ("/tcp/connections", 1001.into()),
        ("/tcp/to", "192.0.2.1:0".into()),
        ("/tcp/to", "server:25".into()),
        ("/tcp/send", "".into()),
        ("/tcp/send", "x".repeat(65_537).into()),
        ("/tcp/expect/contains", "".into()),
        ("/tcp/expect/least_bytes", 0.into()),
        ("/tcp/expect", serde_json::json!({"other": 1})),
    ] {
        assert!(kept(TCP, pointer, value).is_err(), "{pointer}");
    }
}
