//! Measures the console classifier on a directory of logs with expected titles.
//!
//! Each `*.log` file: header lines (`TITLE:`, `ALT:`, `TYPE:`, `CORRUPTED:`), an empty line, the
//! log. Usage: `cargo run --release -p kbisect-core --example corpus -- DIRECTORY [--misses]`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use kbisect_core::console::{Scanner, classify};

#[derive(Default)]
struct Expected {
    titles: Vec<String>,
    kind: String,
    corrupted: bool,
}

#[derive(Default)]
struct Row {
    logs: usize,
    found: usize,
    equal: usize,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let directory = PathBuf::from(args.next().ok_or("usage: corpus DIRECTORY [--misses]")?);
    let misses = args.next().is_some();
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&directory)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|e| e == "log"));
    paths.sort();
    let mut table: BTreeMap<String, Row> = BTreeMap::new();
    let (mut clean, mut dirty, mut corrupted_same) = (0, 0, 0);
    let mut all = Vec::new();
    for path in &paths {
        let bytes = std::fs::read(path)?;
        let (expected, log) = split(&bytes);
        all.extend_from_slice(log);
        let reports = classify(log);
        let first = reports.first();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if expected.titles.is_empty() {
            match first {
                None => clean += 1,
                Some(report) => {
                    dirty += 1;
                    println!("{name}: false report `{}`", report.title);
                }
            }
            continue;
        }
        let row = table.entry(expected.kind.clone()).or_default();
        row.logs += 1;
        row.found += usize::from(first.is_some());
        let equal =
            first.is_some_and(|r| expected.titles.iter().any(|t| r.titles().any(|x| x == t)));
        let exact = first.is_some_and(|r| expected.titles.contains(&r.title));
        row.equal += usize::from(exact);
        corrupted_same += usize::from(first.is_some_and(|r| r.corrupted == expected.corrupted));
        if misses && !exact {
            let got = first.map_or("nothing", |report| report.title.as_str());
            let note = if equal { " (an alternative is equal)" } else { "" };
            println!("{name}: expected `{}`, got `{got}`{note}", expected.titles[0]);
        } else if misses && first.is_some_and(|r| r.corrupted != expected.corrupted) {
            println!("{name}: corrupted should be {}", expected.corrupted);
        }
    }
    println!("{:<28} {:>5} {:>6} {:>12}", "type", "logs", "found", "title equal");
    let (mut logs, mut found, mut equal) = (0, 0, 0);
    for (kind, row) in &table {
        println!("{kind:<28} {:>5} {:>6} {:>12}", row.logs, row.found, row.equal);
        logs += row.logs;
        found += row.found;
        equal += row.equal;
    }
    println!("{:<28} {logs:>5} {found:>6} {equal:>12}", "total");
    println!("recall {:.1} %, titles equal {:.1} %", percent(found, logs), percent(equal, logs));
    println!("corrupted as expected {:.1} %", percent(corrupted_same, logs));
    println!("logs without a report: {clean} clean, {dirty} with a false report");
    throughput("crash logs only", &all);
    throughput("healthy boot", &healthy_boot());
    Ok(())
}

/// Scans copies of a log, in pieces as a serial port delivers them; the best of five rounds, since
/// other processes share the cores.
fn throughput(what: &str, log: &[u8]) {
    let mut best: f64 = 0.0;
    for _ in 0..5 {
        let mut bytes = 0usize;
        let start = Instant::now();
        while bytes < 64 << 20 {
            // A fresh one: a scanner stops reporting after a bounded number of reports.
            let mut scanner = Scanner::new();
            for piece in log.chunks(64 << 10) {
                scanner.push(piece);
                bytes += piece.len();
            }
            scanner.finish();
        }
        best = best.max(bytes as f64 / 1e6 / start.elapsed().as_secs_f64());
    }
    println!("{what}: {best:.0} MB/s");
}

fn healthy_boot() -> Vec<u8> {
    let mut log = String::new();
    for i in 0..20_000 {
        let time = f64::from(i) / 1000.0;
        let line = match i % 5 {
            0 => "pci 0000:00:01.0: [8086:7000] type 00 class 0x060100 conventional PCI endpoint",
            1 => "systemd[1]: Starting systemd-udevd.service - Rule-based Manager for Events...",
            2 => "ACPI: bus type drm_connector registered",
            3 => "audit: type=1400 audit(1700000000.1:2): apparmor=\"STATUS\" operation=\"load\"",
            _ => "virtio_net virtio0 eth0: renamed from enp0s3 (default queue discipline: fq)",
        };
        log.push_str(&format!("[{time:>12.6}] {line}\r\n"));
    }
    log.into_bytes()
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

fn split(bytes: &[u8]) -> (Expected, &[u8]) {
    let mut expected = Expected { kind: "-".to_owned(), ..Expected::default() };
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|b| *b == b'\n') {
        let line = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = &rest[end + 1..];
        match line.split_once(": ") {
            _ if line.is_empty() => break,
            Some(("TITLE" | "ALT", title)) => expected.titles.push(title.to_owned()),
            Some(("TYPE", kind)) => expected.kind = kind.to_owned(),
            Some(("CORRUPTED", yes)) => expected.corrupted = yes == "Y",
            _ => {}
        }
    }
    (expected, rest)
}
