//! `conntrack`: connections that the node tracks.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::super::cursor::Item;
use super::super::kept_rules::{Checked, KeptCheck, invalid, within};
use super::super::words;
use super::count::{Count, printed};
use super::kind::{Kind, Reading};
use crate::command::Ran;
use crate::wrong::{CheckFailure, Wrong};

/// What prints the table: a kernel has the file or not (`CONFIG_NF_CONNTRACK_PROCFS`).
const PRINT: &str = "if [ -r /proc/net/nf_conntrack ]; then exec cat /proc/net/nf_conntrack; fi
conntrack -L -f ipv4 && conntrack -L -f ipv6";

/// Connections that must be tracked, or must not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConntrackProbe {
    /// Protocol.
    pub protocol: Tracked,
    /// Where the first packet went, before any translation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<IpAddr>,
    /// Its port there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// How many.
    pub entries: Count,
}

/// A protocol that connection tracking knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "names of protocols")]
pub enum Tracked {
    Tcp,
    Udp,
    Udplite,
    Sctp,
    Dccp,
    Gre,
    Icmp,
    Icmpv6,
}

const PROTOCOLS: [(&str, Tracked); 8] = [
    ("tcp", Tracked::Tcp),
    ("udp", Tracked::Udp),
    ("udplite", Tracked::Udplite),
    ("sctp", Tracked::Sctp),
    ("dccp", Tracked::Dccp),
    ("gre", Tracked::Gre),
    ("icmp", Tracked::Icmp),
    ("icmpv6", Tracked::Icmpv6),
];

/// A state of a connection: of TCP (`tcp_conntrack_names`), or a mark that every protocol has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "the kernel's own names")]
pub enum State {
    SynSent,
    SynRecv,
    Established,
    FinWait,
    CloseWait,
    LastAck,
    TimeWait,
    Close,
    SynSent2,
    Assured,
    Unreplied,
}

const STATES: [(&str, State); 11] = [
    ("SYN_SENT", State::SynSent),
    ("SYN_RECV", State::SynRecv),
    ("ESTABLISHED", State::Established),
    ("FIN_WAIT", State::FinWait),
    ("CLOSE_WAIT", State::CloseWait),
    ("LAST_ACK", State::LastAck),
    ("TIME_WAIT", State::TimeWait),
    ("CLOSE", State::Close),
    ("SYN_SENT2", State::SynSent2),
    ("ASSURED", State::Assured),
    ("UNREPLIED", State::Unreplied),
];

fn word<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, other)| *other == value).map_or("", |(word, _)| word)
}

impl fmt::Display for ConntrackProbe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word(&PROTOCOLS, self.protocol))?;
        match (self.destination, self.port) {
            (Some(IpAddr::V6(to)), Some(port)) => write!(f, " to [{to}]:{port}")?,
            (Some(to), Some(port)) => write!(f, " to {to}:{port}")?,
            (Some(to), None) => write!(f, " to {to}")?,
            (None, Some(port)) => write!(f, " to port {port}")?,
            (None, None) => {}
        }
        match self.state {
            Some(state) => write!(f, " in state {}", word(&STATES, state)),
            None => Ok(()),
        }
    }
}

impl ConntrackProbe {
    /// How many bytes of the table are kept: a longer one cannot be read.
    pub const KEPT: u32 = 768 << 10;

    pub(super) fn read(item: &Item<'_>, _: &mut Reading<'_>) -> Option<Self> {
        let table = item.table()?;
        let protocol = table.require("protocol", "such as `tcp`");
        let protocol = protocol.and_then(|item| item.one_of(&PROTOCOLS));
        let destination = table.get("destination").and_then(|item| item.parsed(words::host));
        let at_port = table.get("port");
        let port = at_port.as_ref().and_then(|item| item.number(1..=65_535));
        let in_state = table.get("state");
        let state = in_state.as_ref().and_then(|item| item.one_of(&STATES));
        let entries = Count::read(&table);
        table.finish();
        let probe = Self { protocol: protocol?, destination, port, state, entries };
        if let (Err(message), Some(item)) = (probe.has_ports(), at_port) {
            item.wrong(message);
        }
        if let (Err(message), Some(item)) = (probe.has_state(), in_state) {
            item.wrong(message);
        }
        Some(probe)
    }

    fn has_ports(&self) -> Result<(), String> {
        match self.protocol {
            Tracked::Gre | Tracked::Icmp | Tracked::Icmpv6 if self.port.is_some() => {
                Err(format!("{} has no ports", word(&PROTOCOLS, self.protocol)))
            }
            _ => Ok(()),
        }
    }

    fn has_state(&self) -> Result<(), String> {
        match (self.protocol, self.state) {
            (Tracked::Tcp, _) | (_, None | Some(State::Assured | State::Unreplied)) => Ok(()),
            (protocol, _) => Err(format!(
                "connections of {} are `ASSURED` or `UNREPLIED`; the other states are of tcp",
                word(&PROTOCOLS, protocol)
            )),
        }
    }

    /// The program that tells, with its arguments. Nothing of the scenario is among them.
    pub fn argv(&self) -> Vec<String> {
        ["sh", "-c", PRINT].map(str::to_owned).into()
    }

    /// Says whether as many connections are tracked as must be.
    ///
    /// # Errors
    /// What was wrong.
    pub fn judge(&self, ran: &Ran) -> Result<String, CheckFailure> {
        let text = printed(ran, Self::KEPT, "the table is")?;
        let number = text.lines().filter(|line| self.fits(line)).count() as u64;
        let expected = self.entries.expected();
        let entries = if number == 1 { "entry" } else { "entries" };
        let detail = format!("{number} {entries} for {self}, {expected}");
        if self.entries.holds(number) {
            return Ok(detail);
        }
        let wrong = Wrong::Other("conntrack", format!("entries for {self}: {expected}"));
        Err(CheckFailure::wrong(detail, wrong))
    }

    /// Whether a line is such an entry: `tcp 6 431999 ESTABLISHED src=... dst=... sport=... dport=... src=...`,
    /// in the file with `ipv4 2` before it.
    fn fits(&self, line: &str) -> bool {
        let mut words = line.split_whitespace().peekable();
        if words.next_if(|word| matches!(*word, "ipv4" | "ipv6")).is_some() {
            words.next();
        }
        if words.next() != Some(word(&PROTOCOLS, self.protocol)) {
            return false;
        }
        let words: Vec<&str> = words.collect();
        let Some(first) = words.iter().position(|word| word.starts_with("src=")) else {
            return false;
        };
        // The first of each key is of the direction of the first packet.
        let value = |key: &str| words.iter().find_map(|word| word.strip_prefix(key));
        let to = value("dst=").and_then(|text| text.parse::<IpAddr>().ok());
        let port = value("dport=").and_then(|text| text.parse::<u16>().ok());
        let in_state = self.state.is_none_or(|state| {
            let name = word(&STATES, state);
            match state {
                State::Assured | State::Unreplied => {
                    words.iter().any(|word| word.trim_matches(['[', ']']) == name)
                }
                _ => words[..first].contains(&name),
            }
        });
        in_state
            && self.destination.is_none_or(|own| to == Some(own))
            && self.port.is_none_or(|own| port == Some(own))
    }
}

impl Kind for ConntrackProbe {
    fn texts(&self) -> Vec<&str> {
        vec!["conntrack"]
    }

    fn verifies_payload(&self) -> bool {
        false
    }

    fn needs_frames(&self) -> bool {
        false
    }

    fn protocols(&self) -> Vec<&'static str> {
        vec![word(&PROTOCOLS, self.protocol)]
    }

    fn summary(&self) -> String {
        format!("tracked connections, {self}, {}", self.entries.expected())
    }

    fn check_kept(&self, check: &KeptCheck<'_>) -> Checked {
        let key = check.key;
        if let Some(port) = self.port {
            within(key, port, 1..=65_535)?;
        }
        self.has_ports().map_err(|message| invalid(key, message))?;
        self.has_state().map_err(|message| invalid(key, message))?;
        self.entries.check_kept(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::CommandEnd;

    fn probe() -> ConntrackProbe {
        ConntrackProbe {
            protocol: Tracked::Tcp,
            destination: None,
            port: None,
            state: None,
            entries: Count::default(),
        }
    }

    /// As `/proc/net/nf_conntrack` of 6.12 and `conntrack -L` 1.4.7 print them.
    const TABLE: &str = "\
ipv4     2 tcp      6 431999 ESTABLISHED src=192.0.2.2 dst=192.0.2.1 sport=40000 dport=80 src=198.51.100.2 dst=192.0.2.2 sport=8080 dport=40000 [ASSURED] mark=0 zone=0 use=2
ipv4     2 tcp      6 100 SYN_SENT src=192.0.2.2 dst=192.0.2.1 sport=40002 dport=80 [UNREPLIED] src=192.0.2.1 dst=192.0.2.2 sport=80 dport=40002 mark=0 zone=0 use=2
ipv6     10 tcp      6 431999 ESTABLISHED src=2001:0db8:0000:0000:0000:0000:0000:0002 dst=2001:0db8:0000:0000:0000:0000:0000:0001 sport=40000 dport=80 src=2001:0db8:0000:0000:0000:0000:0000:0001 dst=2001:0db8:0000:0000:0000:0000:0000:0002 sport=80 dport=40000 [ASSURED] mark=0 zone=0 use=2
udp      17 29 src=192.0.2.2 dst=192.0.2.1 sport=5000 dport=53 src=192.0.2.1 dst=192.0.2.2 sport=53 dport=5000 mark=0 use=1
icmp     1 29 src=192.0.2.2 dst=192.0.2.1 type=8 code=0 id=7 src=192.0.2.1 dst=192.0.2.2 type=0 code=0 id=7 mark=0 use=1
tcp      6 431999 CLOSE
nonsense src=192.0.2.1
ipv4
\u{fffd} dst=x dport=99999999999

";

    fn count(probe: &ConntrackProbe) -> usize {
        TABLE.lines().filter(|line| probe.fits(line)).count()
    }

    #[test]
    fn entries_are_told_by_what_the_first_packet_was() {
        let to = |text: &str| Some(text.parse().expect("an address"));
        assert_eq!(count(&probe()), 3);
        let server = ConntrackProbe { destination: to("192.0.2.1"), port: Some(80), ..probe() };
        assert_eq!(count(&server), 2);
        assert_eq!(count(&ConntrackProbe { state: Some(State::Established), ..server.clone() }), 1);
        assert_eq!(count(&ConntrackProbe { state: Some(State::Unreplied), ..server.clone() }), 1);
        assert_eq!(count(&ConntrackProbe { state: Some(State::Assured), ..probe() }), 2);
        assert_eq!(count(&ConntrackProbe { state: Some(State::Close), ..probe() }), 0);
        assert_eq!(
            count(&ConntrackProbe { port: Some(8080), ..server.clone() }),
            0,
            "the answer's"
        );
        assert_eq!(count(&ConntrackProbe { destination: to("192.0.2.2"), ..probe() }), 0);
        assert_eq!(count(&ConntrackProbe { destination: to("2001:db8::1"), ..server }), 1);
        assert_eq!(count(&ConntrackProbe { protocol: Tracked::Udp, port: Some(53), ..probe() }), 1);
        assert_eq!(count(&ConntrackProbe { protocol: Tracked::Icmp, ..probe() }), 1);
        assert_eq!(count(&ConntrackProbe { protocol: Tracked::Icmpv6, ..probe() }), 0);
    }

    #[test]
    fn the_number_is_judged_and_told() {
        let ran = |end, stdout: &str| Ran { end, stdout: stdout.into(), stderr: b"why".to_vec() };
        let probe = ConntrackProbe {
            destination: Some("192.0.2.1".parse().expect("an address")),
            port: Some(80),
            state: Some(State::Established),
            ..probe()
        };
        let name = "tcp to 192.0.2.1:80 in state ESTABLISHED";
        let seen = probe.judge(&ran(CommandEnd::Status(0), TABLE));
        assert_eq!(seen, Ok(format!("1 entry for {name}, at least 1 expected")));
        let failure = probe.judge(&ran(CommandEnd::Status(0), "")).expect_err("there is none");
        assert_eq!(failure.detail, format!("0 entries for {name}, at least 1 expected"));
        let title = failure.wrong.expect("it is known").to_string();
        assert_eq!(title, format!("conntrack: entries for {name}: at least 1 expected"));
        let long = "x".repeat(ConntrackProbe::KEPT as usize);
        for (end, text, expected) in [
            (CommandEnd::Status(0), long.as_str(), "could not tell"),
            (CommandEnd::TimedOut, "", "did not end in time"),
            (CommandEnd::Status(1), "", "ended with status 1, expected status 0"),
        ] {
            let failure = probe.judge(&ran(end, text)).expect_err("it says nothing");
            assert_eq!(failure.wrong.expect("it is known").to_string(), expected);
        }
    }

    /// What is written into kept copies is what scenario files say.
    #[test]
    fn words_and_values_have_one_spelling() {
        for (word, state) in STATES {
            assert_eq!(serde_json::to_value(state).expect("plain"), word);
        }
        for (word, protocol) in PROTOCOLS {
            assert_eq!(serde_json::to_value(protocol).expect("plain"), word);
        }
    }
}
