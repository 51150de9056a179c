//! Tests of the flow analysis, on frames that are built here.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use etherparse::PacketBuilder;

use super::*;
use crate::trial::SymptomKind;

pub(super) const NOW: Duration = Duration::ZERO;

/// A check that waited from the beginning of the recording to second 8.
pub(super) const WAITED: Failure = Failure {
    now: Duration::from_secs(8),
    began: Duration::ZERO,
    waited: true,
    persists: Duration::from_secs(1),
};

/// A frame that is sent and handed over at once.
pub(super) fn carry(
    table: &mut FlowTable,
    wire: &str,
    (from, to): (&str, &str),
    frame: &[u8],
    at: Duration,
) {
    if let Some(noted) = table.observe(&hop(wire, from), frame, at) {
        table.hand_over(&noted, to, at);
    }
}

pub(super) fn hop(wire: &str, from: &str) -> Hop {
    Hop { wire: wire.to_owned(), from: from.to_owned() }
}

pub(super) struct Tcp {
    pub from: ([u8; 4], u16),
    pub to: ([u8; 4], u16),
    pub seq: u32,
    pub kind: &'static str,
}

pub(super) fn frame(tcp: &Tcp) -> Vec<u8> {
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

pub(super) fn wires(list: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
    list.iter()
        .map(|(wire, nodes)| ((*wire).to_owned(), nodes.iter().map(|n| (*n).to_owned()).collect()))
        .collect()
}

pub(super) const CLIENT: ([u8; 4], u16) = ([10, 0, 0, 2], 40000);
const NAT: ([u8; 4], u16) = ([203, 0, 113, 1], 40000);
pub(super) const SERVER: ([u8; 4], u16) = ([203, 0, 113, 9], 80);

pub(super) fn names() -> BTreeMap<IpAddr, String> {
    BTreeMap::from([
        (IpAddr::from(CLIENT.0), "vm".to_owned()),
        (IpAddr::from(NAT.0), "gw".to_owned()),
        (IpAddr::from(SERVER.0), "server".to_owned()),
    ])
}

pub(super) fn forward() -> Direction {
    Direction {
        transport: Transport::Tcp,
        from: SocketAddr::new(IpAddr::from(CLIENT.0), CLIENT.1),
        to: SocketAddr::new(IpAddr::from(SERVER.0), SERVER.1),
    }
}

#[test]
fn syn_acks_that_a_client_drops_are_lost_ingress_at_the_client() {
    let mut table = FlowTable::default();
    for at in [NOW, Duration::from_secs(1)] {
        let syn = frame(&Tcp { from: CLIENT, to: SERVER, seq: 7, kind: "syn" });
        let answer = frame(&Tcp { from: SERVER, to: CLIENT, seq: 9, kind: "syn-ack" });
        carry(&mut table, "lan", ("client", "server"), &syn, at);
        carry(&mut table, "lan", ("server", "client"), &answer, at);
    }
    let wires = wires(&[("lan", &["client", "server"])]);
    let ends = Ends { client: "client", suspect: "client", wires: &wires, names: &names() };
    let loss = table.account(forward(), &ends, WAITED).loss.unwrap();
    assert_eq!(loss.kind, SymptomKind::LostIngress);
    assert_eq!(loss.title, "replies of server:80 lost inside client");
    assert!(loss.detail.contains("(2 frames)"), "{}", loss.detail);
}

#[test]
fn replies_lost_behind_nat_are_found_through_the_translated_flow() {
    let mut table = FlowTable::default();
    let syn = |from| frame(&Tcp { from, to: SERVER, seq: 77, kind: "syn" });
    carry(&mut table, "lan", ("vm", "gw"), &syn(CLIENT), NOW);
    carry(&mut table, "wan", ("gw", "server"), &syn(NAT), NOW);
    let answer = frame(&Tcp { from: SERVER, to: NAT, seq: 9, kind: "syn-ack" });
    carry(&mut table, "wan", ("server", "gw"), &answer, NOW);
    let wires = wires(&[("lan", &["vm", "gw"]), ("wan", &["gw", "server"])]);
    let ends = Ends { client: "vm", suspect: "gw", wires: &wires, names: &names() };
    let account = table.account(forward(), &ends, WAITED);
    assert_eq!((account.replies_in.frames, account.replies_out.frames), (1, 0));
    assert_eq!(account.loss.unwrap().title, "replies of server:80 to vm lost inside gw");
}

#[test]
fn a_refusal_by_the_server_is_no_loss_of_the_suspects() {
    let mut table = FlowTable::default();
    let syn = frame(&Tcp { from: CLIENT, to: SERVER, seq: 7, kind: "syn" });
    carry(&mut table, "lan", ("client", "server"), &syn, NOW);
    let reset = frame(&Tcp { from: SERVER, to: CLIENT, seq: 0, kind: "rst" });
    carry(&mut table, "lan", ("server", "client"), &reset, NOW);
    let wires = wires(&[("lan", &["client", "server"])]);
    let ends = Ends { client: "client", suspect: "client", wires: &wires, names: &names() };
    let loss = table.account(forward(), &ends, WAITED).loss.unwrap();
    assert_eq!(loss.kind, SymptomKind::CheckFailed);
    assert_eq!(loss.title, "connection of client to server:80 reset by server");
}

#[test]
fn requests_that_a_router_swallows_are_lost_inside_it() {
    let mut table = FlowTable::default();
    let syn = frame(&Tcp { from: CLIENT, to: SERVER, seq: 7, kind: "syn" });
    carry(&mut table, "lan", ("vm", "gw"), &syn, NOW);
    let wires = wires(&[("lan", &["vm", "gw"]), ("wan", &["gw", "server"])]);
    let ends = Ends { client: "vm", suspect: "gw", wires: &wires, names: &names() };
    let loss = table.account(forward(), &ends, WAITED).loss.unwrap();
    assert_eq!(loss.title, "requests of vm to server:80 lost inside gw");
}

#[test]
fn a_syn_sent_again_after_its_answer_arrived_makes_the_attempt_hopeless() {
    let wires = wires(&[("lan", &["client", "server"])]);
    let ends = Ends { client: "client", suspect: "client", wires: &wires, names: &names() };
    let millis = Duration::from_millis;
    let syn = frame(&Tcp { from: CLIENT, to: SERVER, seq: 7, kind: "syn" });
    let answer = frame(&Tcp { from: SERVER, to: CLIENT, seq: 9, kind: "syn-ack" });
    let verdict = |table: &FlowTable, at| table.is_hopeless(forward(), &ends, millis(at)).is_some();
    let mut table = FlowTable::default();
    carry(&mut table, "lan", ("client", "server"), &syn, millis(0));
    carry(&mut table, "lan", ("server", "client"), &answer, millis(5));
    assert!(!verdict(&table, 900), "the answer may still be taken");
    carry(&mut table, "lan", ("client", "server"), &syn, millis(1005));
    assert!(!verdict(&table, 1004), "less than a second");
    assert!(verdict(&table, 1006));
    let ack = frame(&Tcp { from: CLIENT, to: SERVER, seq: 8, kind: "ack" });
    carry(&mut table, "lan", ("client", "server"), &ack, millis(1010));
    assert!(!verdict(&table, 1011), "the handshake went on after all");
}

#[test]
fn an_answer_that_never_arrived_says_nothing_of_the_suspect() {
    let wires = wires(&[("lan", &["client", "server"])]);
    let ends = Ends { client: "client", suspect: "client", wires: &wires, names: &names() };
    let mut table = FlowTable::default();
    let syn = frame(&Tcp { from: CLIENT, to: SERVER, seq: 7, kind: "syn" });
    for second in 0..3 {
        carry(&mut table, "lan", ("client", "server"), &syn, Duration::from_secs(second));
    }
    assert_eq!(table.is_hopeless(forward(), &ends, Duration::from_secs(9)), None);
}

#[test]
fn a_lost_connection_of_an_earlier_check_is_not_taken_for_a_new_one() {
    let millis = Duration::from_millis;
    let mut table = FlowTable::default();
    let newer = (CLIENT.0, 40001);
    for (from, at) in [(CLIENT, 0), (newer, 2000), (CLIENT, 2500)] {
        let syn = frame(&Tcp { from, to: SERVER, seq: 7, kind: "syn" });
        carry(&mut table, "lan", ("client", "server"), &syn, millis(at));
    }
    let own = [IpAddr::from(CLIENT.0)];
    let ports = |since, transport| {
        let sought = Sought { transport, to: forward().to, since };
        table.sought(&own, sought).map(|flow| flow.from.port()).collect::<Vec<_>>()
    };
    assert_eq!(ports(Since::Opened(millis(1000)), Transport::Tcp), [40001]);
    assert_eq!(ports(Since::Used(millis(2200)), Transport::Tcp), [40000]);
    assert_eq!(ports(Since::Used(millis(0)), Transport::Tcp), [40000, 40001]);
    assert_eq!(ports(Since::Used(millis(0)), Transport::Udp), [0_u16; 0]);
}

#[test]
fn garbage_is_passed_over() {
    let mut table = FlowTable::default();
    for length in 0..80 {
        table.observe(&hop("lan", "x"), &vec![0xff; length], NOW);
    }
    assert!(table.is_empty());
}

/// The incident: the handshake passes, then the server's data leaves the gateway with another
/// source port, and the host behind it answers with a reset.
#[test]
fn a_reply_that_leaves_with_another_port_is_mangled_not_lost() {
    let mut table = FlowTable::default();
    let wrong = (SERVER.0, 376);
    let mut pass = |wire: &str, from: &str, tcp: &Tcp| {
        let to = if wire == "wan" { ["gw", "server"] } else { ["gw", "vm"] };
        let to = to.into_iter().find(|node| *node != from).unwrap();
        carry(&mut table, wire, (from, to), &frame(tcp), NOW);
    };
    pass("lan", "vm", &Tcp { from: CLIENT, to: SERVER, seq: 7, kind: "syn" });
    pass("wan", "gw", &Tcp { from: NAT, to: SERVER, seq: 7, kind: "syn" });
    pass("wan", "server", &Tcp { from: SERVER, to: NAT, seq: 9, kind: "syn-ack" });
    pass("lan", "gw", &Tcp { from: SERVER, to: CLIENT, seq: 9, kind: "syn-ack" });
    pass("wan", "server", &Tcp { from: SERVER, to: NAT, seq: 10, kind: "data" });
    pass("lan", "gw", &Tcp { from: wrong, to: CLIENT, seq: 10, kind: "data" });
    pass("lan", "vm", &Tcp { from: CLIENT, to: wrong, seq: 1, kind: "rst" });
    let wires = wires(&[("lan", &["vm", "gw"]), ("wan", &["gw", "server"])]);
    let ends = Ends { client: "vm", suspect: "gw", wires: &wires, names: &names() };
    let account = table.account(forward(), &ends, WAITED);
    let loss = account.loss.unwrap();
    assert_eq!(loss.kind, SymptomKind::LostIngress);
    assert_eq!(loss.title, "replies of server:80 to vm mangled inside gw");
    assert!(loss.detail.contains("left server from :80"), "{}", loss.detail);
    assert!(loss.detail.contains("source port 376 instead of 80"), "{}", loss.detail);
    let text = account.lines.join("\n");
    assert!(text.contains("reset by vm on wire lan"), "{text}");
}

#[test]
fn a_refusal_names_who_sent_the_reset() {
    let mut table = FlowTable::default();
    let syn = |from| frame(&Tcp { from, to: SERVER, seq: 77, kind: "syn" });
    carry(&mut table, "lan", ("vm", "gw"), &syn(CLIENT), NOW);
    let reset = frame(&Tcp { from: SERVER, to: CLIENT, seq: 0, kind: "rst" });
    carry(&mut table, "lan", ("gw", "vm"), &reset, NOW);
    let wires = wires(&[("lan", &["vm", "gw"]), ("wan", &["gw", "server"])]);
    let ends = Ends { client: "vm", suspect: "gw", wires: &wires, names: &names() };
    let loss = table.account(forward(), &ends, WAITED).loss.unwrap();
    assert_eq!(loss.kind, SymptomKind::CheckFailed);
    assert_eq!(loss.title, "connection of vm to server:80 reset by gw");
}
