//! Sentences: facts of the core told to people, each in one place, whatever form prints them.

mod notices;

pub use notices::{not_counted, notice_text, notice_texts};
