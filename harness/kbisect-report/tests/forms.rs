//! Forms for programs: JUnit's shape, KTAP's, and git's own reading of the bisection log.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::process::Command;

use common::{Does, Play, Stop, run_result};
use kbisect_core::answer::Taken;
use kbisect_core::bayes::{Ending, Settings};
use kbisect_core::run::{JournalLine, RunEvent, Tried};
use kbisect_core::search::{Direction, Mark};
use kbisect_core::trial::VerdictKind;
use kbisect_report::{Dossier, Format, Recipient};
use proptest::prelude::*;

use Does::{Lose, OurFault, Panic, PanicAtBoot, Pass};

fn dossier(play: &Play) -> Dossier {
    Dossier::of_journal(Path::new("results/sample"), play.journal(), None).unwrap()
}

fn plays() -> Vec<Play> {
    vec![
        Play::new(&[
            ("6.12.43-1", Pass),
            ("6.12.57-1", Panic),
            ("6.12.69-1", Lose),
            ("6.12.96-1", Lose),
        ]),
        Play::new(&[("6.12.43-1", Pass), ("6.12.57-1", PanicAtBoot), ("6.12.69-1", Panic)]),
        Play::new(&[("6.12.43-1", Pass), ("6.12.69-1", OurFault)]),
        Play { stop: Stop::Killed(0), ..Play::new(&[("6.12.43-1", Pass), ("6.12.69-1", Lose)]) },
    ]
}

/// One element: name, attributes, children, text.
#[derive(Debug, Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Element>,
    text: String,
}

impl Element {
    fn get(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        &found.unwrap_or_else(|| panic!("no {name} in {self:#?}")).1
    }

    fn number(&self, name: &str) -> usize {
        self.get(name).parse().unwrap()
    }
}

/// A reader for the XML that is written here: strict, so that what it reads is XML.
fn parse(text: &str) -> Element {
    assert!(text.chars().all(|c| !c.is_control() || c == '\n'), "a character that XML cannot hold");
    let text = text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").unwrap();
    let mut open = vec![Element::default()];
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        open.last_mut().unwrap().text += &unescape(&rest[..at]);
        let end = at + rest[at..].find('>').unwrap();
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            let done = open.pop().unwrap();
            assert_eq!(done.name, name);
            open.last_mut().unwrap().children.push(done);
            continue;
        }
        let (tag, alone) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, mut left) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut element = Element { name: name.to_owned(), ..Element::default() };
        while !left.is_empty() {
            let (key, value) = left.split_once("=\"").unwrap();
            let (value, more) = value.split_once('"').unwrap();
            element.attributes.push((key.trim().to_owned(), unescape(value)));
            left = more.trim_start();
        }
        if alone {
            open.last_mut().unwrap().children.push(element);
        } else {
            open.push(element);
        }
    }
    assert_eq!(open.len(), 1);
    open.pop().unwrap().children.pop().unwrap()
}

fn unescape(text: &str) -> String {
    assert!(!text.contains('<') && !text.contains('>'));
    for part in text.split('&').skip(1) {
        let known = ["amp;", "lt;", "gt;", "quot;", "apos;"];
        assert!(known.iter().any(|name| part.starts_with(name)), "{part}");
    }
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// The shape that CI systems agree on: suites with counts that add up, cases with at most one
/// outcome.
fn has_the_shape(text: &str) -> Element {
    let root = parse(text);
    assert_eq!(root.name, "testsuites");
    let mut sums = [0; 4];
    for suite in &root.children {
        assert_eq!(suite.name, "testsuite");
        let cases: Vec<_> =
            suite.children.iter().filter(|child| child.name == "testcase").collect();
        let with = |name: &str| {
            cases.iter().filter(|case| case.children.iter().any(|child| child.name == name)).count()
        };
        let counts = [cases.len(), with("failure"), with("error"), with("skipped")];
        for (at, name) in ["tests", "failures", "errors", "skipped"].iter().enumerate() {
            assert_eq!(suite.number(name), counts[at], "{name}");
            sums[at] += counts[at];
        }
        assert!(suite.get("time").parse::<f64>().is_ok());
        for case in cases {
            assert!(!case.get("name").is_empty() && !case.get("classname").is_empty());
            assert!(case.children.len() <= 1);
        }
        assert_eq!(suite.children[0].name, "properties");
    }
    for (at, name) in ["tests", "failures", "errors", "skipped"].iter().enumerate() {
        assert_eq!(root.number(name), sums[at], "{name}");
    }
    root
}

#[test]
fn junit_of_a_bisection_has_a_case_for_each_question_and_kernel() {
    for play in plays() {
        has_the_shape(&Format::Junit.render(&dossier(&play)).unwrap());
    }
    let play = Play::new(&[
        ("6.12.43-1", Pass),
        ("6.12.57-1", Pass),
        ("6.12.69-1", Lose),
        ("6.12.96-1", Lose),
    ]);
    let root = has_the_shape(&Format::Junit.render(&dossier(&play)).unwrap());
    assert_eq!((root.number("failures"), root.number("errors")), (0, 0), "a culprit is no failure");
    let case = |name: &str| {
        let cases = root.children.iter().flat_map(|suite| &suite.children);
        cases.into_iter().find(|case| case.name == "testcase" && case.get("name") == name)
    };
    let found = &case("culprit found").unwrap().children[0];
    assert!(found.name == "system-out" && found.text.contains("6.12.69"), "{}", found.text);
    assert_eq!(case("confirmed").unwrap().get("classname"), "connlimit");
    let bad = &case("6.12.69").unwrap().children[0];
    assert!(bad.text.starts_with("bad: lost-ingress"), "{}", bad.text);
    let trial = Format::Junit.render(&Dossier::of_trial(run_result(Does::Lose), None)).unwrap();
    let root = has_the_shape(&trial);
    let case = root.children[0].children.iter().find(|case| case.name == "testcase").unwrap();
    assert_eq!(case.get("classname"), "connlimit");
    let failures = root.children[0].children.iter().flat_map(|case| &case.children);
    let failure = failures.into_iter().find(|it| it.name == "failure").unwrap();
    assert_eq!(failure.get("type"), "lost-ingress");
    assert!(failure.text.contains("repeat: kbisect run"), "{}", failure.text);
}

/// Our own failure is an error, a kernel without an answer is skipped: neither is a failure.
#[test]
fn junit_never_blames_a_kernel_for_what_it_did_not_do() {
    let root = has_the_shape(
        &Format::Junit.render(&Dossier::of_trial(run_result(OurFault), None)).unwrap(),
    );
    assert_eq!((root.number("failures"), root.number("errors")), (0, 1));
    let root = has_the_shape(
        &Format::Junit.render(&Dossier::of_trial(run_result(PanicAtBoot), None)).unwrap(),
    );
    assert_eq!((root.number("failures"), root.number("skipped")), (0, 1));
}

#[test]
fn ktap_has_its_plan() {
    for play in plays() {
        let text = Format::Ktap.render(&dossier(&play)).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("KTAP version 1"));
        let plan: usize = lines.next().unwrap().strip_prefix("1..").unwrap().parse().unwrap();
        let results =
            lines.filter(|line| line.starts_with("ok ") || line.starts_with("not ok ")).count();
        assert_eq!(results, plan);
    }
}

proptest! {
    #[test]
    fn hostile_texts_stay_texts(text in any::<String>()) {
        let mut result = run_result(Panic);
        let trial = &mut result.trial;
        trial.record.checks[0].name.clone_from(&text);
        trial.record.checks[0].detail.clone_from(&text);
        trial.record.reports[0].text.clone_from(&text);
        trial.record.symptom.as_mut().unwrap().title.clone_from(&text);
        trial.record.kernel.name = Some(text.clone());
        result.scenario.clone_from(&text);
        let dossier = Dossier::of_trial(result, None);
        has_the_shape(&Format::Junit.render(&dossier).unwrap());
        let ktap = Format::Ktap.render(&dossier).unwrap();
        prop_assert_eq!(ktap.lines().filter(|line| line.starts_with("not ok ")).count(), 1);
        let mail = Format::Text.render(&dossier).unwrap();
        prop_assert_eq!(mail.lines().filter(|line| line.starts_with("Subject: ")).count(), 1);
        let html = Format::Html.render(&dossier).unwrap();
        prop_assert!(!html.contains("<script"));
        prop_assert!(!html.chars().any(|c| c.is_control() && c != '\n'));
    }
}

/// A search under doubt: 6.12.69 fails in some runs only, and passed last.
fn doubtful() -> Dossier {
    let play = Play::new(&[
        ("6.12.43-1", Pass),
        ("6.12.57-1", Pass),
        ("6.12.69-1", Lose),
        ("6.12.96-1", Lose),
    ]);
    let mut journal = play.journal();
    let RunEvent::Began { plan } = &mut journal[0].event else { panic!("no plan") };
    plan.options.doubt = Some(Settings::default());
    let template = play.trial(1, 2);
    journal.truncate(1);
    let runs = [(3, "xxx"), (0, "..."), (2, "x.x.xxx."), (1, ".........")];
    let mut number = 0;
    for (index, pattern) in runs {
        for run in pattern.chars() {
            number += 1;
            let mut record = play.trial(number, index);
            let (verdict, mark) = if run == 'x' {
                (VerdictKind::Bad, Mark::Bad)
            } else {
                (VerdictKind::Good, Mark::Good)
            };
            record.verdict = verdict;
            record.symptom = (run == 'x').then(|| template.symptom.clone().unwrap());
            let ended = RunEvent::TrialEnded {
                tried: Tried::Version { index },
                record: Box::new(record),
                mark: Some(mark),
                taken: Taken::default(),
            };
            journal.push(JournalLine { at_ms: 1_000_000 + u64::from(number), event: ended });
        }
    }
    let ending =
        Ending::Found { first_new: 2, last_old: vec![1], probability: 0.995, skipped: Vec::new() };
    journal.push(JournalLine { at_ms: 2_000_000, event: RunEvent::Decided { ending } });
    Dossier::of_journal(Path::new("results/sample"), journal, None).unwrap()
}

/// Counts, not the last run, say what a kernel is; and a count is no other failure.
#[test]
fn under_doubt_counts_are_what_is_said() {
    let dossier = doubtful();
    let log = Format::BisectLog.render(&dossier).unwrap();
    assert!(log.contains("git bisect bad v6.12.69\n") && log.contains("failed 5 of 8"), "{log}");
    let html = Format::Html.render(&dossier).unwrap();
    assert!(html.contains("bad 5:8") && !html.contains("another failure"), "{html}");
    let text = Format::Text.render(&dossier).unwrap();
    assert!(text.contains("fail:runs 5:8") && text.contains("Bad kernels fail in"), "{text}");
    let markdown = Format::Markdown.render(&dossier).unwrap();
    assert!(
        markdown.contains("| 6.12.69 | 5 of 8 |") && !markdown.contains("another failure"),
        "{markdown}"
    );
}

/// A repository with a tag for each release.
fn tree(tags: &[&str]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    git(&dir, &["init", "-q", "-b", "main"]);
    for tag in tags {
        git(&dir, &["commit", "-q", "--allow-empty", "-m", tag]);
        git(&dir, &["tag", tag]);
    }
    dir
}

fn git(dir: &tempfile::TempDir, words: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.org"])
        .args(words)
        .current_dir(dir.path())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{words:?}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// What is written is what `git bisect replay` reads, and it ends at the same place.
#[test]
fn git_replays_the_log() {
    if Command::new("git").arg("--version").output().is_err() {
        eprintln!("SKIPPED: git is not installed");
        return;
    }
    let tags = ["v6.12.43", "v6.12.57", "v6.12.69", "v6.12.96"];
    let regression = &Play::new(&[
        ("6.12.43-1", Pass),
        ("6.12.57-1", Pass),
        ("6.12.69-1", Lose),
        ("6.12.96-1", Lose),
    ]);
    let fix = Play {
        direction: Direction::Fix,
        ..Play::new(&[
            ("6.12.43-1", Lose),
            ("6.12.57-1", Lose),
            ("6.12.69-1", Pass),
            ("6.12.96-1", Pass),
        ])
    };
    for (play, word) in [(regression, "bad"), (&fix, "fixed")] {
        let dir = tree(&tags);
        let log = Format::BisectLog.render(&dossier(play)).unwrap();
        std::fs::write(dir.path().join("log"), &log).unwrap();
        git(&dir, &["bisect", "replay", "log"]);
        let found = git(&dir, &["rev-parse", &format!("refs/bisect/{word}")]);
        assert_eq!(found, git(&dir, &["rev-parse", "v6.12.69"]), "{log}");
    }
}

/// What recipients ask for is there, or named with the reason, in the forms that people read.
#[test]
fn what_a_run_does_not_have_is_named() {
    let dossier = dossier(&plays()[0]);
    for (format, says) in [
        (Format::Markdown, "- decoded trace: there is no trace to decode"),
        (Format::Text, "- decoded trace: there is no trace to decode"),
        (Format::Html, "there is no trace to decode"),
    ] {
        let text = format.render(&dossier).unwrap();
        assert!(text.contains(says), "{format}: {text}");
    }
}

#[test]
fn each_recipient_gets_what_that_one_reads() {
    let play = Play::new(&[
        ("6.12.43-1", Pass),
        ("6.12.57-1", Pass),
        ("6.12.69-1", Lose),
        ("6.12.96-1", Lose),
    ]);
    let dossier = dossier(&play);
    let of = |word: &str| word.parse::<Recipient>().unwrap().render(&dossier);
    let upstream = of("upstream");
    assert!(
        upstream.starts_with("To: regressions@lists.linux.dev, stable@vger.kernel.org\nSubject: ")
    );
    let debian = of("debian");
    assert!(
        debian.contains("\n\nPackage: src:linux\nVersion: 6.12.69-1\nSeverity: important\n"),
        "{debian}"
    );
    assert!(!debian.contains("#regzbot") && !debian.contains("vanilla"), "{debian}");
    assert!(!upstream.contains("#regzbot from:") && !upstream.contains("monitor:"), "{upstream}");
    let mut told = dossier.clone();
    told.reported(Some("Ada <ada@example.org>"), Some("https://bugs.example.org/1"));
    let upstream_told = Recipient::Upstream.render(&told);
    let lines =
        "\n#regzbot from: Ada <ada@example.org>\n#regzbot monitor: https://bugs.example.org/1\n";
    assert!(upstream_told.contains(lines), "{upstream_told}");
    // Commands and frames stay whole; sentences do not.
    for mail in [&upstream, &debian] {
        let before_log = mail.split("Bisection log").next().unwrap();
        let sentences = before_log.lines().filter(|line| !line.starts_with("  "));
        assert!(sentences.clone().count() > 20);
        for line in sentences {
            assert!(line.chars().count() <= 76, "{line}");
        }
    }
    let chat = of("chat");
    assert!(chat.lines().count() <= 6 && chat.contains("Affected: 6.12.69 to 6.12.96"), "{chat}");
    let manager = of("manager");
    for said in [
        "What broke?",
        "Which kernels? 6.12.69 to 6.12.96 at least.",
        "What to do? Stay on 6.12.57.",
    ] {
        assert!(manager.contains(said), "{manager}");
    }
    for word in ["nft", "trial", "symptom", "lost-ingress"] {
        assert!(!manager.to_lowercase().contains(&format!(" {word} ")), "{word}: {manager}");
    }
    assert_eq!(of("ticket"), Format::Markdown.render(&dossier).unwrap());
    assert!("mother".parse::<Recipient>().unwrap_err().to_string().contains("debian, upstream"));
}
