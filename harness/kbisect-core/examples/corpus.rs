//! Measures the console classifier on logs with expected titles; `scripts/bench detect` runs it.
//!
//! Each `*.log` file: header lines, an empty line, the log. `TITLE:` is the title of the first
//! report (none: the log must stay clean), `ALT:` another one that will do, `TYPE:` or `KIND:` what
//! the table sorts by, `CORRUPTED: Y` a damaged trace. Logs of what a fuzzer itself reports
//! (`TYPE: SYZ_FAILURE`) are left out.
//!
//! Usage: `cargo run --release -p kbisect-core --example corpus -- DIRECTORY... [--misses]`. Ends
//! with 1 when a target is missed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use kbisect_core::console::{Scanner, classify};

/// Targets in per cent; recall and clean logs have no other than 100.
const TITLES: f64 = 85.0;
/// Target in MB/s of processor time. Printed only: it depends on the processor.
const SPEED: f64 = 200.0;

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
    /// Equal by an alternative title only.
    alternative: usize,
    corrupted: usize,
}

#[derive(Default)]
struct Tally {
    rows: BTreeMap<String, Row>,
    clean: usize,
    dirty: usize,
    left_out: usize,
    all: Vec<u8>,
    misses: Vec<String>,
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (options, directories): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let mut paths = Vec::new();
    for directory in &directories {
        let entries = std::fs::read_dir(directory).map_err(|e| format!("{directory}: {e}"))?;
        paths.extend(entries.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?);
    }
    paths.retain(|path| path.extension().is_some_and(|e| e == "log"));
    paths.sort();
    if paths.is_empty() {
        return Err("usage: corpus DIRECTORY... [--misses]; there is no *.log file".into());
    }
    let mut tally = Tally::default();
    for path in &paths {
        tally.add(path)?;
    }
    if options.iter().any(|option| option == "--misses") {
        tally.misses.iter().for_each(|miss| println!("{miss}"));
    }
    let held = tally.print();
    speed("throughput, these logs", &tally.all);
    speed("throughput, a healthy boot", &healthy_boot());
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Tally {
    fn add(&mut self, path: &PathBuf) -> std::io::Result<()> {
        let bytes = std::fs::read(path)?;
        let (expected, log) = split(&bytes);
        self.all.extend_from_slice(log);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if expected.kind == "SYZ_FAILURE" {
            self.left_out += 1;
            return Ok(());
        }
        let reports = classify(log);
        let first = reports.first();
        let Some(wanted) = expected.titles.first() else {
            match first {
                None => self.clean += 1,
                Some(report) => {
                    self.dirty += 1;
                    self.misses.push(format!("{name}: false report `{}`", report.title));
                }
            }
            return Ok(());
        };
        let row = self.rows.entry(expected.kind).or_default();
        row.logs += 1;
        let Some(report) = first else {
            self.misses.push(format!("{name}: expected `{wanted}`, got nothing"));
            return Ok(());
        };
        let title = &report.title;
        let exact = expected.titles.contains(title);
        let alternative = expected.titles.iter().any(|t| report.titles().any(|x| x == t));
        row.found += 1;
        row.equal += usize::from(exact);
        row.alternative += usize::from(!exact && alternative);
        row.corrupted += usize::from(report.corrupted == expected.corrupted);
        if !exact {
            let note = if alternative { " (an alternative is equal)" } else { "" };
            self.misses.push(format!("{name}: expected `{wanted}`, got `{title}`{note}"));
        } else if report.corrupted != expected.corrupted {
            self.misses.push(format!("{name}: corrupted should be {}", expected.corrupted));
        }
        Ok(())
    }

    /// Prints the table; returns whether the targets hold.
    fn print(&self) -> bool {
        let mut sum = Row::default();
        println!(
            "{:<36} {:>5} {:>9} {:>7} {:>10}",
            "kind", "logs", "detected", "titles", "corrupted"
        );
        for (kind, row) in &self.rows {
            row.print(kind);
            sum.logs += row.logs;
            sum.found += row.found;
            sum.equal += row.equal;
            sum.alternative += row.alternative;
            sum.corrupted += row.corrupted;
        }
        sum.print("all");
        if self.left_out > 0 {
            println!("{} logs of what a fuzzer itself reports are left out", self.left_out);
        }
        println!("{} more titles are equal to an alternative", sum.alternative);
        let recall = target("logs with a report that are detected", sum.found, sum.logs, 100.0);
        let clean =
            target("logs without one that stay clean", self.clean, self.clean + self.dirty, 100.0);
        let titles = target("titles equal", sum.equal, sum.logs, TITLES);
        println!(
            "  {:<46} {:6.1} %",
            "damaged traces told as such",
            percent(sum.corrupted, sum.logs)
        );
        recall && clean && titles
    }
}

impl Row {
    fn print(&self, kind: &str) {
        let Self { logs, found, equal, corrupted, .. } = self;
        println!("{kind:<36} {logs:>5} {found:>9} {equal:>7} {corrupted:>10}");
    }
}

fn target(what: &str, part: usize, whole: usize, least: f64) -> bool {
    let reached = percent(part, whole);
    let held = reached >= least;
    let word = if held { "ok" } else { "MISSED" };
    println!("  {what:<46} {reached:6.1} %   target {least} % {word}   ({part} of {whole})");
    held
}

/// Scans copies of a log, in pieces as a serial port delivers them. The processor's time counts,
/// and the best of five rounds, since other processes share the cores.
fn speed(what: &str, log: &[u8]) {
    let mut best: f64 = 0.0;
    for _ in 0..5 {
        let mut bytes = 0usize;
        let start = processor_seconds();
        while bytes < 64 << 20 {
            // A fresh one: a scanner stops reporting after a bounded number of reports.
            let mut scanner = Scanner::new();
            for piece in log.chunks(64 << 10) {
                scanner.push(piece);
                bytes += piece.len();
            }
            scanner.finish();
        }
        best = best.max(bytes as f64 / 1e6 / (processor_seconds() - start));
    }
    let word = if best >= SPEED { "ok" } else { "MISSED" };
    println!("  {what:<46} {best:6.0} MB/s target {SPEED} {word}");
}

/// Time that this thread has been on a processor (Documentation/scheduler/sched-stats.rst).
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = stat.split(' ').next().and_then(|field| field.parse::<u64>().ok());
    nanos.expect("the kernel counts processor time") as f64 / 1e9
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
    if whole == 0 { 100.0 } else { 100.0 * part as f64 / whole as f64 }
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
            Some(("TYPE" | "KIND", kind)) => expected.kind = kind.to_owned(),
            Some(("CORRUPTED", yes)) => expected.corrupted = yes == "Y",
            _ => {}
        }
    }
    (expected, rest)
}
