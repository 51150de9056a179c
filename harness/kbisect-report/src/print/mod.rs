//! Forms of a document.

mod html;
mod markdown;

pub(crate) use html::{html, page, pre, put};
pub(crate) use markdown::markdown;
