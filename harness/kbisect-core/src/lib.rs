//! The pure part of kbisect: versions, series, search, scenario model, console classifier, flow
//! analysis.
//!
//! Invariant: no I/O here. No tokio, no `std::fs`, no process, no clock, no randomness. Whatever
//! comes from outside is handed in as values; whatever goes out is returned.

#![cfg_attr(
    not(test),
    deny(clippy::disallowed_macros, clippy::disallowed_methods, clippy::disallowed_types)
)]

pub mod adopt;
pub mod answer;
pub mod bayes;
pub mod boot;
pub mod boots;
pub mod by_hand;
pub mod capture;
pub mod changes;
pub mod command;
pub mod confirm;
pub mod console;
pub mod counters;
pub mod disturbed;
pub mod evidence;
pub mod fault;
pub mod flow;
pub mod framing;
pub mod gate;
pub mod import;
pub mod inject;
pub mod job;
pub mod judge;
pub mod kernel;
pub mod mark;
pub mod method;
pub mod minimize;
pub mod node_state;
pub mod oom;
pub mod options;
pub mod pcapng;
pub mod rewrite;
pub mod rules;
pub mod run;
pub mod scenario;
pub mod search;
pub mod selftest;
pub mod state;
pub mod symptom;
pub mod trial;
pub mod verdict;
pub mod version;
mod weights;
pub mod whose;
pub mod workers;
pub mod wrong;
