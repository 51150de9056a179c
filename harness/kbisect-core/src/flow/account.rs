//! What happened to one connection at the node under suspicion.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};

use super::frame::Direction;
use super::table::{Counts, FlowTable, Hop, Sighting};
use crate::trial::SymptomKind;

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
}

/// What was counted around the suspect for one connection, and what follows from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Requests towards the suspect.
    pub requests_in: Counts,
    /// Requests that left it.
    pub requests_out: Counts,
    /// Replies towards it.
    pub replies_in: Counts,
    /// Replies that left it.
    pub replies_out: Counts,
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

impl FlowTable {
    /// Says whether the counts alone show a loss between the sides of the suspect. Cheap enough to
    /// be asked while a check still waits.
    #[must_use]
    pub fn loss_so_far(&self, forward: Direction, ends: &Ends<'_>) -> Option<Loss> {
        let mut account = Account::default();
        for direction in self.aliases(forward) {
            account.count(self, "request", direction, ends);
            account.count(self, "reply", direction.reversed(), ends);
        }
        account.lost(forward, ends)
    }

    /// Says what happened to a connection that failed.
    #[must_use]
    pub fn account(&self, forward: Direction, ends: &Ends<'_>) -> Account {
        let requests = self.aliases(forward);
        let replies: Vec<Direction> =
            requests.iter().map(|direction| direction.reversed()).collect();
        let mut account = Account::default();
        for (word, directions) in [("request", &requests), ("reply", &replies)] {
            for direction in directions {
                account.count(self, word, *direction, ends);
            }
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
                .lost(forward, ends)
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
            if !ends.touches_suspect(&hop.wire) {
                continue;
            }
            let sum = match (word == "request", hop.from == ends.suspect) {
                (true, false) => &mut self.requests_in,
                (true, true) => &mut self.requests_out,
                (false, false) => &mut self.replies_in,
                (false, true) => &mut self.replies_out,
            };
            sum.add(counts);
        }
    }

    /// Concludes from counts alone that frames vanished inside the suspect.
    fn lost(&self, forward: Direction, ends: &Ends<'_>) -> Option<Loss> {
        let (suspect, client) = (ends.suspect, ends.client);
        let server = ends.server(forward.to);
        let (requests_in, requests_out) = (self.requests_in, self.requests_out);
        let (replies_in, replies_out) = (self.replies_in, self.replies_out);
        let loss = |kind, title: String, detail: String| Some(Loss { kind, title, detail });
        if client == suspect {
            return if replies_in.frames > 0 && replies_in.rst == 0 {
                loss(
                    SymptomKind::LostIngress,
                    format!("replies of {server} lost inside {suspect}"),
                    format!(
                        "replies to {forward} reached {suspect} ({}) and were lost inside it",
                        frames(replies_in)
                    ),
                )
            } else if requests_out.frames == 0 {
                loss(
                    SymptomKind::LostEgress,
                    format!("requests to {server} never left {suspect}"),
                    format!("no frame of {forward} left {suspect}"),
                )
            } else {
                None
            };
        }
        if replies_in.frames > 0 && vanished(replies_in, replies_out) {
            return loss(
                SymptomKind::LostIngress,
                format!("replies of {server} to {client} lost inside {suspect}"),
                format!(
                    "replies to {forward} reached {suspect} ({}), {} left it: lost inside {suspect}",
                    frames(replies_in),
                    frames(replies_out)
                ),
            );
        }
        if requests_in.frames == 0 || !vanished(requests_in, requests_out) || replies_out.frames > 0
        {
            return None;
        }
        // Whether the suspect is the server or a router that lets nothing through: requests went in
        // and nothing came out. To a server that is ingress.
        let is_server = ends.names.get(&forward.to.ip()).is_some_and(|name| name == suspect);
        let kind = if is_server || requests_out.frames == 0 {
            SymptomKind::LostIngress
        } else {
            SymptomKind::LostEgress
        };
        loss(
            kind,
            format!("requests of {client} to {server} lost inside {suspect}"),
            format!(
                "{forward} reached {suspect} ({}), {} left it: lost inside {suspect}",
                frames(requests_in),
                frames(requests_out)
            ),
        )
    }
}

/// Frames went in and none came out, or handshakes passed and payload did not.
fn vanished(inside: Counts, outside: Counts) -> bool {
    outside.frames == 0 || (inside.data > 0 && outside.data == 0)
}

fn frames(counts: Counts) -> String {
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
