//! Reports of a check: of the matrix, and of the map where a range was tried.

mod journal;
mod report;
mod svg;
mod terminal;
mod words;

pub use journal::{check_result, read_check};
pub use report::{html_check, markdown_check};
pub use svg::svg_map;
pub use terminal::terminal_summary_check;
