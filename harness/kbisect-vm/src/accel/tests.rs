use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use super::start::judge;
use super::*;

#[test]
fn only_the_proof_counts() {
    let ended = |code: i32| ExitStatus::from_raw(code << 8);
    let took = Duration::from_millis(120);
    assert_eq!(judge(ended(0x2a << 1 | 1), took, ""), Outcome::Proof(took));
    let nothing = judge(ended(0), took, "");
    assert!(matches!(nothing, Outcome::Ended { .. }), "a clean exit proves nothing: {nothing:?}");
    let aborted = judge(ExitStatus::from_raw(6), took, "\nkvm: error: failed to set MSR 0x48b\n");
    assert!(aborted.to_string().contains("failed to set MSR"), "{aborted}");
}

#[test]
fn what_proves_kvm_differs_from_what_runs_under_emulation_by_accelerator_and_processor_only() {
    for payload in [Payload::BootSector, Payload::Pvh] {
        let words = |accelerator| -> Vec<String> {
            arguments(accelerator, payload, Path::new("/f"))
                .into_iter()
                .map(|word| word.into_string().unwrap())
                .collect()
        };
        let kvm: Vec<String> = words(Accelerator::Kvm)
            .into_iter()
            .map(|word| match word.as_str() {
                "pc,accel=kvm" => "pc,accel=tcg".to_owned(),
                "host" => "max".to_owned(),
                _ => word,
            })
            .collect();
        assert_eq!(kvm, words(Accelerator::Tcg));
    }
}

/// A disk that QEMU refused under every accelerator once made each host one without KVM.
#[test]
fn the_probes_run_under_emulation() {
    let qemu = crate::qemu::in_path(crate::qemu::PROGRAM).expect("QEMU is installed");
    for payload in [Payload::BootSector, Payload::Pvh] {
        let outcome = start(&qemu, Accelerator::Tcg, payload);
        assert!(matches!(outcome, Outcome::Proof(_)), "{payload:?}: {outcome}");
    }
}

#[test]
fn emulation_that_does_not_run_either_says_nothing_of_kvm() {
    // Ends at once with status 0, whatever it is asked: that proves nothing.
    let probe = try_kvm(Path::new("/bin/true"));
    assert!(matches!(probe.no_kvm, Some(NoKvm::Untried(_))), "{probe:?}");
    assert_eq!(probe.accelerator, Accelerator::Tcg);
    let hint = probe.no_kvm.map(|why| why.hint()).unwrap_or_default();
    assert!(hint.contains("not of KVM"), "{hint}");
}

#[test]
fn an_answer_of_an_older_probe_is_forgotten() {
    let cache = tempfile::tempdir().unwrap();
    std::fs::write(
        cache.path().join("accelerator.json"),
        r#"{"key": "any", "found": {"accelerator": "tcg", "reason": "Block node is read-only"}}"#,
    )
    .unwrap();
    let found = probe(Path::new("/bin/true"), cache.path(), Wish::Tcg);
    assert_eq!(found.no_kvm, Some(NoKvm::NotWanted));
}

#[test]
fn who_may_open_the_device_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let of_mode = |mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        whose(path)
    };
    assert_eq!(of_mode(0o600), NoKvm::OwnerOnly);
    let NoKvm::NoPermission { group } = of_mode(0o660) else { panic!("a group may") };
    assert!(!group.is_empty());
}

#[test]
fn a_distrusted_kvm_is_remembered() {
    let cache = tempfile::tempdir().unwrap();
    let qemu = Path::new("/bin/true");
    let found = distrust_kvm(qemu, cache.path(), "the reference kernel did not boot");
    let memory = Memory::at(cache.path(), qemu, Accelerator::Kvm).unwrap();
    assert_eq!(memory.recall(), Some(found));
}
