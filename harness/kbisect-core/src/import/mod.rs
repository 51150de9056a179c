//! From dumps of a production host to a scenario: nodes for its neighbours, links, rules as they are.
//!
//! Dumps come from outside and are taken as hostile: what they say is parsed into addresses, numbers
//! and known words before it is written again, sizes are bounded, and nothing panics.

mod checks;
mod convert;
mod filter;
mod finding;
mod forwards;
mod host;
mod interfaces;
mod internet;
mod known;
mod made;
mod named;
mod names;
mod nat;
mod nat_iptables;
mod nat_nft;
mod network;
mod peers;
mod plan;
mod proposals;
mod read;
mod record;
mod render;
mod routes;
mod sniff;
mod sysctl;
mod toml;
mod tunnels;

pub use convert::{Imported, Options, from_dumps};
pub use finding::{Finding, ImportError};
