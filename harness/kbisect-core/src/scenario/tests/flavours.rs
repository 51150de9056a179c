//! Flavours: other files, other counts, ingredients left out.

use super::super::{Expect, NodeKernel, Scenario};
use super::{FILE, changed, errors};
use crate::trial::SymptomKind;

#[test]
fn a_flavour_puts_other_files_in_the_place_of_named_ones() {
    let text = changed(
        "warnings = \"record\"",
        "warnings = \"record\"\n[flavours.strict]\n\
        summary = \"strict\"\nreplace = { \"gw.nft\" = \"strict.nft\" }",
    );
    let mut scenario = Scenario::parse("x", FILE, &text).expect("valid").scenario().clone();
    scenario.assets.insert("gw.nft".into(), b"loose".to_vec());
    scenario.assets.insert("strict.nft".into(), b"strict".to_vec());
    assert!(scenario.clone().flavoured("other").is_none());
    let strict = scenario.flavoured("strict").expect("it has it");
    assert_eq!((strict.name.as_str(), strict.summary.as_str()), ("x:strict", "strict"));
    assert_eq!(strict.assets["gw.nft"], b"strict");
}

const TEXT: &str = r#"
schema = "kbisect.scenario/1"
summary = "rules, an application"
expect = "hang"
[nodes.app]
kernel = "candidate"
[[setup]]
name = "run the automation"
node = "app"
run = "true"
repeat = 2
[[services]]
name = "application"
node = "app"
command = ["worker"]
[[replay]]
name = "reload"
node = "app"
run = "true"
[[checks]]
name = "application"
node = "app"
command = { run = "true", payload = true }
[[checks]]
name = "alive"
node = "app"
alive = true
[flavours.stopped]
summary = "the application is stopped"
expect = "good"
without = ["application", "reload"]
[flavours.often]
summary = "the automation ran often"
repeat = { "run the automation" = 9 }
"#;

#[test]
fn a_flavour_leaves_ingredients_out_and_repeats_steps() {
    let scenario = Scenario::parse("x", FILE, TEXT).expect("valid").scenario().clone();
    let stopped = scenario.clone().flavoured("stopped").expect("it has it");
    assert!(stopped.services.is_empty() && stopped.replay.is_empty());
    assert_eq!(stopped.setup, scenario.setup);
    let checks: Vec<&str> = stopped.checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(checks, ["alive"]);
    let hang = Some(Expect::Bad(SymptomKind::Hang));
    assert_eq!((scenario.expect, stopped.expect), (hang, Some(Expect::Good)));
    let often = scenario.clone().flavoured("often").expect("it has it");
    assert_eq!(often.expect, None, "what holds for the default says nothing of a flavour");
    assert_eq!((often.setup[0].repeat, often.replay[0].repeat), (9, 1));
    assert_eq!((often.services.len(), often.checks.len()), (1, 2));
}

#[test]
fn a_flavour_that_makes_no_sense_is_refused() {
    for (from, to, expected) in [
        (
            "[\"application\", \"reload\"]",
            "[\"aplication\"]",
            "31:12: flavours.stopped.without[0]: no step, service or check is named `aplication` \
             (there are: `alive`, `application`, `reload`, `run the automation`; did you mean \
             `application`?)",
        ),
        (
            "[\"application\", \"reload\"]",
            "[\"application\", \"alive\"]",
            "31:1: flavours.stopped.without: no check is left that could fail",
        ),
        (
            "without = [\"application\", \"reload\"]\n",
            "",
            "28:11: flavours.stopped: one of `replace`, `without`, `repeat`, `kernels` is needed: nothing is \
             different",
        ),
        (
            "{ \"run the automation\" = 9 }",
            "{ \"reload\" = 0 }",
            "34:12: flavours.often.repeat.reload: must be from 1 to 10000, not 0",
        ),
        (
            "{ \"run the automation\" = 9 }",
            "{ \"reloads\" = 2 }",
            "34:12: flavours.often.repeat.reloads: no step is named `reloads` (steps are: \
             `reload`, `run the automation`; did you mean `reload`?)",
        ),
        (
            "expect = \"good\"",
            "expect = \"godo\"",
            "30:1: flavours.stopped.expect: `godo` is not allowed here (allowed: `good`, `panic`, \
             `oops`, `warning`, `hang`, `reboot`, `lost-ingress`, `lost-egress`, `check-failed`, \
             `rules-refused`, `service-down`; did you mean `good`?)",
        ),
    ] {
        assert_eq!(TEXT.matches(from).count(), 1, "`{from}` must be in the text once");
        let text = TEXT.replace(from, to);
        assert_eq!(errors(&text), [format!("{FILE}:{expected}")], "{from} -> {to}");
    }
}

#[test]
fn a_flavour_changes_which_nodes_are_under_test() {
    let base = TEXT.replace("[[setup]]", "[nodes.other]\nkernel = \"reference\"\n[[setup]]");
    let with = |kernels: &str| {
        let text =
            format!("{base}[flavours.swapped]\nsummary = \"swapped\"\nkernels = {kernels}\n");
        Scenario::parse("x", FILE, &text).map(|parsed| parsed.scenario().clone())
    };
    let scenario = with("{ app = \"reference\", other = \"candidate\" }").expect("valid");
    let swapped = scenario.flavoured("swapped").expect("it has it");
    assert_eq!(swapped.nodes_on(NodeKernel::Candidate).collect::<Vec<_>>(), ["other"]);
    for (kernels, said) in [
        ("{ app = \"reference\" }", "no node is left that runs the kernel under test"),
        ("{ ap = \"reference\" }", "no node named `ap`"),
        ("{ app = \"old\" }", "`candidate`"),
    ] {
        let error = with(kernels).unwrap_err().to_string();
        assert!(error.contains(said), "{kernels}: {error}");
    }
}
