//! A run's folder from a stranger: whatever it says, reports and bundles come about or are refused, and
//! nothing beside the folder is read.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::Path;

use common::folder::{dossier, written};
use common::{Does, Play};
use kbisect_report::{Bundle, BundleOptions, Dossier, Format, RedactRules};
use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use Does::{Lose, Panic, Pass};

fn run() -> TempDir {
    written(&Play::new(&[("6.12.57-1", Pass), ("6.12.69-1", Lose), ("6.12.96-1", Panic)]))
}

/// Every value that has none below it.
fn leaves(value: &mut Value) -> Vec<&mut Value> {
    match value {
        Value::Array(list) => list.iter_mut().flat_map(leaves).collect(),
        Value::Object(map) => map.values_mut().flat_map(leaves).collect(),
        leaf => vec![leaf],
    }
}

/// What a stranger could write in its place.
fn hostile() -> Vec<Value> {
    vec![
        json!(0),
        json!(-1),
        json!(u64::MAX),
        json!(i64::MAX),
        json!(u32::MAX),
        json!(65_535),
        json!(1e308),
        json!(-1e-308),
        json!(null),
        json!(true),
        json!(""),
        json!("../../../../etc/passwd"),
        json!("/etc/passwd"),
        json!("a/../../x"),
        json!("--image=/etc"),
        json!("\u{1b}[2J\n\0\u{202e}<script>"),
        json!("x".repeat(1 << 16)),
    ]
}

/// Makes everything of a folder that can be made.
fn everything(folder: &Path) {
    let Ok(dossier) = Dossier::read(folder) else { return };
    for format in Format::ALL {
        let _ = format.render(&dossier);
    }
    for redact in [None, Some(RedactRules::default())] {
        let options = BundleOptions { redact, ..BundleOptions::default() };
        let bundle = Bundle::new(&dossier, options).unwrap();
        let mut out = Vec::new();
        bundle.write(&mut out).unwrap();
        let mut archive = tar::Archive::new(zstd::Decoder::new(&out[..]).unwrap());
        for entry in archive.entries().unwrap() {
            let path = entry.unwrap().path().unwrap().into_owned();
            let plain = |part| matches!(part, std::path::Component::Normal(_));
            assert!(path.components().all(plain), "{}", path.display());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Any value of any line of the journal, or of the scenario, is something else.
    #[test]
    fn no_value_brings_a_report_down(
        at in any::<prop::sample::Index>(),
        leaf in any::<prop::sample::Index>(),
        new in prop::sample::select(hostile()),
        in_scenario in prop::bool::weighted(0.25),
    ) {
        let dir = run();
        if in_scenario {
            let path = dir.path().join("scenario/scenario.json");
            let mut scenario: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            let mut all = leaves(&mut scenario);
            let at = leaf.index(all.len());
            *all[at] = new;
            fs::write(&path, scenario.to_string()).unwrap();
        } else {
            let path = dir.path().join("journal.jsonl");
            let text = fs::read_to_string(&path).unwrap();
            let mut lines: Vec<Value> =
                text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let line = at.index(lines.len());
            let mut all = leaves(&mut lines[line]);
            let at = leaf.index(all.len());
            *all[at] = new;
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            fs::write(&path, text).unwrap();
        }
        everything(dir.path());
    }
}

/// What is no trial and no plan has few values: each is tried. Of the others each number is, by others: it is
/// they that are counted with.
#[test]
fn no_value_of_a_small_event_and_no_number_brings_a_report_down() {
    let text = fs::read_to_string(run().path().join("journal.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_small = |line: &Value| line["event"] != "began" && line["event"] != "trial-ended";
    let mut tried = 0;
    for at in 0..lines.len() {
        for leaf in 0..leaves(&mut lines[at].clone()).len() {
            let is_number = leaves(&mut lines[at].clone())[leaf].is_number();
            for new in hostile() {
                let is_tried = is_small(&lines[at]) || (is_number && new.is_number());
                if !is_tried {
                    continue;
                }
                let mut lines = lines.clone();
                *leaves(&mut lines[at])[leaf] = new;
                let dir = run();
                let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
                fs::write(dir.path().join("journal.jsonl"), text).unwrap();
                everything(dir.path());
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "{tried}");
}

#[test]
fn a_trial_elsewhere_is_refused() {
    for elsewhere in ["../../x", "/etc", "trials/../../x"] {
        let dir = run();
        let path = dir.path().join("journal.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("trials/03-6.12.69", elsewhere)).unwrap();
        assert!(Dossier::read(dir.path()).is_err(), "{elsewhere}");
    }
}

#[test]
fn a_scenario_that_breaks_the_rules_is_not_drawn() {
    let dir = run();
    let path = dir.path().join("scenario/scenario.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"lan\"", "\"../lan\"")).unwrap();
    let report = Format::Html.render(&Dossier::read(dir.path()).unwrap()).unwrap();
    assert!(report.contains("the kept scenario is not valid"), "{report}");
}

#[test]
fn links_are_not_followed() {
    let dir = run();
    let log = dir.path().join("trials/03-6.12.69/candidate/console.log");
    let secret = dir.path().join("../kbisect-secret-console");
    fs::write(&secret, "[    1.000000] the secret of this host\n").unwrap();
    fs::remove_file(&log).unwrap();
    std::os::unix::fs::symlink(fs::canonicalize(&secret).unwrap(), &log).unwrap();
    let report = Format::Html.render(&Dossier::read(dir.path()).unwrap()).unwrap();
    fs::remove_file(&secret).unwrap();
    assert!(!report.contains("the secret of this host"));
}

/// What is run is a kernel by its hash: anything else could be an option.
#[test]
fn an_id_that_is_none_is_no_word_of_the_script() {
    let dir = run();
    let path = dir.path().join("journal.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let id = dossier(&dir).bad().unwrap().kernel.id.0.clone();
    fs::write(&path, text.replace(&id, "--image=/home/me")).unwrap();
    let bundle = Bundle::new(&dossier(&dir), BundleOptions::default()).unwrap();
    let mut out = Vec::new();
    bundle.write(&mut out).unwrap();
    let mut archive = tar::Archive::new(zstd::Decoder::new(&out[..]).unwrap());
    let mut script = String::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        if entry.path().unwrap().ends_with("reproduce.sh") {
            std::io::Read::read_to_string(&mut entry, &mut script).unwrap();
        }
    }
    assert!(script.contains("KERNEL_ID=''\n"), "{script}");
}
