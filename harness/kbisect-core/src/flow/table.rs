//! Counting frames per flow and hop.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::account::Ends;
use super::frame::{Direction, Segment, Transport, dissect};

/// Most directed flows that are kept; a scan must not eat the harness's memory.
const MAX_FLOWS: usize = 4096;
/// Most frames that are remembered one by one: the latest count. 16,384 x 64 bytes.
const MAX_SIGHTINGS: usize = 16_384;

/// A SYN this long after the SYN-ACK cannot have crossed it on the way. Less than the first
/// retransmission time-out of TCP, 1 s (RFC 6298).
const WELL_AFTER: Duration = Duration::from_millis(500);

/// Where a frame was seen: on which wire, sent by which node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hop {
    /// Wire name.
    pub wire: String,
    /// Node that sent it.
    pub from: String,
}

/// The connections of a client that are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sought {
    /// TCP or UDP.
    pub transport: Transport,
    /// Where it goes.
    pub to: SocketAddr,
    /// How recent it must be.
    pub since: Since,
}

/// How recent a connection must be, in time since the recording began. An earlier one to the same
/// server is another matter: it may have been lost while this one is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Its first frame was not seen before.
    Opened(Duration),
    /// Its client sent a frame then or later.
    Used(Duration),
}

/// What passed one hop in one direction of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All frames.
    pub frames: u64,
    /// Frames with SYN set.
    pub syn: u64,
    /// Frames with RST set.
    pub rst: u64,
    /// Frames with payload.
    pub data: u64,
    /// Payload bytes.
    pub bytes: u64,
    /// Sequence number of the first SYN.
    isn: Option<u32>,
    /// When the first frame was seen, since the recording began.
    pub(super) first: Duration,
    /// When the last one was.
    pub(super) last: Duration,
}

impl Counts {
    pub(super) fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.syn += other.syn;
        self.rst += other.rst;
        self.data += other.data;
        self.bytes += other.bytes;
    }
}

/// One frame that was seen.
#[derive(Clone, Debug)]
pub(super) struct Sighting {
    pub hop: usize,
    pub direction: Direction,
    pub fingerprint: u64,
    pub rst: bool,
}

/// Counts frames per flow and hop, and remembers the latest ones.
#[derive(Debug, Default)]
pub struct FlowTable {
    flows: BTreeMap<Direction, BTreeMap<usize, Counts>>,
    hops: Vec<Hop>,
    sightings: VecDeque<Sighting>,
}

impl FlowTable {
    /// Takes note of one Ethernet frame. Anything that is not TCP or UDP over IP is passed over.
    ///
    /// `at` is the time since the recording began.
    pub fn observe(&mut self, hop: &Hop, frame: &[u8], at: Duration) {
        let Some(segment) = dissect(frame) else { return };
        let Segment { direction, fingerprint, rst, .. } = segment;
        if self.flows.len() >= MAX_FLOWS && !self.flows.contains_key(&direction) {
            return;
        }
        let hop = self.hop_number(hop);
        if self.sightings.len() >= MAX_SIGHTINGS {
            self.sightings.pop_front();
        }
        self.sightings.push_back(Sighting { hop, direction, fingerprint, rst });
        let counts = self.flows.entry(direction).or_default().entry(hop).or_default();
        if counts.frames == 0 {
            counts.first = at;
        }
        counts.last = at;
        counts.add(&Counts {
            frames: 1,
            syn: u64::from(segment.syn),
            rst: u64::from(rst),
            data: u64::from(segment.bytes > 0),
            bytes: segment.bytes,
            ..Counts::default()
        });
        counts.isn = counts.isn.or(segment.isn);
    }

    fn hop_number(&mut self, hop: &Hop) -> usize {
        // A scenario has a handful of hops.
        self.hops.iter().position(|known| known == hop).unwrap_or_else(|| {
            self.hops.push(hop.clone());
            self.hops.len() - 1
        })
    }

    /// Which of these frames (by [`super::fingerprint`]) were seen at a hop.
    #[must_use]
    pub fn seen_at(&self, hop: &Hop, fingerprints: &BTreeSet<u64>) -> BTreeSet<u64> {
        let Some(number) = self.hops.iter().position(|known| known == hop) else {
            return BTreeSet::new();
        };
        self.sightings
            .iter()
            .filter(|sighting| {
                sighting.hop == number && fingerprints.contains(&sighting.fingerprint)
            })
            .map(|sighting| sighting.fingerprint)
            .collect()
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// What passed each hop in one direction.
    pub fn hops(&self, direction: Direction) -> impl Iterator<Item = (&Hop, &Counts)> {
        self.flows
            .get(&direction)
            .into_iter()
            .flatten()
            .map(|(hop, counts)| (&self.hops[*hop], counts))
    }

    pub(super) fn sightings(&self) -> impl Iterator<Item = (&Hop, &Sighting)> {
        self.sightings.iter().map(|sighting| (&self.hops[sighting.hop], sighting))
    }

    /// The directions that carry the same connection as `forward`: itself, and those that address
    /// translation made of it. TCP's are found by the sequence number of the SYN, which address
    /// translation leaves alone (RFC 3022 §4.1), UDP's by the payload.
    #[must_use]
    pub fn aliases(&self, forward: Direction) -> Vec<Direction> {
        let mut found = vec![forward];
        match forward.transport {
            Transport::Tcp => {
                let isn = |direction: &Direction| {
                    self.flows.get(direction)?.values().find_map(|counts| counts.isn)
                };
                if let Some(wanted) = isn(&forward) {
                    let same =
                        |other: &&Direction| **other != forward && isn(other) == Some(wanted);
                    found.extend(self.flows.keys().filter(same).copied());
                }
            }
            Transport::Udp => {
                let sent: Vec<u64> = self
                    .sightings
                    .iter()
                    .filter(|sighting| sighting.direction == forward)
                    .map(|sighting| sighting.fingerprint)
                    .collect();
                for sighting in &self.sightings {
                    let direction = sighting.direction;
                    if sent.contains(&sighting.fingerprint)
                        && direction.transport == Transport::Udp
                        && !found.contains(&direction)
                    {
                        found.push(direction);
                    }
                }
            }
        }
        found
    }

    /// Finds a client's connections when its own port is not known.
    pub fn sought<'a>(
        &'a self,
        from: &'a [IpAddr],
        sought: Sought,
    ) -> impl Iterator<Item = Direction> + 'a {
        let recent = move |hops: &BTreeMap<usize, Counts>| match sought.since {
            Since::Opened(at) => hops.values().all(|counts| counts.first >= at),
            Since::Used(at) => hops.values().any(|counts| counts.last >= at),
        };
        self.flows
            .iter()
            .filter(move |(flow, hops)| {
                flow.transport == sought.transport
                    && flow.to == sought.to
                    && from.contains(&flow.from.ip())
                    && recent(hops)
            })
            .map(|(flow, _)| *flow)
    }

    /// Says whether a connection attempt is lost for certain although its deadline has not passed.
    ///
    /// That is so when a SYN-ACK was delivered to the suspect, and the suspect sent a SYN (its own
    /// again, or one that it forwards) well after that without ever letting the handshake go on: it
    /// was alive, it had the answer, and it did not use it. Waiting longer would change nothing.
    #[must_use]
    pub fn is_hopeless(&self, forward: Direction, ends: &Ends<'_>) -> bool {
        if forward.transport != Transport::Tcp {
            return false;
        }
        let mut delivered: Option<Duration> = None;
        let mut sent_again: Option<Duration> = None;
        for direction in self.aliases(forward) {
            for (hop, counts) in self.hops(direction) {
                if counts.frames > counts.syn {
                    return false;
                }
                if hop.from == ends.suspect {
                    sent_again = sent_again.max(Some(counts.last));
                }
            }
            for (hop, counts) in self.hops(direction.reversed()) {
                if hop.from == ends.suspect || counts.frames > counts.syn {
                    return false;
                }
                if ends.touches_suspect(&hop.wire) {
                    delivered = Some(delivered.map_or(counts.first, |at| at.min(counts.first)));
                }
            }
        }
        matches!((delivered, sent_again), (Some(answer), Some(again)) if again > answer + WELL_AFTER)
    }
}
