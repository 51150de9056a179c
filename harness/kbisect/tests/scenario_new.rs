//! `kbisect scenario new` and scripts/host-dump from outside.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ADDR: &str = r#"[{"ifname":"lo","link_type":"loopback"},
    {"ifname":"wan","link_type":"ether","addr_info":[{"local":"192.0.2.2","prefixlen":24}]},
    {"ifname":"lan","link_type":"ether","addr_info":[{"local":"10.0.0.1","prefixlen":24}]}]"#;
const ROUTE: &str = r#"[{"dst":"default","gateway":"192.0.2.1","dev":"wan"}]"#;
const TUNNEL: &str = r#"[{"ifname":"tun0","link_type":"none","flags":["UP"],
    "linkinfo":{"info_kind":"tun"}}]"#;

fn dumps(place: &Path, files: &[(&str, &str)]) {
    fs::create_dir(place.join("gw1")).unwrap();
    for (name, content) in files {
        fs::write(place.join("gw1").join(name), content).unwrap();
    }
}

fn kbisect(place: &Path, line: &str) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_kbisect"))
        .args(line.split_whitespace())
        .current_dir(place)
        .env("HOME", place)
        .env("XDG_CACHE_HOME", place.join("cache"))
        .env("XDG_CONFIG_HOME", place.join("config"))
        .output()
        .unwrap();
    ended(&output)
}

fn ended(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let stderr = text(&output.stderr);
    assert!(!stderr.contains("panicked"), "{stderr}");
    (output.status.code().unwrap(), text(&output.stdout), stderr)
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
fn dumps_become_a_scenario_that_is_good() {
    let place = tempfile::tempdir().unwrap();
    dumps(place.path(), &[("addr", ADDR), ("route", ROUTE), ("rules", "table inet x {\n}\n")]);
    let (code, stdout, stderr) = kbisect(place.path(), "scenario new --from-host gw1 --node edge");
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.starts_with("./scenarios/gw1: nodes 3, links 2, checks 1\n"), "{stdout}");
    assert!(stderr.contains("warning: no dump of `sysctl -a`"), "{stderr}");
    let folder = place.path().join("scenarios/gw1");
    assert_eq!(names(&folder), ["nginx.conf", "rules.nft", "scenario.toml"]);
    assert_eq!(names(&place.path().join("scenarios")), ["gw1"]);
    assert!(fs::read_to_string(folder.join("scenario.toml")).unwrap().contains("[nodes.edge]"));
    let (code, stdout, stderr) = kbisect(place.path(), "scenario check gw1");
    assert_eq!((code, stdout.as_str()), (0, "gw1: good (scenarios/gw1)\n"), "{stderr}");
}

#[test]
fn nothing_is_overwritten() {
    let place = tempfile::tempdir().unwrap();
    dumps(place.path(), &[("addr", ADDR), ("route", ROUTE)]);
    let line = "scenario new --from-host gw1 --output mine/";
    assert_eq!(kbisect(place.path(), line).0, 0);
    fs::write(place.path().join("mine/scenario.toml"), "edited").unwrap();
    let (code, _, stderr) = kbisect(place.path(), line);
    assert_eq!(code, 2);
    assert!(stderr.contains("error: `mine` is there already"), "{stderr}");
    assert_eq!(fs::read_to_string(place.path().join("mine/scenario.toml")).unwrap(), "edited");
}

#[test]
fn an_interface_that_cannot_be_rebuilt_stops_it_and_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    dumps(place.path(), &[("addr", ADDR), ("tun", TUNNEL), ("route", ROUTE)]);
    let (code, stdout, stderr) = kbisect(place.path(), "scenario new --from-host gw1");
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.contains("error: tun: [0] tun0: interfaces of kind `tun`"), "{stderr}");
    assert!(stderr.contains("hint: ") && stderr.contains("--ignore-interface tun0"), "{stderr}");
    assert_eq!(names(place.path()), ["gw1"], "nothing is left behind");
    let line = "scenario new --from-host gw1 --ignore-interface tun0 --json";
    let (code, stdout, stderr) = kbisect(place.path(), line);
    assert_eq!(code, 0, "{stderr}");
    let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["schema"], "kbisect.scenarios/1");
    assert_eq!(document["scenarios"][0]["name"], "gw1");
    assert_eq!(document["scenarios"][0]["checks"][0], "payload");
}

#[test]
fn folders_that_cannot_be_are_refused() {
    let place = tempfile::tempdir().unwrap();
    dumps(place.path(), &[("addr", ADDR), ("route", ROUTE)]);
    std::os::unix::fs::symlink("/etc/passwd", place.path().join("gw1/link")).unwrap();
    for (line, message) in [
        ("scenario new --from-host nowhere --output x", "`nowhere` is no folder with dumps"),
        ("scenario new --from-host nowhere", "`nowhere` is no folder with dumps"),
        ("scenario new --from-host gw1 --output Upper_Case", "cannot be a scenario's folder"),
        ("scenario new", "hint: give --from-host DIR, or --template with one of bridge, client"),
        ("scenario new --template nothing", "[possible values: bridge, client, failover"),
        ("scenario new --template gateway --from-host gw1", "cannot be used with"),
        ("scenario new --template gateway --output Upper_Case", "cannot be a scenario's folder"),
    ] {
        let (code, _, stderr) = kbisect(place.path(), line);
        assert_eq!(code, 2, "{line}: {stderr}");
        assert!(stderr.contains(message), "{line}: {stderr}");
    }
    let (code, _, stderr) = kbisect(place.path(), "scenario new --from-host gw1");
    assert_eq!(code, 0);
    assert!(stderr.contains("warning: link: not looked at: no plain file"), "{stderr}");
}

#[test]
fn a_template_is_a_scenario_without_a_warning() {
    let place = tempfile::tempdir().unwrap();
    for name in ["bridge", "client", "failover", "gateway", "ipvs", "server"] {
        let (code, stdout, stderr) =
            kbisect(place.path(), &format!("scenario new --template {name}"));
        assert_eq!((code, stderr.as_str()), (0, ""), "{name}");
        assert!(stdout.starts_with(&format!("./scenarios/{name}: nodes ")), "{stdout}");
        let (code, stdout, stderr) = kbisect(place.path(), &format!("scenario check {name}"));
        assert_eq!((code, stderr.as_str()), (0, ""), "{name}");
        assert_eq!(stdout, format!("{name}: good (scenarios/{name})\n"));
    }
}

#[test]
fn a_template_overwrites_nothing() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir_all(place.path().join("scenarios/gateway")).unwrap();
    let (code, stdout, stderr) = kbisect(place.path(), "scenario new --template gateway");
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.contains("error: `scenarios/gateway` is there already"), "{stderr}");
    assert_eq!(names(&place.path().join("scenarios/gateway")), [""; 0], "nothing was written");
    let line = "scenario new --template gateway --output mine --json";
    let (code, stdout, stderr) = kbisect(place.path(), line);
    assert_eq!(code, 0, "{stderr}");
    let document: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["scenarios"][0]["name"], "mine");
}

/// A host with nothing but iproute2 has a set-up worth testing too.
#[test]
fn a_host_without_nft_and_without_iptables_is_dumped() {
    let place = tempfile::tempdir().unwrap();
    let bin = programs(place.path());
    for (gone, left) in
        [(&["nft", "ipset"][..], "iptables"), (&["iptables-save", "ip6tables-save"], "none")]
    {
        for program in gone {
            fs::remove_file(bin.join(program)).unwrap();
        }
        // Only what stands in for the host's programs, and what the script itself needs.
        let path = only(place.path(), &bin);
        let mut command = Command::new("/bin/sh");
        command.arg(script()).arg(left).current_dir(place.path());
        command.env("PATH", &path).env("HOST_DUMP_SBIN", "");
        let (code, _, stderr) = ended(&command.output().unwrap());
        let refused = stderr.contains("iptables.rules is missing");
        assert_eq!(code, if refused { 3 } else { 0 }, "{stderr}");
        let told = fs::read_to_string(place.path().join(left).join("host.txt")).unwrap();
        assert!(told.contains("nft.rules: left out: nft is not installed\n"), "{told}");
        assert!(!told.contains("\nnft: "), "{told}");
        let (code, _, stderr) = kbisect(place.path(), &format!("scenario new --from-host {left}"));
        assert_eq!(code, 0, "{stderr}");
    }
}

/// A folder for PATH with the programs of `bin` and the tools of a shell script.
fn only(place: &Path, bin: &Path) -> PathBuf {
    let folder = place.join("only");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap();
    let tools = [
        "sh", "cat", "grep", "sed", "head", "date", "uname", "id", "mkdir", "rm", "cut", "find",
        "sort", "tr",
    ];
    for tool in tools {
        let real = ["/usr/bin", "/bin"].iter().map(|dir| Path::new(dir).join(tool));
        let real = real.into_iter().find(|path| path.exists()).unwrap();
        std::os::unix::fs::symlink(real, folder.join(tool)).unwrap();
    }
    for program in names(bin) {
        fs::copy(bin.join(&program), folder.join(&program)).unwrap();
    }
    folder
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/host-dump")
}

/// A folder with programs that stand in for those of a host and note that they ran.
fn programs(place: &Path) -> PathBuf {
    let folder = place.join("bin");
    fs::create_dir(&folder).unwrap();
    let ip = format!(
        "case \"$*\" in *addr*) echo '{ADDR}' ;; *'-4'*route*) echo '{ROUTE}' ;; *) echo '[]' ;; esac"
    );
    let sysctl = "case $1 in --version) echo procps ;; *) echo net.ipv4.ip_forward = 1\n\
                  echo net.ipv4.tcp_fastopen_key = secret\n\
                  echo net.ipv6.conf.all.stable_secret = secret ;; esac";
    let rules = "echo 'table inet x {'; echo '}'";
    let refused = "echo 'Operation not permitted' >&2; exit 1";
    for (name, text) in [
        ("ip", ip.as_str()),
        ("sysctl", sysctl),
        ("nft", rules),
        ("iptables-save", refused),
        ("ip6tables-save", "exit 0"),
        ("ipset", "exit 0"),
    ] {
        let path = folder.join(name);
        let log = place.join("ran").display().to_string();
        fs::write(&path, format!("#!/bin/sh\necho {name} \"$*\" >>'{log}'\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

fn host_dump(place: &Path, programs: &Path, arguments: &[&str]) -> (i32, String, String) {
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.arg(script()).args(arguments).current_dir(place).env("PATH", path);
    ended(&command.output().unwrap())
}

#[test]
fn a_host_is_told_what_will_run_and_nothing_runs_in_a_dry_run() {
    let place = tempfile::tempdir().unwrap();
    let bin = programs(place.path());
    let (code, _, stderr) = host_dump(place.path(), &bin, &["--dry-run", "out"]);
    assert_eq!(code, 0, "{stderr}");
    for line in ["ip-addr.json     ip -j -d addr show", "sysctl.txt", "host.txt", "nft.rules"] {
        assert!(stderr.contains(line), "no `{line}` in:\n{stderr}");
    }
    assert!(!place.path().join("out").exists());
    assert!(!place.path().join("ran").exists(), "no program of the host ran");
}

#[test]
fn dumps_of_the_script_become_a_scenario() {
    let place = tempfile::tempdir().unwrap();
    let bin = programs(place.path());
    let (code, _, stderr) = host_dump(place.path(), &bin, &["gw1"]);
    // Whether the filters are read depends on what the test machine's kernel has loaded.
    let refused = stderr.contains("iptables.rules is missing: exit 1: Operation not permitted");
    assert_eq!(code, if refused { 3 } else { 0 }, "{stderr}");
    let folder = place.path().join("gw1");
    let sysctl = fs::read_to_string(folder.join("sysctl.txt")).unwrap();
    assert_eq!(sysctl, "net.ipv4.ip_forward = 1\n", "keys stay on the host");
    let told = fs::read_to_string(folder.join("host.txt")).unwrap();
    assert!(told.contains("ip-addr.json: exit 0: ip -j -d addr show\n"), "{told}");
    assert!(names(&folder).iter().all(|name| !name.starts_with('.')), "{:?}", names(&folder));
    assert!(!folder.join("iptables.rules").exists(), "half a dump is no dump");
    let mode = fs::metadata(&folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "others cannot read it");
    let (code, _, stderr) = kbisect(place.path(), "scenario new --from-host gw1");
    assert_eq!(code, 0, "{stderr}");
    let (code, _, stderr) = host_dump(place.path(), &bin, &["gw1"]);
    assert_eq!(code, 2, "{stderr}");
}
