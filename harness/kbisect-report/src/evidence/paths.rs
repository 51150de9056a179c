//! Frames of one kind of connection, hop by hop, in the good and in the bad trial.
//!
//! Ports of clients differ from run to run, so connections are put together by protocol, client
//! address and server. A frame is recognised behind a router by what address translation leaves
//! alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use super::capture::Capture;
use super::packet::Protocol;

/// Most kinds of connections that are compared.
const MAX_PATHS: usize = 60;
/// Most directed flows of a trial: a scan must not eat the memory.
const MAX_FLOWS: usize = 4096;

/// One kind of connection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Path {
    /// `tcp`, `udp`.
    pub(crate) protocol: Protocol,
    /// Who asked.
    pub(crate) client: IpAddr,
    /// Who was asked.
    pub(crate) server: SocketAddr,
    /// The way there, in order.
    pub(crate) requests: Vec<Hop>,
    /// The way back, in order.
    pub(crate) replies: Vec<Hop>,
}

/// One hop in one direction.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hop {
    /// Node that sent.
    pub(crate) from: String,
    pub(crate) wire: String,
    /// Whether the server's port was another one than the client asked for.
    pub(crate) other_port: bool,
    /// Frames in the good trial, if it was looked at.
    pub(crate) good: Option<HopFrames>,
    /// Frames in the bad trial.
    pub(crate) bad: Option<HopFrames>,
    /// Frames pass here in the good trial and get this far, but no further, in the bad one.
    pub(crate) lost: bool,
    /// Frames that count as lost here leave with another port of the server.
    pub(crate) changed: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HopFrames {
    pub(crate) frames: u64,
    /// Those with payload.
    pub(crate) data: u64,
    /// Those with RST set.
    pub(crate) resets: u64,
}

impl Path {
    /// Whether a hop of it is marked as the losing one.
    pub(crate) fn is_lost(&self) -> bool {
        self.requests.iter().chain(&self.replies).any(|hop| hop.lost)
    }

    /// Whether both trials saw the same at each hop, as far as presence goes.
    pub(crate) fn differs(&self) -> bool {
        let some = |counts: Option<HopFrames>| counts.is_some_and(|counts| counts.frames > 0);
        let data = |counts: Option<HopFrames>| counts.is_some_and(|counts| counts.data > 0);
        let asked = self.requests.first().is_some_and(|hop| some(hop.good) && some(hop.bad));
        let hops = self.requests.iter().chain(&self.replies).filter(|_| asked);
        hops.filter(|hop| hop.good.is_some() && hop.bad.is_some())
            .any(|hop| some(hop.good) != some(hop.bad) || data(hop.good) != data(hop.bad))
    }
}

type Key = (Protocol, IpAddr, SocketAddr);
type Directed = (Protocol, SocketAddr, SocketAddr);
/// Node, wire, other port.
type HopKey = (String, String, bool);

/// What one trial saw of one kind of connection.
#[derive(Default)]
struct Seen {
    requests: BTreeMap<HopKey, (u64, HopFrames)>,
    replies: BTreeMap<HopKey, (u64, HopFrames)>,
}

/// Compares the captures of two trials; either may be missing.
pub(crate) fn compare(good: Option<&[Capture]>, bad: Option<&[Capture]>) -> Vec<Path> {
    let (good, bad) = (good.map(connections), bad.map(connections));
    let keys: BTreeSet<Key> =
        [&good, &bad].into_iter().flatten().flat_map(BTreeMap::keys).copied().collect();
    let nothing = Seen::default();
    let mut paths: Vec<Path> = keys
        .into_iter()
        .map(|key| {
            let seen = |trial: &'_ Option<BTreeMap<Key, Seen>>, back: bool| {
                trial.as_ref().map(|trial| {
                    let seen = trial.get(&key).unwrap_or(&nothing);
                    if back { seen.replies.clone() } else { seen.requests.clone() }
                })
            };
            let leg = |back| hops(seen(&good, back), seen(&bad, back));
            let (requests, replies) = (leg(false), leg(true));
            let (protocol, client, server) = key;
            Path { protocol, client, server, requests, replies }
        })
        .collect();
    for path in &mut paths {
        // Replies cannot come where requests did not get through.
        if !mark(&mut path.requests) {
            mark(&mut path.replies);
        }
    }
    paths.sort_by_key(|path| (!path.is_lost(), !path.differs()));
    paths.truncate(MAX_PATHS);
    paths
}

/// Puts the hops of both trials into one order: that of the good trial, and what only the bad one
/// has behind.
fn hops(
    good: Option<BTreeMap<HopKey, (u64, HopFrames)>>,
    bad: Option<BTreeMap<HopKey, (u64, HopFrames)>>,
) -> Vec<Hop> {
    let ordered = |seen: &Option<BTreeMap<HopKey, (u64, HopFrames)>>| {
        let mut places: Vec<(u64, HopKey)> =
            seen.iter().flatten().map(|(place, (at, _))| (*at, place.clone())).collect();
        places.sort();
        places.into_iter().map(|(_, place)| place).collect::<Vec<_>>()
    };
    let mut places = ordered(&good);
    for place in ordered(&bad) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let counts = |seen: &Option<BTreeMap<HopKey, (u64, HopFrames)>>, place: &HopKey| {
        seen.as_ref().map(|seen| seen.get(place).map(|(_, counts)| *counts).unwrap_or_default())
    };
    places
        .into_iter()
        .map(|place| Hop {
            good: counts(&good, &place),
            bad: counts(&bad, &place),
            from: place.0,
            wire: place.1,
            other_port: place.2,
            lost: false,
            changed: false,
        })
        .collect()
}

/// Marks the first hop at which frames (or those with payload) pass in the good trial and none in
/// the bad one, although they got to the hop before it. The first hop has none before it: what is
/// missing there was not sent, for instance since a check was not made.
fn mark(hops: &mut [Hop]) -> bool {
    let leaves_changed: Vec<(String, String)> = hops
        .iter()
        .filter(|hop| hop.other_port && hop.bad.is_some_and(|counts| counts.frames > 0))
        .map(|hop| (hop.from.clone(), hop.wire.clone()))
        .collect();
    let mut before: Option<HopFrames> = None;
    for hop in hops {
        let (Some(good), Some(bad)) = (hop.good, hop.bad) else { return false };
        if good.frames == 0 {
            continue;
        }
        let came = before.unwrap_or_default();
        let gone = bad.frames == 0 && came.frames > 0;
        let empty = good.data > 0 && bad.data == 0 && came.data > 0;
        if gone || empty {
            hop.lost = true;
            let place = (hop.from.clone(), hop.wire.clone());
            hop.changed = !hop.other_port && leaves_changed.contains(&place);
            return true;
        }
        if bad.frames == 0 {
            return false;
        }
        before = Some(bad);
    }
    false
}

/// Sorts the frames of a trial by kind of connection, direction and hop.
fn connections(captures: &[Capture]) -> BTreeMap<Key, Seen> {
    let mut flows = Flows::default();
    let mut frames: Vec<(u64, usize, usize, &Capture)> = Vec::new();
    for capture in captures {
        for (index, frame) in capture.frames.iter().enumerate() {
            let Some((from, to)) = frame.packet.ends else { continue };
            if !matches!(frame.packet.protocol, Protocol::Tcp | Protocol::Udp) {
                continue;
            }
            let Some(flow) = flows.number((frame.packet.protocol, from, to)) else { continue };
            if let Some(fingerprint) = frame.packet.fingerprint {
                flows.alias(flow, fingerprint);
            }
            frames.push((frame.at, flow, index, capture));
        }
    }
    frames.sort_by_key(|(at, ..)| *at);
    flows.pair();
    // Who asked: of TCP the sender of the first SYN, else that of the first frame. What is left over
    // from connections of the trial before has no SYN, and says nothing about this one.
    let mut began: BTreeMap<usize, usize> = BTreeMap::new();
    for (_, flow, index, capture) in &frames {
        let packet = &capture.frames[*index].packet;
        if packet.protocol == Protocol::Udp || (packet.syn && !packet.ack) {
            began.entry(flows.connection(*flow)).or_insert(*flow);
        }
    }
    let mut found: BTreeMap<Key, Seen> = BTreeMap::new();
    for (at, flow, index, capture) in frames {
        let Some(&first) = began.get(&flows.connection(flow)) else { continue };
        let (protocol, client, server) = flows.known[first];
        let (_, from, to) = flows.known[flow];
        let frame = &capture.frames[index];
        let is_request = flows.direction(flow) == flows.direction(first);
        let seen = found.entry((protocol, client.ip(), server)).or_default();
        let (leg, port) = if is_request {
            (&mut seen.requests, to.port())
        } else {
            (&mut seen.replies, from.port())
        };
        let node = capture.senders.get(frame.sender).cloned().unwrap_or_default();
        let place = (node, capture.wire.clone(), port != server.port());
        let (_, counts) = leg.entry(place).or_insert((at, HopFrames::default()));
        counts.frames += 1;
        counts.data += u64::from(frame.packet.payload > 0);
        counts.resets += u64::from(frame.packet.rst);
    }
    found
}

/// Directed flows, put together twice: by direction (the same frames were seen in both), and by
/// connection (one is the other reversed).
#[derive(Default)]
struct Flows {
    known: Vec<Directed>,
    numbers: HashMap<Directed, usize>,
    by_print: HashMap<u64, usize>,
    directions: Vec<usize>,
    connections: Vec<usize>,
}

impl Flows {
    fn number(&mut self, flow: Directed) -> Option<usize> {
        if let Some(number) = self.numbers.get(&flow) {
            return Some(*number);
        }
        let number = self.known.len();
        if number >= MAX_FLOWS {
            return None;
        }
        self.known.push(flow);
        self.numbers.insert(flow, number);
        self.directions.push(number);
        Some(number)
    }

    fn alias(&mut self, flow: usize, fingerprint: u64) {
        let twin = *self.by_print.entry(fingerprint).or_insert(flow);
        join(&mut self.directions, flow, twin);
    }

    fn pair(&mut self) {
        self.connections = self.directions.clone();
        for (number, (protocol, from, to)) in self.known.clone().into_iter().enumerate() {
            if let Some(back) = self.numbers.get(&(protocol, to, from)) {
                join(&mut self.connections, number, *back);
            }
        }
    }

    fn direction(&self, flow: usize) -> usize {
        root(&self.directions, flow)
    }

    fn connection(&self, flow: usize) -> usize {
        root(&self.connections, flow)
    }
}

fn root(parents: &[usize], mut at: usize) -> usize {
    while parents[at] != at {
        at = parents[at];
    }
    at
}

fn join(parents: &mut [usize], one: usize, other: usize) {
    let (one, other) = (root(parents, one), root(parents, other));
    parents[one.max(other)] = one.min(other);
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use kbisect_core::pcapng;

    use super::*;

    /// A gateway between `vm` (172.16.0.10) and `server` (198.51.100.80), which translates the
    /// client's address to 185.15.56.1.
    struct Wires {
        lan: Vec<u8>,
        wan: Vec<u8>,
        clock: u64,
    }

    impl Wires {
        fn new() -> Self {
            Self {
                lan: pcapng::header(&["lan: vm", "lan: gateway"]),
                wan: pcapng::header(&["wan: server", "wan: gateway"]),
                clock: 1_000_000_000,
            }
        }

        fn udp(
            &mut self,
            lan: bool,
            sender: u32,
            from: ([u8; 4], u16),
            to: ([u8; 4], u16),
            what: &[u8],
        ) {
            let mut bytes = Vec::new();
            let builder = PacketBuilder::ethernet2([4; 6], [2; 6]).ipv4(from.0, to.0, 64);
            builder.udp(from.1, to.1).write(&mut bytes, what).unwrap();
            self.clock += 1000;
            let wire = if lan { &mut self.lan } else { &mut self.wan };
            pcapng::packet(wire, sender, self.clock, &bytes);
        }

        fn captures(&self) -> Vec<Capture> {
            vec![Capture::read("lan", &self.lan), Capture::read("wan", &self.wan)]
        }
    }

    const VM: ([u8; 4], u16) = ([172, 16, 0, 10], 4000);
    const NAT: ([u8; 4], u16) = ([185, 15, 56, 1], 4000);
    const SERVER: ([u8; 4], u16) = ([198, 51, 100, 80], 53);

    fn trial(end: impl Fn(&mut Wires)) -> Vec<Capture> {
        let mut wires = Wires::new();
        wires.udp(true, 0, VM, SERVER, b"question");
        wires.udp(false, 1, NAT, SERVER, b"question");
        wires.udp(false, 0, SERVER, NAT, b"answer");
        end(&mut wires);
        wires.captures()
    }

    #[test]
    fn the_hop_that_replies_do_not_leave_is_marked() {
        let good = trial(|wires| wires.udp(true, 1, SERVER, VM, b"answer"));
        let bad = trial(|_| {});
        let paths = compare(Some(&good), Some(&bad));
        assert_eq!(paths.len(), 1, "{paths:#?}");
        let path = &paths[0];
        assert_eq!(path.server.to_string(), "198.51.100.80:53");
        let hops: Vec<_> = path
            .replies
            .iter()
            .map(|hop| (hop.from.as_str(), hop.wire.as_str(), hop.lost))
            .collect();
        assert_eq!(hops, [("server", "wan", false), ("gateway", "lan", true)]);
        let hops: Vec<_> = path.requests.iter().map(|hop| hop.from.as_str()).collect();
        assert_eq!(hops, ["vm", "gateway"]);
        assert!(path.requests.iter().all(|hop| !hop.lost));
    }

    #[test]
    fn a_reply_from_another_port_is_a_hop_of_its_own() {
        let good = trial(|wires| wires.udp(true, 1, SERVER, VM, b"answer"));
        let bad = trial(|wires| wires.udp(true, 1, (SERVER.0, 332), VM, b"answer"));
        let paths = compare(Some(&good), Some(&bad));
        let last = paths[0].replies.last().unwrap();
        assert!(last.other_port && last.from == "gateway", "{paths:#?}");
        assert!(paths[0].replies[1].lost && paths[0].replies[1].changed);
    }

    #[test]
    fn without_a_good_trial_nothing_is_marked() {
        let paths = compare(None, Some(&trial(|_| {})));
        assert!(!paths[0].is_lost() && !paths[0].differs());
        assert_eq!(paths[0].replies[0].good, None);
    }
}
