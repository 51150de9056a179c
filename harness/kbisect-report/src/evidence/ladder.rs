//! The packets of one connection, in time, across all wires that they passed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::capture::Capture;
use super::packet::{Packet, Protocol};

/// Most packets of a connection that are told.
const MOST: usize = 24;

/// The packets of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ladder {
    /// In the order in which they were sent.
    pub(crate) steps: Vec<Step>,
    /// How many more there are.
    pub(crate) more: usize,
}

/// A packet on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Nanoseconds since the first packet of the connection.
    pub(crate) at: u64,
    /// `SYN`, `SYN-ACK`, `data`.
    pub(crate) kind: &'static str,
    /// How many of its kind came one after the other.
    pub(crate) packets: usize,
    /// Bytes of payload in all of them.
    pub(crate) bytes: usize,
    /// Whether it goes to the client.
    pub(crate) back: bool,
    /// Whether the same was sent before.
    pub(crate) again: bool,
    /// Nodes that sent it on, in order: one for each wire that it passed.
    pub(crate) senders: Vec<String>,
}

/// The number of the connection of a kind that shows a failure: the first one that brought no data back.
pub(crate) fn failed(captures: &[Capture], client: IpAddr, server: SocketAddr) -> Option<usize> {
    let from_server = captures.iter().flat_map(|capture| &capture.frames).filter_map(|frame| {
        let (from, to) = frame.packet.ends.filter(|_| frame.packet.payload > 0)?;
        (from == server && to.ip() == client).then_some(to.port())
    });
    let answered: BTreeSet<u16> = from_server.collect();
    connections(captures, client, server).iter().position(|port| !answered.contains(port))
}

/// The packets of the connection of this number, or of the last one there is.
pub(crate) fn ladder(
    captures: &[Capture],
    (client, server): (IpAddr, SocketAddr),
    number: usize,
) -> Option<Ladder> {
    let ports = connections(captures, client, server);
    let port = ports.get(number).or(ports.last())?;
    let near = SocketAddr::new(client, *port);
    // Address translation leaves the fingerprint alone; the direction follows from where it is not yet translated.
    let mut known: BTreeMap<u64, bool> = BTreeMap::new();
    for frame in captures.iter().flat_map(|capture| &capture.frames) {
        let (Some(ends), Some(fingerprint)) = (frame.packet.ends, frame.packet.fingerprint) else {
            continue;
        };
        if frame.packet.protocol == Protocol::Tcp {
            if ends == (near, server) {
                known.insert(fingerprint, false);
            } else if ends == (server, near) {
                known.insert(fingerprint, true);
            }
        }
    }
    // Replies that are lost before they are translated back are known by what they acknowledge no more; a second
    // look finds those of the translated connection.
    let translated = translated(captures, &known);
    let mut seen: Vec<(u64, &str, Packet, bool)> = Vec::new();
    for capture in captures {
        for frame in &capture.frames {
            let sender = capture.senders.get(frame.sender).map_or("", String::as_str);
            let by_print = frame.packet.fingerprint.and_then(|print| known.get(&print));
            let by_ends = frame.packet.ends.and_then(|ends| translated.get(&ends));
            let back = by_print.or(by_ends).copied();
            if let Some(back) = back.filter(|_| frame.packet.protocol == Protocol::Tcp) {
                seen.push((frame.at, sender, frame.packet, back));
            }
        }
    }
    seen.sort_by_key(|(at, ..)| *at);
    let began = seen.first()?.0;
    let mut steps: Vec<Step> = Vec::new();
    // The last step of each packet: there can be as many as a transfer has.
    let mut last: BTreeMap<(Option<u64>, bool), usize> = BTreeMap::new();
    for (at, sender, packet, back) in seen {
        let print = packet.fingerprint;
        let sent = |step: &Step| step.senders.iter().any(|it| it == sender);
        let before = last.get(&(print, back)).copied();
        match before.and_then(|at| steps.get_mut(at)) {
            Some(step) if !sent(step) => step.senders.push(sender.to_owned()),
            before => {
                let again = before.is_some();
                last.insert((print, back), steps.len());
                let step = Step {
                    at: at - began,
                    kind: kind(&packet),
                    packets: 1,
                    bytes: packet.payload,
                    back,
                    again,
                    senders: vec![sender.to_owned()],
                };
                steps.push(step);
            }
        }
    }
    let mut merged: Vec<Step> = Vec::new();
    for step in steps {
        let same = |before: &&mut Step| {
            let of = |step: &Step| (step.kind, step.back, step.again);
            of(before) == of(&step) && before.senders == step.senders && !step.again
        };
        match merged.last_mut().filter(same) {
            Some(before) => {
                before.packets += 1;
                before.bytes += step.bytes;
            }
            None => merged.push(step),
        }
    }
    let more = merged.len().saturating_sub(MOST);
    merged.truncate(MOST);
    Some(Ladder { steps: merged, more })
}

/// Ports of the client's connections to a server, in the order in which they began.
fn connections(captures: &[Capture], client: IpAddr, server: SocketAddr) -> Vec<u16> {
    let mut began: BTreeMap<u16, u64> = BTreeMap::new();
    for frame in captures.iter().flat_map(|capture| &capture.frames) {
        let Some((from, to)) = frame.packet.ends else { continue };
        if frame.packet.protocol == Protocol::Tcp && from.ip() == client && to == server {
            let at = began.entry(from.port()).or_insert(frame.at);
            *at = (*at).min(frame.at);
        }
    }
    let mut ports: Vec<(u64, u16)> = began.into_iter().map(|(port, at)| (at, port)).collect();
    ports.sort_unstable();
    ports.into_iter().map(|(_, port)| port).collect()
}

/// The ends that a connection has on other wires, by direction.
fn translated(
    captures: &[Capture],
    known: &BTreeMap<u64, bool>,
) -> BTreeMap<(SocketAddr, SocketAddr), bool> {
    let mut ends = BTreeMap::new();
    for frame in captures.iter().flat_map(|capture| &capture.frames) {
        let back = frame.packet.fingerprint.and_then(|print| known.get(&print));
        if let (Some(back), Some((from, to))) = (back, frame.packet.ends) {
            ends.insert((from, to), *back);
            ends.insert((to, from), !*back);
        }
    }
    ends
}

fn kind(packet: &Packet) -> &'static str {
    match packet {
        Packet { rst: true, .. } => "RST",
        Packet { syn: true, ack: true, .. } => "SYN-ACK",
        Packet { syn: true, .. } => "SYN",
        Packet { fin: true, .. } => "FIN",
        Packet { payload: 1.., .. } => "data",
        _ => "ACK",
    }
}

impl Step {
    /// `SYN again`, `data ×12, 17376 bytes`.
    pub(crate) fn label(&self) -> String {
        let packets = match self.packets {
            1 => String::new(),
            many => format!(" ×{many}"),
        };
        let bytes = match self.bytes {
            0 => String::new(),
            bytes => format!(", {bytes} bytes"),
        };
        let again = if self.again { " again" } else { "" };
        format!("{}{packets}{bytes}{again}", self.kind)
    }
}

/// Where two ladders part: the first step that is another one, or that does not come as far.
pub(crate) fn part(one: &Ladder, other: &Ladder) -> Option<usize> {
    let same = |a: &Step, b: &Step| {
        (a.kind, a.back, a.again, &a.senders) == (b.kind, b.back, b.again, &b.senders)
    };
    let length = one.steps.len().max(other.steps.len());
    (0..length).find(|at| match (one.steps.get(*at), other.steps.get(*at)) {
        (Some(a), Some(b)) => !same(a, b),
        _ => true,
    })
}

/// The hosts that packets of a connection came by, the client first.
pub(crate) fn hosts(ladders: [Option<&Ladder>; 2], client: &str, server: &str) -> Vec<String> {
    let steps = || ladders.into_iter().flatten().flat_map(|ladder| &ladder.steps);
    let mut hosts: Vec<String> = vec![client.to_owned()];
    let mut known: BTreeSet<&str> = [client, server].into();
    let forward = steps().filter(|step| !step.back).max_by_key(|step| step.senders.len());
    let back = steps().filter(|step| step.back).max_by_key(|step| step.senders.len());
    let on_the_way = forward
        .into_iter()
        .flat_map(|step| step.senders.iter())
        .chain(back.into_iter().flat_map(|step| step.senders.iter().rev()));
    for host in on_the_way {
        if known.insert(host) {
            hosts.push(host.clone());
        }
    }
    hosts.push(server.to_owned());
    hosts
}

#[cfg(test)]
mod tests {
    use super::super::capture::Frame;
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn packet(from: &str, to: &str, print: u64, set: impl Fn(&mut Packet)) -> Packet {
        let mut packet = Packet {
            protocol: Protocol::Tcp,
            ends: Some((address(from), address(to))),
            syn: false,
            ack: false,
            fin: false,
            rst: false,
            payload: 0,
            fingerprint: Some(print),
        };
        set(&mut packet);
        packet
    }

    fn wire(name: &str, senders: [&str; 2], frames: Vec<(u64, usize, Packet)>) -> Capture {
        Capture {
            wire: name.to_owned(),
            senders: senders.map(str::to_owned).to_vec(),
            frames: frames
                .into_iter()
                .map(|(at, sender, packet)| Frame { at, sender, packet })
                .collect(),
            cut: None,
        }
    }

    /// A reply that the gateway loses: the client sends its SYN again.
    fn lost() -> Vec<Capture> {
        let (client, outside, server) = ("10.0.0.9:4711", "192.0.2.1:4711", "192.0.2.80:80");
        let syn = |from: &str, print| packet(from, server, print, |it| it.syn = true);
        let answer = |to: &str| packet(server, to, 2, |it| (it.syn, it.ack) = (true, true));
        vec![
            wire(
                "lan",
                ["vm", "gw"],
                vec![(0, 0, syn(client, 1)), (1_000_000_000, 0, syn(client, 1))],
            ),
            wire(
                "wan",
                ["gw", "web"],
                vec![
                    (1_000, 0, syn(outside, 1)),
                    (2_000, 1, answer(outside)),
                    (1_000_001_000, 0, syn(outside, 1)),
                ],
            ),
        ]
    }

    #[test]
    fn a_connection_is_followed_through_translation() {
        let captures = lost();
        let (client, server) = ("10.0.0.9".parse().unwrap(), address("192.0.2.80:80"));
        assert_eq!(failed(&captures, client, server), Some(0));
        let ladder = ladder(&captures, (client, server), 0).unwrap();
        let told: Vec<_> = ladder
            .steps
            .iter()
            .map(|step| (step.kind, step.back, step.again, step.senders.join(" ")))
            .collect();
        assert_eq!(
            told,
            [
                ("SYN", false, false, "vm gw".to_owned()),
                ("SYN-ACK", true, false, "web".to_owned()),
                ("SYN", false, true, "vm gw".to_owned()),
            ]
        );
        assert_eq!(hosts([Some(&ladder), None], "vm", "web"), ["vm", "gw", "web"]);
        let mut good = ladder.clone();
        good.steps[1].senders.push("gw".to_owned());
        assert_eq!(part(&good, &ladder), Some(1));
        assert_eq!(part(&ladder, &ladder), None);
    }
}
