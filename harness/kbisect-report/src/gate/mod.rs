//! Reports of a check: of the matrix, and of the map where a range was tried.

mod findings;
mod journal;
mod report;
mod svg;
mod terminal;
mod words;

pub(crate) use findings::{Finding, Level, finding};
pub use findings::{github_check, sarif_check};
pub use journal::{check_result, read_check};
pub use report::{html_check, markdown_check};
pub use svg::svg_map;
pub use terminal::terminal_summary_check;
