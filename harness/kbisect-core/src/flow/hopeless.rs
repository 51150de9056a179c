//! Connection attempts that are lost for certain although their deadline has not passed.

use std::time::Duration;

use super::account::{Ends, WELL_AFTER};
use super::frame::{Direction, Transport};
use super::table::FlowTable;
use crate::disturbed::{SHORTEST_MS, Window};

/// A connection attempt that is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hopeless {
    /// From the answer to now.
    pub window: Window,
}

impl FlowTable {
    /// Says whether a connection attempt is lost for certain although its deadline has not passed.
    ///
    /// That is so when a SYN-ACK was handed to the suspect, and the suspect sent a SYN (its own
    /// again, or one that it forwards) well after that without ever letting the handshake go on: it
    /// was alive, it had the answer, and it did not use it. Waiting longer would change nothing.
    pub fn is_hopeless(
        &self,
        forward: Direction,
        ends: &Ends<'_>,
        now: Duration,
    ) -> Option<Hopeless> {
        if forward.transport != Transport::Tcp || self.full_for(forward).is_some() {
            return None;
        }
        let mut answered: Option<Duration> = None;
        let mut sent_again: Option<Duration> = None;
        for direction in self.aliases(forward) {
            for (hop, counts) in self.hops(direction) {
                if counts.frames > counts.syn {
                    return None;
                }
                if hop.from == ends.suspect {
                    sent_again = sent_again.max(Some(counts.last));
                }
            }
            let back = direction.reversed();
            if self.hops(back).any(|(hop, sent)| hop.from == ends.suspect || sent.frames > sent.syn)
            {
                return None;
            }
            for (_, receiver, counts) in self.handed(back) {
                if receiver == ends.suspect {
                    answered = Some(answered.map_or(counts.first, |at| at.min(counts.first)));
                }
            }
        }
        let (answer, again) = (answered?, sent_again?);
        let window = Window { from_ms: answer.as_millis() as u64, to_ms: now.as_millis() as u64 };
        let certain = again > answer + WELL_AFTER && window.ms() >= SHORTEST_MS;
        certain.then_some(Hopeless { window })
    }
}
