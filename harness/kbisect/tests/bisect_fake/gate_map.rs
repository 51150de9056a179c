//! The map of a range: change points, kill -9 and resume, reports in all forms.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::gate::fits;
use crate::place::{BAD, NO_BOOT, PANIC, Place, is_gone, pid_in};

/// A history that goes back and forth, in three series: 6.1 is good; 6.12 is good, bad, does not boot,
/// bad, good, panics; 6.16 is good.
fn place() -> Place {
    place_held("", "")
}

/// The same; the kernel `held` stops at `event` the first time that it is tried, and says so by its
/// process id in the file `held`.
fn place_held(held: &str, event: &str) -> Place {
    let place = Place::new();
    let kernels = [
        ("6.1.101", ""),
        ("6.12.1", ""),
        ("6.12.2", BAD),
        ("6.12.3", NO_BOOT),
        ("6.12.4", BAD),
        ("6.12.5", ""),
        ("6.12.6", PANIC),
        ("6.16.1", ""),
    ];
    for (version, script) in kernels {
        let (once, pid) = (place.path("once"), place.path("held"));
        let hold =
            format!("at {event}\n first-time {}\n pid {}\n mute\n", once.display(), pid.display());
        let hold = if version == held { hold } else { String::new() };
        place.kernel(version, &(hold + script));
    }
    place
}

/// Kind, whether within a series, ends.
fn changes(map: &Value) -> Vec<Value> {
    let changes = map["changes"].as_array().unwrap().iter();
    changes.map(|c| json!([c["kind"], c["within_series"], c["from"], c["to"]])).collect()
}

/// Label and answer of each kernel.
fn answers(result: &Value) -> Vec<Value> {
    let series = result["maps"][0]["series"].as_array().unwrap().iter();
    let kernels = series.flat_map(|series| series["kernels"].as_array().unwrap());
    kernels.map(|kernel| json!([kernel["label"], kernel["answer"]])).collect()
}

#[test]
fn a_range_is_a_map_with_every_change_point() {
    let place = place();
    let result = place.run("check 6.1.101..6.16.1 --scenario smoke --json").code(1).json();
    fits(&result);
    let map = &result["maps"][0];
    let expected = [
        json!(["breaks", true, "6.12.1", "6.12.2"]),
        json!(["heals", true, "6.12.4", "6.12.5"]),
        json!(["breaks", true, "6.12.5", "6.12.6"]),
        json!(["heals", false, "6.12.6", "6.16.1"]),
    ];
    assert_eq!(changes(map), expected);
    assert_eq!(map["series"][1]["kernels"][2]["answer"], "skip");
    assert_eq!(result["ranges"], json!(["6.1.101..6.16.1"]));
    // No range, no map.
    let result =
        place.run("check 6.12.1 6.12.2 --scenario smoke --json --results b").code(1).json();
    assert_eq!(result["maps"], Value::Null);
}

#[test]
fn the_map_is_drawn_in_every_form_at_any_later_time() {
    let place = place();
    let ended = place.run("check 6.1.101..6.16.1 --scenario smoke").code(1);
    let parts = [
        "map of smoke: 4 good, 3 bad, 1 cannot answer\n",
        "  6.12  +X?X+X\n",
        "good 6.12.1, bad 6.12.2 to 6.12.4 (2), good 6.12.5, bad 6.12.6\n",
        "breaks between 6.12.1 and 6.12.2: check-failed: payload: connected, no whole answer in time\n",
        "heals between 6.12.6 and 6.16.1 (another series",
        "In 6.12 the answer turns more than once",
    ];
    for part in parts {
        assert!(ended.stdout.contains(part), "no `{part}`: {}", ended.stdout);
    }
    let folder = place.run_folder();
    let report =
        |form: &str| place.as_printed(&format!("report {} --format {form}", folder.display()));
    let told = |form: &str| report(form).code(0).stdout;
    let kept = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    assert_eq!(told("json"), kept("result.json"));
    assert_eq!(told("md"), kept("report.md"));
    assert_eq!(told("html"), kept("report.html"));
    let markdown = told("md");
    for part in [
        "| 6.12 | `+X?X+X` |",
        "- 6.12.3: cannot answer: ",
        "`kbisect 6.12.4..6.12.5 --scenario smoke --find-fix`",
        "3 fail; the first kernel of each failure is shown.",
    ] {
        assert!(markdown.contains(part), "no `{part}`: {markdown}");
    }
    let drawing = told("svg");
    assert!(kept("report.html").contains(&drawing), "the page holds the drawing");
    assert_eq!(drawing.matches("<rect ").count(), 8, "{drawing}");
    assert_eq!(drawing.matches("class=\"turn\"").count(), 3, "{drawing}");
    assert_eq!(told("junit").matches("<testcase ").count(), 8);
    let refused = report("ktap").code(2);
    assert!(
        refused.stderr.contains("its forms are: md, html, json, junit, svg, sarif, github"),
        "{}",
        refused.stderr
    );
    let refused = place.as_printed(&format!("report {} --bundle", folder.display())).code(2);
    assert!(refused.stderr.contains("is a check"), "{}", refused.stderr);
    // `kbisect` alone proposes what there is.
    let step = place.as_printed("").code(0).stdout;
    assert!(step.contains("kbisect report ") && !step.contains("--bundle"), "{step}");
}

/// What must be the same after an interruption.
fn told(result: &Value) -> Value {
    let trials = result["trials"].as_array().unwrap().iter();
    let trials: Vec<Value> = trials
        .map(|trial| json!([trial["number"], trial["kernel"]["version"], trial["verdict"]]))
        .collect();
    json!([result["outcome"], result["counts"], answers(result), trials])
}

#[test]
fn killed_and_resumed_tells_the_same_and_repeats_one_trial() {
    let whole = place();
    // A reference of its own, so that its process is told from those of the range.
    let words =
        "check 6.1.101..6.16.1 --scenario smoke --reference 6.1.100 --junit junit.xml --json";
    let expected = told(&whole.run(words).code(1).json());
    for (held, event) in [("6.12.1", "prepare"), ("6.12.5", "http"), ("6.16.1", "ping")] {
        let place = place_held(held, event);
        let mut run = place.start(words);
        let candidate = pid_in(&place.path("held"));
        let pid = Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
        kill_process(pid, Signal::KILL).unwrap();
        run.wait().unwrap();
        assert!(is_gone(candidate) && is_gone(pid_in(&place.path("peer"))), "{held} at {event}");
        let folder = place.run_folder();
        // What is there by then can be read.
        let report = place.as_printed(&format!("report {}", folder.display())).code(0);
        assert!(report.stdout.contains("stopped before its end"), "{}", report.stdout);
        assert!(place.as_printed("").code(0).stdout.contains("kbisect resume "));
        assert!(!place.path("junit.xml").exists());
        // Where else it is to be written is asked again: the journal could be somebody else's.
        let resume = format!("resume {} --junit junit.xml --json", folder.display());
        let result = place.run(&resume).code(1).json();
        fits(&result);
        assert_eq!(told(&result), expected, "{held} at {event}");
        let junit = std::fs::read_to_string(place.path("junit.xml")).unwrap();
        assert_eq!(junit.matches("<testcase ").count(), 8);
        // Three cells are bad, and boot once more, as shipped.
        assert_eq!(std::fs::read_dir(folder.join("trials")).unwrap().count(), 8 + 3);
        assert_eq!(began(&folder), 2);
        // At its end there is nothing left to do but to tell it again.
        let again = place.run(&format!("resume {} --json", folder.display())).code(1).json();
        assert_eq!(again, result);
    }
}

/// A journal as checks had it before: each line of today's that it had a line for.
fn as_before(journal: &str) -> String {
    let lines = journal.lines().filter_map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let fields = line.as_object_mut().unwrap();
        match fields["event"].as_str().unwrap() {
            "check-began" => fields["event"] = json!("began"),
            "trial-ended" => {
                let mut trial = fields.remove("record").unwrap();
                trial["scenario"] = fields.remove("scenario").unwrap();
                fields.retain(|name, _| name == "at_ms" || name == "event");
                fields.insert("trial".to_owned(), trial);
            }
            _ => return None,
        }
        Some(format!("{line}\n"))
    });
    lines.collect()
}

/// A check that was cut off before checks had the journal of searches.
#[test]
fn a_check_of_before_is_told_and_resumed() {
    let place = place();
    let whole = place.run("check 6.12.1..6.12.5 --scenario smoke --json").code(1).json();
    let folder = place.run_folder();
    let (today, before) = (folder.join("journal.jsonl"), folder.join("check.jsonl"));
    let text = as_before(&std::fs::read_to_string(&today).unwrap());
    let schema = kbisect_report::schema("check-journal").unwrap();
    let schema = serde_json::from_str(schema).unwrap();
    for line in text.lines() {
        let line = serde_json::from_str(line).unwrap();
        assert_eq!(crate::gate::validate::problems(&schema, &line), Vec::<String>::new());
    }
    let two: String = text.split_inclusive('\n').take(3).collect();
    std::fs::write(&before, &two).unwrap();
    std::fs::remove_file(&today).unwrap();
    std::fs::remove_dir_all(folder.join("trials")).unwrap();
    let report = place.as_printed(&format!("report {}", folder.display())).code(0);
    assert!(report.stdout.contains("stopped before its end"), "{}", report.stdout);
    assert!(place.as_printed("").code(0).stdout.contains("kbisect resume "));
    let resumed = place.run(&format!("resume {} --json", folder.display())).code(1);
    assert_eq!(answers(&resumed.json()), answers(&whole));
    let trials = std::fs::read_dir(folder.join("trials")).unwrap().count();
    assert_eq!(trials + 2, whole["trials"].as_array().unwrap().len(), "two are not repeated");
    assert_eq!(std::fs::read_to_string(&before).unwrap(), two, "it stays as it was");
    let again = place.run(&format!("resume {} --json", folder.display())).code(1).json();
    assert_eq!(answers(&again), answers(&whole));
}

/// How often the journal says that the check began or went on.
fn began(folder: &Path) -> usize {
    let journal = std::fs::read_to_string(folder.join("journal.jsonl")).unwrap();
    let lines: Vec<Value> =
        journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let schema = kbisect_report::schema("journal").unwrap();
    let schema = serde_json::from_str(schema).unwrap();
    for line in &lines {
        assert_eq!(crate::gate::validate::problems(&schema, line), Vec::<String>::new());
    }
    lines.iter().filter(|line| line["event"] == "check-began" || line["event"] == "resumed").count()
}

#[test]
fn what_stopped_for_our_own_reasons_goes_on_where_it_was() {
    let place = Place::new();
    place.kernel("6.12.1", "");
    // Three times is what a check bears.
    let once = |n: u32| {
        format!(
            "at http\n first-time {}\n stderr oom\n exit 1\n",
            place.path(&format!("once-{n}")).display()
        )
    };
    place.kernel("6.12.2", &(once(1) + &once(2) + &once(3)));
    place.kernel("6.12.3", BAD);
    let ended = place.run("check 6.12.1..6.12.3 --scenario smoke --json").code(69);
    assert_eq!(ended.json()["outcome"], "aborted");
    let hint = ended.stderr.lines().find_map(|line| line.split("kbisect resume ").nth(1)).unwrap();
    let result = place.as_printed(&format!("resume {hint} --json")).code(1).json();
    assert_eq!(
        answers(&result),
        [json!(["6.12.1", "good"]), json!(["6.12.2", "good"]), json!(["6.12.3", "bad"])]
    );
    // The failures of the host are on record, and that the bad kernel booted as shipped.
    assert_eq!(result["trials"].as_array().unwrap().len(), 3 + 3 + 1);
}

#[test]
fn a_cut_or_used_journal_is_handled() {
    let place = place();
    place.run("check 6.12.1..6.12.5 --scenario smoke").code(1);
    let folder = place.run_folder();
    let journal = folder.join("journal.jsonl");
    let bytes = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, &bytes[..bytes.len() - 9]).unwrap();
    let report = place.as_printed(&format!("report {}", folder.display())).code(0);
    assert!(report.stderr.contains("is cut off"), "{}", report.stderr);
    let resumed = place.run(&format!("resume {}", folder.display())).code(1);
    assert!(resumed.stderr.contains("is cut off"), "{}", resumed.stderr);
    assert!(!resumed.stderr.contains("trial 6"), "nothing is tried again: {}", resumed.stderr);
    let refused = place.run(&format!("resume {} --budget 5runs", folder.display())).code(2);
    assert!(refused.stderr.contains("has no budget"), "{}", refused.stderr);
    let refused = place.as_printed(&format!("score {}", folder.display())).code(2);
    assert!(refused.stderr.contains("is a check of many kernels"), "{}", refused.stderr);
}

#[test]
fn a_map_can_be_made_by_several_workers() {
    let place = place();
    let one = place.run("check 6.1.101..6.16.1 --scenario smoke --json --results a").code(1).json();
    let words = "check 6.1.101..6.16.1 --scenario smoke --workers 3 --json --results b";
    let three = place.run(words).code(1).json();
    assert_eq!(answers(&one), answers(&three));
    assert_eq!(one["maps"][0]["changes"], three["maps"][0]["changes"]);
}

#[test]
fn a_self_test_has_no_report_and_says_so() {
    let place = Place::new();
    place.run("scenario selftest smoke");
    let ended = place.as_printed(&format!("report {}", place.run_folder().display())).code(2);
    assert!(ended.stderr.contains("is the self-test of a scenario"), "{}", ended.stderr);
}
