//! Guests say what they like; reports stay reports.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::{Does, Play, Stop, run_result};
use kbisect_core::run::BisectResult;
use kbisect_core::search::Direction;
use kbisect_core::trial::TrialRecord;
use kbisect_report::{
    Extra, Rules, Style, markdown, markdown_run, terminal_summary, terminal_summary_run,
};
use proptest::prelude::*;

/// Puts `text` wherever a guest, a scenario or an archive has a say.
fn poison_trial(trial: &mut TrialRecord, text: &str) {
    let set = |to: &mut String| text.clone_into(to);
    set(&mut trial.kernel.version);
    set(&mut trial.kernel.source);
    set(&mut trial.kernel.flavour);
    trial.kernel.name = Some(text.to_owned());
    set(&mut trial.repeat);
    set(&mut trial.directory);
    trial.release = Some(text.to_owned());
    trial.notes = vec![text.to_owned()];
    trial.hops = vec![text.to_owned(), text.to_owned()];
    if trial.verdict.word() != "good" {
        trial.reason = Some(text.to_owned());
    }
    if let Some(symptom) = &mut trial.symptom {
        set(&mut symptom.title);
        set(&mut symptom.detail);
        symptom.place = Some(text.to_owned());
    }
    for check in &mut trial.checks {
        set(&mut check.name);
        set(&mut check.detail);
    }
    for report in &mut trial.reports {
        set(&mut report.title);
        set(&mut report.text);
    }
    for wire in &mut trial.wires {
        set(&mut wire.wire);
        set(&mut wire.from);
    }
    for rule in &mut trial.evidence.rules {
        set(&mut rule.node);
        set(&mut rule.place);
        set(&mut rule.rule);
    }
}

fn poison(result: &mut BisectResult, text: &str) {
    for trial in &mut result.trials {
        poison_trial(&mut trial.record, text);
    }
    if let Some(symptom) = &mut result.symptom {
        text.clone_into(&mut symptom.title);
    }
    for entry in &mut result.series {
        entry.kernel.name = Some(text.to_owned());
        text.clone_into(&mut entry.kernel.source);
        entry.reason = Some(text.to_owned());
    }
    let sides = [&mut result.last_good, &mut result.first_bad, &mut result.last_bad];
    for kernel in sides.into_iter().flatten() {
        kernel.name = Some(text.to_owned());
        text.clone_into(&mut kernel.source);
    }
    for kernel in &mut result.candidates {
        kernel.name = Some(text.to_owned());
    }
    result.reason = result.reason.as_ref().map(|_| text.to_owned());
    result.repeat = Some(text.to_owned());
    result.warnings = vec![text.to_owned(), text.to_owned()];
    text.clone_into(&mut result.scenario);
    text.clone_into(&mut result.says);
    if let Some(affected) = &mut result.affected {
        affected.from.name = Some(text.to_owned());
        affected.to.name = Some(text.to_owned());
    }
    text.clone_into(&mut result.run_dir);
    text.clone_into(&mut result.tool_version);
    let environment = &mut result.environment;
    for field in [&mut environment.qemu, &mut environment.image, &mut environment.host] {
        text.clone_into(field);
    }
    text.clone_into(&mut environment.accelerator);
    environment.accelerator_reason = Some(text.to_owned());
}

fn poisoned(text: &str) -> (BisectResult, Extra) {
    let kernels =
        [("6.12.57-1", Does::Pass), ("6.12.69-1", Does::Panic), ("6.12.96-1", Does::Panic)];
    let play = Play::new(&kernels);
    let mut result = play.result();
    poison(&mut result, text);
    let extra = Extra {
        command: vec![text.to_owned()],
        scenario_summary: text.to_owned(),
        scenario_sha256: text.to_owned(),
        notes: vec![text.to_owned()],
        description: text.to_owned(),
        rules: vec![Rules { node: text.to_owned(), file: text.to_owned(), text: text.to_owned() }],
        ..Extra::default()
    };
    (result, extra)
}

/// Everything of a report outside fenced blocks and code spans: what Markdown acts on. Panics when
/// a block is left open.
fn outside_code(text: &str) -> Vec<String> {
    let mut fence: Option<&str> = None;
    let mut lines = Vec::new();
    for line in text.lines() {
        let ticks = &line[..line.len() - line.trim_start_matches('`').len()];
        match fence {
            Some(open) if line == open => fence = None,
            Some(_) => {}
            None if ticks.len() >= 3 && !line[ticks.len()..].contains('`') => fence = Some(ticks),
            None => lines.push(without_spans(line)),
        }
    }
    assert_eq!(fence, None, "an open block in\n{text}");
    lines
}

/// Takes out code spans, by the rule that a span ends at the next run of as many backticks, and
/// that a backslash does nothing within.
fn without_spans(line: &str) -> String {
    let mut rest = line;
    let mut kept = String::new();
    while let Some(c) = rest.chars().next() {
        if c == '\\' {
            let escaped = rest.chars().take(2).map(char::len_utf8).sum();
            kept.push_str(&rest[..escaped]);
            rest = &rest[escaped..];
        } else if c == '`' {
            let open = rest.len() - rest.trim_start_matches('`').len();
            let mut from = open;
            let end = loop {
                let at = rest[from..].find('`').map(|at| from + at);
                let at = at.unwrap_or_else(|| panic!("an open code span in {line:?}"));
                let run = rest[at..].len() - rest[at..].trim_start_matches('`').len();
                from = at + run;
                if run == open {
                    break from;
                }
            };
            rest = &rest[end..];
        } else {
            kept.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    kept
}

/// Drops escaped characters.
fn unescaped(line: &str) -> String {
    let mut kept = String::new();
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\\' {
            chars.next();
        } else {
            kept.push(c);
        }
    }
    kept
}

/// The frame of a report: headings by level, and cells a table row.
fn frame(text: &str) -> Vec<String> {
    outside_code(text)
        .iter()
        .map(|line| unescaped(line))
        .filter_map(|line| match line.chars().next() {
            Some('#') => Some(line.split(' ').next().unwrap().to_owned()),
            Some('|') => Some("|".repeat(line.matches('|').count())),
            _ => None,
        })
        .collect()
}

const HOSTILE: [&str; 12] = [
    "```\n# heading\n<script>alert(1)</script>",
    "````````````",
    "`",
    "a | b |\n|---|",
    "<!-- <details> &lt; -->",
    "[click](http://evil.example) ![x](http://evil.example/a.png)",
    "\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m\r\u{8}\u{7f}",
    "\u{202e}gnp.exe\u{2066}\u{2028}\u{200b}",
    "\\",
    "\\`\\|\\\\",
    "# one\n\n- two\n> three\n    four\n===",
    "**bold** _it_ ~~no~~ @root #1",
];

#[test]
fn hostile_texts_do_not_change_the_frame_of_a_report() {
    let (plain, extra) = poisoned("harmless");
    let expected = frame(&markdown(&plain, &extra));
    assert!(expected.len() > 20, "{expected:?}");
    for text in HOSTILE {
        let (result, extra) = poisoned(text);
        let report = markdown(&result, &extra);
        assert_eq!(frame(&report), expected, "{text:?}\n{report}");
    }
}

#[test]
fn nothing_that_acts_is_left_outside_code() {
    for text in HOSTILE {
        let (result, extra) = poisoned(text);
        for line in outside_code(&markdown(&result, &extra)) {
            let acts = unescaped(&line);
            for sign in ["<", "](", "://", "@", "~", "&", "_ "] {
                assert!(!acts.contains(sign), "{sign:?} of {text:?} acts in {line:?}");
            }
        }
    }
}

#[test]
fn a_console_report_is_shown_as_it_is() {
    let (result, extra) = poisoned("Oops: <IRQ> [#1] a_b*c | `x`");
    let report = markdown(&result, &extra);
    assert!(report.contains("\n```text\nOops: <IRQ> [#1] a_b*c | `x`\n```\n"), "{report}");
}

#[test]
fn a_flood_does_not_make_a_long_report() {
    let flood = "x".repeat(1 << 20);
    let (mut result, _) = poisoned("");
    for trial in &mut result.trials {
        trial.record.notes = vec![flood.clone()];
        if let Some(symptom) = &mut trial.record.symptom {
            symptom.detail.clone_from(&flood);
        }
        for report in &mut trial.record.reports {
            report.text = "line\n".repeat(100_000);
        }
    }
    let report = markdown(&result, &Extra::default());
    assert!(report.len() < 40_000, "{}", report.len());
    assert!(report.contains("... 99920 more lines"), "{report}");
    assert!(terminal_summary(&result, Style::default()).len() < 6_000);
}

fn controls(text: &str) -> Vec<char> {
    let wanted = |c: &char| c.is_control() && *c != '\n';
    text.chars().filter(wanted).collect()
}

#[test]
fn colours_are_the_only_control_characters_of_a_summary() {
    let (result, _) = poisoned("\u{1b}[31m\u{7}x");
    let plain = terminal_summary(&result, Style::default());
    assert_eq!(controls(&plain), Vec::<char>::new());
    assert!(plain.contains("\\x1b[31m\\x07x"), "{plain}");
    let coloured = terminal_summary(&result, Style { color: true, width: None });
    let mut bare = coloured.clone();
    let rule = format!("\u{1b}[2m{}\u{1b}[0m\n", "\u{2500}".repeat(80));
    assert!(bare.contains(&rule), "{bare}");
    bare = bare.replace(&rule, "");
    for code in
        ["\u{1b}[1;31m", "\u{1b}[1;32m", "\u{1b}[1;33m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[0m"]
    {
        bare = bare.replace(code, "");
    }
    // The link to the report: its target is a path, with everything else spelled out.
    let link = bare.find("\u{1b}]8;;file://").expect("a link");
    let target = bare[link..].find("\u{1b}\\").expect("its end") + 2;
    assert!(bare[link + 1..link + target - 2].chars().all(|c| c.is_ascii_graphic()), "{bare}");
    bare.replace_range(link..link + target, "");
    bare = bare.replacen("\u{1b}]8;;\u{1b}\\", "", 1);
    assert_ne!(bare, coloured);
    assert_eq!(bare, plain);
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        Just(Does::Pass),
        Just(Does::Lose),
        Just(Does::Panic),
        Just(Does::PanicAtBoot),
        Just(Does::OurFault)
    ]
}

proptest! {
    /// Whatever the kernels do and say: no control characters, no line too many, no open block.
    #[test]
    fn reports_are_clean(
        fate in proptest::collection::vec(does(), 5),
        fix in any::<bool>(),
        stop in 0usize..8,
        text in any::<String>(),
        poison_it in any::<bool>(),
    ) {
        let versions = ["6.12.57-1", "6.12.69-1", "6.12.90-1", "6.12.90-2", "6.16.3-1"];
        let kernels: Vec<_> = versions.into_iter().zip(fate).collect();
        let play = Play {
            direction: if fix { Direction::Fix } else { Direction::Regression },
            stop: if stop < 4 { Stop::Interrupted(stop) } else { Stop::Never },
            ..Play::new(&kernels)
        };
        let mut result = play.result();
        if poison_it {
            poison(&mut result, &text);
        }
        let extra = Extra { notes: vec![text.clone()], ..Extra::from_journal(&play.journal()) };
        let report = markdown(&result, &extra);
        prop_assert_eq!(controls(&report), Vec::<char>::new());
        prop_assert_eq!(markdown(&result, &extra), report.clone());
        outside_code(&report);
        let summary = terminal_summary(&result, Style::default());
        prop_assert_eq!(controls(&summary), Vec::<char>::new());
        prop_assert!(summary.lines().count() <= 17);
        if result.candidates.len() > 1 {
            prop_assert!(!report.contains("fails from") && !report.contains("passes from"));
        }
    }

    #[test]
    fn reports_of_one_trial_are_clean(does in does(), text in any::<String>()) {
        let mut result = run_result(does);
        poison_trial(&mut result.trial.record, &text);
        let report = markdown_run(&result);
        prop_assert_eq!(controls(&report), Vec::<char>::new());
        outside_code(&report);
        let summary = terminal_summary_run(&result, Style::default());
        prop_assert_eq!(controls(&summary), Vec::<char>::new());
        prop_assert!(summary.lines().count() <= 12);
    }
}
