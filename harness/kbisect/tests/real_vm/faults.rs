//! Faults in real machines: each is put in and noticed; the shipped scenarios prove themselves; what a
//! failure needs is found.

use std::fs;

use serde_json::Value;

use crate::host::Host;

fn faults(result: &Value) -> Vec<(&str, bool)> {
    let faults = result["faults"].as_array().unwrap().iter();
    faults
        .map(|fault| {
            let noticed = fault["noticed_by"].as_array().unwrap();
            (fault["name"].as_str().unwrap(), !noticed.is_empty())
        })
        .collect()
}

#[test]
fn every_kind_of_fault_is_put_in_and_noticed() {
    let host = Host::hold();
    let folder = host.path("every");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("scenario.toml"), include_str!("every-fault.toml")).unwrap();
    let command = format!("scenario selftest {} --kernel 6.12.57", folder.display());
    let result = host.run(&command).document(0);
    assert_eq!((&result["passed"], &result["problems"]), (&true.into(), &serde_json::json!([])));
    let found = faults(&result);
    assert_eq!(found.len(), 14 + 12, "those of the scenario and the usual ones: {found:?}");
    let unnoticed: Vec<_> = found.iter().filter(|(_, noticed)| !noticed).collect();
    let by_itself = [&("lock-up", false), &("panic app", false)];
    assert_eq!(unnoticed, by_itself, "what ends the kernel is noticed by kbisect itself");
    let faults = result["faults"].as_array().unwrap();
    let lockup = faults.iter().find(|fault| fault["name"] == "lock-up").unwrap();
    assert_eq!(lockup["symptom"]["kind"], "hang", "{lockup}");
    host.assert_no_machine_left();
}

#[test]
fn shipped_scenarios_pass_their_self_tests() {
    let host = Host::hold();
    // All but failover-tls, a trial of which takes more than a minute: a part of its self-test is below.
    for name in [
        "smoke",
        "synproxy",
        "connlimit",
        "cloudgw",
        "duplicate-rules",
        "monitoring-acceptance",
        "flaky",
    ] {
        let result = host.run(&format!("scenario selftest {name} --workers 2")).document(0);
        assert_eq!(result["passed"], true, "{name}: {}", result["problems"]);
        let unnoticed: Vec<_> = faults(&result)
            .into_iter()
            .filter(|(name, noticed)| !noticed && !name.starts_with("panic"))
            .map(|(name, _)| name.to_owned())
            .collect();
        assert!(unnoticed.is_empty(), "{name}: {unnoticed:?}");
    }
    host.assert_no_machine_left();
}

#[test]
fn a_panic_is_reduced_to_the_rule_and_the_connection() {
    let host = Host::hold();
    let run = host.run("run 6.12.43 --scenario synproxy").document(1);
    let folder = run["run_dir"].as_str().unwrap();
    let result = host.run(&format!("minimize {folder}")).document(0);
    let names = |list: &str| -> Vec<String> {
        let told = result[list].as_array().unwrap().iter();
        told.map(|told| told["name"].as_str().unwrap().to_owned()).collect()
    };
    let (needs, gone) = (names("needs"), names("not_needed"));
    for name in ["application", "meta l4proto tcp synproxy name \"sp\"", "load the synproxy rules"]
    {
        assert!(needs.iter().any(|told| told == name), "{name}: {needs:?}");
    }
    for name in ["alive", "web", "timestamp sack-perm"] {
        assert!(gone.iter().any(|told| told == name), "{name}: {gone:?}");
    }
    let smallest = result["scenario_dir"].as_str().unwrap();
    let again = host.run(&format!("run 6.12.43 --scenario {smallest}")).document(1);
    assert_eq!(again["symptom"]["title"], run["symptom"]["title"]);
    host.assert_no_machine_left();
}

/// A router under test between a client and a server; what breaks stays broken.
const ROUTER: &str = r#"
schema = "kbisect.scenario/1"
summary = "a router"
[nodes.gw]
kernel = "candidate"
sysctl = { "net.ipv4.ip_forward" = 1 }
[nodes.server]
kernel = "reference"
routes = ["default via 198.51.100.1"]
[nodes.client]
kernel = "reference"
routes = ["default via 192.0.2.1"]
[links.back]
gw = { name = "eth1", addresses = ["198.51.100.1/24"] }
server = { name = "eth0", addresses = ["198.51.100.2/24"] }
[links.front]
gw = { name = "eth0", addresses = ["192.0.2.1/24"] }
client = { name = "eth0", addresses = ["192.0.2.2/24"] }
[[services]]
name = "server"
node = "server"
command = ["socat", "TCP-LISTEN:2525,reuseaddr,fork", "SYSTEM:echo 220 ready"]
ready = { tcp = 2525 }
[[replay]]
name = "neighbours know each other"
node = "client"
run = "echo | socat -t 2 - TCP:198.51.100.2:2525 | grep -q 220"
[[replay]]
fault = { FAULT }
[[checks]]
name = "asked"
node = "client"
timeout_s = 1
tcp = { to = "198.51.100.2:2525", expect = { contains = "220" } }
"#;

/// Guards against a loss of our own making that was told as one inside the kernel under test.
#[test]
fn what_a_fault_keeps_back_is_lost_inside_no_node() {
    let host = Host::hold();
    for (at, fault) in [
        "carrier_off = { link = \"back\", node = \"gw\" }",
        "filter = \"gw\"",
        "drop = { link = \"back\", from = \"server\", port = 2525 }",
        "delay = { link = \"back\", ms = 30000 }",
    ]
    .into_iter()
    .enumerate()
    {
        let folder = host.path(&format!("broken-{at}"));
        fs::create_dir_all(&folder).unwrap();
        let text = ROUTER.replace("FAULT", fault);
        fs::write(folder.join("scenario.toml"), text).unwrap();
        let run = format!("run 6.12.57 --scenario {}", folder.display());
        let result = host.run(&run).document(1);
        assert_eq!(result["symptom"]["kind"], "check-failed", "{fault}: {}", result["symptom"]);
    }
    host.assert_no_machine_left();
}

/// Where the scenario with machines of their own is, with its files.
fn own(host: &Host) -> std::path::PathBuf {
    let folder = host.path("own");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("scenario.toml"), include_str!("own.toml")).unwrap();
    fs::write(folder.join("spare.sh"), "true\n").unwrap();
    fs::write(folder.join("crash.sh"), "echo c > /proc/sysrq-trigger\n").unwrap();
    folder
}

#[test]
fn a_machine_of_ones_own_panics_restarts_and_goes_without_the_others() {
    let host = Host::hold();
    let folder = own(&host);
    let result = host.run(&format!("run 6.12.57 --scenario {}", folder.display())).document(0);
    let checks = result["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 5);
    assert!(checks.iter().all(|check| check["status"] == "pass"), "{checks:?}");
    assert_eq!(result["symptom"], Value::Null);
    host.assert_no_machine_left();
}

#[test]
fn a_crash_on_a_machine_of_its_own_is_the_kernels_and_its_console_is_named() {
    let host = Host::hold();
    let folder = own(&host);
    let result =
        host.run(&format!("run 6.12.57 --scenario {}:crash", folder.display())).document(1);
    assert_eq!(result["symptom"]["kind"], "panic", "{result:#}");
    let report = &result["reports"][0];
    assert_eq!(report["console"], "own/spare/console.log", "{result:#}");
    let text = fs::read_to_string(
        std::path::Path::new(result["run_dir"].as_str().unwrap()).join("report.md"),
    );
    assert!(text.unwrap().contains("own/spare/console.log"));
    host.assert_no_machine_left();
}

#[test]
fn a_fail_over_brings_the_address_and_the_certificate_in_force() {
    let host = Host::hold();
    let proof = "scenario selftest failover-tls --kernel 6.12.57 --fault expired --workers 2";
    let result = host.run(proof).document(0);
    assert_eq!(
        (&result["passed"], &result["variations"][0]["verdict"]),
        (&true.into(), &"good".into())
    );
    let sees = result["control"]["checks"].as_array().unwrap();
    assert_eq!(sees.len(), 11);
    assert_eq!(faults(&result).len(), 1);
    for fault in result["faults"].as_array().unwrap() {
        let noticed: Vec<&str> =
            fault["noticed_by"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(noticed.contains(&"secondary-certificate"), "{fault}");
    }
    let bad = host.run("run 6.12.57 --scenario failover-tls:old-certificate").document(1);
    let title = bad["symptom"]["title"].as_str().unwrap();
    assert!(title.starts_with("secondary-certificate"), "{title}");
    host.assert_no_machine_left();
}
