//! Steps, services and checks: arrays of tables, each with one action key.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use super::assets::AssetRef;
use super::check::Check;
use super::cursor::{Item, Table};
use super::faults::{Known, read_fault};
use super::model::{Action, Ready, Refusal, Restart, Service, Step};
use super::probes::{HttpProbe, Probe, Reading};
use super::suggest::{choices, quoted};
use super::topology::{Links, Node, NodeKernel, check_node};
use super::words;
use crate::inject::Target;

type Nodes = BTreeMap<String, Node>;

/// Deadlines that make sense: below the first a slow host alone decides, beyond the second nobody
/// waits (seconds).
pub(super) const SECONDS: RangeInclusive<f64> = 0.1..=600.0;
/// How often a step can be repeated.
pub(super) const REPEAT: RangeInclusive<u32> = 1..=10_000;
/// How often a service can be started again.
pub(super) const RESTART_LIMIT: RangeInclusive<u32> = 1..=100;
/// Deadline of a step when the file has none (seconds).
const STEP_S: f64 = 10.0;
/// Deadline of a check's attempt when the file has none (seconds).
const CHECK_S: f64 = 5.0;
/// How often a service is started again when the file does not say.
const RESTARTS: u32 = 3;

/// Reads `[[setup]]` or `[[replay]]`.
pub(super) fn read_steps(
    item: Option<Item<'_>>,
    nodes: &Nodes,
    assets: &mut Vec<AssetRef>,
    faults: Option<Known<'_>>,
) -> Vec<Step> {
    let elements = item.map(|item| item.elements()).unwrap_or_default();
    let tables = elements.iter().filter_map(|element| element.table());
    let steps = tables.filter_map(|table| match (faults, table.get("fault")) {
        (Some(known), Some(item)) => read_fault_step(table, &item, known),
        (None, Some(item)) => {
            item.wrong("a fault can be a step of [[replay]], not of [[setup]]");
            None
        }
        (_, None) => read_step(table, nodes, assets),
    });
    steps.collect()
}

/// Reads a step that is a fault. What it is done to says where.
fn read_fault_step(table: Table<'_>, item: &Item<'_>, known: Known<'_>) -> Option<Step> {
    let line = table.line();
    let name = table.get("name").and_then(|item| item.parsed(words::line));
    let timeout_s = table.get("timeout_s").and_then(|item| item.seconds(SECONDS));
    let fault = read_fault(item, known);
    let way = read_way(&table);
    table.finish();
    let fault = fault?;
    let node = match fault.target() {
        Target::Node(node) | Target::Link(_, Some(node)) => node.to_owned(),
        Target::Service(name) => {
            known.services.iter().find(|service| service.name == name)?.node.clone()
        }
        Target::Link(link, None) => known.links.get(link)?.keys().next()?.clone(),
        Target::Wires => known.nodes.keys().next()?.clone(),
    };
    Some(Step {
        name: name.unwrap_or_else(|| fault.to_string()),
        node,
        action: Action::Fault(fault),
        repeat: 1,
        early: false,
        refusal: Refusal::default(),
        timeout_s: timeout_s.unwrap_or(STEP_S),
        way,
        line,
    })
}

fn read_way(table: &Table<'_>) -> Option<String> {
    table.get("way").and_then(|item| item.parsed(words::name))
}

fn read_step(table: Table<'_>, nodes: &Nodes, assets: &mut Vec<AssetRef>) -> Option<Step> {
    let line = table.line();
    let node = read_node_name(&table, nodes);
    let refusal = table.get("refusal").and_then(|item| read_refusal(&item));
    let repeat = table.get("repeat").and_then(|item| item.number(REPEAT));
    let early = read_early(&table, node.as_deref(), nodes);
    let timeout_s = table.get("timeout_s").and_then(|item| item.seconds(SECONDS));
    let name = table.get("name").and_then(|item| item.parsed(words::line));
    if let Some(item) = table.get("counted")
        && item.truth() == Some(true)
    {
        item.wrong("only `false` says something: that no check needs to count these rules");
    }
    let keys = ["nft", "iptables-restore", "ip6tables-restore", "ip-batch", "run"];
    let action = table.exactly_one(&keys).and_then(|(key, item)| {
        let file = |assets| AssetRef::read(&item, assets);
        Some(match key {
            "nft" => Action::Nft(file(assets)?),
            "iptables-restore" => Action::IptablesRestore(file(assets)?),
            "ip6tables-restore" => Action::Ip6tablesRestore(file(assets)?),
            "ip-batch" => Action::IpBatch(file(assets)?),
            _ => Action::Run(AssetRef::script(&item, assets)?),
        })
    });
    let way = read_way(&table);
    table.finish();
    let action = action?;
    Some(Step {
        name: name.unwrap_or_else(|| default_name(&action)),
        node: node?,
        action,
        repeat: repeat.unwrap_or(1),
        early,
        refusal: refusal.unwrap_or_default(),
        timeout_s: timeout_s.unwrap_or(STEP_S),
        way,
        line,
    })
}

/// Reads `"bad"`, `"accept"`, or the words that are acceptable.
fn read_refusal(item: &Item<'_>) -> Option<Refusal> {
    if item.is_text() {
        return item.parsed(|text| match text {
            "bad" => Ok(Refusal::Bad),
            "accept" => Ok(Refusal::Accept),
            _ => Err(format!(
                "`{}` is not allowed here (allowed: `bad`, `accept`, or a table such as \
                 {{ accept = \"Operation not supported\" }})",
                words::shown(text)
            )),
        });
    }
    let table = item.table()?;
    let accepted =
        table.require("accept", "what the kernel says, such as `Operation not supported`");
    let accepted = accepted.and_then(|item| item.parsed(words::line));
    table.finish();
    accepted.map(Refusal::AcceptWords)
}

fn default_name(action: &Action) -> String {
    match action {
        Action::Nft(file) => format!("nft {file}"),
        Action::IptablesRestore(file) => format!("iptables-restore {file}"),
        Action::Ip6tablesRestore(file) => format!("ip6tables-restore {file}"),
        Action::IpBatch(file) => format!("ip -batch {file}"),
        Action::Run(script) => {
            let first = script.lines().map(str::trim).find(|line| !line.is_empty());
            format!("run {}", words::shown(first.unwrap_or_default()))
        }
        Action::Fault(fault) => fault.to_string(),
    }
}

/// Reads `[[services]]`.
pub(super) fn read_services(
    item: Option<Item<'_>>,
    nodes: &Nodes,
    assets: &mut Vec<AssetRef>,
) -> Vec<Service> {
    let mut names = BTreeSet::new();
    let elements = item.map(|item| item.elements()).unwrap_or_default();
    let tables = elements.iter().filter_map(|element| element.table());
    tables.filter_map(|table| read_service(table, nodes, &mut names, assets)).collect()
}

fn read_service(
    table: Table<'_>,
    nodes: &Nodes,
    names: &mut BTreeSet<String>,
    assets: &mut Vec<AssetRef>,
) -> Option<Service> {
    let line = table.line();
    let name = read_unique_name(&table, "service", words::name, names);
    let node = read_node_name(&table, nodes);
    let words = table.require("command", "program and arguments, such as [\"nginx\"]");
    let command = words.map(|item| {
        let mut command = Vec::new();
        for element in item.elements() {
            AssetRef::scan(&element, assets);
            command.extend(element.parsed(words::command_word));
        }
        if command.first().is_none_or(|program| program.trim().is_empty()) && item.is_array() {
            item.wrong("the program's name is missing");
        }
        command
    });
    let ready = table.get("ready").and_then(|item| read_ready(&item));
    let restart = read_restart(&table);
    let must_stay = table.get("must_stay").and_then(|item| item.truth());
    let early = read_early(&table, node.as_deref(), nodes);
    let ready_timeout_s = table.get("ready_timeout_s").and_then(|item| item.seconds(SECONDS));
    table.finish();
    Some(Service {
        name: name?,
        node: node?,
        command: command?,
        ready: ready.unwrap_or_default(),
        restart,
        must_stay: must_stay.unwrap_or(true),
        early,
        ready_timeout_s: ready_timeout_s.unwrap_or(STEP_S),
        line,
    })
}

fn read_restart(table: &Table<'_>) -> Restart {
    let item = table.get("restart_limit");
    let limit = item.as_ref().and_then(|item| item.number(RESTART_LIMIT)).unwrap_or(RESTARTS);
    let policies = [
        ("no", Restart::No),
        ("on-failure", Restart::OnFailure(limit)),
        ("always", Restart::Always(limit)),
    ];
    let policy = table.get("restart").map(|item| item.one_of(&policies));
    if let (Some(item), None | Some(Some(Restart::No))) = (item, policy) {
        item.wrong("nothing is started again: add `restart = \"on-failure\"` or `\"always\"`");
    }
    policy.flatten().unwrap_or_default()
}

fn read_ready(item: &Item<'_>) -> Option<Ready> {
    if item.is_text() {
        return item.parsed(|text| match text {
            "started" => Ok(Ready::Started),
            _ => Err("must be `started`, or a table such as { tcp = 80 }".to_owned()),
        });
    }
    let table = item.table()?;
    let ready =
        table.exactly_one(&["tcp", "udp", "http", "file", "log"]).and_then(|(key, item)| {
            Some(match key {
                "tcp" => Ready::Tcp(item.number(1..=u16::MAX)?),
                "udp" => Ready::Udp(item.number(1..=u16::MAX)?),
                "http" => Ready::Http(HttpProbe::read_one(&item)?),
                "file" => Ready::File(item.parsed(words::guest_path)?),
                _ => Ready::Log(item.parsed(words::regex)?),
            })
        });
    table.finish();
    ready
}

/// Reads `[[checks]]`.
pub(super) fn read_checks(
    item: &Item<'_>,
    nodes: &Nodes,
    links: &Links,
    steps: [&[Step]; 2],
    assets: &mut Vec<AssetRef>,
) -> Vec<Check> {
    let mut names = BTreeSet::new();
    let elements = item.elements();
    if elements.is_empty() && item.is_array() {
        item.wrong("at least one check is needed");
    }
    let tables = elements.iter().filter_map(|element| element.table());
    let checks: Vec<Option<Check>> =
        tables.map(|table| read_check(table, nodes, links, steps, &mut names, assets)).collect();
    if !checks.is_empty() && checks.iter().flatten().all(|check| check.record_only) {
        let broken = checks.iter().any(Option::is_none);
        if !broken {
            item.wrong("every check is `record_only`: nothing is left that could fail");
        }
    }
    checks.into_iter().flatten().collect()
}

fn read_check(
    table: Table<'_>,
    nodes: &Nodes,
    links: &Links,
    steps: [&[Step]; 2],
    names: &mut BTreeSet<String>,
    assets: &mut Vec<AssetRef>,
) -> Option<Check> {
    let line = table.line();
    let name = read_unique_name(&table, "check", words::check_name, names);
    let node = read_node_name(&table, nodes);
    let timeout_s = table.get("timeout_s").and_then(|item| item.seconds(SECONDS));
    let record_only = table.get("record_only").and_then(|item| item.truth());
    let [_, replay] = steps;
    let after = table.get("after").and_then(|item| {
        let name = item.text()?;
        let mut found: Vec<&Step> = replay.iter().filter(|step| step.name == name).collect();
        // Those of different ways are never there together.
        found.dedup_by(|one, other| {
            one.way.is_some() && other.way.is_some() && one.way != other.way
        });
        let count = found.len();
        if count != 1 {
            let known = choices(name, replay.iter().map(|step| step.name.as_str()));
            let shown = words::shown(name);
            item.wrong(match count {
                0 => format!("no step of [[replay]] is named `{shown}` (there are: {known})"),
                _ => format!("{count} steps of [[replay]] are named `{shown}`: give them names"),
            });
        }
        Some(name.to_owned())
    });
    let steps: Vec<&Step> = steps.iter().copied().flatten().collect();
    let mut reading = Reading { nodes, links, node: node.as_deref(), steps: &steps, assets };
    let probe = Probe::read(&table, &mut reading);
    table.finish();
    Some(Check {
        name: name?,
        node: node?,
        probe: probe?,
        timeout_s: timeout_s.unwrap_or(CHECK_S),
        record_only: record_only.unwrap_or(false),
        after,
        line,
    })
}

/// `early` makes sense on reference nodes only: the candidate is what is being waited for.
fn read_early(table: &Table<'_>, node: Option<&str>, nodes: &Nodes) -> bool {
    let Some(item) = table.get("early") else { return false };
    let early = item.truth().unwrap_or(false);
    let on_candidate = node
        .and_then(|node| nodes.get(node))
        .is_some_and(|node| node.kernel == NodeKernel::Candidate);
    if early && on_candidate {
        item.wrong("only what runs on a reference node can come before the candidate is up");
    }
    early
}

fn read_node_name(table: &Table<'_>, nodes: &Nodes) -> Option<String> {
    let names: Vec<&str> = nodes.keys().map(String::as_str).collect();
    let item = table.require("node", &format!("where it runs ({})", quoted(&names)))?;
    let node = item.text()?;
    check_node(&item, node, nodes);
    Some(node.to_owned())
}

fn read_unique_name(
    table: &Table<'_>,
    what: &str,
    rule: fn(&str) -> Result<String, String>,
    names: &mut BTreeSet<String>,
) -> Option<String> {
    let item = table.require("name", &format!("a name of its own for the {what}"))?;
    let name = item.parsed(rule)?;
    if !names.insert(name.clone()) {
        item.wrong(format!("another {what} is named `{name}` already"));
    }
    Some(name)
}
