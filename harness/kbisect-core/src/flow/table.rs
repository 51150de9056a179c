//! Counting frames per flow and hop: when they were sent, and when they were handed over.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::counts::{Carried, is_behind};
use super::frame::{Direction, Neighbour, Segment, Transport, dissect, fingerprint, neighbour};

/// Most directed flows that are kept; a scan must not eat the harness's memory.
const MAX_FLOWS: usize = 4096;
/// Most frames that are remembered one by one: the latest count. 16,384 x 100 bytes.
const MAX_SIGHTINGS: usize = 16_384;
/// Most payloads of a flow by which it is found again behind address translation.
const MAX_PRINTS: usize = 32;
/// Most directions that one connection can have; more are no translation but a scan.
const MAX_ALIASES: usize = 16;

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

/// One frame that was seen.
#[derive(Clone, Debug)]
pub(super) struct Sighting {
    pub hop: usize,
    pub direction: Direction,
    pub fingerprint: u64,
    pub rst: bool,
    pub at: Duration,
}

/// A frame that was taken note of, to be reported again when it was handed over.
#[derive(Clone, Copy, Debug)]
pub struct Noted {
    hop: usize,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Segment(Segment),
    Neighbour(Neighbour),
}

/// Why what was counted allows no conclusion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// There were more flows than are kept.
    Flows,
    /// There were more frames than are remembered since the connection began.
    Sightings,
}

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flows => write!(f, "more than {MAX_FLOWS} flows were seen"),
            Self::Sightings => {
                write!(f, "more than {MAX_SIGHTINGS} frames were seen since it began")
            }
        }
    }
}

#[derive(Debug, Default)]
struct Flow {
    /// By hop.
    sent: BTreeMap<usize, Carried>,
    /// By hop and receiver.
    handed: BTreeMap<(usize, usize), Carried>,
    /// How far each receiver acknowledged it.
    acked: BTreeMap<usize, u32>,
    /// Hashes of its first payloads.
    prints: Vec<u64>,
}

/// When somebody last asked for a neighbour, and was last told one.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    asked: Option<Duration>,
    told: Option<Duration>,
}

/// Frames that are waited for at a hop.
#[derive(Debug)]
struct Expected {
    hop: Hop,
    missing: HashSet<u64>,
}

/// Counts frames per flow and hop, and remembers the latest ones.
#[derive(Debug, Default)]
pub struct FlowTable {
    flows: BTreeMap<Direction, Flow>,
    hops: Vec<Hop>,
    nodes: Vec<String>,
    sightings: VecDeque<Sighting>,
    /// When the latest frame that is forgotten was seen.
    forgotten: Option<Duration>,
    full: bool,
    by_server: HashMap<(Transport, SocketAddr), Vec<Direction>>,
    by_isn: HashMap<u32, Vec<Direction>>,
    by_print: HashMap<u64, Vec<Direction>>,
    /// By node.
    neighbours: BTreeMap<usize, Asked>,
    /// When each node last sent the first frame of a connection, or a datagram.
    openings: BTreeMap<(usize, Transport), Duration>,
    expected: Option<Expected>,
}

impl FlowTable {
    /// Takes note of one Ethernet frame that a node sent. Anything that is not TCP or UDP over IP, or
    /// the search for a neighbour, is passed over.
    ///
    /// `at` is the time since the recording began.
    pub fn observe(&mut self, hop: &Hop, frame: &[u8], at: Duration) -> Option<Noted> {
        let Some(segment) = dissect(frame) else {
            let what = neighbour(frame)?;
            let number = self.hop_number(hop);
            let node = self.node_number(&hop.from);
            if what == Neighbour::Asks {
                self.neighbours.entry(node).or_default().asked = Some(at);
            }
            return Some(Noted { hop: number, what: What::Neighbour(what) });
        };
        let Segment { direction, fingerprint, rst, .. } = segment;
        if let Some(expected) = &mut self.expected
            && expected.hop == *hop
        {
            expected.missing.remove(&fingerprint);
        }
        if self.flows.len() >= MAX_FLOWS && !self.flows.contains_key(&direction) {
            self.full = true;
            return None;
        }
        let (name, hop) = (hop, self.hop_number(hop));
        let node = self.node_number(&name.from);
        if direction.transport == Transport::Udp || segment.isn.is_some() {
            self.openings.insert((node, direction.transport), at);
        }
        if self.sightings.len() >= MAX_SIGHTINGS
            && let Some(gone) = self.sightings.pop_front()
        {
            self.forgotten = Some(gone.at);
        }
        self.sightings.push_back(Sighting { hop, direction, fingerprint, rst, at });
        self.acknowledge(&segment, node, at);
        let is_new = !self.flows.contains_key(&direction);
        if is_new {
            let place = (direction.transport, direction.to);
            self.by_server.entry(place).or_default().push(direction);
        }
        let flow = self.flows.entry(direction).or_default();
        let known = flow.sent.values().any(|counts| counts.isn.is_some());
        flow.sent.entry(hop).or_default().take(&segment, at, None);
        if let (false, Some(isn)) = (known, segment.isn) {
            self.by_isn.entry(isn).or_default().push(direction);
        }
        let told = direction.transport == Transport::Udp && flow.prints.len() < MAX_PRINTS;
        if told && !flow.prints.contains(&fingerprint) {
            flow.prints.push(fingerprint);
            self.by_print.entry(fingerprint).or_default().push(direction);
        }
        Some(Noted { hop, what: What::Segment(segment) })
    }

    /// Takes note that a frame was handed over to a node's machine.
    pub fn hand_over(&mut self, noted: &Noted, receiver: &str, at: Duration) {
        let node = self.node_number(receiver);
        match &noted.what {
            What::Neighbour(Neighbour::Asks) => {}
            What::Neighbour(Neighbour::Tells) => {
                self.neighbours.entry(node).or_default().told = Some(at);
            }
            What::Segment(segment) => {
                let Some(flow) = self.flows.get_mut(&segment.direction) else { return };
                let acked = flow.acked.get(&node).copied();
                flow.handed.entry((noted.hop, node)).or_default().take(segment, at, acked);
            }
        }
    }

    /// What a node acknowledges of what it was handed.
    fn acknowledge(&mut self, segment: &Segment, node: usize, at: Duration) {
        let (Some(ack), Some(flow)) =
            (segment.ack, self.flows.get_mut(&segment.direction.reversed()))
        else {
            return;
        };
        if flow.acked.get(&node).is_some_and(|known| !is_behind(ack, *known)) {
            return;
        }
        flow.acked.insert(node, ack);
        let mine = flow.handed.iter_mut().filter(|((_, receiver), _)| *receiver == node);
        mine.for_each(|(_, counts)| counts.acknowledged(ack, at));
    }

    fn hop_number(&mut self, hop: &Hop) -> usize {
        // A scenario has a handful of hops.
        self.hops.iter().position(|known| known == hop).unwrap_or_else(|| {
            self.hops.push(hop.clone());
            self.hops.len() - 1
        })
    }

    fn node_number(&mut self, node: &str) -> usize {
        self.nodes.iter().position(|known| known == node).unwrap_or_else(|| {
            self.nodes.push(node.to_owned());
            self.nodes.len() - 1
        })
    }

    /// Begins to wait for frames (by [`super::fingerprint`]) that a node is to send on a wire.
    pub fn expect(&mut self, hop: Hop, fingerprints: &BTreeSet<u64>) {
        self.expected = Some(Expected { hop, missing: fingerprints.iter().copied().collect() });
    }

    /// How many of the frames that are waited for were not sent yet.
    pub fn missing(&self) -> usize {
        self.expected.as_ref().map_or(0, |expected| expected.missing.len())
    }

    /// Whether a frame is waited for and was not sent yet.
    pub fn is_missing(&self, fingerprint: u64) -> bool {
        self.expected.as_ref().is_some_and(|expected| expected.missing.contains(&fingerprint))
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Why nothing can be concluded about a connection, if so.
    pub fn full_for(&self, forward: Direction) -> Option<Full> {
        if self.full {
            return Some(Full::Flows);
        }
        let forgotten = self.forgotten?;
        let sent = self.flows.get(&forward).into_iter().flat_map(|flow| flow.sent.values());
        let began = sent.map(|counts| counts.first).min();
        began.is_none_or(|began| began <= forgotten).then_some(Full::Sightings)
    }

    /// What was sent on each hop in one direction.
    pub fn hops(&self, direction: Direction) -> impl Iterator<Item = (&Hop, &Carried)> {
        let sent = self.flows.get(&direction).into_iter().flat_map(|flow| &flow.sent);
        sent.map(|(hop, counts)| (&self.hops[*hop], counts))
    }

    /// What was handed over on each hop in one direction, and to whom.
    pub fn handed(&self, direction: Direction) -> impl Iterator<Item = (&Hop, &str, &Carried)> {
        let handed = self.flows.get(&direction).into_iter().flat_map(|flow| &flow.handed);
        handed.map(|((hop, node), counts)| (&self.hops[*hop], self.nodes[*node].as_str(), counts))
    }

    pub(super) fn sightings(&self) -> impl Iterator<Item = (&Hop, &Sighting)> {
        self.sightings.iter().map(|sighting| (&self.hops[sighting.hop], sighting))
    }

    /// Whether a node asked for a neighbour since a time, and was told none.
    pub fn asks_in_vain(&self, node: &str, since: Duration) -> bool {
        let number = self.nodes.iter().position(|known| known == node);
        number.and_then(|number| self.neighbours.get(&number)).is_some_and(|asked| {
            asked.asked.is_some_and(|at| at >= since) && asked.told.is_none_or(|at| at < since)
        })
    }

    /// Whether a node began a connection of any kind, or sent a datagram, since a time.
    pub fn opened_any(&self, node: &str, transport: Transport, since: Duration) -> bool {
        let number = self.nodes.iter().position(|known| known == node);
        let at = number.and_then(|number| self.openings.get(&(number, transport)));
        at.is_some_and(|at| *at >= since)
    }

    /// The directions that carry the same connection as `forward`: itself, and those that address
    /// translation made of it. TCP's are found by the sequence number of the SYN, which address
    /// translation leaves alone (RFC 3022 §4.1), UDP's by the payload.
    pub fn aliases(&self, forward: Direction) -> Vec<Direction> {
        let mut found = vec![forward];
        let Some(flow) = self.flows.get(&forward) else { return found };
        let same: Vec<&Vec<Direction>> = match forward.transport {
            Transport::Tcp => {
                let isn = flow.sent.values().find_map(|counts| counts.isn);
                isn.and_then(|isn| self.by_isn.get(&isn)).into_iter().collect()
            }
            Transport::Udp => {
                flow.prints.iter().filter_map(|print| self.by_print.get(print)).collect()
            }
        };
        for other in same.into_iter().flatten() {
            if found.len() < MAX_ALIASES
                && other.transport == forward.transport
                && !found.contains(other)
            {
                found.push(*other);
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
        let recent = move |flow: &Flow| match sought.since {
            Since::Opened(at) => flow.sent.values().all(|counts| counts.first >= at),
            Since::Used(at) => flow.sent.values().any(|counts| counts.last >= at),
        };
        let there = self.by_server.get(&(sought.transport, sought.to)).into_iter().flatten();
        there
            .filter(move |direction| {
                from.contains(&direction.from.ip()) && self.flows.get(direction).is_some_and(recent)
            })
            .copied()
    }
}

/// The different frames of a capture that are recognised again on the far side of a node.
pub fn fingerprints<'a>(frames: impl IntoIterator<Item = &'a [u8]>) -> BTreeSet<u64> {
    frames.into_iter().filter_map(fingerprint).map(|(_, print)| print).collect()
}
