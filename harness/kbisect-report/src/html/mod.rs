//! The report as one HTML file: no network, no script, readable on a phone and on paper.
//!
//! Every text is escaped by the template, and cleaned of control characters before that.

mod beliefs;
mod details;
mod ladder;
mod page;
mod parts;
mod seen;
mod series;
mod timeline;
mod topology;

pub use page::html;
