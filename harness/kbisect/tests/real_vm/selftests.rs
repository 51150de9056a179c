//! Self-tests of the kernel, by scripts of our own: cases are learnt, tried alone, and their rates measured.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::host::Host;

/// Makes name spaces as the kernel's scripts do, and tells of its cases as they do.
const NETS: &str = r#"#!/bin/bash
source lib.sh
ip netns add "$one" && ip netns add "$two"
ip link add v1 netns "$one" type veth peer name v2 netns "$two"
ip -n "$one" address add 192.0.2.1/24 dev v1
ip -n "$two" address add 192.0.2.2/24 dev v2
ip -n "$one" link set v1 up
ip -n "$two" link set v2 up
ip netns exec "$one" ping -c 1 -W 5 192.0.2.2 >/dev/null
log $? "a ping goes through"
ip netns exec "$one" ping -c 1 -W 1 192.0.2.3 >/dev/null
log $? "nobody is at this address"
./number; log $? "the helper runs"
log 4 "a device that nobody has"
ip netns del "$one"; ip netns del "$two"
# As those of the kernel do that left something out.
exit 4
"#;
const LIB: &str = r#"one=one-$$ two=two-$$
log() {
    case $1 in
        0) printf "TEST: %-60s  [ OK ]\n" "$2" ;;
        4) printf "TEST: %-60s  [SKIP]\n" "$2" ;;
        *) printf "TEST: %-60s  [FAIL]\n" "$2" ;;
    esac
}
"#;
/// Complains on the other output, and exits as if all were well.
const SAYS: &str =
    "#!/bin/sh\necho 'PASS: first'\n[ -e /proc/1 ] && echo 'FAIL: second' >&2\nexit 0\n";
/// In KTAP, with a case that fails by chance: every other second.
const COIN: &str = "#!/bin/sh\necho TAP version 13\necho 1..2\necho ok 1 always\n\
                    [ $(($(od -An -N1 -tu1 /dev/urandom) % 2)) = 0 ] && echo ok 2 coin || { echo not ok 2 coin; exit 1; }\n";
const HANGS: &str = "#!/bin/sh\necho 'before    ok'\nsleep 1000\necho 'after    ok'\n";
const NUMBER: &str = "int main(void) { return 0; }\n";

fn tree(folder: &Path) {
    let files = [
        ("nets.sh", NETS),
        ("lib.sh", LIB),
        ("says.sh", SAYS),
        ("coin.sh", COIN),
        ("hangs.sh", HANGS),
        ("number.c", NUMBER),
    ];
    let folder = folder.join("tools/testing/selftests/net");
    fs::create_dir_all(&folder).unwrap();
    for (name, content) in files {
        fs::write(folder.join(name), content).unwrap();
    }
}

fn checks(document: &Value) -> Vec<(&str, &str)> {
    let checks = document["checks"].as_array().unwrap().iter();
    checks
        .map(|check| (check["name"].as_str().unwrap(), check["status"].as_str().unwrap()))
        .collect()
}

#[test]
fn each_case_of_a_self_test_is_a_check_of_its_own() {
    let host = Host::hold();
    tree(&host.path("tree"));
    let scenario = host.path("own").display().to_string();
    let line = format!(
        "scenario import kselftest net/nets.sh net/says.sh net/hangs.sh --tree ./tree --learn 6.12.57 \
         --timeout 8 --output {scenario}"
    );
    let made = host.run(&line).document(0);
    let names: Vec<&str> = made["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    let expected = [
        "nets-a-ping-goes-through",
        "nets-nobody-is-at-this-address",
        "nets-the-helper-runs",
        "nets",
        "says-first",
        "says-second",
        "says",
        "hangs-before",
        "hangs",
    ];
    assert_eq!(names, expected, "{made}");
    let whole = host.run(&format!("run 6.12.57 --scenario {scenario}")).document(0);
    let expected: Vec<(&str, &str)> = expected
        .into_iter()
        .map(|name| match name {
            // What fails on the kernel that it was learnt on says nothing of others.
            "nets-nobody-is-at-this-address" | "says-second" | "hangs" => (name, "recorded"),
            _ => (name, "pass"),
        })
        .collect();
    assert_eq!(checks(&whole), expected, "{whole}");
    // The program ran once for all of its cases.
    let trial =
        Path::new(whole["run_dir"].as_str().unwrap()).join(whole["directory"].as_str().unwrap());
    let commands = fs::read_to_string(trial.join("commands.jsonl")).unwrap();
    assert_eq!(commands.matches("nets.sh").count(), 1, "{commands}");
    let output = fs::read_to_string(trial.join("output/says-first.txt")).unwrap();
    assert_eq!(output, "PASS: first\nFAIL: second\n");
    // A case alone, whatever the others do, and whatever the program's exit status is.
    let alone = host.run(&format!("run 6.12.57 --scenario {scenario}:says-second")).document(1);
    assert_eq!(checks(&alone), [("says-second", "fail")]);
    assert_eq!(alone["symptom"]["title"], "says-second: ktap: not ok: second");
    let late = host.run(&format!("run 6.12.57 --scenario {scenario}:hangs")).document(1);
    assert_eq!(late["symptom"]["title"], "hangs: did not end in time", "{late}");
}

#[test]
fn the_rate_of_each_check_is_measured() {
    let host = Host::hold();
    tree(&host.path("tree"));
    let scenario = host.path("own").display().to_string();
    let line = format!(
        "scenario import kselftest net/coin.sh --tree ./tree --learn none --output {scenario}"
    );
    host.run(&line).document(0);
    // Its cases are known without a run.
    let text = fs::read_to_string(host.path("own/scenario.toml")).unwrap();
    let whole = "format = \"kselftest\"";
    let text = format!(
        "{}\n[[checks]]\nname = \"always\"\nnode = \"host\"\nktap = {{ run = [\"{{assets}}/selftests/start\", \"{{assets}}/selftests\", \"net/coin.sh\"], {whole}, case = \"always\" }}\n",
        text.replace("name = \"coin\"", "name = \"coin\"\nrecord_only = true")
            .replace(whole, &format!("{whole}, case = \"coin\""))
    );
    fs::write(host.path("own/scenario.toml"), text).unwrap();
    let result = host.run(&format!("run 6.12.57 --scenario {scenario} --repeat 7")).document(0);
    let rates = &result["rates"];
    assert_eq!((&rates["trials"], &rates["unanswered"]), (&7.into(), &0.into()), "{rates}");
    assert!(rates["boots"].as_u64().unwrap() >= 3, "a few runs of each boot: {rates}");
    let of = |name: &str| {
        let checks = rates["checks"].as_array().unwrap().iter();
        checks.clone().find(|check| check["name"] == name).unwrap().clone()
    };
    let always = of("always");
    assert_eq!((&always["failed"], &always["passed"]), (&0.into(), &7.into()));
    let coin = of("coin");
    assert_eq!(coin["failed"].as_u64().unwrap() + coin["passed"].as_u64().unwrap(), 7, "{coin}");
    let rate = |key: &str| coin["rate"][key].as_f64().unwrap();
    assert!(rate("low") <= rate("mean") && rate("mean") <= rate("high"), "{coin}");
    let report = fs::read_to_string(
        host.results()
            .join(Path::new(result["run_dir"].as_str().unwrap()).file_name().unwrap())
            .join("report.md"),
    )
    .unwrap();
    assert!(report.contains("## How often checks fail") && report.contains("| coin |"), "{report}");
}
