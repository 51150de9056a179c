//! `kbisect scenario selftest`: blind checks, checks that see, ingredients.

use serde_json::Value;

use crate::place::{Ended, PANIC, Place};

/// The first frame of a connection from the client of `smoke` to its server.
fn syn() -> String {
    let bytes = [
        &[2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 0x08, 0x00][..],
        &[0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 10, 192, 0, 2, 1],
        &[0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0],
    ]
    .concat();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn selftest(place: &Place, words: &str) -> Ended {
    place.run(&format!("scenario selftest {words} --json"))
}

/// The record of a trial whose run is in a folder.
fn record(folder: &Value) -> Value {
    let path = format!("{}/result.json", folder.as_str().unwrap());
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_check_that_passes_with_cut_wires_is_blind() {
    // The stand-in's answers come from nowhere: no wire is involved.
    let place = Place::new();
    let ended = selftest(&place, "smoke").code(1);
    let result = ended.json();
    assert_eq!(result["schema"], "kbisect.selftest/1");
    assert_eq!(result["kernel"]["version"], "6.1.100", "the reference kernel");
    assert_eq!(result["variations"][0]["verdict"], "good");
    let check = &result["control"]["checks"][0];
    assert_eq!((&check["name"], &check["sight"]), (&"payload".into(), &"blind".into()));
    assert!(check["advice"].as_str().unwrap().contains("comes from the node itself"), "{check}");
    assert_eq!(result["problems"], serde_json::json!(["check payload is blind"]));
    let whole = result["run_dir"].as_str().unwrap();
    let written = std::fs::read_to_string(format!("{whole}/result.json")).unwrap();
    assert_eq!(written, ended.stdout, "the file is the very document");
    let text = place.run("scenario selftest smoke").code(1).stdout;
    assert!(text.contains("payload  BLIND") && text.contains("failed: check payload"), "{text}");
}

#[test]
fn a_check_whose_frames_end_at_the_cut_sees_it() {
    let place = Place::new();
    let first = place.path("first");
    let script = format!(
        "at http\n first-time {}\nat http\n frame 0 {}\n reply nothing\n",
        first.display(),
        syn()
    );
    place.kernel("6.12.1", &script);
    let result = selftest(&place, "smoke --kernel 6.12.1 --no-faults").code(0).json();
    assert_eq!((&result["passed"], &result["problems"]), (&true.into(), &serde_json::json!([])));
    let control = &result["control"];
    assert_eq!(control["checks"][0]["sight"], "sees");
    let detail = control["checks"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("sent into a wire that is cut"), "{detail}");
    let cut = record(&control["run_dir"]);
    let sent = &cut["wires"][0];
    assert_eq!((&sent["frames"], &sent["undelivered"]), (&0.into(), &1.into()), "{sent}");
    assert_eq!(cut["symptom"]["kind"], "check-failed", "what we cut is lost inside no node");
    assert!(cut["notes"].to_string().contains("negative control"), "{}", cut["notes"]);
    let whole = record(&result["variations"][0]["run_dir"]);
    assert_eq!(whole["verdict"], "good");
    assert!(!whole["notes"].to_string().contains("negative control"), "{}", whole["notes"]);
}

const APPLICATION: &str = r#"
schema = "kbisect.scenario/1"
summary = "an application meets rules"
expect = "panic"
[nodes.app]
kernel = "candidate"
[[setup]]
name = "rules"
node = "app"
run = "load-the-rules"
repeat = 3
[[services]]
name = "application"
node = "app"
command = ["the-application"]
ready = "started"
[[checks]]
name = "local"
node = "app"
command = { run = "true" }
[[checks]]
name = "alive"
node = "app"
alive = true
[flavours.stopped]
summary = "the application is stopped"
without = ["application"]
expect = "good"
[flavours.once]
summary = "the rules are there once"
repeat = { rules = 1 }
"#;

#[test]
fn what_the_failure_needs_is_named() {
    let place = Place::new();
    let panic = PANIC.replace("at http", "at serve the-application");
    place.kernel("6.12.1", &panic);
    let folder = place.path("mine");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("scenario.toml"), APPLICATION).unwrap();
    let ended = selftest(&place, "./mine --kernel 6.12.1 --no-faults").code(0);
    let result = ended.json();
    let effect = |name: &str| {
        let variations = result["variations"].as_array().unwrap();
        variations.iter().find(|variation| variation["name"] == name).unwrap().clone()
    };
    assert_eq!(
        (&effect("mine")["verdict"], &effect("mine")["as_expected"]),
        (&"bad".into(), &true.into())
    );
    assert_eq!(effect("mine:stopped")["effect"], "necessary");
    assert_eq!(effect("mine:stopped")["ingredients"], serde_json::json!(["without `application`"]));
    assert_eq!(effect("mine:once")["effect"], "not-necessary");
    assert_eq!(effect("mine:once")["as_expected"], Value::Null);
    assert_eq!(result["traffic"]["effect"], Value::Null, "it fails before the checks");
    assert_eq!(result["control"]["variation"], "mine:stopped");
    for check in result["control"]["checks"].as_array().unwrap() {
        assert_eq!(check["sight"], "no-network", "{check}");
    }
    let text = place.run("scenario selftest ./mine --kernel 6.12.1 --no-faults").code(0).stdout;
    let needs = "necessary for the failure: without it, good\n  stopped  the application is stopped \
                 (without `application`)\n";
    assert!(text.contains(needs), "{text}");
    // On a kernel where nothing fails the expectation is not met.
    let result = selftest(&place, "./mine").code(1).json();
    let problems = [
        "mine is expected to be panic, and is good",
        "nothing makes check local fail",
        "no check uses the network",
    ];
    assert_eq!(result["problems"], serde_json::json!(problems));
    let text = place.run("scenario selftest ./mine").code(1).stdout;
    assert!(text.contains("no flavour changes the verdict"), "{text}");
}

#[test]
fn a_crash_that_goes_away_with_the_wires_needs_their_traffic() {
    let place = Place::new();
    let once = PANIC
        .replace("at http\n", &format!("at http\n first-time {}\n", place.path("f").display()));
    place.kernel("6.12.1", &format!("{once}at http\n reply connect-timeout\n"));
    place.kernel("6.12.2", PANIC);
    let result = selftest(&place, "smoke --kernel 6.12.1").code(1).json();
    assert_eq!(result["traffic"]["effect"], "necessary", "{}", result["traffic"]);
    assert_eq!(result["control"]["checks"][0]["sight"], "not-shown");
    let problem = result["problems"][0].as_str().unwrap();
    assert!(problem.contains("no negative control"), "{problem}");
    let result = selftest(&place, "smoke --kernel 6.12.2").code(1).json();
    assert_eq!(result["traffic"]["effect"], "not-necessary", "{}", result["traffic"]);
}

#[test]
fn what_cannot_be_tried_has_a_code_of_its_own() {
    let place = Place::new();
    place.kernel("6.12.1", "at http\n stderr oom\n exit 1\n");
    place.run("scenario selftest nowhere").code(2);
    place.run("scenario selftest smoke --kernel 9.9.9").code(2);
    let ended = selftest(&place, "smoke --kernel 6.12.1").code(69);
    assert!(ended.json()["error"].as_str().unwrap().contains("oom"), "{}", ended.stdout);
}

#[test]
fn faults_are_put_in_one_at_a_time_and_who_notices_is_told() {
    let place = Place::new();
    let folder = place.path("mine");
    std::fs::create_dir(&folder).unwrap();
    let declared = "[[faults]]\nname = \"the rules are gone\"\nrun = { node = \"app\", command = \
                    \"flush-the-rules\" }\n[[faults]]\nname = \"nobody cares\"\nrun = { node = \"app\", \
                    command = \"unheard-of\" }\nnoticed_by = [\"local\"]\n[[faults]]\nname = \"refused\"\n\
                    run = { node = \"app\", command = \"too-much\" }\n";
    let text = APPLICATION.replace("expect = \"panic\"\n", "") + declared;
    let text = text.replace("run = \"true\"", "run = \"look\"");
    std::fs::write(folder.join("scenario.toml"), text).unwrap();
    let seen = place.path("seen");
    // After the rules were flushed, the check fails; what is too much is refused.
    let script = format!(
        "at exec flush-the-rules\n first-time {}\nat exec too-much\n reply status 3 no room\n\
         at exec look\n once-after {}\n reply status 1 nothing there\n",
        seen.display(),
        seen.display()
    );
    place.kernel("6.12.1", &script);
    let result = selftest(&place, "./mine:once --kernel 6.12.1 --workers 1").code(1).json();
    let fault = |name: &str| {
        let faults = result["faults"].as_array().unwrap();
        faults.iter().find(|fault| fault["name"] == name).unwrap().clone()
    };
    assert_eq!(fault("the rules are gone")["noticed_by"], serde_json::json!(["local"]));
    assert_eq!(fault("nobody cares")["missed_by"], serde_json::json!(["local"]));
    assert!(fault("refused")["not_put_in"].as_str().unwrap().contains("no room"));
    assert_eq!(fault("panic app")["symptom"]["kind"], "panic");
    assert_eq!(fault("kill application")["declared"], false);
    let problems = result["problems"].to_string();
    for said in [
        "fault `nobody cares` is not noticed by local",
        "fault `refused` could not be put in",
        "no check uses the network",
    ] {
        assert!(problems.contains(said), "no `{said}`: {problems}");
    }
    assert!(!problems.contains("nothing makes check local fail"), "{problems}");
    let all = result["faults"].as_array().unwrap().len();

    let chosen = "./mine:once --kernel 6.12.1 --fault gone --fault panic";
    let result = selftest(&place, chosen).code(0).json();
    let faults = result["faults"].as_array().unwrap();
    let names: Vec<&str> = faults.iter().map(|fault| fault["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["the rules are gone", "panic app"]);
    assert_eq!(result["faults_left_out"], all - 2);
    let text = place.run(&format!("scenario selftest {chosen}")).code(0).stdout;
    assert!(
        text.contains(&format!("passed, but {} other faults were not tried", all - 2)),
        "{text}"
    );
    let dry = place.run(&format!("scenario selftest {chosen} --dry-run --json")).code(0).json();
    assert_eq!(dry["trials"].as_array().unwrap().len(), 4, "{dry}");
    let ended = place.run("scenario selftest ./mine:once --kernel 6.12.1 --fault gon3").code(2);
    for said in ["no fault of the self-test has `gon3` in its name", "`the rules are gone`"] {
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
}
