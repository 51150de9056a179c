//! What a real panic leaves behind.

use kbisect_core::capture;
use kbisect_core::evidence::kdump;

use crate::host::Host;

/// The connection that is accepted is the last thing that the kernel does.
const TRAP: &str = r#"
schema = "kbisect.scenario/1"
summary = "a server whose kernel panics at the first connection"

[nodes.server]
kernel = "candidate"

[nodes.client]
kernel = "reference"

[links.lan]
server = { name = "eth0", addresses = ["192.0.2.1/24"] }
client = { name = "eth0", addresses = ["192.0.2.10/24"] }

[[services]]
name = "trap"
node = "server"
command = ["socat", "TCP-LISTEN:80,reuseaddr", "SYSTEM:echo c > /proc/sysrq-trigger"]
ready = { tcp = 80 }

[[checks]]
name = "connect"
node = "client"
http = { url = "http://192.0.2.1/" }
"#;

/// Source and destination port, and flags, of a TCP segment over IPv4 without options.
fn segment(frame: &[u8]) -> Option<(u16, u16, u8)> {
    let is_tcp = frame.get(12..14)? == [8, 0] && frame.get(14)? == &0x45 && frame.get(23)? == &6;
    let port = |at: usize| Some(u16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?));
    is_tcp.then_some((port(34)?, port(36)?, *frame.get(47)?))
}

#[test]
fn a_panic_leaves_its_last_frames_its_memory_and_its_registers() {
    const SYN: u8 = 0x02;
    const PUSH: u8 = 0x08;
    let host = Host::hold();
    let scenario = host.results().parent().unwrap().join("trap");
    std::fs::create_dir_all(&scenario).unwrap();
    std::fs::write(scenario.join("scenario.toml"), TRAP).unwrap();
    let words = format!("run 6.12.57 --scenario {} --vmcore", scenario.display());
    let bad = host.run(&words).document(1);
    assert_eq!(bad["symptom"]["kind"], "panic", "{}", bad["symptom"]);
    let folder = std::path::Path::new(bad["run_dir"].as_str().unwrap())
        .join(bad["directory"].as_str().unwrap());
    let file = |name: &str| std::fs::read(folder.join(name)).unwrap();

    // A request cannot be older than what makes the kernel panic: it is its cause.
    let frames = capture::read(&file("wires/lan.pcapng")).unwrap();
    let to_server: Vec<u8> = frames
        .iter()
        .filter_map(|frame| segment(&frame.data))
        .filter_map(|(_, to, flags)| (to == 80).then_some(flags))
        .collect();
    assert!(to_server.iter().any(|flags| flags & SYN != 0), "{to_server:?}");
    assert!(to_server.iter().any(|flags| flags & PUSH != 0), "the request: {to_server:?}");

    let console = String::from_utf8_lossy(&file("candidate/console.log")).into_owned();
    assert!(console.contains("end Kernel panic"), "the trace is complete: {console}");
    let vmcore = &bad["evidence"]["vmcore"];
    let dump = file(vmcore["path"].as_str().unwrap());
    assert_eq!(vmcore["bytes"], dump.len());
    let kernel = kdump::kernel_of(&dump);
    assert_eq!(kernel.release.as_deref(), bad["release"].as_str());
    assert_eq!(kernel.build_id.as_deref(), vmcore["build_id"].as_str());
    assert_eq!(kernel.build_id.map(|id| id.len()), Some(40), "the guest told it");
    let crash = &bad["evidence"]["crash"];
    assert_eq!(crash["taint"], "Not tainted", "{crash}");
    assert!(String::from_utf8(file("candidate/cmdline")).unwrap().contains("panic=0"));
    assert!(!file("candidate/config").is_empty());
    host.assert_no_machine_left();
}
