//! The workflows in `docs/ci`: their commands are run as they stand, with a stand-in for QEMU and an
//! archive of made-up kernels, and what they publish must be there.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::newest::archive;
use crate::place::{Ended, Place};
use crate::support::archive::Archive;

fn example(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ci");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// Shell commands of a workflow: the values of `run:` and the items of `script:`, `before_script:`
/// and `after_script:`, each with the name of the step or job that it belongs to.
fn commands(text: &str) -> Vec<(String, String)> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let lines: Vec<&str> = text.lines().collect();
    let (mut found, mut name) = (Vec::new(), String::new());
    for (at, line) in lines.iter().enumerate() {
        let word = line.trim().trim_start_matches("- ");
        if let Some(step) = word.strip_prefix("name: ") {
            step.clone_into(&mut name);
        } else if indent(line) == 0 && line.ends_with(':') {
            line.trim_end_matches(':').clone_into(&mut name);
        }
        let below = || {
            let deeper = |next: &&&str| next.trim().is_empty() || indent(next) > indent(line);
            lines[at + 1..].iter().take_while(deeper).map(|line| line.trim())
        };
        if word == "run: |" {
            found.push((name.clone(), below().collect::<Vec<_>>().join("\n")));
        } else if matches!(word, "script:" | "before_script:" | "after_script:") {
            let item = |line: &str| line.strip_prefix("- ").map(str::to_owned);
            found.extend(below().filter_map(item).map(|command| (name.clone(), command)));
        }
    }
    found
}

/// The value of a key that stands in one line.
fn value<'a>(text: &'a str, key: &str) -> &'a str {
    let line = text.lines().map(str::trim).find_map(|line| line.strip_prefix(key));
    line.unwrap_or_else(|| panic!("no {key}")).trim()
}

/// A folder as a runner has it: `kbisect` in PATH, which goes to the stand-ins.
struct Runner {
    place: Place,
    archive: Archive,
}

impl Runner {
    fn new() -> Self {
        let (place, archive) = (Place::new(), archive());
        let bin = place.path("bin");
        std::fs::create_dir_all(&bin).unwrap();
        let wrapper = format!(
            "#!/bin/sh\ncase $1 in\ncheck) exec '{exe}' \"$@\" --mirror '{url}/debian' \
             --security-mirror '{url}/debian-security' --keyring '{keyring}' --cache '{cache}' \
             --qemu '{qemu}' --accel tcg --reference 6.1.100 ;;\n*) exec '{exe}' \"$@\" ;;\nesac\n",
            exe = env!("CARGO_BIN_EXE_kbisect"),
            url = archive.server.url,
            keyring = archive.key.keyring().display(),
            cache = place.path("cache").display(),
            qemu = kbisect_fake_qemu::path().display(),
        );
        let path = bin.join("kbisect");
        std::fs::write(&path, wrapper).unwrap();
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { place, archive }
    }

    /// Runs a command as runners do: any failing line ends it.
    fn run(&self, command: &str, variables: &[(&str, &str)]) -> Ended {
        // The server of the archive has to be there as long as commands run.
        assert!(self.archive.root.path().is_dir());
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", self.place.path("bin").display());
        let mut shell = Command::new("bash");
        shell.args(["-eu", "-o", "pipefail", "-c", command]).env("PATH", path);
        shell.current_dir(self.place.path("")).env("HOME", self.place.path("home"));
        shell.env("XDG_CONFIG_HOME", self.place.path("config"));
        shell.env("GITHUB_STEP_SUMMARY", self.place.path("summary.md"));
        Ended::of(shell.envs(variables.iter().copied()).output().unwrap())
    }

    fn there(&self, name: &str) -> PathBuf {
        let path = self.place.path(name);
        assert!(path.exists(), "{name} is published, and not there");
        path
    }
}

/// Commands of kbisect among all, those of the step that has `part` in its name.
fn of_step(all: &[(String, String)], part: &str) -> String {
    let found: Vec<&String> = all
        .iter()
        .filter(|(name, command)| name.contains(part) && command.starts_with("kbisect "))
        .map(|(_, command)| command)
        .collect();
    assert_eq!(found.len(), 1, "{part}: {all:?}");
    found[0].clone()
}

/// What both examples have in common: the stand-in plays `smoke` alone.
fn try_gate(nightly: &str, upgrade: &str, after: &str, suite: &str) {
    let variables = [("SUITE", suite), ("SCENARIOS", "smoke")];
    let runner = Runner::new();
    // The security suite's kernel is bad, and the one before it is not.
    let ended = runner.run(nightly, &variables).code(1);
    assert!(ended.stdout.contains("6.1.180             regressed"), "{}", ended.stdout);
    let junit = std::fs::read_to_string(runner.there("kbisect.xml")).unwrap();
    assert!(junit.contains("failures=\"1\"") && junit.contains("6.1.180-1"), "{junit}");
    runner.there("results");
    runner.run(after, &variables).code(0);

    let runner = Runner::new();
    let with = |kernel, baseline| [("KERNEL", kernel), ("BASELINE", baseline), variables[1]];
    runner.run(upgrade, &with("6.1.176", "6.1.170")).code(0);
    let junit = std::fs::read_to_string(runner.there("kbisect.xml")).unwrap();
    assert!(junit.contains("failures=\"0\"") && junit.contains("6.1.176-1"), "{junit}");
    runner.run(upgrade, &with("6.1.180", "6.1.170")).code(1);
    runner.run(upgrade, &with("6.1.999", "6.1.170")).code(2);
}

#[test]
fn the_workflow_for_github_does_what_it_says() {
    let text = example("github-actions.yml");
    let all = commands(&text);
    assert_eq!(all.len(), 5, "{all:?}");
    let (nightly, upgrade) = (of_step(&all, "Nightly"), of_step(&all, "Before an upgrade"));
    let after = of_step(&all, "Summary");
    let check = format!("{after}\ngrep -q 6.1.180 \"$GITHUB_STEP_SUMMARY\"");
    try_gate(&nightly, &upgrade, &check, value(&text, "SUITE:"));
    // What is published is what the commands write.
    assert!(text.contains("path: |\n            kbisect.xml\n            results\n"));
    assert!(text.contains("path: ~/.cache/kbisect\n"));
}

#[test]
fn the_pipeline_for_gitlab_does_what_it_says() {
    let text = example("gitlab-ci.yml");
    let all = commands(&text);
    assert_eq!(all.len(), 5, "{all:?}");
    let (nightly, upgrade) = (of_step(&all, "nightly"), of_step(&all, "upgrade"));
    let after = of_step(&all, ".kernel-gate");
    let check = format!("{after}\ngrep -q 6.1.180 kbisect.html");
    try_gate(&nightly, &upgrade, &check, value(&text, "SUITE:"));
    assert_eq!(value(&text, "junit:"), "kbisect.xml");
    assert_eq!(value(&text, "exit_codes:"), "69");
    assert!(text.contains("- kbisect.html\n      - results\n"));
}

/// Names that are typed wrong would show in somebody's pipeline first.
#[test]
fn scenarios_and_files_that_the_examples_name_exist() {
    let place = Place::new();
    for name in ["github-actions.yml", "gitlab-ci.yml"] {
        let text = example(name);
        for scenario in value(&text, "SCENARIOS:").split(',') {
            place.as_printed(&format!("scenario check {scenario}")).code(0);
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for file in ["scripts/deps", "harness/kbisect"] {
            assert!(text.contains(file) && root.join(file).exists(), "{file}");
        }
        assert!(!text.contains('\t'), "YAML has no tabs");
    }
}
