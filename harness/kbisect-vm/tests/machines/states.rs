//! Saved states: what boots, what goes on from where user space was up, and what neither changes.

use std::path::PathBuf;

use kbisect_core::trial::{BootKind, SymptomKind, Verdict};
use kbisect_vm::lab::Coming;

use crate::bench::Bench;

const COLD: Option<BootKind> = Some(BootKind::Cold);
const RESTORED: Option<BootKind> = Some(BootKind::Restored);

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The saved states, without the peer's, by what the console printed before.
fn states(bench: &Bench) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(bench.file("states")).into_iter().flatten().flatten();
    folders.map(|folder| folder.path()).collect()
}

#[test]
fn a_kernel_boots_once() {
    let mut bench = Bench::saving(|_| String::new());
    let first = bench.again("kernel", "", Coming::Any);
    assert_eq!((first.verdict, first.boot), (Verdict::Good, COLD));
    let second = bench.again("kernel", "", Coming::Any);
    assert_eq!((second.verdict, second.boot), (Verdict::Good, RESTORED));
    assert_eq!(second.release.as_deref(), Some("6.12.0-fake"), "the saved guest's own word");
    let console = bench.console();
    assert!(
        console.contains("Linux version 6.12.0-fake"),
        "the boot is part of the log: {console}"
    );
    let arguments =
        std::fs::read_to_string(bench.trial_folder().join("candidate/qemu.cmdline")).unwrap();
    assert!(arguments.contains("-incoming\ndefer\n"), "{arguments}");
    let other = bench.again("another kernel", "", Coming::Any);
    assert_eq!(other.boot, COLD);
    let asked = bench.again("kernel", "", Coming::Cold);
    assert_eq!((asked.verdict, asked.boot), (Verdict::Good, COLD));
}

#[test]
fn each_trial_says_which_boot_it_rests_on() {
    let mut bench = Bench::saving(|_| String::new());
    let mut try_one = |coming| {
        let result = bench.again("kernel", "", coming);
        (result.boot, result.boot_id.expect("it was started"))
    };
    let first = try_one(Coming::Any);
    assert_eq!(first.0, COLD);
    assert_eq!(try_one(Coming::Any), (RESTORED, first.1.clone()));
    for coming in [Coming::Cold, Coming::AsShipped] {
        let other = try_one(coming);
        assert!(other.0 == COLD && other.1 != first.1, "{other:?}");
        assert_eq!(try_one(Coming::Any), (RESTORED, first.1.clone()), "the state stays");
    }
    let new = try_one(Coming::Renew);
    assert!(new.0 == COLD && new.1 != first.1, "{new:?}");
    assert_eq!(try_one(Coming::Any), (RESTORED, new.1), "the newer one took its place");
}

#[test]
fn a_peer_goes_on_from_its_state_in_a_later_lab() {
    let mut bench = Bench::saving(|_| String::new());
    assert_eq!(bench.again("kernel", "", Coming::Any).verdict, Verdict::Good);
    bench.renew();
    assert_eq!(bench.again("kernel", "", Coming::Any).verdict, Verdict::Good);
    let arguments = std::fs::read_to_string(bench.file("lab/peer-1/qemu.cmdline")).unwrap();
    assert!(arguments.contains("-incoming"), "{arguments}");
}

#[test]
fn a_failure_is_one_however_the_kernel_came_up() {
    let mut bench = Bench::saving(|_| String::new());
    for (name, script, expected) in [
        ("panics", "at http\n panic nft_fake_eval\n", SymptomKind::Panic),
        ("hangs", "at http\n hang\n", SymptomKind::Hang),
        ("restarts", "at http\n shutdown guest guest-reset\n exit 0\n", SymptomKind::Reboot),
        (
            "banner",
            "at http\n print [ 0.000000] Linux version 6.12.57-fake (fake@kbisect) #1 SMP\n mute\n",
            SymptomKind::Reboot,
        ),
        ("refuses", "at exec nft\n reply status 1 no such table\n", SymptomKind::RulesRefused),
    ] {
        let mut seen = Vec::new();
        for boot in [COLD, RESTORED] {
            let result = bench.again(name, script, Coming::Any);
            assert_eq!(result.boot, boot, "{name}");
            let symptom = result.verdict.symptom().cloned();
            seen.push(symptom.unwrap_or_else(|| panic!("{name}: {}", result.verdict)));
        }
        assert_eq!(seen[0].kind, expected, "{name}");
        assert_eq!(seen[0], seen[1], "{name}");
    }
}

#[test]
fn a_kernel_that_complains_while_it_boots_is_seen_to_do_so_each_time() {
    let mut bench = Bench::saving(|_| String::new());
    // Behind its banner: a banner behind a report is a restart.
    let script = format!(
        "at start\n print [    0.000000] Linux version 6.12.57-fake (fake@kbisect) #1 SMP\n \
         warning init_fake\n delay 600\n marker\n hello {}\n heartbeats\n",
        kbisect_proto::PROTOCOL
    );
    for _ in 0..2 {
        let result = bench.again("kernel", &script, Coming::Any);
        assert_eq!(result.boot, COLD);
        let reports = &result.observation.reports;
        assert_eq!(reports.len(), 1, "{reports:?}\n{}", bench.console());
    }
}

#[test]
fn a_state_that_nothing_comes_of_is_thrown_away_and_the_kernel_boots() {
    let mut bench = Bench::saving(|_| String::new());
    assert_eq!(bench.again("kernel", "", Coming::Any).boot, COLD);
    for state in states(&bench) {
        // Whole by its check sum, but nothing that this QEMU reads.
        let about = std::fs::read_to_string(state.join("about.json")).unwrap();
        let mut about: serde_json::Value = serde_json::from_str(&about).unwrap();
        std::fs::write(state.join("state"), b"other").unwrap();
        about["bytes"] = 5.into();
        about["sha256"] = sha256(b"other").into();
        std::fs::write(state.join("about.json"), about.to_string()).unwrap();
    }
    let result = bench.again("kernel", "", Coming::Any);
    assert_eq!((result.verdict, result.boot), (Verdict::Good, COLD));
    assert!(result.notes.iter().any(|note| note.contains("thrown away")), "{:?}", result.notes);
    assert_eq!(bench.again("kernel", "", Coming::Any).boot, RESTORED, "saved again");
}

#[test]
fn a_state_of_other_content_is_not_gone_on_from_and_other_files_stop_the_trial() {
    let mut bench = Bench::saving(|_| String::new());
    assert_eq!(bench.again("kernel", "", Coming::Any).boot, COLD);
    let set =
        |bench: &Bench, name: &str, value: &dyn Fn(&serde_json::Value) -> serde_json::Value| {
            for state in states(bench) {
                let path = state.join("about.json");
                let text = std::fs::read_to_string(&path).unwrap();
                let mut about: serde_json::Value = serde_json::from_str(&text).unwrap();
                about[name] = value(&about[name]);
                std::fs::write(path, about.to_string()).unwrap();
            }
        };
    // As if what is there were not what was saved.
    set(&bench, "digest", &|_| "0".into());
    let result = bench.again("kernel", "", Coming::Any);
    assert_eq!((result.verdict, result.boot), (Verdict::Good, COLD));
    assert!(result.notes.iter().any(|note| note.contains("thrown away")), "{:?}", result.notes);
    set(&bench, "files", &|files| {
        let path = files.as_object().unwrap().keys().next().unwrap();
        serde_json::json!({ path: "0" })
    });
    for _ in 0..2 {
        let result = bench.again("kernel", "", Coming::Any);
        let Verdict::Infra(why) = result.verdict else { panic!("{}", result.verdict) };
        assert!(why.contains("may be damaged"), "{why}");
    }
}

#[test]
fn a_damaged_state_is_not_gone_on_from() {
    let mut bench = Bench::saving(|_| String::new());
    assert_eq!(bench.again("kernel", "", Coming::Any).boot, COLD);
    for state in states(&bench) {
        std::fs::write(state.join("state"), b"cut").unwrap();
    }
    let result = bench.again("kernel", "", Coming::Any);
    assert_eq!((result.verdict, result.boot), (Verdict::Good, COLD));
}

#[test]
fn a_restored_guest_that_does_not_wake_boots() {
    let mut bench = Bench::saving(|_| String::new());
    let script = "at wake\n only-restored\n reply failed no such interface\n";
    assert_eq!(bench.again("kernel", script, Coming::Any).boot, COLD);
    let result = bench.again("kernel", script, Coming::Any);
    assert_eq!((result.verdict, result.boot), (Verdict::Good, COLD));
    let script = "at restored\n panic resume_fake\n exit 0\n";
    assert_eq!(bench.again("other", script, Coming::Any).boot, COLD);
    let result = bench.again("other", script, Coming::Any);
    assert_eq!((result.verdict, result.boot), (Verdict::Good, COLD), "not the kernel's fault");
}

#[test]
fn a_guest_that_cannot_be_made_its_own_is_no_bad_kernel() {
    let mut bench = Bench::saving(|_| String::new());
    let reason =
        bench.skip("at wake\n reply failed cannot set the time: Operation not permitted\n");
    assert!(reason.contains("cannot set the time"), "{reason}");
}

#[test]
fn a_guest_that_never_wakes_is_our_failure() {
    let mut bench = Bench::saving(|_| String::new());
    let result = bench.again("kernel", "at wake\n mute\n", Coming::Any);
    let Verdict::Infra(why) = result.verdict else { panic!("{}", result.verdict) };
    assert!(why.contains("did not wake"), "{why}");
}

#[test]
fn what_cannot_be_saved_is_told_and_changes_nothing() {
    let mut bench = Bench::saving(|_| String::new());
    let script = "at start\n save-fails no space left\n boot 6.12.57-fake\n";
    for _ in 0..2 {
        let result = bench.again("kernel", script, Coming::Any);
        assert_eq!((result.verdict, result.boot), (Verdict::Good, COLD));
        assert!(
            result.notes.iter().any(|note| note.contains("was not saved")),
            "{:?}",
            result.notes
        );
    }
}

#[test]
fn each_awakening_brings_time_and_randomness_of_its_own() {
    // The stand-in answers `wake` as a guest would; that the harness sends it each time is seen from
    // a clause that is used up by the first.
    let mut bench = Bench::saving(|_| String::new());
    let once = bench.file("once");
    let script = format!("at wake\n first-time {}\n", once.display());
    assert_eq!(bench.again("kernel", &script, Coming::Any).boot, COLD);
    assert!(once.exists());
    std::fs::remove_file(&once).unwrap();
    assert_eq!(bench.again("kernel", &script, Coming::Any).boot, RESTORED);
    assert!(once.exists(), "a restored guest is woken, too");
}

/// On a busy host QEMU tells of a complete state before it takes the order to go on. The guest then stood
/// still, which looked like a hang.
#[test]
fn a_machine_that_is_first_refused_to_go_on_is_told_again() {
    let mut bench = Bench::saving(|_| String::new());
    let script = "at start\n refuses-cont 3\n boot 6.12.0-fake\n";
    let first = bench.again("kernel", script, Coming::Any);
    assert_eq!((first.verdict, first.boot), (Verdict::Good, COLD));
}

/// Twins of a machine whose clock runs away have that clock, too, so each trial of theirs was ours to repeat.
#[test]
fn a_machine_whose_clock_is_wrong_has_no_twins() {
    let mut bench = Bench::saving(|_| String::new());
    let wrong_at_boot = "at start\n clock 126000\n boot 6.12.57-fake\n";
    for _ in 0..2 {
        let result = bench.again("wrong at boot", wrong_at_boot, Coming::Any);
        assert_eq!((result.verdict, result.boot), (Verdict::Good, COLD));
    }
    let once = bench.file("once");
    let wrong_later = format!("at exec nft\n first-time {}\n clock 126000\n", once.display());
    for boot in [COLD, COLD, RESTORED] {
        assert_eq!(bench.again("wrong later", &wrong_later, Coming::Any).boot, boot);
    }
    let restored = "at exec nft\n only-restored\n clock 126000\n";
    for boot in [COLD, RESTORED, COLD] {
        assert_eq!(bench.again("wrong when restored", restored, Coming::Any).boot, boot);
    }
}

#[test]
fn a_peer_whose_clock_is_wrong_has_no_twins() {
    let mut bench = Bench::saving(|folder| {
        let once = folder.join("once");
        format!("at serve nginx\n first-time {}\n clock 126000\n", once.display())
    });
    for _ in 0..2 {
        assert_eq!(bench.again("kernel", "", Coming::Any).verdict, Verdict::Good);
    }
    let arguments = std::fs::read_to_string(bench.file("lab/peer-2/qemu.cmdline")).unwrap();
    assert!(!arguments.contains("-incoming"), "{arguments}");
}
