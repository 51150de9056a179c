//! Ways: other steps to the same state.

use std::collections::BTreeMap;

use super::super::{APPLICATION_STOPPED, Expect, Scenario};
use super::FILE;
use crate::trial::SymptomKind;

const TEXT: &str = r#"
schema = "kbisect.scenario/1"
summary = "rules by an automation, or by hand"
expect = "hang"
[nodes.app]
kernel = "candidate"
[[setup]]
name = "all ways"
node = "app"
run = "true"
[[setup]]
name = "automation"
way = "automation"
node = "app"
run = "true"
[[setup]]
name = "one"
way = "by-hand"
node = "app"
run = "true"
[[services]]
name = "web"
node = "app"
command = ["worker"]
[[replay]]
name = "two"
way = "by-hand"
node = "app"
run = "true"
[[checks]]
name = "works"
node = "app"
command = { run = "true", payload = true }
[[checks]]
name = "again"
node = "app"
idempotent = { step = "automation" }
[[checks]]
name = "between"
node = "app"
after = "two"
alive = true
[ways.nothing]
summary = "neither"
expect = "good"
"#;

fn read(text: &str) -> Scenario {
    Scenario::parse("x", FILE, text)
        .expect("valid")
        .with_assets(BTreeMap::new())
        .expect("no files")
        .0
}

fn names(scenario: &Scenario) -> (Vec<&str>, Vec<&str>) {
    let steps = scenario.setup.iter().chain(&scenario.replay).map(|step| step.name.as_str());
    (steps.collect(), scenario.checks.iter().map(|check| check.name.as_str()).collect())
}

#[test]
fn a_way_has_its_own_steps_and_the_checks_that_they_allow() {
    let whole = read(TEXT);
    assert_eq!(whole.ways(), ["automation", "by-hand", "nothing"]);
    assert_eq!(names(&whole), (vec!["all ways", "automation"], vec!["works", "again"]));
    let by_hand = whole.clone().flavoured("by-hand").expect("a way");
    assert_eq!(names(&by_hand), (vec!["all ways", "one", "two"], vec!["works", "between"]));
    assert_eq!(by_hand.expect, Some(Expect::Bad(SymptomKind::Hang)));
    let nothing = whole.clone().flavoured("nothing").expect("a way");
    assert_eq!(names(&nothing), (vec!["all ways"], vec!["works"]));
    assert_eq!((nothing.expect, nothing.name.as_str()), (Some(Expect::Good), "x:nothing"));
    // A run's copy can go all of them, too.
    let kept = Scenario::from_kept(&serde_json::to_vec(&whole).unwrap()).unwrap();
    assert_eq!(kept, whole);
}

#[test]
fn an_application_is_what_runs_under_test() {
    let stopped = read(TEXT).flavoured(APPLICATION_STOPPED).expect("it has one");
    assert!(stopped.services.is_empty());
    assert_eq!(names(&stopped).0, ["all ways", "automation"]);
    // Nor can the replay do anything to it.
    let kill =
        "[[replay]]\nname = \"it dies\"\nfault = { kill = \"web\" }\n[[checks]]\nname = \"works\"";
    let dies = read(&TEXT.replace("[[checks]]\nname = \"works\"", kill));
    assert!(names(&dies).0.contains(&"it dies"));
    let stopped = dies.flavoured(APPLICATION_STOPPED).expect("it has one");
    assert_eq!(names(&stopped).0, ["all ways", "automation"]);
    let without =
        TEXT.replace("[[services]]\nname = \"web\"\nnode = \"app\"\ncommand = [\"worker\"]\n", "");
    assert!(read(&without).flavoured(APPLICATION_STOPPED).is_none());
}

#[test]
fn what_is_wrong_with_ways_is_told() {
    let told = |text: &str| match Scenario::parse("x", FILE, text) {
        Ok(_) => String::new(),
        Err(error) => {
            error.problems.iter().map(|it| it.message.clone()).collect::<Vec<_>>().join("\n")
        }
    };
    let only =
        TEXT.replace("way = \"by-hand\"\n", "").replace("[ways.nothing]", "[ways.automation]");
    assert!(told(&only).contains("`automation` is the only `way`"), "{}", told(&only));
    let twice = format!("{TEXT}[flavours.nothing]\nsummary = \"x\"\nwithout = [\"web\"]\n");
    assert!(told(&twice).contains("`nothing` is a `way` too"), "{}", told(&twice));
    let bad_name = TEXT.replace("way = \"automation\"", "way = \"two words\"");
    assert!(!told(&bad_name).is_empty());
    let blind = TEXT.replace(
        "command = { run = \"true\", payload = true }",
        "alive = true\nrecord_only = true",
    );
    assert!(told(&blind).contains("none is made by the way `nothing`"), "{}", told(&blind));
    // A step that two ways have is one of either, and one that a way has twice is not clear.
    let shared = TEXT
        .replace("name = \"one\"\nway = \"by-hand\"", "name = \"automation\"\nway = \"by-hand\"");
    assert_eq!(told(&shared), "");
    let twice = TEXT.replace("[[checks]]\nname = \"works\"", "[[replay]]\nname = \"two\"\nway = \"by-hand\"\nnode = \"app\"\nrun = \"true\"\n[[checks]]\nname = \"works\"");
    assert!(told(&twice).contains("2 steps of [[replay]] are named `two`"), "{}", told(&twice));
}
