//! Console logs in the kernel's formats, written for these tests, and what must be read in them.

mod golden;
mod logs;
mod reports;
mod stream;
