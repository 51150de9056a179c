//! Captures with other addresses and without payload.
//!
//! Headers are rewritten with their check sums; what is carried above TCP, UDP or the first words of
//! ICMP is overwritten, and so is everything whose form is not known: names, keys and addresses hide
//! there in forms that nobody can list.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::addresses::{Addresses, Found};
use crate::evidence::{Blocks, word};

const ENHANCED_PACKET: u32 = 6;
const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
const VLAN: [u16; 2] = [0x8100, 0x88a8];
/// What payload is overwritten with.
const BLANK: u8 = b'x';

/// Whether a file is a capture in the harness's own form.
pub(super) fn is_ours(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a])
        && bytes.get(8..12) == Some(&[0x4d, 0x3c, 0x2b, 0x1a])
}

/// Takes note of the addresses in a capture.
pub(super) fn collect(bytes: &[u8], found: &mut Found) {
    each_frame(bytes, |frame, _| {
        let mut frame = frame.to_vec();
        walk(&mut frame, &mut Collect(found));
    });
}

/// The capture with other addresses; `None` when it is damaged, for then nothing is known about the
/// rest of it.
pub(super) fn rewritten(bytes: &[u8], addresses: &Addresses) -> Option<Vec<u8>> {
    let mut out = bytes.to_vec();
    let mut whole = true;
    each_frame(bytes, |frame, at| match at {
        Some(at) => {
            let mut frame = frame.to_vec();
            walk(&mut frame, &mut Replace(addresses));
            out[at..at + frame.len()].copy_from_slice(&frame);
        }
        None => whole = false,
    });
    whole.then_some(out)
}

/// Calls back with each frame and its place; at damage with nothing and no place.
fn each_frame(bytes: &[u8], mut call: impl FnMut(&[u8], Option<usize>)) {
    let mut at = 0;
    for block in (Blocks { rest: bytes }) {
        let Some(block) = block else { return call(&[], None) };
        if block.kind == ENHANCED_PACKET {
            let length = word(block.body, 12).map_or(0, |length| length as usize);
            match block.body.get(20..).and_then(|rest| rest.get(..length)) {
                Some(frame) => call(frame, Some(at + 8 + 20)),
                None => call(&[], None),
            }
        }
        at += block.whole.len();
    }
}

/// What is done with an address in place.
trait Visit {
    fn mac(&mut self, bytes: &mut [u8]);
    fn v4(&mut self, bytes: &mut [u8]);
    fn v6(&mut self, bytes: &mut [u8]);
    fn blank(&mut self, bytes: &mut [u8]);
}

struct Collect<'a>(&'a mut Found);

impl Visit for Collect<'_> {
    fn mac(&mut self, bytes: &mut [u8]) {
        if let Ok(mac) = <[u8; 6]>::try_from(&*bytes) {
            self.0.add_mac(mac);
        }
    }

    fn v4(&mut self, bytes: &mut [u8]) {
        if let Ok(octets) = <[u8; 4]>::try_from(&*bytes) {
            self.0.add(Ipv4Addr::from(octets).into(), None);
        }
    }

    fn v6(&mut self, bytes: &mut [u8]) {
        if let Ok(octets) = <[u8; 16]>::try_from(&*bytes) {
            self.0.add(Ipv6Addr::from(octets).into(), None);
        }
    }

    fn blank(&mut self, _: &mut [u8]) {}
}

struct Replace<'a>(&'a Addresses);

impl Visit for Replace<'_> {
    fn mac(&mut self, bytes: &mut [u8]) {
        let Ok(old) = <[u8; 6]>::try_from(&*bytes) else { return };
        // Multicast addresses of neighbour discovery hold the end of an address.
        if let ([0x33, 0x33, ..], Some(rest)) = (old, bytes.get_mut(2..)) {
            if old[2] == 0xff {
                rest.fill(0xff);
            }
        } else if let Some(new) = self.0.mac(old) {
            bytes.copy_from_slice(&new);
        }
    }

    fn v4(&mut self, bytes: &mut [u8]) {
        let Ok(octets) = <[u8; 4]>::try_from(&*bytes) else { return };
        if let Some(new) = self.0.v4(Ipv4Addr::from(octets)) {
            bytes.copy_from_slice(&new.octets());
        }
    }

    fn v6(&mut self, bytes: &mut [u8]) {
        let Ok(octets) = <[u8; 16]>::try_from(&*bytes) else { return };
        // Solicited-node multicast holds the last 24 bits of an address (RFC 4291 §2.7.1).
        if octets.starts_with(&[0xff, 0x02]) && octets[11..13] == [0x01, 0xff] {
            bytes[13..].fill(0);
        } else if let Some(new) = self.0.v6(Ipv6Addr::from(octets)) {
            bytes.copy_from_slice(&new.octets());
        }
    }

    fn blank(&mut self, bytes: &mut [u8]) {
        bytes.fill(BLANK);
    }
}

/// Walks a frame's addresses, and hands over what is beyond them.
fn walk(frame: &mut [u8], visit: &mut dyn Visit) {
    if frame.len() < 14 {
        return visit.blank(frame);
    }
    visit.mac(&mut frame[..6]);
    visit.mac(&mut frame[6..12]);
    let mut at = 12;
    let mut kind = half(frame, at);
    while kind.is_some_and(|kind| VLAN.contains(&kind)) {
        at += 4;
        kind = half(frame, at);
    }
    let Some(rest) = frame.get_mut(at + 2..) else { return };
    match kind {
        Some(IPV4) => ipv4(rest, visit),
        Some(IPV6) => ipv6(rest, visit),
        Some(ARP) => arp(rest, visit),
        _ => visit.blank(rest),
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

/// RFC 826, Ethernet and IPv4.
fn arp(packet: &mut [u8], visit: &mut dyn Visit) {
    if packet.len() < 28 || packet[4] != 6 || packet[5] != 4 {
        return visit.blank(packet);
    }
    visit.mac(&mut packet[8..14]);
    visit.v4(&mut packet[14..18]);
    visit.mac(&mut packet[18..24]);
    visit.v4(&mut packet[24..28]);
    visit.blank(&mut packet[28..]);
}

fn ipv4(packet: &mut [u8], visit: &mut dyn Visit) {
    let header = packet.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
    if header < 20 || packet.len() < header {
        return visit.blank(packet);
    }
    let total = usize::from(half(packet, 2).unwrap_or_default()).clamp(header, packet.len());
    visit.v4(&mut packet[12..16]);
    visit.v4(&mut packet[16..20]);
    // Options can hold addresses (record route); no-operation in their place.
    let mut options = packet[20..header].to_vec();
    visit.blank(&mut options);
    if !options.is_empty() && options.iter().all(|byte| *byte == BLANK) {
        packet[20..header].fill(1);
    }
    let fragment = half(packet, 6).unwrap_or_default() & 0x3fff != 0;
    let protocol = packet[9];
    let (head, rest) = packet.split_at_mut(header);
    let (body, trailer) = rest.split_at_mut(total - header);
    visit.blank(trailer);
    head[10..12].fill(0);
    let sum = !fold(add(0, head));
    head[10..12].copy_from_slice(&sum.to_be_bytes());
    if fragment {
        return visit.blank(body);
    }
    let pseudo = add(u32::from(protocol) + body.len() as u32, &head[12..20]);
    transport(protocol, body, pseudo, visit);
}

fn ipv6(packet: &mut [u8], visit: &mut dyn Visit) {
    if packet.len() < 40 {
        return visit.blank(packet);
    }
    let total = (40 + usize::from(half(packet, 4).unwrap_or_default())).min(packet.len());
    visit.v6(&mut packet[8..24]);
    visit.v6(&mut packet[24..40]);
    let mut protocol = packet[6];
    let (head, rest) = packet.split_at_mut(40);
    let (mut body, trailer) = rest.split_at_mut(total - 40);
    visit.blank(trailer);
    // Hop-by-hop options, as multicast reports have: their content is not needed.
    if protocol == 0 && body.len() >= 8 && body.len() >= 8 + usize::from(body[1]) * 8 {
        protocol = body[0];
        let length = 8 + usize::from(body[1]) * 8;
        body = &mut body[length..];
    }
    let pseudo = add(u32::from(protocol) + body.len() as u32, &head[8..40]);
    transport(protocol, body, pseudo, visit);
}

/// Keeps the header of the transport, and makes its check sum anew.
fn transport(protocol: u8, body: &mut [u8], pseudo: u32, visit: &mut dyn Visit) {
    let (header, sum_at, sum) = match protocol {
        6 if body.len() >= 20 => {
            let header = (usize::from(body[12] >> 4) * 4).clamp(20, body.len());
            (header, 16, pseudo)
        }
        17 if body.len() >= 8 => (8, 6, pseudo),
        1 if body.len() >= 8 => (8, 2, 0),
        58 if body.len() >= 8 => {
            // Neighbour solicitation and advertisement name their target (RFC 4861 §4.3).
            let neighbour = matches!(body[0], 135 | 136) && body.len() >= 24;
            if neighbour {
                visit.v6(&mut body[8..24]);
            }
            (if neighbour { 24 } else { 8 }, 2, pseudo)
        }
        _ => return visit.blank(body),
    };
    visit.blank(&mut body[header..]);
    let absent = protocol == 17 && body[6..8] == [0, 0];
    body[sum_at..sum_at + 2].fill(0);
    if !absent {
        let value = !fold(add(sum, body));
        let value = if protocol == 17 && value == 0 { 0xffff } else { value };
        body[sum_at..sum_at + 2].copy_from_slice(&value.to_be_bytes());
    }
}

/// Adds the words of some bytes (RFC 1071).
fn add(mut sum: u32, bytes: &[u8]) -> u32 {
    for pair in bytes.chunks(2) {
        let low = pair.get(1).copied().unwrap_or_default();
        sum += u32::from(u16::from_be_bytes([pair[0], low]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests {
    use etherparse::{PacketBuilder, SlicedPacket};
    use kbisect_core::pcapng;
    use proptest::prelude::*;

    use super::*;

    fn file(frame: &[u8]) -> Vec<u8> {
        let mut bytes = pcapng::header(&["lan: sent by client"]);
        pcapng::packet(&mut bytes, 0, 7, frame);
        bytes
    }

    fn redacted(frame: &[u8]) -> Vec<u8> {
        let bytes = file(frame);
        let mut found = Found::default();
        collect(&bytes, &mut found);
        rewritten(&bytes, &Addresses::new(&found)).unwrap()
    }

    fn tcp(payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        PacketBuilder::ethernet2([0x52, 0x54, 0, 1, 2, 3], [0x52, 0x54, 0, 4, 5, 6])
            .ipv4([185, 15, 56, 1], [172, 16, 0, 10], 64)
            .tcp(80, 4711, 7, 100)
            .write(&mut frame, payload)
            .unwrap();
        frame
    }

    #[test]
    fn a_frame_gets_other_addresses_no_payload_and_right_check_sums() {
        let old = tcp(b"Host: secret.example");
        let new = redacted(&old);
        for gone in
            [&b"secret"[..], &[185, 15, 56, 1], &[172, 16, 0, 10], &[0x52, 0x54, 0, 1, 2, 3]]
        {
            assert!(!new.windows(gone.len()).any(|window| window == gone), "{gone:?}");
        }
        assert_eq!(new.len(), file(&old).len());
        let at = new.windows(4).position(|window| window == [21, 0, 1, 1]).unwrap() - 26;
        let packet = SlicedPacket::from_ethernet(&new[at..at + old.len()]).unwrap();
        let (Some(etherparse::NetSlice::Ipv4(ip)), Some(etherparse::TransportSlice::Tcp(tcp))) =
            (packet.net, packet.transport)
        else {
            panic!("no TCP")
        };
        let header = ip.header().to_header();
        assert_eq!(header.header_checksum, header.calc_header_checksum());
        let sum = tcp.to_header().calc_checksum_ipv4(&header, tcp.payload()).unwrap();
        assert_eq!(tcp.checksum(), sum);
        assert_eq!((tcp.sequence_number(), tcp.payload()), (7, &[b'x'; 20][..]));
    }

    #[test]
    fn arp_is_rewritten_and_unknown_frames_are_blank() {
        let mut arp = vec![0xff; 6];
        arp.extend([0x52, 0x54, 0, 1, 2, 3, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
        arp.extend([0x52, 0x54, 0, 1, 2, 3, 172, 16, 0, 10, 0, 0, 0, 0, 0, 0, 172, 16, 0, 1]);
        let new = redacted(&arp);
        assert!(new.windows(6).any(|window| window == [2, 0, 0, 0, 0, 1]));
        assert!(!new.windows(4).any(|window| window == [172, 16, 0, 10]));
        let mut strange = vec![0x52, 0x54, 0, 1, 2, 3, 0x52, 0x54, 0, 4, 5, 6, 0x88, 0xcc];
        strange.extend(b"switch-name");
        assert!(!redacted(&strange).windows(6).any(|window| window == b"switch"));
    }

    #[test]
    fn a_damaged_capture_is_not_passed_on() {
        let bytes = file(&tcp(b"x"));
        assert_eq!(rewritten(&bytes[..bytes.len() - 3], &Addresses::default()), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_frame(frame in prop::collection::vec(any::<u8>(), 0..120)) {
            let new = redacted(&frame);
            prop_assert_eq!(new.len(), file(&frame).len());
        }
    }
}
