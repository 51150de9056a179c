//! The scenarios on the pages in docs/ are scenarios.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod pages;

use std::fs;
use std::path::Path;
use std::process::Command;

fn check(place: &Path, folder: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_kbisect"))
        .args(["scenario", "check", folder])
        .current_dir(place)
        .env("HOME", place)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(&output.stderr), "", "{folder}");
    assert_eq!(text(&output.stdout), format!("{folder}: good ({folder})\n"));
}

#[test]
fn every_recipe_is_a_scenario_without_a_warning() {
    let place = tempfile::tempdir().unwrap();
    let recipes = pages::recipes();
    let names: Vec<&str> = recipes.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["netem", "iperf3", "haproxy", "wireguard", "ipvs", "bond", "ipv6"]);
    for (name, text) in &recipes {
        let folder = place.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("scenario.toml"), text).unwrap();
        check(place.path(), &format!("./{name}"));
    }
}

#[test]
fn the_example_of_the_page_on_scenarios_is_one() {
    let place = tempfile::tempdir().unwrap();
    pages::write_example(&place.path().join("incident"));
    check(place.path(), "./incident");
}
