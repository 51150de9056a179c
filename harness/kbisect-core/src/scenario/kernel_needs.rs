//! What a scenario needs of the kernel under test, as far as its text tells.

use std::collections::BTreeSet;

use super::model::{Action, Scenario, Service, Step};
use super::probes::Probe;
use super::topology::{Node, NodeKernel};
use crate::judge::module_of_device;

/// Most words that are kept.
const MOST_WORDS: usize = 20_000;
/// Longest word that is kept, in bytes; no option's name is longer.
const LONGEST_WORD: usize = 64;
/// Most of each text that is read, in bytes.
const MOST_TEXT: usize = 1 << 20;
/// Most of all texts that is read, in bytes.
const MOST_TEXTS: usize = 16 << 20;

/// What a kernel must be built with for a scenario: names that are sure, and words that may be names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelNeeds {
    /// Modules that it must have: those that the scenario requires, and drivers of the devices that its
    /// nodes declare.
    pub modules: BTreeSet<String>,
    /// Modules that it is to have where they exist.
    pub optional: BTreeSet<String>,
    /// Configuration symbols that must be set, without `CONFIG_`.
    pub config: BTreeSet<String>,
    /// Distinct words, `[a-z0-9_-]+`, of steps, services, checks, routes, sysctls and files.
    pub words: BTreeSet<String>,
    /// The kernel tests its cryptography while it boots.
    pub crypto_tests: bool,
}

impl Scenario {
    /// Lists what the scenario needs of the kernel under test, in all its flavours and ways. Nodes of the
    /// reference kernel alone do not count.
    #[must_use]
    pub fn kernel_needs(&self) -> KernelNeeds {
        let mut reading = Reading::default();
        reading.needs.modules.extend(self.requires.modules.iter().cloned());
        reading.needs.optional.extend(self.requires.optional_modules.iter().cloned());
        let symbols = self.requires.config.iter();
        let symbols = symbols.map(|it| it.strip_prefix("CONFIG_").unwrap_or(it).to_owned());
        reading.needs.config.extend(symbols);
        reading.needs.crypto_tests = self.requires.crypto_tests;
        let tested: BTreeSet<&str> = self.tested_nodes();
        for (_, node) in self.nodes.iter().filter(|(name, _)| tested.contains(name.as_str())) {
            reading.node(node);
        }
        let ways = self.flavours.values().filter_map(|flavour| flavour.way.as_ref());
        let of_ways = ways.clone().flat_map(|way| way.setup.iter().chain(&way.replay));
        for step in self.setup.iter().chain(&self.replay).chain(of_ways) {
            if tested.contains(step.node.as_str()) {
                reading.step(step);
            }
        }
        for Service { command, .. } in
            self.services.iter().filter(|service| tested.contains(service.node.as_str()))
        {
            command.iter().for_each(|word| reading.text(word));
        }
        for check in self.checks.iter().chain(ways.flat_map(|way| &way.checks)) {
            if tested.contains(check.node.as_str()) {
                reading.probe(&check.probe);
            }
        }
        for content in self.assets.values() {
            // A capture is no text.
            if let Ok(text) = std::str::from_utf8(content) {
                reading.text(text);
            }
        }
        reading.needs
    }

    /// Nodes that run the kernel under test, in a flavour at least.
    fn tested_nodes(&self) -> BTreeSet<&str> {
        let flavours = self.flavours.values().flat_map(|flavour| &flavour.kernels);
        let in_flavours = flavours.filter(|(_, kernel)| **kernel == NodeKernel::Candidate);
        let always = self.nodes_on(NodeKernel::Candidate);
        always.chain(in_flavours.map(|(name, _)| name.as_str())).collect()
    }
}

#[derive(Default)]
struct Reading {
    needs: KernelNeeds,
    /// Bytes that were read.
    read: usize,
}

impl Reading {
    fn node(&mut self, node: &Node) {
        for device in &node.devices {
            // A driver that is not known is called like its kind, as most are.
            let module = kinds(device).next().map(|kind| module_of_device(kind).unwrap_or(kind));
            self.needs.modules.extend(module.map(str::to_owned));
            self.text(device);
        }
        for (key, value) in &node.sysctl {
            self.text(key);
            self.text(&value.to_string());
        }
        node.routes.iter().for_each(|route| self.text(route));
    }

    fn step(&mut self, step: &Step) {
        match &step.action {
            Action::Nft(_) => self.word("nft"),
            Action::IptablesRestore(_) => self.word("iptables-restore"),
            Action::Ip6tablesRestore(_) => self.word("ip6tables-restore"),
            Action::IpBatch(_) => self.word("ip"),
            Action::Run(script) => self.text(script),
            Action::Fault(_) => {}
        }
    }

    fn probe(&mut self, probe: &Probe) {
        probe.texts().into_iter().for_each(|text| self.text(text));
    }

    fn text(&mut self, text: &str) {
        let most = MOST_TEXT.min(MOST_TEXTS - self.read).min(text.len());
        let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let text = &text[..end];
        self.read += end;
        let modules = text.lines().flat_map(kinds).filter_map(module_of_device);
        self.needs.optional.extend(modules.map(str::to_owned));
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        text.split(|c| !is_part(c)).for_each(|word| self.word(word));
    }

    fn word(&mut self, word: &str) {
        let fits = (1..=LONGEST_WORD).contains(&word.len());
        if fits && self.needs.words.len() < MOST_WORDS {
            self.needs.words.insert(word.to_ascii_lowercase());
        }
    }
}

/// Kinds of devices in a line: what stands behind `type` in arguments of ip(8), without the shell's signs.
fn kinds(line: &str) -> impl Iterator<Item = &str> {
    let words = line.split_whitespace();
    let pairs = words.clone().zip(words.skip(1));
    let kinds = pairs.filter(|(word, _)| *word == "type").map(|(_, kind)| kind);
    kinds
        .map(|kind| kind.trim_matches(|c: char| !c.is_ascii_alphanumeric()))
        .filter(|kind| !kind.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
schema = "kbisect.scenario/1"
summary = "s"

[requires]
modules = ["nf_tables", "nft_ct"]
optional_modules = ["nft_counter"]
config = ["CONFIG_NET_VRF"]

[nodes.gw]
kernel = "candidate"
devices = ["vrf-gw type vrf table 10", "link eth0 name eth0.5 type vlan id 5", "n0 type netkit"]
sysctl = { "net.ipv4.tcp_congestion_control" = "bbr" }

[nodes.peer]
kernel = "reference"
devices = ["d0 type dummy"]

[links.lan]
gw = { name = "eth0", addresses = ["192.0.2.1/24"] }
peer = { name = "eth0", addresses = ["192.0.2.2/24"] }

[[setup]]
node = "gw"
iptables-restore = "rules.v4"

[[setup]]
node = "gw"
run = "ip link add b0 type bond; tc qdisc add dev eth0 root netem delay 5ms"

[[setup]]
node = "peer"
run = "ip link add m0 type macvlan; echo onlypeer"

[[checks]]
name = "c"
node = "gw"
command = { run = "conntrack -L" }
"#;

    fn needs(text: &str, rules: &[u8]) -> KernelNeeds {
        let parsed = Scenario::parse("s", "scenario.toml", text).unwrap();
        let mut scenario = parsed.scenario;
        scenario.assets.insert("rules.v4".to_owned(), rules.to_vec());
        scenario.kernel_needs()
    }

    #[test]
    fn modules_are_those_required_and_those_of_devices() {
        let needs = needs(TEXT, b"");
        let modules: Vec<&str> = needs.modules.iter().map(String::as_str).collect();
        assert_eq!(modules, ["8021q", "netkit", "nf_tables", "nft_ct", "vrf"]);
        assert!(needs.optional.contains("nft_counter"));
        assert!(needs.optional.contains("bonding"), "{:?}", needs.optional);
        assert!(!needs.optional.contains("macvlan"), "the reference kernel makes it");
        assert!(needs.config.contains("NET_VRF"));
    }

    #[test]
    fn words_are_those_of_steps_files_checks_and_sysctls() {
        let rules = b"-A POSTROUTING -m connlimit -j MASQUERADE\n";
        let words = needs(TEXT, rules).words;
        for word in [
            "-m",
            "connlimit",
            "masquerade",
            "netem",
            "conntrack",
            "bbr",
            "iptables-restore",
            "vrf",
        ] {
            assert!(words.contains(word), "{word}");
        }
        assert!(!words.contains("onlypeer"));
    }

    #[test]
    fn hostile_files_are_bounded() {
        let many: String = (0..3 * MOST_WORDS).map(|n| format!("w{n} ")).collect();
        assert_eq!(needs(TEXT, many.as_bytes()).words.len(), MOST_WORDS);
        let long = "x".repeat(LONGEST_WORD + 1);
        assert!(!needs(TEXT, long.as_bytes()).words.contains(&long));
        let cut = "é".repeat(MOST_TEXT);
        assert!(!needs(TEXT, cut.as_bytes()).words.is_empty());
        assert!(!needs(TEXT, b"\xff synproxy").words.contains("synproxy"), "that is no text");
    }

    #[test]
    fn a_flavour_that_swaps_kernels_counts() {
        let text = format!(
            "{TEXT}\n[flavours.turned]\nsummary = \"t\"\nkernels = {{ peer = \"candidate\" }}\n"
        );
        assert!(needs(&text, b"").modules.contains("dummy"));
    }
}
