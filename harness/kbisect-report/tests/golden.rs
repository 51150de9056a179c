//! Whole reports for every outcome, against texts under `tests/golden/`.
//!
//! To write them anew after a change of the words, and to read the difference:
//! `KBISECT_UPDATE_GOLDEN=1 cargo test -p kbisect-report --test golden`

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{Does, Play, Stop, run_result};
use kbisect_core::mark::{lack_symptom, untestable};
use kbisect_core::run::OutcomeWord;
use kbisect_core::search::Direction;
use kbisect_core::trial::Untestable;
use kbisect_report::{
    Dossier, Extra, Format, Style, markdown, markdown_run, terminal_summary, terminal_summary_run,
};

use Does::{Lacks, Lose, OurFault, Panic, PanicAtBoot, Pass};

/// Compares with the file, or writes it.
fn golden(name: &str, text: &str) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("KBISECT_UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = expected.lines().zip(text.lines()).find(|(expected, now)| expected != now);
    assert!(
        expected == text,
        "tests/golden/{name} differs, first in (expected, now): {differs:#?}\nto accept: \
         KBISECT_UPDATE_GOLDEN=1 cargo test -p kbisect-report --test golden"
    );
}

fn check(name: &str, play: &Play, outcome: OutcomeWord) {
    let journal = play.journal();
    let result = play.result();
    assert_eq!(result.outcome, outcome);
    golden(&format!("{name}.md"), &markdown(&result, &Extra::from_journal(&journal)));
    let summary = terminal_summary(&result, Style::default());
    assert!(summary.lines().count() <= 17, "{summary}");
    golden(&format!("{name}.txt"), &summary);
}

fn connlimit() -> Vec<(&'static str, Does)> {
    vec![
        ("6.12.43-1", Pass),
        ("6.12.48-1", Pass),
        ("6.12.57-1", Pass),
        ("6.12.69-1", Lose),
        ("6.12.73-1~bpo12+1", Lose),
        ("6.12.74-2", Lose),
        ("6.12.85-1", Lose),
        ("6.12.96-1", Lose),
    ]
}

#[test]
fn found() {
    check("found", &Play::new(&connlimit()), OutcomeWord::Found);
}

#[test]
fn found_with_an_assumed_end_and_a_run_that_was_resumed() {
    let play = Play { assume_old: true, ..Play::new(&connlimit()[2..4]) };
    let result = play.result();
    let mut extra = Extra::from_journal(&play.journal());
    extra.resumed = 2;
    extra.notes = vec!["trial 1 was repeated: QEMU was killed".to_owned()];
    golden("found-assumed.md", &markdown(&result, &extra));
}

#[test]
fn found_despite_skips() {
    let mut kernels = connlimit();
    kernels[1].1 = Panic;
    let play = Play { untestable: vec![4], ..Play::new(&kernels) };
    check("found-despite-skips", &play, OutcomeWord::FoundDespiteSkips);
}

#[test]
fn range_never_names_one_culprit() {
    let mut kernels = connlimit();
    kernels[3].1 = PanicAtBoot;
    kernels[4].1 = Panic;
    let play = Play { untestable: vec![5], ..Play::new(&kernels) };
    check("range", &play, OutcomeWord::Range);
    let text = markdown(&play.result(), &Extra::default());
    for culprit in ["- 6.12.69 (", "- 6.12.73 (", "- 6.12.74 (", "- 6.12.85 ("] {
        assert!(text.contains(culprit), "{culprit}");
    }
    assert!(!text.contains("fails from"), "{text}");
}

#[test]
fn not_reproduced() {
    let kernels: Vec<_> = connlimit().into_iter().map(|(version, _)| (version, Pass)).collect();
    check("not-reproduced", &Play::new(&kernels), OutcomeWord::NotReproduced);
}

#[test]
fn good_fails() {
    let kernels: Vec<_> = connlimit().into_iter().map(|(version, _)| (version, Lose)).collect();
    check("good-fails", &Play::new(&kernels), OutcomeWord::GoodFails);
}

#[test]
fn interrupted() {
    let play = Play { stop: Stop::Interrupted(3), ..Play::new(&connlimit()) };
    check("interrupted", &play, OutcomeWord::Aborted);
}

#[test]
fn interrupted_before_anything_was_tried() {
    let play = Play { stop: Stop::Interrupted(0), ..Play::new(&connlimit()) };
    check("interrupted-at-once", &play, OutcomeWord::Aborted);
}

#[test]
fn failed() {
    let play = Play { stop: Stop::Failed(2), ..Play::new(&connlimit()) };
    check("failed", &play, OutcomeWord::Aborted);
}

/// After kill -9 the journal just ends.
#[test]
fn killed() {
    let play = Play { stop: Stop::Killed(2), ..Play::new(&connlimit()) };
    check("killed", &play, OutcomeWord::Aborted);
}

#[test]
fn host_failure() {
    let mut kernels = connlimit();
    kernels[7].1 = OurFault;
    check("host-failure", &Play::new(&kernels), OutcomeWord::Aborted);
}

/// A feature that is gone is no accident of the trial: it is what the user is looking for.
#[test]
fn the_first_kernel_without_a_required_feature() {
    let mut kernels = connlimit();
    for kernel in &mut kernels {
        // One that fails in its own way says nothing of the feature.
        kernel.1 = if kernel.1 == Lose { Lacks } else { kernel.1 };
    }
    check("lacks", &Play::new(&kernels), OutcomeWord::Found);
}

#[test]
fn a_feature_that_both_ends_lack_is_the_scenarios_misfit() {
    let mut kernels = connlimit();
    (kernels[0].1, kernels[7].1) = (Lacks, Lacks);
    let play = Play::new(&kernels);
    check("ends-lack", &play, OutcomeWord::GoodFails);
    let reason = play.result().reason.unwrap();
    assert!(reason.ends_with("so it does not fit this range"), "{reason}");
}

#[test]
fn an_end_known_beforehand_to_lack_a_feature_makes_the_others_testable() {
    let plan = |lacking: &[usize]| {
        let mut plan = Play { untestable: vec![4], ..Play::new(&connlimit()) }.plan();
        for index in lacking {
            plan.series[*index].untestable =
                Some(Untestable::Lacks { features: vec!["ebtables".to_owned()] });
        }
        plan
    };
    assert_eq!(untestable(&plan(&[5, 7]), None), [4], "the bad end lacks it");
    assert_eq!(untestable(&plan(&[5, 6]), None), [4, 5, 6], "the bad end has it");
    let target = Some(lack_symptom(&["ebtables", "vrf"].map(str::to_owned)));
    assert_eq!(untestable(&plan(&[5, 6]), target.as_ref()), [4], "the bad end's trial told so");
    let other = Some(lack_symptom(&["vrf".to_owned()]));
    assert_eq!(untestable(&plan(&[5, 6]), other.as_ref()), [4, 5, 6], "another feature");
}

/// Trying again would give no answer either: there is nothing to resume.
#[test]
fn an_end_without_an_answer() {
    let mut kernels = connlimit();
    kernels[0].1 = PanicAtBoot;
    let play = Play::new(&kernels);
    check("end-skipped", &play, OutcomeWord::Aborted);
    assert!(!markdown(&play.result(), &Extra::default()).contains("kbisect resume"));
}

#[test]
fn find_fix_across_stable_series_with_panics() {
    let play = Play {
        direction: Direction::Fix,
        warnings: vec!["the range crosses stable series: versions are ordered, not history".into()],
        ..Play::new(&[
            ("6.12.57-1", Panic),
            ("6.12.69-1", Panic),
            ("6.16.3-1~bpo13+1", Pass),
            ("6.16.12-1", Pass),
        ])
    };
    check("fix", &play, OutcomeWord::Found);
}

#[test]
fn find_fix_range() {
    let kernels =
        [("6.12.57-1", Lose), ("6.12.69-1", PanicAtBoot), ("6.12.90-1", Pass), ("6.12.90-2", Pass)];
    let play = Play { direction: Direction::Fix, ..Play::new(&kernels) };
    check("fix-range", &play, OutcomeWord::Range);
}

/// Forms that are made from the journal alone, without a folder: what is missing is said.
#[test]
fn other_forms() {
    let mut mixed = connlimit();
    mixed[1].1 = Panic;
    mixed[5].1 = PanicAtBoot;
    let skips = Play { untestable: vec![4], ..Play::new(&mixed) };
    let fix = Play {
        direction: Direction::Fix,
        ..Play::new(&[("6.12.69-1", Panic), ("6.12.90-1", Panic), ("6.12.90-2", Pass)])
    };
    let failed = Play { stop: Stop::Failed(2), ..Play::new(&connlimit()) };
    let plays =
        [("found", Play::new(&connlimit())), ("skips", skips), ("fix", fix), ("failed", failed)];
    for (name, play) in plays {
        let folder = std::path::Path::new("results/sample");
        let dossier = Dossier::of_journal(folder, play.journal(), None).unwrap();
        for (format, file) in [
            (Format::Text, "mail.txt"),
            (Format::Junit, "junit.xml"),
            (Format::Ktap, "ktap"),
            (Format::BisectLog, "bisect-log"),
        ] {
            golden(&format!("form-{name}.{file}"), &format.render(&dossier).unwrap());
        }
    }
    for (name, does) in [("panic", Panic), ("infra", OurFault)] {
        let dossier = Dossier::of_trial(run_result(does), None);
        golden(&format!("form-run-{name}.mail.txt"), &Format::Text.render(&dossier).unwrap());
        golden(&format!("form-run-{name}.junit.xml"), &Format::Junit.render(&dossier).unwrap());
        assert!(Format::BisectLog.render(&dossier).is_err());
    }
}

#[test]
fn one_trial() {
    for (name, does) in [
        ("run-good", Pass),
        ("run-bad", Lose),
        ("run-panic", Panic),
        ("run-skip", PanicAtBoot),
        ("run-infra", OurFault),
    ] {
        let mut result = run_result(does);
        if name == "run-good" {
            result.trial.record.notes =
                vec!["rules refused and accepted: load rules on gw".to_owned()];
        }
        golden(&format!("{name}.md"), &markdown_run(&result));
        let summary = terminal_summary_run(&result, Style::default());
        assert!(summary.lines().count() <= 12, "{summary}");
        golden(&format!("{name}.txt"), &summary);
    }
}
