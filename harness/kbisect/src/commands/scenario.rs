//! `kbisect scenario`: list, check, show; `new` is in a file of its own, `selftest` in run/.

use std::fmt::Write as _;
use std::process::ExitCode;

use kbisect_report::words::scenario_text;
use kbisect_report::{BuiltNode, ListedScenario, ScenariosDocument};

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
        ScenarioCommand::Import(args) => super::scenario_import::import(args, global)?,
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
        let built = BuiltNode::all(&loaded.scenario);
        let shown = ListedScenario { built, ..loaded.listed() };
        return output::json(&ScenariosDocument::new(vec![shown]));
    }
    let text = scenario_text(&loaded.scenario, &loaded.origin, &loaded.sha256);
    let clean: Vec<String> = text.lines().map(output::clean).collect();
    output::print(&format!("{}\n", clean.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_shown_with_what_it_builds_runs_and_checks() {
        let loaded = scenario::load("connlimit").unwrap();
        let text = scenario_text(&loaded.scenario, &loaded.origin, &loaded.sha256);
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

    /// Everything that is built is drawn: a device, an address or a sysctl that is not shown is looked for in
    /// vain by whoever reads it.
    #[test]
    fn everything_that_a_shipped_scenario_builds_is_shown() {
        for (name, _) in crate::settings::scenario::shipped() {
            let loaded = scenario::load(name).unwrap();
            let text = scenario_text(&loaded.scenario, &loaded.origin, &loaded.sha256);
            let has = |part: &str| assert!(text.contains(part), "{name}: no `{part}` in:\n{text}");
            for node in BuiltNode::all(&loaded.scenario) {
                node.devices.iter().chain(&node.routes).for_each(|line| has(line));
                for (device, addresses) in &node.addresses {
                    has(&format!("{device}  {}", addresses.join(" ")));
                }
                for (key, value) in &node.sysctls {
                    has(&format!("{key} = {value}"));
                }
                for interface in &node.interfaces {
                    has(&format!("{} on {}", interface.name, interface.link));
                }
            }
            loaded.scenario.flavours.keys().for_each(|flavour| has(&format!("{name}:{flavour}")));
        }
    }
}
