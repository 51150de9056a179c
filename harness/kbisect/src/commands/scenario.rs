//! `kbisect scenario`: list, check, show; `new` is in a file of its own, `selftest` in run/.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;

use kbisect_core::scenario::{
    Action, Check, NodeKernel, Ready, Refusal, Restart, Scenario, Service, Step,
};
use kbisect_report::ScenariosDocument;

use crate::cli::{Global, ScenarioArgs, ScenarioCommand};
use crate::settings::scenario::{self, LoadedScenario};
use crate::{errors, exit, output};

/// Carries out a command about scenarios.
///
/// # Errors
/// Unknown and broken scenarios; those of trials.
pub fn scenario(args: &ScenarioArgs, global: &Global) -> anyhow::Result<ExitCode> {
    match &args.command {
        ScenarioCommand::Selftest(args) => return crate::run::selftest(args, global),
        ScenarioCommand::List => list(global)?,
        ScenarioCommand::Check { scenarios } => check(scenarios, global)?,
        ScenarioCommand::Show { scenario } => show(&scenario::load(scenario)?, global)?,
        ScenarioCommand::New(args) => super::scenario_new::new(args, global)?,
    }
    Ok(exit::code(exit::OK))
}

fn list(global: &Global) -> anyhow::Result<()> {
    let mut listed = Vec::new();
    let mut rows = Vec::new();
    for named in scenario::list() {
        match scenario::load_named(&named) {
            Ok(loaded) => {
                let summary = loaded.scenario.summary.clone();
                rows.push(vec![named.name.clone(), summary, format!("({})", named.origin())]);
                for (flavour, what) in &loaded.scenario.flavours {
                    let name = format!("{}:{flavour}", named.name);
                    rows.push(vec![name, what.summary.clone(), format!("({})", named.origin())]);
                }
                listed.push(loaded.listed());
            }
            // One broken scenario does not hide the others.
            Err(error) if !global.quiet => {
                let error = errors::message(&error);
                let first = error.lines().next().unwrap_or_default();
                output::say(&format!("warning: `{}` is left out: {first}", named.name));
            }
            Err(_) => {}
        }
    }
    if global.json {
        return output::json(&ScenariosDocument::new(listed));
    }
    output::print(&output::table(&rows))
}

/// Checks all that were named before it fails.
fn check(names: &[String], global: &Global) -> anyhow::Result<()> {
    let mut good = Vec::new();
    let mut failures: Vec<anyhow::Error> = Vec::new();
    let mut text = String::new();
    for name in names {
        match scenario::load(name) {
            Ok(loaded) => {
                let warnings = loaded.warnings.len();
                for warning in &loaded.warnings {
                    output::say(&format!("warning: {warning}"));
                }
                let _ = match warnings {
                    0 => writeln!(text, "{name}: good ({})", loaded.origin),
                    1 => writeln!(text, "{name}: good, with a warning ({})", loaded.origin),
                    n => writeln!(text, "{name}: good, with {n} warnings ({})", loaded.origin),
                };
                good.push(loaded.listed());
            }
            Err(error) => failures.push(error),
        }
    }
    let Some(last) = failures.pop() else {
        return if global.json {
            output::json(&ScenariosDocument::new(good))
        } else {
            output::print(&text)
        };
    };
    if failures.is_empty() {
        return Err(last);
    }
    failures.push(last);
    let messages: Vec<String> = failures.iter().map(errors::message).collect();
    let hint = failures.iter().find_map(errors::hint).unwrap_or_default();
    Err(errors::usage(messages.join("\n"), hint))
}

fn show(loaded: &LoadedScenario, global: &Global) -> anyhow::Result<()> {
    if global.json {
        return output::json(&ScenariosDocument::new(vec![loaded.listed()]));
    }
    let text = describe(loaded);
    let clean: Vec<String> = text.lines().map(output::clean).collect();
    output::print(&format!("{}\n", clean.join("\n")))
}

fn describe(loaded: &LoadedScenario) -> String {
    let scenario = &loaded.scenario;
    let mut text = format!("{}: {}\n", scenario.name, scenario.summary);
    let description = scenario.description.trim();
    if !description.is_empty() {
        let _ = write!(text, "\n{description}\n");
    }
    let _ = write!(text, "\nfrom {}, SHA-256 {}\n", loaded.origin, loaded.sha256);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_shown_with_what_it_builds_runs_and_checks() {
        let text = describe(&scenario::load("connlimit").unwrap());
        for part in [
            "on the candidate kernel",
            "client: host with the connlimit rule",
            "eth0 on lan  192.0.2.10/24",
            "rules.v4",
            "ready when TCP port 80 listens",
            "5 connections, payload read",
        ] {
            assert!(text.contains(part), "no `{part}` in:\n{text}");
        }
    }
}
