//! Measures the console classifier on logs with expected titles; `scripts/bench detect` runs it.
//!
//! Each `*.log` file: header lines, an empty line, the log. `TITLE:` is the title of the first
//! report (none: the log must stay clean), `ALT:` another one that will do, `TYPE:` or `KIND:` what
//! the table sorts by, `CORRUPTED: Y` a damaged trace. Logs of what a fuzzer itself reports
//! (`TYPE: SYZ_FAILURE`) are left out.
//!
//! The logs fall into three parts by a salted hash of their file names. A fifth is *set aside*: nobody
//! reads it, and its score is what logs that nobody has seen can be expected to score, so it counts. A
//! second fifth is for *validation*: it is not read either, but its score is looked at while rules are
//! written, so that the fifth set aside is asked seldom and stays honest. Rules are written with the
//! three fifths of the *rest*. Of the first two only sums are printed, never which logs are misread.
//!
//! Usage: `cargo run --release -p kbisect-core --example corpus -- DIRECTORY... [--misses | --rest]
//! [--no-judge]`. `--misses` lists the logs of the rest that are misread; `--rest` only prints the file
//! names of the rest, for whoever writes rules; `--no-judge` does not score the fifth set aside. Ends
//! with 1 when a target is missed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use kbisect_core::console::{Scanner, classify};

/// Targets in per cent; clean logs have no other than 100.
const RECALL: f64 = 99.5;
const TITLES: f64 = 85.0;
/// How many points of equal titles the logs set aside may be away from the rest.
const GAP: f64 = 5.0;
/// Target in MB/s of processor time. Printed only: it depends on the processor.
const SPEED: f64 = 200.0;

/// What a log is used for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Rules are written with it.
    Rest,
    /// Scored while rules are written.
    Validation,
    /// Scored when they are done.
    Aside,
}

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
    misses: Vec<String>,
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (options, directories): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let asked = |name: &str| options.iter().any(|option| option == name);
    let mut paths = Vec::new();
    for directory in &directories {
        let entries = std::fs::read_dir(directory).map_err(|e| format!("{directory}: {e}"))?;
        paths.extend(entries.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>()?);
    }
    paths.retain(|path| path.extension().is_some_and(|e| e == "log"));
    paths.sort();
    if paths.is_empty() {
        return Err("usage: corpus DIRECTORY... [--misses | --rest]; there is no *.log file".into());
    }
    if asked("--rest") {
        let rest = paths.iter().filter(|path| part_of(path) == Part::Rest);
        rest.for_each(|path| println!("{}", path.display()));
        return Ok(ExitCode::SUCCESS);
    }
    let (mut rest, mut validation, mut aside) = Default::default();
    let mut all = Vec::new();
    for path in &paths {
        let bytes = std::fs::read(path)?;
        let tally: &mut Tally = match part_of(path) {
            Part::Rest => &mut rest,
            Part::Validation => &mut validation,
            Part::Aside => &mut aside,
        };
        if !asked("--no-judge") || part_of(path) != Part::Aside {
            tally.add(path, &bytes);
        }
        all.extend_from_slice(split(&bytes).1);
    }
    if asked("--misses") {
        rest.misses.iter().for_each(|miss| println!("{miss}"));
    }
    rest.print_kinds();
    let held = compare(&rest, &validation, &aside);
    speed("throughput, these logs", &all);
    speed("throughput, a healthy boot", &healthy_boot());
    Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The part that a log belongs to, by the FNV-1a hash of its salted file name: it stays the same
/// wherever the logs lie and whichever are added. The salt is the second: logs that the first split
/// had set aside have been read since.
fn part_of(path: &Path) -> Part {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let salted = b"second split/".iter().copied().chain(name.bytes());
    let hash = salted.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    match hash % 5 {
        0 => Part::Aside,
        1 => Part::Validation,
        _ => Part::Rest,
    }
}

impl Tally {
    fn add(&mut self, path: &Path, bytes: &[u8]) {
        let (expected, log) = split(bytes);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if expected.kind == "SYZ_FAILURE" {
            self.left_out += 1;
            return;
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
            return;
        };
        let row = self.rows.entry(expected.kind).or_default();
        row.logs += 1;
        let Some(report) = first else {
            self.misses.push(format!("{name}: expected `{wanted}`, got nothing"));
            return;
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
    }

    fn print_kinds(&self) {
        println!(
            "{:<36} {:>5} {:>9} {:>7} {:>10}",
            "kind (of the rest)", "logs", "detected", "titles", "corrupted"
        );
        for (kind, row) in &self.rows {
            let Row { logs, found, equal, corrupted, .. } = row;
            println!("{kind:<36} {logs:>5} {found:>9} {equal:>7} {corrupted:>10}");
        }
        if self.left_out > 0 {
            println!("{} logs of what a fuzzer itself reports are left out", self.left_out);
        }
    }

    fn sum(&self) -> Row {
        self.rows.values().fold(Row::default(), |sum, row| Row {
            logs: sum.logs + row.logs,
            found: sum.found + row.found,
            equal: sum.equal + row.equal,
            alternative: sum.alternative + row.alternative,
            corrupted: sum.corrupted + row.corrupted,
        })
    }
}

/// Prints the sums of the parts side by side; returns whether the targets hold. The logs set aside
/// count; where there are none (few logs), the rest does.
fn compare(rest: &Tally, validation: &Tally, aside: &Tally) -> bool {
    let sums = [rest.sum(), validation.sum(), aside.sum()];
    println!("  {:<38} {:>18} {:>18} {:>18}", "", "the rest", "validation", "set aside");
    let line = |what: &str, shares: [(usize, usize); 3], least: Option<f64>| {
        print!("  {what:<38}");
        for (part, whole) in shares {
            print!(" {:>18}", format!("{part} of {whole} {:5.1} %", percent(part, whole)));
        }
        let (part, whole) = if sums[2].logs == 0 { shares[0] } else { shares[2] };
        let held = least.is_none_or(|least| percent(part, whole) >= least);
        println!(
            "{}",
            least.map_or_else(String::new, |l| format!("  target {l} % {}", word(held)))
        );
        held
    };
    let share = |part: fn(&Row) -> usize| sums.each_ref().map(|sum| (part(sum), sum.logs));
    let quiet = [rest, validation, aside].map(|tally| (tally.clean, tally.clean + tally.dirty));
    let recall = line("logs with a report that are detected", share(|s| s.found), Some(RECALL));
    let clean = line("logs without one that stay clean", quiet, Some(100.0));
    let titles = line("titles equal", share(|s| s.equal), Some(TITLES));
    line("more titles equal to an alternative", share(|s| s.alternative), None);
    line("damaged traces told as such", share(|s| s.corrupted), None);
    let title_share = |sum: &Row| percent(sum.equal, sum.logs);
    let gap = (title_share(&sums[0]) - title_share(&sums[2])).abs();
    let near = sums[2].logs == 0 || gap <= GAP;
    println!(
        "  {:<38} {gap:12.1} points  target {GAP} {}",
        "titles: set aside, from the rest",
        word(near)
    );
    recall && clean && titles && near
}

fn word(held: bool) -> &'static str {
    if held { "ok" } else { "MISSED" }
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
    println!("  {what:<46} {best:6.0} MB/s target {SPEED} {}", word(best >= SPEED));
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
