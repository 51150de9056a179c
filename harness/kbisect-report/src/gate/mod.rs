//! Reports of a check: of the matrix, and of the map where a range was tried.

mod html;
mod journal;
mod markdown;
mod svg;
mod terminal;
mod words;

pub use html::html_check;
pub use journal::{check_result, read_check};
pub use markdown::markdown_check;
pub use svg::svg_map;
pub use terminal::terminal_summary_check;
