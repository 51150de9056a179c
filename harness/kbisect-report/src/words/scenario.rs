//! A scenario in words, as `kbisect scenario show` prints it.

use std::fmt::Write as _;
use std::net::SocketAddr;

use kbisect_core::scenario::{
    Action, Check, NodeKernel, Ready, Refusal, Restart, Scenario, Service, Step,
};

/// A scenario: what it builds, runs and checks. `origin` says where it comes from.
#[must_use]
pub fn scenario_text(scenario: &Scenario, origin: &str, sha256: &str) -> String {
    let mut text = format!("{}: {}\n", scenario.name, scenario.summary);
    let description = scenario.description.trim();
    if !description.is_empty() {
        let _ = write!(text, "\n{description}\n");
    }
    let _ = write!(text, "\nfrom {origin}, SHA-256 {sha256}\n");
    let requires: Vec<&str> = scenario
        .requires
        .modules
        .iter()
        .chain(&scenario.requires.config)
        .map(String::as_str)
        .collect();
    if !requires.is_empty() {
        let _ = writeln!(text, "a kernel needs {}", requires.join(", "));
    }
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
    section("files", scenario.assets.keys().cloned().collect());
    text
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
        let _ = write!(text, "\n{title} ({} MiB, {} CPU)\n", machine.memory_mib, machine.cpus);
        for name in nodes {
            let role = scenario.nodes.get(name).map(|node| node.role.as_str()).unwrap_or_default();
            let separator = if role.is_empty() { "" } else { ": " };
            let _ = writeln!(text, "  {name}{separator}{role}");
            for (link, ends) in &scenario.links {
                let Some(interface) = ends.get(name) else { continue };
                let addresses = interface.addresses.join(" ");
                let under = interface.master.as_ref().map(|master| format!(" under {master}"));
                let _ = writeln!(
                    text,
                    "    {} on {link}{}  {addresses}",
                    interface.name,
                    under.unwrap_or_default()
                );
            }
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
