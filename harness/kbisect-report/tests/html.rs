//! The HTML report: what it shows, what it says when something is missing, and what guests cannot do
//! with it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;

use common::folder::{dossier, written};
use common::{Does, Play};
use kbisect_report::{Dossier, Format, html};
use tempfile::TempDir;

use Does::{Lose, Panic, Pass};

fn connlimit() -> Play {
    Play::new(&[
        ("6.12.43-1", Pass),
        ("6.12.48-1", Pass),
        ("6.12.57-1", Pass),
        ("6.12.69-1", Lose),
        ("6.12.73-1", Lose),
        ("6.12.96-1", Lose),
    ])
}

/// The page without its style sheet.
fn body(dir: &TempDir) -> String {
    let page = html(&dossier(dir));
    let (_, body) = page.split_once("</style>").unwrap();
    body.to_owned()
}

#[track_caller]
fn has(body: &str, parts: &[&str]) {
    for part in parts {
        assert!(body.contains(part), "no `{part}` in {}", body.replace('>', ">\n"));
    }
}

#[test]
fn the_page_tells_the_story() {
    let dir = written(&connlimit());
    let body = body(&dir);
    has(
        &body,
        &[
            "scenario connlimit fails from 6.12.69 on; 6.12.57 is the last good one.",
            "bad, first bad",
            // The drawing, with the frames of both trials and the losing host.
            ">client</text>",
            "✗ lost-ingress",
            "<tspan class=\"good\">40</tspan>",
            "<tspan class=\"bad\">9</tspan>",
            // Hop by hop, from the captures.
            "tcp client → server:80",
            "request: client → lan",
            "lost inside client",
            // The time axis.
            "Timeline of trial",
            "lan from server",
            "kbisect-guest: user space is up",
            "Linux version 6.12.69 (gcc 12)",
            "not tried: each is taken to behave as those around it",
            "kbisect run 6.12.69-1 --scenario connlimit --shell",
            "Decoded trace".to_lowercase().as_str(),
        ],
    );
    assert!(!body.contains("Frames are missing"), "{body}");
}

#[test]
fn a_keyboard_and_a_screen_reader_find_their_way() {
    let body = body(&written(&connlimit()));
    assert!(!body.contains("<th></th>"), "a head without a name");
    for part in body.split("<pre").skip(1) {
        assert!(part.starts_with(" tabindex=\"0\""), "cannot be scrolled: <pre{part:.60}");
    }
    for wide in ["<div class=\"wide\"", "<div class=\"scroll\""] {
        assert!(body.contains(wide));
        assert_eq!(
            body.matches(wide).count(),
            body.matches(&format!("{wide} tabindex=\"0\"")).count()
        );
    }
    // What everybody reads comes before what it was concluded from.
    let (front, appendix) = body.split_once("<div class=\"appendix\">").unwrap();
    has(
        front,
        &[
            ">What was seen<",
            ">How to repeat<",
            "More runs of both sides: <code>kbisect 6.12.57-1..6.12.69-1",
        ],
    );
    has(appendix, &[">Frames hop by hop<", ">Trials<", ">Environment<"]);
}

#[test]
fn a_page_needs_neither_network_nor_script() {
    let dir = written(&Play::new(&[("6.12.57-1", Pass), ("6.12.69-1", Panic)]));
    let page = html(&dossier(&dir));
    for forbidden in ["<script", "src=", "url(", "@import", "http-equiv=\"refresh"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    // Links lead within the page, to the files beside it, or where CVEs and packages are known.
    let targets: Vec<&str> =
        page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(targets.contains(&"#trial-1"), "{targets:?}");
    assert!(targets.iter().any(|target| target.starts_with("trials/")), "{targets:?}");
    for target in targets {
        let inside =
            target.strip_prefix('#').is_some_and(|id| page.contains(&format!("id=\"{id}\"")));
        let known =
            ["https://www.cve.org/CVERecord?id=CVE-", "https://snapshot.debian.org/package/linux/"];
        if known.iter().any(|known| target.starts_with(known)) {
            continue;
        }
        let beside = !target.starts_with(['#', '/', '.']) && !target.contains([':', '\\']);
        assert!(inside || beside, "{target}");
    }
    assert!(page.contains("default-src 'none'"));
    // What the guest wrote is there, as text.
    has(&page, &["&lt;script&gt;alert", "Oops: stack guard page in nft_synproxy_do_eval"]);
    assert!(page.len() < 2 << 20);
}

/// Names of hosts and wires come from a scenario that a stranger can have written.
#[test]
fn a_hostile_scenario_stays_text() {
    let dir = written(&connlimit());
    let evil = "</text><script>alert(1)</script>\u{1b}[2J\u{202e}";
    let path = dir.path().join("scenario/scenario.json");
    let mut scenario: serde_json::Value =
        serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for (place, name) in [("nodes", "client"), ("links", "lan")] {
        let map = scenario[place].as_object_mut().unwrap();
        let value = map.remove(name).unwrap();
        map.insert(evil.to_owned(), value);
    }
    scenario["nodes"][evil]["role"] = evil.into();
    scenario["links"][evil][evil] = scenario["links"][evil]["client"].clone();
    fs::write(&path, scenario.to_string()).unwrap();
    let page = html(&dossier(&dir));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(!page.contains("<script") && !page.contains('\u{1b}') && !page.contains('\u{202e}'));
    is_well_formed(&page);
}

#[test]
fn every_element_is_closed() {
    is_well_formed(&html(&dossier(&written(&connlimit()))));
}

fn is_well_formed(page: &str) {
    let mut open: Vec<String> = Vec::new();
    let mut rest = page.split_once("<html").unwrap().1;
    rest = &rest[rest.find('>').unwrap() + 1..];
    while let Some(at) = rest.find('<') {
        let end = at + rest[at..].find('>').unwrap();
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        let name = tag.trim_start_matches('/').split([' ', '>']).next().unwrap().to_owned();
        if tag.starts_with('/') {
            if open.is_empty() {
                assert_eq!(name, "html");
            } else {
                assert_eq!(open.pop().unwrap(), name);
            }
        } else if !["meta", "br"].contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<String>::new());
}

#[test]
fn what_is_missing_is_named() {
    let dir = written(&connlimit());
    let trials: Vec<_> = fs::read_dir(dir.path().join("trials")).unwrap().flatten().collect();
    for trial in &trials {
        fs::remove_dir_all(trial.path().join("wires")).unwrap();
        fs::remove_file(trial.path().join("candidate/console.times")).unwrap();
    }
    let text = body(&dir);
    has(
        &text,
        &[
            "the capture `lan.pcapng` is missing",
            "Frames are missing",
            "by the kernel&#39;s own clock",
        ]
        .map(|part| if text.contains("&#39;") { part } else { part.split('&').next().unwrap() }),
    );
    for trial in &trials {
        fs::remove_dir_all(trial.path()).unwrap();
    }
    fs::remove_dir_all(dir.path().join("scenario")).unwrap();
    let text = body(&dir);
    has(&text, &["its folder `trials/", "No drawing of the hosts", "Console lines are missing"]);
    has(&text, &["fails from 6.12.69 on"]);
}

#[test]
fn a_truncated_journal_is_reported_as_far_as_it_goes() {
    let dir = written(&connlimit());
    let path = dir.path().join("journal.jsonl");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
    let dossier = Dossier::read(dir.path()).unwrap();
    assert!(dossier.warning.is_some());
    let of_checks = [Format::Svg, Format::Sarif, Format::Github];
    for format in Format::ALL.into_iter().filter(|format| !of_checks.contains(format)) {
        assert!(!format.render(&dossier).unwrap().is_empty());
    }
    has(&html(&dossier), &["is cut off", "without a verdict"]);
}

/// The folder of a trial is named in a file that anybody can have changed.
#[test]
fn a_trial_cannot_point_out_of_the_run() {
    let dir = written(&connlimit());
    let path = dir.path().join("journal.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let moved =
        text.replace("trials/03-6.12.57", "../../../../etc").replace("trials/04-6.12.69", "/etc");
    fs::write(&path, moved).unwrap();
    // Such a journal is not read at all.
    let error = Dossier::read(dir.path()).unwrap_err();
    let told = format!("{error:?}");
    assert!(told.contains("the folder of a trial is not in that of the run"), "{told}");
}

#[test]
fn the_same_folder_gives_the_same_page() {
    let dir = written(&connlimit());
    assert_eq!(html(&dossier(&dir)), html(&dossier(&dir)));
}
