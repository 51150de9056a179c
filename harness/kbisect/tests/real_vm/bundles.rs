//! Bundles that are opened elsewhere.

use std::fs::File;
use std::process::{Command, Stdio};

use crate::host::{Ended, Host};

/// Kernels and root image come from the bundle alone: the home is empty, and so is the cache. Even
/// the addresses are others.
#[test]
fn a_redacted_bundle_repeats_its_trial_elsewhere() {
    let host = Host::hold();
    let bad = host.run("run 6.12.69 --scenario connlimit").document(1);
    let (run, bundle) = (host.run_folder(), host.path("all.tar.zst"));
    let written = host
        .run(&format!(
            "report {} --bundle={} --with-kernel --with-image --redact",
            run.display(),
            bundle.display()
        ))
        .document(0);
    let replaced = written["replaced"].as_array().unwrap();
    let client = replaced.iter().find(|entry| entry["old"] == "192.0.2.10");
    let client = client.unwrap_or_else(|| panic!("{written}"))["new"].as_str().unwrap();
    let elsewhere = host.path("elsewhere");
    let archive = zstd::Decoder::new(File::open(&bundle).unwrap()).unwrap();
    tar::Archive::new(archive).unpack(&elsewhere).unwrap();
    let home = host.path("home");
    std::fs::create_dir(&home).unwrap();
    let script = elsewhere.join(run.file_name().unwrap()).join("reproduce.sh");
    let output = Command::new(&script)
        .current_dir("/")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", &home)
        .env("KBISECT", env!("CARGO_BIN_EXE_kbisect"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let _ = Ended::of("reproduce.sh", &output);
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("REPRODUCED: bad, lost-ingress"), "{said}");
    assert!(said.contains(client) && !said.contains("192.0.2."), "{said}");
    assert_eq!(bad["symptom"]["title"], "replies of server:80 lost inside client");
    assert_eq!(std::fs::read_dir(&home).unwrap().count(), 0, "nothing was written to the home");
    host.assert_no_machine_left();
}
