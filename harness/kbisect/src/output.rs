//! Standard output: documents and tables. Everything else goes to standard error.

use std::io::{self, Write};

pub use kbisect_report::plain::{bytes, clean, table};
use serde::Serialize;

/// Prints one JSON document.
///
/// # Errors
/// When standard output cannot be written, a closed pipe excepted: its reader has seen enough.
pub fn json(document: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(document)?;
    text.push('\n');
    print(&text)
}

pub fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| anyhow::Error::new(error).context("cannot write output")),
    }
}

/// Prints the beginning of a line on standard error, where an answer is typed.
pub fn prompt(text: &str) {
    let mut stderr = io::stderr();
    let _ = write!(stderr, "{}", clean(text)).and_then(|()| stderr.flush());
}

/// Prints one line on standard error, cleaned of control characters.
pub fn say(line: &str) {
    // `eprintln!` would panic when nobody reads it.
    let _ = writeln!(io::stderr(), "{}", clean(line));
}
