//! Flow analysis: which frames of a connection passed which hop, and where they were lost, changed
//! or refused.

mod account;
mod frame;
mod table;
#[cfg(test)]
mod tests;

pub use account::{Account, Ends, Loss};
pub use frame::{Direction, Transport, fingerprint};
pub use table::{Counts, FlowTable, Hop, Since, Sought};
