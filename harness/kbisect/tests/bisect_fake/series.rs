//! Series that are written down, and variants of kernels in them.

use rustix::process::{Pid, Signal, kill_process};

use crate::place::{BAD, Place, is_gone, pid_in};

const HEAD: &str = "schema = \"kbisect.series/1\"\n";

fn write(place: &Place, file: &str, kernels: &[&str]) {
    let list: String = kernels.iter().map(|kernel| format!("    \"{kernel}\",\n")).collect();
    std::fs::write(place.path(file), format!("{HEAD}kernels = [\n{list}]\n")).unwrap();
}

#[test]
fn the_order_is_that_of_the_file_not_of_the_versions() {
    let place = Place::series(6, |number| match number {
        1 | 6 => BAD.to_owned(),
        _ => String::new(),
    });
    write(&place, "mixed.toml", &["6.12.5", "6.12.2", "6.12.3", "6.12.6", "6.12.1"]);
    let result = place.bisect("mixed.toml", "").code(0).json();
    assert_eq!(result["outcome"], "found");
    assert_eq!(result["last_good"]["version"], "6.12.3");
    assert_eq!(result["first_bad"]["version"], "6.12.6");
    let folder = place.run_folder().file_name().unwrap().to_string_lossy().into_owned();
    assert!(folder.ends_with("smoke-mixed"), "{folder}");
    let plan = place.run("./mixed.toml --scenario smoke --json --dry-run").code(0).json();
    assert_eq!((&plan["old_end"], &plan["new_end"]), (&"6.12.5".into(), &"6.12.1".into()));
    assert_eq!(plan["series"].as_array().unwrap().len(), 5);
    let fix = Place::series(4, |number| if number == 3 { BAD.to_owned() } else { String::new() });
    write(&fix, "fix.toml", &["6.12.3", "6.12.4", "6.12.1"]);
    let result = fix.bisect("fix.toml", "--find-fix").code(0).json();
    assert_eq!(result["first_good"]["version"], "6.12.4");
}

#[test]
fn a_variant_boots_with_its_words_and_is_shown_as_one() {
    let place = Place::series(1, |_| String::new());
    let add = "kernels add --base 6.12.1 --cmdline nosmp --cmdline quirk=1 --as mine";
    // `kernels` starts no machines, so that it takes none of the options for them.
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kbisect"));
    command.args(add.split(' ')).args(["--json", "--offline", "--cache"]).arg(place.path("cache"));
    command.env("HOME", place.path(".")).env("XDG_CONFIG_HOME", place.path("config"));
    let added = crate::place::Ended::of(command.output().unwrap()).code(0).json();
    let kernel = &added["kernels"][0]["kernel"];
    assert_eq!(kernel["source"], "variant of 6.12.1 (nosmp quirk=1)", "{added}");
    assert_eq!(kernel["variant"]["cmdline"], serde_json::json!(["nosmp", "quirk=1"]));
    let result = place.run("run mine --scenario smoke --json").code(0).json();
    assert_eq!(result["kernel"]["variant"]["base"], "6.12.1");
    assert_eq!(result["repeat"], "kbisect run mine --scenario smoke");
    let trial = place.run_folder().join(result["directory"].as_str().unwrap());
    let words = std::fs::read_to_string(trial.join("candidate/qemu.cmdline")).unwrap();
    assert!(words.contains(" nosmp quirk=1"), "{words}");
    let stock = place.run("run 6.12.1 --scenario smoke --json").code(0).json();
    assert!(stock["kernel"].get("variant").is_none(), "a version never means a variant");
    assert_ne!(stock["kernel"]["id"], result["kernel"]["id"]);
}

#[test]
fn a_run_over_a_list_is_gone_on_with_when_the_list_has_gone() {
    let place = Place::new();
    let (once, pid) = (place.path("once"), place.path("held"));
    let held = format!("at http\n first-time {}\n pid {}\n mute\n", once.display(), pid.display());
    for (version, script) in
        [("6.12.1", held.as_str()), ("6.12.2", ""), ("6.12.3", ""), ("6.12.4", BAD)]
    {
        place.kernel(version, script);
    }
    place.variant("6.12.4", "quirk=1", "mine");
    write(&place, "list.toml", &["6.12.1", "6.12.2", "6.12.3", "mine"]);
    let mut run = place.start("list.toml --scenario smoke --json");
    let candidate = pid_in(&pid);
    let process = Pid::from_raw(i32::try_from(run.id()).unwrap()).unwrap();
    kill_process(process, Signal::KILL).unwrap();
    run.wait().unwrap();
    assert!(is_gone(candidate));
    std::fs::remove_file(place.path("list.toml")).unwrap();
    let words = format!("resume {} --json", place.run_folder().display());
    let result = place.run(&words).code(0).json();
    assert_eq!(result["outcome"], "found");
    assert_eq!(result["last_good"]["version"], "6.12.3");
    assert_eq!(result["first_bad"]["name"], "mine");
    assert_eq!(result["first_bad"]["variant"]["base"], "6.12.4");
}

#[test]
fn a_list_that_cannot_be_used_is_refused_with_its_place() {
    let place = Place::series(3, |_| String::new());
    place.variant("6.12.3", "quirk=1", "my-variant");
    let refused = |text: &str| {
        std::fs::write(place.path("list.toml"), text).unwrap();
        let ended = place.run("list.toml --scenario smoke --json").code(2);
        assert!(!place.path("results").exists(), "nothing is left behind");
        ended.json()["error"].as_str().unwrap().to_owned()
    };
    let error = refused(&format!("{HEAD}kernels = [\n    \"6.12.1\",\n    \"my-varaint\",\n]\n"));
    assert!(error.starts_with("list.toml:4:5: kernels[1]: `my-varaint` is neither"), "{error}");
    assert!(error.ends_with("did you mean `my-variant`?"), "{error}");
    let error = refused(&format!("{HEAD}kernels = [\"6.12.1\", \"6.12.9\", \"6.12.1\"]\n"));
    let lines: Vec<&str> = error.lines().collect();
    assert!(lines[0].contains("kernels[1]: no kernel `6.12.9`"), "{error}");
    assert!(lines[1].contains("kernels[2]: `6.12.1` is listed twice"), "{error}");
    let error = refused("kernels = [\"6.12.1\", \"6.12.2\"]\n");
    assert_eq!(error, "list.toml:1:1: `schema` is missing");
    std::fs::remove_file(place.path("list.toml")).unwrap();
    let ended = place.run("list.toml --scenario smoke --json").code(2);
    assert!(ended.stderr.contains("cannot read the series `list.toml`: No such file"));
}
