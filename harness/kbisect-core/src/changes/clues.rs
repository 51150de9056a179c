//! What a change is compared with: names out of the scenario and out of the failed trial.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::Used;
use super::words;
use crate::scenario::{Action, NodeKernel, Scenario};
use crate::trial::{Symptom, TrialRecord};

/// Functions of a trace that are looked at, the innermost first.
const MAX_FRAMES: usize = 16;
/// What the names of our machines' own hardware begin with: every packet comes by there, whoever crashes on it.
const OWN_HARDWARE: [&str; 6] = ["virtio", "virtnet", "virtqueue", "vring", "vp_", "vhost"];
/// What such a name counts beside any other.
const OWN_SHARE: f64 = 0.1;
/// Most clues; a scenario can load any number of rules.
const MAX_CLUES: usize = 400;

/// What a clue is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ClueKind {
    /// A function of the failure's trace or title.
    Function,
    /// A module that the trace names.
    TraceModule,
    /// A match, target, statement or expression of the scenario's rules.
    Rule,
    /// A kind of device of the scenario.
    Device,
    /// A module that the scenario requires.
    Module,
    /// What another clue builds on; the clue's text is that one.
    BuildsOn,
    /// A sysctl that the scenario sets.
    Setting,
    /// A word that the user gave.
    Given,
    /// A protocol of the checks.
    Protocol,
    /// A part of the kernel that the scenario works with.
    Subsystem,
}

impl ClueKind {
    /// What it counts, in points, for a change that nothing else in the range is near to.
    pub(super) fn weight(self) -> f64 {
        match self {
            Self::Function => 10.0,
            Self::TraceModule | Self::Rule | Self::Device | Self::Given => 8.0,
            Self::Module => 6.0,
            Self::BuildsOn => 5.0,
            Self::Setting => 4.0,
            Self::Protocol => 1.5,
            Self::Subsystem => 1.0,
        }
    }

    /// The clue in words.
    pub(super) fn about(self, clue: &str) -> String {
        match self {
            Self::Function => format!("the failure's trace has {clue}"),
            Self::TraceModule => format!("the failure's trace names module {clue}"),
            Self::Rule => format!("the rules use {clue}"),
            Self::Device => format!("the scenario has a device of type {clue}"),
            Self::Module => format!("the scenario needs module {clue}"),
            Self::BuildsOn => format!("{clue}, which the scenario uses, builds on it"),
            Self::Setting => format!("the scenario sets {clue}"),
            Self::Given => format!("{clue} was asked for"),
            Self::Protocol => format!("the checks speak {clue}"),
            Self::Subsystem => format!("the scenario works with {clue}"),
        }
    }
}

/// One name to compare changes with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Clue {
    /// What it is.
    pub kind: ClueKind,
    /// The name that is looked for, in lower case.
    pub name: String,
    /// What people are told: the name, or that of the clue which led to it.
    pub told: String,
    /// Share of its kind's points, above 0 and up to 1.
    pub share: f64,
}

/// All that changes are compared with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clues {
    list: Vec<Clue>,
}

/// The share of a name in a trace that was not where it failed.
fn share_of(name: &str, share: f64) -> f64 {
    match OWN_HARDWARE.iter().any(|own| name.starts_with(own)) {
        true => OWN_SHARE,
        false => share,
    }
}

impl Clues {
    /// Collects what the scenario's nodes under test use, and what the failed trial shows.
    pub fn of(scenario: Option<&Scenario>, failed: Option<&TrialRecord>) -> Self {
        let mut clues = Self::default();
        if let Some(trial) = failed {
            if let Some(symptom) = &trial.symptom {
                clues.symptom(symptom);
            }
            let own = |report: &&crate::trial::ConsoleReport| {
                trial.symptom.as_ref().is_some_and(|symptom| symptom.title == report.title)
            };
            for report in trial.reports.iter().filter(own).take(1) {
                clues.trace(&report.text);
            }
        }
        if let Some(scenario) = scenario {
            clues.scenario(scenario);
        }
        clues
    }

    /// Adds names out of a text of the user's.
    pub fn text(&mut self, text: &str) {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        for word in words.map(str::to_ascii_lowercase).filter(|word| !words::is_common(word)) {
            self.add(ClueKind::Given, &word, 1.0);
        }
    }

    /// The clues, the strongest kinds first.
    pub fn list(&self) -> &[Clue] {
        &self.list
    }

    fn add(&mut self, kind: ClueKind, name: &str, share: f64) {
        self.add_told(kind, name, name, share);
    }

    fn add_told(&mut self, kind: ClueKind, name: &str, told: &str, share: f64) {
        let name = name.to_ascii_lowercase();
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let known = self.list.iter().any(|clue| clue.name == name && clue.kind <= kind);
        if name.len() < 2 || !name.bytes().all(plain) || known || self.list.len() == MAX_CLUES {
            return;
        }
        let told = super::changelog::clean(told);
        self.list.push(Clue { kind, name: name.clone(), told: told.clone(), share });
        if matches!(kind, ClueKind::Rule | ClueKind::Device | ClueKind::Module) {
            let feature = words::core_of(&name).unwrap_or(&name);
            for on in words::builds_on(feature) {
                let feature = feature.to_owned();
                self.add_told(ClueKind::BuildsOn, on, &feature, share);
            }
        }
    }

    fn symptom(&mut self, symptom: &Symptom) {
        for (n, frame) in symptom.frames.iter().take(MAX_FRAMES).enumerate() {
            let share = (1.0 - 0.05 * n as f64).max(0.3);
            self.add(ClueKind::Function, frame, if n > 0 { share_of(frame, share) } else { share });
        }
        // A title of the kernel's names functions; what we write ourselves has no underscore.
        for title in std::iter::once(&symptom.title).chain(&symptom.alt_titles) {
            let words = title.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            for word in words.filter(|word| word.contains('_')).take(MAX_FRAMES) {
                self.add(ClueKind::Function, word, 1.0);
            }
        }
    }

    /// Modules in a trace: `nft_do_chain+0x1/0x2 [nf_tables]`.
    fn trace(&mut self, text: &str) {
        for line in text.lines() {
            let Some((before, rest)) = line.rsplit_once(" [") else { continue };
            if let Some((name, after)) = rest.split_once(']')
                && before.contains("+0x")
                && after.trim().is_empty()
            {
                let name = name.split(' ').next().unwrap_or(name);
                let is_first = self.list.iter().all(|clue| clue.kind != ClueKind::TraceModule);
                let share = if is_first { 1.0 } else { share_of(name, 1.0) };
                self.add(ClueKind::TraceModule, name, share);
            }
        }
    }

    fn scenario(&mut self, scenario: &Scenario) {
        let under_test = |node: &str| {
            scenario.nodes.get(node).is_some_and(|node| node.kernel == NodeKernel::Candidate)
        };
        let mut used = Used::default();
        let asset = |file: &str| {
            let bytes = scenario.assets.get(file).map_or(&[][..], Vec::as_slice);
            String::from_utf8_lossy(bytes).into_owned()
        };
        let mut filters = false;
        let steps = scenario.setup.iter().chain(&scenario.replay);
        for step in steps.filter(|step| under_test(&step.node)) {
            filters |= step.action.loads_rules();
            match &step.action {
                Action::Nft(file) => used.nft(&asset(file)),
                Action::IptablesRestore(file) | Action::Ip6tablesRestore(file) => {
                    used.iptables(&asset(file));
                }
                Action::IpBatch(file) => used.devices(&asset(file)),
                Action::Run(line) => used.command(line),
                Action::Fault(_) => {}
            }
        }
        let own =
            || scenario.nodes.iter().filter(|(name, _)| under_test(name)).map(|(_, node)| node);
        own().flat_map(|node| &node.devices).for_each(|device| used.devices(device));
        for name in &used.rules {
            self.add(ClueKind::Rule, name, 1.0);
        }
        for name in &used.devices {
            self.add(ClueKind::Device, name, 1.0);
        }
        for name in &scenario.requires.modules {
            self.add(ClueKind::Module, name, 1.0);
        }
        for name in &scenario.requires.optional_modules {
            self.add(ClueKind::Module, name, 0.7);
        }
        for key in own().flat_map(|node| node.sysctl.keys()) {
            if let Some(name) = key.rsplit(['.', '/']).next() {
                self.add_told(ClueKind::Setting, name, key, 1.0);
            }
        }
        let protocols: BTreeSet<&str> =
            scenario.checks.iter().flat_map(|check| check.probe.protocols()).collect();
        for name in protocols {
            self.add(ClueKind::Protocol, name, 1.0);
        }
        if filters || !used.rules.is_empty() {
            self.add(ClueKind::Subsystem, "netfilter", 1.0);
        }
        for (name, is_v6) in [("ipv4", false), ("ipv6", true)] {
            if scenario.addresses().any(|(_, address)| address.is_ipv6() == is_v6) {
                self.add(ClueKind::Subsystem, name, 1.0);
            }
        }
    }
}
