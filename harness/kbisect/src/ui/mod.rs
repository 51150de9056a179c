//! What people see while something runs. Everything goes to standard error.

mod beliefs;
mod interview;
mod lines;
pub mod paint;
mod progress;
mod ruler;
mod screen;
mod terminal;
mod time;
mod view;

pub use interview::interview;
pub use screen::Ui;
#[cfg(test)]
pub use view::tests;
