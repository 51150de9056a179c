//! Faults in a scenario's file.

use crate::inject::Fault;
use crate::scenario::{Action, Scenario};

const BASE: &str = r#"
schema = "kbisect.scenario/1"
summary = "x"
[nodes.gw]
kernel = "candidate"
[nodes.server]
kernel = "reference"
[links.lan]
gw = { name = "eth0", addresses = ["192.0.2.10/24"] }
server = { name = "eth0", addresses = ["192.0.2.1/24"] }
[[services]]
name = "web"
node = "server"
command = ["nginx"]
ready = { tcp = 80 }
[[services]]
name = "worker"
node = "server"
command = ["worker"]
[[checks]]
name = "page"
node = "gw"
http = { url = "http://192.0.2.1/" }
"#;

fn parse(more: &str) -> Result<Scenario, String> {
    let text = format!("{BASE}{more}");
    let parsed = Scenario::parse("x", "scenario.toml", &text);
    parsed.map(|parsed| parsed.scenario().clone()).map_err(|error| error.to_string())
}

#[test]
fn every_kind_is_read_and_kept() {
    let kinds = [
        ("cut = \"lan\"", "cut lan"),
        ("drop = { link = \"lan\", from = \"server\", port = 80 }", "drop lan from server:80"),
        ("drop = { link = \"lan\", from = \"gw\" }", "drop lan from gw"),
        (
            "source_port = { link = \"lan\", from = \"server\", port = 80 }",
            "source-port lan from server:80",
        ),
        ("delay = { link = \"lan\", ms = 300 }", "delay lan 300 ms"),
        ("lose = { link = \"lan\", percent = 5 }", "lose lan 5 %"),
        ("restore = \"lan\"", "restore lan"),
        ("carrier_off = { link = \"lan\", node = \"gw\" }", "carrier-off lan at gw"),
        ("carrier_on = { link = \"lan\", node = \"gw\" }", "carrier-on lan at gw"),
        ("kill = \"web\"", "kill web"),
        ("stop = \"web\"", "stop web"),
        ("pause = \"web\"", "pause web"),
        ("continue = \"web\"", "continue web"),
        ("start = \"web\"", "start web"),
        ("port_taken = \"web\"", "port-taken web"),
        ("filter = \"gw\"", "filter gw"),
        ("no_names = \"gw\"", "no-names gw"),
        ("conntrack_full = \"gw\"", "conntrack-full gw"),
        ("clock = { node = \"gw\", seconds = -3600 }", "clock gw -3600 s"),
        ("disk_full = \"gw\"", "disk-full gw"),
        ("panic = \"gw\"", "panic gw"),
        ("lockup = \"gw\"", "lockup gw"),
        (
            "certificate = { service = \"web\", file = \"/tmp/it's.pem\", wrong = \"expired\" }",
            "certificate web expired",
        ),
        ("run = { node = \"gw\", command = \"ip link del eth0\" }", "run gw ip link del eth0"),
    ];
    for (key, name) in kinds {
        let both = format!(
            "[[replay]]\nfault = {{ {key} }}\n[[faults]]\nname = \"mine\"\nnoticed_by = [\"page\"]\n{key}\n"
        );
        let scenario = parse(&both).unwrap_or_else(|error| panic!("{key}: {error}"));
        let Action::Fault(fault) = &scenario.replay[0].action else { panic!("{key}") };
        assert_eq!((fault.to_string().as_str(), &scenario.faults[0].fault), (name, fault));
        assert_eq!(scenario.faults[0].noticed_by, ["page"]);
        let kept = serde_json::to_vec(&scenario).unwrap();
        assert_eq!(Scenario::from_kept(&kept).unwrap(), scenario, "{key}");
    }
}

#[test]
fn what_is_not_there_is_named() {
    for (key, said) in [
        ("cut = \"wan\"", "there is no link `wan`"),
        ("kill = \"wbe\"", "there is no service `wbe`"),
        ("filter = \"client\"", "client"),
        ("drop = { link = \"lan\", from = \"client\" }", "there is no node on that link `client`"),
        ("port_taken = \"worker\"", "the service has no port"),
        ("panic = \"server\"", "is that of all reference nodes"),
        ("lockup = \"server\"", "is that of all reference nodes"),
        (
            "certificate = { service = \"web\", file = \"a.pem\", wrong = \"name\" }",
            "no absolute path",
        ),
        ("certificate = { service = \"web\", file = \"/a.pem\", wrong = \"old\" }", "old"),
        ("reboot = \"gw\"", "`gw` shares its machine with others"),
        ("lose = { link = \"lan\", percent = 0 }", "percent"),
        ("cut = \"lan\"\nkill = \"web\"", "only one of"),
        ("cat = \"lan\"", "cut"),
        ("noticed_by = [\"pgae\"]\ncut = \"lan\"", "there is no check `pgae`"),
    ] {
        let error = parse(&format!("[[faults]]\nname = \"mine\"\n{key}\n")).unwrap_err();
        assert!(error.contains(said), "{key}: {error}");
    }
    let error = parse("[[setup]]\nfault = { cut = \"lan\" }\n").unwrap_err();
    assert!(error.contains("[[replay]]"), "{error}");
    let twice = "[[faults]]\nname = \"a\"\ncut = \"lan\"\n".repeat(2);
    assert!(parse(&twice).unwrap_err().contains("named `a` already"));
}

#[test]
fn the_copy_of_a_run_names_nothing_that_is_not_there() {
    let scenario = parse("[[faults]]\nname = \"mine\"\ncut = \"lan\"\n").unwrap();
    for fault in [
        Fault::Cut { link: "wan".to_owned() },
        Fault::Kill { service: "x".to_owned() },
        Fault::Filter { node: "x".to_owned() },
        Fault::CarrierOff { link: "lan".to_owned(), node: "x".to_owned() },
    ] {
        let mut other = scenario.clone();
        other.faults[0].fault = fault;
        assert!(Scenario::from_kept(&serde_json::to_vec(&other).unwrap()).is_err());
    }
}

/// [`BASE`] with a second server, and a machine for each of the nodes but one.
fn parse_own(more: &str) -> Result<Scenario, String> {
    let own = BASE
        .replace("kernel = \"candidate\"", "kernel = \"candidate\"\nmachine = \"own\"")
        .replace(
            "[links.lan]",
            "[nodes.other]\nkernel = \"reference\"\nmachine = \"own\"\n[links.lan]",
        );
    let parsed = Scenario::parse("x", "scenario.toml", &format!("{own}{more}"));
    parsed.map(|parsed| parsed.scenario().clone()).map_err(|error| error.to_string())
}

#[test]
fn a_node_with_a_machine_of_its_own_can_lose_its_power() {
    let replay = "[[replay]]\nname = \"off\"\nfault = { power_off = \"other\" }\n\
        [[replay]]\nfault = { power_on = \"other\" }\n\
        [[replay]]\nfault = { reboot = \"gw\" }\n\
        [[replay]]\nfault = { panic = \"other\" }\n";
    let check = "[[checks]]\nname = \"meanwhile\"\nafter = \"off\"\nnode = \"gw\"\nalive = true\n";
    let scenario = parse_own(&format!("{replay}{check}")).unwrap();
    assert!(!scenario.nodes["other"].machine.is_shared());
    assert!(scenario.nodes["server"].machine.is_shared());
    assert_eq!(scenario.checks[1].after.as_deref(), Some("off"));
    let kept = serde_json::to_vec(&scenario).unwrap();
    assert_eq!(Scenario::from_kept(&kept).unwrap(), scenario);
    for (more, said) in [
        ("[[replay]]\nfault = { power_on = \"gw\" }", "replay[0]: `gw` is not switched off"),
        ("[[replay]]\nfault = { power_off = \"gw\" }", "no node under test switched on"),
        ("[[replay]]\nfault = { power_off = \"gw\" }", "checks[0]: `gw` is switched off by then"),
        (
            "[[replay]]\nfault = { panic = \"other\" }\n[[replay]]\nnode = \"other\"\nrun = \"true\"",
            "replay[1]: `other` is switched off by then",
        ),
        (
            "[[replay]]\nfault = { power_off = \"other\" }\n[[replay]]\nfault = { reboot = \"other\" }",
            "`other` is switched off already",
        ),
        (
            "[[checks]]\nname = \"x\"\nafter = \"of\"\nnode = \"gw\"\nalive = true",
            "no step of [[replay]] is named `of`",
        ),
    ] {
        let error = parse_own(&format!("{more}\n")).unwrap_err();
        assert!(error.contains(said), "{more}: {error}");
    }
    let twice = "[[replay]]\nname = \"a\"\nfault = { cut = \"lan\" }\n".repeat(2);
    let error = parse_own(&format!("{twice}{}", check.replace("off", "a"))).unwrap_err();
    assert!(error.contains("2 steps of [[replay]] are named `a`"), "{error}");
}
