//! Flow analysis: which frames of a connection passed which hop, and where they were lost, changed
//! or refused.

mod account;
mod counts;
mod frame;
mod hopeless;
#[cfg(test)]
mod proof_tests;
mod table;
#[cfg(test)]
mod tests;

pub use account::{Account, Ends, Failure, Loss};
pub use counts::Carried;
pub use frame::{Direction, Transport, fingerprint};
pub use hopeless::Hopeless;
pub use table::{FlowTable, Full, Hop, Noted, Since, Sought, fingerprints};
