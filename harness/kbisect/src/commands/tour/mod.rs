//! `kbisect tour`: a recorded bisection of real kernels, played again with what happens said beside it. No machine
//! is started for it.

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kbisect_core::run::{Beside, RunEvent, Tried};
use kbisect_core::trial::VerdictKind;
use kbisect_report::words::{TourStep, tour};
use kbisect_report::{bisect_result, read_journal_after, terminal_summary};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::cli::{Global, TourArgs};
use crate::run::style;
use crate::ui::Ui;
use crate::{errors, exit, output};

/// The recording; of the host nothing is in it but its number of processors.
const JOURNAL: &[u8] = include_bytes!("journal.jsonl");
/// Longest time between two events, and the time that it takes to read what is said.
const LONGEST: Duration = Duration::from_millis(1200);
const READING: Duration = Duration::from_millis(3200);
/// Widest line of what is said.
const COLUMNS: usize = 100;
/// How often it is looked whether somebody has seen enough.
const LOOK: Duration = Duration::from_millis(50);

/// Plays the recording.
///
/// # Errors
/// With `--json`, since it is no document; an output that is closed.
pub fn tour_of(args: &TourArgs, global: &Global) -> anyhow::Result<ExitCode> {
    if global.json {
        return Err(errors::usage("a recording has no JSON document", "leave --json out"));
    }
    let lines = read_journal_after(JOURNAL, 0)?.lines;
    let ui = Ui::new(global);
    let stop = ui.stop_flag();
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, std::sync::Arc::clone(&stop))?;
    }
    let rest = |long: Duration| {
        let until = Instant::now() + if args.fast { Duration::ZERO } else { long };
        while Instant::now() < until && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK);
        }
    };
    let columns = style(global).width.unwrap_or(COLUMNS).clamp(50, COLUMNS);
    let began = lines.first().map_or(0, |line| line.at_ms);
    let mut before = began;
    let mut ended = 0;
    for line in &lines {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        rest(Duration::from_millis(line.at_ms.saturating_sub(before)).min(LONGEST));
        before = line.at_ms;
        ui.event_at(&line.event, Duration::from_millis(line.at_ms - began));
        ended += u32::from(matches!(line.event, RunEvent::TrialEnded { .. }));
        if let Some(step) = step(&line.event, ended) {
            ui.pause(|| say(step, columns));
            rest(READING);
        }
    }
    ui.finish();
    if let Some(result) = bisect_result(&lines, "") {
        output::print(&terminal_summary(&result, style(global)))?;
    }
    say(TourStep::YourTurn, columns);
    Ok(exit::code(exit::OK))
}

fn say(step: TourStep, columns: usize) {
    output::say("");
    tour(step, columns).iter().for_each(|line| output::say(line));
    output::say("");
}

/// What there is to say after an event; `ended` is how many trials are over.
fn step(event: &RunEvent, ended: u32) -> Option<TourStep> {
    match (event, ended) {
        (RunEvent::Began { .. }, _) => Some(TourStep::Incident),
        (RunEvent::TrialEnded { tried: Tried::Beside { beside: Beside::Newest }, .. }, _) => {
            Some(TourStep::Newest)
        }
        (RunEvent::TrialEnded { record, .. }, 1) if record.verdict == VerdictKind::Bad => {
            Some(TourStep::BadEnd)
        }
        (RunEvent::TrialEnded { .. }, 2) => Some(TourStep::GoodEnd),
        (RunEvent::TrialEnded { .. }, 5) => Some(TourStep::Narrowed),
        (RunEvent::Ended { .. }, _) => Some(TourStep::Confirmed),
        (RunEvent::Changes { .. }, _) => Some(TourStep::Changes),
        _ => None,
    }
}
