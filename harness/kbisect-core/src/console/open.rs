//! A report while its lines come in.

use super::line::{Caller, Line};
use super::report::{Class, Report};
use super::rule::Rule;
use super::title::{self, Collected};
use super::trace;

/// A report keeps that much (bytes, lines).
const TEXT_MAX: usize = 128 * 1024;
const LINES_MAX: usize = 1024;
/// A report without a trace ends after that many of its lines.
const TRACELESS_MAX: usize = 160;
/// A report ends when that many lines in a row are not part of a trace.
const QUIET_MAX: usize = 40;
/// No report reaches over more lines of log, whoever printed them.
const SPAN_MAX: usize = 2 * LINES_MAX;

/// Where lines come from: those of one report have the same source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Speaker {
    pub caller: Caller,
    /// In a log with time stamps, lines without one are user space's.
    pub stamped: bool,
}

impl Speaker {
    pub fn of(line: Line<'_>) -> Self {
        Self { caller: line.caller, stamped: line.stamped }
    }
}

/// A report that is being collected.
#[derive(Debug)]
pub(super) struct Open {
    pub rule: Rule,
    pub source: Speaker,
    pub line: usize,
    pub offset: u64,
    pub text: String,
    /// The messages of `text`: (start, end).
    pub bodies: Vec<(usize, usize)>,
    /// The header of the oops has come.
    pub died: bool,
    pub fatal: bool,
    pub ended: bool,
    /// May be user space quoting a kernel: only a trace proves it.
    pub doubtful: bool,
    pub traced: bool,
    pub quiet: usize,
}

impl Open {
    pub fn new(rule: Rule, source: Speaker, line: usize, offset: u64) -> Self {
        Self {
            rule,
            source,
            line,
            offset,
            text: String::with_capacity(4096),
            bodies: Vec::with_capacity(64),
            died: rule.die,
            fatal: false,
            ended: false,
            doubtful: false,
            traced: false,
            quiet: 0,
        }
    }

    /// Whether lines that are printed now can belong to it.
    pub fn is_growing(&self, now: usize) -> bool {
        !self.ended && now - self.line <= SPAN_MAX
    }

    /// Adds a line; returns whether the report ended with it.
    pub fn add(&mut self, line: Line<'_>) -> bool {
        if self.bodies.len() < LINES_MAX && self.text.len() + line.full.len() < TEXT_MAX {
            let start = self.text.len() + (line.full.len() - line.body.len());
            self.text.push_str(line.full);
            self.bodies.push((start, self.text.len()));
            self.text.push('\n');
        } else {
            self.ended = true;
        }
        let mut other = false;
        if trace::belongs(line.body) {
            self.traced = true;
            self.quiet = 0;
        } else {
            self.quiet += 1;
            // Who prints is not known: the next trace is that of this message.
            other = self.source.caller == Caller::Unknown && trace::is_of_another(line.body);
        }
        let body = line.body.trim_start();
        self.ended |= other
            || body.starts_with("---[ end trace")
            || body.starts_with("---[ end Kernel panic")
            || body.starts_with("Rebooting in ")
            || self.traced && self.quiet > QUIET_MAX
            || !self.traced && self.bodies.len() > TRACELESS_MAX;
        self.ended
    }

    /// Whether another first line is a part of this report: what breaks an invariant announces
    /// the BUG or WARN that reports it.
    pub fn takes(&self, rule: Rule) -> bool {
        let bug = rule.heralds && rule.class == Class::Bug;
        match self.rule.class {
            Class::List => bug || rule.class == Class::Warning,
            Class::Bug => bug && self.rule.title != rule.title,
            Class::Kasan => rule.class == Class::Memory,
            _ => false,
        }
    }

    /// Whether a first line is the text of this WARN.
    pub fn is_message_of_warning(&self, rule: Rule, now: usize) -> bool {
        self.rule.class == Class::Warning
            && matches!(rule.class, Class::List | Class::Device | Class::Other)
            && !self.traced_after_first()
            && now - self.line <= 2
    }

    /// Whether a trace has begun: the first line of a WARN names a function too.
    pub fn traced_after_first(&self) -> bool {
        let bodies = self.bodies.iter().skip(1);
        bodies
            .filter_map(|(start, end)| self.text.get(*start..*end))
            .any(|body| body.contains("+0x"))
    }

    pub fn into_report(mut self) -> Option<Report> {
        // What came after the last line of the trace has nothing to do with it.
        if self.quiet > QUIET_MAX {
            let keep = self.bodies.len().saturating_sub(self.quiet).max(1);
            if let Some((_, end)) = self.bodies.get(keep - 1) {
                self.text.truncate(end + 1);
                self.bodies.truncate(keep);
            }
        }
        let bodies: Vec<&str> =
            self.bodies.iter().filter_map(|(start, end)| self.text.get(*start..*end)).collect();
        let traces = trace::collect(bodies.iter().copied());
        if self.doubtful && !title::has_trace(&bodies, &traces) {
            return None;
        }
        let on_purpose = !self.fatal && title::is_on_purpose(self.rule.class, &traces);
        let report = title::report(Collected {
            rule: self.rule,
            bodies: &bodies,
            traces: &traces,
            line: self.line,
            offset: self.offset,
            fatal: self.fatal,
        });
        Some(Report { text: self.text, suppressed: report.suppressed || on_purpose, ..report })
    }
}

/// Whether reports of a class go on after their first line although they blame nobody.
pub(super) fn has_details(class: Class) -> bool {
    !matches!(class, Class::Oom | Class::Boot)
}
