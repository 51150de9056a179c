//! Faults in a scenario's file: `[[faults]]`, and `fault` of a step.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::check::Check;
use super::cursor::{Findings, Item, Table};
use super::model::{Action, Ready, Service, Step};
use super::suggest::choices;
use super::topology::{Links, Node, NodeKernel, check_node};
use super::words;
use crate::inject::{Declared, Fault, OtherCertificate, Target, WrongCertificate};

/// Milliseconds that a frame can be late.
const DELAY_MS: RangeInclusive<u32> = 1..=60_000;
/// Frames of a hundred that can be lost.
const PERCENT: RangeInclusive<u8> = 1..=100;
/// Seconds that a clock can be wrong: a hundred years.
const CLOCK_S: RangeInclusive<i64> = -3_200_000_000..=3_200_000_000;

/// The keys of a fault; exactly one is set.
const KEYS: [&str; 26] = [
    "cut",
    "drop",
    "source_port",
    "delay",
    "lose",
    "restore",
    "carrier_off",
    "carrier_on",
    "kill",
    "stop",
    "pause",
    "continue",
    "start",
    "port_taken",
    "filter",
    "no_names",
    "conntrack_full",
    "clock",
    "disk_full",
    "panic",
    "lockup",
    "certificate",
    "power_off",
    "power_on",
    "reboot",
    "run",
];

/// What faults can name.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub nodes: &'a BTreeMap<String, Node>,
    pub links: &'a Links,
    pub services: &'a [Service],
}

/// Reads `[[faults]]`.
pub(super) fn read_faults(item: &Item<'_>, known: Known<'_>, checks: &[String]) -> Vec<Declared> {
    let mut names = BTreeSet::new();
    let mut faults = Vec::new();
    for element in item.elements() {
        let Some(table) = element.table() else { continue };
        let name = table.require("name", "a name of its own for the fault");
        let name = name.and_then(|item| {
            let name = item.parsed(words::line)?;
            if !names.insert(name.clone()) {
                item.wrong(format!("another fault is named `{name}` already"));
            }
            Some(name)
        });
        let noticed_by = table.get("noticed_by").map(|item| {
            item.list(|text| match checks.iter().any(|check| check == text) {
                true => Ok(text.to_owned()),
                false => {
                    let list = choices(text, checks.iter().map(String::as_str));
                    Err(format!("there is no check `{}` (checks are: {list})", words::shown(text)))
                }
            })
        });
        let fault = read_keys(&table, known);
        table.finish();
        if let (Some(name), Some(fault)) = (name, fault) {
            faults.push(Declared { name, fault, noticed_by: noticed_by.unwrap_or_default() });
        }
    }
    faults
}

/// Reads the value of a step's `fault`.
pub(super) fn read_fault(item: &Item<'_>, known: Known<'_>) -> Option<Fault> {
    let table = item.table()?;
    let fault = read_keys(&table, known);
    table.finish();
    fault
}

fn read_keys(table: &Table<'_>, known: Known<'_>) -> Option<Fault> {
    let (key, item) = table.exactly_one(&KEYS)?;
    let link = || read_name(&item, "link", known.links.keys());
    let service = || read_name(&item, "service", known.services.iter().map(|it| &it.name));
    let node = || read_node(&item, known);
    Some(match key {
        "cut" => Fault::Cut { link: link()? },
        "restore" => Fault::Restore { link: link()? },
        "kill" => Fault::Kill { service: service()? },
        "stop" => Fault::Stop { service: service()? },
        "pause" => Fault::Pause { service: service()? },
        "continue" => Fault::Continue { service: service()? },
        "start" => Fault::Start { service: service()? },
        "port_taken" => {
            let service = service()?;
            let found = known.services.iter().find(|it| it.name == service);
            if found.and_then(port_of).is_none() {
                item.wrong("the service has no port: give it `ready = { tcp = PORT }`, or `udp`");
            }
            Fault::PortTaken { service }
        }
        "filter" => Fault::Filter { node: node()? },
        "no_names" => Fault::NoNames { node: node()? },
        "conntrack_full" => Fault::ConntrackFull { node: node()? },
        "disk_full" => Fault::DiskFull { node: node()? },
        "panic" | "lockup" => {
            let node = node()?;
            let about = known.nodes.get(&node);
            if about.is_some_and(|it| it.kernel == NodeKernel::Reference && it.machine.is_shared())
            {
                item.wrong(format!(
                    "the machine of `{node}` is that of all reference nodes: name a candidate node, or give \
                     `{node}` a `machine = \"own\"`"
                ));
            }
            if key == "panic" { Fault::Panic { node } } else { Fault::Lockup { node } }
        }
        "power_off" => Fault::PowerOff { node: read_own(&item, known)? },
        "power_on" => Fault::PowerOn { node: read_own(&item, known)? },
        "reboot" => Fault::Reboot { node: read_own(&item, known)? },
        _ => return read_table(key, &item, known),
    })
}

/// Faults that take more than a name.
fn read_table(key: &str, item: &Item<'_>, known: Known<'_>) -> Option<Fault> {
    let table = item.table()?;
    let link = || {
        let item = table.require("link", "the link that it is done to")?;
        read_name(&item, "link", known.links.keys())
    };
    let member = |key: &'static str, link: &str| {
        let item = table.require(key, "a node of the link")?;
        let members = known.links.get(link)?;
        read_name(&item, "node on that link", members.keys())
    };
    let node = || read_node(&table.require("node", "the node that it is done to")?, known);
    let port = || table.get("port").and_then(|item| item.number(1..=u16::MAX));
    let fault = (|| {
        Some(match key {
            "drop" => {
                let link = link()?;
                Fault::Drop { from: member("from", &link)?, link, port: port() }
            }
            "source_port" => {
                let link = link()?;
                table.require("port", "the port that the frames come from")?;
                Fault::SourcePort { from: member("from", &link)?, link, port: port()? }
            }
            "delay" => {
                let ms = table.require("ms", "milliseconds")?.number(DELAY_MS);
                Fault::Delay { link: link()?, ms: ms? }
            }
            "lose" => {
                let percent = table.require("percent", "how many frames of a hundred")?;
                Fault::Lose { link: link()?, percent: percent.number(PERCENT)? }
            }
            "carrier_off" | "carrier_on" => {
                let link = link()?;
                let node = member("node", &link)?;
                match key {
                    "carrier_off" => Fault::CarrierOff { link, node },
                    _ => Fault::CarrierOn { link, node },
                }
            }
            "certificate" => {
                let item = table.require("service", "the service that uses it")?;
                let service = read_name(&item, "service", known.services.iter().map(|it| &it.name));
                let file = table.require("file", "the certificate's file, in the service's node");
                let file = file.and_then(|item| item.parsed(words::guest_path));
                let key = table.get("key").and_then(|item| item.parsed(words::guest_path));
                let wrong = table.require("wrong", "`issuer`, `name` or `expired`");
                let wrong = wrong.and_then(|item| item.one_of(&WrongCertificate::WORDS));
                let other = OtherCertificate { file: file?, key, wrong: wrong? };
                Fault::Certificate { service: service?, other: Box::new(other) }
            }
            "clock" => {
                let item = table.require("seconds", "how many seconds the clock is ahead")?;
                let seconds = item.integer().filter(|seconds| CLOCK_S.contains(seconds));
                if seconds.is_none() {
                    item.wrong("must be a whole number of seconds, within a hundred years");
                }
                Fault::Clock { node: node()?, seconds: seconds? }
            }
            _ => {
                let command = table.require("command", "a shell script text")?;
                Fault::Run { node: node()?, command: command.parsed(words::prose)? }
            }
        })
    })();
    table.finish();
    fault
}

fn read_name<'k>(
    item: &Item<'_>,
    what: &str,
    known: impl Iterator<Item = &'k String>,
) -> Option<String> {
    let name = item.text()?;
    let known: Vec<&str> = known.map(String::as_str).collect();
    if !known.contains(&name) {
        let list = choices(name, known.iter().copied());
        item.wrong(format!("there is no {what} `{}` (there are: {list})", words::shown(name)));
        return None;
    }
    Some(name.to_owned())
}

fn read_node(item: &Item<'_>, known: Known<'_>) -> Option<String> {
    let node = item.text()?;
    check_node(item, node, known.nodes);
    known.nodes.contains_key(node).then(|| node.to_owned())
}

/// Finds what is asked of nodes that the replay has switched off.
pub(super) fn check_power(
    findings: &Findings,
    nodes: &BTreeMap<String, Node>,
    replay: &[Step],
    checks: &[Check],
) {
    let mut off: BTreeSet<&str> = BTreeSet::new();
    for (at, step) in replay.iter().enumerate() {
        let path = format!("replay[{at}]");
        let wrong = |what: &str| findings.wrong(&path, what);
        match &step.action {
            Action::Fault(Fault::PowerOff { node } | Fault::Reboot { node })
                if off.contains(node.as_str()) =>
            {
                wrong(&format!("`{node}` is switched off already: `power_on` switches it on"));
            }
            Action::Fault(Fault::PowerOff { node }) => {
                off.insert(node);
            }
            Action::Fault(Fault::Panic { node } | Fault::Lockup { node })
                if nodes.get(node).is_some_and(|node| !node.machine.is_shared()) =>
            {
                off.insert(node);
            }
            Action::Fault(Fault::PowerOn { node }) if !off.remove(node.as_str()) => {
                wrong(&format!("`{node}` is not switched off"));
            }
            Action::Fault(Fault::PowerOn { .. }) => {}
            // It is done to no node.
            Action::Fault(fault) if matches!(fault.target(), Target::Wires | Target::Link(..)) => {}
            _ if off.contains(step.node.as_str()) => {
                wrong(&format!("`{}` is switched off by then", step.node));
            }
            _ => {}
        }
        made_in_vain(findings, checks, Some(&step.name), &off);
    }
    made_in_vain(findings, checks, None, &off);
    let mut under_test = nodes.iter().filter(|(_, node)| node.kernel == NodeKernel::Candidate);
    if !off.is_empty() && under_test.all(|(name, _)| off.contains(name.as_str())) {
        findings.wrong("replay", "it leaves no node under test switched on");
    }
}

/// Checks that come after a step, and whose node is switched off then.
fn made_in_vain(
    findings: &Findings,
    checks: &[Check],
    after: Option<&String>,
    off: &BTreeSet<&str>,
) {
    for (at, check) in checks.iter().enumerate() {
        if check.after.as_ref() == after && off.contains(check.node.as_str()) {
            let message = format!("`{}` is switched off by then", check.node);
            findings.wrong(&format!("checks[{at}]"), message);
        }
    }
}

/// A node that has a machine of its own.
fn read_own(item: &Item<'_>, known: Known<'_>) -> Option<String> {
    let node = read_node(item, known)?;
    if known.nodes.get(&node).is_some_and(|it| it.machine.is_shared()) {
        item.wrong(format!(
            "`{node}` shares its machine with others: give it a `machine = \"own\"`"
        ));
    }
    Some(node)
}

/// The port that a service is ready on, and whether it is TCP.
#[must_use]
pub fn port_of(service: &Service) -> Option<(u16, bool)> {
    match &service.ready {
        Ready::Tcp(port) => Some((*port, true)),
        Ready::Udp(port) => Some((*port, false)),
        Ready::Http(http) => Some((http.port, true)),
        Ready::Started | Ready::File(_) | Ready::Log(_) => None,
    }
}
