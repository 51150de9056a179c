//! The console of a trial, with the time of each line.

use crate::text;

/// Most lines of a console that a report looks at: the first and the last ones.
const MAX_LINES: usize = 2000;
/// Longest line, in characters.
const LINE: usize = 300;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ConsoleLine {
    /// 1-based number in the log.
    pub(crate) number: usize,
    /// Nanoseconds since 1970-01-01 UTC at which the harness got it.
    pub(crate) at: Option<u64>,
    /// Seconds on the kernel's own clock.
    pub(crate) kernel_s: Option<f64>,
    /// The line, made harmless for a terminal; a document must still escape it.
    pub(crate) text: String,
}

/// Reads a console log; `times` is what the harness noted beside it: time and offset of each part
/// that it got.
pub(crate) fn read(log: &[u8], times: Option<&str>) -> Vec<ConsoleLine> {
    let times: Vec<(u64, usize)> = times
        .into_iter()
        .flat_map(str::lines)
        .filter_map(|line| {
            let (at, offset) = line.split_once(' ')?;
            Some((at.parse().ok()?, offset.parse().ok()?))
        })
        .collect();
    let mut offset = 0;
    let mut lines = Vec::new();
    for (index, line) in log.split_inclusive(|byte| *byte == b'\n').enumerate() {
        // A line is there once its end is.
        let end = offset + line.len().saturating_sub(1);
        offset += line.len();
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches(['\n', '\r']);
        if text.trim().is_empty() {
            continue;
        }
        let part = times.partition_point(|(_, from)| *from <= end);
        lines.push(ConsoleLine {
            number: index + 1,
            at: part.checked_sub(1).map(|part| times[part].0),
            kernel_s: kernel_clock(text),
            text: text::line(text, LINE),
        });
    }
    if lines.len() > MAX_LINES {
        lines.drain(MAX_LINES / 2..lines.len() - MAX_LINES / 2);
    }
    lines
}

/// The time that the kernel prints before a line: `[   12.345678] ` (Documentation, printk.time).
fn kernel_clock(text: &str) -> Option<f64> {
    let text = text.strip_prefix('<').and_then(|t| t.split_once('>')).map_or(text, |(_, t)| t);
    let (clock, _) = text.strip_prefix('[')?.split_once(']')?;
    clock.trim().parse().ok().filter(|seconds: &f64| seconds.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_get_the_time_of_the_part_that_ended_them() {
        let log = b"[    1.250000] one\r\n\n[    2.5] two\nthree";
        let lines = read(log, Some("100 0\n200 10\nrubbish\n300 24\n"));
        let seen: Vec<_> = lines.iter().map(|line| (line.number, line.at, line.kernel_s)).collect();
        assert_eq!(
            seen,
            [(1, Some(200), Some(1.25)), (3, Some(300), Some(2.5)), (4, Some(300), None)]
        );
        assert_eq!(lines[2].text, "three");
        assert_eq!(read(log, None)[0].at, None);
    }

    #[test]
    fn a_flood_keeps_its_ends() {
        let log: String = (0..5000).map(|n| format!("line {n}\n")).collect();
        let lines = read(log.as_bytes(), None);
        assert_eq!(lines.len(), MAX_LINES);
        assert_eq!((lines[0].number, lines[MAX_LINES - 1].number), (1, 5000));
    }
}
