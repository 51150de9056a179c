//! The kinds of failure, and what is so for each.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a kernel failed, in classes that can be compared. The contract's closed list.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum SymptomKind {
    /// The kernel stopped itself.
    Panic,
    /// A fault in the kernel that it tried to survive.
    Oops,
    /// `WARNING` and other reports that are not fatal.
    Warning,
    /// Lock-up, stall, or silence.
    Hang,
    /// The machine restarted or switched itself off without a word.
    Reboot,
    /// Replies (or requests to a server under test) arrived and were lost inside a node.
    LostIngress,
    /// Packets that should have left a node did not.
    LostEgress,
    /// A check failed in another way.
    CheckFailed,
    /// The packet filter refused the rules.
    RulesRefused,
    /// A service ended or did not become ready.
    ServiceDown,
    /// User space was not reached.
    BootFailed,
}

/// What is so for all failures of a kind.
struct Traits {
    word: &'static str,
    /// What failed.
    part: Part,
    /// Whether something was not done in time.
    in_time: bool,
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The kernel told of it, and went on.
    Report,
    /// The machine is down, or is as good as down.
    Machine,
    /// The machine did not come up.
    Boot,
    /// A check lost packets.
    Packets,
    /// A check, rules or a service: so does a scenario that is wrong.
    Scenario,
}

impl SymptomKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Panic,
        Self::Oops,
        Self::Warning,
        Self::Hang,
        Self::Reboot,
        Self::LostIngress,
        Self::LostEgress,
        Self::CheckFailed,
        Self::RulesRefused,
        Self::ServiceDown,
        Self::BootFailed,
    ];

    const fn traits(self) -> Traits {
        let (word, part, in_time) = match self {
            Self::Panic => ("panic", Part::Machine, false),
            Self::Oops => ("oops", Part::Machine, false),
            Self::Warning => ("warning", Part::Report, false),
            Self::Hang => ("hang", Part::Machine, false),
            Self::Reboot => ("reboot", Part::Machine, false),
            Self::LostIngress => ("lost-ingress", Part::Packets, true),
            Self::LostEgress => ("lost-egress", Part::Packets, true),
            Self::CheckFailed => ("check-failed", Part::Scenario, true),
            Self::RulesRefused => ("rules-refused", Part::Scenario, false),
            Self::ServiceDown => ("service-down", Part::Scenario, true),
            Self::BootFailed => ("boot-failed", Part::Boot, true),
        };
        Traits { word, part, in_time }
    }

    /// The word for it.
    pub const fn word(self) -> &'static str {
        self.traits().word
    }

    /// Whether a scenario that is wrong fails in this way.
    pub fn can_be_the_scenarios(self) -> bool {
        self.traits().part == Part::Scenario
    }

    /// Whether it is a failure of checks, which have names.
    pub fn is_of_checks(self) -> bool {
        self == Self::CheckFailed || self.traits().part == Part::Packets
    }

    /// Whether it is one of the kernel as a whole, not of a node's traffic.
    pub fn is_of_kernel(self) -> bool {
        matches!(self.traits().part, Part::Report | Part::Machine | Part::Boot)
    }

    /// Whether the kernel crashed, hung or went away: its memory is worth a look.
    pub fn is_of_machine(self) -> bool {
        self.traits().part == Part::Machine
    }

    /// Whether the kernel says something of it on its console; what restarts does so without a word.
    pub fn prints(self) -> bool {
        matches!(self.traits().part, Part::Report | Part::Machine) && self != Self::Reboot
    }

    /// Whether something was not done in time: where a clock is wrong that says nothing. Of stalls,
    /// which are a guest's own statement about time, the judge knows more.
    pub fn is_in_time(self) -> bool {
        self.traits().in_time
    }

    /// Whether it can be named as what a scenario expects: that comes after the boot.
    pub fn can_be_expected(self) -> bool {
        self.traits().part != Part::Boot
    }
}

impl fmt::Display for SymptomKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_documents() {
        for kind in SymptomKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
        let kinds: std::collections::BTreeSet<SymptomKind> = SymptomKind::ALL.into();
        let schema = schemars::schema_for!(SymptomKind);
        assert_eq!(kinds.len(), schema.as_value()["oneOf"].as_array().unwrap().len());
    }
}
