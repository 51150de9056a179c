//! Trials that other processes make, with nothing of their own to begin with.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::host::Host;

/// What an empty worker lacks comes from the run: kernels, the root image, the scenario. The answer is that of one
/// process, and the machines end with the run.
#[test]
fn a_worker_with_an_empty_cache_and_no_archive_finds_the_connlimit_regression() {
    let host = Host::hold();
    let worker = host.path("worker");
    let text = format!(
        "#!/bin/sh\nexec {} worker --offline --cache {}\n",
        env!("CARGO_BIN_EXE_kbisect"),
        host.path("elsewhere").display()
    );
    fs::write(&worker, text).unwrap();
    fs::set_permissions(&worker, fs::Permissions::from_mode(0o755)).unwrap();
    let words = format!(
        "6.12.57..6.12.69 --scenario connlimit --no-fix --no-changes --pool 2x{}",
        worker.display()
    );
    let result = host.run(&words).document(0);
    assert_eq!(result["outcome"], "found", "{result:#}");
    assert_eq!(result["last_good"]["version"], "6.12.57");
    assert_eq!(result["first_bad"]["version"], "6.12.69");
    assert_eq!(result["symptom"]["kind"], "lost-ingress");
    assert_eq!(result["confidence"]["level"], "confirmed", "{}", result["confidence"]);
    for trial in result["trials"].as_array().unwrap() {
        assert!(trial["place"].is_string(), "{trial:#}");
        let folder = host.run_folder().join(trial["directory"].as_str().unwrap());
        assert!(folder.join("wires/lan.pcapng").is_file(), "{}", folder.display());
    }
    assert!(host.path("elsewhere/content/v1").is_dir() && host.path("elsewhere/states").is_dir());
    host.assert_no_machine_left();
}
