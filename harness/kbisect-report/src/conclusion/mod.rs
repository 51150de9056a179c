//! What a journal came to: the document of a bisection.

mod affected;
mod bisection;
mod doubt;
mod ends;

pub use bisection::bisect_result;
