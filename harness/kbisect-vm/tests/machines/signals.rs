//! The signals of a machine and what they amount to together: the table of ARCHITECTURE.md, cell
//! by cell.

use kbisect_core::trial::Verdict;

use crate::bench::Bench;

/// What the kernel says on the console.
const CONSOLE: [(&str, &str); 5] = [
    ("nothing", ""),
    ("panic", " panic nft_fake_eval\n"),
    ("oops", " oops nft_fake_eval\n"),
    ("warning", " warning nft_fake_eval\n"),
    ("lock-up", " lockup nft_fake_eval\n"),
];

/// How the machine goes on.
const END: [(&str, &str); 12] = [
    ("alive", ""),
    ("pvpanic, alive", " pvpanic\n"),
    ("reset", " shutdown guest guest-reset\n exit 0\n"),
    ("pvpanic, reset", " pvpanic\n shutdown guest guest-reset\n exit 0\n"),
    ("guest-panic", " shutdown guest guest-panic\n exit 0\n"),
    ("power-off", " shutdown guest guest-shutdown\n exit 0\n"),
    ("silent", " hang\n"),
    ("ended", " exit 0\n"),
    ("failed", " stderr out of memory\n exit 1\n"),
    ("channel broken", " channel garbage\n"),
    ("watchdog, alive", " qmp {\"event\": \"WATCHDOG\", \"data\": {\"action\": \"none\"}}\n"),
    (
        "watchdog, silent",
        " qmp {\"event\": \"WATCHDOG\", \"data\": {\"action\": \"none\"}}\n hang\n",
    ),
];

/// One row for each end, one column for each thing that the console can say, as in [`CONSOLE`].
const AFTER_BOOT: [[&str; 5]; 12] = [
    ["good", "panic", "oops", "warning", "hang"],
    ["panic", "panic", "oops", "panic", "hang"],
    ["reboot", "panic", "oops", "reboot", "hang"],
    ["panic", "panic", "oops", "panic", "hang"],
    ["panic", "panic", "oops", "panic", "hang"],
    ["reboot", "panic", "oops", "reboot", "hang"],
    ["hang", "panic", "oops", "hang", "hang"],
    ["infra", "panic", "infra", "infra", "infra"],
    ["infra", "panic", "infra", "infra", "infra"],
    ["hang", "panic", "oops", "hang", "hang"],
    ["good", "panic", "oops", "warning", "hang"],
    ["hang", "panic", "oops", "hang", "hang"],
];

/// As [`AFTER_BOOT`], before user space is up: a machine that stays simply never comes up.
const BEFORE: [[&str; 5]; 12] = [
    ["skip", "skip", "skip", "skip", "skip"],
    ["skip", "skip", "skip", "skip", "skip"],
    ["skip", "skip", "skip", "skip", "skip"],
    ["skip", "skip", "skip", "skip", "skip"],
    ["skip", "skip", "skip", "skip", "skip"],
    ["skip", "skip", "skip", "skip", "skip"],
    ["skip", "skip", "skip", "skip", "skip"],
    ["infra", "skip", "infra", "infra", "infra"],
    ["infra", "skip", "infra", "infra", "infra"],
    ["skip", "skip", "skip", "skip", "skip"],
    ["skip", "skip", "skip", "skip", "skip"],
    ["skip", "skip", "skip", "skip", "skip"],
];

fn word(verdict: &Verdict) -> String {
    match verdict.symptom() {
        Some(symptom) => symptom.kind.to_string(),
        None => verdict.word().to_owned(),
    }
}

/// Runs all cells, a column a thread, since they wait more than they work. They are compared at
/// once, so that a failure shows the whole of what changed.
fn compare(lab: fn() -> Bench, event: &str, after: &str, expected: &[[&str; 5]; 12]) {
    let column = &|at: usize| -> Vec<String> {
        let mut bench = lab();
        let (console, said) = CONSOLE[at];
        let cells = END.iter().zip(expected);
        cells
            .filter_map(|((end, ending), row)| {
                let verdict = bench.trial(&format!("at {event}\n{said}{ending}{after}")).verdict;
                let wrong = format!("{console}; {end}: {} was expected, not {verdict}", row[at]);
                (word(&verdict) != row[at]).then_some(wrong)
            })
            .collect()
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let columns: Vec<_> =
            (0..CONSOLE.len()).map(|at| scope.spawn(move || column(at))).collect();
        columns.into_iter().flat_map(|column| column.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "at {event}:\n{}", wrong.join("\n"));
}

#[test]
fn signals_after_the_boot() {
    compare(Bench::new, "http", "", &AFTER_BOOT);
}

#[test]
fn signals_before_user_space_is_up() {
    compare(Bench::new, "start", " mute\n", &BEFORE);
}

/// A machine whose memory is dumped stays where others end; that must not show.
#[test]
fn dumps_change_no_verdict() {
    compare(Bench::dumping, "http", "", &AFTER_BOOT);
}
