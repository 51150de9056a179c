//! What is allowed but probably not meant.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::places::Places;
use super::{NodeKernel, Problem, Ready, Scenario};

/// Warnings about a valid scenario, in the order of the file.
pub(super) fn warnings(scenario: &Scenario, places: &Places) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut warn = |key: &str, message: String| found.push(places.problem(key, message));
    if !scenario.checks.iter().any(|check| !check.record_only && check.probe.verifies_payload()) {
        warn(
            "checks",
            "no payload is verified: ping and connect stay green on real regressions \
             (give an `http` check a `body`, or a `command` check `payload = true`)"
                .to_owned(),
        );
    }
    for name in scenario.nodes.keys() {
        let linked = scenario.links.values().any(|link| link.contains_key(name));
        if !linked && scenario.nodes.len() > 1 {
            warn(&format!("nodes.{name}"), "the node is on no link".to_owned());
        }
    }
    for name in idle_candidates(scenario) {
        warn(
            &format!("nodes.{name}"),
            "no check involves this candidate: none runs on it, talks to it or can pass through it"
                .to_owned(),
        );
    }
    for (index, service) in scenario.services.iter().enumerate() {
        let key = format!("services[{index}]");
        if service.ready == Ready::Started && !places.has(&format!("{key}.ready")) {
            let message = "`ready` is not set: checks can come before the service listens \
                           (`ready = \"started\"` says that this is meant)";
            warn(&key, message.to_owned());
        }
    }
    let known: BTreeSet<IpAddr> = scenario.addresses().map(|(_, address)| address).collect();
    for (index, check) in scenario.checks.iter().enumerate() {
        if let Some((key, message)) = check.probe.lint(&scenario.image.packages) {
            warn(&format!("checks[{index}].{key}"), message);
        }
        let Some(server) = check.probe.server() else { continue };
        let (host, key) = (server.at.ip(), server.key);
        if !known.contains(&host) && !host.is_loopback() {
            let key = format!("checks[{index}].{key}");
            warn(&key, format!("no interface of the scenario has the address {host}"));
        }
    }
    for (index, service) in scenario.services.iter().enumerate() {
        let Ready::Http(http) = &service.ready else { continue };
        if !known.contains(&http.host) && !http.host.is_loopback() {
            let key = format!("services[{index}].ready.http.url");
            warn(&key, format!("no interface of the scenario has the address {}", http.host));
        }
    }
    found.sort_by_key(|problem| (problem.line, problem.column));
    found
}

/// Candidates that no judged check can say anything about.
fn idle_candidates(scenario: &Scenario) -> Vec<&str> {
    let mut busy = BTreeSet::new();
    for check in scenario.checks.iter().filter(|check| !check.record_only) {
        busy.insert(check.node.as_str());
        let Some(server) = check.probe.server() else { continue };
        let target = server.at.ip();
        busy.extend(scenario.addresses().filter(|(_, at)| *at == target).map(|(node, _)| node));
    }
    // A node on two links, or with VLANs on one, can forward; whether it does is known only when
    // frames pass.
    let links = |node: &str| {
        let vlans =
            scenario.nodes[node].devices.iter().filter(|device| device.contains(" type vlan "));
        scenario.links.values().filter(|link| link.contains_key(node)).count() + vlans.count()
    };
    scenario
        .nodes_on(NodeKernel::Candidate)
        .filter(|node| !busy.contains(node) && links(node) < 2)
        .collect()
}
