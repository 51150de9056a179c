//! What changed between two kernels: the changes that a distribution's changelog or a git log
//! lists, ranked by how well each touches what the failure and the scenario are about.
//!
//! ```text
//! changelog text -> Changelog -> between(old, new) -> Segment -+-> rank -> Ranking
//! git log's text ----------------------------------> Segment -+
//! scenario, failed trial --------------------------> Clues  --+
//! ```
//!
//! No word of any change is known here. A change is near to a clue by the names that both have in
//! common, and a name counts the more, the fewer changes of the range have it.

mod changelog;
mod clues;
mod forgone;
mod gitlog;
mod model;
mod names;
mod prior;
mod range;
mod rank;
mod rules;
mod words;

pub use changelog::{Changelog, Entry};
pub use clues::{Clue, ClueKind, Clues};
pub use forgone::{Forgone, ForgoneCve, reverts};
pub use gitlog::{GIT_FORMAT, read_git_log};
pub use model::{
    Change, ChangeSource, Considered, RankedChange, Ranking, Reason, ReasonKind, WhatChanged,
};
pub use prior::{Prior, Weighed};
pub use range::Segment;
pub use rank::{TOP, rank};
