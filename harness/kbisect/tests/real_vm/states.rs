//! Guests that go on from a saved state: each is one of its own.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::host::Host;

/// The host under test tells of itself what twins would have in common.
const SCENARIO: &str = r#"
schema = "kbisect.scenario/1"
summary = "a host that tells of itself"
[nodes.client]
kernel = "candidate"
[nodes.server]
kernel = "reference"
[links.lan]
client = { name = "eth0", addresses = ["192.0.2.10/24"] }
server = { name = "eth0", addresses = ["192.0.2.1/24"] }
[[services]]
name = "told"
node = "client"
command = ["sh", "-c", "cat /proc/sys/kernel/random/uuid; cat /proc/self/stat | cut -d' ' -f28; date +%s; cat /sys/class/net/eth0/address; exec sleep 100"]
ready = { log = "^02:" }
[[checks]]
name = "alive"
node = "client"
alive = true
"#;

/// What the guest told: a random number, the random place of its stack, its time, its address.
fn told(document: &Value) -> [String; 4] {
    let folder = Path::new(document["run_dir"].as_str().unwrap());
    let log = folder.join(document["directory"].as_str().unwrap()).join("services/told.log");
    let text = std::fs::read_to_string(log).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.try_into().unwrap_or_else(|lines| panic!("four lines: {lines:?}"))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn restored_guests_have_randomness_time_and_addresses_of_their_own() {
    let host = Host::hold();
    let scenario = host.path("twins");
    std::fs::create_dir(&scenario).unwrap();
    std::fs::write(scenario.join("scenario.toml"), SCENARIO).unwrap();
    // 5.10 has the old generator of random numbers, 6.12 the new one.
    for kernel in ["5.10.223", "6.12.57"] {
        let mut seen: Vec<[String; 4]> = Vec::new();
        // The first one may find a state of an earlier run, the others must.
        for number in 0..3 {
            let before = now();
            let trial =
                host.run(&format!("run {kernel} --scenario {}", scenario.display())).document(0);
            let expected: &[&str] = if number == 0 { &["cold", "restored"] } else { &["restored"] };
            let boot = trial["boot"].as_str().unwrap();
            assert!(
                expected.contains(&boot),
                "{kernel}, trial {number}: {boot}, {}",
                trial["notes"]
            );
            let [random, stack, time, address] = told(&trial);
            let time: u64 = time.parse().unwrap();
            // The guest's clock goes by whole seconds, and both sides round.
            assert!((before - 1..=now() + 1).contains(&time), "{kernel}: {time}, not {before}");
            assert!(
                address.starts_with("02:6b:") && !address.starts_with("02:6b:00:00"),
                "{address}"
            );
            for [other, place, _, same] in &seen {
                assert_ne!(*other, random, "{kernel}: twins draw the same number");
                assert_ne!(*place, stack, "{kernel}: twins have their stacks in the same place");
                assert_eq!(*same, address, "addresses belong to the scenario");
            }
            seen.push([random, stack, time.to_string(), address]);
        }
    }
    host.assert_no_machine_left();
}
