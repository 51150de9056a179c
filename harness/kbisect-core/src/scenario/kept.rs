//! The copy of a scenario that a run keeps, as JSON. It may have come from anybody since: what
//! `scenario.toml` must not say, it must not say either.

use std::collections::BTreeSet;

use super::check::Check;
use super::kept_rules::{Checked, KeptCheck, KeptError, invalid, known, rule, texts, within};
use super::model::{Action, MachineOptions, Ready, Refusal, Restart, Scenario, Service, Step};
use super::topology::{Node, NodeKernel};
use super::{actions, parse, words};
use crate::inject::{Fault, Target};

impl Scenario {
    /// Reads the JSON form, without the scenario's files. The rules are those of the file's form, as far
    /// as they are about single values and about names that refer to each other.
    ///
    /// # Errors
    /// [`KeptError`] with the first value that breaks a rule.
    pub fn from_kept(json: &[u8]) -> Result<Self, KeptError> {
        let scenario: Self = serde_json::from_slice(json)?;
        scenario.check_kept()?;
        Ok(scenario)
    }

    fn check_kept(&self) -> Checked {
        if self.schema != parse::SCHEMA {
            return Err(invalid(
                "schema",
                format!("`{}` is not known", words::shown(&self.schema)),
            ));
        }
        let (name, flavour) = self.name.split_once(':').unwrap_or((&self.name, "x"));
        rule("name", words::name(name).and_then(|_| words::check_name(flavour)))?;
        rule("description", words::prose(&self.description))?;
        if !self.says.is_empty() {
            rule("says", words::line(&self.says))?;
        }
        if let Some(way) = &self.way {
            rule("way", words::name(way))?;
        }
        texts("requires.modules", &self.requires.modules, words::module)?;
        texts("requires.optional_modules", &self.requires.optional_modules, words::module)?;
        texts("requires.config", &self.requires.config, words::config_symbol)?;
        texts("image.packages", &self.image.packages, words::package)?;
        machine("candidate", &self.candidate)?;
        machine("peer", &self.peer)?;
        for (name, node) in &self.nodes {
            let key = format!("nodes.{}", words::shown(name));
            rule(&key, words::name(name))?;
            check_node(&key, node)?;
        }
        if self.nodes_on(NodeKernel::Candidate).next().is_none() {
            return Err(invalid("nodes", "no node runs the kernel under test"));
        }
        self.check_links()?;
        for (key, steps) in [("setup", &self.setup), ("replay", &self.replay)] {
            for (index, step) in steps.iter().enumerate() {
                self.check_step(&format!("{key}[{index}]"), step)?;
            }
        }
        let mut names = BTreeSet::new();
        for (index, service) in self.services.iter().enumerate() {
            let key = format!("services[{index}]");
            self.check_service(&key, service)?;
            unique(&key, &service.name, &mut names)?;
        }
        let mut names = BTreeSet::new();
        for (index, check) in self.checks.iter().enumerate() {
            let key = format!("checks[{index}]");
            self.check_check(&key, check)?;
            unique(&key, &check.name, &mut names)?;
        }
        for (index, declared) in self.faults.iter().enumerate() {
            let key = format!("faults[{index}]");
            rule(&key, words::line(&declared.name))?;
            self.check_fault(&key, &declared.fault)?;
        }
        for (name, flavour) in &self.flavours {
            let key = format!("flavours.{}", words::shown(name));
            rule(&key, words::name(name))?;
            for path in flavour.replace.iter().flat_map(|(old, new)| [old, new]) {
                rule(&key, words::asset_path(path))?;
            }
            for node in flavour.kernels.keys() {
                known(&key, node, &self.nodes)?;
            }
            for repeat in flavour.repeat.values() {
                within(&key, *repeat, actions::REPEAT)?;
            }
            let steps = flavour.way.iter().flat_map(|way| way.setup.iter().chain(&way.replay));
            steps.into_iter().try_for_each(|step| self.check_step(&key, step))?;
            let checks = flavour.way.iter().flat_map(|way| &way.checks);
            checks.into_iter().try_for_each(|check| self.check_check(&key, check))?;
        }
        Ok(())
    }

    fn check_links(&self) -> Checked {
        for (link, members) in &self.links {
            let key = format!("links.{}", words::shown(link));
            rule(&key, words::name(link))?;
            for (node, interface) in members {
                let key = format!("{key}.{}", words::shown(node));
                known(&key, node, &self.nodes)?;
                rule(&key, words::interface(&interface.name))?;
                texts(&key, &interface.addresses, words::address)?;
                if let Some(master) = &interface.master {
                    rule(&key, words::interface(master))?;
                }
                if let Some(mtu) = interface.mtu {
                    within(&key, mtu, parse::MTU)?;
                }
            }
        }
        Ok(())
    }

    fn check_step(&self, key: &str, step: &Step) -> Checked {
        rule(key, words::line(&step.name))?;
        known(key, &step.node, &self.nodes)?;
        match &step.action {
            Action::Run(script) => rule(key, words::script(script))?,
            Action::Fault(fault) => self.check_fault(key, fault)?,
            Action::Nft(file)
            | Action::IptablesRestore(file)
            | Action::Ip6tablesRestore(file)
            | Action::IpBatch(file) => rule(key, words::asset_path(file))?,
        }
        match &step.refusal {
            Refusal::Bad | Refusal::Accept => {}
            Refusal::AcceptWords(said) => rule(key, words::line(said))?,
        }
        within(key, step.repeat, actions::REPEAT)?;
        within(key, step.timeout_s, actions::SECONDS)
    }

    fn check_fault(&self, key: &str, fault: &Fault) -> Checked {
        match fault {
            Fault::Run { command, .. } => rule(key, words::script(command))?,
            Fault::Certificate { other, .. } => {
                for path in [&other.file].into_iter().chain(&other.key) {
                    rule(key, words::guest_path(path))?;
                }
            }
            _ => {}
        }
        match fault.target() {
            Target::Wires => Ok(()),
            Target::Node(node) => known(key, node, &self.nodes),
            Target::Service(name) => match self.services.iter().any(|it| it.name == name) {
                true => Ok(()),
                false => Err(invalid(key, format!("there is no service `{}`", words::shown(name)))),
            },
            Target::Link(link, node) => {
                let members = self.links.get(link);
                let there = members
                    .is_some_and(|members| node.is_none_or(|node| members.contains_key(node)));
                match there {
                    true => Ok(()),
                    false => Err(invalid(key, format!("`{}` is no such link", words::shown(link)))),
                }
            }
        }
    }

    fn check_service(&self, key: &str, service: &Service) -> Checked {
        rule(key, words::name(&service.name))?;
        known(key, &service.node, &self.nodes)?;
        texts(key, &service.command, words::command_word)?;
        if service.command.first().is_none_or(|program| program.trim().is_empty()) {
            return Err(invalid(key, "the program's name is missing"));
        }
        match &service.ready {
            Ready::Http(http) => http.check(key)?,
            Ready::File(path) => rule(key, words::guest_path(path))?,
            Ready::Log(pattern) => rule(key, words::regex(pattern))?,
            Ready::Started | Ready::Tcp(_) | Ready::Udp(_) => {}
        }
        match service.restart {
            Restart::No => {}
            Restart::OnFailure(count) | Restart::Always(count) => {
                within(key, count, actions::RESTART_LIMIT)?;
            }
        }
        within(key, service.ready_timeout_s, actions::SECONDS)
    }

    fn check_check(&self, key: &str, check: &Check) -> Checked {
        rule(key, words::check_name(&check.name))?;
        known(key, &check.node, &self.nodes)?;
        let Self { nodes, links, .. } = self;
        check.probe.check_kept(&KeptCheck { key, node: &check.node, nodes, links })?;
        within(key, check.timeout_s, actions::SECONDS)
    }
}

fn check_node(key: &str, node: &Node) -> Checked {
    for name in node.sysctl.keys() {
        rule(key, words::sysctl_name(name))?;
    }
    for value in node.sysctl.values() {
        rule(key, words::line(&value.to_string()))?;
    }
    for device in &node.devices {
        rule(key, words::ip_arguments(device).and_then(|words| words::device_name(&words)))?;
    }
    texts(key, &node.routes, |text| words::ip_arguments(text).map(drop))?;
    for (device, addresses) in &node.addresses {
        if device != "lo" {
            rule(key, words::interface(device))?;
        }
        texts(key, addresses, words::address)?;
    }
    Ok(())
}

fn machine(key: &str, machine: &MachineOptions) -> Checked {
    within(key, machine.memory_mib, parse::MEMORY_MIB)?;
    within(key, machine.cpus, parse::CPUS)?;
    texts(key, &machine.cmdline, words::cmdline_word)
}

fn unique(key: &str, name: &str, names: &mut BTreeSet<String>) -> Checked {
    match names.insert(name.to_owned()) {
        true => Ok(()),
        false => Err(invalid(key, format!("`{name}` is there twice"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn kept() -> Value {
        let text = include_str!("../../../../scenarios/cloudgw/scenario.toml");
        let parsed = Scenario::parse("cloudgw", "scenario.toml", text).expect("a shipped scenario");
        serde_json::to_value(parsed.scenario()).expect("its own shape")
    }

    fn refused(change: impl Fn(&mut Value)) -> String {
        let mut value = kept();
        change(&mut value);
        let error = Scenario::from_kept(value.to_string().as_bytes()).expect_err("not valid");
        error.to_string()
    }

    #[test]
    fn a_valid_scenario_is_read_back_in_all_flavours() {
        let whole = Scenario::from_kept(kept().to_string().as_bytes()).expect("valid");
        for flavour in whole.flavours.keys().filter(|name| whole.flavours[*name].replace.is_empty())
        {
            let flavoured = whole.clone().flavoured(flavour).expect("it has it");
            let json = serde_json::to_vec(&flavoured).expect("its own shape");
            assert_eq!(Scenario::from_kept(&json).expect("valid"), flavoured);
        }
    }

    #[test]
    fn what_a_scenario_file_must_not_say_is_refused() {
        for name in ["../x", "/etc", "", "a/b", "A", "a b", "..", "x\u{1b}[2J", "-\n"] {
            assert!(refused(|kept| kept["name"] = json!(name)).contains("`name`"), "{name:?}");
            refused(|kept| kept["checks"][0]["name"] = json!(name));
            refused(|kept| kept["services"][0]["name"] = json!(name));
            refused(|kept| kept["checks"][0]["node"] = json!(name));
            refused(|kept| {
                let nodes = kept["nodes"].as_object_mut().expect("a table");
                let node = nodes.values().next().expect("a node").clone();
                nodes.insert(name.to_owned(), node);
            });
            refused(|kept| {
                let links = kept["links"].as_object_mut().expect("a table");
                let link = links.values().next().expect("a link").clone();
                links.insert(name.to_owned(), link);
            });
        }
        for path in ["../x", "/etc/passwd", "a/../../x", "", "scenario.toml"] {
            refused(|kept| kept["setup"][0]["action"] = json!({"nft": path}));
        }
        for number in [json!(-1), json!(0), json!(u64::MAX), json!(1e308), json!(4_294_967_295u32)]
        {
            refused(|kept| kept["candidate"]["memory_mib"] = number.clone());
            refused(|kept| kept["peer"]["cpus"] = number.clone());
            refused(|kept| kept["checks"][0]["timeout_s"] = number.clone());
            refused(|kept| kept["setup"][0]["repeat"] = number.clone());
        }
        refused(|kept| kept["image"] = json!({"packages": ["--option=x"]}));
        refused(|kept| kept["candidate"]["cmdline"] = json!(["a b"]));
        refused(|kept| kept["nodes"] = json!({}));
        refused(|kept| kept["schema"] = json!("kbisect.scenario/2"));
    }

    /// Each kind of check as runs have kept it since the first one.
    #[test]
    fn checks_that_older_runs_kept_are_read_and_written_alike() {
        let probes = json!([
            {"http": {"host": "192.0.2.1", "port": 80, "path": "/p", "connections": 5, "status": 200,
                      "body": {"equals": null, "contains": "x", "bytes": 7}}},
            {"dns": {"server": "192.0.2.1", "port": 53, "name": "a.test", "answer": "192.0.2.7"}},
            {"capture": {"file": "a.pcap", "enter": "wan", "from": "core", "leave": "lan",
                         "vlan": null, "rewrite": {"10.0.0.1": "192.0.2.1"}}},
            {"command": {"run": "true", "status": 0, "stdout": null, "stdout_contains": null,
                         "payload": true, "connection": {"tcp": "192.0.2.1:80"}}},
            "alive",
        ]);
        let mut kept = kept();
        let link = |name: &str| json!({"gw": {"name": name}, "core": {"name": name}});
        kept["nodes"] = json!({"gw": {"kernel": "candidate"}, "core": {"kernel": "reference"}});
        kept["links"] = json!({"wan": link("eth0"), "lan": link("eth1")});
        (kept["setup"], kept["services"]) = (json!([]), json!([]));
        (kept["replay"], kept["flavours"]) = (json!([]), json!({}));
        let checks = probes.as_array().expect("a list").iter().enumerate().map(|(at, probe)| {
            json!({"name": format!("c{at}"), "node": "gw", "probe": probe, "timeout_s": 5.0,
                   "record_only": false})
        });
        kept["checks"] = checks.collect();
        let scenario = Scenario::from_kept(kept.to_string().as_bytes()).expect("valid");
        let written = serde_json::to_value(&scenario.checks).expect("plain data");
        assert_eq!(written, kept["checks"]);
    }
}
