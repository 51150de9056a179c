//! Trials that are made by another process, on this machine or on any other: whoever has its standard input and
//! output has a worker.

mod check;
mod content;
mod line;
mod pools;
mod serve;
mod wire;

pub use check::pool_check;
pub use content::Content;
pub use line::{Absent, Errand, Line, Lost, Shared};
pub use pools::Pools;
pub use serve::serve;
