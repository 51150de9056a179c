//! Dumps of the memory of machines that crashed or hung. No dump, and no failure of one, changes a
//! verdict.

use kbisect_core::trial::{SymptomKind, Verdict};
use kbisect_vm::trial::TrialResult;

use crate::bench::Bench;

fn kind(result: &TrialResult) -> SymptomKind {
    result.verdict.symptom().unwrap_or_else(|| panic!("bad was expected: {}", result.verdict)).kind
}

fn notes(result: &TrialResult) -> String {
    result.notes.join("\n")
}

#[test]
fn the_memory_of_a_machine_that_crashed_or_hung_is_dumped() {
    let mut bench = Bench::dumping();
    for (script, expected) in [
        ("at http\n panic nft_fake_eval\n", SymptomKind::Panic),
        ("at http\n pvpanic\n panic nft_fake_eval\n hang\n", SymptomKind::Panic),
        ("at http\n oops nft_fake_eval\n", SymptomKind::Oops),
        ("at http\n hang\n", SymptomKind::Hang),
        ("at http\n lockup nft_fake_eval\n hang\n", SymptomKind::Hang),
        // It restarts although it was told not to, and QEMU pauses.
        ("at http\n panic f\n shutdown guest guest-reset\n exit 0\n", SymptomKind::Panic),
        ("at http\n shutdown guest guest-reset\n exit 0\n", SymptomKind::Reboot),
        ("at exec nft\n shutdown guest guest-shutdown\n exit 0\n", SymptomKind::Reboot),
    ] {
        let result = bench.trial(script);
        assert_eq!(kind(&result), expected, "{script}");
        let vmcore = result.evidence.vmcore.as_ref();
        let vmcore = vmcore.unwrap_or_else(|| panic!("{script}: {}", notes(&result)));
        let bytes = std::fs::read(bench.trial_folder().join(&vmcore.path)).unwrap();
        assert_eq!(bytes.len() as u64, vmcore.bytes, "{script}");
        assert!(bytes.starts_with(b"KDUMP   "), "{script}");
        assert_eq!(vmcore.format, "kdump-raw-zlib");
        assert_eq!(vmcore.sha256.len(), 64);
        assert_eq!(
            vmcore.build_id.as_deref(),
            Some("0123456789abcdef0123456789abcdef01234567"),
            "{script}"
        );
        assert!(vmcore.release.as_ref().is_some_and(|release| release.starts_with("6.12.")));
    }
}

#[test]
fn without_a_crash_no_file_is_left() {
    let mut bench = Bench::dumping();
    let good = bench.trial("");
    assert_eq!(good.verdict, Verdict::Good);
    let skip = bench.trial("at start\n panic mount_root\n");
    assert_eq!(skip.verdict.word(), "skip");
    let refused = bench.trial("at exec nft\n reply status 1 no such table\n");
    assert_eq!(kind(&refused), SymptomKind::RulesRefused);
    assert!(notes(&refused).contains("neither crashed nor hung"), "{}", notes(&refused));
    for (number, result) in [good, skip, refused].iter().enumerate() {
        assert_eq!(result.evidence.vmcore, None, "{number}");
        let file = bench.file(&format!("trial-{}", number + 1)).join("candidate/vmcore");
        assert!(!file.exists(), "{}", file.display());
    }
}

#[test]
fn a_dump_that_fails_is_a_note_and_no_verdict() {
    let mut bench = Bench::dumping();
    for (dump, words) in [
        ("fails No space left on device", "No space left on device"),
        ("refused Unsupported format", "Unsupported format"),
        ("dies", "QEMU ended"),
    ] {
        let result = bench.trial(&format!("at http\n dump {dump}\n panic nft_fake_eval\n"));
        assert_eq!(kind(&result), SymptomKind::Panic, "{dump}");
        assert!(notes(&result).contains(words), "{dump}: {}", notes(&result));
        assert_eq!(result.evidence.vmcore, None, "{dump}");
        assert!(!bench.trial_folder().join("candidate/vmcore").exists(), "{dump}: half a dump");
    }
}

#[test]
fn nothing_is_dumped_unless_it_is_asked_for() {
    let mut bench = Bench::new();
    let result =
        bench.trial("at http\n panic nft_fake_eval\n shutdown guest guest-reset\n exit 0\n");
    assert_eq!(kind(&result), SymptomKind::Panic);
    assert_eq!(result.evidence.vmcore, None);
    assert!(!bench.trial_folder().join("candidate/vmcore").exists());
    let command = std::fs::read_to_string(bench.trial_folder().join("candidate/qemu.cmdline"));
    assert!(!command.unwrap().contains("add-fd"));
}

#[test]
fn what_the_report_says_of_the_machine_is_kept() {
    let mut bench = Bench::new();
    let result = bench.trial(
        "at http\n print [ 12.1] Modules linked in: nft_fake(OE) nf_tables\n oops nft_fake_eval\n",
    );
    let facts = result.evidence.crash.as_ref().expect("an oops has registers");
    assert_eq!((facts.cpu, facts.pid, facts.comm.as_deref()), (Some(0), Some(314), Some("app")));
    assert_eq!(facts.taint.as_deref(), Some("Not tainted"));
    assert_eq!(facts.register("rip"), Some("0010:nft_fake_eval+0x1c/0x90"));
}

/// What is asked of a kernel after its oops must not make a panic of it.
#[test]
fn an_oops_that_still_answers_is_asked_and_stays_an_oops() {
    let mut bench = Bench::new();
    let result = bench.trial(
        "at http\n oops nft_fake_eval\nat exec conntrack\n panic later\n reply output the state\n",
    );
    assert_eq!(kind(&result), SymptomKind::Oops);
    let title = &result.verdict.symptom().unwrap().title;
    assert!(title.ends_with("in nft_fake_eval"), "{title}");
    assert_eq!(result.observation.reports.len(), 1);
}
