//! What a file can say about checks that are programs with a report, and lists of commands.

use std::collections::BTreeMap;

use super::super::Probe;
use super::probes::{kept, scenario, sight_when_cut, text, told};
use super::{FILE, errors, warnings};
use crate::selftest::Sight;

const KTAP: &str = r#"ktap = { run = "{assets}/t.sh -v", case = "a/b" }"#;

#[test]
fn what_makes_no_sense_of_a_ktap_check_is_told_with_its_place() {
    for (from, to, expected) in [
        (
            "run = \"{assets}/t.sh -v\", ",
            "",
            "14:1: checks[0].ktap: `run` is missing: the program and its arguments",
        ),
        (
            "-v",
            "2>&1",
            "14:10: checks[0].ktap.run: no shell reads `>`: write the words as an array of texts",
        ),
        ("\"a/b\"", "\"\"", "14:36: checks[0].ktap.case: must not be empty"),
        (
            "\"a/b\"",
            "\"a\\nb\"",
            "14:36: checks[0].ktap.case: must be one line without control characters",
        ),
        (
            "case = \"a/b\"",
            "case = \"a/b\", fail_text = \"FAIL\"",
            "14:50: checks[0].ktap.fail_text: `case` names what counts: nothing is left for `fail_text`",
        ),
        (
            "case",
            "cases",
            "14:36: checks[0].ktap.cases: unknown key (known here: `case`, `fail_text`, `format`, `payload`, `rest`, `run`; did you mean `case`?)",
        ),
    ] {
        assert_eq!(KTAP.matches(from).count(), 1, "{from}");
        let found = errors(&text(&KTAP.replace(from, to)));
        assert!(found.contains(&format!("{FILE}:{expected}")), "{found:#?}");
    }
}

#[test]
fn a_ktap_check_says_what_it_is_about() {
    let asked = scenario(KTAP).checks[0].probe.clone();
    let Probe::Ktap(ktap) = &asked else { panic!("{asked:?}") };
    assert_eq!(ktap.argv("/a"), ["/a/t.sh", "-v"]);
    assert_eq!(asked.summary(), "KTAP of {assets}/t.sh -v, case a/b");
    assert_eq!(sight_when_cut(KTAP), Sight::NoNetwork);
    assert_eq!(sight_when_cut(&KTAP.replace("case", "payload = true, case")), Sight::Blind);
    assert!(kept(KTAP, "/ktap/case", "c".into()).is_ok());
    for (pointer, value) in [
        ("/ktap/run", serde_json::json!([])),
        ("/ktap/run", serde_json::json!(["a\u{0}"])),
        ("/ktap/case", "".into()),
        ("/ktap/fail_text", "a\nb".into()),
    ] {
        assert!(kept(KTAP, pointer, value.clone()).is_err(), "{pointer} {value}");
    }
}

const COMMANDS: &str =
    r#"commands = [{ run = "ping x", status = 0 }, { run = "cat /x", stdout = "y" }]"#;

#[test]
fn what_makes_no_sense_of_commands_is_told_with_its_place() {
    for (from, to, expected) in [
        (
            "run = \"ping x\", ",
            "",
            "14:13: checks[0].commands[0]: `run` is missing: shell text for the guest",
        ),
        ("\"ping x\"", "\" \"", "14:15: checks[0].commands[0].run: must not be empty"),
        (
            "status = 0",
            "status = 256",
            "14:31: checks[0].commands[0].status: must be from 0 to 255, not 256",
        ),
        (
            "stdout",
            "stdou",
            "14:63: checks[0].commands[1].stdou: unknown key (known here: `payload`, `run`, `status`, `stderr`, `stdout`; did you mean `stdout`?)",
        ),
    ] {
        assert_eq!(COMMANDS.matches(from).count(), 1, "{from}");
        let found = errors(&text(&COMMANDS.replace(from, to)));
        assert!(found.contains(&format!("{FILE}:{expected}")), "{found:#?}");
    }
    told("commands = []", "14:1: checks[0].commands: must have one command at least");
    let long = COMMANDS.replace("\"y\"", &format!("\"{}\"", "y".repeat(32_769)));
    told(&long, "14:63: checks[0].commands[1].stdout: must have at most 32768 bytes, not 32769");
}

#[test]
fn commands_say_what_they_are_about() {
    let asked = scenario(COMMANDS).checks[0].probe.clone();
    assert_eq!(asked.summary(), "runs ping x and 1 more");
    assert_eq!(asked.protocols(), ["icmp"]);
    assert_eq!(sight_when_cut(COMMANDS), Sight::NoNetwork);
    let verifies = COMMANDS.replace("stdout", "payload = true, stdout");
    assert_eq!(sight_when_cut(&verifies), Sight::Blind);
    assert_eq!(warnings(&text(&verifies), BTreeMap::new()), Vec::<String>::new());
    let nothing = "commands = [{ run = \"true\", payload = true }]";
    let warned = warnings(&text(nothing), BTreeMap::new());
    let expected = "14:1: checks[0].commands: nothing is expected of any command: give one a `status`, \
                    `stdout` or `stderr`";
    assert_eq!(warned, [format!("{FILE}:{expected}")]);
    assert!(kept(COMMANDS, "/commands/0/status", 1.into()).is_ok());
    for (pointer, value) in [
        ("/commands", serde_json::json!([])),
        ("/commands/0/status", (-1).into()),
        ("/commands/0/run", "".into()),
        ("/commands/1/stdout", "x".repeat(32_769).into()),
        ("/commands/1", serde_json::json!({"run": "a", "other": 1})),
    ] {
        assert!(kept(COMMANDS, pointer, value.clone()).is_err(), "{pointer}");
    }
}
