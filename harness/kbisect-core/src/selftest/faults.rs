//! What a self-test breaks, one thing at a time, and who notices.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::inject::{Declared, Fault};
use crate::scenario::{Check, NodeKernel, Scenario};
use crate::trial::{CheckStatus, Symptom, TrialRecord, VerdictKind};

/// A fault in a good trial, and who noticed it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultSight {
    /// Its name in the scenario, or what it is.
    pub name: String,
    /// The fault.
    #[serde(flatten)]
    pub fault: Fault,
    /// Whether the scenario declares it; if not, every scenario is tried with its like.
    pub declared: bool,
    /// Why it could not be put in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_put_in: Option<String>,
    /// The trial's verdict.
    pub verdict: VerdictKind,
    /// The trial's symptom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symptom: Option<Symptom>,
    /// Checks that failed with it, and do not without it.
    pub noticed_by: Vec<String>,
    /// Checks that have to notice it, and did not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missed_by: Vec<String>,
    /// Folder of its run.
    pub run_dir: String,
    /// Seconds that the trial took.
    pub wall_s: f64,
}

impl FaultSight {
    /// Judges the trial of a fault by the one without it.
    #[must_use]
    pub fn new(
        declared: &Declared,
        is_declared: bool,
        whole: &TrialRecord,
        broken: &TrialRecord,
        run_dir: String,
    ) -> Self {
        let of = |record: &'_ TrialRecord, name: &str| {
            record.checks.iter().find(|check| check.name == name).map(|check| check.status)
        };
        let passed = whole.checks.iter().filter(|check| check.status == CheckStatus::Pass);
        let noticed_by: Vec<String> = passed
            .filter(|check| {
                let now = of(broken, &check.name);
                matches!(now, Some(CheckStatus::Fail | CheckStatus::Recorded))
            })
            .map(|check| check.name.clone())
            .collect();
        let missed = declared.noticed_by.iter().filter(|name| !noticed_by.contains(name));
        let failed = broken.injected.iter().find(|it| it.fault == declared.fault);
        Self {
            name: declared.name.clone(),
            fault: declared.fault.clone(),
            declared: is_declared,
            not_put_in: match failed {
                Some(injected) => injected.failed.clone(),
                None => Some(
                    broken
                        .reason
                        .clone()
                        .unwrap_or_else(|| "the trial ended before the checks began".to_owned()),
                ),
            },
            verdict: broken.verdict,
            symptom: broken.symptom.clone(),
            missed_by: missed.cloned().collect(),
            noticed_by,
            run_dir,
            wall_s: broken.wall_s,
        }
    }

    /// Whether anybody noticed: a check, or kbisect itself by the console.
    #[must_use]
    pub fn is_noticed(&self) -> bool {
        !self.noticed_by.is_empty() || self.symptom.as_ref().is_some_and(super::is_crash)
    }
}

/// What is broken in every scenario, as far as it has it: links, carriers, servers, services, packet
/// filters, the kernel. Not what the scenario declares itself.
#[must_use]
pub fn usual(scenario: &Scenario) -> Vec<Declared> {
    let mut faults: Vec<Fault> = Vec::new();
    faults.extend(scenario.links.keys().map(|link| Fault::Cut { link: link.clone() }));
    for check in &scenario.checks {
        faults.extend(answer_dropped(scenario, check));
    }
    for (link, members) in &scenario.links {
        let candidates = members.keys().filter(|node| is_candidate(scenario, node));
        faults.extend(
            candidates.map(|node| Fault::CarrierOff { link: link.clone(), node: node.clone() }),
        );
    }
    for service in &scenario.services {
        let service = service.name.clone();
        faults.push(Fault::Kill { service: service.clone() });
        faults.push(Fault::Pause { service });
    }
    let candidates: Vec<&str> = scenario.nodes_on(NodeKernel::Candidate).collect();
    faults.extend(candidates.iter().map(|node| Fault::Filter { node: (*node).to_owned() }));
    faults.extend(candidates.first().map(|node| Fault::Panic { node: (*node).to_owned() }));
    let own = scenario.nodes.iter().filter(|(_, node)| !node.machine.is_shared());
    faults.extend(own.map(|(node, _)| Fault::PowerOff { node: node.clone() }));
    let own: BTreeSet<&Fault> = scenario.faults.iter().map(|declared| &declared.fault).collect();
    let mut seen = BTreeSet::new();
    faults.retain(|fault| !own.contains(fault) && seen.insert(fault.clone()));
    let named = |fault: Fault| Declared { name: fault.to_string(), fault, noticed_by: Vec::new() };
    faults.into_iter().map(named).collect()
}

/// The answers of a check's server are lost on the link next to it.
fn answer_dropped(scenario: &Scenario, check: &Check) -> Option<Fault> {
    let server = check.probe.server()?;
    let (address, port) = (server.at.ip(), server.at.port());
    let (node, _) = scenario.addresses().find(|(_, at)| *at == address)?;
    if node == check.node {
        return None;
    }
    let link = scenario.links.iter().find(|(_, members)| members.contains_key(node))?.0;
    Some(Fault::Drop { link: link.clone(), from: node.to_owned(), port: Some(port) })
}

fn is_candidate(scenario: &Scenario, node: &str) -> bool {
    scenario.nodes.get(node).is_some_and(|node| node.kernel == NodeKernel::Candidate)
}

/// What keeps a self-test from passing, as far as faults tell.
#[must_use]
pub fn problems_of_faults(faults: &[FaultSight]) -> Vec<String> {
    let mut problems = Vec::new();
    for fault in faults {
        let name = &fault.name;
        if let Some(why) = &fault.not_put_in {
            let why = why.lines().next().unwrap_or_default();
            problems.push(format!("fault `{name}` could not be put in: {why}"));
        } else if !fault.missed_by.is_empty() {
            problems
                .push(format!("fault `{name}` is not noticed by {}", fault.missed_by.join(", ")));
        } else if fault.declared && !fault.is_noticed() {
            problems.push(format!("fault `{name}` is noticed by no check"));
        }
    }
    problems
}

/// Checks that count and that nothing makes fail: neither cut wires nor a fault. What only shows that
/// the node lives needs a fault that ends it.
#[must_use]
pub fn never_fail<'a>(
    scenario: &'a Scenario,
    sees_cut: &[String],
    faults: &[FaultSight],
) -> Vec<&'a Check> {
    let fails = |check: &&Check| {
        let by_fault = faults.iter().any(|fault| fault.noticed_by.contains(&check.name));
        by_fault || sees_cut.contains(&check.name)
    };
    let counts = |check: &&Check| !check.record_only && !check.probe.is_liveness();
    scenario.checks.iter().filter(counts).filter(|check| !fails(check)).collect()
}
