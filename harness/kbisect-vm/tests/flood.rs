//! A console that never stops, and what it costs. In a process of its own: memory is counted for
//! the whole of it.

#![allow(clippy::unwrap_used, reason = "helpers of a test fail as the test does")]

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "machines/bench.rs"]
mod bench;

use kbisect_core::trial::SymptomKind;

use bench::Bench;

/// The memory that the harness is to do with (MiB), and what the log on disk is cut to.
const MEMORY: u64 = 64;
const LOG: u64 = 64 << 20;

/// Most memory that this process ever had resident (MiB; proc(5), `VmHWM`).
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn floods_cost_little_memory_and_disk() {
    let mut bench = Bench::new();
    // A line without an end, after output of services that nobody started.
    let (kind, title) = bench.bad("at http\n channel strangers\n endless 1000000\n");
    assert_eq!(kind, SymptomKind::Hang, "{title}");
    let log = bench.trial_folder().join("candidate/console.log").metadata().unwrap().len();
    assert!(log <= LOG + (1 << 17), "{log} bytes of log");
    // A gigabyte that has an end is read to it, and what comes then is seen.
    let result = bench.trial("at exec replay-step\n flood 1024\n");
    let told = |note: &String| note.starts_with("the console printed 102");
    assert!(result.notes.iter().any(told), "{:?}", result.notes);
    println!("a gigabyte: {}, {:.1} s; peak memory {} MiB", result.verdict, result.wall_s, peak());
    assert!(peak() <= MEMORY, "{} MiB of memory", peak());
}
