//! Giving captured frames other addresses, with their check sums kept right.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// What a frame gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// Destination hardware address.
    pub to: [u8; 6],
    /// Source hardware address.
    pub from: [u8; 6],
    /// VLAN tag that is put on; tags of the capture are taken off.
    pub vlan: Option<u16>,
    /// IP addresses to replace.
    pub addresses: BTreeMap<IpAddr, IpAddr>,
}

const VLAN_TYPES: [[u8; 2]; 2] = [[0x81, 0x00], [0x88, 0xa8]];
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];

impl Rewrite {
    /// Rewrites a frame; `None` when it is no IP, for that cannot be meant for a router.
    pub fn frame(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let mut at = 12;
        while VLAN_TYPES.iter().any(|kind| frame.get(at..at + 2) == Some(kind)) {
            at += 4;
        }
        let kind: [u8; 2] = frame.get(at..at + 2)?.try_into().ok()?;
        let mut packet = frame.get(at + 2..)?.to_vec();
        match kind {
            IPV4 => self.ipv4(&mut packet)?,
            IPV6 => self.ipv6(&mut packet)?,
            _ => return None,
        }
        let mut out = Vec::with_capacity(packet.len() + 18);
        out.extend(self.to);
        out.extend(self.from);
        if let Some(vlan) = self.vlan {
            out.extend(VLAN_TYPES[0]);
            out.extend((vlan & 0x0fff).to_be_bytes());
        }
        out.extend(kind);
        out.extend(packet);
        Some(out)
    }

    fn ipv4(&self, packet: &mut [u8]) -> Option<()> {
        let header = usize::from(packet.first()? & 0x0f) * 4;
        let protocol = *packet.get(9)?;
        let first_fragment = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]) & 0x1fff == 0;
        for at in [12, 16] {
            let old: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
            let Some(IpAddr::V4(new)) = self.addresses.get(&IpAddr::from(old)) else { continue };
            let new = new.octets();
            packet[at..at + 4].copy_from_slice(&new);
            update(packet, 10, &old, &new, false);
            if first_fragment {
                update_transport(packet, header, protocol, &old, &new);
            }
        }
        Some(())
    }

    fn ipv6(&self, packet: &mut [u8]) -> Option<()> {
        let protocol = *packet.get(6)?;
        for at in [8, 24] {
            let old: [u8; 16] = packet.get(at..at + 16)?.try_into().ok()?;
            let Some(IpAddr::V6(new)) = self.addresses.get(&IpAddr::from(old)) else { continue };
            let new = new.octets();
            packet[at..at + 16].copy_from_slice(&new);
            update_transport(packet, 40, protocol, &old, &new);
        }
        Some(())
    }
}

/// Source and destination port of an unfragmented TCP or UDP frame.
#[must_use]
pub fn ports_of(frame: &[u8]) -> Option<(u16, u16)> {
    let (at, _) = transport(frame)?;
    let port = |at: usize| Some(u16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?));
    Some((port(at)?, port(at + 2)?))
}

/// Adds to the source port of a TCP or UDP frame. Others stay as they are.
pub fn add_to_source_port(frame: &mut [u8], added: u16) {
    let (Some((at, protocol)), Some((source, _))) = (transport(frame), ports_of(frame)) else {
        return;
    };
    let (old, new) = (source.to_be_bytes(), source.wrapping_add(added).to_be_bytes());
    frame[at..at + 2].copy_from_slice(&new);
    // The sums are counted from where the transport's header begins.
    update_transport(&mut frame[at..], 0, protocol, &old, &new);
}

/// Where the header of TCP or UDP begins, and which of them it is.
fn transport(frame: &[u8]) -> Option<(usize, u8)> {
    let mut at = 12;
    while VLAN_TYPES.iter().any(|kind| frame.get(at..at + 2) == Some(kind)) {
        at += 4;
    }
    let kind: [u8; 2] = frame.get(at..at + 2)?.try_into().ok()?;
    let packet = frame.get(at + 2..)?;
    let (header, protocol) = match kind {
        IPV4 => {
            let fragment = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]) & 0x3fff;
            if fragment != 0 {
                return None;
            }
            (usize::from(packet.first()? & 0x0f) * 4, *packet.get(9)?)
        }
        IPV6 => (40, *packet.get(6)?),
        _ => return None,
    };
    matches!(protocol, 6 | 17).then_some((at + 2 + header, protocol))
}

/// The transport's check sum covers the addresses.
fn update_transport(packet: &mut [u8], header: usize, protocol: u8, old: &[u8], new: &[u8]) {
    match protocol {
        6 => update(packet, header + 16, old, new, false),
        17 => update(packet, header + 6, old, new, true),
        58 => update(packet, header + 2, old, new, false),
        _ => {}
    }
}

/// Updates a check sum for words that changed (RFC 1624, equation 3). UDP's may be absent: zero.
fn update(packet: &mut [u8], at: usize, old: &[u8], new: &[u8], may_be_absent: bool) {
    let Some(field) = packet.get(at..at + 2) else { return };
    let sum = u16::from_be_bytes([field[0], field[1]]);
    if may_be_absent && sum == 0 {
        return;
    }
    let mut total = u32::from(!sum);
    for (before, after) in old.chunks_exact(2).zip(new.chunks_exact(2)) {
        total += u32::from(!u16::from_be_bytes([before[0], before[1]]));
        total += u32::from(u16::from_be_bytes([after[0], after[1]]));
    }
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    let mut sum = !(total as u16);
    if may_be_absent && sum == 0 {
        sum = 0xffff;
    }
    packet[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::PacketBuilder;

    fn rewrite(pairs: &[(&str, &str)], vlan: Option<u16>) -> Rewrite {
        let parse = |text: &str| text.parse::<IpAddr>().unwrap();
        let addresses = pairs.iter().map(|(old, new)| (parse(old), parse(new))).collect();
        Rewrite { to: [2; 6], from: [4; 6], vlan, addresses }
    }

    /// The frame as if it had been built with the new addresses.
    fn tcp(from: [u8; 4], to: [u8; 4]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let builder =
            PacketBuilder::ethernet2([4; 6], [2; 6]).ipv4(from, to, 64).tcp(1000, 80, 7, 100);
        builder.write(&mut bytes, b"odd length!").unwrap();
        bytes
    }

    #[test]
    fn check_sums_are_those_of_a_frame_built_anew() {
        let change = rewrite(&[("192.0.2.1", "10.1.2.3"), ("198.51.100.9", "172.16.0.10")], None);
        let old = tcp([192, 0, 2, 1], [198, 51, 100, 9]);
        assert_eq!(change.frame(&old), Some(tcp([10, 1, 2, 3], [172, 16, 0, 10])));
    }

    #[test]
    fn a_source_port_is_moved_and_the_sum_kept_right() {
        let mut frame = tcp([192, 0, 2, 1], [198, 51, 100, 9]);
        assert_eq!(ports_of(&frame), Some((1000, 80)));
        add_to_source_port(&mut frame, 24);
        let mut built = Vec::new();
        PacketBuilder::ethernet2([4; 6], [2; 6])
            .ipv4([192, 0, 2, 1], [198, 51, 100, 9], 64)
            .tcp(1024, 80, 7, 100)
            .write(&mut built, b"odd length!")
            .unwrap();
        assert_eq!(frame, built);
        let mut arp = vec![0; 60];
        add_to_source_port(&mut arp, 1);
        assert_eq!((ports_of(&arp), arp), (None, vec![0; 60]), "what has no ports stays");
    }

    #[test]
    fn udp_over_ipv6_too() {
        let build = |from: &str, to: &str| {
            let octets = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
            let mut bytes = Vec::new();
            PacketBuilder::ethernet2([4; 6], [2; 6])
                .ipv6(octets(from), octets(to), 64)
                .udp(1000, 53)
                .write(&mut bytes, b"question")
                .unwrap();
            bytes
        };
        let change = rewrite(&[("2001:db8::1", "2001:db8:5::77")], None);
        let wanted = build("2001:db8:5::77", "2001:db8::2");
        assert_eq!(change.frame(&build("2001:db8::1", "2001:db8::2")), Some(wanted));
    }

    #[test]
    fn a_vlan_tag_is_put_on_and_an_old_one_taken_off() {
        let plain = tcp([192, 0, 2, 1], [192, 0, 2, 2]);
        let tagged = rewrite(&[], Some(1120)).frame(&plain).unwrap();
        assert_eq!(tagged[12..16], [0x81, 0x00, 0x04, 0x60]);
        assert_eq!(rewrite(&[], None).frame(&tagged), Some(plain));
    }

    #[test]
    fn what_is_no_ip_is_left_out() {
        let mut arp = vec![0xff; 12];
        arp.extend([0x08, 0x06, 0, 1]);
        assert_eq!(rewrite(&[], None).frame(&arp), None);
        for length in 0..14 {
            assert_eq!(rewrite(&[], None).frame(&vec![0; length]), None);
        }
    }
}
