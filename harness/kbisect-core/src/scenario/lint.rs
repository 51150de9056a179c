//! What is allowed but probably not meant.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::places::Places;
use super::{Action, NodeKernel, Problem, Ready, Scenario, Step};
use crate::rules::{Rule, read_iptables, read_nft, uncounted};

/// Rules that are named one by one.
const RULES_TOLD: usize = 3;

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
    for (index, check) in scenario.checks.iter().enumerate() {
        if let Some((key, message)) = check.probe.lint(&scenario.image.packages) {
            warn(&format!("checks[{index}].{key}"), message);
        }
    }
    found.sort_by_key(|problem| (problem.line, problem.column));
    found
}

/// Addresses that are asked and that nobody has: no interface, and none of the scenario's files either, such as
/// the configuration of a program that moves an address.
pub(super) fn unknown_addresses(scenario: &Scenario, places: &Places) -> Vec<Problem> {
    let known: BTreeSet<IpAddr> = scenario.addresses().map(|(_, address)| address).collect();
    let named = |address: IpAddr| {
        let text = address.to_string();
        scenario.assets.values().any(|content| {
            let content = String::from_utf8_lossy(content);
            let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':');
            content.split(|c| !part(c)).any(|word| word == text)
        })
    };
    let asked = scenario.checks.iter().enumerate().filter_map(|(index, check)| {
        let server = check.probe.server()?;
        Some((server.at.ip(), format!("checks[{index}].{}", server.key)))
    });
    let ready = scenario.services.iter().enumerate().filter_map(|(index, service)| {
        let Ready::Http(http) = &service.ready else { return None };
        Some((http.host, format!("services[{index}].ready.http.url")))
    });
    let unknown = asked.chain(ready).filter(|(address, _)| {
        !known.contains(address) && !address.is_loopback() && !named(*address)
    });
    let told = unknown.map(|(address, key)| {
        places.problem(&key, format!("no interface of the scenario has the address {address}"))
    });
    told.collect()
}

/// Rules under test that no check counts, one warning for each file: whether they were met at all is not
/// told by a payload that arrived. A step with `counted = false` says that this is meant.
pub(super) fn uncounted_rules(scenario: &Scenario, places: &Places) -> Vec<Problem> {
    let mut done = BTreeSet::new();
    let mut found = Vec::new();
    let lists = [("setup", &scenario.setup), ("replay", &scenario.replay)];
    let steps = lists.iter().flat_map(|(list, steps)| {
        steps.iter().enumerate().map(move |(index, step)| (format!("{list}[{index}]"), step))
    });
    for (key, step) in steps {
        let under_test = scenario.nodes[&step.node].kernel == NodeKernel::Candidate;
        let file = step.action.asset().filter(|_| under_test && step.action.loads_rules());
        let Some(file) = file.filter(|file| done.insert((step.node.clone(), file.to_owned())))
        else {
            continue;
        };
        if places.has(&format!("{key}.counted")) {
            continue;
        }
        let text =
            String::from_utf8_lossy(scenario.assets.get(file).map_or(&[][..], Vec::as_slice));
        let rules = rules_of(step, &text);
        let counts = |rule: &Rule| {
            scenario.checks.iter().any(|check| check.node == step.node && check.probe.counts(rule))
        };
        let rules = uncounted(&rules, counts);
        if !rules.is_empty() {
            found.push(places.problem(&key, told(file, &step.action, &rules)));
        }
    }
    found
}

fn rules_of(step: &Step, text: &str) -> Vec<Rule> {
    match step.action {
        Action::Nft(_) => read_nft(text).rules,
        Action::IptablesRestore(_) => read_iptables(text, false).rules,
        Action::Ip6tablesRestore(_) => read_iptables(text, true).rules,
        _ => Vec::new(),
    }
}

fn told(file: &str, action: &Action, rules: &[&Rule]) -> String {
    let named = rules
        .iter()
        .take(RULES_TOLD)
        .filter_map(|rule| Some(format!("{} in line {}", rule.deed?, rule.line)));
    let named: Vec<String> = named.collect();
    let more = rules.len().saturating_sub(RULES_TOLD);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let (rule, key) = match action {
        Action::Nft(_) => ("a `counter` and a comment", "nft_comment"),
        _ => ("a comment", "iptables_comment"),
    };
    let are = if rules.len() == 1 { "1 rule is" } else { &format!("{} rules are", rules.len()) };
    format!(
        "{are} counted by no check, so nothing shows that {file} was met: {}{more} (give such a rule {rule}, and \
         add a check with `counter = {{ {key} = \"...\" }}`, `none = true` for what must not happen; or say \
         `counted = false` at the step)",
        named.join(", ")
    )
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
