//! Scenarios that `scenario new` makes and that the pages in docs/ show are good as they are.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::host::Host;
use crate::pages;

fn run(host: &Host, kernel: &str, folder: &Path, code: i32) -> Value {
    host.run(&format!("run {kernel} --scenario {}", folder.display())).document(code)
}

/// `kbisect scenario new`.
fn make(from: &[&str], folder: &Path) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbisect"));
    command.args(["scenario", "new"]).args(from).arg("--output").arg(folder);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Dumps as a stranger has them: 40 rules, a set of bogons that holds every network for documentation, ports that
/// are passed on, a tunnel.
#[test]
fn dumps_of_a_gateway_are_good_unedited() {
    let host = Host::hold();
    for (dumps, checks) in [("edge", 11), ("sets", 10)] {
        let from =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../kbisect-core/tests/import").join(dumps);
        let folder = host.path(dumps);
        make(&["--from-host", from.to_str().unwrap()], &folder);
        let result = run(&host, "6.12.57", &folder, 0);
        assert_eq!(result["verdict"], "good", "{result}");
        let made = result["checks"].as_array().unwrap();
        let kinds = |begin: &str| {
            made.iter().filter(|check| check["name"].as_str().unwrap().starts_with(begin)).count()
        };
        assert!(made.len() >= checks, "{result}");
        assert!(
            kinds("passed-on-") >= 4 && kinds("seen-as") >= 2 && kinds("counted-") >= 3,
            "{result}"
        );
        let rules = result["evidence"]["rules"].as_array().unwrap();
        assert!(
            rules.iter().any(|rule| rule["after"].as_u64() > rule["before"].as_u64()),
            "{result}"
        );
    }
    host.assert_no_machine_left();
}

#[test]
fn a_template_is_good_unedited() {
    let host = Host::hold();
    let folder = host.path("gateway");
    make(&["--template", "gateway"], &folder);
    let result = run(&host, "6.12.57", &folder, 0);
    assert_eq!(result["verdict"], "good", "{result}");
    // Without the rule that passes the port on, the check that uses it fails.
    let rules = fs::read_to_string(folder.join("rules.nft")).unwrap();
    let without: String = rules
        .lines()
        .filter(|line| !line.contains("dnat ip to"))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(folder.join("rules.nft"), without).unwrap();
    let result = run(&host, "6.12.57", &folder, 1);
    let failed =
        result["checks"].as_array().unwrap().iter().find(|check| check["status"] == "fail");
    assert_eq!(failed.unwrap()["name"], "passed-on", "{result}");
    host.assert_no_machine_left();
}

#[test]
fn the_example_of_the_page_is_good_and_bad_where_it_says_so() {
    let host = Host::hold();
    let folder = host.path("incident");
    pages::write_example(&folder);
    assert_eq!(run(&host, "6.12.57", &folder, 0)["verdict"], "good");
    let bad = run(&host, "6.12.69", &folder, 1);
    let title = "replies of server:80 lost inside client";
    assert_eq!(bad["symptom"]["title"], title, "{bad}");
    host.assert_no_machine_left();
}
