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
    assert_eq!(found.len(), 11 + 10, "those of the scenario and the usual ones: {found:?}");
    let unnoticed: Vec<_> = found.iter().filter(|(_, noticed)| !noticed).collect();
    assert_eq!(unnoticed, [&("panic app", false)], "a panic is noticed by kbisect itself");
    host.assert_no_machine_left();
}

#[test]
fn shipped_scenarios_pass_their_self_tests() {
    let host = Host::hold();
    for name in ["smoke", "synproxy"] {
        let result = host.run(&format!("scenario selftest {name}")).document(0);
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
