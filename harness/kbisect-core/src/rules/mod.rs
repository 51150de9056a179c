//! Packet filter rules as their files have them: told apart and named, not carried out.

mod counts;
mod deed;
mod iptables;
mod nft;
mod rule;

pub use counts::{RuleCount, counted};
pub use deed::Deed;
pub use iptables::{read as read_iptables, words as saved_words};
pub use nft::read as read_nft;
pub use rule::{Counter, Element, Map, Rule, Rules, uncounted};
