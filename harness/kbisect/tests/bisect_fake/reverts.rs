//! What follows once a commit was found: it is taken back, others are looked for, releases lead to it.

use std::path::Path;

use crate::commits::{Tree, bisect, tree};
use crate::place::{BAD, PANIC, Place};

/// A tree with commits that each add a file, of which some are bad; gives the ids.
fn parts(tree: &Tree<'_>, bad: &[usize], count: usize) -> Vec<String> {
    let mut all = vec![tree.commit("first", "", "first")];
    all.extend((1..count).map(|at| match bad.contains(&at) {
        true => tree.part(&format!("guilty-{at}"), &format!("parts/{at}"), Some(BAD)),
        false => tree.part(&format!("other-{at}"), &format!("other/{at}"), Some("")),
    }));
    all
}

#[test]
fn the_culprit_is_taken_back_in_the_bad_end() {
    let place = Place::new();
    let tree = tree(&place);
    let all = parts(&tree, &[2], 6);
    // Elsewhere somebody mended it.
    tree.git(&["checkout", "-q", "-b", "later"]);
    let says = format!("mend it\n\nFixes: {} (\"guilty-2\")", &all[2][..12]);
    tree.git(&["commit", "-q", "--allow-empty", "-m", &says]);
    tree.git(&["checkout", "-q", "main"]);
    let range = format!("{}..{}", all[0], all[5]);
    let result = bisect(&place, &range, "--json").code(0).json();
    assert_eq!(result["first_bad"]["name"], all[2][..12]);
    assert_eq!(result["forgone"]["changes"], 4, "{:#}", result["forgone"]);
    assert_eq!(result["forgone"]["mending"][0]["subject"], "mend it");
    assert_eq!(result["forgone"]["mending"].as_array().unwrap().len(), 1);
    let test = &result["revert"];
    assert_eq!(test["outcome"], "proven", "{test:#}");
    assert_eq!(test["commit"]["id"], all[2].as_str());
    assert_eq!(test["onto"]["name"], all[5][..12]);
    let counts = |side: &str| (test[side]["fails"].as_u64(), test[side]["passes"].as_u64());
    assert_eq!((counts("original"), counts("changed")), ((Some(3), Some(0)), (Some(0), Some(3))));
    assert!(counts("after").0 >= Some(3) && counts("before").1 >= Some(3), "{test:#}");
    assert!(result.get("further").is_none());

    // What is sent to those who answer for it says so.
    let folder = Path::new(result["run_dir"].as_str().unwrap()).to_owned();
    let words = format!("report {} --format text", folder.display());
    let mail = place.as_printed(&words).code(0).stdout;
    let short = &all[2][..12];
    for part in [
        format!("The first bad commit is {short} (\"guilty-2\")."),
        format!("#regzbot introduced: {}", all[2]),
        format!("Fixes: {short} (\"guilty-2\")"),
        "bad end, change reverted".to_owned(),
        "fail:runs 0:3".to_owned(),
    ] {
        assert!(mail.contains(&part), "{part}: {mail}");
    }
    assert!(!mail.contains("not known") && !mail.contains("packages were bisected"), "{mail}");

    // Killed once the search was over: the test is made, and only that.
    let journal = std::fs::read_to_string(folder.join("journal.jsonl")).unwrap();
    let over = journal.lines().position(|line| line.contains("\"event\":\"ended\"")).unwrap();
    let kept: String = journal.lines().take(over + 1).map(|line| format!("{line}\n")).collect();
    std::fs::write(folder.join("journal.jsonl"), kept).unwrap();
    let resumed = place.run(&format!("resume {} --json", folder.display())).code(0).json();
    assert_eq!(resumed["revert"], result["revert"]);
    assert_eq!(resumed["trials"], result["trials"]);
    let report = place.as_printed(&format!("report {}", folder.display())).code(0).stdout;
    assert!(report.contains("## Tested by a revert"), "{report}");
    assert!(report.contains("fails in 0 of 3; as it is it fails in 3 of 3"), "{report}");

    // The trials of the test are none of the search's.
    let log = place.as_printed(&format!("report {} --format bisect-log", folder.display()));
    let log = log.code(0).stdout;
    assert!(
        !log.contains("without") && log.contains(&format!("git bisect bad {}", all[2])),
        "{log}"
    );

    let result = bisect(&place, &range, "--json --no-revert").code(0).json();
    assert!(result.get("revert").is_none());
    let result = bisect(&place, &range, "--json --quick").code(0).json();
    assert_eq!(
        (&result["revert"]["outcome"], &result["revert"]["changed"]["passes"]),
        (&"proven".into(), &1.into())
    );
}

#[test]
fn each_of_several_culprits_is_named() {
    let place = Place::new();
    let tree = tree(&place);
    let all = parts(&tree, &[2, 4, 7], 9);
    let range = format!("{}..{}", all[0], all[8]);
    let ended = bisect(&place, &range, "--json").code(0);
    let result = ended.json();
    assert_eq!(result["first_bad"]["name"], all[2][..12]);
    assert_eq!(result["revert"]["outcome"], "still-fails");
    let further = result["further"].as_array().unwrap();
    let named: Vec<_> = further.iter().map(|one| one["commit"]["id"].as_str().unwrap()).collect();
    assert_eq!(named, [&all[4], &all[7]]);
    assert_eq!(further[0]["revert"], "still-fails");
    assert_eq!(further[1]["revert"], "proven");
    // The runs that went on are runs like any other.
    let runs = std::fs::read_dir(place.path("results")).unwrap().count();
    assert_eq!(runs, 3);
    assert!(further[0]["run_id"].as_str().unwrap().ends_with(&format!(
        "-smoke-{}..{}",
        &all[1][..12],
        &all[8][..12]
    )));
    let last = format!("results/{}", further[1]["run_id"].as_str().unwrap());
    let report = place.as_printed(&format!("report {last}")).code(0).stdout;
    assert!(report.contains("taken back in all commits that contain them"), "{report}");
    // Killed in the last of them, and resumed from the first one.
    let journal = place.path(&last).join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(
        &journal,
        text.lines().take(4).map(|line| format!("{line}\n")).collect::<String>(),
    )
    .unwrap();
    let first = result["run_dir"].as_str().unwrap();
    let resumed = place.run(&format!("resume {first} --json")).code(0).json();
    assert_eq!(resumed["further"], result["further"]);
    assert_eq!(std::fs::read_dir(place.path("results")).unwrap().count(), 3);
    let said = place.run(&format!("resume {first}")).code(0).stdout;
    assert!(said.contains("guilty-4") && said.contains("guilty-7"), "{said}");

    // Folders of others can name whatever they like.
    let journal = Path::new(first).join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    let second = further[0]["run_id"].as_str().unwrap();
    let own = Path::new(first).file_name().unwrap().to_str().unwrap();
    for (name, says) in [(own, "lead in a circle"), ("..", "no name of a run"), ("a/b", "no name")]
    {
        let hostile =
            text.replace(&format!("\"run_id\":\"{second}\""), &format!("\"run_id\":\"{name}\""));
        assert_ne!(hostile, text);
        std::fs::write(&journal, hostile).unwrap();
        let said = place.run(&format!("resume {first}")).code(69).stderr;
        assert!(said.contains(says), "{name}: {said}");
    }
}

#[test]
fn a_fix_is_applied_to_the_bad_end() {
    let place = Place::new();
    let tree = tree(&place);
    tree.commit("first", "", "first");
    let bad = tree.part("guilty", "parts/1", Some(BAD));
    tree.part("other", "other/1", Some(""));
    let fix = tree.part("fix", "parts/1", None);
    let last = tree.part("last", "other/2", Some(""));
    let result = bisect(&place, &format!("{bad}..{last}"), "--find-fix --json").code(0).json();
    assert_eq!(result["first_good"]["name"], fix[..12]);
    let test = &result["revert"];
    assert_eq!((&test["outcome"], &test["onto"]["name"]), (&"proven".into(), &bad[..12].into()));
    let said = bisect(&place, &format!("{bad}..{last}"), "--find-fix").code(0).stdout;
    assert!(
        said.contains(&format!("{} with {} applied fails in 0 of 3", &bad[..12], &fix[..12])),
        "{said}"
    );
}

#[test]
fn a_release_leads_to_the_commit() {
    let place = Place::series(4, |number| if number >= 3 { BAD.to_owned() } else { String::new() });
    let tree = tree(&place);
    let all = parts(&tree, &[3], 6);
    for (tag, at) in [("v6.12.1", 0), ("v6.12.2", 1), ("v6.12.3", 4), ("v6.12.4", 5)] {
        tree.git(&["tag", tag, &all[at]]);
    }
    let words = "6.12.1..6.12.4 --scenario smoke --drill git:tree --config kernel.config";
    let result = place.run(&format!("{words} --json")).code(0).json();
    assert_eq!(result["first_bad"]["package_version"], "6.12.3");
    let further = &result["further"][0];
    assert_eq!(
        (&further["because"], &further["commit"]["id"]),
        (&"drill".into(), &all[3].as_str().into())
    );
    let said = place.run(words).code(0).stdout;
    assert!(said.contains("first bad   6.12.3") && said.contains("guilty-3"), "{said}");
    // The last word is that of the whole.
    let line = format!("commit      {} \"guilty-3\", shown by a revert", &all[3][..12]);
    assert!(said.rsplit("On the kernels").next().unwrap().contains(&line), "{said}");
    let first = result["run_dir"].as_str().unwrap();
    let said = place.run(&format!("resume {first}")).code(0).stdout;
    let line = format!("commit      {} \"guilty-3\", shown by a revert", &all[3][..12]);
    assert!(said.contains(&line), "{said}");
    // A kernel of our own that fails in another way is not what is looked for.
    tree.git(&["checkout", "-q", "-b", "panics", &all[2]]);
    let panics = tree.part("panics", "parts/0", Some(PANIC));
    tree.git(&["tag", "-f", "v6.12.3", &panics]);
    let result = place.run(&format!("{words} --json")).code(1).json();
    assert_eq!(result["first_bad"]["package_version"], "6.12.3");
    let further = &result["further"][0];
    assert_eq!((&further["outcome"], further.get("commit")), (&"not-reproduced".into(), None));
    // What a tree lacks shows before anything is tried.
    tree.git(&["tag", "-d", "v6.12.4"]);
    let said = place.run(words).code(2).stderr;
    assert!(said.contains("no commit `v6.12.4`"), "{said}");
    let said = place.run("6.12.1..6.12.4 --scenario smoke --drill tree").code(2).stderr;
    assert!(said.contains("named as git:PATH"), "{said}");
}
