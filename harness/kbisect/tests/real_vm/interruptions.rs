//! kill -9 at a random moment, then resume. `scripts/kill-resume` does the same many times over.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::Path;
use std::time::Duration;

use crate::host::{Ended, Host};

const RUN: &str = "6.12.43..6.12.96 --scenario connlimit --no-fix";

/// Lines that the journal of the whole run has at least.
const LINES: u64 = 50;

#[test]
fn resuming_after_kill_9_gives_the_same_answer() {
    let host = Host::hold();
    let random = |from, to| from + RandomState::new().build_hasher().finish() % (to - from);
    let moments = [random(2, LINES / 2), random(LINES / 2, LINES)];
    let mut run = host.start(RUN);
    for lines in moments {
        // The run's folder and its journal are there once something was written.
        while journal_lines(&host.results()) < lines {
            assert!(run.try_wait().unwrap().is_none(), "it ended before line {lines}");
            std::thread::sleep(Duration::from_millis(10));
        }
        run.kill().unwrap();
        run.wait().unwrap();
        host.assert_no_machine_left();
        run = host.start(&format!("resume {}", host.run_folder().display()));
    }
    let result = Ended::of("resume", &run.wait_with_output().unwrap()).document(0);
    assert_eq!(result["last_good"]["version"], "6.12.57", "killed at lines {moments:?}");
    assert_eq!(result["first_bad"]["version"], "6.12.69", "killed at lines {moments:?}");
    assert_eq!(result["outcome"], "found", "killed at lines {moments:?}");
    let journal = std::fs::read_to_string(host.run_folder().join("journal.jsonl")).unwrap();
    let count = |event: &str| journal.matches(&format!("\"event\":\"{event}\"")).count();
    let (begun, ended) = (count("trial-began"), count("trial-ended"));
    assert!(
        begun <= ended + moments.len(),
        "{begun} begun, {ended} ended: at most the trial that was running is repeated"
    );
    host.assert_no_machine_left();
}

fn journal_lines(results: &Path) -> u64 {
    let runs = std::fs::read_dir(results).into_iter().flatten().flatten();
    runs.filter_map(|run| std::fs::read(run.path().join("journal.jsonl")).ok())
        .map(|journal| journal.iter().filter(|byte| **byte == b'\n').count() as u64)
        .max()
        .unwrap_or_default()
}
