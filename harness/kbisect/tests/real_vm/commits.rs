//! The commits of a git tree, built and tried: a history of the archive's source in which one is guilty.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::host::{Ended, Host};

#[test]
fn the_guilty_commit_is_found_and_taken_back() {
    let mut host = Host::aside();
    let tree = host.path("tree");
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts");
    let lab = Command::new(scripts.join("lab-git")).args(["--small", "--out"]).arg(&tree).output();
    let lab = lab.unwrap();
    assert!(lab.status.success(), "{}", String::from_utf8_lossy(&lab.stderr));
    // Building takes minutes, in which others can have the machines. By what they change the guilty commit would be
    // tried before those that do not build.
    let words =
        format!("lab-good..lab-bad --source git:{} --scenario cloudgw --no-prior", tree.display());
    let mut run = host.start(&words);
    while !began(&host.results()) {
        let ended = run.try_wait().unwrap();
        if ended.is_some() {
            Ended::of(&words, &run.wait_with_output().unwrap()).document(0);
            panic!("it ended before its first trial");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    host.take();
    let folder = host.run_folder();
    let ended = host.run(&format!("resume {}", folder.display()));
    let result = ended.document(0);

    assert_eq!(result["first_bad"]["name"], "lab-guilty", "{result:#}");
    assert_eq!(result["symptom"]["kind"], "lost-ingress");
    let test = &result["revert"];
    assert_eq!(test["outcome"], "proven", "{test:#}");
    assert_eq!((&test["original"]["passes"], &test["changed"]["fails"]), (&0.into(), &0.into()));
    // What got in the way is told as what it is.
    let series = result["series"].as_array().unwrap();
    let of =
        |subject: &str| series.iter().find(|entry| entry["commit"]["subject"] == subject).unwrap();
    let broken = of("inet: use what is not there");
    assert_eq!(broken["verdict"], "skip", "{broken:#}");
    let reason = broken["reason"].as_str().unwrap();
    assert!(reason.contains("net/ipv4/af_inet.c") && reason.contains("lab_undeclared"), "{reason}");
    for (subject, verdicts) in [
        ("init: give up before user space", ["untested", "skip"]),
        ("tcp: no connection over IPv4 is finished", ["untested", "skip"]),
        ("init: go on to user space", ["untested", "good"]),
    ] {
        let entry = of(subject);
        assert!(verdicts.contains(&entry["verdict"].as_str().unwrap()), "{entry:#}");
    }
    host.assert_no_machine_left();
    let mut report = Command::new(env!("CARGO_BIN_EXE_kbisect"));
    let log = report.arg("report").arg(&folder).args(["--format", "bisect-log"]).output().unwrap();
    let replay = host.path("log");
    std::fs::write(&replay, log.stdout).unwrap();
    let git = |words: &[&str]| {
        let output = Command::new("git").arg("-C").arg(&tree).args(words).output().unwrap();
        format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    };
    let guilty = git(&["rev-parse", "lab-guilty"]);
    let said = git(&["bisect", "replay", &replay.display().to_string()]);
    assert!(said.contains(&format!("{} is the first bad commit", guilty.trim())), "{said}");
}

/// Whether a trial has begun.
fn began(results: &Path) -> bool {
    let runs = std::fs::read_dir(results).into_iter().flatten().flatten();
    runs.filter_map(|run| std::fs::read_to_string(run.path().join("journal.jsonl")).ok())
        .flat_map(|journal| {
            journal
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect::<Vec<Value>>()
        })
        .any(|event| event["event"] == "trial-began")
}
