//! The failed trial on one time axis: phases, checks, console, frames.

use std::collections::BTreeMap;

use kbisect_core::answer::Trial;
use kbisect_core::trial::CheckStatus;
use maud::{Markup, html};

use super::parts::{cell, paragraph};
use crate::dossier::Dossier;
use crate::evidence::{Capture, ConsoleLine, Times, TrialFiles};

/// Width of the labels.
const LEFT: f64 = 150.0;
/// Width of the axis.
const WIDTH: f64 = 830.0;
/// Height of a lane.
const LANE: f64 = 26.0;
/// Width of a mark: frames closer together are one mark.
const BIN: f64 = 2.0;
/// Most lines of the list below the drawing.
const MAX_EVENTS: usize = 400;
/// Most frames in that list: the last ones before the end are the telling ones.
const MAX_FRAMES: usize = 120;
const SECOND: f64 = 1e9;

/// A mark on a lane.
struct Mark {
    from: f64,
    to: f64,
    class: &'static str,
    label: String,
    tip: String,
}

/// One lane of the drawing.
struct Lane {
    name: String,
    marks: Vec<Mark>,
    /// Bars with words, or ticks.
    bars: bool,
}

/// Something that happened, for the list.
struct Event {
    at: f64,
    what: String,
    text: String,
    failed: bool,
}

/// The section; empty when no trial failed.
pub(super) fn section(dossier: &Dossier) -> Markup {
    let Some(trial) = dossier.bad().or(dossier.good()) else { return html! {} };
    let files =
        if dossier.bad().is_some() { &dossier.evidence.bad } else { &dossier.evidence.good };
    let times = dossier.times(trial);
    let nothing = TrialFiles::default();
    let files = files.as_ref().unwrap_or(&nothing);
    let console = placed(files, trial, &times);
    let captures = files.captures.as_deref().unwrap_or_default();
    let Some((begin, end)) = extent(&times, &console, captures) else {
        return html! {
            h2 { "Timeline" }
            p.soft { "No timeline: neither the journal nor the trial's files tell when anything happened." }
        };
    };
    let span = ((end - begin) as f64 / SECOND).max(0.001);
    let second = |at: u64| (at.saturating_sub(begin)) as f64 / SECOND;
    let lanes = lanes(&times, &console, captures, &second);
    let notes = notes(files, &times);
    html! {
        h2 { "Timeline of trial " (trial.number) ", " (cell(&dossier.label(&trial.kernel))) }
        figure {
            div.scroll tabindex="0" { (svg(&lanes, span)) }
            figcaption {
                "Seconds since the trial began. "
                @for note in notes { (note) " " }
            }
        }
        (list(events(trial, &times, &console, captures, &second)))
    }
}

fn notes(files: &TrialFiles, times: &Times) -> Vec<String> {
    let mut notes = Vec::new();
    if times.phases.is_empty() {
        notes.push("Phases are missing: the journal does not tell when they began.".to_owned());
    }
    if files.console.is_empty() {
        notes.push("Console lines are missing: there is no log, or it is empty.".to_owned());
    } else if !files.console_times {
        notes.push(
            "Console lines are placed by the kernel's own clock, counted from the machine's start, so \
             they are drawn somewhat early; those without a time are left out."
                .to_owned(),
        );
    }
    if files.captures.is_none() {
        notes.push("Frames are missing: there are no captures.".to_owned());
    }
    notes
}

/// Console lines with the time of their place on the axis.
fn placed<'a>(
    files: &'a TrialFiles,
    trial: &Trial,
    times: &Times,
) -> Vec<(u64, bool, &'a ConsoleLine)> {
    let began = times.phases.first().map(|(_, at, _)| *at).or(times.began);
    // A report is more than its first line.
    let in_report = |number: usize| {
        trial.reports.iter().filter(|report| report.console.is_none()).any(|report| {
            let lines = report.text.lines().count().max(1);
            number.checked_sub(report.line).is_some_and(|after| after < lines)
        })
    };
    files
        .console
        .iter()
        .filter_map(|line| {
            let by_kernel =
                || Some(began?.saturating_add((line.kernel_s?.max(0.0) * SECOND) as u64));
            Some((line.at.or_else(by_kernel)?, in_report(line.number), line))
        })
        .collect()
}

/// First and last moment.
fn extent(
    times: &Times,
    console: &[(u64, bool, &ConsoleLine)],
    captures: &[Capture],
) -> Option<(u64, u64)> {
    let phases = times.phases.iter().flat_map(|(_, from, to)| [*from, *to]);
    let lines = console.iter().map(|(at, ..)| *at);
    let frames = captures.iter().flat_map(|capture| capture.frames.iter().map(|frame| frame.at));
    let all: Vec<u64> = times.began.into_iter().chain(phases).chain(lines).chain(frames).collect();
    let (begin, end) = (*all.iter().min()?, *all.iter().max()?);
    // Times of another day come from a clock that was set; they must not squeeze the rest.
    Some((begin, end.min(begin.saturating_add(3600 * SECOND as u64))))
}

fn lanes(
    times: &Times,
    console: &[(u64, bool, &ConsoleLine)],
    captures: &[Capture],
    second: &dyn Fn(u64) -> f64,
) -> Vec<Lane> {
    let mut lanes = Vec::new();
    let phases = times.phases.iter().map(|(phase, from, to)| Mark {
        from: second(*from),
        to: second(*to),
        class: "bar",
        label: phase.to_string(),
        tip: format!("{phase}: {:.2} s", second(*to) - second(*from)),
    });
    lanes.push(Lane { name: "phases".to_owned(), marks: phases.collect(), bars: true });
    let checks = times.checks.iter().map(|(name, status, from, to)| Mark {
        from: second(*from),
        to: second(*to),
        class: if *status == CheckStatus::Pass { "bar pass" } else { "bar fail" },
        label: format!("{} {}", if *status == CheckStatus::Pass { "✓" } else { "✗" }, cell(name)),
        tip: format!("{}: {}", cell(name), word(*status)),
    });
    lanes.push(Lane { name: "checks".to_owned(), marks: checks.collect(), bars: true });
    let lines = console.iter().map(|(at, failed, line)| {
        tick(second(*at), if *failed { "tick fail" } else { "tick console" }, &line.text)
    });
    lanes.push(Lane { name: "console".to_owned(), marks: lines.collect(), bars: false });
    for capture in captures {
        for (number, sender) in capture.senders.iter().enumerate() {
            let frames = capture.frames.iter().filter(|frame| frame.sender == number);
            let marks = frames.map(|frame| {
                let class = if frame.packet.rst { "tick fail" } else { "tick" };
                tick(second(frame.at), class, &frame.packet.words())
            });
            let name = format!("{} from {}", cell(&capture.wire), cell(sender));
            lanes.push(Lane { name, marks: marks.collect(), bars: false });
        }
    }
    lanes
}

fn word(status: CheckStatus) -> &'static str {
    match status {
        CheckStatus::Pass => "pass",
        CheckStatus::Fail => "fail",
        CheckStatus::Recorded => "fail, only recorded",
        CheckStatus::NotRun => "not run",
    }
}

fn tick(at: f64, class: &'static str, tip: &str) -> Mark {
    Mark { from: at, to: at, class, label: String::new(), tip: cell(tip) }
}

fn svg(lanes: &[Lane], span: f64) -> Markup {
    let x = |seconds: f64| LEFT + (seconds / span).clamp(0.0, 1.0) * WIDTH;
    let height = LANE * lanes.len() as f64 + 34.0;
    let step = step(span);
    let ticks = (0..).map(|n| f64::from(n) * step).take_while(|at| *at <= span);
    html! {
        svg.timeline viewBox={ "0 0 " (LEFT + WIDTH + 20.0) " " (height) } role="img" aria-label="timeline"
            font-size="12" {
            @for at in ticks {
                line.grid x1=(px(x(at))) x2=(px(x(at))) y1="4" y2=(height - 24.0) {}
                text.soft x=(px(x(at))) y=(height - 8.0) text-anchor="middle" {
                    @if step < 1.0 { (format!("{at:.1}")) } @else { (at.round()) } " s"
                }
            }
            @for (number, lane) in lanes.iter().enumerate() {
                @let y = 4.0 + LANE * number as f64;
                text.soft x=(LEFT - 10.0) y=(y + 16.0) text-anchor="end" { (short(&lane.name)) }
                @if lane.bars { (bars(lane, y, &x)) } @else { (ticks_of(lane, y, &x)) }
            }
        }
    }
}

fn bars(lane: &Lane, y: f64, x: &dyn Fn(f64) -> f64) -> Markup {
    html! {
        @for mark in &lane.marks {
            @let (from, to) = (x(mark.from), x(mark.to));
            @let room = to - from > 6.6 * mark.label.chars().count() as f64 + 6.0;
            rect class=(mark.class) x=(px(from)) y=(px(y + 2.0)) height=(LANE - 6.0)
                width=(px((to - from).max(1.5))) { title { (mark.tip) } }
            @if room {
                text x=(px(from + 4.0)) y=(px(y + 16.0)) { (mark.label) }
            }
        }
    }
}

/// Marks close to each other are one mark; the taller, the more.
fn ticks_of(lane: &Lane, y: f64, x: &dyn Fn(f64) -> f64) -> Markup {
    let mut bins: BTreeMap<(i64, bool), (usize, &Mark)> = BTreeMap::new();
    for mark in &lane.marks {
        let bin = ((x(mark.from) / BIN) as i64, mark.class == "tick fail");
        bins.entry(bin).or_insert((0, mark)).0 += 1;
    }
    html! {
        @for ((bin, _), (count, mark)) in bins {
            @let tall = (7.0 + 3.0 * (count as f64).log2()).min(LANE - 6.0);
            @let at = px(bin as f64 * BIN);
            line class=(mark.class) x1=(at) x2=(at) y1=(px(y + LANE - 4.0)) y2=(px(y + LANE - 4.0 - tall)) {
                title { (mark.tip) @if count > 1 { " and " (count - 1) " more" } }
            }
        }
    }
}

/// A coordinate with one decimal: enough, and short.
fn px(value: f64) -> String {
    format!("{value:.1}")
}

fn short(name: &str) -> String {
    let name = cell(name);
    if name.chars().count() <= 22 {
        return name;
    }
    name.chars().take(21).chain(['…']).collect()
}

/// Distance of the axis's marks: 1, 2 or 5 times a power of ten, at most a dozen of them.
fn step(span: f64) -> f64 {
    let mut step = 0.1;
    for factor in [2.0, 2.5, 2.0].iter().cycle().take(30) {
        if span / step <= 12.0 {
            break;
        }
        step *= factor;
    }
    step
}

fn events(
    trial: &Trial,
    times: &Times,
    console: &[(u64, bool, &ConsoleLine)],
    captures: &[Capture],
    second: &dyn Fn(u64) -> f64,
) -> Vec<Event> {
    let mut events = Vec::new();
    let mut add = |at: u64, what: &str, text: String, failed: bool| {
        events.push(Event { at: second(at), what: what.to_owned(), text, failed });
    };
    for (phase, from, _) in &times.phases {
        add(*from, "phase", phase.to_string(), false);
    }
    for (name, status, from, to) in &times.checks {
        add(*from, "check", format!("{} begins", cell(name)), false);
        let detail = trial.checks.iter().find(|check| check.name == *name);
        let detail = detail.map(|check| cell(&check.detail)).unwrap_or_default();
        let failed = matches!(status, CheckStatus::Fail | CheckStatus::Recorded);
        add(*to, "check", format!("{}: {}: {detail}", cell(name), word(*status)), failed);
    }
    for (at, failed, line) in console {
        add(*at, "console", line.text.clone(), *failed);
    }
    let mut frames: Vec<(u64, String)> = captures
        .iter()
        .flat_map(|capture| capture.frames.iter().map(move |frame| (capture, frame)))
        .map(|(capture, frame)| {
            let sender = capture.senders.get(frame.sender).map_or("", String::as_str);
            let text = format!("{} from {}: {}", capture.wire, sender, frame.packet.words());
            (frame.at, cell(&text))
        })
        .collect();
    frames.sort();
    let left_out = frames.len().saturating_sub(MAX_FRAMES);
    for (at, text) in frames.into_iter().skip(left_out) {
        add(at, "frame", text, false);
    }
    events.sort_by(|a, b| a.at.total_cmp(&b.at));
    let too_many = events.len().saturating_sub(MAX_EVENTS);
    events.drain(..too_many);
    if left_out + too_many > 0 {
        let text = format!("{} earlier events are left out", left_out + too_many);
        events.insert(0, Event { at: 0.0, what: String::new(), text, failed: false });
    }
    events
}

fn list(events: Vec<Event>) -> Markup {
    html! {
        // On paper the drawing is enough.
        details.screen {
            summary { "The same as a list (" (events.len()) " events)" }
            div.wide tabindex="0" {
                table {
                    thead { tr { th.n { "s" } th { "of" } th { "event" } } }
                    tbody {
                        @for event in events {
                            tr.lost[event.failed] {
                                td.n { (format!("{:.3}", event.at)) }
                                td.t.soft { (event.what) }
                                td.mono { (paragraph(&event.text)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
