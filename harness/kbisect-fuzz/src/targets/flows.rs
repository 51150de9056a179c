//! Frames on the wires, as guests send them. An input is a list of frames: a byte that says where
//! and when it was seen, a byte for its length, the frame.

use std::collections::BTreeMap;
use std::time::Duration;

use kbisect_core::flow::{Ends, Failure, FlowTable, Hop, fingerprint};

pub(super) fn target(input: &[u8]) {
    let hop = |wire: &str, from: &str| Hop { wire: wire.to_owned(), from: from.to_owned() };
    let hops =
        [hop("wan", "client"), hop("wan", "gateway"), hop("lan", "gateway"), hop("lan", "server")];
    let mut table = FlowTable::default();
    let mut directions = Vec::new();
    let mut now = Duration::ZERO;
    let mut rest = input;
    while let [place, length, after @ ..] = rest {
        let (frame, after) = after.split_at(usize::from(*length).min(after.len()));
        now += Duration::from_millis(u64::from(place >> 2) * 50);
        let noted = table.observe(&hops[usize::from(place & 3)], frame, now);
        if let Some(noted) = noted.filter(|_| place & 4 == 0) {
            table.hand_over(&noted, "gateway", now);
        }
        if let Some((direction, print)) = fingerprint(frame) {
            assert_eq!(fingerprint(frame), Some((direction, print)));
            assert_eq!(direction.reversed().reversed(), direction);
            if directions.len() < 32 && !directions.contains(&direction) {
                directions.push(direction);
            }
        }
        rest = after;
    }
    assert_eq!(table.is_empty(), directions.is_empty());
    let member = |name: &str, node: &str| (name.to_owned(), vec![node.into(), "gateway".into()]);
    let wires = BTreeMap::from([member("wan", "client"), member("lan", "server")]);
    let names = BTreeMap::new();
    let ends = Ends { client: "client", suspect: "gateway", wires: &wires, names: &names };
    let persists = Duration::from_secs(1);
    let failure = Failure { now, began: Duration::ZERO, waited: true, persists };
    for direction in directions {
        let seen: u64 = table.hops(direction).map(|(_, counts)| counts.frames).sum();
        assert!(seen > 0 && table.aliases(direction).contains(&direction));
        let account = table.account(direction, &ends, failure);
        assert!(account.lines.len() <= 24, "{:?}", account.lines);
        for loss in account.loss.iter().chain(&table.loss_so_far(direction, &ends, failure)) {
            assert!(!loss.title.is_empty() && !loss.title.contains(char::is_control));
        }
        // Who used an answer is not hopeless.
        let used = table.hops(direction).any(|(_, counts)| counts.frames > counts.syn);
        assert!(!used || table.is_hopeless(direction, &ends, now).is_none());
    }
}
