//! What happened to one connection at the node under suspicion.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::counts::Carried;
use super::frame::{Direction, Transport};
use super::table::{FlowTable, Full, Hop, Sighting};
use crate::disturbed::Window;
use crate::trial::{LossPlace, Packets, SymptomKind};

/// A SYN this long after the SYN-ACK cannot have crossed it on the way. Less than the first
/// retransmission time-out of TCP, 1 s (RFC 6298).
pub(super) const WELL_AFTER: Duration = Duration::from_millis(500);

/// Most lines that an account has.
const MAX_LINES: usize = 24;

/// Who is who in a connection.
#[derive(Clone, Copy, Debug)]
pub struct Ends<'a> {
    /// Node that opens the connection.
    pub client: &'a str,
    /// The node under suspicion: the candidate.
    pub suspect: &'a str,
    /// Wire names with their member nodes.
    pub wires: &'a BTreeMap<String, Vec<String>>,
    /// Which node an address belongs to.
    pub names: &'a BTreeMap<IpAddr, String>,
}

impl Ends<'_> {
    pub(super) fn touches_suspect(&self, wire: &str) -> bool {
        self.wires
            .get(wire)
            .is_some_and(|members| members.iter().any(|member| member == self.suspect))
    }

    /// `server:80`, or the address when nobody has it.
    fn server(&self, address: SocketAddr) -> String {
        match self.names.get(&address.ip()) {
            Some(name) => format!("{name}:{}", address.port()),
            None => address.to_string(),
        }
    }

    fn place(&self, forward: Direction, packets: Packets) -> Option<LossPlace> {
        let (node, client) = (self.suspect.to_owned(), self.client.to_owned());
        Some(LossPlace { node, packets, client, server: self.server(forward.to) })
    }

    /// The other members of a wire.
    fn others(&self, hop: &Hop) -> String {
        let members = self.wires.get(&hop.wire).map(Vec::as_slice).unwrap_or_default();
        let others: Vec<&str> =
            members.iter().map(String::as_str).filter(|member| *member != hop.from).collect();
        others.join(" or ")
    }
}

/// A loss that was located, or a refusal that was traced to its sender.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// `LostIngress`, `LostEgress`, or `CheckFailed` for a refusal.
    pub kind: SymptomKind,
    /// Stable between kernels and runs: `replies of server:80 to vm1 lost inside gateway`.
    pub title: String,
    /// With the numbers.
    pub detail: String,
    /// Where that was; not for a refusal.
    pub place: Option<LossPlace>,
    /// The time that it rests on, where it does: something was handed over then, and not used.
    pub window: Option<Window>,
}

/// What was counted around the suspect for one connection, and what follows from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Requests that were handed to the suspect.
    pub requests_in: Carried,
    /// Requests that left it.
    pub requests_out: Carried,
    /// Replies that were handed to it.
    pub replies_in: Carried,
    /// Replies that left it.
    pub replies_out: Carried,
    /// Requests that were handed to the server's own node.
    pub reached: Carried,
    /// Replies that others sent.
    pub answers: Carried,
    /// Why nothing is concluded, if so.
    pub off: Option<Full>,
    /// One line a hop and direction.
    pub lines: Vec<String>,
    /// The conclusion, if the frames allow one.
    pub loss: Option<Loss>,
}

/// A frame that went into the suspect as part of the connection and came out as part of none.
struct Mangled {
    came: Direction,
    left: Direction,
    hop: Hop,
}

/// How a check failed, as far as a loss can explain it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// When it is looked at, since the recording began.
    pub now: Duration,
    /// When the check began.
    pub began: Duration,
    /// Whether something was waited for that did not come.
    pub waited: bool,
    /// How long something must have been lost.
    pub persists: Duration,
}

impl FlowTable {
    /// Says whether the counts alone prove a loss inside the suspect. Cheap enough to be asked while
    /// a check still waits.
    pub fn loss_so_far(
        &self,
        forward: Direction,
        ends: &Ends<'_>,
        failure: Failure,
    ) -> Option<Loss> {
        if self.full_for(forward).is_some() {
            return None;
        }
        self.counted(forward, ends).lost(self, forward, ends, failure)
    }

    fn counted(&self, forward: Direction, ends: &Ends<'_>) -> Account {
        let mut account = Account::default();
        for direction in self.aliases(forward) {
            account.count(self, "request", direction, ends);
            account.count(self, "reply", direction.reversed(), ends);
        }
        account
    }

    /// Says what happened to a connection that failed.
    pub fn account(&self, forward: Direction, ends: &Ends<'_>, failure: Failure) -> Account {
        let requests = self.aliases(forward);
        let replies: Vec<Direction> =
            requests.iter().map(|direction| direction.reversed()).collect();
        let mut account = Account::default();
        for (word, directions) in [("request", &requests), ("reply", &replies)] {
            for direction in directions {
                account.count(self, word, *direction, ends);
            }
        }
        account.off = self.full_for(forward);
        if let Some(off) = account.off {
            account.line(format!("where it was lost cannot be told: {off}"));
            return account;
        }
        let mangled_replies = self.mangled(&replies, ends);
        let mangled_requests = self.mangled(&requests, ends);
        for (word, list, expected) in [
            ("reply", &mangled_replies, forward.reversed()),
            ("request", &mangled_requests, forward),
        ] {
            for mangled in list {
                account.line(format!(
                    "{word} left {} on wire {} as {}: {}",
                    mangled.hop.from,
                    mangled.hop.wire,
                    mangled.left,
                    change(expected, mangled.left)
                ));
            }
        }
        let strange: Vec<Direction> =
            mangled_replies.iter().chain(&mangled_requests).map(|mangled| mangled.left).collect();
        let refusal = self.first_reset(&requests, &replies, &strange);
        if let Some((hop, sighting)) = &refusal {
            account.line(format!(
                "reset by {} on wire {} (towards {}): {}",
                hop.from,
                hop.wire,
                ends.others(hop),
                sighting.direction
            ));
        }
        account.loss = match (mangled_replies.first(), mangled_requests.first()) {
            (Some(reply), _) => Some(changed_reply(forward, reply, ends)),
            (None, Some(request)) => Some(changed_request(forward, request, ends)),
            (None, None) => account
                .lost(self, forward, ends, failure)
                .or_else(|| refusal.map(|(hop, _)| refused(forward, &hop.from, ends))),
        };
        account
    }

    /// Frames that entered the suspect in one of `directions` and left it in none of them. A frame
    /// is recognised by what address translation does not touch.
    fn mangled(&self, directions: &[Direction], ends: &Ends<'_>) -> Vec<Mangled> {
        let mut found: Vec<Mangled> = Vec::new();
        let mut left: HashMap<u64, Vec<(&Hop, &Sighting)>> = HashMap::new();
        for (hop, sighting) in self.sightings().filter(|(hop, _)| hop.from == ends.suspect) {
            left.entry(sighting.fingerprint).or_default().push((hop, sighting));
        }
        let entered = self.sightings().filter(|(hop, sighting)| {
            directions.contains(&sighting.direction)
                && hop.from != ends.suspect
                && ends.touches_suspect(&hop.wire)
        });
        for (_, sighting) in entered {
            let twins = left.get(&sighting.fingerprint).map(Vec::as_slice).unwrap_or_default();
            if twins.iter().any(|(_, twin)| directions.contains(&twin.direction)) {
                continue;
            }
            if let Some((hop, twin)) = twins.first()
                && !found.iter().any(|known| known.left == twin.direction)
            {
                found.push(Mangled {
                    came: sighting.direction,
                    left: twin.direction,
                    hop: (*hop).clone(),
                });
            }
        }
        found
    }

    /// The first reset of the connection: a refusal, or the answer to a frame that fits no
    /// connection.
    fn first_reset(
        &self,
        requests: &[Direction],
        replies: &[Direction],
        strange: &[Direction],
    ) -> Option<(Hop, Sighting)> {
        self.sightings()
            .find(|(_, sighting)| {
                let direction = sighting.direction;
                sighting.rst
                    && (requests.contains(&direction)
                        || replies.contains(&direction)
                        || strange.contains(&direction)
                        || strange.contains(&direction.reversed()))
            })
            .map(|(hop, sighting)| (hop.clone(), sighting.clone()))
    }
}

impl Account {
    /// Whether a server was handed the whole request, undamaged, and gave no answer at all.
    pub fn is_unanswered(&self, transport: Transport) -> bool {
        let (reached, answers) = (&self.reached, &self.answers);
        if reached.frames == 0 || reached.damaged > 0 || reached.rst > 0 {
            return false;
        }
        match (transport, reached.data > 0) {
            (Transport::Udp, _) | (Transport::Tcp, false) => answers.frames == 0,
            // Its kernel has the request, its application says nothing.
            (Transport::Tcp, true) => answers.data == 0 && reached.unacked.is_none(),
        }
    }

    fn line(&mut self, line: String) {
        if self.lines.len() < MAX_LINES {
            self.lines.push(line);
        }
    }

    fn count(&mut self, table: &FlowTable, word: &str, direction: Direction, ends: &Ends<'_>) {
        for (hop, counts) in table.hops(direction) {
            let with = |number: u64, what: &str| {
                if number > 0 { format!(", {number} {what}") } else { String::new() }
            };
            self.line(format!(
                "{word} {direction} on wire {}, sent by {}: {} frames{}{}",
                hop.wire,
                hop.from,
                counts.frames,
                with(counts.data, "with payload"),
                with(counts.rst, "reset")
            ));
            if hop.from != ends.suspect && word == "reply" {
                self.answers.add(counts);
            }
            if hop.from == ends.suspect && ends.touches_suspect(&hop.wire) {
                match word == "request" {
                    true => self.requests_out.add(counts),
                    false => self.replies_out.add(counts),
                }
            }
        }
        for (hop, receiver, counts) in table.handed(direction) {
            if receiver == ends.suspect && hop.from != ends.suspect {
                match word == "request" {
                    true => self.requests_in.add(counts),
                    false => self.replies_in.add(counts),
                }
            }
            let server = ends.names.get(&direction.to.ip()).is_some_and(|name| name == receiver);
            if word == "request" && server {
                self.reached.add(counts);
            }
        }
    }

    /// Concludes from counts alone that frames vanished inside the suspect.
    fn lost(
        &self,
        table: &FlowTable,
        forward: Direction,
        ends: &Ends<'_>,
        failure: Failure,
    ) -> Option<Loss> {
        if ends.client == ends.suspect {
            return self.lost_in_client(table, forward, ends, failure);
        }
        let is_server = ends.names.get(&forward.to.ip()).is_some_and(|name| name == ends.suspect);
        match is_server {
            true => self.lost_in_server(forward, ends, failure),
            false => self.lost_in_router(forward, ends, failure),
        }
    }

    fn lost_in_client(
        &self,
        table: &FlowTable,
        forward: Direction,
        ends: &Ends<'_>,
        failure: Failure,
    ) -> Option<Loss> {
        let (suspect, replies) = (ends.suspect, self.replies_in);
        let server = ends.server(forward.to);
        let said = self.requests_out;
        let only_syn = said.frames == said.syn;
        let unused = unused(forward.transport, &replies, only_syn.then_some(&said), failure);
        if let (Some((since, how)), 0) = (unused, replies.rst) {
            return Some(Loss {
                kind: SymptomKind::LostIngress,
                title: format!("replies of {server} lost inside {suspect}"),
                detail: format!(
                    "replies to {forward} reached {suspect} ({}) and were lost inside it: {how}",
                    frames(replies)
                ),
                place: ends.place(forward, Packets::Replies),
                window: Some(window(since, failure.now)),
            });
        }
        let long = failure.now.saturating_sub(failure.began) >= failure.persists;
        let silent = self.requests_out.frames == 0
            && !table.opened_any(suspect, forward.transport, failure.began)
            && !table.asks_in_vain(suspect, failure.began);
        (failure.waited && long && silent).then(|| Loss {
            kind: SymptomKind::LostEgress,
            title: format!("requests to {server} never left {suspect}"),
            detail: format!("no frame of {forward} left {suspect}"),
            place: ends.place(forward, Packets::Requests),
            window: Some(window(failure.began, failure.now)),
        })
    }

    fn lost_in_server(
        &self,
        forward: Direction,
        ends: &Ends<'_>,
        failure: Failure,
    ) -> Option<Loss> {
        let (suspect, client, requests) = (ends.suspect, ends.client, self.requests_in);
        let said = Some(&self.replies_out).filter(|said| said.frames == 0);
        if forward.transport == Transport::Udp && said.is_none() {
            return None;
        }
        let (since, how) = unused(forward.transport, &requests, said, failure)?;
        Some(Loss {
            kind: SymptomKind::LostIngress,
            title: format!(
                "requests of {client} to {} lost inside {suspect}",
                ends.server(forward.to)
            ),
            detail: format!(
                "{forward} reached {suspect} ({}) and was lost inside it: {how}",
                frames(requests)
            ),
            place: ends.place(forward, Packets::Requests),
            window: Some(window(since, failure.now)),
        })
    }

    fn lost_in_router(
        &self,
        forward: Direction,
        ends: &Ends<'_>,
        failure: Failure,
    ) -> Option<Loss> {
        let (suspect, client) = (ends.suspect, ends.client);
        let server = ends.server(forward.to);
        let old = |since: Duration| failure.now.saturating_sub(since) >= failure.persists;
        let (replies_in, replies_out) = (self.replies_in, self.replies_out);
        if let Some(since) = vanished(&replies_in, &replies_out).filter(|since| old(*since)) {
            return Some(Loss {
                kind: SymptomKind::LostIngress,
                title: format!("replies of {server} to {client} lost inside {suspect}"),
                detail: format!(
                    "replies to {forward} reached {suspect} ({}), {} left it: lost inside {suspect}",
                    frames(replies_in),
                    frames(replies_out)
                ),
                place: ends.place(forward, Packets::Replies),
                window: Some(window(since, failure.now)),
            });
        }
        let (requests_in, requests_out) = (self.requests_in, self.requests_out);
        let since = vanished(&requests_in, &requests_out).filter(|since| old(*since))?;
        if replies_out.frames > 0 {
            return None;
        }
        let kind = if requests_out.frames == 0 {
            SymptomKind::LostIngress
        } else {
            SymptomKind::LostEgress
        };
        Some(Loss {
            kind,
            title: format!("requests of {client} to {server} lost inside {suspect}"),
            detail: format!(
                "{forward} reached {suspect} ({}), {} left it: lost inside {suspect}",
                frames(requests_in),
                frames(requests_out)
            ),
            place: ends.place(forward, Packets::Requests),
            window: Some(window(since, failure.now)),
        })
    }
}

/// Since when an end demonstrably does not use what it was handed, and how that shows. What it `said`
/// is given where it did not go on with the handshake.
fn unused(
    transport: Transport,
    handed: &Carried,
    said: Option<&Carried>,
    failure: Failure,
) -> Option<(Duration, &'static str)> {
    let old = |since: Duration| failure.now.saturating_sub(since) >= failure.persists;
    let found = match transport {
        Transport::Udp => (handed.frames > 0 && failure.waited)
            .then_some((handed.first, "the answer was waited for in vain")),
        // Nothing but the beginning of a handshake passed, which began again.
        Transport::Tcp if handed.syn > 0 && handed.frames == handed.syn => {
            let again = said.and_then(|said| said.last_syn.max(handed.last_syn));
            again
                .is_some_and(|at| at > handed.first + WELL_AFTER)
                .then_some((handed.first, "the handshake began again"))
        }
        Transport::Tcp => handed
            .unacked
            .filter(|_| handed.repeats > 0)
            .map(|since| (since, "payload was never acknowledged")),
    };
    found.filter(|(since, _)| old(*since))
}

fn window(from: Duration, to: Duration) -> Window {
    Window { from_ms: from.as_millis() as u64, to_ms: to.as_millis() as u64 }
}

/// Since when frames went in and none came out, or handshakes passed and payload did not.
fn vanished(inside: &Carried, outside: &Carried) -> Option<Duration> {
    match (inside.frames, outside.frames, inside.first_data, outside.data) {
        (0, ..) => None,
        (_, 0, ..) => Some(inside.first),
        (_, _, Some(since), 0) => Some(since),
        _ => None,
    }
}

fn frames(counts: Carried) -> String {
    let plural = if counts.frames == 1 { "" } else { "s" };
    match counts.data {
        0 => format!("{} frame{plural}", counts.frames),
        data => format!("{} frame{plural}, {data} with payload", counts.frames),
    }
}

fn changed_reply(forward: Direction, mangled: &Mangled, ends: &Ends<'_>) -> Loss {
    let (client, suspect) = (ends.client, ends.suspect);
    let server = ends.server(forward.to);
    let server_name = ends.names.get(&forward.to.ip()).map_or("the server", String::as_str);
    Loss {
        kind: SymptomKind::LostIngress,
        title: format!("replies of {server} to {client} mangled inside {suspect}"),
        detail: format!(
            "reply left {server_name} from :{}, left {suspect} for {client} from {}: {}",
            mangled.came.from.port(),
            mangled.left.from,
            change(forward.reversed(), mangled.left)
        ),
        place: ends.place(forward, Packets::Replies),
        window: None,
    }
}

fn changed_request(forward: Direction, mangled: &Mangled, ends: &Ends<'_>) -> Loss {
    let (client, suspect) = (ends.client, ends.suspect);
    Loss {
        kind: SymptomKind::LostEgress,
        title: format!(
            "requests of {client} to {} mangled inside {suspect}",
            ends.server(forward.to)
        ),
        detail: format!(
            "request entered {suspect} as {}, left it as {}: {}",
            mangled.came,
            mangled.left,
            change(forward, mangled.left)
        ),
        place: ends.place(forward, Packets::Requests),
        window: None,
    }
}

fn refused(forward: Direction, by: &str, ends: &Ends<'_>) -> Loss {
    Loss {
        kind: SymptomKind::CheckFailed,
        title: format!(
            "connection of {} to {} reset by {by}",
            ends.client,
            ends.server(forward.to)
        ),
        detail: format!("{forward} was reset by {by}; no frame was lost or changed on the way"),
        place: None,
        window: None,
    }
}

/// What differs between the direction that was to be and the one that is.
fn change(expected: Direction, got: Direction) -> String {
    let mut parts = Vec::new();
    for (what, before, after) in
        [("source", expected.from, got.from), ("destination", expected.to, got.to)]
    {
        if before.ip() != after.ip() {
            parts.push(format!("{what} address {} instead of {}", after.ip(), before.ip()));
        }
        if before.port() != after.port() {
            parts.push(format!("{what} port {} instead of {}", after.port(), before.port()));
        }
    }
    parts.join(", ")
}
