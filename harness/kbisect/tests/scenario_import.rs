//! `kbisect scenario import` from outside.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const SCENARIO: &str = r#"schema = "kbisect.scenario/1"
summary = "a gateway"
[nodes.monitor]
kernel = "reference"
[nodes.gateway]
kernel = "candidate"
[links.lan]
gateway = { name = "eth0", addresses = ["192.0.2.1/24"] }
monitor = { name = "eth0", addresses = ["192.0.2.2/24"] }
[[replay]]
name = "nothing"
node = "gateway"
run = "true"
[[checks]]
name = "the-gateway-answers"
node = "monitor"
alive = true
[flavours.other]
summary = "the same without a step"
without = ["nothing"]
"#;

const LIST: &str = r#"---
- envvars:
    - SSH: ssh -o BatchMode=yes
    - GW: 192.0.2.1
---
- name: the gateway answers
  tests:
    - cmd: ping -c 1 $GW | grep -c "1 received"
      retcode: 0
      stdout: "1"
    - cmd: for i in 1 2; do ping -c 1 $GW; done >/dev/null 2>&1
      retcode: 0
      stderr: ""
- name: the gateway forwards
  tests:
    - cmd: $SSH root@$GW "sysctl -n net.ipv4.ip_forward"
      stdout: "1"
- name: a VM answers
  tests:
    - cmd: $SSH vm1 true
      retcode: 0
"#;

/// A place with a scenario and a list.
fn place() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("mine")).unwrap();
    fs::write(place.path().join("mine/scenario.toml"), SCENARIO).unwrap();
    fs::write(place.path().join("checks.yaml"), LIST).unwrap();
    place
}

fn kbisect(place: &Path, line: &str) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_kbisect"))
        .args(line.split_whitespace())
        .current_dir(place)
        .env("HOME", place)
        .env("XDG_CACHE_HOME", place.join("cache"))
        .env("XDG_CONFIG_HOME", place.join("config"))
        .env("GW", "192.0.2.66")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let stderr = text(&output.stderr);
    assert!(!stderr.contains("panicked"), "{line}: {stderr}");
    (output.status.code().unwrap(), text(&output.stdout), stderr)
}

fn scenario_of(place: &Path) -> String {
    fs::read_to_string(place.join("mine/scenario.toml")).unwrap()
}

/// Names in a folder, hidden ones too.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_list_goes_into_a_scenario_that_stays_valid() {
    let place = place();
    let place = place.path();
    let line = "scenario import cmd-checklist checks.yaml --into mine";
    let (code, stdout, stderr) = kbisect(place, line);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(
        stdout,
        "checks.yaml: 2 checks, one line left out\n  \
         the-gateway-answers-2 on monitor, line 8: the gateway answers\n  \
         the-gateway-forwards on gateway, line 16: the gateway forwards\n\
         Then:\n  kbisect scenario check ./mine\n  kbisect run KERNEL --scenario ./mine\n"
    );
    let warning = "warning: checks.yaml:20: `a VM answers`: no node stands for the host `vm1` \
                   (--map vm1=NODE (nodes are: gateway, monitor))\n";
    assert_eq!(stderr, warning);
    let text = scenario_of(place);
    assert!(text.starts_with(SCENARIO.trim_end()), "{text}");
    // The environment of whoever imports says nothing.
    assert!(text.contains("ping -c 1 192.0.2.1 | grep") && !text.contains("192.0.2.66"), "{text}");
    let (code, stdout, stderr) = kbisect(place, "scenario check ./mine");
    assert_eq!(
        (code, stderr.lines().count()),
        (0, 1),
        "only payload is warned of: {stdout}{stderr}"
    );
    // What is there twice has another name the second time.
    let (code, stdout, _) = kbisect(place, &format!("{line} --map vm1=monitor --env GW=192.0.2.2"));
    assert_eq!(code, 0);
    assert!(stdout.contains("the-gateway-answers-3 on monitor"), "{stdout}");
    assert!(
        stdout.contains("the-gateway-forwards-2 on monitor"),
        "a variable that is set wins: {stdout}"
    );
    assert_eq!(kbisect(place, "scenario check ./mine").0, 0);
    assert_eq!(names(&place.join("mine")), ["scenario.toml"]);
}

#[test]
fn nothing_is_written_without_being_asked() {
    let place = place();
    let place = place.path();
    let (code, stdout, stderr) =
        kbisect(place, "scenario import cmd-checklist checks.yaml --into mine --dry-run");
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("[[checks.commands]]\n"), "{stdout}");
    assert_eq!(scenario_of(place), SCENARIO);
    let (code, stdout, stderr) =
        kbisect(place, "scenario import cmd-checklist checks.yaml --map 192.0.2.1=gw --node gw");
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("# Made by `kbisect scenario import cmd-checklist`"), "{stdout}");
    assert!(stderr.contains("  the-gateway-forwards on gw, line 16"), "{stderr}");
    assert_eq!(names(place), ["checks.yaml", "mine"]);
    let (code, stdout, _) =
        kbisect(place, "scenario import cmd-checklist checks.yaml --into mine --dry-run --json");
    assert_eq!(code, 0);
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["schema"], "kbisect.import/1");
    assert_eq!(document["folder"], Value::Null);
    assert_eq!(document["checks"][1]["node"], "gateway");
    assert_eq!(document["left_out"][0]["line"], 20);
}

#[test]
fn a_list_alone_becomes_a_scenario() {
    let place = place();
    let place = place.path();
    let line = "scenario import cmd-checklist checks.yaml --output new/ --map 192.0.2.1=gateway \
                --map vm1=vm --node monitor";
    let (code, stdout, stderr) = kbisect(place, line);
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("checks.yaml: 3 checks\n"), "{stdout}");
    let (code, stdout, stderr) = kbisect(place, "scenario show ./new");
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("monitor") && stdout.contains("runs sysctl -n"), "{stdout}");
    let (code, _, stderr) = kbisect(place, line);
    assert_eq!(code, 2);
    assert!(stderr.contains("`new` is there already"), "{stderr}");
}

#[test]
fn programs_go_along_and_overwrite_nothing() {
    let place = place();
    let place = place.path();
    fs::write(place.join("t.sh"), "#!/bin/sh\necho 1..1; echo ok 1\n").unwrap();
    let line = "scenario import ktap t.sh --into mine --node gateway";
    let (code, _, stderr) = kbisect(place, line);
    assert_eq!(code, 0, "{stderr}");
    assert!(scenario_of(place).contains("ktap = { run = [\"{assets}/t.sh\"] }"));
    let mode = fs::metadata(place.join("mine/t.sh")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    let before = scenario_of(place);
    fs::write(place.join("t.sh"), "#!/bin/sh\necho other\n").unwrap();
    let (code, _, stderr) = kbisect(place, line);
    assert_eq!(code, 2);
    assert!(stderr.contains("mine/t.sh` is there already, with another content"), "{stderr}");
    assert_eq!(scenario_of(place), before);
    // goss is not shipped; where to put it is told.
    fs::write(place.join("goss.yaml"), "port:\n  tcp:80:\n    listening: true\n").unwrap();
    let goss = "scenario import goss goss.yaml --into mine --node gateway";
    let (code, _, stderr) = kbisect(place, goss);
    assert_eq!(code, 2);
    assert!(stderr.contains("goss itself is missing: the scenario has no file `goss`"), "{stderr}");
    assert!(stderr.contains("--binary FILE copies it"), "{stderr}");
    fs::write(place.join("stand-in"), "#!/bin/sh\n").unwrap();
    let (code, _, stderr) = kbisect(place, &format!("{goss} --binary stand-in"));
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(names(&place.join("mine")), ["goss", "goss.yaml", "scenario.toml", "t.sh"]);
    assert_eq!(kbisect(place, "scenario check ./mine").0, 0);
}

#[test]
fn definitions_of_plugins_become_checks() {
    let place = place();
    let place = place.path();
    let text = "command[check_web]=/usr/lib/nagios/plugins/check_http -H 192.0.2.1 -s 'a b'\n\
                command[check_load]=/usr/lib/nagios/plugins/check_load -w $ARG1$\n";
    fs::write(place.join("nrpe.cfg"), text).unwrap();
    let (code, _, stderr) = kbisect(place, "scenario import plugins nrpe.cfg --into mine");
    assert_eq!(code, 0);
    let expected =
        "warning: nrpe.cfg:2: `check_load`: the macro `$ARG1$` is not set (--env ARG1=VALUE)";
    assert!(stderr.contains(expected), "{stderr}");
    let words = r#"["/usr/lib/nagios/plugins/check_http", "-H", "192.0.2.1", "-s", "a b"]"#;
    assert!(scenario_of(place).contains(&format!("plugin = {{ run = {words} }}")));
}

#[test]
fn what_cannot_be_taken_over_is_an_error_with_its_line() {
    let place = place();
    let place = place.path();
    let deep = format!("- {}", "[".repeat(100));
    for (name, content) in [
        ("bomb.yaml", &b"- &a [x]\n- *a\n"[..]),
        ("deep.yaml", deep.as_bytes()),
        ("binary.yaml", b"\xff\xfe\x00"),
        ("empty", b""),
        (
            "unknown.yaml",
            b"- name: \"t\\e[31m\"\n  tests:\n    - cmd: ssh gw9 true\n      retcode: 0\n",
        ),
        (
            "shell.yaml",
            b"- name: t\n  tests:\n    - cmd: ssh 192.0.2.1 \"echo $(id)\"\n      retcode: 0\n",
        ),
    ] {
        fs::write(place.join(name), content).unwrap();
    }
    let import = "scenario import cmd-checklist";
    for (line, message, hint) in [
        (
            format!("{import} bomb.yaml"),
            "error: bomb.yaml: line 2: aliases (`*NAME`) are not taken over",
            "write out",
        ),
        (format!("{import} deep.yaml"), "error: deep.yaml: line 1: ", ""),
        (format!("{import} binary.yaml"), "error: `binary.yaml` is no text", "UTF-8"),
        (format!("{import} empty"), "error: empty: there is no test with `cmd` in it", "--help"),
        (
            format!("{import} unknown.yaml --into mine"),
            "error: unknown.yaml: line 3: `t\\u{1b}[31m`: no node stands for the host `gw9`",
            "--map gw9=NODE (nodes are: gateway, monitor)",
        ),
        (
            format!("{import} shell.yaml --into mine"),
            "error: shell.yaml: line 3: `t`: `$(id)\"` is expanded on the host that calls ssh",
            "single quotes",
        ),
        (format!("{import} nowhere.yaml"), "error: cannot read `nowhere.yaml`", ""),
        (format!("{import} mine"), "error: `mine` is no file of at most 16 MiB", ""),
        (
            format!("{import} checks.yaml --into smoke"),
            "error: `smoke` is no scenario of yours",
            "--output",
        ),
        (format!("{import} checks.yaml --into ./nowhere"), "error: no scenario at `./nowhere`", ""),
        (
            format!("{import} checks.yaml --into mine --node x"),
            "error: --node x: there is no node `x`",
            "gateway, monitor",
        ),
        (
            format!("{import} checks.yaml --into mine --map vm1=x"),
            "error: --map vm1=x: there is no node `x`",
            "gateway, monitor",
        ),
        (format!("{import} checks.yaml --output Upper_Case"), "cannot be a scenario's folder", ""),
        (format!("{import} checks.yaml --binary x"), "only goss files need a program", ""),
        (format!("{import} checks.yaml --timeout 0"), "a number from 0.1 to 600", ""),
        ("scenario import yaml checks.yaml".to_owned(), "cmd-checklist", ""),
    ] {
        let (code, stdout, stderr) = kbisect(place, &line);
        assert!(code != 0 && stdout.is_empty(), "{line}: {stdout}{stderr}");
        assert!(stderr.contains(message) && stderr.contains(hint), "{line}: {stderr}");
    }
    assert_eq!(scenario_of(place), SCENARIO);
}
