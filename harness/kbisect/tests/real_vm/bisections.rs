//! The bisections that kbisect is there for, with the answers that are known.

use std::path::Path;

use serde_json::Value;

use crate::host::Host;

#[test]
fn the_connlimit_regression_is_found() {
    let host = Host::hold();
    let result = host.run("6.12.43..6.12.96 --scenario connlimit").document(0);
    assert_eq!(result["outcome"], "found");
    assert_eq!(result["last_good"]["version"], "6.12.57");
    assert_eq!(result["first_bad"]["version"], "6.12.69");
    assert_eq!(result["symptom"]["kind"], "lost-ingress");
    assert_eq!(result["confidence"]["level"], "confirmed", "{}", result["confidence"]);
    assert!(result["confidence"]["probability"].as_f64().unwrap() >= 0.99);
    // No more kernels are asked than the search needs, also when it goes on from states of earlier tests. Either
    // side of the change is tried again, at least twice.
    let trials = result["trials"].as_array().unwrap();
    let series = result["series"].as_array().unwrap().len();
    let search = series.next_power_of_two().trailing_zeros() as usize + 2;
    assert!((search + 3..=search + 5).contains(&trials.len()), "{}", trials.len());
    // The newest of the series was mended long ago.
    let affected = &result["affected"];
    assert_eq!(affected["from"]["version"], "6.12.69", "{affected:#}");
    assert_eq!(affected["newest"]["fails"], false, "{affected:#}");
    let written = std::fs::read_to_string(host.run_folder().join("result.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), result);
    let report = std::fs::read_to_string(host.run_folder().join("report.md")).unwrap();
    assert!(report.contains("6.12.69") && report.contains("lost"), "{report}");
    host.assert_no_machine_left();
}

/// Four emulated machines at once: slower each, but with the verdicts of one trial at a time.
#[test]
fn two_workers_find_the_connlimit_regression() {
    let host = Host::hold();
    let result = host.run("6.12.43..6.12.96 --scenario connlimit --workers 2 --no-fix").document(0);
    assert_eq!(result["outcome"], "found");
    assert_eq!(result["last_good"]["version"], "6.12.57");
    assert_eq!(result["first_bad"]["version"], "6.12.69");
    assert_eq!(result["symptom"]["kind"], "lost-ingress");
    let trials = result["trials"].as_array().unwrap();
    let of = |verdict: &str| trials.iter().filter(|trial| trial["verdict"] == verdict).count();
    assert_eq!(of("good") + of("bad") + of("infra"), trials.len(), "{trials:?}");
    let journal = std::fs::read_to_string(host.run_folder().join("journal.jsonl")).unwrap();
    for worker in [1, 2] {
        assert!(journal.contains(&format!("\"worker\":{worker}")), "worker {worker} was idle");
    }
    host.assert_no_machine_left();
}

#[test]
fn the_connlimit_fix_is_found() {
    let host = Host::hold();
    let result = host.run("6.12.69..6.12.101 --scenario connlimit --find-fix").document(0);
    assert_eq!(result["outcome"], "found");
    assert_eq!(result["last_bad"]["version"], "6.12.96");
    assert_eq!(result["first_good"]["version"], "6.12.100");
    assert_eq!(result["symptom"]["kind"], "lost-ingress");
    host.assert_no_machine_left();
}

/// nft_counter is a module of its own up to 5.16: later kernels "lack" it, which is what such a
/// scenario looks for.
#[test]
fn the_first_kernel_without_a_required_feature_is_found() {
    let host = Host::hold();
    let smoke = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios/smoke");
    let folder = host.path("needs-counter");
    std::fs::create_dir(&folder).unwrap();
    for entry in std::fs::read_dir(smoke).unwrap() {
        let file = entry.unwrap().path();
        std::fs::copy(&file, folder.join(file.file_name().unwrap())).unwrap();
    }
    let scenario = folder.join("scenario.toml");
    let text = std::fs::read_to_string(&scenario).unwrap();
    let text = text.replacen(
        "[nodes.client]",
        "[requires]\nmodules = [\"nft_counter\"]\n\n[nodes.client]",
        1,
    );
    std::fs::write(&scenario, text).unwrap();
    let series =
        "schema = \"kbisect.series/1\"\nkernels = [\"5.10.251\", \"6.12.57\", \"6.12.69\"]\n";
    std::fs::write(host.path("series.toml"), series).unwrap();
    let result = host.run("series.toml --scenario ./needs-counter").document(0);
    assert_eq!(result["outcome"], "found");
    assert_eq!(result["last_good"]["version"], "5.10.251");
    assert_eq!(result["first_bad"]["version"], "6.12.57");
    assert_eq!(result["symptom"]["title"], "the kernel lacks nft_counter");
    let alone = host.run("run 6.12.57 --scenario ./needs-counter").document(125);
    assert_eq!(alone["verdict"], "skip", "without a bad end it is no symptom");
    host.assert_no_machine_left();
}

#[test]
fn the_synproxy_panic_is_found_across_series() {
    let host = Host::hold();
    let result = host.run("6.12.57..6.16.12 --scenario synproxy").document(0);
    assert_eq!(result["outcome"], "found");
    assert_eq!(result["symptom"]["kind"], "panic");
    // 6.12 has the fix since before 6.12.57; which 6.16 the archive holds first changes.
    assert!(
        result["last_good"]["version"].as_str().unwrap().starts_with("6.12."),
        "{}",
        result["last_good"]
    );
    assert!(
        result["first_bad"]["version"].as_str().unwrap().starts_with("6.16."),
        "{}",
        result["first_bad"]
    );
    assert!(
        result["warnings"].to_string().contains("ordered, not history"),
        "{}",
        result["warnings"]
    );
    host.assert_no_machine_left();
}
