//! Broken and unusual scenario files, as their authors would meet them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

mod broken;
mod counted;
mod faults;
mod flavours;
mod probes;
mod programs;
mod services;
mod ways;

const FILE: &str = "scenarios/x/scenario.toml";

/// A valid scenario that uses every key.
const BASE: &str = include_str!("tests/full.toml");

fn files() -> BTreeMap<String, Vec<u8>> {
    ["rules.nft", "rules.v4", "rules.v6", "links.ip", "nginx.conf", "plugins/look"]
        .map(|path| (path.to_owned(), Vec::new()))
        .into()
}

fn errors(text: &str) -> Vec<String> {
    match Scenario::parse("x", FILE, text) {
        Ok(_) => Vec::new(),
        Err(error) => error.problems.iter().map(ToString::to_string).collect(),
    }
}

fn warnings(text: &str, files: BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let parsed = Scenario::parse("x", FILE, text).expect("the text is valid");
    let (_, warnings) = parsed.with_assets(files).expect("all files are there");
    warnings.iter().map(ToString::to_string).collect()
}

/// The base with one place changed; the place must be there exactly once.
fn changed(from: &str, to: &str) -> String {
    assert_eq!(BASE.matches(from).count(), 1, "`{from}` must be in the base text once");
    BASE.replace(from, to)
}

#[test]
fn every_key_reaches_the_model() {
    let parsed = Scenario::parse("x", FILE, BASE).expect("the base is valid");
    let (scenario, warnings) = parsed.with_assets(files()).expect("all files are there");
    assert_eq!(warnings, Vec::new());
    assert_eq!(scenario.name, "x");
    assert_eq!(scenario.summary, "a gateway in a VRF");
    assert_eq!(scenario.description, "Two lines,\nfor people.\n");
    assert_eq!(scenario.warnings, WarningPolicy::Record);
    assert_eq!(scenario.requires.modules, ["vrf", "nf_tables"]);
    assert_eq!(scenario.requires.optional_modules, ["nft_counter"]);
    assert_eq!(scenario.requires.config, ["CONFIG_NET_VRF"]);
    let candidate = &scenario.candidate;
    assert_eq!((candidate.memory_mib, candidate.cpus), (256, 2));
    assert_eq!(candidate.cmdline, ["softlockup_panic=1", "quiet"]);
    assert_eq!(scenario.peer, MachineOptions { memory_mib: 1024, ..MachineOptions::default() });

    let gateway = &scenario.nodes["gw"];
    assert_eq!(gateway.kernel, NodeKernel::Candidate);
    assert_eq!(gateway.role, "gateway");
    assert_eq!(gateway.sysctl["net.ipv4.ip_forward"], SysctlValue::Number(1));
    assert_eq!(gateway.sysctl["net.ipv4.tcp_rmem"], SysctlValue::Text("4096 87380 6291456".into()));
    assert_eq!(gateway.devices, ["vrf-gw type vrf table 10"]);
    assert_eq!(gateway.routes, ["default via 192.0.2.1 dev eth0 table 10"]);
    let port = &scenario.links["lan"]["gw"];
    assert_eq!(port.name, "eth0");
    assert_eq!(port.addresses, ["192.0.2.10/24", "2001:db8::10/64"]);
    assert_eq!((port.master.as_deref(), port.mtu), (Some("vrf-gw"), Some(1400)));

    let step = |step: &Step| (step.name.clone(), step.action.clone());
    let name = |name: &str, action| (name.to_owned(), action);
    assert_eq!(
        scenario.setup.iter().map(step).collect::<Vec<_>>(),
        [
            name("load the rules", Action::Nft("rules.nft".into())),
            name("iptables-restore rules.v4", Action::IptablesRestore("rules.v4".into())),
            name("ip6tables-restore rules.v6", Action::Ip6tablesRestore("rules.v6".into())),
            name("ip -batch links.ip", Action::IpBatch("links.ip".into())),
        ]
    );
    let first = &scenario.setup[0];
    assert_eq!((&first.refusal, first.repeat), (&Refusal::Accept, 3));
    assert!((first.timeout_s - 2.5).abs() < 1e-9);
    let second = &scenario.setup[1];
    assert_eq!((&second.refusal, second.repeat), (&Refusal::Bad, 1));
    assert!((second.timeout_s - 10.0).abs() < 1e-9);
    assert_eq!(
        scenario.replay.iter().map(step).collect::<Vec<_>>(),
        [name("run true", Action::Run("true\n".into()))]
    );

    let ready: Vec<&Ready> = scenario.services.iter().map(|service| &service.ready).collect();
    assert_eq!(
        ready,
        [
            &Ready::Tcp(80),
            &Ready::Udp(53),
            &Ready::File("/run/x".into()),
            &Ready::Log("^up$".into()),
            &Ready::Started,
        ]
    );
    let web = &scenario.services[0];
    assert_eq!(web.command, ["nginx", "-c", "{assets}/nginx.conf"]);
    assert_eq!((web.name.as_str(), web.node.as_str(), web.must_stay), ("web", "server", false));
    assert!((web.ready_timeout_s - 4.0).abs() < 1e-9);
    assert!(scenario.services[1].must_stay);

    let body = Body { bytes: Some(65536), contains: Some("z".into()), equals: None };
    let http = HttpProbe {
        host: "192.0.2.1".parse().expect("an address"),
        port: 8080,
        path: "/payload".into(),
        connections: 5,
        status: 206,
        body,
    };
    let command = CommandProbe {
        run: "\"$KBISECT_ASSETS/plugins/look\" -v".into(),
        status: 2,
        stdout: Some("yes".into()),
        stdout_contains: Some("e".into()),
        payload: true,
        connection: Some(Connection::Udp("192.0.2.1:53".parse().expect("a socket"))),
    };
    let probes: Vec<&Probe> = scenario.checks.iter().map(|check| &check.probe).collect();
    assert_eq!(probes, [&Probe::Http(http), &Probe::Command(command), &Probe::Alive]);
    let times: Vec<f64> = scenario.checks.iter().map(|check| check.timeout_s).collect();
    assert_eq!(times, [1.5, 5.0, 5.0]);
    assert_eq!(scenario.checks.iter().filter(|check| check.record_only).count(), 1);
    assert_eq!(scenario.assets.len(), 6);
}

#[test]
fn a_scenario_survives_a_plan_and_back() {
    let parsed = Scenario::parse("x", FILE, BASE).expect("the base is valid");
    let json = serde_json::to_string(parsed.scenario()).expect("plain data");
    let back: Scenario = serde_json::from_str(&json).expect("its own shape");
    assert_eq!(&back, parsed.scenario());
}

#[test]
fn broken_files_get_the_line_the_key_and_what_is_allowed() {
    for (from, to, expected) in broken::BROKEN {
        assert_eq!(errors(&changed(from, to)), [format!("{FILE}:{expected}")], "{from} -> {to}");
    }
}

#[test]
fn every_problem_is_reported_in_the_order_of_the_file() {
    let text = changed("cpus = 2", "cpus = 0").replace("node = \"gw\"", "node = \"wg\"");
    let error = Scenario::parse("x", FILE, &text).expect_err("it has nine problems");
    let lines: Vec<usize> = error.problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [16, 49, 56, 60, 64, 100, 105, 116, 128]);
    assert_eq!(error.to_string().lines().count(), lines.len());
    assert!(error.hint().is_some_and(|hint| hint.contains(FILE)));
}

#[test]
fn another_schema_is_the_only_thing_reported() {
    let text = changed("scenario/1", "scenario/9").replace("cpus = 2", "cpus = 0");
    assert_eq!(errors(&text).len(), 1);
}

#[test]
fn the_folder_names_the_scenario() {
    let error = Scenario::parse("My Scenario", FILE, BASE).expect_err("blanks are not allowed");
    assert_eq!(
        error.to_string(),
        "scenarios/x/scenario.toml:1:1: the folder's name is the scenario's name, and \
         `My Scenario` is no name: 1 to 32 of `a-z`, `0-9` and `-`"
    );
}

#[test]
fn only_recorded_checks_prove_nothing() {
    let start = BASE.find("[[checks]]").expect("the base has checks");
    let alive = BASE.rfind("[[checks]]").expect("the base has checks");
    let text = format!("{}{}", &BASE[..start], &BASE[alive..]);
    assert_eq!(
        errors(&text),
        ["scenarios/x/scenario.toml:103:3: checks: every check is `record_only`: nothing is left \
          that could fail"]
    );
}

#[test]
fn what_is_probably_not_meant_is_a_warning() {
    for (from, to, expected) in [
        (
            "body = { bytes = 65536, contains = \"z\" }",
            "body = {}",
            vec![
                "103:3: checks: no payload is verified: ping and connect stay green on real \
                  regressions (give an `http` check a `body`, or a `command` check \
                  `payload = true`)",
            ],
        ),
        (
            "[nodes.host]",
            "[nodes.spare]\nkernel = \"candidate\"\n\n[nodes.host]",
            vec![
                "35:8: nodes.spare: the node is on no link",
                "35:8: nodes.spare: no check involves this candidate: none runs on it, talks to it \
                 or can pass through it",
            ],
        ),
        (
            "ready = \"started\"\n",
            "\n",
            vec![
                "93:1: services[4]: `ready` is not set: checks can come before the service listens \
                  (`ready = \"started\"` says that this is meant)",
            ],
        ),
        (
            "http://192.0.2.1:8080",
            "http://192.0.2.9:8080",
            vec![
                "109:1: checks[0].http.url: no interface of the scenario has the address 192.0.2.9",
            ],
        ),
    ] {
        // The command check verifies payload too; it must not hide the missing body.
        let text = changed(from, to).replace("payload = true", "payload = false");
        let expected: Vec<String> =
            expected.iter().map(|warning| format!("{FILE}:{warning}")).collect();
        assert_eq!(warnings(&text, files()), expected, "{from} -> {to}");
    }
}

#[test]
fn a_candidate_that_is_talked_to_or_passed_through_is_involved() {
    // With the checks moved to the server, the gateway is still on two links.
    let text = BASE.replace("node = \"gw\"", "node = \"server\"");
    assert_eq!(warnings(&text, files()), Vec::<String>::new());
    let one_link = text.replace("gw = { name = \"eth1\" }", "server = { name = \"eth1\" }");
    assert_eq!(warnings(&one_link, files()).len(), 1);
    let target = one_link.replace("http://192.0.2.1:", "http://192.0.2.10:");
    assert_eq!(warnings(&target, files()), Vec::<String>::new());
}

#[test]
fn files_that_are_named_must_be_there_and_files_that_are_there_must_be_named() {
    let parsed = Scenario::parse("x", FILE, BASE).expect("the base is valid");
    let named: Vec<&str> =
        parsed.required_assets().iter().map(|asset| asset.path.as_str()).collect();
    let expected = ["rules.nft", "rules.v4", "rules.v6", "links.ip", "nginx.conf", "plugins/look"];
    assert_eq!(named, expected);

    let mut files = files();
    files.remove("nginx.conf");
    files.insert("ngins.conf".into(), Vec::new());
    let error = parsed.clone().with_assets(files.clone()).expect_err("a file is missing");
    assert_eq!(
        error.to_string(),
        "scenarios/x/scenario.toml:70:27: services[0].command[2]: no file `nginx.conf` in the \
         scenario's folder (files: `links.ip`, `ngins.conf`, `plugins/look`, `rules.nft`, \
         `rules.v4`, `rules.v6`; did you mean `ngins.conf`?)"
    );

    files.insert("nginx.conf".into(), b"include mime.types;".to_vec());
    files.insert("mime.types".into(), Vec::new());
    files.insert("README.md".into(), Vec::new());
    assert_eq!(
        warnings(BASE, files),
        [
            "scenarios/x/scenario.toml:1:1: nothing names the file `ngins.conf` of the scenario's folder"
        ]
    );
}

#[test]
fn a_folder_can_be_named_as_a_whole() {
    let parsed = |folder: &str| {
        let text = changed("{assets}/nginx.conf", folder);
        Scenario::parse("x", FILE, &text).expect("the text is valid")
    };
    let mut files = files();
    files.insert("conf/a".into(), Vec::new());
    files.remove("nginx.conf");
    let (_, warnings) = parsed("{assets}/conf").with_assets(files.clone()).expect("it is there");
    assert_eq!(warnings, Vec::new());
    assert!(parsed("{assets}/con").with_assets(files.clone()).is_err());
    let (_, warnings) = parsed("{assets}").with_assets(files).expect("nothing is missing");
    assert_eq!(warnings, Vec::new());
}

/// A shipped scenario: its name, its text, its files.
type Shipped = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

macro_rules! shipped {
    ($name:literal, $($file:literal),+) => {
        (
            $name,
            include_str!(concat!("../../../../scenarios/", $name, "/scenario.toml")),
            &[$(($file, include_str!(concat!("../../../../scenarios/", $name, "/", $file)))),+],
        )
    };
}

const SHIPPED: &[Shipped] = &[
    shipped!("smoke", "nginx.conf"),
    shipped!("connlimit", "nginx.conf", "rules.v4"),
    shipped!("synproxy", "nginx.conf", "synproxy.nft"),
    shipped!(
        "duplicate-rules",
        "nginx.conf",
        "by-hand.v4",
        "automation.sh",
        "looks-first.sh",
        "application.sh"
    ),
    shipped!(
        "cloudgw",
        "nginx.conf",
        "cloudgw.nft",
        "stateful.nft",
        "vrouter.nft",
        "long-lived.sh"
    ),
];

#[test]
fn the_shipped_scenarios_are_valid_and_without_warnings() {
    for (name, text, files) in SHIPPED {
        let file = format!("scenarios/{name}/scenario.toml");
        let parsed = Scenario::parse(name, &file, text).unwrap_or_else(|error| panic!("{error}"));
        let files = files
            .iter()
            .map(|(path, content)| ((*path).to_owned(), content.as_bytes().to_vec()))
            .collect();
        let (scenario, warnings) =
            parsed.with_assets(files).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(warnings, Vec::new(), "{name}");
        assert!(scenario.checks.iter().any(|check| check.probe.verifies_payload()), "{name}");
        for flavour in scenario.flavours.keys() {
            assert!(scenario.clone().flavoured(flavour).is_some(), "{name}:{flavour}");
        }
    }
}

proptest! {
    #[test]
    fn any_text_gets_an_answer(text in any::<String>()) {
        let _ = Scenario::parse("x", FILE, &text);
    }

    /// A valid file with a piece cut out and another put in reaches further than random text.
    #[test]
    fn any_damage_gets_an_answer(
        from in 0..BASE.len(),
        length in 0_usize..80,
        piece in "[ -~\\n\u{0}\u{e9}]{0,12}",
    ) {
        let to = (from + length).min(BASE.len());
        let text = format!("{}{piece}{}", &BASE[..from], &BASE[to..]);
        if let Err(error) = Scenario::parse("x", FILE, &text) {
            prop_assert!(!error.problems.is_empty());
            for problem in error.problems {
                prop_assert!(problem.line >= 1 && problem.line <= text.lines().count() + 1);
                prop_assert!(problem.column >= 1);
            }
        }
    }
}

#[test]
fn the_first_scenario_of_the_readme_is_valid() {
    let readme = include_str!("../../../../scenarios/README.md");
    let (_, rest) = readme.split_once("```toml\n").expect("the README shows a scenario");
    let (text, _) = rest.split_once("```").expect("the example ends");
    let files = BTreeMap::from([("nginx.conf".to_owned(), Vec::new())]);
    assert_eq!(warnings(text, files), Vec::<String>::new());
}
