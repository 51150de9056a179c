//! Reports in Markdown: what an engineer attaches to a ticket.

mod bisect;
mod evidence;
mod parts;
mod run;
mod tables;

pub use bisect::markdown;
pub(crate) use parts::seen;
pub use run::markdown_run;
pub(crate) use tables::{put, table};
