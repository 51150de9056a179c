//! What every kind of check says of itself.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::super::assets::AssetRef;
use super::super::kept_rules::{Checked, KeptCheck};
use super::super::model::Step;
use super::super::topology::{Links, Node};
use crate::flow::Transport;
use crate::rules::Rule;

/// What a kind of check is asked by the rest.
pub trait Kind {
    /// Whether it looks at bytes that an application received.
    fn verifies_payload(&self) -> bool;

    /// Whether it only asks if the node lives.
    fn is_liveness(&self) -> bool {
        false
    }

    /// The server that it talks to, where the scenario says which.
    fn server(&self) -> Option<Server> {
        None
    }

    /// Whether it says that it is about traffic between nodes.
    fn uses_network(&self) -> bool {
        self.server().is_some()
    }

    /// Whether it cannot pass without frames of its own on the wires.
    fn needs_frames(&self) -> bool {
        true
    }

    /// Names of protocols, as changes of a kernel write them.
    fn protocols(&self) -> Vec<&'static str> {
        let server = self.server();
        server.into_iter().map(|server| server.transport.word()).collect()
    }

    /// Name of a step that it does again.
    fn does_again(&self) -> Option<&str> {
        None
    }

    /// Texts whose words may be names of what the node's kernel has to have.
    fn texts(&self) -> Vec<&str> {
        Vec::new()
    }

    /// What it does, for `kbisect scenario show`.
    fn summary(&self) -> String;

    /// What to do when it passes with all wires cut.
    fn advice(&self) -> &'static str {
        "the answer comes from the node itself: look for a rule that redirects it, and for an address \
         that the node has too"
    }

    /// What is allowed but probably not meant, and the key that it stands under; `packages` are those
    /// that the scenario adds to the root image.
    fn lint(&self, packages: &[String]) -> Option<(&'static str, String)> {
        let _ = packages;
        None
    }

    /// Whether it looks at what this rule counted.
    fn counts(&self, rule: &Rule) -> bool {
        let _ = rule;
        false
    }

    /// The case that it names of a program, where it looks at one alone.
    fn case_of(&self, program: &[String]) -> Option<&str> {
        let _ = program;
        None
    }

    /// Whether a file of the scenario cannot be used: the key that names it, and why.
    fn wrong_asset(&self, files: &BTreeMap<String, Vec<u8>>) -> Option<(&'static str, String)> {
        let _ = files;
        None
    }

    /// Holds the values of a kept scenario against the rules of scenario files.
    ///
    /// # Errors
    /// The first value that breaks one.
    fn check_kept(&self, check: &KeptCheck<'_>) -> Checked;
}

/// Where a check goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Protocol.
    pub transport: Transport,
    /// Address and port.
    pub at: SocketAddr,
    /// Key of the check that says so, such as `http.url`.
    pub key: &'static str,
}

impl Server {
    pub(super) fn tcp(host: IpAddr, port: u16, key: &'static str) -> Self {
        Self { transport: Transport::Tcp, at: SocketAddr::new(host, port), key }
    }

    pub(super) fn udp(host: IpAddr, port: u16, key: &'static str) -> Self {
        Self { transport: Transport::Udp, at: SocketAddr::new(host, port), key }
    }
}

/// What a check can refer to while it is read.
pub struct Reading<'a> {
    /// Nodes by name.
    pub nodes: &'a BTreeMap<String, Node>,
    /// Links by name.
    pub links: &'a Links,
    /// The check's node, if it names one.
    pub node: Option<&'a str>,
    /// Steps of the set-up and the replay.
    pub steps: &'a [&'a Step],
    /// Files that were named so far.
    pub assets: &'a mut Vec<AssetRef>,
}
