//! One frame: to which direction of which connection it belongs, and what makes it recognisable on
//! the other side of a router.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use etherparse::{ArpOperation, NetSlice, SlicedPacket, TransportSlice};

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

impl Transport {
    /// Its name, as changes of a kernel and reports write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} -> {}", self.transport, self.from, self.to)
    }
}

/// What kbisect looks at in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub direction: Direction,
    pub syn: bool,
    pub rst: bool,
    /// Payload bytes.
    pub bytes: u64,
    /// Sequence number of a SYN without ACK.
    pub isn: Option<u32>,
    /// Sequence number behind its last byte.
    pub end: u32,
    /// Next sequence number that is expected of the other side.
    pub ack: Option<u32>,
    /// Whether a SYN's check sum is right; other frames are taken for right.
    pub whole: bool,
    /// Hash of what address translation leaves alone: sequence numbers, flags, payload.
    pub fingerprint: u64,
}

/// The direction of a frame and the hash that recognises it behind a router: of what address
/// translation leaves alone. `None` for anything that is not TCP or UDP over IP.
pub fn fingerprint(frame: &[u8]) -> Option<(Direction, u64)> {
    dissect(frame).map(|segment| (segment.direction, segment.fingerprint))
}

/// Takes an Ethernet frame apart. `None` for anything that is not TCP or UDP over IP, with or
/// without VLAN tags, or that is damaged.
pub(super) fn dissect(frame: &[u8]) -> Option<Segment> {
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
    let whole = |tcp: &etherparse::TcpSlice<'_>| {
        let header = tcp.to_header();
        let sum = match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                header.calc_checksum_ipv4_raw(from.octets(), to.octets(), tcp.payload())
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                header.calc_checksum_ipv6_raw(from.octets(), to.octets(), tcp.payload())
            }
            _ => return false,
        };
        sum.is_ok_and(|sum| sum == tcp.checksum())
    };
    // The same keys in every process: a fingerprint is only compared within one recording.
    let mut hash = DefaultHasher::new();
    let direction = |transport, source, destination| Direction {
        transport,
        from: SocketAddr::new(from, source),
        to: SocketAddr::new(to, destination),
    };
    match packet.transport? {
        TransportSlice::Tcp(tcp) => {
            let flags = (tcp.syn(), tcp.ack(), tcp.fin(), tcp.rst());
            (tcp.sequence_number(), tcp.acknowledgment_number(), flags).hash(&mut hash);
            tcp.payload().hash(&mut hash);
            Some(Segment {
                direction: direction(Transport::Tcp, tcp.source_port(), tcp.destination_port()),
                syn: tcp.syn(),
                rst: tcp.rst(),
                bytes: tcp.payload().len() as u64,
                isn: (tcp.syn() && !tcp.ack()).then(|| tcp.sequence_number()),
                end: tcp
                    .sequence_number()
                    .wrapping_add(tcp.payload().len() as u32)
                    .wrapping_add(u32::from(tcp.syn()) + u32::from(tcp.fin())),
                ack: tcp.ack().then(|| tcp.acknowledgment_number()),
                whole: !tcp.syn() || whole(&tcp),
                fingerprint: hash.finish(),
            })
        }
        TransportSlice::Udp(udp) => {
            udp.payload().hash(&mut hash);
            Some(Segment {
                direction: direction(Transport::Udp, udp.source_port(), udp.destination_port()),
                syn: false,
                rst: false,
                bytes: udp.payload().len() as u64,
                isn: None,
                end: 0,
                ack: None,
                whole: true,
                fingerprint: hash.finish(),
            })
        }
        _ => None,
    }
}

/// What a frame says about finding the hardware address of a neighbour (RFC 826, RFC 4861).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Neighbour {
    /// It asks for one.
    Asks,
    /// It tells one.
    Tells,
}

/// Whether a frame asks for a neighbour or tells one.
pub(super) fn neighbour(frame: &[u8]) -> Option<Neighbour> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    match (packet.net?, packet.transport) {
        (NetSlice::Arp(arp), _) => match arp.operation() {
            ArpOperation::REQUEST => Some(Neighbour::Asks),
            ArpOperation::REPLY => Some(Neighbour::Tells),
            _ => None,
        },
        (_, Some(TransportSlice::Icmpv6(icmp))) => match icmp.type_u8() {
            135 => Some(Neighbour::Asks),
            136 => Some(Neighbour::Tells),
            _ => None,
        },
        _ => None,
    }
}
