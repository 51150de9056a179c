//! QEMU, the accelerator, and how fast a trial will be.

use std::fs;
use std::path::Path;

use kbisect_kernels::Settings;
use kbisect_report::{DoctorAccelerator, DoctorCheck, DoctorStatus};
use kbisect_vm::accel::{self, Accelerator};
use kbisect_vm::qemu::Qemu;
use serde_json::Value;

use super::{advise, found};
use crate::cli::{AccelChoice, DoctorArgs};
use crate::errors;
use crate::settings::global::runs;

/// Seconds of a trial where nothing was measured yet.
const TRIAL_KVM_S: f64 = 3.0;
const TRIAL_TCG_S: f64 = 6.0;
/// How many of the newest runs are looked at for measured trials.
const LOOK_BACK: usize = 20;

/// QEMU and KVM.
pub fn checks(args: &DoctorArgs, settings: &Settings) -> (Vec<DoctorCheck>, DoctorAccelerator) {
    let qemu = match Qemu::find(args.machine.qemu.as_deref()) {
        Ok(qemu) => qemu,
        Err(error) => {
            let hint = error.hint();
            let text = errors::message(&error.into());
            let missing = DoctorCheck { hint, ..found("qemu", DoctorStatus::Fail, text) };
            let reason = Some("QEMU cannot be used".to_owned());
            let accelerator = DoctorAccelerator { accelerator: "tcg".to_owned(), reason };
            return (vec![missing], accelerator);
        }
    };
    let detail = format!("{} ({})", qemu.version, qemu.path.display());
    let mut checks = vec![found("qemu", DoctorStatus::Ok, detail)];
    if args.machine.accel == AccelChoice::Tcg {
        let reason = "asked for on the command line".to_owned();
        checks.push(found("kvm", DoctorStatus::Ok, format!("not looked at: TCG {reason}")));
        let tcg = DoctorAccelerator { accelerator: "tcg".to_owned(), reason: Some(reason) };
        return (checks, tcg);
    }
    let probe = accel::probe(&qemu.path, &settings.cache_dir, args.again);
    let wanted = args.machine.accel == AccelChoice::Kvm;
    checks.push(match (probe.accelerator, &probe.reason) {
        (Accelerator::Kvm, _) => found("kvm", DoctorStatus::Ok, "works: a guest was started"),
        (Accelerator::Tcg, reason) => {
            let reason = reason.clone().unwrap_or_else(|| "unusable".to_owned());
            let status = if wanted { DoctorStatus::Fail } else { DoctorStatus::Warn };
            let hint = kvm_hint(&reason);
            advise("kvm", status, format!("{reason}; machines are emulated (TCG)"), hint)
        }
    });
    let accelerator =
        DoctorAccelerator { accelerator: probe.accelerator.to_string(), reason: probe.reason };
    (checks, accelerator)
}

fn kvm_hint(reason: &str) -> &'static str {
    if reason.contains("Permission denied") {
        "run `sudo adduser $USER kvm`, log in again, then `kbisect doctor --again`"
    } else if reason.contains("does not exist") {
        "switch on virtualisation in the firmware (or nested virtualisation on the host of this \
         machine); trials work without, only slower"
    } else {
        "trials work without, only slower; `kbisect doctor --again` tries KVM again"
    }
}

/// How long a trial takes, and how that is known.
pub struct Expected {
    /// Seconds.
    pub seconds: f64,
    /// Where the figure comes from.
    pub why: String,
}

/// Takes the mean of measured trials under the same accelerator, else a figure for usual hardware.
pub fn expected_trial(accelerator: &DoctorAccelerator, results: &Path) -> Expected {
    let word = accelerator.accelerator.as_str();
    let walls = measured(word, results);
    if walls.is_empty() {
        let seconds = if word == "kvm" { TRIAL_KVM_S } else { TRIAL_TCG_S };
        return Expected { seconds, why: format!("usual with {word}, not measured here yet") };
    }
    let seconds = walls.iter().sum::<f64>() / walls.len() as f64;
    Expected { seconds, why: format!("mean of {} trials with {word}", walls.len()) }
}

/// Times of the trials of earlier runs, read leniently: they are but a hint.
fn measured(accelerator: &str, results: &Path) -> Vec<f64> {
    let names = runs(results);
    let mut walls = Vec::new();
    for name in names.iter().rev().take(LOOK_BACK) {
        let Ok(text) = fs::read(results.join(name).join("result.json")) else { continue };
        let Ok(result) = serde_json::from_slice::<Value>(&text) else { continue };
        let several = result["trials"].as_array();
        let trials = several.map_or(std::slice::from_ref(&result), Vec::as_slice);
        for trial in trials {
            let answered = matches!(trial["verdict"].as_str(), Some("good" | "bad"));
            if answered && trial["accelerator"] == accelerator {
                walls.extend(trial["wall_s"].as_f64());
            }
        }
    }
    walls
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accelerator(word: &str) -> DoctorAccelerator {
        DoctorAccelerator { accelerator: word.to_owned(), reason: None }
    }

    #[test]
    fn trials_of_earlier_runs_are_the_measure() {
        let results = tempfile::tempdir().unwrap();
        for (run, text) in [
            (
                "1",
                r#"{"trials": [{"verdict": "good", "accelerator": "tcg", "wall_s": 4.0},
                    {"verdict": "infra", "accelerator": "tcg", "wall_s": 90.0},
                    {"verdict": "bad", "accelerator": "kvm", "wall_s": 1.0}]}"#,
            ),
            ("2", r#"{"verdict": "bad", "accelerator": "tcg", "wall_s": 6.0}"#),
            ("3", "not JSON"),
        ] {
            fs::create_dir(results.path().join(run)).unwrap();
            fs::write(results.path().join(run).join("result.json"), text).unwrap();
        }
        let expected = expected_trial(&accelerator("tcg"), results.path());
        assert!((expected.seconds - 5.0).abs() < 1e-9);
        assert!(expected.why.contains("2 trials"));
        let guessed = expected_trial(&accelerator("tcg"), Path::new("/nonexistent"));
        assert!(guessed.why.contains("not measured"));
    }
}
