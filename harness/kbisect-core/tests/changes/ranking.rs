//! Which changes come first, and what is said of them.

use std::collections::BTreeMap;

use kbisect_core::changes::{
    Change, ChangeSource, Changelog, ClueKind, Clues, Ranking, ReasonKind, Segment, rank,
};
use kbisect_core::scenario::Scenario;
use kbisect_core::trial::{ConsoleReport, Phase, Symptom, SymptomKind, TrialRecord};

use crate::{LOG, debian};

/// A scenario with rules of both tools, a device, a sysctl, and a peer whose rules do not count.
const SCENARIO: &str = r#"
schema = "kbisect.scenario/1"
summary = "x"
[requires]
modules = ["xt_turnstile", "nf_conntrack"]
[nodes.host]
kernel = "candidate"
devices = ["v0 type vrf table 10"]
sysctl = { "net.ipv4.ip_forward" = 1 }
[nodes.peer]
kernel = "reference"
[links.lan]
host = { name = "eth0", addresses = ["192.0.2.1/24"] }
peer = { name = "eth0", addresses = ["192.0.2.2/24"] }
[[setup]]
name = "rules"
node = "host"
iptables-restore = "rules.v4"
[[setup]]
name = "peer's rules"
node = "peer"
run = "iptables -A INPUT -m peersonly -j DROP"
[[checks]]
name = "http"
node = "host"
http = { url = "http://192.0.2.2/" }
"#;
const RULES: &str = "# -m comment is one\n*mangle\n:OWN - [0:0]\n-A INPUT -m turnstile --above 3 -j REJECT\n\
                     -A INPUT -j OWN\n-A OWN -j ACCEPT\nCOMMIT\n";

fn scenario() -> Scenario {
    let files = BTreeMap::from([("rules.v4".to_owned(), RULES.as_bytes().to_vec())]);
    let parsed = Scenario::parse("s", "scenario.toml", SCENARIO).unwrap();
    parsed.with_assets(files).unwrap().0
}

fn of(subjects: &[&str]) -> Segment {
    let change = |subject: &&str| Change { subject: (*subject).to_owned(), ..Change::default() };
    Segment { changes: subjects.iter().map(change).collect(), notes: Vec::new() }
}

fn source() -> ChangeSource {
    ChangeSource::Git { repository: "linux".to_owned(), range: "v1..v2".to_owned() }
}

fn ranked(segment: Segment, clues: &Clues) -> Ranking {
    rank(segment, clues, source(), "1", "2")
}

fn order(ranking: &Ranking) -> Vec<&str> {
    ranking.top.iter().map(|ranked| ranked.change.subject.as_str()).collect()
}

/// Fillers, so that a name of one change is rare.
fn among(subjects: &[&str]) -> Segment {
    let mut all: Vec<String> =
        (0..60).map(|n| format!("drm/driver{n}: reject broken frame {n}")).collect();
    all.extend((0..20).map(|n| format!("netfilter: module{n}: plain fix")));
    all.extend(subjects.iter().map(|subject| (*subject).to_owned()));
    of(&all.iter().map(String::as_str).collect::<Vec<_>>())
}

fn crash(title: &str, frames: &[&str]) -> TrialRecord {
    let record = serde_json::json!({
        "number": 1, "kernel": debian("6.12.9-1"), "verdict": "bad", "symptom": null, "checks": [],
        "timings_s": {}, "wall_s": 1.0, "directory": "t", "accelerator": "tcg", "repeat": "r",
    });
    let mut record: TrialRecord = serde_json::from_value(record).unwrap();
    record.symptom = Some(Symptom {
        kind: SymptomKind::Panic,
        title: title.to_owned(),
        detail: String::new(),
        place: None,
        alt_titles: Vec::new(),
        frames: frames.iter().map(|frame| (*frame).to_owned()).collect(),
        lacks: Vec::new(),
        loss: None,
    });
    record
}

/// The report of a crash on the console.
fn told(record: &TrialRecord, text: &str) -> Vec<ConsoleReport> {
    let symptom = record.symptom.as_ref().unwrap();
    vec![ConsoleReport {
        kind: symptom.kind,
        title: symptom.title.clone(),
        phase: Phase::Checks,
        fatal: true,
        console: None,
        line: 1,
        alt_titles: Vec::new(),
        frames: symptom.frames.clone(),
        text: text.to_owned(),
    }]
}

#[test]
fn clues_are_what_the_nodes_under_test_use() {
    let clues = Clues::of(Some(&scenario()), None);
    let names = |kind| -> Vec<&str> {
        let of_kind = clues.list().iter().filter(|clue| clue.kind == kind);
        of_kind.map(|clue| clue.name.as_str()).collect()
    };
    assert_eq!(names(ClueKind::Rule), ["mangle", "reject", "turnstile"]);
    assert_eq!(names(ClueKind::Device), ["vrf"]);
    assert_eq!(names(ClueKind::Module), ["xt_turnstile", "nf_conntrack"]);
    assert_eq!(names(ClueKind::Setting), ["ip_forward"]);
    assert_eq!(names(ClueKind::Protocol), ["tcp"]);
    assert_eq!(names(ClueKind::Subsystem), ["netfilter", "ipv4"]);
    assert!(names(ClueKind::BuildsOn).contains(&"l3mdev"), "vrf builds on it");
}

#[test]
fn the_change_in_the_rules_own_module_is_first() {
    let guilty = "netfilter: nft_turnstile: count what was let in";
    let segment = among(&[
        "netfilter: conntrack: shrink a structure",
        "tcp: fix a comment",
        guilty,
        "vrf: rename a variable",
    ]);
    let ranking = ranked(segment, &Clues::of(Some(&scenario()), None));
    assert_eq!(order(&ranking)[0], guilty);
    assert_eq!(ranking.considered.changes, 84);
    assert!(ranking.considered.touching < 84, "{:?}", ranking.considered);
    let first = &ranking.top[0];
    assert_eq!(
        first.reasons[0].to_string(),
        "is in nft_turnstile: the rules use turnstile",
        "{:?}",
        first.reasons
    );
    let others = &order(&ranking)[1..4];
    assert!(others.contains(&"vrf: rename a variable"), "{others:?}");
}

#[test]
fn a_verb_of_another_subsystem_is_no_target_of_rules() {
    let segment = among(&["netfilter: reject: answer with the right source"]);
    let ranking = ranked(segment, &Clues::of(Some(&scenario()), None));
    assert_eq!(order(&ranking)[0], "netfilter: reject: answer with the right source");
    let drm = ranking.top.iter().find(|ranked| ranked.change.subject.starts_with("drm"));
    if let Some(drm) = drm {
        assert!(drm.score * 5.0 < ranking.top[0].score, "{drm:?}");
    }
}

#[test]
fn functions_of_the_trace_count_the_most_and_their_parts_some() {
    let record =
        crash("BUG: stack guard page was hit in frob_turn", &["nft_frob_eval", "frob_turn"]);
    let clues = Clues::of(None, Some(&record));
    let segment = among(&[
        "netfilter: frob: check the depth",
        "mm: call nft_frob_eval() later",
        "btrfs: turn around",
    ]);
    let ranking = ranked(segment, &clues);
    assert_eq!(order(&ranking)[0], "mm: call nft_frob_eval() later");
    assert_eq!(order(&ranking)[1], "netfilter: frob: check the depth");
    assert!(
        matches!(&ranking.top[0].reasons[0].kind, ReasonKind::Touches { of: ClueKind::Function, clue, .. } if clue == "nft_frob_eval")
    );
}

/// Every packet of a guest comes by the card that we gave it: the trace names that beside whatever crashed.
#[test]
fn our_own_card_is_not_above_the_module_that_crashed() {
    let mut record =
        crash("BUG: stack guard page was hit in frob_turn", &["frob_turn", "virtnet_poll"]);
    record.reports =
        told(&record, " frob_turn+0x10/0x20 [nft_frob]\n virtnet_poll+0x1/0x2 [virtio_net]\n");
    let clues = Clues::of(None, Some(&record));
    let segment = among(&[
        "virtio_net: fix virtnet_poll() with an odd budget",
        "netfilter: nft_frob: check the depth",
    ]);
    let ranking = ranked(segment, &clues);
    assert_eq!(order(&ranking)[0], "netfilter: nft_frob: check the depth", "{:?}", ranking.top);
    // Where the card itself crashed it is.
    let mut record =
        crash("BUG: stack guard page was hit in virtnet_poll", &["virtnet_poll", "frob_turn"]);
    record.reports =
        told(&record, " virtnet_poll+0x1/0x2 [virtio_net]\n frob_turn+0x10/0x20 [nft_frob]\n");
    let segment = among(&[
        "netfilter: nft_frob: check the depth",
        "virtio_net: fix virtnet_poll() with an odd budget",
    ]);
    let ranking = ranked(segment, &Clues::of(None, Some(&record)));
    assert_eq!(order(&ranking)[0], "virtio_net: fix virtnet_poll() with an odd budget");
}

#[test]
fn other_machines_and_tests_are_unlikely_and_that_is_said() {
    let mut segment = among(&[
        "netfilter: nft_turnstile: first",
        "selftests: netfilter: turnstile: add a test",
        "netfilter: nft_turnstile: align",
    ]);
    segment.changes.last_mut().unwrap().limited_to = vec!["arm64".to_owned(), "s390x".to_owned()];
    let ranking = ranked(segment, &Clues::of(Some(&scenario()), None));
    let place = |end: &str| order(&ranking).iter().position(|subject| subject.ends_with(end));
    assert_eq!(place("first"), Some(0));
    let because = |subject: &str| {
        let found = ranking.top.iter().find(|ranked| ranked.change.subject == subject);
        found.map(|ranked| ranked.because()).unwrap_or_default()
    };
    let align = because("netfilter: nft_turnstile: align");
    assert!(align.ends_with("less likely: only for arm64, s390x"), "{align}");
    let test = because("selftests: netfilter: turnstile: add a test");
    assert!(test.ends_with("less likely: tests, tools or documentation"), "{test}");
}

#[test]
fn files_of_a_commit_tell_what_its_subject_does_not() {
    let mut segment = among(&["fix an off-by-one error", "fix another"]);
    let count = segment.changes.len();
    segment.changes[count - 2].files = vec!["net/netfilter/xt_turnstile.c".to_owned()];
    segment.changes[count - 1].files = vec!["arch/arm64/net/xt_turnstile.c".to_owned()];
    let ranking = ranked(segment, &Clues::of(Some(&scenario()), None));
    assert_eq!(order(&ranking)[0], "fix an off-by-one error");
    let other = ranking.top.iter().find(|ranked| ranked.change.subject == "fix another").unwrap();
    assert!(other.because().contains("only for arm64"), "{}", other.because());
}

#[test]
fn a_rare_name_counts_more_than_a_common_one() {
    let mut clues = Clues::default();
    clues.text("zebra plain");
    let segment = among(&["drm: zebra"]);
    assert_eq!(order(&ranked(segment, &clues))[0], "drm: zebra");
}

#[test]
fn ties_keep_their_order_and_nothing_in_common_is_no_rank() {
    let mut clues = Clues::default();
    clues.text("zebra");
    let ranking = ranked(of(&["a: zebra one", "b: zebra two", "c: horse"]), &clues);
    assert_eq!(order(&ranking), ["a: zebra one", "b: zebra two"]);
    assert_eq!(ranking.considered.touching, 2);
    let one = ranked(of(&["a: zebra"]), &clues);
    assert!(one.top[0].score > 0.0, "the only change of a range has points");
    assert_eq!(ranked(of(&["a: zebra"]), &Clues::default()).top, []);
    assert_eq!(ranked(Segment::default(), &clues).top, []);
}

#[test]
fn a_ranking_survives_the_journal_to_the_byte() {
    let segment = Changelog::parse(LOG).between(&debian("6.12.7-1"), &debian("6.12.9-1"));
    let mut clues = Clues::of(Some(&scenario()), None);
    clues.text("loopback window gatekeeper");
    let ranking = ranked(segment, &clues);
    assert!(ranking.top.len() >= 2, "{ranking:?}");
    let text = serde_json::to_string(&ranking).unwrap();
    let back: Ranking = serde_json::from_str(&text).unwrap();
    assert_eq!(back, ranking);
    assert_eq!(serde_json::to_string(&back).unwrap(), text);
}

#[test]
fn no_more_is_kept_than_is_read() {
    let mut clues = Clues::default();
    clues.text("same");
    // A name that all have would tell nothing.
    let word = |n: usize| if n.is_multiple_of(5) { "same" } else { "other" };
    let subjects: Vec<String> = (0..500).map(|n| format!("area{n}: {}", word(n))).collect();
    let ranking = ranked(of(&subjects.iter().map(String::as_str).collect::<Vec<_>>()), &clues);
    assert_eq!(ranking.top.len(), kbisect_core::changes::TOP);
    assert_eq!((ranking.considered.changes, ranking.considered.touching), (500, 100));
    assert_eq!(ranking.top.last().unwrap().rank, 20);
}
