//! The streaming side: bytes in, reports and milestones out.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

use super::line::{self, Line};
use super::open::{Open, Speaker, has_details};
use super::report::{Class, Event, Milestone, MilestoneKind, Report, ReportKind};
use super::rule::{Blame, Rule};
use super::rules::{self, HINTS};

/// Longer lines are cut (bytes).
const LINE_MAX: usize = 4096;
/// A report that ended waits that many lines of log for the panic that may follow.
const LINGER: usize = 400;
/// Reports that are collected side by side (one for each caller).
const OPEN_MAX: usize = 8;
/// Further reports of one log are only counted: complaints first, then what killed a task. What ended
/// the kernel is told in any case, unless it is printed again and again.
const REPORTS_MAX: usize = 192;
const OOPSES_MAX: usize = REPORTS_MAX + 32;
const PANICS_MAX: usize = OOPSES_MAX + 32;
/// Milestones of each kind are told that many times.
const MILESTONES_MAX: u8 = 64;

/// What the console prints before a message again, when it was taken over in the middle of it.
const REPLAY: &str = "** replaying previous printk message **";

/// Finds what can matter in one pass.
static HINT: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostFirst)
        .build(HINTS)
        .expect("a short fixed list of patterns")
});

/// Reads a console while it is written. Memory is bounded whatever comes in.
#[derive(Debug)]
pub struct Scanner {
    /// The start of a line whose end has not come yet.
    partial: Vec<u8>,
    /// The rest of a line that was too long is being skipped.
    overlong: bool,
    /// Complete lines so far.
    lines: usize,
    /// Bytes of complete lines so far.
    offset: u64,
    open: Vec<Open>,
    /// Kernel lines carry time stamps.
    stamped: bool,
    /// A kernel was running before the log's first banner.
    running: bool,
    banners: u32,
    /// A restart was announced, or a panic reached: the next banner is no surprise.
    restart_known: bool,
    reports: usize,
    dropped: usize,
    milestones: [u8; 5],
    events: Vec<Event>,
}

/// Finds the reports in a whole log.
pub fn classify(log: &[u8]) -> Vec<Report> {
    let mut scanner = Scanner::new();
    let mut reports: Vec<Report> = scanner
        .push(log)
        .into_iter()
        .chain(scanner.finish())
        .filter_map(|event| match event {
            Event::Report(report) => Some(*report),
            Event::Opened { .. } | Event::Milestone(_) => None,
        })
        .collect();
    reports.sort_by_key(|report| report.offset);
    reports
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// A scanner at the start of a console.
    pub fn new() -> Self {
        Self {
            partial: Vec::new(),
            overlong: false,
            lines: 0,
            offset: 0,
            open: Vec::new(),
            stamped: false,
            running: false,
            banners: 0,
            restart_known: false,
            reports: 0,
            dropped: 0,
            milestones: [0; 5],
            events: Vec::new(),
        }
    }

    /// Takes the next bytes and tells what became certain with them.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut bytes = bytes;
        if !self.partial.is_empty() || self.overlong {
            let Some(end) = memchr::memchr(b'\n', bytes) else {
                self.keep_partial(bytes);
                return std::mem::take(&mut self.events);
            };
            let (head, rest) = bytes.split_at(end + 1);
            self.keep_partial(head);
            bytes = rest;
            self.complete_partial();
        }
        let whole = memchr::memrchr(b'\n', bytes).map_or(0, |end| end + 1);
        let (whole, partial) = bytes.split_at(whole);
        self.scan(whole);
        self.keep_partial(partial);
        self.let_go();
        std::mem::take(&mut self.events)
    }

    /// Ends the console: the last line and all open reports are taken as they are.
    pub fn finish(&mut self) -> Vec<Event> {
        if !self.partial.is_empty() {
            self.complete_partial();
        }
        for open in std::mem::take(&mut self.open) {
            self.close(open);
        }
        std::mem::take(&mut self.events)
    }

    /// Says whether the trace of a report is still coming in.
    pub fn is_collecting(&self) -> bool {
        self.open.iter().any(|open| !open.doubtful && open.is_growing(self.lines))
    }

    /// Says whether a report began that was not given out yet.
    pub fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Reports that were left out because there were too many of them.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    fn keep_partial(&mut self, bytes: &[u8]) {
        let room = LINE_MAX.saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room {
            self.overlong = true;
        }
        self.offset += bytes.len() as u64;
    }

    fn complete_partial(&mut self) {
        let partial = std::mem::take(&mut self.partial);
        self.overlong = false;
        self.lines += 1;
        let start = self.offset.saturating_sub(partial.len() as u64);
        let candidate = HINT.is_match(&partial);
        self.line(&line::clean(&partial), start, candidate);
    }

    /// Reads complete lines.
    fn scan(&mut self, bytes: &[u8]) {
        let base = self.offset;
        // Checked once for all lines, when the first one is looked at.
        let mut text = None;
        let mut at = 0;
        let find =
            |from: usize| HINT.find(&bytes[from..]).map_or(bytes.len(), |h| from + h.start());
        let mut hit = find(0);
        while at < bytes.len() {
            if hit < at {
                hit = find(at);
            }
            if !self.needs_lines() && self.stamped {
                // Nothing to collect: jump to the next line that can matter.
                let start = memchr::memrchr(b'\n', &bytes[at..hit]).map_or(at, |end| at + end + 1);
                self.lines += memchr::memchr_iter(b'\n', &bytes[at..start]).count();
                at = start;
                if hit == bytes.len() {
                    break;
                }
            }
            let end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |end| at + end);
            self.lines += 1;
            let cut = end.min(at + LINE_MAX);
            let whole = *text.get_or_insert_with(|| std::str::from_utf8(bytes).ok());
            let line = match whole.and_then(|text| text.get(at..cut)) {
                Some(text) => line::clean_text(text),
                None => line::clean(&bytes[at..cut]),
            };
            self.line(&line, base + at as u64, hit < end);
            at = end + 1;
        }
        self.offset = base + bytes.len() as u64;
    }

    fn line(&mut self, text: &str, offset: u64, candidate: bool) {
        if !candidate && !self.needs_lines() {
            self.note_stamp(line::parse(text));
            return;
        }
        line::split(text, |line| {
            self.note_stamp(line);
            self.message(line, offset, candidate);
        });
    }

    /// Learns from the first line with a stamp what kind of log it is.
    fn note_stamp(&mut self, line: Line<'_>) {
        if line.stamped && !self.stamped {
            self.stamped = true;
            let banner = line.body.starts_with("Linux version ");
            self.running = self.banners == 0 && !banner && line::is_running(line.full);
        }
    }

    fn message(&mut self, line: Line<'_>, offset: u64, candidate: bool) {
        if candidate {
            // Here too, so that it does not matter how the log was cut into pieces.
            self.let_go();
            if line.stamped || !self.stamped {
                self.milestone(line.body, offset);
            }
            if let Some(rule) = rules::start_of(line.body) {
                if !self.absorbed(rule, line) {
                    self.begin(rule, line, offset);
                }
                return;
            }
        }
        if line.body.starts_with(REPLAY) {
            // The message before it was cut off, and comes again.
            let now = self.lines;
            self.open.retain(|open| open.bodies.len() > 1 || now - open.line > 1);
            return;
        }
        let Some(i) = self.collector(Speaker::of(line)) else { return };
        let done = self.open[i].add(line);
        if done && self.open[i].ended && self.open[i].fatal {
            let open = self.open.remove(i);
            self.close(open);
        }
    }

    /// The report that a line from there belongs to.
    fn collector(&self, source: Speaker) -> Option<usize> {
        let now = self.lines;
        self.open.iter().rposition(|open| open.is_growing(now) && open.source == source)
    }

    /// Whether some report takes lines.
    fn needs_lines(&self) -> bool {
        self.open.iter().any(|open| open.is_growing(self.lines))
    }

    /// Whether a first line only continues a report that is open.
    fn absorbed(&mut self, rule: Rule, line: Line<'_>) -> bool {
        let now = self.lines;
        if let Some(reason) = rules::panic_reason(line.body) {
            if !rules::is_consequence(reason) {
                return false;
            }
            // Of several that are open, that of the task or CPU that panics.
            let source = Speaker::of(line);
            let own = self.open.iter().rposition(|open| open.source == source);
            let any = || self.open.iter().rposition(|open| open.source.stamped == line.stamped);
            let Some(open) = own.or_else(any).and_then(|i| self.open.get_mut(i)) else {
                return false;
            };
            open.fatal = true;
            if !open.ended {
                open.add(line);
            }
            return true;
        }
        let Some(open) = self.open.iter_mut().rfind(|open| open.source == Speaker::of(line)) else {
            return false;
        };
        let near = open.is_growing(now) && now - open.line < 60;
        if rule.die && open.rule.heralds && !open.died && near {
            open.died = true;
        } else if near && !open.died && open.takes(rule) {
            open.rule = Rule { heralds: true, ..open.rule };
        } else if near && rule.class == Class::Memory && rules::is_slab_detail(line.body) {
            // Details of what is open already.
        } else if near
            && matches!(open.rule.class, Class::RcuStall | Class::Memory)
            && !open.traced_after_first()
            && rule.class == Class::Warning
        {
            // The detector stumbles over its own checks: the trace is that of the stall all the same.
            // And what is left over when a file system goes is announced before the WARN.
        } else if open.is_message_of_warning(rule, now) {
            // Until 4.10 what a WARN is about came after it.
        } else if near && open.rule.class == Class::Device && rule.class == Class::Warning {
            // The WARN comes after its message: it is the report.
            let first = (open.text.len(), open.text.len() + line.body.len());
            open.text.push_str(line.body);
            open.text.push('\n');
            open.bodies.insert(0, first);
            open.rule = rule;
            return true;
        } else {
            return false;
        }
        open.add(line);
        true
    }

    fn begin(&mut self, rule: Rule, line: Line<'_>, offset: u64) {
        let same = self.open.iter().position(|open| open.source == Speaker::of(line));
        // A line that is repeated every ten seconds does not end the trace that it falls into.
        let aside = rule.class == Class::Device
            && rule.blame == Blame::Nobody
            && same.is_some_and(|i| {
                self.open[i].is_growing(self.lines) && self.open[i].rule.blame != Blame::Nobody
            });
        if let Some(i) = same.filter(|_| !aside) {
            let before = self.open.remove(i);
            self.close(before);
        }
        if self.open.len() == OPEN_MAX {
            let oldest = self.open.remove(0);
            self.close(oldest);
        }
        let doubtful = self.stamped && !line.stamped && rule.class != Class::Leak
            || rule.class == Class::UserSpace
            // Without time stamps in the log: `BUG: ...` of no known form is anybody's.
            || rule.class == Class::Other && !line.stamped;
        let mut open = Open::new(rule, Speaker::of(line), self.lines, offset);
        open.doubtful = doubtful;
        open.add(line);
        if rule.blame == Blame::Nobody && rules::panic_reason(line.body).is_none() {
            open.ended = aside || !has_details(rule.class);
        }
        let kind = rule.class.kind();
        if !doubtful && self.has_room_for(kind, false) {
            let text = line.full.trim().to_owned();
            self.events.push(Event::Opened { kind, line: open.line, text });
        }
        self.open.push(open);
    }

    /// Emits the reports that ended long enough ago.
    fn let_go(&mut self) {
        while let Some(i) = self.open.iter().position(|open| {
            let waited = self.lines - open.line;
            !open.is_growing(self.lines) && waited > open.bodies.len() + LINGER
        }) {
            let open = self.open.remove(i);
            self.close(open);
        }
    }

    /// Whether one more report of a kind is told: a storm of one kind does not hide what is worse.
    fn has_room_for(&self, kind: ReportKind, fatal: bool) -> bool {
        let max = match kind {
            _ if fatal => PANICS_MAX,
            ReportKind::Panic | ReportKind::BootFailed => PANICS_MAX,
            ReportKind::Oops | ReportKind::Reboot => OOPSES_MAX,
            ReportKind::Warning | ReportKind::Hang => REPORTS_MAX,
        };
        self.reports < max
    }

    fn close(&mut self, open: Open) {
        if !self.has_room_for(open.rule.class.kind(), open.fatal) {
            self.dropped += 1;
            return;
        }
        if let Some(report) = open.into_report() {
            self.reports += 1;
            self.events.push(Event::Report(Box::new(report)));
        }
    }

    fn milestone(&mut self, body: &str, offset: u64) {
        let body = body.trim();
        let kind = if let Some(rest) = body.strip_prefix("Linux version ") {
            self.banners = self.banners.saturating_add(1);
            // A log may begin in the middle of a kernel's life.
            let second = self.banners > 1 || std::mem::take(&mut self.running);
            if second && !std::mem::take(&mut self.restart_known) {
                self.reset(body, offset);
            }
            let release = rest.split(' ').next().unwrap_or_default().to_owned();
            MilestoneKind::LinuxBanner { release, nth: self.banners }
        } else if let Some(rest) = body.strip_prefix("reboot: ") {
            match rest {
                "Restarting system" | "machine restart" => {
                    self.restart_known = true;
                    MilestoneKind::Restarting
                }
                "Power down" => MilestoneKind::PowerDown,
                "System halted" => MilestoneKind::Halted,
                _ if rest.starts_with("Restarting system") => {
                    self.restart_known = true;
                    MilestoneKind::Restarting
                }
                _ => return,
            }
        } else if ["sysrq: Resetting", "kexec_core: Starting new kernel", "Starting new kernel"]
            .iter()
            .any(|head| body.starts_with(head))
        {
            self.restart_known = true;
            MilestoneKind::Restarting
        } else if rules::panic_reason(body).is_some() {
            self.restart_known = true;
            MilestoneKind::Panic
        } else {
            return;
        };
        let told = match kind {
            MilestoneKind::LinuxBanner { .. } => &mut self.milestones[0],
            MilestoneKind::Panic => &mut self.milestones[1],
            MilestoneKind::Restarting => &mut self.milestones[2],
            MilestoneKind::PowerDown => &mut self.milestones[3],
            MilestoneKind::Halted => &mut self.milestones[4],
        };
        if *told < MILESTONES_MAX {
            *told += 1;
            self.events.push(Event::Milestone(Milestone { kind, line: self.lines }));
        }
    }

    /// A second kernel starts although nobody asked for it.
    fn reset(&mut self, body: &str, offset: u64) {
        for open in std::mem::take(&mut self.open) {
            self.close(open);
        }
        if !self.has_room_for(ReportKind::Reboot, false) {
            self.dropped += 1;
            return;
        }
        let report = Report::reboot(self.lines, offset, body);
        self.reports += 1;
        self.events.push(Event::Report(Box::new(report)));
    }
}
