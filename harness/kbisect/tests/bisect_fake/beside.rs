//! What is asked once a search is over: whether the newest kernel still fails, which one fixed it, and whether
//! the range is the wrong way round.

use rustix::process::{Pid, Signal, kill_process};

use crate::place::{BAD, Ended, NO_BOOT, PANIC, Place, pid_in};

/// Bad from 3 to `last`.
fn bad_until(last: u32) -> impl Fn(u32) -> String {
    move |number| if (3..=last).contains(&number) { BAD.to_owned() } else { String::new() }
}

fn newest_trials(place: &Place) -> usize {
    let journal = std::fs::read_to_string(place.run_folder().join("journal.jsonl")).unwrap();
    let is_of_it = |line: &&str| {
        line.contains("\"event\":\"trial-ended\"") && line.contains("\"beside\":\"newest\"")
    };
    journal.lines().filter(is_of_it).count()
}

#[test]
fn the_newest_kernel_of_the_series_is_tried_after_the_answer() {
    let place = Place::series(8, bad_until(6));
    place.kernel("6.13.1", BAD);
    let ended = place.bisect("6.12.1..6.12.5", "").code(0);
    let result = ended.json();
    let affected = &result["affected"];
    assert_eq!(affected["from"]["version"], "6.12.3", "{affected:#}");
    assert_eq!(affected["to"]["version"], "6.12.5");
    assert_eq!(affected["good"][1]["version"], "6.12.2");
    assert_eq!(affected["newest"]["kernel"]["version"], "6.12.8");
    assert_eq!(affected["newest"]["fails"], false);
    assert_eq!(newest_trials(&place), 1);
    let folder = result["run_dir"].as_str().unwrap();
    let report = place.as_printed(&format!("report {folder} --format md")).code(0).stdout;
    assert!(
        report
            .contains("Affected: 6.12.3 to 6.12.5 at least; good: 6.12.1 to 6.12.2; fixed: 6.12.8"),
        "{report}"
    );
    assert!(report.contains("Do: stay on 6.12.2, or go to 6.12.8."), "{report}");
    // It is tried once: a run that is over has nothing to go on with.
    place.run(&format!("resume {folder}")).code(0);
    assert_eq!(newest_trials(&place), 1);
}

#[test]
fn a_failure_that_the_newest_still_has_is_said_to_be_there() {
    let place = Place::series(8, bad_until(8));
    let ended = place.run("6.12.1..6.12.5 --scenario smoke").code(0).stdout;
    let lines: Vec<&str> = ended.lines().rev().take(10).collect();
    let said = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
    assert!(said.contains("A client cannot fetch a file from a server beside it."), "{said}");
    assert!(
        said.contains("affected    6.12.3 to 6.12.8, the newest; good: 6.12.1 to 6.12.2"),
        "{said}"
    );
    assert!(
        said.contains("fixed       not yet\n") && said.contains("do          stay on 6.12.2\n")
    );
    assert!(said.ends_with("--bundle"), "{said}");
}

#[test]
fn the_newest_is_left_out_where_that_is_asked_for_or_there_is_none() {
    let place = Place::series(6, bad_until(6));
    let result = place.bisect("6.12.1..6.12.5", "--no-fix").code(0).json();
    assert!(result["affected"].get("newest").is_none(), "{result:#}");
    assert_eq!(newest_trials(&place), 0);
    let place = Place::series(5, bad_until(5));
    let result = place.bisect("6.12.1..6.12.5", "").code(0).json();
    assert_eq!(result["affected"]["to_the_newest"], true, "{result:#}");
    assert!(result["affected"].get("newest").is_none());
}

#[test]
fn a_newest_kernel_without_an_answer_leaves_the_answer_as_it_is() {
    let place = Place::series(6, |number| match number {
        6 => NO_BOOT.to_owned(),
        3.. => BAD.to_owned(),
        _ => String::new(),
    });
    let result = place.bisect("6.12.1..6.12.5", "").code(0).json();
    assert_eq!(result["first_bad"]["version"], "6.12.3");
    let newest = &result["affected"]["newest"];
    assert!(newest.get("fails").is_none() && newest["reason"].is_string(), "{newest:#}");
    assert_eq!(result["affected"]["to"]["version"], "6.12.5");
}

#[test]
fn the_fix_is_looked_for_with_the_option() {
    let place = Place::series(12, bad_until(7));
    let result = place.bisect("6.12.1..6.12.5", "--fix").code(0).json();
    assert_eq!(result["first_bad"]["version"], "6.12.3");
    let affected = &result["affected"];
    assert_eq!(affected["fixed"]["version"], "6.12.8", "{affected:#}");
    assert_eq!(affected["to"]["version"], "6.12.7");
    assert_eq!(result["further"][0]["because"], "fix");
    let folder = result["run_dir"].as_str().unwrap();
    let mail = place.as_printed(&format!("report {folder} --format text")).code(0).stdout;
    let mail = mail.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(mail.contains("fixed: 6.12.8. Do: stay on 6.12.2, or go to 6.12.8"), "{mail}");
    for wrong in ["--fix --no-fix", "--fix --find-fix"] {
        place.run(&format!("6.12.1..6.12.5 --scenario smoke {wrong}")).code(2);
    }
}

#[test]
fn a_range_that_is_the_wrong_way_round_is_noticed() {
    let place = Place::series(6, |number| if number < 4 { BAD.to_owned() } else { String::new() });
    let result = place.bisect("6.12.1..6.12.6", "").code(1).json();
    assert_eq!(result["outcome"], "not-reproduced");
    let reason = result["reason"].as_str().unwrap();
    assert!(
        reason.contains("6.12.1 fails and 6.12.6 passes") && reason.contains("--find-fix"),
        "{reason}"
    );
    // Where both pass there is nothing to say.
    let place = Place::series(6, |_| String::new());
    let result = place.bisect("6.12.1..6.12.6", "").code(1).json();
    assert!(!result["reason"].as_str().unwrap().contains("--find-fix"), "{result:#}");
    let place = Place::series(6, bad_until(6));
    let result = place.bisect("6.12.1..6.12.6", "--find-fix").code(1).json();
    assert!(result["reason"].as_str().unwrap().contains("leave out --find-fix"), "{result:#}");
}

#[test]
fn a_series_is_named_by_its_number() {
    let place = Place::series(3, |number| if number > 2 { BAD.to_owned() } else { String::new() });
    place.kernel("6.13.1", BAD);
    place.kernel("6.13.2", BAD);
    let result = place.bisect("6.12..6.13", "").code(0).json();
    let series = result["series"].as_array().unwrap();
    assert_eq!(series.len(), 5);
    assert_eq!(result["first_bad"]["version"], "6.12.3");
    assert!(result["warnings"].to_string().contains("series"), "{}", result["warnings"]);
}

#[test]
fn the_junit_of_a_culprit_is_green_with_the_culprit_in_it() {
    let place = Place::series(5, bad_until(5));
    let folder = place.bisect("6.12.1..6.12.5", "").code(0).json()["run_dir"].clone();
    let xml = place
        .as_printed(&format!("report {} --format junit", folder.as_str().unwrap()))
        .code(0)
        .stdout;
    assert!(xml.contains("failures=\"0\" errors=\"0\""), "{xml}");
    assert!(xml.contains("<testcase name=\"culprit found\" classname=\"smoke\""), "{xml}");
    assert!(
        xml.contains("fails from 6.12.3 on") && xml.contains("name=\"6.12.5\" classname=\"smoke\"")
    );
    let place = Place::series(5, |_| String::new());
    let folder = place.bisect("6.12.1..6.12.5", "").code(1).json()["run_dir"].clone();
    let xml = place
        .as_printed(&format!("report {} --format junit", folder.as_str().unwrap()))
        .code(0)
        .stdout;
    assert!(xml.contains("failures=\"1\""), "{xml}");
}

#[test]
fn the_newest_run_is_meant_where_none_is_named() {
    let place = Place::series(5, bad_until(5));
    place.run("report --format text").code(2);
    place.bisect("6.12.1..6.12.5", "").code(0);
    let report = place.as_printed("report --format md").code(0).stdout;
    assert!(report.contains("6.12.3"), "{report}");
    place.run("resume").code(0);
    place.as_printed("report --bundle -o all.tar.zst").code(0);
    assert!(place.path("all.tar.zst").is_file());
    let said = place.as_printed("report --bundle one.tar.zst -o two.tar.zst");
    // The word after --bundle is its file.
    assert!(said.code(2).stderr.contains("two files"), "one bundle, one name");
}

#[test]
fn a_kernel_that_mends_a_failure_is_verified_for_the_ticket() {
    let place = Place::series(6, bad_until(5));
    let folder = place.bisect("6.12.1..6.12.5", "--no-fix").code(0).json()["run_dir"].clone();
    let folder = folder.as_str().unwrap();
    let said = place.run(&format!("verify {folder} --kernel 6.12.6 --tested-by T<t@t>")).code(0);
    let text = &said.stdout;
    assert!(text.contains("Verification done: 6.12.6 mends it."), "{text}");
    assert!(text.contains("6.12.3                       3 of 3"), "{text}");
    assert!(
        text.contains("6.12.6                       0 of 3") && text.contains("Tested-by: T<t@t>")
    );
    let runs = std::fs::read_dir(place.path("results")).unwrap();
    let mut runs = runs.map(|run| run.unwrap().path().join("verification.txt"));
    let kept = runs.find_map(|file| std::fs::read_to_string(file).ok()).unwrap();
    assert!(text.ends_with(&kept), "{kept}");
    assert!(kept.lines().all(|line| line.len() <= 76), "{kept}");
    let said = place.run(&format!("verify {folder} --kernel 6.12.4")).code(1).stdout;
    assert!(said.contains("Verification failed: 6.12.4 fails as 6.12.3 does"), "{said}");
    assert!(!said.contains("Tested-by"), "{said}");
    for (kernel, says) in [("6.12.3", "is the kernel that fails"), ("6.12.9", "no kernel")] {
        let said = place.run(&format!("verify {folder} --kernel {kernel}")).code(2).stderr;
        assert!(said.contains(says), "{said}");
    }
    let other = place.run("run 6.12.6 --scenario smoke --json").code(0).json()["run_dir"].clone();
    let said = place.run(&format!("verify {} --kernel 6.12.6", other.as_str().unwrap())).code(2);
    assert!(said.stderr.contains("is no bisection"), "{}", said.stderr);
}

#[test]
fn ctrl_c_at_the_newest_kernel_ends_with_the_answer() {
    let place = Place::series(5, bad_until(5));
    let file = place.path("newest");
    place.kernel("6.12.6", &format!("at http\n pid {}\n mute\n", file.display()));
    let run = place.start("6.12.1..6.12.5 --scenario smoke --minimize");
    pid_in(&file);
    let pid = Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let ended = Ended::of(run.wait_with_output().unwrap()).code(0);
    assert!(ended.stdout.contains("6.12.3 on; 6.12.2 is the last good one"), "{}", ended.stdout);
    assert!(ended.stdout.contains("do          stay on 6.12.2\n"), "{}", ended.stdout);
    let journal = std::fs::read_to_string(place.run_folder().join("journal.jsonl")).unwrap();
    assert!(journal.contains("still fails is not known"), "{journal}");
    let runs = std::fs::read_dir(place.path("results")).unwrap().count();
    assert_eq!(runs, 1, "nothing follows");
}

#[test]
fn what_makes_no_sense_beside_an_answer_is_refused() {
    let place = Place::series(2, |_| String::new());
    let check = place.run("check 6.12.1 --scenario smoke --json").code(0).json();
    let folder = check["run_dir"].as_str().unwrap();
    let said = place.as_printed(&format!("report {folder} --for debian")).code(2).stderr;
    assert!(said.contains("is a check"), "{said}");
    let said = place.as_printed("report --for debian --json").code(2);
    assert!(said.stderr.contains("exclude each other"), "{}", said.stderr);
    let tree = crate::commits::tree(&place);
    let ids = ["a", "b"].map(|name| tree.part(name, name, Some(name)));
    let said = crate::commits::bisect(&place, &format!("{}..{}", ids[0], ids[1]), "--fix").code(2);
    assert!(said.stderr.contains("--find-fix"), "{}", said.stderr);
}

/// A crash that nobody looked for says nothing of the failure that was.
#[test]
fn another_failure_of_the_newest_is_no_answer() {
    let place = Place::series(6, |number| match number {
        3.. if number < 6 => BAD.to_owned(),
        6 => PANIC.to_owned(),
        _ => String::new(),
    });
    let result = place.bisect("6.12.1..6.12.5", "").code(0).json();
    let affected = &result["affected"];
    assert_eq!(affected["to"]["version"], "6.12.5", "{affected:#}");
    assert!(affected["newest"].get("fails").is_none(), "a panic is another failure: {affected:#}");
}
