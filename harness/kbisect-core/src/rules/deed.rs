//! What rules do to packets, as far as it can be told from their words.

use std::fmt;

/// What a rule does to a packet, beside letting it pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// Dropped without a word.
    Drop,
    /// Refused with an answer.
    Reject,
    /// How many connections or packets there may be.
    Limit,
    /// Handed to a program.
    Queue,
    /// Taken by a local socket.
    Tproxy,
    /// Sent to the host itself.
    Redirect,
    /// The source becomes the host's own address.
    Masquerade,
    /// Another source.
    Snat,
    /// Another destination.
    Dnat,
    /// The handshake is made by the host.
    Synproxy,
    /// Connections that go past the rules once they stand.
    Offload,
}

/// Words of nft, the heaviest deed first.
const NFT: [(&str, Deed); 10] = [
    ("synproxy", Deed::Synproxy),
    ("dnat", Deed::Dnat),
    ("snat", Deed::Snat),
    ("masquerade", Deed::Masquerade),
    ("redirect", Deed::Redirect),
    ("tproxy", Deed::Tproxy),
    ("queue", Deed::Queue),
    ("reject", Deed::Reject),
    ("drop", Deed::Drop),
    ("flow", Deed::Offload),
];
/// Targets of iptables.
const TARGETS: [(&str, Deed); 11] = [
    ("SYNPROXY", Deed::Synproxy),
    ("DNAT", Deed::Dnat),
    ("SNAT", Deed::Snat),
    ("NETMAP", Deed::Dnat),
    ("MASQUERADE", Deed::Masquerade),
    ("REDIRECT", Deed::Redirect),
    ("TPROXY", Deed::Tproxy),
    ("NFQUEUE", Deed::Queue),
    ("REJECT", Deed::Reject),
    ("DROP", Deed::Drop),
    ("FLOWOFFLOAD", Deed::Offload),
];

impl Deed {
    /// Whether it is what a gateway is there for: a scenario that never meets such a rule does not test it.
    /// What drops or refuses is often there for what must not come.
    #[must_use]
    pub fn is_function(self) -> bool {
        !matches!(self, Self::Drop | Self::Reject | Self::Queue | Self::Offload)
    }

    /// That of an nft rule. `ct status dnat` asks what was done, and does nothing.
    pub(super) fn of_nft(words: &[String]) -> Option<Self> {
        let done = |at: usize, word: &str| {
            words[at] == word
                && (at == 0 || !matches!(words[at - 1].as_str(), "status" | "," | "!="))
        };
        let limit = words.windows(2).any(|pair| pair[0] == "ct" && pair[1] == "count");
        if limit {
            return Some(Self::Limit);
        }
        let found = |word: &str| (0..words.len()).any(|at| done(at, word));
        NFT.iter().find(|(word, _)| found(word)).map(|(_, deed)| *deed)
    }

    /// That of a rule of iptables, from its target and its matches.
    pub(super) fn of_iptables(target: &str, words: &[String]) -> Option<Self> {
        let matches = |name: &str| words.windows(2).any(|pair| pair[0] == "-m" && pair[1] == name);
        if matches("connlimit") || matches("hashlimit") && matches!(target, "DROP" | "REJECT") {
            return Some(Self::Limit);
        }
        TARGETS.iter().find(|(word, _)| *word == target).map(|(_, deed)| *deed)
    }
}

impl fmt::Display for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drop => "drop",
            Self::Reject => "reject",
            Self::Limit => "limit",
            Self::Queue => "queue",
            Self::Tproxy => "tproxy",
            Self::Redirect => "redirect",
            Self::Masquerade => "masquerade",
            Self::Snat => "snat",
            Self::Dnat => "dnat",
            Self::Synproxy => "synproxy",
            Self::Offload => "flow offload",
        })
    }
}
