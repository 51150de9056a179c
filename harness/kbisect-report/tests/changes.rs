//! What changed between the two sides, in every form of report.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use common::Does::{Lose, Pass};
use common::Play;
use kbisect_core::changes::{ChangeSource, Changelog, Clues, WhatChanged, rank};
use kbisect_core::run::{BisectResult, JournalLine, RunEvent, wall_seconds};
use kbisect_report::{
    Dossier, Format, Style, bisect_result, journal_line, read_journal, terminal_summary,
};

/// Three changes that have a name in common with `turnstile`, one of them of a hostile hand, and
/// six that have another.
fn changelog() -> String {
    let mut text = "linux (6.12.69-1) trixie; urgency=medium\n\n  * New upstream stable update:\n    \
                    https://example.org/ChangeLog-6.12.63\n    - netfilter: nft_turnstile: count what was let in\n      \
                    (CVE-2026-10001)\n    - netfilter: turnstile: <script>alert(1)</script> | `x` \u{1b}[2J\n    \
                    - net: leave the turnstile alone\n    - drm: paint\n"
        .to_owned();
    for n in 0..6 {
        text += &format!("    - net: gate {n}\n");
    }
    text
}

fn ranked() -> WhatChanged {
    let play = Play::new(&[("6.12.57-1", Pass), ("6.12.69-1", Lose)]);
    let result = play.result();
    let (old, new) = (result.last_good.unwrap(), result.first_bad.unwrap());
    let mut segment = Changelog::parse(&changelog()).between(&old, &new);
    segment.notes.push("the changelog does not list the commits of 6.12.70".to_owned());
    let mut clues = Clues::default();
    clues.text("turnstile gate");
    let source = ChangeSource::Changelog {
        package: "linux-libc-dev".to_owned(),
        version: "6.12.73-1".to_owned(),
        sha256: "ab".repeat(32),
    };
    WhatChanged::Ranked(rank(segment, &clues, source, "6.12.57-1", "6.12.69-1"))
}

fn journal(changes: WhatChanged) -> Vec<JournalLine> {
    let play = Play::new(&[("6.12.57-1", Pass), ("6.12.69-1", Lose)]);
    let mut lines = play.journal();
    let at_ms = lines.last().unwrap().at_ms + 86_400_000;
    lines.push(JournalLine { at_ms, event: RunEvent::Changes { changes: Box::new(changes) } });
    lines
}

fn dossier(changes: WhatChanged) -> Dossier {
    Dossier::of_journal(std::path::Path::new("results/sample"), journal(changes), None).unwrap()
}

#[test]
fn every_form_shows_the_first_ones_with_their_reasons() {
    let dossier = dossier(ranked());
    for format in [Format::Markdown, Format::Html, Format::Text] {
        let text = format.render(&dossier).unwrap();
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let start = flat.find("What changed").unwrap_or_else(|| panic!("{format}: {text}"));
        for says in [
            "10 changes lie between 6.12.57-1 and 6.12.69-1 (the changelog in linux-libc-dev 6.12.73-1); 9 of",
            "It is no proof.",
            "netfilter: nft_turnstile: count what was let in",
            if format == Format::Text { "turnstile was asked for" } else { "asked: turnstile" },
            "6.12.63",
            "does not list the commits of 6.12.70",
        ] {
            assert!(flat[start..].contains(says), "{format} lacks `{says}`: {text}");
        }
        let whole = "title=\"is in nft_turnstile: turnstile was asked for\"";
        assert_eq!(text.contains(whole), format == Format::Html, "{format}: {text}");
        // In a mail it is text like any other.
        let harmless = match format {
            Format::Markdown => text.contains("\\<script>"),
            Format::Html => text.contains("&lt;script&gt;") && !text.contains("<script"),
            _ => true,
        };
        assert!(harmless && !text.contains('\u{1b}'), "{format}: {text}");
        assert!(!flat.contains("drm: paint"), "it has no name in common");
    }
    let mail = Format::Text.render(&dossier).unwrap();
    assert!(mail.contains("\n5. ") && !mail.contains("\n6. "), "the mail has five: {mail}");
    let json: BisectResult = serde_json::from_str(&Format::Json.render(&dossier).unwrap()).unwrap();
    assert_eq!(json.changes, Some(ranked()));
}

#[test]
fn the_terminal_has_five() {
    let result = bisect_result(&journal(ranked()), "results/sample").unwrap();
    let text = terminal_summary(&result, Style::default());
    assert!(text.lines().count() <= 24, "{text}");
    assert!(
        text.contains(
            "1         netfilter: nft_turnstile: count what was let in (6.12.63) [asked: turnstile]"
        ),
        "{text}"
    );
    assert!(text.contains("\n    5 ") && !text.contains("\n    6 "), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn what_is_not_available_is_named_with_the_reason() {
    let reason = "the changelog is not in the cache, and --offline was given".to_owned();
    let dossier = dossier(WhatChanged::Unavailable { reason: reason.clone() });
    let markdown = Format::Markdown.render(&dossier).unwrap();
    assert!(
        markdown.contains(&format!("What changed is not available, because {reason}.")),
        "{markdown}"
    );
    let mail = Format::Text.render(&dossier).unwrap();
    let mail = mail.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(mail.contains(&format!("- what changed: {reason}")), "{mail}");
    let html = Format::Html.render(&dossier).unwrap();
    assert!(html.contains(&reason), "{html}");
}

#[test]
fn it_can_come_days_later_and_the_last_one_counts() {
    let mut lines = journal(WhatChanged::Unavailable { reason: "x".to_owned() });
    let before = wall_seconds(&lines);
    let event = RunEvent::Changes { changes: Box::new(ranked()) };
    let at_ms = lines.last().unwrap().at_ms + 86_400_000;
    lines.push(JournalLine { at_ms, event });
    assert!(before < 86_400.0 && (wall_seconds(&lines) - before).abs() < 1e-9, "{before}");
    let result = bisect_result(&lines, "results/sample").unwrap();
    assert_eq!(result.changes, Some(ranked()));
    let written: Vec<u8> =
        lines.iter().flat_map(|line| journal_line(line.at_ms, &line.event).unwrap()).collect();
    assert_eq!(read_journal(&written).unwrap().lines, lines);
}
