//! Existing checks of other tools as checks of a scenario: lists in the cmd-checklist form, monitoring
//! plugins, programs that report in KTAP, goss files, self-tests of the kernel.
//!
//! Such files come from outside and are taken as hostile: sizes and depths are bounded, and nothing of
//! them is run here. Commands become shell text for guests, as they stand.

mod checklist;
mod error;
mod expand;
mod kselftest;
mod names;
mod plugins;
mod programs;
mod remote;
mod render;
mod shell;
mod tools;
mod wanted;
mod yaml;

pub use checklist::from_checklist;
pub use error::{AdoptError, Broken, Expected, Note, Reason, SelfTestError};
pub use kselftest::{Chosen, Learnt, SelfTest, TestFiles, from_self_tests, self_tests};
pub use plugins::from_plugins;
pub use programs::{GOSS_BINARY, from_goss, from_program};
pub use render::{fragment, scenario};
pub use wanted::{Adopted, Made, NewCheck, Wanted};
