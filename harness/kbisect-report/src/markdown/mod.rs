//! Reports in Markdown: what an engineer attaches to a ticket.

mod bisect;
mod run;

pub use bisect::markdown;
pub use run::markdown_run;
