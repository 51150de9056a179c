//! Commits of a git tree as candidates: built in the sandbox by a tree whose Makefile makes scripted kernels.

use std::path::Path;
use std::process::Command;

use crate::place::{BAD, Ended, NO_BOOT, Place};

const MAKEFILE: &str = "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 1\nEXTRAVERSION =\n\
    olddefconfig: ; @true\n\
    bzImage:\n\
    \t@test ! -e broken || { echo 'net/a.c:5:3: error: unknown type' >&2; exit 1; }\n\
    \t@mkdir -p $(O)/arch/x86/boot $(O)/include/config\n\
    \t@cat image $(wildcard parts/*) > $(O)/arch/x86/boot/bzImage\n\
    \t@echo 6.12.1 > $(O)/include/config/kernel.release\n\
    \t@echo deps: /src/image > $(O)/.image.cmd\n\
    \t@touch $(O)/System.map\n";

/// What every trial needs, built in.
const CONFIG: &str = "CONFIG_VIRTIO_PCI=y\nCONFIG_VIRTIO_BLK=y\nCONFIG_VIRTIO_NET=y\n\
    CONFIG_VIRTIO_CONSOLE=y\nCONFIG_SQUASHFS=y\nCONFIG_OVERLAY_FS=y\n";

/// A git tree beside a place.
pub struct Tree<'a>(&'a Place);

impl Tree<'_> {
    pub fn git(&self, words: &[&str]) -> String {
        let mut command = Command::new("git");
        command.arg("-C").arg(self.0.path("tree")).args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@t",
        ]);
        let output = command.args(words).env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits a kernel that plays a script; gives the commit's id.
    pub fn commit(&self, subject: &str, script: &str, note: &str) -> String {
        let tree = self.0.path("tree");
        let image = kbisect_fake_qemu::image("6.12.1", script);
        std::fs::write(tree.join("image"), image).unwrap();
        self.part(subject, &format!("notes-{note}"), Some(note))
    }

    /// Commits a file of its own, or that one is gone.
    pub fn part(&self, subject: &str, name: &str, text: Option<&str>) -> String {
        let file = self.0.path("tree").join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        match text {
            Some(text) => std::fs::write(file, text).unwrap(),
            None => std::fs::remove_file(file).unwrap(),
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", subject]);
        self.git(&["rev-parse", "HEAD"])
    }
}

pub fn tree(place: &Place) -> Tree<'_> {
    let folder = place.path("tree");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("Makefile"), MAKEFILE).unwrap();
    std::fs::write(place.path("kernel.config"), CONFIG).unwrap();
    let tree = Tree(place);
    tree.git(&["init", "-q", "-b", "main", "."]);
    tree
}

pub fn bisect(place: &Place, range: &str, words: &str) -> Ended {
    place.run(&format!("{range} --source git:tree --config kernel.config --scenario smoke {words}"))
}

fn of_tree(folder: &Path, words: &[&str], input: &str) -> (bool, String) {
    use std::io::Write as _;
    let mut command = Command::new("git");
    command.arg("-C").arg(folder).args(words).stdin(std::process::Stdio::piped());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.env("GIT_CONFIG_GLOBAL", "/dev/null").spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn the_guilty_commit_is_found_in_a_history_with_a_merge() {
    let place = Place::new();
    let tree = tree(&place);
    // good - side ------- merged - broken - unbootable - after - no-op - last
    //      \ two - guilty /
    let good = tree.commit("good", "", "1");
    tree.git(&["tag", "v6.12.1"]);
    tree.git(&["checkout", "-q", "-b", "side"]);
    tree.commit("side", "", "2");
    tree.git(&["checkout", "-q", "main"]);
    tree.commit("two", "", "3");
    let guilty = tree.commit("guilty", BAD, "4");
    tree.git(&["merge", "-q", "-s", "ours", "-m", "merged", "side"]);
    std::fs::write(place.path("tree/broken"), "").unwrap();
    tree.commit("broken", BAD, "5");
    std::fs::remove_file(place.path("tree/broken")).unwrap();
    tree.commit("unbootable", NO_BOOT, "6");
    tree.commit("after", BAD, "7");
    tree.commit("no-op", BAD, "8");
    let last = tree.commit("last", &format!("{BAD}# and more\n"), "9");
    std::fs::write(place.path("tree/image"), "the user's own work").unwrap();
    let state = || {
        let index = std::fs::read(place.path("tree/.git/index")).unwrap();
        (tree.git(&["status", "--porcelain"]), tree.git(&["show-ref"]), index)
    };
    let before = state();

    let ended = bisect(&place, &format!("v6.12.1..{last}"), "--json").code(0);
    let result = ended.json();
    assert_eq!(result["first_bad"]["name"], guilty[..12], "{result:#}");
    assert_eq!(result["outcome"].as_str().unwrap().split('-').next(), Some("found"));
    let series = result["series"].as_array().unwrap();
    assert_eq!(series.len(), 10);
    let entry = |subject: &str| {
        series.iter().find(|entry| entry["commit"]["subject"] == subject).unwrap().clone()
    };
    assert_eq!(entry("guilty")["commit"]["id"], guilty.as_str());
    assert_eq!(entry("good")["commit"]["id"], good.as_str());
    assert_eq!(entry("merged")["commit"]["parents"].as_array().unwrap().len(), 2);
    assert_eq!(state(), before, "the user's tree is as it was");

    // Later commits changed the image, too.
    assert_eq!(result["revert"]["outcome"], "conflicts");
    assert_eq!(result["revert"]["files"][0], "image");

    let folder = result["run_dir"].as_str().unwrap();
    let log = place.as_printed(&format!("report {folder} --format bisect-log")).code(0).stdout;
    assert!(log.contains(&format!("git bisect bad {guilty}")), "{log}");
    tree.git(&["checkout", "-q", "image"]);
    let file = place.path("log");
    std::fs::write(&file, &log).unwrap();
    let (ok, said) =
        of_tree(&place.path("tree"), &["bisect", "replay", &file.display().to_string()], "");
    assert!(ok && said.contains(&format!("{guilty} is the first bad commit")), "{said}{log}");
}

#[test]
fn what_does_not_build_is_skipped_and_what_is_the_same_is_not_booted() {
    let place = Place::new();
    let tree = tree(&place);
    let first = tree.commit("first", "", "1");
    std::fs::write(place.path("tree/broken"), "").unwrap();
    tree.commit("broken", "", "2");
    std::fs::remove_file(place.path("tree/broken")).unwrap();
    tree.commit("same", "", "3");
    let last = tree.commit("last", BAD, "4");
    let result = bisect(&place, &format!("{first}..{last}"), "--json").code(0).json();
    assert_eq!(result["first_bad"]["name"], last[..12], "{result:#}");
    let trials = result["trials"].as_array().unwrap();
    let of = |subject: &str| {
        let series = result["series"].as_array().unwrap();
        let entry = series.iter().find(|entry| entry["commit"]["subject"] == subject).unwrap();
        let id = entry["kernel"]["id"].clone();
        trials.iter().find(|trial| trial["kernel"]["id"] == id).cloned()
    };
    let same = of("same").expect("it was tried");
    let note = same["notes"].to_string();
    assert!(note.contains("its image and modules are those of"), "{same:#}");
    // What confirms the answer is made, not copied.
    let all = trials.iter().filter(|trial| trial["kernel"]["id"] == same["kernel"]["id"]);
    let (shared, made): (Vec<_>, Vec<_>) =
        all.partition(|trial| trial["notes"].to_string().contains("not booted"));
    assert_eq!(shared.len(), 1, "{shared:#?}");
    assert!(
        made.len() >= 2,
        "{} {:#?}",
        result["confidence"],
        trials
            .iter()
            .map(|t| (
                t["kernel"]["name"].clone(),
                t["verdict"].clone(),
                t["boot"].clone(),
                t["notes"].clone()
            ))
            .collect::<Vec<_>>()
    );
    if let Some(broken) = of("broken") {
        assert_eq!(broken["untestable"]["why"], "no-build");
        assert!(broken["reason"].as_str().unwrap().contains("net/a.c:5:3: error: unknown type"));
    }
}

#[test]
fn a_run_that_was_killed_builds_nothing_twice_and_ends_are_told() {
    let place = Place::new();
    let tree = tree(&place);
    let first = tree.commit("first", "", "1");
    let last = tree.commit("last", BAD, "2");
    let range = format!("{first}..{last}");
    let said = bisect(&place, &format!("{last}..{first}"), "").code(2).stderr;
    assert!(said.contains("the older end is named first"), "{said}");
    let said = bisect(&place, &format!("{first}..v9"), "").code(2).stderr;
    assert!(said.contains("no commit `v9`"), "{said}");
    let said = place.run(&format!("{range} --source git:nowhere --scenario smoke")).code(2).stderr;
    assert!(said.contains("nowhere` is no git tree"), "{said}");
    let words = "check 6.1.100 --scenario smoke --source git:tree";
    let said = place.run(words).code(2).stderr;
    assert!(said.contains("candidates of a bisection only"), "{said}");
    let said = place.run("6.1.100..6.1.101 --scenario smoke --first-parent").code(2).stderr;
    assert!(said.contains("no git tree is named"), "{said}");
    std::fs::write(place.path("kernel.config"), "nothing\n").unwrap();
    let said = bisect(&place, &range, "").code(2).stderr;
    assert!(said.contains("is no configuration of a kernel"), "{said}");
    std::fs::write(place.path("kernel.config"), CONFIG).unwrap();

    let plan = bisect(&place, &range, "--dry-run --json").code(0).json();
    assert_eq!(plan["options"]["commits"]["configuration"], "given");
    assert!(!place.path("cache/commits").exists(), "a dry run builds nothing");
    let result = bisect(&place, &range, "--quick --json").code(0).json();
    assert_eq!(result["first_bad"]["name"], last[..12]);
    // The journal as a kill would have left it, and a tree that can build nothing any more.
    let folder = Path::new(result["run_dir"].as_str().unwrap()).to_owned();
    let journal = std::fs::read_to_string(folder.join("journal.jsonl")).unwrap();
    let began = journal.lines().take(1).map(|line| format!("{line}\n")).collect::<String>();
    std::fs::write(folder.join("journal.jsonl"), began).unwrap();
    std::fs::remove_dir_all(place.path("cache/commits")).unwrap();
    let resumed = place.run(&format!("resume {} --json", folder.display())).code(0).json();
    assert_eq!(resumed["first_bad"]["name"], last[..12]);
    assert!(!place.path("cache/commits").exists(), "it was built again");
}

#[test]
fn likely_commits_are_tried_first_and_unlikely_ones_are_found() {
    let place = Place::new();
    let tree = tree(&place);
    // Nothing is built of a driver, as far as the list of the kernel's sources goes.
    let mut all = vec![tree.commit("first", "", "first")];
    let driver = |at: usize| format!("drivers/{at}.c");
    all.extend((1..20).map(|at| match at {
        17 => tree.commit("image: guilty", BAD, "17"),
        at => tree.part(&format!("driver: {at}"), &driver(at), Some("")),
    }));
    let range = format!("{}..{}", all[0], all[19]);
    let run = |range: &str, words: &str| {
        let words = format!("--no-revert --skip-endpoint good --json {words}");
        bisect(&place, range, &words).code(0).json()
    };
    let kernels = |result: &serde_json::Value| {
        let names =
            result["trials"].as_array().unwrap().iter().map(|it| it["kernel"]["name"].to_string());
        names.collect::<std::collections::BTreeSet<_>>().len()
    };
    let (weighed, plain) = (run(&range, ""), run(&range, "--no-prior"));
    for result in [&weighed, &plain] {
        assert_eq!(result["first_bad"]["name"], all[17][..12], "{result:#}");
    }
    let told = |of: &serde_json::Value, name: &str| of["prior"][name].as_u64();
    assert_eq!((told(&weighed, "commits"), told(&weighed, "place")), (Some(20), Some(1)));
    assert_eq!(told(&weighed, "built"), Some(2), "the end stands for what came before");
    assert!(plain.get("prior").is_none());
    assert!(kernels(&weighed) < kernels(&plain), "{} {}", kernels(&weighed), kernels(&plain));

    // The same weights lead a resumed run, and a report says them.
    let folder = Path::new(weighed["run_dir"].as_str().unwrap()).to_owned();
    let journal = std::fs::read_to_string(folder.join("journal.jsonl")).unwrap();
    let is_end =
        |line: &&str| line.contains(r#""event":"ended""#) || line.contains(r#""number":3"#);
    let begun: String =
        journal.lines().take_while(|line| !is_end(line)).map(|line| format!("{line}\n")).collect();
    assert!(begun.contains(r#""event":"weighed""#), "{begun}");
    std::fs::write(folder.join("journal.jsonl"), begun).unwrap();
    let resumed = place.run(&format!("resume {} --json", folder.display())).code(0).json();
    assert_eq!(
        (&resumed["first_bad"], &resumed["prior"]),
        (&weighed["first_bad"], &weighed["prior"])
    );
    let report = std::fs::read_to_string(folder.join("report.md")).unwrap();
    assert!(report.contains("(the answer has place 1 of 20 by that)"), "{report}");
}

#[test]
fn a_commit_that_nothing_speaks_for_is_found() {
    let place = Place::new();
    let tree = tree(&place);
    let mut all = vec![tree.commit("first", "", "first")];
    all.extend((1..20).map(|at| match at {
        // The list of sources does not have it.
        7 => tree.part("driver: guilty", "parts/7.c", Some(BAD)),
        at => tree.part(&format!("net: http: smoke {at}"), &format!("net/{at}.sh"), Some("")),
    }));
    let range = format!("{}..{}", all[0], all[19]);
    let result = bisect(&place, &range, "--no-revert --json").code(0).json();
    assert_eq!(result["first_bad"]["name"], all[7][..12], "{result:#}");
    assert_eq!(result["prior"]["place"], 20, "{result:#}");
}

#[test]
fn what_no_end_builds_is_no_answer() {
    let place = Place::new();
    let tree = tree(&place);
    std::fs::write(place.path("tree/broken"), "").unwrap();
    let first = tree.commit("first", "", "1");
    tree.commit("second", "", "2");
    let last = tree.commit("last", BAD, "3");
    let ended = bisect(&place, &format!("{first}..{last}"), "").code(69);
    assert!(ended.stderr.contains("neither end builds, for the same reason"), "{}", ended.stderr);
    assert!(ended.stderr.contains("net/a.c:5:3: error: unknown type"), "{}", ended.stderr);
    // The one end that does not build says nothing of the other.
    std::fs::remove_file(place.path("tree/broken")).unwrap();
    let mended = tree.commit("mended", BAD, "4");
    let result = bisect(&place, &format!("{first}..{mended}"), "--json").code(1).json();
    assert_eq!(result["outcome"], "aborted");
    assert!(result["reason"].as_str().unwrap().contains("it does not build"), "{result:#}");
}

#[test]
fn a_stack_of_patches_is_bisected() {
    let place = Place::new();
    let tree = tree(&place);
    let base = tree.commit("base", "", "base");
    let patches = place.path("patches");
    std::fs::create_dir(&patches).unwrap();
    let add = |file: &str, text: &str| {
        let lines: String = text.lines().map(|line| format!("+{line}\n")).collect();
        let count = text.lines().count();
        format!("--- /dev/null\n+++ b/{file}\n@@ -0,0 +1,{count} @@\n{lines}")
    };
    let names = ["one", "two", "guilty", "four"];
    for name in names {
        let text = match name {
            "guilty" => add("parts/1", BAD),
            _ => add(&format!("other/{name}"), name),
        };
        std::fs::write(patches.join(format!("{name}.patch")), text).unwrap();
    }
    let series: String = names.iter().map(|name| format!("{name}.patch\n")).collect();
    std::fs::write(patches.join("series"), series).unwrap();
    let words = "--config kernel.config --scenario smoke --json";
    let stack = format!("--source quilt:patches --base git:tree@{base}");
    let result = place.run(&format!("base..all {stack} {words}")).code(0).json();
    assert_eq!(result["first_bad"]["name"], "guilty", "{result:#}");
    assert_eq!(result["revert"]["outcome"], "proven");
    let said = place.run(&format!("base..all --source quilt:patches {words}")).code(2).stderr;
    assert!(said.contains("none is named"), "{said}");
    let said = place.run(&format!("base..all --source quilt:tree --base git:tree {words}")).code(2);
    assert!(said.stderr.contains("tree/series` cannot be read"), "{}", said.stderr);
    std::fs::write(patches.join("two.patch"), add("image", "x")).unwrap();
    let said = place.run(&format!("base..all {stack} {words}")).code(2).stderr;
    assert!(said.contains("patch `two.patch` does not apply"), "{said}");
}

#[test]
fn kernels_that_somebody_else_built_are_bisected() {
    let place = Place::new();
    let tree = tree(&place);
    let put = |id: &str, script: &str, sum: Option<&str>| {
        let folder = place.path("built").join(id);
        std::fs::create_dir_all(&folder).unwrap();
        let image = kbisect_fake_qemu::image("6.12.1", script);
        std::fs::write(folder.join("bzImage"), &image).unwrap();
        if let Some(sum) = sum {
            std::fs::write(folder.join("bzImage.sha256"), sum).unwrap();
        }
    };
    let all: Vec<String> =
        (0..6).map(|at| tree.part(&format!("c{at}"), &at.to_string(), Some(""))).collect();
    for (at, id) in all.iter().enumerate() {
        let script = if at >= 4 { format!("{BAD}# {at}\n") } else { format!("# {at}\n") };
        // Of the second nobody built one.
        if at != 2 {
            put(id, &script, None);
        }
    }
    let sum =
        Command::new("sha256sum").arg(place.path("built").join(&all[5]).join("bzImage")).output();
    let sum = String::from_utf8(sum.unwrap().stdout).unwrap();
    std::fs::write(place.path("built").join(&all[5]).join("bzImage.sha256"), &sum).unwrap();
    let words = |template: &str| {
        format!(
            "{}..{} --source git:tree --source urls:{template} --scenario smoke",
            all[0], all[5]
        )
    };
    let result = place.run(&format!("{} --json", words("built/{commit}/bzImage"))).code(0).json();
    assert_eq!(result["first_bad"]["name"], all[4][..12], "{result:#}");
    assert!(result.get("revert").is_none(), "nobody built that");
    assert!(result["warnings"].to_string().contains("untrusted"), "{result:#}");
    let notes = |of: &str| {
        let trials = result["trials"].as_array().unwrap();
        let trial = trials.iter().find(|trial| trial["kernel"]["name"] == of[..12]).unwrap();
        trial["notes"].to_string()
    };
    assert!(notes(&all[4]).contains("untrusted, no checksum"), "{}", notes(&all[4]));
    assert!(notes(&all[5]).contains(&sum[..64]) && !notes(&all[5]).contains("untrusted"));
    let folder = result["run_dir"].as_str().unwrap();
    let mail = place.as_printed(&format!("report {folder} --format text")).code(0).stdout;
    assert!(mail.contains("untrusted") && !mail.contains("were built from the commits"), "{mail}");
    let lost = result["series"][2].clone();
    if lost["verdict"] == "skip" {
        assert!(lost["reason"].as_str().unwrap().contains("there is no kernel of it"), "{lost:#}");
    }

    // What its checksum belies is nobody's answer.
    put(&all[5], "# another\n", Some(&sum));
    // Under another name it is not at hand yet.
    let said = place.run(&words("built/../built/{commit}/bzImage")).code(69).stderr;
    assert!(said.contains("is not what") && said.contains(".sha256` says"), "{said}");
    // A kernel of another version is that of another commit.
    let another = kbisect_fake_qemu::image("6.12.2", "");
    std::fs::write(place.path("built").join(&all[5]).join("bzImage"), another).unwrap();
    std::fs::remove_file(place.path("built").join(&all[5]).join("bzImage.sha256")).unwrap();
    let said = place.run(&words("built/../built/../built/{commit}/bzImage")).stderr;
    assert!(said.contains("is a kernel 6.12.2, and the commit makes 6.12.1"), "{said}");
    for (wrong, says) in [
        ("built/bzImage", "has no {commit} in it"),
        ("built/{commit}/bzImage --config kernel.config", "are about builds"),
    ] {
        let said = place.run(&words(wrong)).code(2).stderr;
        assert!(said.contains(says), "{said}");
    }
    let said = place.run("6.12.1..6.12.4 --source urls:x/{commit} --scenario smoke").code(2).stderr;
    assert!(said.contains("add --source git:PATH"), "{said}");
}

#[test]
fn the_whole_configuration_is_what_the_tree_makes_of_it() {
    let place = Place::new();
    let tree = tree(&place);
    let makefile = format!(
        "{MAKEFILE}allnoconfig:\n\t@cp $(KCONFIG_ALLCONFIG) $(O)/.config\n\t@echo '# CONFIG_X is not set' >> $(O)/.config\n"
    );
    std::fs::write(place.path("tree/Kconfig"), "config SQUASHFS\n\tbool \"squashfs\"\n").unwrap();
    tree.part("one", "Makefile", Some(&makefile));
    let asked = "config smoke --source git:tree --kernel main";
    let fragment = place.as_printed(asked).code(0).stdout;
    assert!(
        fragment.contains("CONFIG_SQUASHFS=y") && !fragment.contains("CONFIG_X "),
        "{fragment}"
    );
    let whole = place.as_printed(&format!("{asked} --whole")).code(0).stdout;
    assert!(whole.contains("CONFIG_SQUASHFS=y\n"), "{whole}");
    assert!(whole.ends_with("# CONFIG_X is not set\n"), "{whole}");
    let document = place.as_printed(&format!("{asked} --whole --json")).code(0).json();
    assert_eq!(document["options"]["X"], "n", "{document:#}");
    assert_eq!(document["options"]["SQUASHFS"], "y");
}
