//! What a file can say about kinds of checks, and what they say of themselves.

use std::collections::BTreeMap;

use super::super::{
    Body, CommandsProbe, ConntrackProbe, Count, Counter, CounterProbe, Expected, Family,
    HttpsProbe, KtapFormat, KtapProbe, ListedCommand, PluginProbe, PluginWarning, Probe, Scenario,
    State, TcpProbe, Tracked,
};
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
pub(super) fn text(probe: &str) -> String {
    format!("{TEXT}{probe}\n")
}

pub(super) fn scenario(probe: &str) -> Scenario {
    Scenario::parse("x", FILE, &text(probe)).expect("valid").scenario().clone()
}

pub(super) fn told(probe: &str, expected: &str) {
    assert_eq!(errors(&text(probe)), [format!("{FILE}:{expected}")], "{probe}");
}

/// A kept scenario whose check has one value changed.
pub(super) fn kept(
    probe: &str,
    pointer: &str,
    value: serde_json::Value,
) -> Result<Scenario, String> {
    let mut json = serde_json::to_value(scenario(probe)).expect("plain data");
    *json.pointer_mut(&format!("/checks/0/probe{pointer}")).expect("it is there") = value;
    Scenario::from_kept(json.to_string().as_bytes()).map_err(|error| error.to_string())
}

/// What `scenario selftest` says of the check when it passes with all wires cut.
pub(super) fn sight_when_cut(probe: &str) -> Sight {
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
    let https = HttpsProbe {
        host: "www.example.test".into(),
        port: 8443,
        path: "/payload?x=1".into(),
        resolve: Some("192.0.2.1".parse().expect("an address")),
        ca: Some("ca.pem".into()),
        status: 206,
        body: Body { equals: Some("x".into()), contains: Some("x".into()), bytes: Some(2) },
    };
    let plugin = PluginProbe {
        run: ["{assets}/check_it", "-s", "a b"].map(str::to_owned).into(),
        warning: PluginWarning::Bad,
        payload: true,
    };
    let checks = parsed.scenario().checks.iter().map(|check| check.probe.clone());
    let counter = CounterProbe {
        of: Counter::IptablesComment("over the limit".into()),
        family: Some(Family::Ip6),
        table: Some("filter".into()),
        packets: Count { at_least: Some(2), at_most: Some(3) },
    };
    let never = CounterProbe {
        of: Counter::Nft("never".into()),
        family: None,
        table: None,
        packets: Count { at_least: None, at_most: Some(0) },
    };
    let conntrack = ConntrackProbe {
        protocol: Tracked::Tcp,
        destination: Some("192.0.2.1".parse().expect("an address")),
        port: Some(80),
        state: Some(State::TimeWait),
        entries: Count { at_least: None, at_most: Some(7) },
    };
    let listed = ListedCommand {
        run: "ping -c 1 192.0.2.1; exit 3".into(),
        status: Some(3),
        stdout: Some("x".into()),
        stderr: Some(String::new()),
        payload: true,
    };
    let plain = ListedCommand { run: "true".into(), ..Default::default() };
    let ktap = |case: Option<&str>, fail_text: Option<&str>| KtapProbe {
        run: ["{assets}/test.sh", "-v"].map(str::to_owned).into(),
        format: KtapFormat::Ktap,
        case: case.map(str::to_owned),
        rest: false,
        fail_text: fail_text.map(str::to_owned),
        payload: true,
    };
    let expected = [
        Probe::Tcp(tcp),
        Probe::Https(https),
        Probe::Plugin(plugin),
        Probe::Counter(counter),
        Probe::Counter(never),
        Probe::Conntrack(conntrack),
        Probe::Commands(CommandsProbe { list: vec![listed, plain] }),
        Probe::Ktap(ktap(Some("outer/inner"), None)),
        Probe::Ktap(KtapProbe { payload: false, ..ktap(None, Some("FAIL:")) }),
        Probe::Ktap(KtapProbe {
            format: KtapFormat::Kselftest,
            rest: true,
            payload: false,
            ..ktap(None, None)
        }),
    ];
    assert_eq!(checks.collect::<Vec<_>>(), expected);
    assert_eq!(parsed.required_assets().len(), 5, "{:?}", parsed.required_assets());
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

const HTTPS: &str = r#"https = { url = "https://www.example.test/p", resolve = "192.0.2.1", ca = "ca.pem", body = { bytes = 7 } }"#;

#[test]
fn what_makes_no_sense_of_an_https_check_is_told_with_its_place() {
    for (from, to, expected) in [
        (
            "https://www",
            "http://www",
            "14:11: checks[0].https.url: `http://www.example.test/p` is no URL: it must begin with `https://`",
        ),
        (
            "www.example.test",
            "u@www.example.test",
            "14:11: checks[0].https.url: `https://u@www.example.test/p` is no URL: the host must be a name or an address",
        ),
        (
            "www.example.test",
            "-www.example.test",
            "14:11: checks[0].https.url: `https://-www.example.test/p` is no URL: the host must be a name or an address",
        ),
        (
            "www.example.test",
            "3221225985",
            "14:11: checks[0].https.url: `https://3221225985/p` is no URL: the host must be a name or an address",
        ),
        (
            "www.example.test",
            "192.0.2.1",
            "14:40: checks[0].https.resolve: the host of `url` is an address already",
        ),
        (
            "\"192.0.2.1\"",
            "\"server\"",
            "14:47: checks[0].https.resolve: `server` is no IPv4 or IPv6 address",
        ),
        (
            "\"ca.pem\"",
            "\"../ca.pem\"",
            "14:70: checks[0].https.ca: `../ca.pem` is no file of the scenario: `..` would leave the scenario's folder",
        ),
        (
            "body",
            "bodi",
            "14:85: checks[0].https.bodi: unknown key (known here: `body`, `ca`, `resolve`, `status`, `url`; did you mean `body`?)",
        ),
    ] {
        assert_eq!(HTTPS.matches(from).count(), 1, "{from}");
        let changed = HTTPS.replace(from, to);
        let found = errors(&text(&changed));
        assert!(found.contains(&format!("{FILE}:{expected}")), "{found:#?}");
    }
    let files = BTreeMap::from([("ca.pem".to_owned(), b"-----BEGIN PRIVATE KEY-----".to_vec())]);
    let parsed = Scenario::parse("x", FILE, &text(HTTPS)).expect("valid");
    let problems = parsed.with_assets(files).expect_err("it is no certificate").problems;
    let expected = "14:70: checks[0].https.ca: `ca.pem` holds no certificate in PEM form";
    assert_eq!(problems[0].to_string(), format!("{FILE}:{expected}"));
}

#[test]
fn an_https_check_says_what_it_is_about() {
    let asked = scenario(HTTPS).checks[0].probe.clone();
    assert!(asked.verifies_payload());
    let summary =
        "HTTPS https://www.example.test:443/p at 192.0.2.1, certified by ca.pem, payload read";
    assert_eq!(asked.summary(), summary);
    let pem = || ("ca.pem".to_owned(), b"-----BEGIN CERTIFICATE-----".to_vec());
    assert_eq!(warnings(&text(HTTPS), BTreeMap::from([pem()])), Vec::<String>::new());
    assert_eq!(sight_when_cut(HTTPS), Sight::Blind);
    assert_eq!(sight_when_cut(&HTTPS.replace("192.0.2.1", "192.0.2.10")), Sight::NoNetwork);
    // Where a name leads is for the guest to find out.
    let named = HTTPS.replace("resolve = \"192.0.2.1\", ", "");
    assert_eq!(scenario(&named).checks[0].probe.server(), None);
    assert_eq!(sight_when_cut(&named), Sight::Blind);
    let uncertified = text(&HTTPS.replace("ca = \"ca.pem\", ", ""));
    let warned = warnings(&uncertified, BTreeMap::new());
    assert!(warned[0].contains("14:1: checks[0].https: the stock image has no"), "{warned:?}");
    let packages = "[image]\npackages = [\"ca-certificates\"]\n[nodes.app]";
    let certified = uncertified.replace("[nodes.app]", packages);
    assert_eq!(warnings(&certified, BTreeMap::new()), Vec::<String>::new());
}

#[test]
fn a_kept_https_check_goes_through_the_same_rules() {
    assert!(kept(HTTPS, "/https/path", "/other?q".into()).is_ok());
    for (pointer, value) in [
        ("/https/host", "a b".into()),
        ("/https/host", "-a".into()),
        ("/https/host", "a/b".into()),
        ("/https/host", "a:1".into()),
        ("/https/port", 0.into()),
        ("/https/path", "p".into()),
        ("/https/path", "/a b".into()),
        ("/https/ca", "../x".into()),
        ("/https/ca", "/etc/shadow".into()),
        ("/https/status", 99.into()),
        ("/https/body/bytes", u64::MAX.into()),
        ("/https/body", serde_json::json!({"other": 1})),
    ] {
        assert!(kept(HTTPS, pointer, value.clone()).is_err(), "{pointer} {value}");
    }
}

const PLUGIN: &str = r#"plugin = { run = "/p/check_http -H 192.0.2.1", warning = "bad" }"#;

#[test]
fn what_makes_no_sense_of_a_plugin_check_is_told_with_its_place() {
    for (from, to, expected) in [
        (
            "run = \"/p/check_http -H 192.0.2.1\", ",
            "",
            "14:1: checks[0].plugin: `run` is missing: the plugin and its arguments",
        ),
        ("/p/check_http -H", "  ", "14:12: checks[0].plugin.run: the program's name is missing"),
        (
            "-H 192.0.2.1",
            "| cat",
            "14:12: checks[0].plugin.run: no shell reads `|`: write the words as an array of texts",
        ),
        (
            "-H",
            "{asset}/x",
            "14:12: checks[0].plugin.run: unknown placeholder `{asset}`; did you mean `{assets}`?",
        ),
        (
            "\"bad\"",
            "\"critical\"",
            "14:48: checks[0].plugin.warning: `critical` is not allowed here (allowed: `record`, `bad`)",
        ),
        (
            "warning",
            "warnings",
            "14:48: checks[0].plugin.warnings: unknown key (known here: `payload`, `run`, `warning`; did you mean `warning`?)",
        ),
    ] {
        assert_eq!(PLUGIN.matches(from).count(), 1, "{from}");
        let changed = PLUGIN.replace(from, to);
        // Nothing is left of the text but blanks.
        let changed = if from.ends_with("-H") { changed.replace("192.0.2.1", "") } else { changed };
        let found = errors(&text(&changed));
        assert!(found.contains(&format!("{FILE}:{expected}")), "{found:#?}");
    }
    let many = PLUGIN.replace("-H", &"x ".repeat(64));
    told(&many, "14:12: checks[0].plugin.run: must have at most 64 words, not 66");
    let array = PLUGIN.replace("\"/p/check_http -H 192.0.2.1\"", "[]");
    told(&array, "14:12: checks[0].plugin.run: the program's name is missing");
}

#[test]
fn a_plugin_check_says_what_it_is_about() {
    let asked = scenario(PLUGIN).checks[0].probe.clone();
    let Probe::Plugin(plugin) = &asked else { panic!("{asked:?}") };
    assert_eq!(plugin.argv("/a"), ["/p/check_http", "-H", "192.0.2.1"]);
    let summary = "plugin /p/check_http -H 192.0.2.1, a warning is a failure";
    assert_eq!(asked.summary(), summary);
    assert!(!asked.verifies_payload());
    let own = "plugin = { run = [\"{assets}/x\", \"a b\"] }";
    let Probe::Plugin(own) = scenario(own).checks[0].probe.clone() else { panic!() };
    assert_eq!(own.argv("/a"), ["/a/x", "a b"]);
    assert_eq!(sight_when_cut(PLUGIN), Sight::NoNetwork);
    let verifies = PLUGIN.replace("warning", "payload = true, warning");
    assert_eq!(warnings(&text(&verifies), BTreeMap::new()), Vec::<String>::new());
    assert_eq!(sight_when_cut(&verifies), Sight::Blind);
}

#[test]
fn a_kept_plugin_check_goes_through_the_same_rules() {
    assert!(kept(PLUGIN, "/plugin/run", serde_json::json!(["a", ""])).is_ok());
    for (pointer, value) in [
        ("/plugin/run", serde_json::json!([])),
        ("/plugin/run", serde_json::json!([" "])),
        ("/plugin/run", serde_json::json!(["a\u{0}"])),
        ("/plugin/run", serde_json::json!(["{asset}"])),
        ("/plugin/run", vec!["x"; 65].into()),
        ("/plugin/warning", "critical".into()),
    ] {
        assert!(kept(PLUGIN, pointer, value.clone()).is_err(), "{pointer} {value}");
    }
}

const COUNTER: &str =
    r#"counter = { nft_comment = "over the limit", family = "inet", table = "t", at_least = 2 }"#;

#[test]
fn what_makes_no_sense_of_a_counter_check_is_told() {
    for (from, to, expected) in [
        (
            "nft_comment = \"over the limit\", ",
            "",
            "counter: one of `nft`, `nft_comment`, `iptables_comment` is needed",
        ),
        (
            "nft_comment",
            "nft = \"x\", nft_comment",
            "counter.nft_comment: only one of `nft`, `nft_comment`, `iptables_comment` can be set here, not `nft`, `nft_comment`",
        ),
        (
            "nft_comment",
            "iptables_comment",
            "counter.family: iptables has the families `ip` and `ip6`",
        ),
        (
            "\"inet\"",
            "\"ipv6\"",
            "counter.family: `ipv6` is not allowed here (allowed: `ip`, `ip6`, `inet`, `arp`, `bridge`, `netdev`; did you mean `ip6`?)",
        ),
        (
            "over the limit",
            "a\\nb",
            "counter.nft_comment: must be one line without control characters",
        ),
        (
            "at_least = 2",
            "at_least = 2, at_most = 1",
            "counter.at_least: at least 2 and at most 1 is no number",
        ),
        ("at_least = 2", "at_least = 0", "counter.at_least: at least 0 is always so"),
        (
            "at_least = 2",
            "at_least = -1",
            "counter.at_least: must be from 0 to 9007199254740992, not -1",
        ),
        (
            "at_least = 2",
            "at_least = 2, none = true",
            "counter.none: `none` leaves nothing for `at_least` and `at_most` to say",
        ),
        ("at_least = 2", "none = false", "counter.none: write `none = true`, or leave it out"),
    ] {
        assert_eq!(COUNTER.matches(from).count(), 1, "{from}");
        let found = errors(&text(&COUNTER.replace(from, to)));
        let told = found.iter().any(|error| error.ends_with(&format!(": checks[0].{expected}")));
        assert!(told, "{expected}: {found:#?}");
    }
    let long = COUNTER.replace("over the limit", &"x".repeat(256));
    told(&long, "14:13: checks[0].counter.nft_comment: must have at most 255 bytes, not 256");
}

#[test]
fn a_counter_check_says_what_it_is_about() {
    let asked = scenario(COUNTER).checks[0].probe.clone();
    let summary =
        "packets counted by rules with the comment `over the limit` in inet t, at least 2 expected";
    assert_eq!(asked.summary(), summary);
    assert!(!asked.verifies_payload(), "counters stay green where payload is lost");
    assert_eq!(sight_when_cut(COUNTER), Sight::NoNetwork);
    // Names of a scenario are not among what is run.
    let Probe::Counter(counter) = &asked else { panic!("{asked:?}") };
    assert_eq!(counter.argv(), ["nft", "--json", "--terse", "list", "ruleset"]);
}

#[test]
fn a_kept_counter_check_goes_through_the_same_rules() {
    assert!(kept(COUNTER, "/counter/of", serde_json::json!({"nft": "x"})).is_ok());
    for (pointer, value) in [
        ("/counter/of", serde_json::json!({"nft": ""})),
        ("/counter/of", serde_json::json!({"nft": "a\nb"})),
        ("/counter/of", serde_json::json!({"iptables-comment": "x"})),
        ("/counter/of", serde_json::json!({"other": "x"})),
        ("/counter/table", "x".repeat(256).into()),
        ("/counter/family", "ipv6".into()),
        ("/counter/packets/at_least", 0.into()),
        ("/counter/packets/at_least", u64::MAX.into()),
        ("/counter/packets", serde_json::json!({"at_least": 2, "at_most": 1})),
    ] {
        assert!(kept(COUNTER, pointer, value.clone()).is_err(), "{pointer} {value}");
    }
}

const CONNTRACK: &str = r#"conntrack = { protocol = "tcp", destination = "192.0.2.1", port = 80, state = "ESTABLISHED", none = true }"#;

#[test]
fn what_makes_no_sense_of_a_conntrack_check_is_told() {
    for (from, to, expected) in [
        ("protocol = \"tcp\", ", "", "conntrack: `protocol` is missing: such as `tcp`"),
        ("\"tcp\"", "\"icmp\"", "conntrack.port: icmp has no ports"),
        (
            "\"tcp\"",
            "\"udp\"",
            "conntrack.state: connections of udp are `ASSURED` or `UNREPLIED`; the other states are of tcp",
        ),
        ("192.0.2.1", "server", "conntrack.destination: `server` is no IPv4 or IPv6 address"),
        ("80", "0", "conntrack.port: must be from 1 to 65535, not 0"),
        (
            "ESTABLISHED",
            "ESTABLISHD",
            "conntrack.state: `ESTABLISHD` is not allowed here (allowed: `SYN_SENT`, `SYN_RECV`, `ESTABLISHED`, `FIN_WAIT`, `CLOSE_WAIT`, `LAST_ACK`, `TIME_WAIT`, `CLOSE`, `SYN_SENT2`, `ASSURED`, `UNREPLIED`; did you mean `ESTABLISHED`?)",
        ),
    ] {
        assert_eq!(CONNTRACK.matches(from).count(), 1, "{from}");
        let found = errors(&text(&CONNTRACK.replace(from, to)));
        let told = found.iter().any(|error| error.ends_with(&format!(": checks[0].{expected}")));
        assert!(told, "{expected}: {found:#?}");
    }
}

#[test]
fn a_conntrack_check_says_what_it_is_about() {
    let asked = scenario(CONNTRACK).checks[0].probe.clone();
    let summary = "tracked connections, tcp to 192.0.2.1:80 in state ESTABLISHED, none expected";
    assert_eq!(asked.summary(), summary);
    assert_eq!(asked.protocols(), ["tcp"]);
    assert!(!asked.verifies_payload());
    assert_eq!(sight_when_cut(CONNTRACK), Sight::NoNetwork);
}

#[test]
fn a_kept_conntrack_check_goes_through_the_same_rules() {
    assert!(kept(CONNTRACK, "/conntrack/port", 81.into()).is_ok());
    for (pointer, value) in [
        ("/conntrack/port", serde_json::json!(0)),
        ("/conntrack/protocol", "icmp".into()),
        ("/conntrack/protocol", "udp".into()),
        ("/conntrack/protocol", "TCP".into()),
        ("/conntrack/state", "established".into()),
        ("/conntrack/destination", "server".into()),
        ("/conntrack/entries", serde_json::json!({"at_least": 0})),
    ] {
        assert!(kept(CONNTRACK, pointer, value.clone()).is_err(), "{pointer} {value}");
    }
}
