//! The command line from outside: words, exit codes, documents. No network, no machine.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A place of its own for each test: no cache, no configuration, no runs.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kbisect"));
        command
            .args(line.split_whitespace())
            .current_dir(self.path())
            .env("HOME", self.path())
            .env("XDG_CACHE_HOME", self.path().join("cache"))
            .env("XDG_CONFIG_HOME", self.path().join("config"))
            .env_remove("NO_COLOR")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, line: &str) -> Ended {
        Ended::of(line, self.command(line).output().unwrap())
    }

    fn feed(&self, line: &str, input: &[u8]) -> Ended {
        let mut command = self.command(line);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        Ended::of(line, child.wait_with_output().unwrap())
    }
}

/// How a command ended.
struct Ended {
    line: String,
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ended {
    fn of(line: &str, output: Output) -> Self {
        let ended = Self {
            line: line.to_owned(),
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        };
        assert!(!ended.stderr.contains("panicked"), "{line}: {}", ended.stderr);
        ended
    }

    #[track_caller]
    fn code(self, code: i32) -> Self {
        let Self { line, stdout, stderr, .. } = &self;
        assert_eq!(self.code, code, "{line}\nstdout: {stdout}\nstderr: {stderr}");
        self
    }

    #[track_caller]
    fn says(self, part: &str) -> Self {
        let Self { line, stdout, stderr, .. } = &self;
        let there = stdout.contains(part) || stderr.contains(part);
        assert!(there, "{line}: no `{part}`\nstdout: {stdout}\nstderr: {stderr}");
        self
    }

    /// The one document of standard output.
    #[track_caller]
    fn document(&self, schema: &str) -> Value {
        let value: Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{}: {error}: {}", self.line, self.stdout));
        assert_eq!(value["schema"], schema, "{}", self.line);
        value
    }
}

const PANIC: &str = "[    5.100000] Kernel panic - not syncing: sysrq triggered crash\n\
    [    5.100100] CPU: 0 PID: 1 Comm: sh Not tainted 6.12.57 #1\n\
    [    5.100200] Call Trace:\n\
    [    5.100300]  <TASK>\n\
    [    5.100400]  dump_stack_lvl+0x5d/0x80\n\
    [    5.100500]  panic+0x118/0x2f0\n\
    [    5.100600]  sysrq_handle_crash+0x1a/0x20\n\
    [    5.100700]  </TASK>\n\
    [    5.100800] ---[ end Kernel panic - not syncing: sysrq triggered crash ]---\n";

const SCENARIO: &str = "schema = \"kbisect.scenario/1\"\nsummary = \"one node\"\n\
    [nodes.a]\nkernel = \"candidate\"\n[[checks]]\nname = \"up\"\nnode = \"a\"\nalive = true\n";

#[test]
fn help_teaches_with_examples_and_exit_codes() {
    let place = Place::new();
    place.run("--help all").code(0).says("kbisect 6.12.43..6.12.96 --scenario").says("Exit codes:");
    place.run("run --help all").code(0).says("--shell").says("125 the kernel cannot answer");
    place.run("bisect --help all").code(0).says("--find-fix").says("Usage: kbisect GOOD..BAD");
    place.run("check --help all").code(0).says("--baseline 6.12.57").says("69 kbisect or the host");
    place.run("--version").code(0).says("kbisect 0.");
}

#[test]
fn alone_it_names_the_next_step() {
    let place = Place::new();
    place.run("").code(0).says("  kbisect doctor\n");
    let began = r#"{"at_ms":1,"event":"interrupted"}"#;
    place.write("results/20260101-000000-x/journal.jsonl", &format!("{began}\n"));
    // A run without a plan cannot go on.
    place.run("").code(0).says("  kbisect doctor\n");
}

#[test]
fn usage_errors_say_what_to_type() {
    let place = Place::new();
    place.run("6.12.43 6.12.96 --scenario smoke").code(2).says("kbisect 6.12.43..6.12.96");
    place.run("6.12.57").code(2).says("kbisect run 6.12.57 --scenario NAME");
    place.run("6.12.43..6.12.96").code(2).says("add --scenario NAME");
    place.run("6.12.43.. --scenario smoke").code(2).says("the right end is missing");
    place.run("6.1..6.2 --scenario smoke --skip-endpoint both").code(2).says("good, bad");
    place.run("kernel list").code(2).says("'kernels'");
    place.run("kernels prune").code(2).says("--max-size <SIZE>");
    place.run("kernels prune --dry-run").code(2).says("--keep");
    place.run("kernels prune --max-size 1.5G").code(2).says("whole number");
    place.run("--quiet --verbose doctor").code(2);
}

#[test]
fn a_check_that_cannot_begin_is_a_usage_error() {
    let place = Place::new();
    place.run("check --scenario smoke").code(2).says("<KERNEL>...");
    place.run("check 6.1").code(2).says("add --scenario NAME");
    place.run("check 6.1.. --scenario smoke").code(2).says("the right end is missing");
    place.run("check 6.1 --scenario smoke,conlimit").code(2).says("did you mean `connlimit`?");
    let offline = "--offline check 9.9.9 --scenario smoke";
    place.run(offline).code(2).says("no kernel `9.9.9`");
    place.run(&format!("{offline} --junit no/x.xml")).code(2).says("cannot write `no/x.xml`");
    let ended = place.run(&format!("{offline} --json")).code(2);
    ended.document("kbisect.error/1");
    assert!(!place.path().join("results").exists());
}

#[test]
fn no_failure_of_run_looks_like_an_answer_to_git() {
    let place = Place::new();
    place.run("run").code(200);
    place.run("run 6.1").code(200);
    place.run("run 6.1 --scenario nope").code(200);
    place.run("--offline run 9.9.9 --scenario smoke").code(200).says("no kernel `9.9.9`");
    place.run("run 6.1 --scenario smoke --cache /proc/nowhere").code(201);
}

/// Found out only after the trial, it cost the user a boot.
#[test]
fn a_shell_in_a_node_that_is_not_there_is_refused_before_anything_boots() {
    let place = Place::new();
    let line = "run 6.12.57 --scenario connlimit --shell=nosuch";
    place.run(line).code(200).says("no node `nosuch`").says("nodes are: client, server");
}

#[test]
fn a_mistake_in_the_settings_is_shown_with_its_line() {
    let place = Place::new();
    place.write("config/kbisect/config.toml", "\nflavor = \"amd64\"\n");
    place
        .run("kernels list --stored")
        .code(2)
        .says("config.toml`, line 2: unknown field `flavor`")
        .says("`flavour`");
}

#[test]
fn an_unknown_scenario_is_answered_with_the_nearest() {
    let place = Place::new();
    for command in ["6.1..6.2 --offline --scenario", "scenario check", "scenario show"] {
        let ended = place.run(&format!("{command} conlimit")).code(2);
        let ended = ended.says("error: no scenario `conlimit`");
        ended.says("did you mean `connlimit`? scenarios are: cloudgw, connlimit");
    }
    place.run("scenario check ./nowhere").code(2).says("no scenario at `./nowhere`");
}

#[test]
fn scenarios_come_with_the_program_and_ones_own_go_first() {
    let place = Place::new();
    place.run("scenario list").code(0).says("connlimit").says("(built in)");
    place.run("scenario check connlimit smoke").code(0).says("smoke: good (built in)");
    place.run("scenario show cloudgw").code(0).says("vrf-cloudgw").says("checks\n");
    place.write("config/kbisect/scenarios/mine/scenario.toml", SCENARIO);
    place.write("scenarios/smoke/scenario.toml", SCENARIO);
    let listed = place.run("scenario list --json").code(0).document("kbisect.scenarios/1");
    let path_of = |name: &str| {
        let all = listed["scenarios"].as_array().unwrap();
        all.iter().find(|s| s["name"] == name).unwrap()["path"].clone()
    };
    assert_eq!(path_of("smoke"), "scenarios/smoke");
    assert!(path_of("mine").as_str().unwrap().ends_with("config/kbisect/scenarios/mine"));
    assert_eq!(path_of("connlimit"), Value::Null);
}

#[test]
fn a_malformed_scenario_is_refused_at_file_line_and_key() {
    let place = Place::new();
    place.write("a/scenario.toml", &SCENARIO.replace("node = \"a\"", "node = \"b\""));
    place.write("b/scenario.toml", "schema = [\n");
    let ended = place.run("scenario check ./a").code(2);
    ended.says("error: ./a/scenario.toml:7:1: checks[0].node: ").says("hint: ");
    place.run("scenario check ./b smoke").code(2).says("./b/scenario.toml:");
    // All that were named are checked, and all errors told.
    let both = place.run("scenario check ./a ./b --json").code(2);
    let error = both.document("kbisect.error/1")["error"].as_str().unwrap().to_owned();
    assert!(error.contains("a/scenario.toml") && error.contains("b/scenario.toml"), "{error}");
    // A broken one does not hide the others.
    place.write("scenarios/broken/scenario.toml", "x = 1\n");
    place.run("scenario list").code(0).says("warning: `broken` is left out").says("connlimit");
    // A bisection stops before it asks an archive.
    place.run("6.1..6.2 --scenario ./a").code(2).says("checks[0].node");
}

#[test]
fn schemas_are_printed_by_name() {
    let place = Place::new();
    let names = place.run("schema").code(0).stdout;
    for name in names.lines() {
        let ended = place.run(&format!("schema {name}")).code(0);
        let schema: Value = serde_json::from_str(&ended.stdout).unwrap();
        let version = if name == "plan" { 2 } else { 1 };
        assert_eq!(schema["$id"], format!("kbisect.{name}/{version}"));
    }
    assert!(names.lines().any(|name| name == "bisect"));
    place.run("schema nope").code(2).says("schemas are: bisect, run");
}

#[test]
fn detect_reads_files_and_pipes() {
    let place = Place::new();
    place.write("panic.log", PANIC);
    place.write("quiet.log", "[    1.0] all is well\n");
    place.run("detect panic.log").code(0).says("panic.log:1: panic: ").says("fatal");
    place.run("detect quiet.log").code(0).says("no kernel failure in quiet.log");
    let found = place.run("detect panic.log --json").code(0).document("kbisect.detect/1");
    assert_eq!(found["reports"][0]["kind"], "panic");
    assert_eq!(found["reports"][0]["line"], 1);
    let piped = place.feed("detect - --json", PANIC.as_bytes()).code(0);
    assert_eq!(piped.document("kbisect.detect/1"), found);
    let none = place.run("detect quiet.log --json").code(0).document("kbisect.detect/1");
    assert_eq!(none["reports"], Value::Array(Vec::new()));
    let both = "detect quiet.log panic.log panic.log";
    place.run(both).code(0).says("no kernel failure in quiet.log\npanic.log:1: panic: ");
    let all = place.run(&format!("{both} --json")).code(0).document("kbisect.detect/1");
    let file = |at: usize| (&all["files"][at]["file"], &all["files"][at]["reports"]);
    assert_eq!(file(0), (&Value::from("quiet.log"), &Value::from(0)));
    assert_eq!(file(2), (&Value::from("panic.log"), &Value::from(1)));
    assert_eq!(all["reports"].as_array().map(Vec::len), Some(2));
    assert_eq!(all["reports"][1]["file"], "panic.log");
    assert_eq!(all["reports"][1]["title"], found["reports"][0]["title"]);
    assert_eq!(found.get("files"), None, "one log is as it ever was");
    place.run("detect panic.log nowhere.log").code(2).says("cannot read `nowhere.log`");
    place.run("detect nowhere.log").code(2).says("cannot read `nowhere.log`");
    place.run("detect .").code(2).says("is a directory");
}

#[test]
fn a_hostile_log_does_not_reach_the_terminal() {
    let place = Place::new();
    let log = PANIC.replace("sysrq triggered", "\u{1b}]0;title\u{7}sysrq\u{1b}[2J");
    let mut bytes = log.into_bytes();
    bytes.extend([0xff, 0xfe, 0, b'\n']);
    let ended = place.feed("detect - -v", &bytes).code(0).says("panic");
    assert!(!ended.stdout.contains(['\u{1b}', '\u{7}', '\0']), "{:?}", ended.stdout);
}

#[test]
fn garbage_is_no_kernel_and_leaves_nothing() {
    let place = Place::new();
    place.write("garbage", &"garbage\n".repeat(1000));
    place.write("garbage.deb", "!<arch>\ngarbage\n");
    place.run("kernels add garbage").code(2).says("not a bootable x86 kernel image");
    place.run("kernels add garbage.deb").code(2).says("garbage.deb");
    place.run("kernels add nowhere").code(2).says("`nowhere` does not exist");
    let left = place.run("kernels list --stored --json").code(0).document("kbisect.kernels/1");
    assert_eq!(left["kernels"], Value::Array(Vec::new()));
    let tmp = place.path().join("cache/kbisect/kernels/v1/tmp");
    assert_eq!(fs::read_dir(tmp).unwrap().count(), 0);
}

#[test]
fn with_json_an_error_is_one_document_too() {
    let place = Place::new();
    place.write("garbage", "garbage\n");
    for (line, code) in [
        ("--json", 2),
        ("bisect --json", 2),
        ("6.1 --json", 2),
        ("kernels --json", 2),
        ("6.1..6.2 --json --scenario nope", 2),
        ("6.1..6.2 --json --scenario smoke --offline", 2),
        ("--json run", 200),
        ("run 9.9.9 --json --scenario smoke --offline", 200),
        ("resume nowhere --json", 2),
        ("report nowhere --json", 2),
        ("kernels add garbage --json", 2),
        ("kernels list --json --suite ../x", 2),
        ("scenario show nope --json", 2),
        ("schema --json", 2),
        ("detect nowhere --json", 2),
        ("image build --json --offline", 69),
        ("doctor --json --suite ../x", 2),
    ] {
        let ended = place.run(line).code(code);
        let error = ended.document("kbisect.error/1");
        assert!(!error["error"].as_str().unwrap().is_empty(), "{line}");
        assert!(!error["error"].as_str().unwrap().contains('\n'), "{line}: {error}");
        assert!(!ended.stderr.is_empty(), "{line} tells people nothing");
    }
}

#[test]
fn the_doctor_finds_what_is_missing() {
    let place = Place::new();
    let ended = place.run("doctor --offline --json --qemu /nowhere/qemu").code(69);
    let found = ended.document("kbisect.doctor/1");
    assert_eq!(found["ready"], false);
    let status = |name: &str| {
        let checks = found["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == name).unwrap()["status"].clone()
    };
    assert_eq!(status("qemu"), "fail");
    assert_eq!(status("image"), "fail", "it is not built, and cannot be offline");
    let ended = place.run("doctor --offline --qemu /nowhere/qemu").code(69);
    ended.says("FAIL  qemu").says("/nowhere/qemu").says("not ready");
}

#[test]
fn reports_of_what_is_no_run_are_refused() {
    let place = Place::new();
    place.write("results/empty/x", "");
    place.write("results/damaged/journal.jsonl", "{\"at_ms\": 1}\n");
    place.write("results/single/result.json", "[]");
    place.run("report empty").code(2).says("holds no run");
    place.run("report damaged").code(69).says("line 1 of the journal is damaged");
    place.run("report single").code(69).says("is not the result of a trial");
    place.run("report nowhere").code(2).says("the newest run in `results` is single");
}

#[test]
fn standard_output_is_without_colours_unless_asked_for() {
    let place = Place::new();
    place.write("panic.log", PANIC);
    let plain = place.run("detect panic.log").code(0).stdout;
    assert!(!plain.contains('\u{1b}'));
    let colored = place.run("detect panic.log --color always").code(0).stdout;
    assert!(colored.contains("\u{1b}[31mpanic\u{1b}[0m"), "{colored:?}");
}

#[test]
fn a_closed_pipe_is_no_error() {
    let place = Place::new();
    let mut command = place.command("schema bisect");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_tour_plays_a_recording_and_starts_nothing() {
    let place = Place::new();
    let before = std::fs::read_dir(place.path()).unwrap().count();
    place
        .run("tour --fast")
        .code(0)
        .says("Which kernel broke it?")
        .says("6.12.69    bad")
        .says("affected    6.12.69 to 6.12.86 at least; good: 6.12.43 to 6.12.57")
        .says("the guilty one is number 1")
        .says("kbisect scenario new --template");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), before, "nothing is written");
    let ended = place.run("tour --fast").code(0);
    assert!(!ended.stdout.contains("report.html"), "a recording has no files: {}", ended.stdout);
    place.run("tour --json").code(2).says("no JSON document");
}

#[test]
fn manual_pages_have_their_sections_in_their_places() {
    let place = Place::new();
    place.run("man pages").code(0);
    let read = |name: &str| fs::read_to_string(place.path().join("pages").join(name)).unwrap();
    let check = read("kbisect-check.1");
    let mut last = 0;
    for section in [
        "NAME",
        "SYNOPSIS",
        "OPTIONS",
        "EXAMPLES",
        "EXIT STATUS",
        "FILES",
        "ENVIRONMENT",
        "SEE ALSO",
    ] {
        let at =
            check.find(&format!(".SH {section}\n")).or(check.find(&format!(".SH \"{section}\"\n")));
        let at = at.unwrap_or_else(|| panic!("{section}: {check}"));
        assert!(at > last, "{section}");
        last = at;
    }
    assert!(!check.contains(".SH EXTRA"), "{check}");
    assert!(check.contains("kbisect(1)") && check.contains("69 kbisect or the host"), "{check}");
    assert!(check.contains("\\-\\-baseline"), "{check}");
    assert!(read("kbisect.1").contains("kbisect\\-verify(1)"));
}
