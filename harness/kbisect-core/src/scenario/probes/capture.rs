//! `capture`: captured traffic that must pass through the node.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::super::assets::AssetRef;
use super::super::cursor::Item;
use super::super::kept_rules::{Checked, KeptCheck, invalid, known, rule, within};
use super::super::suggest::choices;
use super::super::topology::check_node;
use super::super::words;
use super::kind::{Kind, Reading};

/// VLAN tags (IEEE 802.1Q: 0 and 4095 have a meaning of their own).
const VLAN: RangeInclusive<u16> = 1..=4094;

/// Captured traffic: its frames enter the check's node on one link and must leave it on another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptureProbe {
    /// The capture, pcap or pcapng, a file of the scenario.
    pub file: String,
    /// Link on which the frames enter.
    pub enter: String,
    /// Node on that link in whose name they are sent.
    pub from: String,
    /// Link on which they must leave.
    pub leave: String,
    /// VLAN tag that they enter with.
    #[serde(default)]
    pub vlan: Option<u16>,
    /// Addresses to replace before they enter: captured address -> address in the scenario.
    #[serde(default)]
    pub rewrite: BTreeMap<IpAddr, IpAddr>,
}

impl CaptureProbe {
    pub(super) fn read(item: &Item<'_>, reading: &mut Reading<'_>) -> Option<Self> {
        let table = item.table()?;
        let file = table.require("file", "a pcap or pcapng file of the scenario");
        let file = file.and_then(|item| AssetRef::read(&item, reading.assets));
        let link = |key, what| table.require(key, what).and_then(|item| item.parsed(words::name));
        let enter = link("enter", "the link on which the frames enter");
        let leave = link("leave", "the link on which they must leave");
        let from = table.require("from", "the node in whose name they are sent").and_then(|item| {
            let node = item.text()?;
            check_node(&item, node, reading.nodes);
            Some(node.to_owned())
        });
        let vlan = table.get("vlan").and_then(|item| item.number(VLAN));
        let mut rewrite = BTreeMap::new();
        if let Some(addresses) = table.get("rewrite").and_then(|item| item.table()) {
            for (old, item) in addresses.entries() {
                match words::host(old) {
                    Ok(old) => rewrite.extend(item.parsed(words::host).map(|new| (old, new))),
                    Err(message) => item.wrong(message),
                }
            }
        }
        table.finish();
        let probe = Self { file: file?, enter: enter?, from: from?, leave: leave?, vlan, rewrite };
        probe.check_links(item, reading);
        Some(probe)
    }

    /// The links exist, and the nodes are on them.
    fn check_links(&self, item: &Item<'_>, reading: &Reading<'_>) {
        let Some(node) = reading.node else { return };
        for (key, link, members) in [
            ("enter", &self.enter, vec![node, self.from.as_str()]),
            ("leave", &self.leave, vec![node]),
        ] {
            let wrong = |message: String| {
                item.findings.wrong(&format!("{}.{key}", item.path), message);
            };
            let Some(found) = reading.links.get(link) else {
                let known = choices(link, reading.links.keys().map(String::as_str));
                wrong(format!("no link named `{link}` (links are: {known})"));
                continue;
            };
            for node in members.into_iter().filter(|node| !found.contains_key(*node)) {
                wrong(format!("node `{node}` is not on link `{link}`"));
            }
        }
    }
}

impl Kind for CaptureProbe {
    fn verifies_payload(&self) -> bool {
        true
    }

    fn uses_network(&self) -> bool {
        true
    }

    fn summary(&self) -> String {
        let Self { file, enter, from, leave, .. } = self;
        format!("replays {file} from {from} on {enter}, expects it on {leave}")
    }

    fn advice(&self) -> &'static str {
        "the frames came from elsewhere: look for a node that sends the same"
    }

    fn wrong_asset(&self, files: &BTreeMap<String, Vec<u8>>) -> Option<(&'static str, String)> {
        let error = crate::capture::read(files.get(&self.file)?).err()?;
        Some(("capture.file", format!("cannot replay `{}`: {error}", self.file)))
    }

    fn check_kept(&self, check: &KeptCheck<'_>) -> Checked {
        let KeptCheck { key, node, nodes, links } = *check;
        rule(key, words::asset_path(&self.file))?;
        known(key, &self.from, nodes)?;
        for link in [&self.enter, &self.leave] {
            if !links.get(link).is_some_and(|members| members.contains_key(node)) {
                return Err(invalid(key, "its node is not on a link that it names"));
            }
        }
        if !links[&self.enter].contains_key(&self.from) {
            return Err(invalid(key, "the sending node is not on the link"));
        }
        match self.vlan {
            Some(vlan) => within(key, vlan, VLAN),
            None => Ok(()),
        }
    }
}
