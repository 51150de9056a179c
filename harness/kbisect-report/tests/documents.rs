//! Documents fit their schemas, and schemas refuse what is no document of theirs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

#[path = "common/validate.rs"]
mod validate;

use std::path::Path;

use common::{Does, Play, Stop, run_result};
use kbisect_core::adopt::{Wanted, from_checklist};
use kbisect_core::console::classify;
use kbisect_core::scenario::Scenario;
use kbisect_core::search::Direction;
use kbisect_core::selftest::{
    CheckSight, Control, Effect, SelftestResult, Sight, Traffic, Variation,
};
use kbisect_report::{
    BuiltNode, DetectDocument, DoctorAccelerator, DoctorCheck, DoctorDocument, DoctorStatus,
    ErrorDocument, ImportDocument, KernelsDocument, ListedKernel, ListedScenario, ListedState,
    ScenariosDocument, journal_line, schema,
};
use serde_json::{Value, json};
use validate::problems;

const SCENARIO: &str = r#"
schema = "kbisect.scenario/1"
summary = "one node"
[nodes.client]
kernel = "candidate"
devices = ["dummy7 type dummy"]
addresses = { dummy7 = ["198.51.100.7/32"] }
routes = ["default via 192.0.2.1"]
sysctl = { "net.ipv4.ip_forward" = 1 }
[nodes.server]
kernel = "reference"
[links.lan]
client = { name = "eth0", addresses = ["192.0.2.10/24"], mtu = 1400 }
server = { name = "eth0", addresses = ["192.0.2.1/24"] }
[[checks]]
name = "up"
node = "client"
command = { run = "true" }
"#;

fn schema_of(name: &str) -> Value {
    serde_json::from_str(schema(name).unwrap()).unwrap()
}

fn fits(name: &str, document: &impl serde::Serialize) -> Value {
    let value = serde_json::to_value(document).unwrap();
    assert_eq!(problems(&schema_of(name), &value), Vec::<String>::new(), "{name}: {value:#}");
    value
}

fn plays() -> Vec<Play> {
    let kernels = [
        ("6.12.43-1", Does::Pass),
        ("6.12.48-1", Does::PanicAtBoot),
        ("6.12.57-1", Does::Lose),
        ("6.12.69-1", Does::Panic),
        ("6.12.96-1", Does::Lose),
    ];
    let mut reversed = kernels;
    reversed.swap(0, 4);
    vec![
        Play::new(&kernels),
        Play { untestable: vec![1], ..Play::new(&kernels) },
        Play { direction: Direction::Fix, ..Play::new(&reversed) },
        Play { stop: Stop::Interrupted(1), ..Play::new(&kernels) },
        Play { stop: Stop::Failed(0), ..Play::new(&kernels) },
        Play::new(&kernels[..2]),
        Play::new(&[("6.12.43-1", Does::OurFault), ("6.12.48-1", Does::OurFault)]),
    ]
}

#[test]
fn results_plans_and_journals_fit() {
    let line = schema_of("journal");
    for play in plays() {
        let value = fits("bisect", &play.result());
        for member in
            ["outcome", "candidates", "symptom", "confidence", "trials", "wall_s", "run_dir"]
        {
            assert!(value.get(member).is_some(), "{member}");
        }
        fits("plan", &play.plan());
        for event in play.journal() {
            let bytes = journal_line(event.at_ms, &event.event).unwrap();
            let value: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(problems(&line, &value), Vec::<String>::new(), "{value}");
        }
    }
}

#[test]
fn results_of_one_trial_fit() {
    for does in [Does::Pass, Does::Lose, Does::Panic, Does::PanicAtBoot, Does::OurFault] {
        let value = fits("run", &run_result(does));
        for member in ["verdict", "symptom", "checks", "timings_s", "run_dir"] {
            assert!(value.get(member).is_some(), "{member}");
        }
    }
}

#[test]
fn self_tests_fit() {
    let run = run_result(Does::Panic);
    let harness = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let file = harness.join("../scenarios/duplicate-rules/scenario.toml");
    let text = std::fs::read_to_string(file).unwrap();
    let scenario = Scenario::parse("duplicate-rules", "x", &text).unwrap().scenario().clone();
    let default = Variation::new(&scenario, Vec::new(), &run.trial, None, "results/x".to_owned());
    assert_eq!((default.expected.as_deref(), default.as_expected), (Some("hang"), Some(false)));
    let flavour = Variation { effect: Some(Effect::Necessary), ..default.clone() };
    let check = CheckSight {
        name: "payload".to_owned(),
        counts: true,
        sight: Sight::Blind,
        detail: String::new(),
        advice: Some("look".to_owned()),
    };
    let result = SelftestResult {
        faults: Vec::new(),
        faults_left_out: 0,
        schema: "kbisect.selftest/1".to_owned(),
        scenario: "duplicate-rules".to_owned(),
        kernel: run.trial.kernel.clone(),
        passed: false,
        problems: vec!["check payload is blind".to_owned()],
        variations: vec![default, flavour],
        traffic: Some(Traffic { effect: None, detail: "not tried".to_owned(), run_dir: None }),
        control: Control { checks: vec![check], ..Control::default() },
        environment: run.environment.clone(),
        run_dir: "results".to_owned(),
        tool_version: "0".to_owned(),
    };
    let value = fits("selftest", &result);
    assert_eq!(value["variations"][1]["effect"], "necessary");
    let mut spoilt = value;
    spoilt["control"]["checks"][0]["sight"] = json!("looks");
    assert_ne!(problems(&schema_of("selftest"), &spoilt), Vec::<String>::new());
}

#[test]
fn lists_and_reports_fit() {
    let kernel = common::kernel("6.12.57-1", "debian:trixie", 1);
    let listed = |state, reason: Option<&str>| ListedKernel {
        kernel: kernel.clone(),
        state,
        reason: reason.map(str::to_owned),
        bytes: 100,
        suites: vec!["trixie".to_owned()],
        name: None,
    };
    fits(
        "kernels",
        &KernelsDocument::new(vec![
            listed(ListedState::Stored, None),
            listed(ListedState::Downloadable, None),
            listed(ListedState::Untestable, Some("no modules")),
        ]),
    );
    let scenario = ListedScenario {
        name: "smoke".to_owned(),
        summary: "a file over HTTP".to_owned(),
        path: None,
        nodes: vec!["client".to_owned()],
        checks: vec!["payload".to_owned()],
        built: BuiltNode::all(
            &kbisect_core::scenario::Scenario::parse("smoke", "x", SCENARIO)
                .unwrap()
                .scenario()
                .clone(),
        ),
    };
    assert_eq!(scenario.built[0].interfaces[0].addresses, ["192.0.2.10/24"]);
    fits("scenarios", &ScenariosDocument::new(vec![scenario]));
    let list = "- name: t\n  tests:\n    - cmd: ssh gw x\n      retcode: 0\n\
                - name: u\n  tests:\n    - cmd: $X\n      retcode: 0\n";
    let made = from_checklist(list, &Wanted::default()).unwrap();
    let import = fits("import", &ImportDocument::new("cmd-checklist", "a.yaml", &made, None, "x"));
    assert_eq!(import["checks"][0]["name"], "u");
    assert_eq!(import["left_out"][0]["hint"], "--map gw=NODE (nodes are: )");
    assert_eq!(import["remarks"][0]["hint"], "--env X=VALUE");
    fits("error", &ErrorDocument::new("no kernel 6.12.1", Some("nearest: 6.12.6".to_owned())));
    let log = b"[    1.000000] BUG: kernel NULL pointer dereference, address: 0000000000000008\n\
        [    1.000001] Oops: 0000 [#1] PREEMPT SMP NOPTI\n\
        [    1.000002] RIP: 0010:nft_do_chain+0x1a2/0x700 [nf_tables]\n\
        [    1.000003] Kernel panic - not syncing: Fatal exception in interrupt\n";
    let logs = [("a.log".to_owned(), classify(log)), ("b.log".to_owned(), Vec::new())];
    let several = fits("detect", &DetectDocument::of_files(&logs));
    assert_eq!(several["reports"][0]["file"], "a.log");
    assert_eq!(several["files"][1]["file"], "b.log");
    let document = fits("detect", &DetectDocument::new(&classify(log)));
    assert_eq!(document["reports"][0]["function"], "nft_do_chain");
}

#[test]
fn a_host_is_ready_when_no_check_failed() {
    let document = |status| {
        let check = DoctorCheck {
            name: "kvm".to_owned(),
            status,
            detail: "cannot be opened".to_owned(),
            hint: None,
        };
        let accelerator = DoctorAccelerator { accelerator: "tcg".to_owned(), reason: None };
        fits("doctor", &DoctorDocument::new(vec![check], accelerator, None))
    };
    assert_eq!(document(DoctorStatus::Ok)["ready"], true);
    assert_eq!(document(DoctorStatus::Warn)["ready"], true);
    assert_eq!(document(DoctorStatus::Fail)["ready"], false);
}

/// The schema of the file is kept by hand: the shipped scenarios and the example with every key hold
/// it to the parser.
#[test]
fn scenario_files_fit() {
    let harness = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let tests = harness.join("kbisect-core/src/scenario/tests");
    let mut files = vec![tests.join("full.toml"), tests.join("probes.toml")];
    files.push(harness.join("kbisect/tests/real_vm/every-fault.toml"));
    for entry in harness.parent().unwrap().join("scenarios").read_dir().unwrap() {
        let file = entry.unwrap().path().join("scenario.toml");
        if file.is_file() {
            files.push(file);
        }
    }
    assert!(files.len() > 4, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let value: Value = toml::from_str(&text).unwrap();
        let problems = problems(&schema_of("scenario"), &value);
        assert_eq!(problems, Vec::<String>::new(), "{}", file.display());
    }
}

#[test]
fn schemas_refuse_what_does_not_fit() {
    let spoilt = |name: &str, pointer: &str, wrong: Value| {
        let mut value = match name {
            "run" => serde_json::to_value(run_result(Does::Lose)).unwrap(),
            _ => serde_json::to_value(plays()[0].result()).unwrap(),
        };
        *value.pointer_mut(pointer).unwrap() = wrong;
        problems(&schema_of(name), &value)
    };
    for (name, pointer, wrong) in [
        ("bisect", "/outcome", json!("maybe")),
        ("bisect", "/schema", json!("kbisect.bisect/2")),
        ("bisect", "/symptom/kind", json!("tired")),
        ("bisect", "/candidates", json!("6.12.57")),
        ("bisect", "/trials/0/kernel/id", json!(5)),
        ("bisect", "/wall_s", Value::Null),
        ("run", "/checks/0/status", json!("passed")),
        ("run", "/timings_s/boot", json!("fast")),
        ("run", "/environment", json!({})),
    ] {
        assert_ne!(spoilt(name, pointer, wrong), Vec::<String>::new(), "{name}{pointer}");
    }
    let scenario = |text: &str| {
        let value: Value = toml::from_str(text).unwrap();
        problems(&schema_of("scenario"), &value).len()
    };
    let whole = "schema = 'kbisect.scenario/1'\nsummary = 'x'\n[nodes.a]\nkernel = 'candidate'\n\
        [[checks]]\nname = 'up'\nnode = 'a'\nalive = true\n";
    assert_eq!(scenario(whole), 0);
    for (from, to) in [
        ("alive = true", "alive = true\nhttp = { url = 'http://192.0.2.1/' }"),
        ("alive = true", "timeout_s = 0"),
        ("kernel = 'candidate'", "kernel = 'candidat'"),
        ("summary", "sumary"),
        ("[nodes.a]", "[nodes.A]"),
    ] {
        assert_ne!(scenario(&whole.replace(from, to)), 0, "{to}");
    }
}
