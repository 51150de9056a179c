//! A scenario in words, as `kbisect scenario show` prints it.

use std::fmt::Write as _;
use std::net::SocketAddr;

use kbisect_core::inject::Declared;
use kbisect_core::scenario::{
    Action, Check, Node, NodeKernel, Ready, Refusal, Restart, Scenario, Service, Step,
    WarningPolicy,
};

/// A scenario: what it builds, runs and checks. `origin` says where it comes from.
#[must_use]
pub fn scenario_text(scenario: &Scenario, origin: &str, sha256: &str) -> String {
    let mut text = format!("{}: {}\n", scenario.name, scenario.summary);
    let description = scenario.description.trim();
    if !description.is_empty() {
        let _ = write!(text, "\n{description}\n");
    }
    if !scenario.says.is_empty() {
        let _ = write!(text, "\nwhen it fails: {}\n", scenario.says);
    }
    let _ = write!(text, "\nfrom {origin}, SHA-256 {sha256}\n");
    needs(scenario, &mut text);
    nodes(scenario, &mut text);
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            let _ = write!(text, "\n{title}\n");
            for line in lines {
                let _ = writeln!(text, "  {line}");
            }
        }
    };
    section("set-up", scenario.setup.iter().map(step).collect());
    section("services", scenario.services.iter().map(service).collect());
    section("replay", scenario.replay.iter().map(step).collect());
    section("checks", scenario.checks.iter().map(check_line).collect());
    let flavours = scenario.flavours.iter().filter(|(_, flavour)| flavour.way.is_none());
    let flavours =
        flavours.map(|(name, what)| format!("{}:{name}: {}", scenario.name, what.summary));
    section("flavours", flavours.collect());
    section("ways, the first one without being told", ways(scenario));
    section("faults of its self-test", scenario.faults.iter().map(fault).collect());
    section("files", scenario.assets.keys().cloned().collect());
    text
}

/// What a kernel and the root image must offer, and what is made of the kernel's own reports.
fn needs(scenario: &Scenario, text: &mut String) {
    let requires = &scenario.requires;
    let needed: Vec<&str> =
        requires.modules.iter().chain(&requires.config).map(String::as_str).collect();
    if !needed.is_empty() {
        let _ = writeln!(text, "a kernel needs {}", needed.join(", "));
    }
    if !requires.optional_modules.is_empty() {
        let _ = writeln!(text, "loaded where it exists: {}", requires.optional_modules.join(", "));
    }
    if !scenario.image.packages.is_empty() {
        let _ =
            writeln!(text, "packages in the root image: {}", scenario.image.packages.join(", "));
    }
    if scenario.warnings == WarningPolicy::Record {
        text.push_str("warnings of the kernel are recorded only\n");
    }
    if let Some(expect) = scenario.expect {
        let _ = writeln!(text, "expected on a healthy kernel: {expect}");
    }
}

fn ways(scenario: &Scenario) -> Vec<String> {
    let steps = |name: &str| {
        let way = scenario.flavours.get(name)?.way.as_ref()?;
        let own = way.setup.iter().chain(&way.replay).filter(|step| step.way.is_some());
        Some(own.map(|step| step.name.as_str()).collect::<Vec<_>>().join(", "))
    };
    let ways = scenario.ways().into_iter();
    ways.map(|name| {
        let summary = scenario.flavours.get(name).map_or("", |flavour| flavour.summary.as_str());
        let steps = steps(name).filter(|steps| !steps.is_empty());
        let steps = steps.map(|steps| format!(" ({steps})")).unwrap_or_default();
        format!("{}:{name}: {summary}{steps}", scenario.name)
    })
    .collect()
}

fn fault(declared: &Declared) -> String {
    let noticed = match declared.noticed_by.as_slice() {
        [] => String::new(),
        checks => format!(", to be noticed by {}", checks.join(", ")),
    };
    format!("{}: {}{noticed}", declared.name, declared.fault)
}

/// What is built in a node beside its interfaces on links.
fn built(node: &Node, text: &mut String) {
    for device in &node.devices {
        let _ = writeln!(text, "    device  {device}");
    }
    for (device, addresses) in &node.addresses {
        let _ = writeln!(text, "    {device}  {}", addresses.join(" "));
    }
    for route in &node.routes {
        let _ = writeln!(text, "    route  {route}");
    }
    for (key, value) in &node.sysctl {
        let _ = writeln!(text, "    sysctl  {key} = {value}");
    }
}

fn nodes(scenario: &Scenario, text: &mut String) {
    for (kernel, title, machine) in [
        (NodeKernel::Candidate, "on the candidate kernel", &scenario.candidate),
        (NodeKernel::Reference, "on the reference kernel", &scenario.peer),
    ] {
        let mut nodes = scenario.nodes_on(kernel).peekable();
        if nodes.peek().is_none() {
            continue;
        }
        let cmdline = match machine.cmdline.as_slice() {
            [] => String::new(),
            words => format!(", command line {}", words.join(" ")),
        };
        let (memory, cpus) = (machine.memory_mib, machine.cpus);
        let _ = write!(text, "\n{title} ({memory} MiB, {cpus} CPU{cmdline})\n");
        for name in nodes {
            let Some(node) = scenario.nodes.get(name) else { continue };
            let role = node.role.as_str();
            let separator = if role.is_empty() { "" } else { ": " };
            let _ = writeln!(text, "  {name}{separator}{role}");
            for (link, ends) in &scenario.links {
                let Some(interface) = ends.get(name) else { continue };
                let addresses = interface.addresses.join(" ");
                let under = interface.master.as_ref().map(|master| format!(" under {master}"));
                let mtu = interface.mtu.map(|mtu| format!(", MTU {mtu}")).unwrap_or_default();
                let line = format!(
                    "    {} on {link}{}{mtu}  {addresses}",
                    interface.name,
                    under.unwrap_or_default()
                );
                let _ = writeln!(text, "{}", line.trim_end());
            }
            built(node, text);
        }
    }
}

fn step(step: &Step) -> String {
    let mut text = format!("{}: {}", step.node, step.name);
    let told = match &step.action {
        Action::Run(_) | Action::Fault(_) => None,
        action => action.asset(),
    };
    if let Some(asset) = told
        && !step.name.contains(asset)
    {
        let _ = write!(text, " ({asset})");
    }
    if step.repeat > 1 {
        let _ = write!(text, ", {} times", step.repeat);
    }
    if step.refusal == Refusal::Accept {
        text.push_str(", may be refused");
    }
    text
}

fn service(service: &Service) -> String {
    let ready = match &service.ready {
        Ready::Started => "at once".to_owned(),
        Ready::Tcp(port) => format!("when TCP port {port} listens"),
        Ready::Udp(port) => format!("when UDP port {port} is bound"),
        Ready::Http(http) => {
            let server = SocketAddr::new(http.host, http.port);
            format!("when http://{server}{} answers {}", http.path, http.status)
        }
        Ready::File(path) => format!("when {path} exists"),
        Ready::Log(regex) => format!("when its output matches {regex}"),
    };
    let again = match service.restart {
        Restart::No => String::new(),
        Restart::OnFailure(limit) => {
            format!(", started again after a failure, {limit} times at most")
        }
        Restart::Always(limit) => format!(", started again, {limit} times at most"),
    };
    let may_end = if service.must_stay { "" } else { ", may end" };
    let command = service.command.join(" ");
    format!("{}: {} ({command}), ready {ready}{again}{may_end}", service.node, service.name)
}

fn check_line(check: &Check) -> String {
    let probe = check.probe.summary();
    let recorded = if check.record_only { ", recorded only" } else { "" };
    format!("{}: {}: {probe}{recorded}", check.node, check.name)
}
