//! Flow analysis: which frames of a connection passed which hop, and where they were lost.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

use crate::trial::SymptomKind;

/// Most directed flows that are kept; a scan must not eat the harness's memory.
const MAX_FLOWS: usize = 4096;

/// A SYN this long after the SYN-ACK cannot have crossed it on the way. Less than the first
/// retransmission time-out of TCP, 1 s (RFC 6298).
const WELL_AFTER: Duration = Duration::from_millis(500);

/// Transport protocol of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// One direction of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Direction {
    /// Protocol.
    pub transport: Transport,
    /// Sender.
    pub from: SocketAddr,
    /// Receiver.
    pub to: SocketAddr,
}

impl Direction {
    /// The other direction.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { from: self.to, to: self.from, ..self }
    }
}

impl std::fmt::Display for Direction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self.transport {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        };
        write!(f, "{name} {} -> {}", self.from, self.to)
    }
}

/// Where a frame was seen: on which wire, sent by which node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hop {
    /// Wire name.
    pub wire: String,
    /// Node that sent it.
    pub from: String,
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
    first: Duration,
    /// When the last one was.
    last: Duration,
}

/// Counts frames per flow and hop.
#[derive(Debug, Default)]
pub struct FlowTable {
    flows: BTreeMap<Direction, BTreeMap<Hop, Counts>>,
    dropped: u64,
}

impl FlowTable {
    /// Takes note of one Ethernet frame. Anything that is not TCP or UDP over IP is passed over.
    ///
    /// `at` is the time since the recording began.
    pub fn observe(&mut self, hop: &Hop, frame: &[u8], at: Duration) {
        let Some((direction, seen)) = dissect(frame) else { return };
        if self.flows.len() >= MAX_FLOWS && !self.flows.contains_key(&direction) {
            self.dropped += 1;
            return;
        }
        let hops = self.flows.entry(direction).or_default();
        let counts = match hops.get_mut(hop) {
            Some(counts) => counts,
            None => hops.entry(hop.clone()).or_default(),
        };
        if counts.frames == 0 {
            counts.first = at;
        }
        counts.last = at;
        counts.frames += 1;
        counts.syn += seen.syn;
        counts.rst += seen.rst;
        counts.data += seen.data;
        counts.bytes += seen.bytes;
        counts.isn = counts.isn.or(seen.isn);
    }

    /// What passed each hop in one direction.
    #[must_use]
    pub fn hops(&self, direction: Direction) -> Option<&BTreeMap<Hop, Counts>> {
        self.flows.get(&direction)
    }

    /// The directions that carry the same connection as `forward`: itself, and those that address
    /// translation made of it. They are found by the sequence number of the SYN, which address
    /// translation leaves alone (RFC 3022 §4.1).
    #[must_use]
    pub fn aliases(&self, forward: Direction) -> Vec<Direction> {
        let isn = |direction: &Direction| {
            self.flows.get(direction).and_then(|hops| hops.values().find_map(|counts| counts.isn))
        };
        let mut found = vec![forward];
        if let Some(wanted) = isn(&forward) {
            let same = self.flows.keys().filter(|other| {
                **other != forward
                    && other.to.port() == forward.to.port()
                    && isn(other) == Some(wanted)
            });
            found.extend(same.copied());
        }
        found
    }

    /// Finds a flow by its sender and receiver address when the sender's port is not known.
    pub fn from_to(&self, from: IpAddr, to: SocketAddr) -> impl Iterator<Item = Direction> + '_ {
        self.flows.keys().copied().filter(move |flow| flow.from.ip() == from && flow.to == to)
    }

    /// Says whether a connection attempt is lost for certain although its deadline has not passed.
    ///
    /// That is so when a SYN-ACK was delivered to the suspect, and the suspect sent a SYN (its own
    /// again, or one that it forwards) well after that without ever letting the handshake go on: it
    /// was alive, it had the answer, and it did not use it. Waiting longer would change nothing.
    #[must_use]
    pub fn hopeless(&self, from: IpAddr, to: SocketAddr, ends: &Ends<'_>) -> Option<Direction> {
        self.from_to(from, to).filter(|flow| flow.transport == Transport::Tcp).find(|forward| {
            let mut delivered: Option<Duration> = None;
            let mut sent_again: Option<Duration> = None;
            for direction in self.aliases(*forward) {
                for (hop, counts) in self.hops(direction).into_iter().flatten() {
                    if counts.frames > counts.syn {
                        return false;
                    }
                    if hop.from == ends.suspect {
                        sent_again = sent_again.max(Some(counts.last));
                    }
                }
                for (hop, counts) in self.hops(direction.reversed()).into_iter().flatten() {
                    let from_suspect = hop.from == ends.suspect;
                    if from_suspect || counts.frames > counts.syn {
                        return false;
                    }
                    if ends.touches_suspect(&hop.wire) {
                        delivered = Some(delivered.map_or(counts.first, |at| at.min(counts.first)));
                    }
                }
            }
            matches!((delivered, sent_again), (Some(answer), Some(again)) if again > answer + WELL_AFTER)
        })
    }

    /// Says what happened to a connection at the node under suspicion.
    #[must_use]
    pub fn account(&self, forward: Direction, ends: &Ends<'_>) -> Account {
        let mut account = Account::default();
        for direction in self.aliases(forward) {
            account.add(self, direction, true, ends);
            account.add(self, direction.reversed(), false, ends);
        }
        account.conclude(forward, ends);
        account
    }
}

/// Who is who in a connection.
#[derive(Clone, Copy, Debug)]
pub struct Ends<'a> {
    /// Node that opens the connection.
    pub client: &'a str,
    /// The node under suspicion: the candidate.
    pub suspect: &'a str,
    /// Wire names with their member nodes.
    pub wires: &'a BTreeMap<String, Vec<String>>,
}

impl Ends<'_> {
    fn touches_suspect(&self, wire: &str) -> bool {
        self.wires
            .get(wire)
            .is_some_and(|members| members.iter().any(|member| member == self.suspect))
    }
}

/// What was counted around the suspect for one connection, and what follows from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Requests towards the suspect.
    pub requests_in: Counts,
    /// Requests that left it.
    pub requests_out: Counts,
    /// Replies towards it.
    pub replies_in: Counts,
    /// Replies that left it.
    pub replies_out: Counts,
    /// One line a hop and direction.
    pub lines: Vec<String>,
    /// The conclusion, if the counts allow one.
    pub loss: Option<Loss>,
}

/// A loss that was located.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// `LostIngress` or `LostEgress`.
    pub kind: SymptomKind,
    /// Stable between kernels and runs: `replies lost inside gw`.
    pub title: String,
    /// With the counts.
    pub detail: String,
}

impl Account {
    fn add(&mut self, table: &FlowTable, direction: Direction, request: bool, ends: &Ends<'_>) {
        for (hop, counts) in table.hops(direction).into_iter().flatten() {
            let word = if request { "request" } else { "reply" };
            self.lines.push(format!(
                "{word} {direction}: {} frames ({} with payload, {} reset) from {} on wire {}",
                counts.frames, counts.data, counts.rst, hop.from, hop.wire
            ));
            if !ends.touches_suspect(&hop.wire) {
                continue;
            }
            let outgoing = hop.from == ends.suspect;
            let sum = match (request, outgoing) {
                (true, false) => &mut self.requests_in,
                (true, true) => &mut self.requests_out,
                (false, false) => &mut self.replies_in,
                (false, true) => &mut self.replies_out,
            };
            sum.frames += counts.frames;
            sum.syn += counts.syn;
            sum.rst += counts.rst;
            sum.data += counts.data;
            sum.bytes += counts.bytes;
        }
    }

    /// Draws the conclusion. Called for connections that failed only.
    fn conclude(&mut self, forward: Direction, ends: &Ends<'_>) {
        let suspect = ends.suspect;
        let is_client = ends.client == suspect;
        let (requests_in, requests_out) = (self.requests_in, self.requests_out);
        let (replies_in, replies_out) = (self.replies_in, self.replies_out);
        let passes_through = !is_client && requests_out.frames + replies_in.frames > 0;
        let loss = |kind, title: String, detail: String| Some(Loss { kind, title, detail });
        self.loss = if is_client {
            if replies_in.frames > 0 && replies_in.rst == 0 {
                loss(
                    SymptomKind::LostIngress,
                    format!("replies lost inside {suspect}"),
                    format!(
                        "replies to {forward} reached {suspect} ({} frames) and were lost inside it",
                        replies_in.frames
                    ),
                )
            } else if requests_out.frames == 0 {
                loss(
                    SymptomKind::LostEgress,
                    format!("requests never left {suspect}"),
                    format!("no frame of {forward} left {suspect}"),
                )
            } else {
                None
            }
        } else if passes_through || requests_in.frames == 0 {
            if replies_in.frames > 0 && lost_between(replies_in, replies_out) {
                loss(
                    SymptomKind::LostIngress,
                    format!("replies lost inside {suspect}"),
                    format!(
                        "replies to {forward} reached {suspect} ({} frames, {} with payload), {} left it \
                         ({} with payload): lost inside {suspect}",
                        replies_in.frames, replies_in.data, replies_out.frames, replies_out.data
                    ),
                )
            } else if requests_in.frames > 0 && lost_between(requests_in, requests_out) {
                egress(forward, suspect, requests_in, requests_out)
            } else {
                None
            }
        } else if requests_in.frames > 0 && replies_out.frames == 0 {
            // Whether the suspect is the server or a router that lets nothing through, requests
            // went in and nothing came out on any side.
            loss(
                SymptomKind::LostIngress,
                format!("requests lost inside {suspect}"),
                format!(
                    "{forward} reached {suspect} ({} frames) and nothing left it",
                    requests_in.frames
                ),
            )
        } else {
            None
        };
    }
}

/// Frames went in and none came out, or handshakes passed and payload did not.
fn lost_between(inside: Counts, outside: Counts) -> bool {
    outside.frames == 0 || (inside.data > 0 && outside.data == 0)
}

fn egress(forward: Direction, suspect: &str, inside: Counts, outside: Counts) -> Option<Loss> {
    Some(Loss {
        kind: SymptomKind::LostEgress,
        title: format!("requests lost inside {suspect}"),
        detail: format!(
            "{forward} reached {suspect} ({} frames), {} left it: lost inside {suspect}",
            inside.frames, outside.frames
        ),
    })
}

fn dissect(frame: &[u8]) -> Option<(Direction, Counts)> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    let (from, to) = match packet.net? {
        NetSlice::Ipv4(ip) => {
            (IpAddr::V4(ip.header().source_addr()), IpAddr::V4(ip.header().destination_addr()))
        }
        NetSlice::Ipv6(ip) => {
            (IpAddr::V6(ip.header().source_addr()), IpAddr::V6(ip.header().destination_addr()))
        }
        NetSlice::Arp(_) => return None,
    };
    let mut counts = Counts { frames: 1, ..Counts::default() };
    let (transport, source, destination, payload) = match packet.transport? {
        TransportSlice::Tcp(tcp) => {
            counts.syn = u64::from(tcp.syn());
            counts.rst = u64::from(tcp.rst());
            counts.isn = (tcp.syn() && !tcp.ack()).then(|| tcp.sequence_number());
            (Transport::Tcp, tcp.source_port(), tcp.destination_port(), tcp.payload().len())
        }
        TransportSlice::Udp(udp) => {
            (Transport::Udp, udp.source_port(), udp.destination_port(), udp.payload().len())
        }
        _ => return None,
    };
    counts.data = u64::from(payload > 0);
    counts.bytes = payload as u64;
    let direction = Direction {
        transport,
        from: SocketAddr::new(from, source),
        to: SocketAddr::new(to, destination),
    };
    Some((direction, counts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    const NOW: Duration = Duration::ZERO;

    fn hop(wire: &str, from: &str) -> Hop {
        Hop { wire: wire.to_owned(), from: from.to_owned() }
    }

    struct Tcp {
        from: ([u8; 4], u16),
        to: ([u8; 4], u16),
        seq: u32,
        kind: &'static str,
    }

    fn frame(tcp: &Tcp) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
            .ipv4(tcp.from.0, tcp.to.0, 64)
            .tcp(tcp.from.1, tcp.to.1, tcp.seq, 1024);
        let (builder, payload): (_, &[u8]) = match tcp.kind {
            "syn" => (builder.syn(), b""),
            "syn-ack" => (builder.syn().ack(1), b""),
            "rst" => (builder.rst(), b""),
            "data" => (builder.ack(1), b"hello"),
            _ => (builder.ack(1), b""),
        };
        let mut bytes = Vec::new();
        builder.write(&mut bytes, payload).unwrap();
        bytes
    }

    fn wires(list: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        list.iter()
            .map(|(wire, nodes)| {
                ((*wire).to_owned(), nodes.iter().map(|n| (*n).to_owned()).collect())
            })
            .collect()
    }

    const CLIENT: ([u8; 4], u16) = ([10, 0, 0, 2], 40000);
    const NAT: ([u8; 4], u16) = ([203, 0, 113, 1], 40000);
    const SERVER: ([u8; 4], u16) = ([203, 0, 113, 9], 80);

    fn forward() -> Direction {
        Direction {
            transport: Transport::Tcp,
            from: SocketAddr::new(IpAddr::from(CLIENT.0), CLIENT.1),
            to: SocketAddr::new(IpAddr::from(SERVER.0), SERVER.1),
        }
    }

    #[test]
    fn syn_acks_that_a_client_drops_are_lost_ingress_at_the_client() {
        let mut table = FlowTable::default();
        for _ in 0..2 {
            let syn = frame(&Tcp { from: CLIENT, to: SERVER, seq: 7, kind: "syn" });
            let answer = frame(&Tcp { from: SERVER, to: CLIENT, seq: 9, kind: "syn-ack" });
            table.observe(&hop("lan", "client"), &syn, NOW);
            table.observe(&hop("lan", "server"), &answer, NOW);
        }
        let wires = wires(&[("lan", &["client", "server"])]);
        let ends = Ends { client: "client", suspect: "client", wires: &wires };
        let loss = table.account(forward(), &ends).loss.unwrap();
        assert_eq!(loss.kind, SymptomKind::LostIngress);
        assert_eq!(loss.title, "replies lost inside client");
        assert!(loss.detail.contains("(2 frames)"), "{}", loss.detail);
    }

    #[test]
    fn replies_lost_behind_nat_are_found_through_the_translated_flow() {
        let mut table = FlowTable::default();
        let syn = |from| frame(&Tcp { from, to: SERVER, seq: 77, kind: "syn" });
        table.observe(&hop("lan", "vm"), &syn(CLIENT), NOW);
        table.observe(&hop("wan", "gw"), &syn(NAT), NOW);
        let answer = frame(&Tcp { from: SERVER, to: NAT, seq: 9, kind: "syn-ack" });
        table.observe(&hop("wan", "server"), &answer, NOW);
        let wires = wires(&[("lan", &["vm", "gw"]), ("wan", &["gw", "server"])]);
        let ends = Ends { client: "vm", suspect: "gw", wires: &wires };
        let account = table.account(forward(), &ends);
        assert_eq!((account.replies_in.frames, account.replies_out.frames), (1, 0));
        assert_eq!(account.loss.unwrap().title, "replies lost inside gw");
    }

    #[test]
    fn a_refusal_by_the_server_is_nobodys_loss() {
        let mut table = FlowTable::default();
        let syn = frame(&Tcp { from: CLIENT, to: SERVER, seq: 7, kind: "syn" });
        table.observe(&hop("lan", "client"), &syn, NOW);
        let reset = frame(&Tcp { from: SERVER, to: CLIENT, seq: 0, kind: "rst" });
        table.observe(&hop("lan", "server"), &reset, NOW);
        let wires = wires(&[("lan", &["client", "server"])]);
        let ends = Ends { client: "client", suspect: "client", wires: &wires };
        assert_eq!(table.account(forward(), &ends).loss, None);
    }

    #[test]
    fn requests_that_a_router_swallows_are_lost_inside_it() {
        let mut table = FlowTable::default();
        let syn = frame(&Tcp { from: CLIENT, to: SERVER, seq: 7, kind: "syn" });
        table.observe(&hop("lan", "vm"), &syn, NOW);
        let wires = wires(&[("lan", &["vm", "gw"]), ("wan", &["gw", "server"])]);
        let ends = Ends { client: "vm", suspect: "gw", wires: &wires };
        let loss = table.account(forward(), &ends).loss.unwrap();
        assert_eq!(loss.title, "requests lost inside gw");
    }

    #[test]
    fn a_syn_sent_again_after_its_answer_arrived_makes_the_attempt_hopeless() {
        let wires = wires(&[("lan", &["client", "server"])]);
        let ends = Ends { client: "client", suspect: "client", wires: &wires };
        let millis = Duration::from_millis;
        let syn = frame(&Tcp { from: CLIENT, to: SERVER, seq: 7, kind: "syn" });
        let answer = frame(&Tcp { from: SERVER, to: CLIENT, seq: 9, kind: "syn-ack" });
        let verdict = |table: &FlowTable| {
            table.hopeless(IpAddr::from(CLIENT.0), forward().to, &ends).is_some()
        };
        let mut table = FlowTable::default();
        table.observe(&hop("lan", "client"), &syn, millis(0));
        table.observe(&hop("lan", "server"), &answer, millis(5));
        assert!(!verdict(&table), "the answer may still be taken");
        table.observe(&hop("lan", "client"), &syn, millis(1005));
        assert!(verdict(&table));
        let ack = frame(&Tcp { from: CLIENT, to: SERVER, seq: 8, kind: "ack" });
        table.observe(&hop("lan", "client"), &ack, millis(1010));
        assert!(!verdict(&table), "the handshake went on after all");
    }

    #[test]
    fn an_answer_that_never_arrived_says_nothing_of_the_suspect() {
        let wires = wires(&[("lan", &["client", "server"])]);
        let ends = Ends { client: "client", suspect: "client", wires: &wires };
        let mut table = FlowTable::default();
        let syn = frame(&Tcp { from: CLIENT, to: SERVER, seq: 7, kind: "syn" });
        for second in 0..3 {
            table.observe(&hop("lan", "client"), &syn, Duration::from_secs(second));
        }
        assert_eq!(table.hopeless(IpAddr::from(CLIENT.0), forward().to, &ends), None);
    }

    #[test]
    fn garbage_is_passed_over() {
        let mut table = FlowTable::default();
        for length in 0..80 {
            table.observe(&hop("lan", "x"), &vec![0xff; length], NOW);
        }
        assert!(table.flows.is_empty());
    }
}
