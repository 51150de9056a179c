//! Who waits for whom in a trial: what was asked of each machine, when, and for how long.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use kbisect_proto::{Event, Request};
use serde::Serialize;

use crate::commands::CommandLog;
use crate::lock::lock;

/// Most spans that one trial keeps.
const MOST: usize = 4096;
/// Most characters of a command that are kept.
const LONGEST: usize = 60;

/// A time during which something was waited for.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Span {
    /// Machine, or `harness`.
    pub who: String,
    /// What was waited for.
    pub what: String,
    /// Milliseconds from the trial's start.
    pub from_ms: f64,
    /// How long, in milliseconds.
    pub took_ms: f64,
}

/// The spans of the trial under way. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Times(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    zero: Option<Instant>,
    spans: Vec<Span>,
    commands: Option<CommandLog>,
}

impl Times {
    /// Begins a trial. What is asked of guests goes to its log as well.
    pub fn begin(&self, zero: Instant, commands: Option<CommandLog>) {
        *self.lock() = Inner { zero: Some(zero), spans: Vec::new(), commands };
    }

    /// Adds what was asked of a machine, and how it ended.
    pub fn asked(
        &self,
        who: &str,
        request: &Request,
        answer: Result<&Event, String>,
        from: Instant,
    ) {
        self.add(who, describe(request), from);
        let took_ms = from.elapsed().as_millis() as u64;
        if let Some(commands) = &mut self.lock().commands {
            commands.add(request, answer, took_ms);
        }
    }

    /// Adds what ended now.
    pub fn add(&self, who: &str, what: String, from: Instant) {
        let took_ms = millis(from.elapsed());
        let mut inner = self.lock();
        let Some(zero) = inner.zero.filter(|_| inner.spans.len() < MOST) else { return };
        let from_ms = millis(from.saturating_duration_since(zero));
        inner.spans.push(Span { who: who.to_owned(), what, from_ms, took_ms });
    }

    /// Ends the trial: its spans in the order in which they ended.
    pub fn end(&self) -> Vec<Span> {
        std::mem::take(&mut *self.lock()).spans
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.0)
    }
}

fn millis(time: std::time::Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

/// What a request asks for, in a few words.
fn describe(request: &Request) -> String {
    match request {
        Request::Wake { .. } => "wake".to_owned(),
        Request::Settle { .. } => "settles before its state is saved".to_owned(),
        Request::Prepare { nodes, .. } => format!("nodes ({})", nodes.len()),
        Request::Reset { .. } => "reset".to_owned(),
        Request::Files { .. } => "files".to_owned(),
        Request::Exec { node, command, .. } => {
            let script = command.argv.last().map(String::as_str).unwrap_or_default();
            let line = script.lines().map(str::trim).find(|line| !line.is_empty());
            let line: String = line.unwrap_or_default().chars().take(LONGEST).collect();
            format!("{node}: {line}")
        }
        Request::Serve { node, command, .. } => {
            format!("{node}: service {}", command.argv.first().map_or("", String::as_str))
        }
        Request::Probe { node, probe, .. } => format!("{node}: {}", probe.kind()),
        Request::Read { node, .. } => format!("{node}: read files"),
        Request::Lacks { .. } => "features".to_owned(),
        Request::Ping { .. } => "ping".to_owned(),
        Request::Signal { signal, .. } => format!("signal {signal}"),
        Request::Shell { .. } | Request::Terminal { .. } | Request::Resize { .. } => {
            "shell".to_owned()
        }
        Request::PowerOff => "power off".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_belong_to_the_trial_that_is_under_way() {
        let times = Times::default();
        times.add("peer", "before any trial".to_owned(), Instant::now());
        times.begin(Instant::now(), None);
        for number in 0..MOST + 10 {
            times.clone().add("candidate", number.to_string(), Instant::now());
        }
        let spans = times.end();
        assert_eq!((spans.len(), spans[0].what.as_str()), (MOST, "0"));
        assert!(times.end().is_empty());
    }
}
