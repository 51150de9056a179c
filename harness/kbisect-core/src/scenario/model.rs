//! The scenario model: what a `scenario.toml` says, after it was parsed and validated.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::check::{Check, is_zero};
use super::probes::HttpProbe;
use super::topology::{Links, Node, NodeKernel};
use crate::inject::{Declared, Fault};
use crate::trial::{SymptomKind, Verdict};

/// A whole scenario: nodes, links, set-up, workload, replay, checks.
///
/// Serde's shape of it is for plans and records. The file's shape is flatter (one action key a step)
/// and is read by [`Scenario::parse`](super::Scenario::parse).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Schema tag, `kbisect.scenario/1`.
    pub schema: String,
    /// Name: that of the scenario's folder. Not a key of the file.
    pub name: String,
    /// One line for lists.
    pub summary: String,
    /// Longer text for `scenario show` and reports.
    #[serde(default)]
    pub description: String,
    /// What people meet when it fails, in one sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub says: String,
    /// What a kernel must offer before it is worth a boot.
    #[serde(default)]
    pub requires: Requires,
    /// What the scenario needs in the root image.
    #[serde(default, skip_serializing_if = "ImageNeeds::is_empty")]
    pub image: ImageNeeds,
    /// The candidate machine.
    #[serde(default)]
    pub candidate: MachineOptions,
    /// The peer machine.
    #[serde(default)]
    pub peer: MachineOptions,
    /// Hosts by name.
    pub nodes: BTreeMap<String, Node>,
    /// Network segments by name; each maps a node to its interface there.
    #[serde(default)]
    pub links: Links,
    /// Steps before the workload starts, in order.
    #[serde(default)]
    pub setup: Vec<Step>,
    /// The application: started after the set-up, and must become ready.
    #[serde(default)]
    pub services: Vec<Service>,
    /// Steps after the workload is ready, in order.
    #[serde(default)]
    pub replay: Vec<Step>,
    /// What must hold, in order.
    pub checks: Vec<Check>,
    /// What a kernel `WARNING` (or another report that is not fatal) after boot means.
    #[serde(default)]
    pub warnings: WarningPolicy,
    /// The verdict on a healthy kernel, where it is known; `scenario selftest` compares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
    /// The way that the steps go, where the scenario has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<String>,
    /// Variations by name: `kbisect ... --scenario cloudgw:stateful`.
    #[serde(default)]
    pub flavours: BTreeMap<String, Flavour>,
    /// What its self-test breaks, beside what it breaks in every scenario.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Declared>,
    /// Files of the scenario that its steps, services and nodes name: relative path -> content.
    #[serde(skip, default)]
    pub assets: BTreeMap<String, Vec<u8>>,
}

/// A variation of a scenario: with other files, or without some of its ingredients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flavour {
    /// One line for lists.
    pub summary: String,
    /// What people meet when it fails, where that is something else than without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub says: Option<String>,
    /// Files that take another one's place: file that the scenario names -> file to use.
    #[serde(default)]
    pub replace: BTreeMap<String, String>,
    /// Names of steps, services and checks that are left out.
    #[serde(default)]
    pub without: Vec<String>,
    /// How often a step is repeated, by its name.
    #[serde(default)]
    pub repeat: BTreeMap<String, u32>,
    /// Nodes that run the other kernel.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kernels: BTreeMap<String, NodeKernel>,
    /// The steps of another way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<Way>,
    /// The verdict on a healthy kernel, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
}

/// All steps of a way, those included that every way has, and the checks that can be made by it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// Steps of the set-up.
    #[serde(default)]
    pub setup: Vec<Step>,
    /// Steps of the replay.
    #[serde(default)]
    pub replay: Vec<Step>,
    /// Checks.
    #[serde(default)]
    pub checks: Vec<Check>,
}

/// The verdict that a scenario is made for. Some are bad on every kernel: their rules are at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// Good.
    Good,
    /// Bad, with a symptom of this class.
    #[serde(untagged)]
    Bad(SymptomKind),
}

impl Expect {
    /// Whether a verdict is the expected one.
    pub fn is_met_by(self, verdict: &Verdict) -> bool {
        match self {
            Self::Good => *verdict == Verdict::Good,
            Self::Bad(kind) => verdict.symptom().is_some_and(|symptom| symptom.kind == kind),
        }
    }
}

impl std::fmt::Display for Expect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Good => f.write_str("good"),
            Self::Bad(kind) => kind.fmt(f),
        }
    }
}

/// What a scenario needs in the root image, beside what is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageNeeds {
    /// Packages of the image's own archive.
    pub packages: Vec<String>,
}

impl ImageNeeds {
    /// Whether nothing is needed.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }
}

/// What a kernel must offer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Requires {
    /// Modules by name, loadable or built in: `nf_synproxy_core`. A kernel without one is skipped.
    pub modules: Vec<String>,
    /// Modules that are loaded too where they exist. Older kernels have as modules of their own what
    /// newer ones hold inside another (`nft_counter`, `nft_objref`: later parts of `nf_tables`).
    pub optional_modules: Vec<String>,
    /// Config symbols that must be `y` or `m`: `CONFIG_NET_VRF`.
    pub config: Vec<String>,
    /// Kernels test their cryptography while they boot; left out otherwise, for a quicker boot.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub crypto_tests: bool,
}

/// Options of one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MachineOptions {
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Virtual CPUs.
    pub cpus: u32,
    /// Words added to the kernel command line.
    pub cmdline: Vec<String>,
}

impl Default for MachineOptions {
    fn default() -> Self {
        Self { memory_mib: 512, cpus: 1, cmdline: Vec::new() }
    }
}

/// One step of the set-up or the replay: exactly one action on one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Name for the progress line and reports; made from the action when left out.
    pub name: String,
    /// Where it runs.
    pub node: String,
    /// What is done.
    pub action: Action,
    /// How many times, one after the other.
    pub repeat: u32,
    /// Whether it is done on the peer machine while the candidate boots, before all other steps.
    #[serde(default)]
    pub early: bool,
    /// What a refusal (non-zero exit status) means.
    pub refusal: Refusal,
    /// Deadline in seconds for one repetition, before scaling for the accelerator.
    pub timeout_s: f64,
    /// The way that it is a step of; of all ways without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<String>,
    /// Line of `scenario.toml`, from 1; 0 where it is not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub line: u32,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// `nft -f FILE`.
    Nft(String),
    /// `iptables-restore FILE`.
    IptablesRestore(String),
    /// `ip6tables-restore FILE`.
    Ip6tablesRestore(String),
    /// `ip -batch FILE`.
    IpBatch(String),
    /// A shell script text, run by the guest's `sh -eu`. Never run on the host.
    Run(String),
    /// Something is broken on purpose, or mended.
    Fault(Fault),
}

impl Action {
    /// Whether the action loads packet filter rules, so that its failure is `rules-refused`.
    pub fn loads_rules(&self) -> bool {
        matches!(self, Self::Nft(_) | Self::IptablesRestore(_) | Self::Ip6tablesRestore(_))
    }

    /// The asset that it reads, if any.
    pub fn asset(&self) -> Option<&str> {
        match self {
            Self::Nft(file)
            | Self::IptablesRestore(file)
            | Self::Ip6tablesRestore(file)
            | Self::IpBatch(file) => Some(file),
            Self::Run(_) | Self::Fault(_) => None,
        }
    }
}

/// What it means when a step is refused on the candidate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// A symptom of its own: `rules-refused` for rules, `check-failed` for another step.
    #[default]
    Bad,
    /// Fine, whatever the kernel says: noted in the record, the trial goes on.
    Accept,
    /// Fine if the kernel says this.
    AcceptWords(String),
}

/// A part of the workload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Unique name.
    pub name: String,
    /// Where it runs.
    pub node: String,
    /// Program and arguments; `{assets}` stands for the folder of the scenario's files.
    pub command: Vec<String>,
    /// When it counts as ready.
    #[serde(default)]
    pub ready: Ready,
    /// Whether it is started again when it ends.
    #[serde(default)]
    pub restart: Restart,
    /// Whether its end during the trial is a symptom (`service-down`). One that is started again has
    /// not ended.
    #[serde(default = "yes")]
    pub must_stay: bool,
    /// Whether it is started on the peer machine while the candidate boots.
    #[serde(default)]
    pub early: bool,
    /// Deadline in seconds for becoming ready, before scaling.
    #[serde(default = "default_ready_s")]
    pub ready_timeout_s: f64,
    /// Line of `scenario.toml`, from 1; 0 where it is not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub line: u32,
}

pub(super) fn yes() -> bool {
    true
}

fn default_ready_s() -> f64 {
    10.0
}

/// Whether a service that ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Never.
    #[default]
    No,
    /// When it ended by a signal or with a status other than 0, at most so many times.
    OnFailure(u32),
    /// However it ended, at most so many times.
    Always(u32),
}

/// When a service counts as ready.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ready {
    /// As soon as it was started.
    #[default]
    Started,
    /// When something listens on this TCP port of the node.
    Tcp(u16),
    /// When something is bound to this UDP port of the node.
    Udp(u16),
    /// When a GET request from within the node is answered as it says; one connection is made every
    /// 100 ms.
    Http(HttpProbe),
    /// When this file exists in the node.
    File(String),
    /// When its output has a line that matches this regular expression.
    Log(String),
}

/// What a kernel report that is not fatal means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WarningPolicy {
    /// A symptom, if nothing else went wrong.
    #[default]
    Bad,
    /// Listed in the record only.
    Record,
}

impl Scenario {
    /// The scenario with one of its checks alone, which counts then; nothing when there is no such check.
    #[must_use]
    pub fn with_check(mut self, name: &str) -> Option<Self> {
        self.checks.retain(|check| check.name == name);
        let check = self.checks.first_mut()?;
        check.record_only = false;
        self.name = format!("{}:{name}", self.name);
        // What is expected of the whole, and what its faults are noticed by, is not this check's.
        self.expect = None;
        self.flavours.clear();
        self.faults.clear();
        Some(self)
    }

    /// Every address of the scenario with its node: those of interfaces and those of devices.
    pub fn addresses(&self) -> impl Iterator<Item = (&str, IpAddr)> {
        let on_links = self
            .links
            .values()
            .flatten()
            .map(|(node, interface)| (node.as_str(), interface.addresses.as_slice()));
        let on_devices = self.nodes.iter().flat_map(|(name, node)| {
            node.addresses.values().map(move |addresses| (name.as_str(), addresses.as_slice()))
        });
        on_links.chain(on_devices).flat_map(|(node, addresses)| {
            addresses
                .iter()
                .filter_map(move |address| Some((node, address.split('/').next()?.parse().ok()?)))
        })
    }

    /// Names of the nodes that run the given kernel, in order.
    pub fn nodes_on(&self, kernel: NodeKernel) -> impl Iterator<Item = &str> {
        self.nodes
            .iter()
            .filter(move |(_, node)| node.kernel == kernel)
            .map(|(name, _)| name.as_str())
    }
}
