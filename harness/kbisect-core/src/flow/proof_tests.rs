//! What it takes to say that something was lost.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use etherparse::PacketBuilder;

use super::tests::{CLIENT, NOW, SERVER, Tcp, WAITED, carry, forward, frame, hop, names, wires};
use super::*;
use crate::disturbed::Window;
use crate::trial::SymptomKind;

type Wires = BTreeMap<String, Vec<String>>;
type Names = BTreeMap<IpAddr, String>;
type Address = ([u8; 4], u16);

fn pair() -> (Wires, Names) {
    (wires(&[("lan", &["client", "server"])]), names())
}

fn at_client<'a>(wires: &'a Wires, names: &'a Names) -> Ends<'a> {
    Ends { client: "client", suspect: "client", wires, names }
}

fn data(from: Address, to: Address, seq: u32, ack: u32, bytes: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4(from.0, to.0, 64)
        .tcp(from.1, to.1, seq, 1024)
        .ack(ack);
    let mut frame = Vec::new();
    builder.write(&mut frame, bytes).unwrap();
    frame
}

/// A connection that stands: the client's request was acknowledged.
fn connected(table: &mut FlowTable) {
    let (there, back) = (("client", "server"), ("server", "client"));
    let pieces = [
        (there, frame(&Tcp { from: CLIENT, to: SERVER, seq: 7, kind: "syn" })),
        (back, frame(&Tcp { from: SERVER, to: CLIENT, seq: 9, kind: "syn-ack" })),
        (there, data(CLIENT, SERVER, 8, 10, b"")),
        (there, data(CLIENT, SERVER, 8, 10, b"GET /")),
        (back, data(SERVER, CLIENT, 10, 13, b"")),
    ];
    for (way, bytes) in pieces {
        carry(table, "lan", way, &bytes, NOW);
    }
}

/// Status 502: the answer was used, so nothing was lost.
#[test]
fn an_answer_that_was_acknowledged_is_not_lost() {
    let mut table = FlowTable::default();
    connected(&mut table);
    let answer = data(SERVER, CLIENT, 10, 13, b"HTTP/1.0 502 Bad Gateway");
    carry(&mut table, "lan", ("server", "client"), &answer, NOW);
    carry(&mut table, "lan", ("client", "server"), &data(CLIENT, SERVER, 13, 34, b""), NOW);
    let (wires, names) = pair();
    assert_eq!(table.account(forward(), &at_client(&wires, &names), WAITED).loss, None);
}

#[test]
fn payload_that_is_sent_again_and_never_acknowledged_is_lost_in_its_receiver() {
    let mut table = FlowTable::default();
    connected(&mut table);
    let answer = data(SERVER, CLIENT, 10, 13, b"HTTP/1.0 200 OK");
    let second = Duration::from_secs;
    carry(&mut table, "lan", ("server", "client"), &answer, second(1));
    let (wires, names) = pair();
    let ends = at_client(&wires, &names);
    assert_eq!(table.account(forward(), &ends, WAITED).loss, None, "it was not sent again");
    carry(&mut table, "lan", ("server", "client"), &answer, second(2));
    let early = Failure { now: Duration::from_millis(1900), ..WAITED };
    assert_eq!(table.account(forward(), &ends, early).loss, None, "less than a second");
    let loss = table.account(forward(), &ends, WAITED).loss.unwrap();
    assert_eq!(loss.title, "replies of server:80 lost inside client");
    assert_eq!(loss.window, Some(Window { from_ms: 1000, to_ms: 8000 }));
    carry(&mut table, "lan", ("client", "server"), &data(CLIENT, SERVER, 13, 25, b""), second(3));
    assert_eq!(table.account(forward(), &ends, WAITED).loss, None, "it was used after all");
}

/// An acknowledgement can come before a long batch was handed over to its end.
#[test]
fn payload_that_was_acknowledged_early_is_used() {
    let mut table = FlowTable::default();
    connected(&mut table);
    let answer = data(SERVER, CLIENT, 10, 13, b"HTTP/1.0 200 OK");
    let noted = table.observe(&hop("lan", "server"), &answer, NOW).unwrap();
    carry(&mut table, "lan", ("client", "server"), &data(CLIENT, SERVER, 13, 25, b""), NOW);
    table.hand_over(&noted, "client", NOW);
    table.hand_over(&noted, "client", NOW);
    let (wires, names) = pair();
    assert_eq!(table.account(forward(), &at_client(&wires, &names), WAITED).loss, None);
}

#[test]
fn what_was_sent_and_not_handed_over_is_lost_by_nobody() {
    let mut table = FlowTable::default();
    let syn = frame(&Tcp { from: CLIENT, to: SERVER, seq: 7, kind: "syn" });
    let answer = frame(&Tcp { from: SERVER, to: CLIENT, seq: 9, kind: "syn-ack" });
    for at in [NOW, Duration::from_secs(1)] {
        table.observe(&hop("lan", "client"), &syn, at);
        table.observe(&hop("lan", "server"), &answer, at);
    }
    let (wires, names) = pair();
    let ends = at_client(&wires, &names);
    assert_eq!(table.account(forward(), &ends, WAITED).loss, None);
    assert_eq!(table.is_hopeless(forward(), &ends, WAITED.now), None);
}

fn arp(operation: etherparse::ArpOperation) -> Vec<u8> {
    let packet = etherparse::ArpPacket::new(
        etherparse::ArpHardwareId::ETHERNET,
        etherparse::EtherType::IPV4,
        operation,
        &[2; 6],
        &CLIENT.0,
        &[0; 6],
        &SERVER.0,
    )
    .unwrap();
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2([2; 6], [0xff; 6]).arp(packet).write(&mut bytes).unwrap();
    bytes
}

#[test]
fn requests_that_never_left_are_lost_unless_the_neighbour_is_at_fault() {
    let (wires, names) = pair();
    let ends = at_client(&wires, &names);
    let mut table = FlowTable::default();
    let title = |table: &FlowTable, failure| {
        table.account(forward(), &ends, failure).loss.map(|loss| loss.title)
    };
    let never = Some("requests to server:80 never left client".to_owned());
    let second = Duration::from_secs;
    assert_eq!(title(&table, WAITED), never);
    assert_eq!(title(&table, Failure { waited: false, ..WAITED }), None, "it was refused");
    let (asks, tells) =
        (arp(etherparse::ArpOperation::REQUEST), arp(etherparse::ArpOperation::REPLY));
    carry(&mut table, "lan", ("client", "server"), &asks, second(1));
    assert_eq!(title(&table, WAITED), None, "nobody told where to");
    carry(&mut table, "lan", ("server", "client"), &tells, second(1));
    assert_eq!(title(&table, WAITED), never);
    // Under another address: what the client calls itself is not what the wire shows.
    let syn = frame(&Tcp { from: ([10, 7, 7, 7], 4), to: SERVER, seq: 7, kind: "syn" });
    carry(&mut table, "lan", ("client", "server"), &syn, second(2));
    assert_eq!(title(&table, WAITED), None);
}

#[test]
fn a_server_under_test_is_judged_by_what_it_was_handed() {
    let (wires, names) = pair();
    let ends = Ends { client: "client", suspect: "server", wires: &wires, names: &names };
    let mut table = FlowTable::default();
    let syn = frame(&Tcp { from: CLIENT, to: SERVER, seq: 7, kind: "syn" });
    carry(&mut table, "lan", ("client", "server"), &syn, NOW);
    assert_eq!(table.account(forward(), &ends, WAITED).loss, None, "it was asked once");
    carry(&mut table, "lan", ("client", "server"), &syn, Duration::from_secs(1));
    let loss = table.account(forward(), &ends, WAITED).loss.unwrap();
    assert_eq!(loss.kind, SymptomKind::LostIngress);
    // The answer of an application that takes its time is not lost.
    let mut table = FlowTable::default();
    connected(&mut table);
    assert_eq!(table.account(forward(), &ends, WAITED).loss, None);
}

#[test]
fn a_router_is_given_a_second_to_pass_a_frame_on() {
    let mut table = FlowTable::default();
    let syn = frame(&Tcp { from: CLIENT, to: SERVER, seq: 7, kind: "syn" });
    carry(&mut table, "lan", ("vm", "gw"), &syn, Duration::from_millis(7500));
    let wires = wires(&[("lan", &["vm", "gw"]), ("wan", &["gw", "server"])]);
    let ends = Ends { client: "vm", suspect: "gw", wires: &wires, names: &names() };
    assert_eq!(table.account(forward(), &ends, WAITED).loss, None);
    let later = Failure { now: Duration::from_millis(8500), ..WAITED };
    assert!(table.account(forward(), &ends, later).loss.is_some());
}

#[test]
fn a_scan_switches_attribution_off_and_says_so() {
    let mut table = FlowTable::default();
    let syn = frame(&Tcp { from: CLIENT, to: SERVER, seq: 7, kind: "syn" });
    carry(&mut table, "lan", ("vm", "gw"), &syn, NOW);
    let wires = wires(&[("lan", &["vm", "gw"]), ("wan", &["gw", "server"])]);
    let ends = Ends { client: "vm", suspect: "gw", wires: &wires, names: &names() };
    assert!(table.account(forward(), &ends, WAITED).loss.is_some());
    for number in 0..5000_u32 {
        let to = ([10, 9, (number >> 8) as u8, number as u8], 22);
        let syn = frame(&Tcp { from: CLIENT, to, seq: number, kind: "syn" });
        carry(&mut table, "lan", ("vm", "gw"), &syn, NOW);
    }
    let account = table.account(forward(), &ends, WAITED);
    assert_eq!((account.loss, account.off), (None, Some(Full::Flows)));
    assert!(account.lines.iter().any(|line| line.contains("cannot be told")));
    assert_eq!(table.loss_so_far(forward(), &ends, WAITED), None);
}

#[test]
fn frames_that_are_forgotten_concern_the_connections_of_their_time() {
    let mut table = FlowTable::default();
    let second = Duration::from_secs;
    let syn = |from| frame(&Tcp { from, to: SERVER, seq: 7, kind: "syn" });
    let newer = (CLIENT.0, 40001);
    carry(&mut table, "lan", ("vm", "gw"), &syn(CLIENT), second(1));
    let bulk = frame(&Tcp { from: (CLIENT.0, 9), to: SERVER, seq: 1, kind: "data" });
    for _ in 0..20_000 {
        carry(&mut table, "lan", ("vm", "gw"), &bulk, second(2));
    }
    carry(&mut table, "lan", ("vm", "gw"), &syn(newer), second(3));
    let newer = Direction { from: SocketAddr::new(IpAddr::from(newer.0), newer.1), ..forward() };
    assert_eq!(table.full_for(forward()), Some(Full::Sightings));
    assert_eq!(table.full_for(newer), None);
}

/// A replayed capture: what left is known however much it is.
#[test]
fn a_hundred_thousand_replayed_frames_are_judged_right() {
    let mut table = FlowTable::default();
    let bytes = |number: u32| {
        let to = ([10, (number >> 16) as u8, (number >> 8) as u8, number as u8], 53);
        frame(&Tcp { from: CLIENT, to, seq: number, kind: "data" })
    };
    let frames: Vec<Vec<u8>> = (0..100_000).map(bytes).collect();
    let wanted = fingerprints(frames.iter().map(Vec::as_slice));
    assert_eq!(wanted.len(), 100_000);
    table.expect(hop("wan", "gw"), &wanted);
    for (number, frame) in frames.iter().enumerate() {
        carry(&mut table, "lan", ("vm", "gw"), frame, NOW);
        if number != 31_337 {
            carry(&mut table, "wan", ("gw", "server"), frame, NOW);
        }
        assert_eq!(table.missing(), 99_999 - number + usize::from(number >= 31_337));
    }
    assert!(table.is_missing(fingerprint(&frames[31_337]).unwrap().1));
    carry(&mut table, "wan", ("gw", "server"), &frames[31_337], NOW);
    assert_eq!(table.missing(), 0);
}
