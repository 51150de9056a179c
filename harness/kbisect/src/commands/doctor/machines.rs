//! QEMU, the accelerator, and how fast a trial will be.

use std::fs;
use std::path::Path;

use kbisect_core::boot::{BootWay, SpeedSource};
use kbisect_kernels::Settings;
use kbisect_report::{DoctorAccelerator, DoctorCheck, DoctorStatus};
use kbisect_vm::accel::{self, NoKvm, Probe, Wish};
use kbisect_vm::qemu::Qemu;
use kbisect_vm::timing::Timing;
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
/// A host that is slower than this is worth a word.
const SLOW: f64 = 12.0;

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
    let wish = match args.machine.accel {
        AccelChoice::Tcg => Wish::Tcg,
        AccelChoice::Kvm => Wish::AutoAgain,
        AccelChoice::Auto if args.again => Wish::AutoAgain,
        AccelChoice::Auto => Wish::Auto,
    };
    let probe = accel::probe(&qemu.path, &settings.cache_dir, wish);
    checks.push(kvm(&probe, args.machine.accel));
    let choices = args.machine.choices(settings);
    checks.push(boot(&probe, choices.boot));
    checks.push(speed(&Timing::new(probe.speed, choices.slow)));
    let reason = probe.no_kvm.as_ref().map(ToString::to_string);
    (checks, DoctorAccelerator { accelerator: probe.accelerator.to_string(), reason })
}

fn kvm(probe: &Probe, choice: AccelChoice) -> DoctorCheck {
    match &probe.no_kvm {
        None => found("kvm", DoctorStatus::Ok, "works: a guest was started"),
        Some(NoKvm::NotWanted) => {
            found("kvm", DoctorStatus::Ok, format!("not looked at: TCG was {}", NoKvm::NotWanted))
        }
        Some(why) => {
            let status = match choice {
                AccelChoice::Kvm => DoctorStatus::Fail,
                AccelChoice::Auto | AccelChoice::Tcg => DoctorStatus::Warn,
            };
            advise("kvm", status, format!("{why}; machines are emulated (TCG)"), why.hint())
        }
    }
}

fn boot(probe: &Probe, wanted: BootWay) -> DoctorCheck {
    match (wanted, &probe.no_pvh) {
        (BootWay::BzImage, _) => {
            found("boot", DoctorStatus::Ok, "kernels boot as they are shipped, as asked for")
        }
        (BootWay::Pvh, None) => {
            found("boot", DoctorStatus::Ok, "kernels boot unpacked, by their PVH entry")
        }
        (BootWay::Pvh, Some(why)) => advise(
            "boot",
            DoctorStatus::Warn,
            format!(
                "kernels boot as they are shipped; by a PVH entry they would boot faster, but {why}"
            ),
            "install the package qemu-system-data of QEMU's own version (it has pvh.bin)",
        ),
    }
}

fn speed(timing: &Timing) -> DoctorCheck {
    let known = timing.deadlines();
    let factor = known.slowness;
    let detail = match known.known_by {
        SpeedSource::Assumed => "could not be measured; that of emulation is assumed".to_owned(),
        SpeedSource::Probe | SpeedSource::Boot => format!(
            "guests take {factor:.1} times as long as on a fast machine with KVM; a boot may take {} s",
            timing.boot.as_secs()
        ),
    };
    let status = if factor > SLOW { DoctorStatus::Warn } else { DoctorStatus::Ok };
    if status == DoctorStatus::Ok {
        return found("speed", status, detail);
    }
    let hint = "is the host busy, or itself emulated? `kbisect doctor --again` measures again";
    advise("speed", status, detail, hint)
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
