//! `kbisect detect`: kernel failures in console logs.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::Context as _;
use kbisect_core::console::{Event, Report, Scanner};
use kbisect_report::DetectDocument;

use crate::cli::{DetectArgs, Global};
use crate::ui::paint::{Ink, Paint};
use crate::{errors, output};

/// Bytes that are read at once: memory does not grow with the log.
const BLOCK: usize = 256 * 1024;

/// Reads console logs and prints the failures in them.
///
/// # Errors
/// When a log cannot be read; then nothing is printed of the others.
pub fn detect(args: &DetectArgs, global: &Global) -> anyhow::Result<()> {
    let mut logs = Vec::new();
    for path in &args.files {
        let (reports, dropped) = read(path)?;
        let name = shown(path);
        if dropped > 0 && !global.quiet {
            output::say(&format!(
                "warning: {}: {dropped} further reports were left out",
                output::clean(&name)
            ));
        }
        logs.push((name, reports));
    }
    if global.json {
        return output::json(&DetectDocument::of_files(&logs));
    }
    let paint = Paint::for_stdout(global.color);
    let text: String = logs
        .iter()
        .map(|(name, reports)| match reports.as_slice() {
            [] => format!("no kernel failure in {}\n", output::clean(name)),
            reports => reports.iter().map(|report| tell(report, name, global, paint)).collect(),
        })
        .collect();
    output::print(&text)
}

fn read(path: &Path) -> anyhow::Result<(Vec<Report>, usize)> {
    if path == Path::new("-") {
        return scan(io::stdin().lock()).context("cannot read standard input");
    }
    scan(open(path)?).with_context(|| format!("cannot read `{}`", path.display()))
}

fn open(path: &Path) -> anyhow::Result<File> {
    let hint = "name a file, or - for standard input";
    if path.is_dir() {
        return Err(errors::usage(format!("`{}` is a directory", path.display()), hint));
    }
    File::open(path)
        .map_err(|error| errors::usage(format!("cannot read `{}`: {error}", path.display()), hint))
}

fn scan(mut log: impl Read) -> io::Result<(Vec<Report>, usize)> {
    let mut scanner = Scanner::new();
    let mut block = vec![0; BLOCK];
    let mut reports: Vec<Report> = Vec::new();
    let mut take = |events: Vec<Event>| {
        for event in events {
            if let Event::Report(report) = event {
                reports.push(*report);
            }
        }
    };
    loop {
        match log.read(&mut block) {
            Ok(0) => break,
            Ok(length) => take(scanner.push(&block[..length])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    take(scanner.finish());
    // A report is known when it ends, and ends can cross.
    reports.sort_by_key(|report| report.offset);
    Ok((reports, scanner.dropped()))
}

fn tell(report: &Report, name: &str, global: &Global, paint: Paint) -> String {
    let kind = serde_json::to_value(report.kind).unwrap_or_default();
    let kind = kind.as_str().unwrap_or_default();
    let ink = if report.fatal { Ink::Bad } else { Ink::Warning };
    let mut text = format!(
        "{}:{}: {}: {}",
        output::clean(name),
        report.line,
        paint.ink(ink, kind),
        output::clean(&report.title)
    );
    for (holds, remark) in [
        (report.fatal, "fatal"),
        (report.corrupted, "trace incomplete"),
        (report.suppressed, "not about the kernel"),
    ] {
        if holds {
            text.push_str(&format!(", {remark}"));
        }
    }
    text.push('\n');
    if global.verbose > 0 {
        for line in report.text.lines() {
            text.push_str(&format!("    {}\n", output::clean(line)));
        }
    }
    text
}

fn shown(path: &Path) -> String {
    if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a byte at a time.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    #[test]
    fn the_log_can_come_in_any_pieces() {
        let log = b"[    1.000000] Kernel panic - not syncing: sysrq triggered crash\n\
                    [    1.100000] ---[ end Kernel panic - not syncing: sysrq triggered crash ]---\n";
        let whole = scan(&log[..]).unwrap();
        assert_eq!(whole.0.len(), 1);
        assert_eq!(scan(Drip(log)).unwrap(), whole);
    }
}
