//! Single trials.

use serde_json::Value;

use crate::host::Host;

#[test]
fn connlimit_passes_on_a_good_kernel_and_loses_replies_on_a_bad_one() {
    let host = Host::hold();
    let good = host.run("run 6.12.57 --scenario connlimit").document(0);
    assert_eq!(good["verdict"], "good");
    assert!(good["release"].as_str().unwrap().starts_with("6.12.57"), "{}", good["release"]);
    let bad = host.run("run 6.12.69 --scenario connlimit").document(1);
    assert_eq!((&bad["verdict"], &bad["symptom"]["kind"]), (&"bad".into(), &"lost-ingress".into()));
    assert_eq!(bad["symptom"]["title"], "replies of server:80 lost inside client");
    let hops = bad["hops"].as_array().unwrap();
    assert!(!hops.is_empty(), "the loss is told hop by hop");
    let frames: u64 = bad["wires"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|count| count["from"] == "server")
        .map(|count| count["frames"].as_u64().unwrap())
        .sum();
    assert!(frames > 0, "the replies were carried by the wire: {}", bad["wires"]);
    let folder = std::path::Path::new(bad["run_dir"].as_str().unwrap())
        .join(bad["directory"].as_str().unwrap());
    for file in ["candidate/console.log", "wires/lan.pcapng", "collect/client.txt", "trial.json"] {
        assert!(
            folder.join(file).metadata().is_ok_and(|file| file.len() > 0),
            "{file} of {}",
            folder.display()
        );
    }
    host.assert_no_machine_left();
}

#[test]
fn synproxy_panics_only_where_the_rules_are_taken() {
    let host = Host::hold();
    let bad = host.run("run 6.1.180 --scenario synproxy").document(1);
    assert_eq!(bad["symptom"]["kind"], "panic");
    assert!(
        bad["symptom"]["title"].as_str().unwrap().contains("stack guard page"),
        "{}",
        bad["symptom"]
    );
    let fixed = host.run("run 6.12.57 --scenario synproxy").document(0);
    assert!(
        fixed["notes"].to_string().contains("refused"),
        "a fixed kernel refuses them: {}",
        fixed["notes"]
    );
    host.assert_no_machine_left();
}

/// An automation appended every rule a second and a third time, and the kernel fell over, but only
/// while the application ran.
#[test]
fn duplicate_rules_lock_the_kernel_up_only_while_the_application_runs() {
    let host = Host::hold();
    let bad = host.run("run 6.12.57 --scenario duplicate-rules").document(1);
    assert_eq!(bad["symptom"]["kind"], "hang");
    assert_eq!(bad["symptom"]["title"], "BUG: soft lockup in ipt_do_table");
    let stopped = host.run("run 6.12.57 --scenario duplicate-rules:app-stopped").document(0);
    assert_eq!(stopped["verdict"], "good");
    let checks: Vec<&Value> = stopped["checks"].as_array().unwrap().iter().collect();
    assert_eq!(checks.len(), 1, "{checks:?}");
    assert_eq!((&checks[0]["name"], &checks[0]["status"]), (&"monitoring".into(), &"pass".into()));
    let folder = std::path::Path::new(stopped["run_dir"].as_str().unwrap())
        .join(stopped["directory"].as_str().unwrap())
        .join("services");
    assert!(folder.join("agent.log").is_file(), "what services print is kept");
    assert!(!folder.join("application.log").exists(), "the application was not started");
    host.assert_no_machine_left();
}

/// "Is it the automation or the OS?": neither, it is the state that both lead to.
#[test]
fn duplicate_rules_follow_the_state_and_the_application_not_the_way() {
    let host = Host::hold();
    let result = host.run("check 6.12.57 --scenario duplicate-rules --ways").document(1);
    let answer = &result["followed"][0];
    assert_eq!(answer["symptom"]["title"], "BUG: soft lockup in ipt_do_table");
    let told = |what: &str| answer[what].as_str().unwrap();
    assert_eq!(
        ["way", "state", "application", "kernel"].map(told),
        ["no", "yes", "yes", "unknown"],
        "{answer}"
    );
    let rows: Vec<_> = answer["rows"].as_array().unwrap().iter().collect();
    let row = |name: &str| rows.iter().find(|row| row["scenario"] == name).unwrap();
    let state = |name: &str| row(&format!("duplicate-rules:{name}"))["state"].as_u64().unwrap();
    assert_eq!(state("automation"), state("at-once"));
    assert_ne!(state("automation"), state("looks-first"));
    let differs = &answer["states"]["nodes"][0];
    assert_eq!((&differs["node"], &differs["sections"][0]), (&"app".into(), &"rules".into()));
    assert!(differs["lines"].to_string().contains("- -A policy-"), "{differs}");
    host.assert_no_machine_left();
}

#[test]
fn cloudgw_is_good_on_stock_kernels_from_5_10_to_7_2() {
    let host = Host::hold();
    for kernel in ["5.10.218", "6.12.57", "7.2.12"] {
        let result = host.run(&format!("run {kernel} --scenario cloudgw")).document(0);
        assert_eq!(result["verdict"], "good", "{kernel}");
        let checks: Vec<&Value> = result["checks"].as_array().unwrap().iter().collect();
        assert!(
            checks.len() >= 3 && checks.iter().all(|check| check["status"] == "pass"),
            "{kernel}: {checks:?}"
        );
    }
    host.assert_no_machine_left();
}

#[test]
fn all_nodes_fit_into_one_machine() {
    let host = Host::hold();
    let bad = host.run("run 6.12.69 --scenario connlimit --placement single").document(1);
    assert_eq!(bad["symptom"]["kind"], "lost-ingress");
    host.assert_no_machine_left();
}

/// The end of standard input never reached the guest, so that the shell stayed open for good; and
/// what it said went where the document goes.
#[test]
fn a_shell_ends_with_its_input_and_leaves_the_document_alone() {
    let host = Host::hold();
    let ended = host.run("run 6.12.69 --scenario connlimit --placement single --shell");
    assert_eq!(ended.document(1)["symptom"]["kind"], "lost-ingress");
    host.assert_no_machine_left();
}

/// Existing checks as the acceptance test: a tool that puts an old configuration back is noticed, on a
/// kernel with nothing wrong, while ping and port 80 stay green.
#[test]
fn monitoring_is_the_acceptance_test_of_a_configuration() {
    let host = Host::hold();
    let good = host.run("run 6.12.57 --scenario monitoring-acceptance").document(0);
    let checks: Vec<&Value> = good["checks"].as_array().unwrap().iter().collect();
    assert!(
        checks.len() >= 8 && checks.iter().all(|check| check["status"] == "pass"),
        "{checks:?}"
    );
    let bad = host.run("run 6.12.57 --scenario monitoring-acceptance:reverted").document(1);
    let symptom = &bad["symptom"];
    assert_eq!(symptom["kind"], "check-failed", "{bad}");
    assert_eq!(symptom["title"], "new-configuration-on-web-new: plugin: CRITICAL");
    for (name, status) in [
        ("ping-web-new", "pass"),
        ("port-80-of-web-new", "pass"),
        ("old-configuration-on-web-old", "pass"),
        ("web-new-has-the-new-rules", "fail"),
        ("acceptance", "pass"),
    ] {
        let checks = bad["checks"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == name).unwrap();
        assert_eq!(check["status"], status, "{check}");
    }
    host.assert_no_machine_left();
}
