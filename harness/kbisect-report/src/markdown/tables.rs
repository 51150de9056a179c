//! Lines and tables.

use std::fmt::Write;

/// Most characters of a text in a table cell.
pub(super) const CELL: usize = 300;

/// Adds a line to a report. Writing to a string cannot fail.
macro_rules! put {
    ($to:expr) => { $to.push('\n') };
    ($to:expr, $($arg:tt)*) => {{
        let _ = writeln!($to, $($arg)*);
    }};
}
pub(crate) use put;

/// Adds a table; the cells are Markdown already.
pub(crate) fn table(to: &mut String, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
    put!(to, "| {} |", head.join(" | "));
    put!(to, "|{}", "---|".repeat(head.len()));
    for row in rows {
        put!(to, "| {} |", row.join(" | "));
    }
    put!(to);
}
