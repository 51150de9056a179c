//! A run's folder with a scenario, consoles and captures, as the harness leaves it.

use std::fs;
use std::path::Path;

use etherparse::PacketBuilder;
use kbisect_core::pcapng;
use kbisect_core::run::RunEvent;
use kbisect_core::scenario::Scenario;
use kbisect_core::trial::VerdictKind;
use kbisect_report::{Dossier, journal_line};
use tempfile::TempDir;

use super::Play;

/// The connlimit scenario.
pub fn scenario() -> Scenario {
    let text = include_str!("../../../../scenarios/connlimit/scenario.toml");
    Scenario::parse("connlimit", "scenario.toml", text).unwrap().scenario().clone()
}

/// Writes a play to a folder: journal, scenario, and the files of each trial.
pub fn written(play: &Play) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let journal = play.journal();
    let lines: Vec<u8> =
        journal.iter().flat_map(|line| journal_line(line.at_ms, &line.event).unwrap()).collect();
    fs::write(dir.path().join("journal.jsonl"), lines).unwrap();
    fs::create_dir(dir.path().join("scenario")).unwrap();
    let scenario = serde_json::to_vec_pretty(&scenario()).unwrap();
    fs::write(dir.path().join("scenario/scenario.json"), scenario).unwrap();
    fs::write(dir.path().join("scenario/rules.v4"), "*filter\nCOMMIT\n").unwrap();
    for trial in play.result().trials {
        let folder = dir.path().join(&trial.directory);
        for part in ["candidate", "wires", "collect"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        let good = trial.verdict == VerdictKind::Good;
        let began = |event: &RunEvent| matches!(event, RunEvent::TrialBegan { number, .. } if *number == trial.number);
        let began_ms = journal.iter().find(|line| began(&line.event)).unwrap().at_ms;
        fs::write(folder.join("trial.json"), serde_json::to_vec_pretty(&trial).unwrap()).unwrap();
        console(&folder, began_ms, good);
        fs::write(folder.join("wires/lan.pcapng"), capture(began_ms, good)).unwrap();
        fs::write(
            folder.join("candidate/qemu.cmdline"),
            "qemu-system-x86_64\n-nodefaults\n-kernel\n/root/vmlinuz\n",
        )
        .unwrap();
        fs::write(
            folder.join("collect/client.txt"),
            "### /proc/version\nLinux version 6.12.69 (gcc 12)\n\n### /proc/cmdline\nquiet panic=-1\n\n\
             ### /proc/sys/kernel/tainted\n0\n\n### addr show\ninet 192.0.2.10/24 link/ether \
             02:6b:ab:e5:38:ae\n",
        )
        .unwrap();
    }
    dir
}

fn console(folder: &Path, began_ms: u64, good: bool) {
    let mut log = "[    0.100000] booting\nkbisect-guest: user space is up\n".to_owned();
    if !good {
        log += "[    5.000000] <script>alert('console')</script>\n";
    }
    fs::write(folder.join("candidate/console.log"), &log).unwrap();
    let times = format!("{}000000 0\n{}000000 24\n", began_ms + 100, began_ms + 4000);
    fs::write(folder.join("candidate/console.times"), times).unwrap();
}

/// A connection of the client to the server; in the bad trial nothing follows the SYN-ACK.
pub fn capture(began_ms: u64, good: bool) -> Vec<u8> {
    let mut file = pcapng::header(&["lan: sent by client", "lan: sent by server"]);
    let mut at = began_ms * 1_000_000 + 5_000_000_000;
    let mut add = |to_server: bool, flags: &str, payload: &[u8]| {
        let (client, server) = ([192, 0, 2, 10], [192, 0, 2, 1]);
        let (from, to) = if to_server { (client, server) } else { (server, client) };
        let (source, target) = if to_server { (40002, 80) } else { (80, 40002) };
        let mut builder = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .ipv4(from, to, 64)
            .tcp(source, target, 7, 1000);
        if flags.contains('S') {
            builder = builder.syn();
        }
        if flags.contains('A') {
            builder = builder.ack(8);
        }
        let mut bytes = Vec::new();
        builder.write(&mut bytes, payload).unwrap();
        at += 1_000_000;
        pcapng::packet(&mut file, u32::from(!to_server), at, &bytes);
    };
    add(true, "S", b"");
    add(false, "SA", b"");
    if good {
        add(true, "A", b"GET / HTTP/1.1\r\nHost: server\r\n\r\n");
        add(false, "A", b"HTTP/1.1 200 OK\r\n\r\nbody");
    } else {
        add(true, "S", b"");
    }
    file
}

pub fn dossier(dir: &TempDir) -> Dossier {
    Dossier::read(dir.path()).unwrap()
}
