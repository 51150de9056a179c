//! Forms of a document.

mod html;
mod markdown;

pub(crate) use html::{html, page, put};
pub(crate) use markdown::markdown;
