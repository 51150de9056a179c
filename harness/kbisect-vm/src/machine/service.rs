//! What is known of a service: its output, how often it was started again, how it ended.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use kbisect_proto::Exit;
use regex::Regex;

/// Most bytes of a service's output that are written to its file as they come. The last lines are
/// added at the end.
const MAX_FILE: usize = 1 << 20;
/// How many of the last lines are kept.
const LAST_LINES: usize = 200;
/// Longest line that is kept, in bytes: as long as the guest program sends in one piece.
const MAX_LINE: usize = 4096;

/// A service that was asked for. Output of any other number is dropped: one end of the channel runs
/// on a suspect kernel.
#[derive(Clone, Debug)]
pub struct ServiceState {
    /// How it ended, once it has ended for good.
    pub ended: Option<Exit>,
    /// How often it was started again.
    pub restarts: u32,
    /// How it ended the last time that it was started again.
    pub last_end: Option<Exit>,
    /// Whether the line that makes it ready was seen.
    pub matched: bool,
    awaited: Option<Regex>,
    lines: VecDeque<String>,
    file: Option<Arc<File>>,
    written: usize,
    /// Lines that are not in the file and not among the last ones.
    left_out: usize,
    /// How many of the last lines are not in the file.
    unwritten: usize,
}

impl ServiceState {
    /// A service that is about to be started. Its output goes to `file`; `awaited` is looked for in
    /// each line.
    pub fn new(file: Option<File>, awaited: Option<Regex>) -> Self {
        Self {
            ended: None,
            restarts: 0,
            last_end: None,
            matched: false,
            awaited,
            lines: VecDeque::new(),
            file: file.map(Arc::new),
            written: 0,
            left_out: 0,
            unwritten: 0,
        }
    }

    /// Takes a line, without its end.
    pub(super) fn printed(&mut self, line: &[u8]) {
        let line = &line[..line.len().min(MAX_LINE)];
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches('\r');
        self.matched |= self.awaited.as_ref().is_some_and(|awaited| awaited.is_match(text));
        self.written = self.written.saturating_add(line.len() + 1);
        if self.written <= MAX_FILE {
            self.write(&[line, b"\n"].concat());
        } else if self.unwritten == LAST_LINES {
            self.left_out += 1;
        } else {
            self.unwritten += 1;
        }
        if self.lines.len() == LAST_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(text.to_owned());
    }

    pub(super) fn exited(&mut self, exit: Exit, again: bool) {
        if again {
            self.restarts = self.restarts.saturating_add(1);
            self.last_end = Some(exit);
        } else {
            self.ended = Some(exit);
        }
    }

    /// The last lines of its output, the oldest first.
    pub fn last_lines(&self, count: usize) -> impl Iterator<Item = &str> {
        self.lines.iter().skip(self.lines.len().saturating_sub(count)).map(String::as_str)
    }

    /// Adds the last lines to a file that was cut.
    pub(super) fn close(&mut self) {
        if self.left_out > 0 {
            self.write(format!("[kbisect: {} lines left out]\n", self.left_out).as_bytes());
        }
        let text: Vec<String> =
            self.last_lines(self.unwritten).map(|line| format!("{line}\n")).collect();
        self.write(text.concat().as_bytes());
        self.file = None;
    }

    fn write(&self, bytes: &[u8]) {
        // A full disk is noticed by what the verdict rests on; this is for people.
        if let Some(file) = &self.file {
            let _ = (&**file).write_all(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_in_the_middle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        let mut state = ServiceState::new(Some(File::create(&path).unwrap()), None);
        state.printed(b"the first line");
        for number in 0..2000 {
            state.printed(format!("{number:05} {}", "y".repeat(8000)).as_bytes());
        }
        state.close();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("the first line\n00000 y"));
        assert!(text.contains("lines left out]\n01800 y"), "the last 200 lines are there");
        assert!(text.len() < MAX_FILE + (LAST_LINES + 1) * (MAX_LINE + 1), "{}", text.len());
        assert!(text.lines().all(|line| line.len() <= MAX_LINE));
        let (before, rest) = text.split_once("[kbisect: ").unwrap();
        let left_out: usize = rest.split_once(' ').unwrap().0.parse().unwrap();
        assert_eq!(before.lines().count() - 1 + left_out + LAST_LINES, 2000, "none is told twice");
    }

    #[test]
    fn a_quiet_service_is_kept_whole_and_its_line_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        let awaited = Regex::new("^ready$").unwrap();
        let mut state = ServiceState::new(Some(File::create(&path).unwrap()), Some(awaited));
        state.printed(b"not ready\xff");
        assert!(!state.matched);
        state.printed(b"ready\r");
        assert!(state.matched);
        state.close();
        assert_eq!(std::fs::read(&path).unwrap(), b"not ready\xff\nready\r\n");
        assert_eq!(state.last_lines(1).collect::<Vec<_>>(), ["ready"]);
    }
}
