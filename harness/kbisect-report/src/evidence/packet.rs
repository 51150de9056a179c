//! One frame, as far as a report tells it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
    Arp,
    /// Anything else: ICMP, neighbour discovery, spanning tree.
    Other,
}

impl Protocol {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Arp => "arp",
            Self::Other => "other",
        }
    }
}

/// A frame taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) protocol: Protocol,
    /// Sender and receiver; port 0 where there are no ports.
    pub(crate) ends: Option<(SocketAddr, SocketAddr)>,
    pub(crate) syn: bool,
    pub(crate) ack: bool,
    pub(crate) fin: bool,
    pub(crate) rst: bool,
    /// Bytes of payload above TCP or UDP.
    pub(crate) payload: usize,
    /// Hash of what address translation leaves alone, for TCP and for UDP with payload.
    pub(crate) fingerprint: Option<u64>,
}

impl Packet {
    /// Takes an Ethernet frame apart. What cannot be read is `Other`.
    pub(crate) fn of(frame: &[u8]) -> Self {
        Self::dissect(frame).unwrap_or(Self::plain(Protocol::Other))
    }

    fn plain(protocol: Protocol) -> Self {
        Self {
            protocol,
            ends: None,
            syn: false,
            ack: false,
            fin: false,
            rst: false,
            payload: 0,
            fingerprint: None,
        }
    }

    fn dissect(frame: &[u8]) -> Option<Self> {
        let packet = SlicedPacket::from_ethernet(frame).ok()?;
        let (from, to) = match packet.net? {
            NetSlice::Ipv4(ip) => {
                (IpAddr::V4(ip.header().source_addr()), IpAddr::V4(ip.header().destination_addr()))
            }
            NetSlice::Ipv6(ip) => {
                (IpAddr::V6(ip.header().source_addr()), IpAddr::V6(ip.header().destination_addr()))
            }
            NetSlice::Arp(_) => return Some(Self::plain(Protocol::Arp)),
        };
        let ends = |source, destination| {
            Some((SocketAddr::new(from, source), SocketAddr::new(to, destination)))
        };
        let mut hash = DefaultHasher::new();
        Some(match packet.transport {
            Some(TransportSlice::Tcp(tcp)) => {
                (tcp.sequence_number(), tcp.acknowledgment_number()).hash(&mut hash);
                (tcp.syn(), tcp.ack(), tcp.fin(), tcp.rst()).hash(&mut hash);
                tcp.payload().hash(&mut hash);
                Self {
                    ends: ends(tcp.source_port(), tcp.destination_port()),
                    syn: tcp.syn(),
                    ack: tcp.ack(),
                    fin: tcp.fin(),
                    rst: tcp.rst(),
                    payload: tcp.payload().len(),
                    fingerprint: Some(hash.finish()),
                    ..Self::plain(Protocol::Tcp)
                }
            }
            Some(TransportSlice::Udp(udp)) => {
                udp.payload().hash(&mut hash);
                Self {
                    ends: ends(udp.source_port(), udp.destination_port()),
                    payload: udp.payload().len(),
                    // Empty datagrams are all alike.
                    fingerprint: (!udp.payload().is_empty()).then(|| hash.finish()),
                    ..Self::plain(Protocol::Udp)
                }
            }
            _ => Self { ends: ends(0, 0), ..Self::plain(Protocol::Other) },
        })
    }

    /// A few words: `tcp 192.0.2.1:80 -> 192.0.2.9:4711 SYN ACK`.
    pub(crate) fn words(&self) -> String {
        let mut words = self.protocol.word().to_owned();
        if let Some((from, to)) = self.ends {
            if self.protocol == Protocol::Other {
                // Neighbour discovery, ICMP and the like.
                "ip".clone_into(&mut words);
            }
            if from.port() == 0 && to.port() == 0 {
                words = format!("{words} {} -> {}", from.ip(), to.ip());
            } else {
                words = format!("{words} {from} -> {to}");
            }
        }
        for (set, name) in
            [(self.syn, "SYN"), (self.ack, "ACK"), (self.fin, "FIN"), (self.rst, "RST")]
        {
            if set {
                words = format!("{words} {name}");
            }
        }
        if self.payload > 0 {
            words = format!("{words}, {} bytes", self.payload);
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    #[test]
    fn a_frame_is_told_in_a_few_words() {
        let mut bytes = Vec::new();
        PacketBuilder::ethernet2([4; 6], [2; 6])
            .ipv4([192, 0, 2, 1], [192, 0, 2, 9], 64)
            .tcp(80, 4711, 7, 100)
            .syn()
            .ack(8)
            .write(&mut bytes, &[])
            .unwrap();
        let packet = Packet::of(&bytes);
        assert_eq!(packet.words(), "tcp 192.0.2.1:80 -> 192.0.2.9:4711 SYN ACK");
        assert_eq!(Packet::of(&bytes[..20]).protocol, Protocol::Other);
    }
}
