//! From the text of a `scenario.toml` to the model: top level, machines, nodes, links.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use toml::de::DeTable;

use super::actions::{read_checks, read_services, read_steps};
use super::assets::AssetRef;
use super::cursor::{Findings, Item, Table};
use super::faults::{Known, check_power, read_faults};
use super::flavours::{Parts, read_expect, read_flavours};
use super::places::{Places, join};
use super::suggest::{choices, quoted};
use super::topology::{Interface, Links, Node, NodeKernel, NodeMachine, SysctlValue, check_node};
use super::ways::add_ways;
use super::{
    ImageNeeds, MachineOptions, Parsed, Requires, Scenario, ScenarioError, WarningPolicy, lint,
    words,
};

/// Memory of a machine in MiB.
pub(super) const MEMORY_MIB: RangeInclusive<u32> = 128..=65_536;
/// Processors of a machine.
pub(super) const CPUS: RangeInclusive<u32> = 1..=16;
/// MTU of an interface in bytes.
pub(super) const MTU: RangeInclusive<u32> = 68..=65_535;

/// The tag of files that this version reads.
pub const SCHEMA: &str = "kbisect.scenario/1";

/// Name of a scenario's own file, in its folder.
pub const FILE_NAME: &str = "scenario.toml";

impl Scenario {
    /// Reads and validates the text of a scenario file.
    ///
    /// `name` is that of the scenario's folder, `file` the path for messages. Nothing is read from
    /// disk: the files that the scenario names are handed to [`Parsed::with_assets`] afterwards.
    ///
    /// # Errors
    /// Every reason why the text is no valid scenario, each with line, column and key; for a text
    /// that is not TOML, or has another schema, that reason only.
    pub fn parse(name: &str, file: &str, text: &str) -> Result<Parsed, ScenarioError> {
        let root = DeTable::parse(text).map_err(|error| not_toml(file, text, &error))?;
        let findings = Findings::new(Places::new(file, text, root.get_ref()));
        let top = Table::new(&findings, String::new(), root.get_ref());
        let schema = top.get("schema");
        if schema.is_none() {
            // Also for a slip in the name: unknown keys are not looked for below.
            top.wrong(format!("`schema` is missing: write schema = \"{SCHEMA}\""));
        }
        if schema.and_then(|item| item.one_of(&[(SCHEMA, ())])).is_none() {
            // Whatever follows belongs to another format: more findings would be noise.
            let (_, problems) = findings.into_parts();
            return Err(ScenarioError { problems });
        }
        if let Err(message) = words::name(name) {
            findings.wrong("", format!("the folder's name is the scenario's name, and {message}"));
        }
        let (scenario, assets) = read(name, top);
        let (places, problems) = findings.into_parts();
        if !problems.is_empty() {
            return Err(ScenarioError { problems });
        }
        let warnings = lint::warnings(&scenario, &places);
        Ok(Parsed { scenario, warnings, assets, places })
    }
}

fn not_toml(file: &str, text: &str, error: &toml::de::Error) -> ScenarioError {
    let offset = error.span().map_or(0, |span| span.start);
    let message = format!("not TOML: {}", error.message().replace('\n', "; "));
    ScenarioError { problems: vec![Places::of_text(file, text).problem_at(offset, "", message)] }
}

fn read(name: &str, top: Table<'_>) -> (Scenario, Vec<AssetRef>) {
    let text = |item: Option<Item<'_>>| item.and_then(|item| item.parsed(words::line));
    let summary = text(top.require("summary", "one line that says what is tested"));
    let description = top.get("description").and_then(|item| item.parsed(words::prose));
    let says = top.get("says").and_then(|item| item.parsed(words::line));
    let requires = top.get("requires").and_then(|item| item.table()).map(read_requires);
    let image = top.get("image").and_then(|item| item.table()).map(read_image);
    let nodes = top
        .require("nodes", "a table for each host, such as [nodes.client]")
        .and_then(|item| item.table())
        .map(|table| read_nodes(&table))
        .unwrap_or_default();
    if !nodes.is_empty() && !nodes.values().any(|node| node.kernel == NodeKernel::Candidate) {
        top.findings.wrong(
            "nodes",
            "no node runs the kernel under test: give one `kernel = \"candidate\"`",
        );
    }
    let links = top.get("links").and_then(|item| item.table());
    let links = links.map(|table| read_links(&table, &nodes)).unwrap_or_default();
    check_devices(&top, &nodes, &links);
    let mut assets = Vec::new();
    let setup = read_steps(top.get("setup"), &nodes, &mut assets, None);
    let services = read_services(top.get("services"), &nodes, &mut assets);
    let known = Known { nodes: &nodes, links: &links, services: &services };
    let replay = read_steps(top.get("replay"), &nodes, &mut assets, Some(known));
    let checks = top.require("checks", "what must hold, such as [[checks]]");
    let checks = checks
        .map(|item| read_checks(&item, &nodes, &links, [&setup, &replay], &mut assets))
        .unwrap_or_default();
    check_power(top.findings, &nodes, &replay, &checks);
    let of_checks: Vec<String> = checks.iter().map(|check| check.name.clone()).collect();
    let faults = top.get("faults").map(|item| read_faults(&item, known, &of_checks));
    let flavours = top.get("flavours").and_then(|item| item.table());
    let parts =
        Parts { nodes: &nodes, steps: [&setup, &replay], services: &services, checks: &checks };
    let mut flavours =
        flavours.map(|table| read_flavours(&table, &parts, &mut assets)).unwrap_or_default();
    let warnings = top.get("warnings").and_then(|item| {
        item.one_of(&[("bad", WarningPolicy::Bad), ("record", WarningPolicy::Record)])
    });
    let expect = top.get("expect").and_then(|item| read_expect(&item));
    let usual = add_ways(&top, [&setup, &replay], &checks, expect, &mut flavours);
    let machine = |key| top.get(key).and_then(|item| item.table()).map(read_machine);
    let scenario = Scenario {
        schema: SCHEMA.to_owned(),
        name: name.to_owned(),
        summary: summary.unwrap_or_default(),
        description: description.unwrap_or_default(),
        says: says.unwrap_or_default(),
        requires: requires.unwrap_or_default(),
        image: image.unwrap_or_default(),
        candidate: machine("candidate").unwrap_or_default(),
        peer: machine("peer").unwrap_or_default(),
        nodes,
        links,
        setup,
        services,
        replay,
        checks,
        warnings: warnings.unwrap_or_default(),
        expect,
        way: usual,
        flavours,
        faults: faults.unwrap_or_default(),
        assets: BTreeMap::new(),
    };
    top.finish();
    (scenario, assets)
}

fn read_requires(table: Table<'_>) -> Requires {
    let list = |key, rule: fn(&str) -> Result<String, String>| {
        table.get(key).map(|item| item.list(rule)).unwrap_or_default()
    };
    let requires = Requires {
        modules: list("modules", words::module),
        optional_modules: list("optional_modules", words::module),
        config: list("config", words::config_symbol),
        crypto_tests: table.get("crypto_tests").and_then(|item| item.truth()).unwrap_or_default(),
    };
    table.finish();
    requires
}

fn read_image(table: Table<'_>) -> ImageNeeds {
    let packages = table.get("packages").map(|item| item.list(words::package));
    table.finish();
    ImageNeeds { packages: packages.unwrap_or_default() }
}

fn read_machine(table: Table<'_>) -> MachineOptions {
    let default = MachineOptions::default();
    let options = MachineOptions {
        memory_mib: table
            .get("memory_mib")
            .and_then(|item| item.number(MEMORY_MIB))
            .unwrap_or(default.memory_mib),
        cpus: table.get("cpus").and_then(|item| item.number(CPUS)).unwrap_or(default.cpus),
        cmdline: table
            .get("cmdline")
            .map(|item| item.list(words::cmdline_word))
            .unwrap_or(default.cmdline),
    };
    table.finish();
    options
}

fn read_nodes(table: &Table<'_>) -> BTreeMap<String, Node> {
    let mut nodes = BTreeMap::new();
    for (key, item) in table.entries() {
        if let Err(message) = words::name(key) {
            item.wrong(message);
        }
        // A broken node stays a node, so that the places that name it are not reported too.
        nodes.insert(key.to_owned(), read_node(&item));
    }
    if nodes.is_empty() {
        table.wrong("at least one node is needed");
    }
    nodes
}

fn read_node(item: &Item<'_>) -> Node {
    let mut node = Node {
        kernel: NodeKernel::Candidate,
        machine: NodeMachine::Shared,
        role: String::new(),
        sysctl: BTreeMap::new(),
        devices: Vec::new(),
        addresses: BTreeMap::new(),
        routes: Vec::new(),
        lines: BTreeMap::new(),
    };
    let Some(table) = item.table() else { return node };
    let kernel = table.require("kernel", "`candidate` or `reference`");
    node.kernel = kernel.and_then(|item| item.one_of(&NodeKernel::WORDS)).unwrap_or(node.kernel);
    let machines = [("shared", NodeMachine::Shared), ("own", NodeMachine::Own)];
    let machine = table.get("machine").and_then(|item| item.one_of(&machines));
    node.machine = machine.unwrap_or_default();
    node.role = table.get("role").and_then(|item| item.parsed(words::line)).unwrap_or_default();
    if let Some(sysctls) = table.get("sysctl").and_then(|item| item.table()) {
        node.sysctl = read_sysctls(&sysctls);
    }
    let arguments = |text: &str| words::ip_arguments(text).map(|words| words.join(" "));
    let list = |key| table.get(key).map(|item| item.list(arguments)).unwrap_or_default();
    node.devices = list("devices");
    node.routes = list("routes");
    if let Some(addresses) = table.get("addresses").and_then(|item| item.table()) {
        node.addresses = read_addresses(&addresses);
    }
    node.lines = lines_of(&table, &node);
    table.finish();
    node
}

/// Where a node and what it is made of stand.
fn lines_of(table: &Table<'_>, node: &Node) -> BTreeMap<String, u32> {
    let places = &table.findings.places;
    let indexed = |key: &'static str, list: &[String]| {
        (0..list.len()).map(move |at| format!("{key}[{at}]")).collect::<Vec<_>>()
    };
    let lists =
        indexed("devices", &node.devices).into_iter().chain(indexed("routes", &node.routes));
    let mut lines: BTreeMap<String, u32> = lists
        .map(|key| {
            let line = places.line(&format!("{}.{key}", table.path));
            (key, line)
        })
        .collect();
    lines.insert(String::new(), table.line());
    for key in node.sysctl.keys() {
        let path = join(&join(&table.path, "sysctl"), key);
        lines.insert(format!("sysctl.{key}"), places.line(&path));
    }
    lines
}

fn read_addresses(table: &Table<'_>) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::new();
    for (device, item) in table.entries() {
        if device != "lo"
            && let Err(message) = words::interface(device)
        {
            item.wrong(message);
        }
        let addresses =
            item.elements().into_iter().filter_map(|element| element.parsed(words::address));
        found.insert(device.to_owned(), addresses.map(|(_, text)| text).collect());
    }
    found
}

fn read_sysctls(table: &Table<'_>) -> BTreeMap<String, SysctlValue> {
    let mut sysctls = BTreeMap::new();
    for (key, item) in table.entries() {
        if let Err(message) = words::sysctl_name(key) {
            item.wrong(message);
        }
        let value = match item.integer() {
            Some(number) => Some(SysctlValue::Number(number)),
            None if item.is_text() => item.parsed(words::line).map(SysctlValue::Text),
            None => {
                item.wrong("must be a whole number or a text");
                None
            }
        };
        sysctls.extend(value.map(|value| (key.to_owned(), value)));
    }
    sysctls
}

fn read_links(table: &Table<'_>, nodes: &BTreeMap<String, Node>) -> Links {
    let mut links = Links::new();
    // (node, interface) -> link, for names that are used twice.
    let mut taken: BTreeMap<(String, String), String> = BTreeMap::new();
    for (link, item) in table.entries() {
        if let Err(message) = words::name(link) {
            item.wrong(message);
        }
        let Some(members) = item.table() else { continue };
        let mut interfaces = BTreeMap::new();
        let mut addresses: BTreeMap<IpAddr, String> = BTreeMap::new();
        for (node, member) in members.entries() {
            check_node(&member, node, nodes);
            let interface = read_interface(&member, node, &mut addresses);
            let place = (node.to_owned(), interface.name.clone());
            if let Some(other) = taken.get(&place).filter(|_| !interface.name.is_empty()) {
                let name = &interface.name;
                member.wrong(format!("node `{node}` has its `{name}` on link `{other}` already"));
            }
            taken.insert(place, link.to_owned());
            interfaces.insert(node.to_owned(), interface);
        }
        if interfaces.len() < 2 {
            item.wrong("a link needs at least two members");
        }
        links.insert(link.to_owned(), interfaces);
    }
    links
}

fn read_interface(item: &Item<'_>, node: &str, taken: &mut BTreeMap<IpAddr, String>) -> Interface {
    let mut interface =
        Interface { name: String::new(), addresses: Vec::new(), master: None, mtu: None };
    let Some(table) = item.table() else { return interface };
    let name = table.require("name", "the interface's name in the node, such as `eth0`");
    interface.name = name.and_then(|item| item.parsed(words::interface)).unwrap_or_default();
    for element in table.get("addresses").map(|item| item.elements()).unwrap_or_default() {
        let Some((address, text)) = element.parsed(words::address) else { continue };
        if let Some(other) = taken.insert(address, node.to_owned()) {
            element.wrong(format!("{address} is on this link already, at node `{other}`"));
        }
        interface.addresses.push(text);
    }
    interface.master = table.get("master").and_then(|item| item.parsed(words::interface));
    interface.mtu = table.get("mtu").and_then(|item| item.number(MTU));
    table.finish();
    interface
}

/// Devices, masters and routes against the interfaces of their node.
fn check_devices(top: &Table<'_>, nodes: &BTreeMap<String, Node>, links: &Links) {
    for (name, node) in nodes {
        let mut known: Vec<String> = vec!["lo".to_owned()];
        known
            .extend(links.values().filter_map(|link| link.get(name)).map(|port| port.name.clone()));
        // A broken name was reported where it stands; what refers to it would only repeat that.
        let mut broken = known.iter().any(String::is_empty);
        let mut devices = Vec::new();
        for (index, device) in node.devices.iter().enumerate() {
            let key = format!("nodes.{name}.devices[{index}]");
            let words: Vec<&str> = device.split_whitespace().collect();
            match words::device_name(&words) {
                Ok(device) if known.contains(&device) => {
                    top.findings.wrong(&key, format!("node `{name}` has a `{device}` already"));
                }
                Ok(device) => {
                    known.push(device.clone());
                    devices.push(device);
                }
                Err(message) => {
                    broken = true;
                    top.findings.wrong(&key, message);
                }
            }
        }
        if broken {
            continue;
        }
        let devices: Vec<&str> = devices.iter().map(String::as_str).collect();
        for device in node.addresses.keys().filter(|device| *device != "lo") {
            if !devices.contains(&device.as_str()) {
                let list = choices(device, devices.iter().copied());
                top.findings.wrong(
                    &format!("nodes.{name}.addresses.{device}"),
                    format!("node `{name}` has no device `{device}` (its devices are: {list})"),
                );
            }
        }
        for (link, port) in links.iter().filter_map(|(link, ports)| Some((link, ports.get(name)?)))
        {
            let Some(master) = port.master.as_deref().filter(|name| !devices.contains(name)) else {
                continue;
            };
            let list = choices(master, devices.iter().copied());
            top.findings.wrong(
                &format!("links.{link}.{name}.master"),
                format!("node `{name}` has no device `{master}` (its devices are: {list})"),
            );
        }
        check_routes(top, name, node, &known.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

fn check_routes(top: &Table<'_>, name: &str, node: &Node, interfaces: &[&str]) {
    for (index, route) in node.routes.iter().enumerate() {
        let key = format!("nodes.{name}.routes[{index}]");
        let words: Vec<&str> = route.split_whitespace().collect();
        for pair in words.windows(2) {
            match pair {
                ["dev", device] if !interfaces.contains(device) => {
                    let known = quoted(interfaces);
                    let message =
                        format!("node `{name}` has no interface `{device}` (it has {known})");
                    top.findings.wrong(&key, message);
                }
                ["via", gateway] if *gateway != "inet6" && gateway.parse::<IpAddr>().is_err() => {
                    top.findings.wrong(&key, format!("`{gateway}` is no address to route via"));
                }
                _ => {}
            }
        }
    }
}
