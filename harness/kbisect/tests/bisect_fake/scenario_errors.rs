//! A scenario that is wrong says nothing of any kernel.

use serde_json::Value;

use crate::place::{Ended, Place};

/// What nft says of `countr drop`.
const TYPING: &str = "/run/kbisect/assets/rules.nft:3:10-13: Error: syntax error, unexpected drop";

/// A scenario with a rule set, a service that is not in the image unless `program` is, and a check.
fn scenario(place: &Place, more: &str) {
    let text = format!(
        r#"schema = "kbisect.scenario/1"
summary = "rules"
[nodes.gw]
kernel = "candidate"
sysctl = {{ "net.ipv4.ip_forward" = 1 }}
[[setup]]
name = "rules"
node = "gw"
nft = "rules.nft"
{more}
[[checks]]
name = "monitoring"
node = "gw"
command = {{ run = "check_it", payload = true }}
"#
    );
    let folder = place.path("broken");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("scenario.toml"), text).unwrap();
    std::fs::write(folder.join("rules.nft"), "table inet t {}\n").unwrap();
}

fn fault(result: &Value) -> &Value {
    assert_eq!(result["verdict"], "scenario-error", "{result}");
    assert!(result["symptom"].is_null(), "{result}");
    &result["fault"]
}

/// Guards against `git bisect run` marking a commit for a typing error.
#[test]
fn a_typing_error_in_rules_is_no_kernels_fault() {
    let place = Place::series(1, |_| format!("at exec nft\n reply status 1 {TYPING}\n"));
    scenario(&place, "");
    let result = place.run("run 6.12.1 --scenario ./broken --json").code(202).json();
    let fault = fault(&result);
    assert_eq!(
        (&fault["cause"], &fault["file"], &fault["line"]),
        (&"syntax".into(), &"rules.nft".into(), &3.into())
    );
    assert_eq!(fault["where"], serde_json::json!({"kind": "step", "name": "rules", "node": "gw"}));
    let told = place.run("run 6.12.1 --scenario ./broken").code(202).stdout;
    assert!(told.contains("rules.nft:3") && told.contains("correct line 3 of rules.nft"), "{told}");
}

#[test]
fn a_missing_program_is_no_kernels_fault() {
    let missing = [
        ("at exec check_it\n reply status 127 sh: 1: check_it: not found\n", "check"),
        (
            "at serve haproxy\n reply failed cannot start haproxy: No such file or directory\n",
            "service",
        ),
        ("at exec nft\n reply status 127 sh: 1: nft: not found\n", "step"),
    ];
    for (script, kind) in missing {
        let place = Place::series(1, |_| script.to_owned());
        scenario(
            &place,
            "[[services]]\nname = \"proxy\"\nnode = \"gw\"\ncommand = [\"haproxy\"]\nready = \"started\"\n",
        );
        let result = place.run("run 6.12.1 --scenario ./broken --json").code(202).json();
        let fault = fault(&result);
        assert_eq!(
            (&fault["cause"], &fault["where"]["kind"]),
            (&"missing-program".into(), &kind.into())
        );
        assert_eq!(fault["file"], "scenario.toml");
        assert!(fault["line"].as_u64().unwrap() > 5, "{fault}");
    }
}

#[test]
fn a_bisection_stops_at_once_and_names_the_line() {
    let place = Place::series(6, |_| format!("at exec nft\n reply status 1 {TYPING}\n"));
    scenario(&place, "");
    let ended = place.run("6.12.1..6.12.6 --scenario ./broken --json").code(2);
    let result = ended.json();
    assert_eq!(result["outcome"], "aborted");
    assert_eq!(result["fault"]["line"], 3, "{result}");
    assert_eq!(result["trials"].as_array().unwrap().len(), 1, "nothing more is worth a trial");
    assert!(ended.stderr.contains("scenario error: rules.nft:3"), "{}", ended.stderr);
    assert!(ended.stderr.contains("hint: correct line 3"), "{}", ended.stderr);
}

/// Guards against a gate that says to upgrade: both kernels failed alike.
#[test]
fn a_gate_is_not_opened_by_a_scenario_that_fails_everywhere() {
    let place = Place::series(2, |_| format!("at exec nft\n reply status 1 {TYPING}\n"));
    scenario(&place, "");
    let check = |words: &str| -> Ended { place.run(&format!("check {words} --json")) };
    let result = check("6.12.2 --baseline 6.12.1 --scenario ./broken").code(2).json();
    assert_eq!(result["outcome"], "scenario-error");
    assert_eq!(result["counts"]["scenario_error"], 1);
    let cells = result["cells"].as_array().unwrap();
    assert!(cells.iter().all(|cell| cell["standing"] == "scenario-error"), "{cells:?}");
    assert_eq!(result["trials"].as_array().unwrap().len(), 1);
}
