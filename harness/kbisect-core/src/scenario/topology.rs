//! Hosts and how they are linked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cursor::Item;
use super::suggest::choices;
use super::words;

/// Which kernel a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeKernel {
    /// The kernel under test.
    Candidate,
    /// The fixed kernel that everything else runs on.
    Reference,
}

impl NodeKernel {
    /// Its words in a scenario's file.
    pub(super) const WORDS: [(&'static str, Self); 2] =
        [("candidate", Self::Candidate), ("reference", Self::Reference)];
}

/// Which machine a node is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeMachine {
    /// That of all nodes with its kernel.
    #[default]
    Shared,
    /// One of its own, which can crash, restart, or have another clock without the others.
    Own,
}

impl NodeMachine {
    /// Whether it is shared.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        *self == Self::Shared
    }
}

/// One host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Which kernel it runs.
    pub kernel: NodeKernel,
    /// Which machine it is on.
    #[serde(default, skip_serializing_if = "NodeMachine::is_shared")]
    pub machine: NodeMachine,
    /// One line for reports: `internet server`.
    #[serde(default)]
    pub role: String,
    /// sysctls by dotted name, written before addresses are set.
    #[serde(default)]
    pub sysctl: BTreeMap<String, SysctlValue>,
    /// Extra virtual interfaces, as `ip link add` arguments: `vrf-gw type vrf table 10`.
    #[serde(default)]
    pub devices: Vec<String>,
    /// Addresses of devices, by device name: `{ "data0.1120" = ["192.0.2.1/24"] }`. Those of the
    /// interfaces on links stand there.
    #[serde(default)]
    pub addresses: BTreeMap<String, Vec<String>>,
    /// Routes, as `ip route add` arguments: `default via 192.0.2.1`.
    #[serde(default)]
    pub routes: Vec<String>,
    /// Lines of `scenario.toml`, from 1: of the node under an empty key, of its parts under
    /// `devices[0]`, `routes[0]`, `sysctl.KEY`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lines: BTreeMap<String, u32>,
}

/// A sysctl's value as TOML has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SysctlValue {
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
}

impl std::fmt::Display for SysctlValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// A node's interface on a link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// Interface name inside the node.
    pub name: String,
    /// Addresses with prefix length: `192.0.2.10/24`.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Name of the VRF (or bridge) device that the interface is put under.
    #[serde(default)]
    pub master: Option<String>,
    /// MTU in bytes.
    #[serde(default)]
    pub mtu: Option<u32>,
}

/// Network segments by name; each maps a node to its interface there.
pub type Links = BTreeMap<String, BTreeMap<String, Interface>>;

/// Reports a node that does not exist.
pub(super) fn check_node(item: &Item<'_>, node: &str, nodes: &BTreeMap<String, Node>) {
    if nodes.contains_key(node) {
        return;
    }
    let known = choices(node, nodes.keys().map(String::as_str));
    item.wrong(format!("no node named `{}` (nodes are: {known})", words::shown(node)));
}
