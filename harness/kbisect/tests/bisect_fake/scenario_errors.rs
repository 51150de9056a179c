//! A scenario that is wrong says nothing of any kernel.

use serde_json::Value;

use crate::place::{Ended, Place};

/// What nft says of `countr drop`.
const TYPING: &str = "/run/kbisect/assets/rules.nft:3:10-13: Error: syntax error, unexpected drop";

/// A scenario with a rule set, a service that is not in the image unless `program` is, and a check.
pub fn scenario(place: &Place, more: &str) {
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

/// What kernels say that do not know a sysctl.
const NO_KEY: &str = "at prepare gw\n reply unprepared unknown-sysctl net/ipv4/ip_forward = 1: \
                      No such file or directory\n";
/// A rule set that a kernel refuses.
pub const REFUSED: &str = "at exec nft\n reply status 1 \
                       rules.nft:2:1-9: Error: Could not process rule: Operation not supported\n";

/// The reference kernel in the candidate's place: with the script only where it is the candidate.
pub fn reference(place: &Place, script: &str) {
    place.kernel("6.1.101", script);
}

#[test]
fn what_the_reference_kernel_refuses_as_well_is_the_scenarios_fault() {
    for (script, cause, file) in
        [(NO_KEY, "unknown-sysctl", "scenario.toml"), (REFUSED, "refused", "rules.nft")]
    {
        let place = Place::series(1, |_| script.to_owned());
        scenario(&place, "");
        reference(&place, script);
        let result = place.run("run 6.12.1 --scenario ./broken --json").code(202).json();
        let fault = fault(&result);
        assert_eq!((&fault["cause"], &fault["file"]), (&cause.into(), &file.into()), "{fault}");
        let folders = std::fs::read_dir(place.run_folder().join("trials")).unwrap().count();
        assert_eq!(folders, 2, "the reference kernel was tried in the candidate's place");
        // The same from the newest reference: it takes the rules, so the kernel is at fault.
        place.kernel("6.1.102", "");
        let result = place.run("run 6.12.1 --scenario ./broken --json --results b").code(1).json();
        assert_eq!(result["verdict"], "bad", "{result}");
    }
}

/// The reference kernel may lack what newer kernels have.
#[test]
fn a_kernel_that_passes_shows_that_the_scenario_can() {
    let place = Place::series(6, |number| if number > 3 { REFUSED } else { "" }.to_owned());
    scenario(&place, "");
    reference(&place, REFUSED);
    let result = place.run("6.12.1..6.12.6 --scenario ./broken --json").code(0).json();
    assert_eq!(result["first_bad"]["version"], "6.12.4");
    assert_eq!(result["symptom"]["kind"], "rules-refused");
}

#[test]
fn a_bisection_whose_every_kernel_fails_as_the_reference_does_has_no_culprit() {
    let place = Place::series(4, |_| REFUSED.to_owned());
    scenario(&place, "");
    reference(&place, REFUSED);
    let ended = place.run("6.12.1..6.12.4 --scenario ./broken --json --skip-endpoint good").code(2);
    let result = ended.json();
    assert_eq!(
        (&result["outcome"], &result["fault"]["cause"]),
        (&"aborted".into(), &"refused".into())
    );
    assert!(ended.stderr.contains("error: scenario error: rules.nft"), "{}", ended.stderr);
}

#[test]
fn a_gate_asks_the_reference_kernel_once() {
    let place = Place::series(3, |_| REFUSED.to_owned());
    scenario(&place, "");
    reference(&place, REFUSED);
    let words = "check 6.12.2 6.12.3 --baseline 6.12.1 --scenario ./broken --json";
    let result = place.run(words).code(2).json();
    assert_eq!(result["counts"]["scenario_error"], 2, "{result}");
    // With another cell that regressed it is a regression.
    place.kernel("6.12.9", "at http\n reply read-timeout\n");
    let words = "check 6.12.3 6.12.9 --scenario ./broken,smoke --json --results b";
    assert_eq!(place.run(words).code(1).json()["outcome"], "regressed");
}

/// Guards against `bad: check-failed: Unknown device type` of a kernel that was built without it.
#[test]
fn a_kernel_that_lacks_a_kind_of_device_is_skipped_and_the_kind_named() {
    let unknown = "at prepare gw\n reply unprepared devices link add v type vrf table 10: \
                   Error: Unknown device type.\n";
    let lacking = format!("{unknown}at lacks vrf\n reply lacking vrf\n");
    let place = Place::series(1, |_| lacking.clone());
    scenario(&place, "");
    let result = place.run("run 6.12.1 --scenario ./broken --json").code(125).json();
    assert_eq!(result["reason"], "the kernel lacks vrf");
    // One that has it, and refuses, is bad: the reference kernel does not.
    place.kernel("6.12.2", unknown);
    let result = place.run("run 6.12.2 --scenario ./broken --json --results b").code(1).json();
    assert!(result["symptom"]["detail"].as_str().unwrap().contains("Unknown device type"));
}

/// Guards against a good verdict over `countr drop` on a kernel that the right rule brings down.
#[test]
fn a_refusal_is_accepted_for_what_the_kernel_says_alone() {
    let refusing = |place: &Place, refusal: &str| {
        scenario(place, "");
        let path = place.path("broken/scenario.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace("nft = \"rules.nft\"", &format!("nft = \"rules.nft\"\n{refusal}"));
        std::fs::write(path, text).unwrap();
    };
    let typing = format!("at exec nft\n reply status 1 {TYPING}\n");
    let place =
        Place::series(2, |number| if number == 1 { typing.clone() } else { REFUSED.to_owned() });
    refusing(&place, "refusal = \"accept\"");
    place.run("run 6.12.1 --scenario ./broken").code(202);
    let result = place.run("run 6.12.2 --scenario ./broken --json").code(0).json();
    assert_eq!(result["accepted"][0]["step"], "rules");
    refusing(&place, "refusal = { accept = \"Operation not supported\" }");
    let ended = place.run("run 6.12.2 --scenario ./broken").code(0);
    assert!(ended.stdout.contains("was refused, which the scenario accepts"), "{}", ended.stdout);
    let ended = place.run("check 6.12.2 --scenario ./broken").code(0);
    assert!(ended.stdout.contains("was refused, which the scenario accepts"), "{}", ended.stdout);
    refusing(&place, "refusal = { accept = \"Device or resource busy\" }");
    place.run("run 6.12.2 --scenario ./broken").code(1);
}
