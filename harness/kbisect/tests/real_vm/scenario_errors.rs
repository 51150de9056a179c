//! Scenarios of odd names, and ones that are wrong, on real kernels.

use std::fs;
use std::path::Path;

use crate::host::Host;

/// Writes a scenario of a router between two hosts.
fn write(folder: &Path, gateway: &str, rules: &str, more: &str) {
    fs::create_dir_all(folder).unwrap();
    let text = format!(
        r#"schema = "kbisect.scenario/1"
summary = "a router"
{more}
[nodes.gw]
kernel = "candidate"
sysctl = {{ "net.ipv4.ip_forward" = 1 }}
{gateway}
[nodes.server]
kernel = "reference"
routes = ["default via 198.51.100.1"]
[nodes.client]
kernel = "reference"
routes = ["default via 192.0.2.1"]
[links.back]
gw = {{ name = "eth1", addresses = ["198.51.100.1/24"] }}
server = {{ name = "eth0", addresses = ["198.51.100.2/24"] }}
[links.front]
gw = {{ name = "eth0", addresses = ["192.0.2.1/24"] }}
client = {{ name = "dummy0", addresses = ["192.0.2.2/24"] }}
[[setup]]
name = "rules"
node = "gw"
nft = "rules.nft"
[[checks]]
name = "names"
node = "gw"
command = {{ run = "ip -br address show dev eth0; ip -br address show dev eth1", stdout_contains = "192.0.2.1/24" }}
[[checks]]
name = "far"
node = "client"
command = {{ run = "ping -c 1 -W 5 198.51.100.2", payload = true }}
"#
    );
    fs::write(folder.join("scenario.toml"), text).unwrap();
    fs::write(folder.join("rules.nft"), rules).unwrap();
}

const RULES: &str = "table inet t {\n chain c {\n  counter drop\n }\n}\n";

/// Guards against `RTNETLINK answers: File exists` on every kernel: `back` comes before `front`, and
/// has the later name; and modules make devices of their own with these names.
#[test]
fn interfaces_get_their_names_in_any_order() {
    let host = Host::hold();
    let folder = host.path("names");
    write(
        &folder,
        "devices = [\"dummy0 type dummy\", \"bond0 type bond mode active-backup\", \"vrf-x type vrf table 7\"]",
        RULES,
        "[requires]\nmodules = [\"dummy\", \"bonding\", \"vrf\"]",
    );
    let result = host.run(&format!("run 6.12.57 --scenario {}", folder.display())).document(0);
    assert_eq!(result["verdict"], "good", "{result}");
    host.assert_no_machine_left();
}

/// The words of the real programs, and the reference kernel's word on an unknown sysctl.
#[test]
fn a_wrong_scenario_is_told_with_file_and_line() {
    let host = Host::hold();
    let typing = RULES.replace("counter", "countr");
    for (name, gateway, rules, cause, file, line) in [
        ("typing", "", typing.as_str(), "syntax", "rules.nft", 3),
        ("device", "devices = [\"x type vrf tabel 7\"]", RULES, "syntax", "scenario.toml", 7),
    ] {
        let folder = host.path(name);
        write(&folder, gateway, rules, "");
        let result =
            host.run(&format!("run 6.12.57 --scenario {}", folder.display())).document(202);
        let fault = &result["fault"];
        assert_eq!(
            (&fault["cause"], &fault["file"], &fault["line"]),
            (&cause.into(), &file.into(), &line.into()),
            "{fault}"
        );
    }
    let folder = host.path("sysctl");
    write(&folder, "", RULES, "");
    let path = folder.join("scenario.toml");
    let text = fs::read_to_string(&path).unwrap().replace("ip_forward", "ip_foward");
    fs::write(&path, text).unwrap();
    let result = host.run(&format!("run 6.12.57 --scenario {}", folder.display())).document(202);
    assert_eq!(result["fault"]["cause"], "unknown-sysctl", "{result}");
    assert_eq!(result["fault"]["subject"], "net.ipv4.ip_foward");
    host.assert_no_machine_left();
}
