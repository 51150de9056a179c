//! Reports in Markdown: what an engineer attaches to a ticket.

mod bisect;
mod evidence;
mod parts;
mod run;

pub use bisect::markdown;
pub(crate) use parts::{put, seen, table};
pub use run::markdown_run;
