//! Kinds of checks that are programs of the guest: what each way to end makes of a trial.

use serde_json::Value;

use crate::place::Place;

/// Writes a scenario with one check.
fn scenario(place: &Place, check: &str) {
    let folder = place.path("probed");
    std::fs::create_dir_all(&folder).unwrap();
    let text = format!(
        "schema = \"kbisect.scenario/1\"\nsummary = \"a node\"\n[nodes.app]\nkernel = \"candidate\"\n\
         [[checks]]\nname = \"asked\"\nnode = \"app\"\n{check}\n"
    );
    std::fs::write(folder.join("scenario.toml"), text).unwrap();
}

/// One trial whose guest does `reply` when `program` is run.
fn trial(check: &str, program: &str, reply: &str, code: i32) -> Value {
    let place = Place::series(1, |_| format!("at exec {program}\n reply {reply}\n"));
    scenario(&place, check);
    place.kernel("6.1.101", &format!("at exec {program}\n reply {reply}\n"));
    place.run("run 6.12.1 --scenario ./probed --json").code(code).json()
}

const PLUGIN: &str = "plugin = { run = \"/p/check_it -x\" }";

#[test]
fn each_status_of_a_plugin_has_its_verdict() {
    for (reply, code, verdict, status, detail) in [
        ("output fine |a=1s", 0, "good", "pass", "fine (a=1s)"),
        ("status 1 late", 0, "good", "pass", "WARNING: late"),
        ("status 2 gone", 1, "bad", "fail", "CRITICAL: gone"),
        ("status 3 lost", 125, "skip", "not-run", "could not tell: UNKNOWN: lost"),
        ("timed-out", 1, "bad", "fail", "did not end in time: it printed nothing"),
    ] {
        let result = trial(PLUGIN, "/p/check_it -x", reply, code);
        let check = &result["checks"][0];
        assert_eq!(result["verdict"], verdict, "{reply}: {result}");
        assert_eq!((&check["status"], &check["detail"]), (&status.into(), &detail.into()));
    }
    let strict = PLUGIN.replace(" }", ", warning = \"bad\" }");
    let result = trial(&strict, "/p/check_it", "status 1 late", 1);
    assert_eq!(result["symptom"]["title"], "asked: plugin: WARNING", "{result}");
    let recorded = format!(
        "{PLUGIN}\nrecord_only = true\n[[checks]]\nname = \"other\"\nnode = \"app\"\nalive = true"
    );
    assert_eq!(trial(&recorded, "/p/check_it", "status 3 lost", 0)["verdict"], "good");
}

#[test]
fn a_plugin_that_could_not_tell_is_skipped_by_a_search() {
    let place = Place::series(5, |number| match number {
        3 => "at exec check_it\n reply status 3 no route\n".to_owned(),
        4.. => "at exec check_it\n reply status 2 gone\n".to_owned(),
        _ => String::new(),
    });
    scenario(&place, PLUGIN);
    let result = place.run("6.12.1..6.12.5 --scenario ./probed --json").json();
    assert_eq!(result["outcome"], "range", "{result}");
    let trials = result["trials"].as_array().unwrap();
    let third = trials.iter().find(|trial| trial["kernel"]["version"] == "6.12.3").unwrap();
    assert_eq!(third["verdict"], "skip", "{third}");
    let reason = "check `asked`: could not tell: UNKNOWN: no route";
    assert_eq!(third["reason"], reason);
}

#[test]
fn a_plugin_that_is_missing_is_the_fault_of_the_scenario() {
    let check = "plugin = { run = \"/p/no_such\" }";
    let result =
        trial(check, "/p/no_such", "not-started /p/no_such: No such file or directory", 202);
    let fault = &result["fault"];
    assert_eq!(fault["cause"], "missing-program", "{result}");
    assert_eq!((&fault["file"], &fault["line"]), (&"scenario.toml".into(), &5.into()), "{fault}");
}

const COUNTER: &str = "counter = { nft = \"hits\", at_least = 2 }";

/// What nft prints of a counter.
fn counted(name: &str, packets: u64) -> String {
    format!(
        "output {{\"nftables\": [{{\"counter\": {{\"family\": \"inet\", \"name\": \"{name}\", \"table\": \"t\", \
         \"packets\": {packets}}}}}]}}"
    )
}

#[test]
fn a_counter_is_held_against_a_number() {
    let program = "nft --json list counters";
    let good = trial(COUNTER, program, &counted("hits", 12), 0);
    let detail = "12 packets counted by `hits`, at least 2 expected";
    assert_eq!((&good["verdict"], &good["checks"][0]["detail"]), (&"good".into(), &detail.into()));
    let bad = trial(COUNTER, program, &counted("hits", 1), 1);
    let title = "asked: counter: packets counted by `hits`: at least 2 expected";
    assert_eq!(bad["symptom"]["title"], title, "{bad}");
    assert_eq!(bad["checks"][0]["detail"], "1 packet counted by `hits`, at least 2 expected");
    let unread = trial(COUNTER, program, "output {", 125);
    assert_eq!(unread["verdict"], "skip", "{unread}");
}

/// A kernel can lose its rules; what the reference kernel does not have either was never there.
#[test]
fn a_counter_that_is_not_there_is_the_scenarios_fault_unless_a_kernel_has_it() {
    let program = "nft --json list counters";
    let result = trial(COUNTER, program, &counted("other", 12), 202);
    let fault = &result["fault"];
    assert_eq!(result["verdict"], "scenario-error", "{result}");
    let expected = (&"not-there".into(), &"no counter `hits` is there".into());
    assert_eq!((&fault["cause"], &fault["said"]), expected, "{fault}");
    let place = Place::series(1, |_| format!("at exec {program}\n reply {}\n", counted("x", 1)));
    scenario(&place, COUNTER);
    place.kernel("6.1.101", &format!("at exec {program}\n reply {}\n", counted("hits", 2)));
    let result = place.run("run 6.12.1 --scenario ./probed --json").code(1).json();
    assert_eq!(result["symptom"]["title"], "asked: counter: no counter `hits` is there");
}

#[test]
fn connections_that_a_node_tracks_are_counted() {
    let check = "conntrack = { protocol = \"tcp\", port = 80, state = \"ESTABLISHED\" }";
    let entry = "output ipv4 2 tcp 6 431999 ESTABLISHED src=192.0.2.2 dst=192.0.2.1 sport=4 dport=80 \
                 src=192.0.2.1 dst=192.0.2.2 sport=80 dport=4 [ASSURED] use=2";
    let good = trial(check, "nf_conntrack", entry, 0);
    let name = "tcp to port 80 in state ESTABLISHED";
    let detail = format!("1 entry for {name}, at least 1 expected");
    assert_eq!((&good["verdict"], &good["checks"][0]["detail"]), (&"good".into(), &detail.into()));
    let bad = trial(check, "nf_conntrack", "output ", 1);
    let title = format!("asked: conntrack: entries for {name}: at least 1 expected");
    assert_eq!(bad["symptom"]["title"], title, "{bad}");
    let missing = trial(check, "nf_conntrack", "status 127 sh: 2: conntrack: not found", 202);
    assert_eq!(missing["fault"]["subject"], "conntrack", "{missing}");
}

const KTAP: &str = "ktap = { run = \"/p/test -x\" }";

/// A reply of several lines, as a script writes it.
fn lines(status: i32, text: &str) -> String {
    format!("lines {status} {}", text.replace('\n', "\\n"))
}

#[test]
fn what_a_program_reports_in_ktap_counts_whatever_its_status() {
    for (reply, code, verdict, status, detail) in [
        (lines(0, "1..2\nok 1 a\nok 2 b # SKIP x"), 0, "good", "pass", "1 ok, 1 skipped"),
        (lines(0, "1..1\n  not ok 1 b\nnot ok 1 a"), 1, "bad", "fail", "1 of 1 failed: a/b"),
        (lines(0, "not ok 1 a # XFAIL known"), 0, "good", "pass", "1 expected to fail"),
        (
            lines(0, "1..2\nok 1 a"),
            1,
            "bad",
            "fail",
            "fewer cases were reported than planned: 1 ok",
        ),
        (
            lines(4, "1..0 # SKIP no"),
            125,
            "skip",
            "not-run",
            "could not tell: skipped: 1..0 # SKIP no",
        ),
        (
            lines(1, "no such option"),
            125,
            "skip",
            "not-run",
            "could not tell: ended with status 1, and reported nothing: no such option",
        ),
        ("timed-out".to_owned(), 1, "bad", "fail", "did not end in time: no case"),
    ] {
        let result = trial(KTAP, "/p/test -x", &reply, code);
        let check = &result["checks"][0];
        assert_eq!(result["verdict"], verdict, "{reply}: {result}");
        assert_eq!((&check["status"], &check["detail"]), (&status.into(), &detail.into()));
    }
    let bad = trial(KTAP, "/p/test -x", &lines(0, "not ok 1 a\nnot ok 2 b"), 1);
    assert_eq!(bad["symptom"]["title"], "asked: ktap: not ok: a", "{bad}");
    let case = KTAP.replace(" }", ", case = \"b\" }");
    let good = trial(&case, "/p/test -x", &lines(1, "not ok 1 a\nok 2 b"), 0);
    assert_eq!(good["checks"][0]["detail"], "ok: b", "{good}");
}

/// Each case can be bisected for itself: another that fails too is no other answer.
#[test]
fn one_case_of_several_is_bisected() {
    let place = Place::series(5, |number| {
        let result = |since| if number >= since { "not ok" } else { "ok" };
        let text = format!("{} 1 early\n{} 2 late", result(2), result(4));
        format!("at exec /p/test\n reply {}\n", lines(0, &text))
    });
    scenario(&place, &KTAP.replace(" }", ", case = \"late\" }"));
    let result = place.run("6.12.1..6.12.5 --scenario ./probed --json").json();
    assert_eq!(result["outcome"], "found", "{result}");
    assert_eq!(result["first_bad"]["version"], "6.12.4");
    assert_eq!(result["symptom"]["title"], "asked: ktap: not ok: late");
}

#[test]
fn a_program_for_ktap_that_is_missing_is_the_fault_of_the_scenario() {
    let check = "ktap = { run = \"/p/no_such\" }";
    let result =
        trial(check, "/p/no_such", "not-started /p/no_such: No such file or directory", 202);
    assert_eq!(result["fault"]["cause"], "missing-program", "{result}");
}

#[test]
fn commands_run_in_order_and_the_first_that_fails_ends_the_check() {
    let check =
        "commands = [{ run = \"first\", status = 0 }, { run = \"second\", stdout = \"x\" }]";
    let place = |second: &str| {
        let script = format!("at exec first\n reply output a\nat exec second\n reply {second}\n");
        let place = Place::series(1, |_| script.clone());
        scenario(&place, check);
        place.kernel("6.1.101", &script);
        place
    };
    let run = "run 6.12.1 --scenario ./probed --json";
    let good = place("lines 7 x").run(run).code(0).json();
    assert_eq!(good["checks"][0]["detail"], "2 commands ended as expected", "{good}");
    let bad = place("output y").run(run).code(1).json();
    let title = "asked: command: 2 of 2: not the output expected";
    assert_eq!(bad["symptom"]["title"], title, "{bad}");
    let detail = "command 2 of 2: the output is `y`, expected `x`";
    assert_eq!(bad["checks"][0]["detail"], detail);
    let first = trial(check, "first", "status 3 no", 1);
    assert_eq!(
        first["symptom"]["title"],
        "asked: command: 1 of 2: ended with status 3, expected status 0"
    );
    // The second was not run: what is missing there is not told.
    let script = "at exec first\n reply status 3 no\nat exec second\n reply status 127 sh: 1: second: not found\n";
    let both = Place::series(1, |_| script.to_owned());
    scenario(&both, check);
    both.kernel("6.1.101", script);
    assert_eq!(both.run(run).code(1).json()["verdict"], "bad");
    let missing = trial(check, "first", "status 127 sh: 1: first: not found", 202);
    assert_eq!(missing["fault"]["subject"], "first", "{missing}");
}
