//! What a scenario is made of, piece by piece, and the scenario without some of it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rules::{Form, Part, parts, without};
use crate::scenario::{Action, Scenario};

/// Kinds of ingredients, in the order in which they are left out: the largest first, and those last of
/// which there are most, so that they need not be tried again when another kind went after them.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum IngredientKind {
    /// A check, with its traffic.
    Check,
    /// A host, with all that is on it.
    Node,
    /// A service.
    Service,
    /// A step of the set-up.
    Setup,
    /// A step of the replay.
    Replay,
    /// That a step is done more than once.
    Repetition,
    /// A link.
    Link,
    /// A sysctl.
    Sysctl,
    /// A route.
    Route,
    /// An address.
    Address,
    /// A virtual device.
    Device,
    /// A block of a rule file: a table, a chain, a set.
    Block,
    /// That a rule is there more than once.
    Duplicate,
    /// A rule, or a line of a batch.
    Rule,
}

/// One ingredient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingredient {
    /// Its kind.
    pub kind: IngredientKind,
    /// What people call it.
    pub name: String,
    /// How often it is there.
    pub count: u32,
    place: Place,
}

/// Where it is in the scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Check(String),
    Node(String),
    Service(String),
    Setup(usize),
    Replay(usize),
    SetupRepeat(usize),
    ReplayRepeat(usize),
    Lines { asset: String, lines: Vec<usize> },
    Link(String),
    Sysctl { node: String, key: String },
    Route { node: String, at: usize },
    Device { node: String, at: usize },
    NodeAddress { node: String, device: String, at: usize },
    LinkAddress { link: String, node: String, at: usize },
}

/// The place of a step by its number.
type Make = fn(usize) -> Place;

/// The ingredients of a scenario.
#[derive(Clone, Debug)]
pub struct Ingredients<'a> {
    scenario: &'a Scenario,
    /// All of them, those of a kind together.
    pub all: Vec<Ingredient>,
}

impl<'a> Ingredients<'a> {
    /// Takes a scenario apart.
    #[must_use]
    pub fn of(scenario: &'a Scenario) -> Self {
        use IngredientKind as Kind;
        let mut all = Vec::new();
        let mut add = |kind, name: &str, count: u32, place| {
            all.push(Ingredient { kind, name: name.to_owned(), count, place });
        };
        for check in &scenario.checks {
            add(Kind::Check, &check.name, 1, Place::Check(check.name.clone()));
        }
        for name in scenario.nodes.keys() {
            add(Kind::Node, name, 1, Place::Node(name.clone()));
        }
        for service in &scenario.services {
            add(Kind::Service, &service.name, 1, Place::Service(service.name.clone()));
        }
        let phases: [(_, Kind, Make, Make); 2] = [
            (&scenario.setup, Kind::Setup, Place::Setup, Place::SetupRepeat),
            (&scenario.replay, Kind::Replay, Place::Replay, Place::ReplayRepeat),
        ];
        for (steps, kind, place, repeat) in phases {
            for (at, step) in steps.iter().enumerate() {
                add(kind, &step.name, step.repeat, place(at));
                if step.repeat > 1 {
                    add(Kind::Repetition, &step.name, step.repeat, repeat(at));
                }
            }
        }
        for (asset, found) in rule_files(scenario) {
            for part in found {
                let Part { lines, text, count, block } = part;
                let kind = if block { Kind::Block } else { Kind::Rule };
                let count = u32::try_from(count).unwrap_or(u32::MAX);
                if count > 1 {
                    let (asset, lines) = (asset.clone(), lines[1..].to_vec());
                    add(Kind::Duplicate, &text, count, Place::Lines { asset, lines });
                }
                add(kind, &text, count, Place::Lines { asset: asset.clone(), lines });
            }
        }
        for (link, members) in &scenario.links {
            add(Kind::Link, link, 1, Place::Link(link.clone()));
            for (node, interface) in members {
                for (at, address) in interface.addresses.iter().enumerate() {
                    let place = Place::LinkAddress { link: link.clone(), node: node.clone(), at };
                    add(Kind::Address, &format!("{address} of {node}"), 1, place);
                }
            }
        }
        for (name, node) in &scenario.nodes {
            for (key, value) in node.sysctl.iter().filter(|(key, _)| !is_about_reports(key)) {
                let place = Place::Sysctl { node: name.clone(), key: key.clone() };
                add(Kind::Sysctl, &format!("{key} = {value} of {name}"), 1, place);
            }
            for (at, route) in node.routes.iter().enumerate() {
                add(
                    Kind::Route,
                    &format!("{route} of {name}"),
                    1,
                    Place::Route { node: name.clone(), at },
                );
            }
            for (at, device) in node.devices.iter().enumerate() {
                let place = Place::Device { node: name.clone(), at };
                add(Kind::Device, &format!("{device} of {name}"), 1, place);
            }
            for (device, addresses) in &node.addresses {
                for (at, address) in addresses.iter().enumerate() {
                    let (node, device) = (name.clone(), device.clone());
                    let place = Place::NodeAddress { node, device, at };
                    add(Kind::Address, &format!("{address} of {name}"), 1, place);
                }
            }
        }
        all.sort_by_key(|ingredient| ingredient.kind);
        Self { scenario, all }
    }

    /// Their places in the list, those of a kind together.
    #[must_use]
    pub fn classes(&self) -> Vec<Vec<usize>> {
        let mut classes: BTreeMap<IngredientKind, Vec<usize>> = BTreeMap::new();
        for (at, ingredient) in self.all.iter().enumerate() {
            classes.entry(ingredient.kind).or_default().push(at);
        }
        classes.into_values().collect()
    }

    /// The scenario without some of them; nothing when that is none any more.
    #[must_use]
    pub fn without(&self, gone: &BTreeSet<usize>) -> Option<Scenario> {
        let mut scenario = self.scenario.clone();
        scenario.flavours.clear();
        scenario.faults.clear();
        scenario.expect = None;
        let places = || gone.iter().filter_map(|at| Some(&self.all.get(*at)?.place));
        let has = |place: &Place| places().any(|gone| gone == place);
        let no_node = |node: &str| has(&Place::Node(node.to_owned()));
        scenario.checks.retain(|it| !has(&Place::Check(it.name.clone())) && !no_node(&it.node));
        scenario.services.retain(|it| !has(&Place::Service(it.name.clone())) && !no_node(&it.node));
        let phases: [(_, Make, Make); 2] = [
            (&mut scenario.setup, Place::Setup, Place::SetupRepeat),
            (&mut scenario.replay, Place::Replay, Place::ReplayRepeat),
        ];
        for (steps, place, repeat) in phases {
            let old = std::mem::take(steps);
            let kept = old.into_iter().enumerate().filter_map(|(at, mut step)| {
                if has(&place(at)) || no_node(&step.node) {
                    return None;
                }
                if has(&repeat(at)) {
                    step.repeat = 1;
                }
                Some(step)
            });
            *steps = kept.collect();
        }
        for (asset, content) in &mut scenario.assets {
            let lines: BTreeSet<usize> = places()
                .filter_map(|place| match place {
                    Place::Lines { asset: of, lines } if of == asset => Some(lines),
                    _ => None,
                })
                .flatten()
                .copied()
                .collect();
            if !lines.is_empty() {
                let text = String::from_utf8_lossy(content);
                *content = without(&text, &|at| lines.contains(&at)).into_bytes();
            }
        }
        self.thin_topology(&mut scenario, &has, &no_node);
        whole(scenario)
    }

    fn thin_topology(
        &self,
        scenario: &mut Scenario,
        has: &dyn Fn(&Place) -> bool,
        no_node: &dyn Fn(&str) -> bool,
    ) {
        scenario.nodes.retain(|name, _| !no_node(name));
        for (name, node) in &mut scenario.nodes {
            let own = || name.clone();
            node.sysctl.retain(|key, _| !has(&Place::Sysctl { node: own(), key: key.clone() }));
            node.routes = keep(&node.routes, |at| !has(&Place::Route { node: own(), at }));
            node.devices = keep(&node.devices, |at| !has(&Place::Device { node: own(), at }));
            for (device, addresses) in &mut node.addresses {
                *addresses = keep(addresses, |at| {
                    !has(&Place::NodeAddress { node: own(), device: device.clone(), at })
                });
            }
        }
        for (link, members) in &mut scenario.links {
            members.retain(|node, _| !no_node(node));
            for (node, interface) in members {
                interface.addresses = keep(&interface.addresses, |at| {
                    !has(&Place::LinkAddress { link: link.clone(), node: node.clone(), at })
                });
            }
        }
        // A link with one end carries nothing, and cannot be written down.
        let gone = |link: &String| has(&Place::Link(link.clone()));
        scenario.links.retain(|link, members| !gone(link) && members.len() > 1);
    }
}

/// Whether a sysctl only says when and how the kernel reports what went wrong
/// (Documentation/admin-guide/sysctl/kernel.rst). Without it a failure is the same, and told later.
fn is_about_reports(key: &str) -> bool {
    let Some(name) = key.strip_prefix("kernel.") else { return false };
    let begins =
        ["watchdog", "softlockup_", "hardlockup_", "hung_task_", "panic", "printk", "oops_"];
    begins.iter().any(|begin| name.starts_with(begin))
        || name.ends_with("nmi_panic")
        || name == "nmi_watchdog"
}

fn keep(list: &[String], stays: impl Fn(usize) -> bool) -> Vec<String> {
    let kept = list.iter().enumerate().filter(|(at, _)| stays(*at));
    kept.map(|(_, text)| text.clone()).collect()
}

/// A scenario that keeps the rules of scenarios, without files that nothing names any more.
fn whole(mut scenario: Scenario) -> Option<Scenario> {
    let json = serde_json::to_vec(&scenario).ok()?;
    Scenario::from_kept(&json).ok()?;
    let text = String::from_utf8_lossy(&json).into_owned();
    let mut needed: BTreeSet<String> = BTreeSet::new();
    loop {
        // Files name files.
        let more: Vec<String> = scenario
            .assets
            .keys()
            .filter(|name| !needed.contains(*name))
            .filter(|name| {
                let in_files = scenario.assets.iter().any(|(other, content)| {
                    needed.contains(other) && String::from_utf8_lossy(content).contains(*name)
                });
                text.contains(name.as_str()) || in_files
            })
            .cloned()
            .collect();
        if more.is_empty() {
            break;
        }
        needed.extend(more);
    }
    scenario.assets.retain(|name, _| needed.contains(name));
    Some(scenario)
}

/// The rule files that steps load, with their parts. A file that is loaded twice is one.
fn rule_files(scenario: &Scenario) -> BTreeMap<String, Vec<Part>> {
    let mut found = BTreeMap::new();
    let scripts: Vec<&str> = scenario
        .setup
        .iter()
        .chain(&scenario.replay)
        .filter_map(|step| match &step.action {
            Action::Run(script) => Some(script.as_str()),
            _ => None,
        })
        .collect();
    for step in scenario.setup.iter().chain(&scenario.replay) {
        let (form, file) = match &step.action {
            Action::Nft(file) => (Form::Nft, file),
            Action::IptablesRestore(file) | Action::Ip6tablesRestore(file) => {
                (Form::IptablesSave, file)
            }
            Action::IpBatch(file) => (Form::IpBatch, file),
            Action::Run(_) | Action::Fault(_) => continue,
        };
        let content = scenario.assets.get(file).map(|content| String::from_utf8_lossy(content));
        found.insert(file.clone(), content.map_or(Vec::new(), |text| parts(form, &text)));
    }
    // Scripts that load rules name the file and what reads it.
    for (asset, content) in &scenario.assets {
        let named = scripts.iter().any(|script| {
            script.contains(asset.as_str())
                && script.contains("tables")
                && script.contains("restore")
        });
        if named && !found.contains_key(asset) {
            let text = String::from_utf8_lossy(content);
            found.insert(asset.clone(), parts(Form::IptablesSave, &text));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::SysctlValue;

    fn synproxy() -> Scenario {
        let text = include_str!("../../../../scenarios/synproxy/scenario.toml");
        let mut scenario = Scenario::parse("synproxy", "x", text).unwrap().scenario().clone();
        let rules = include_str!("../../../../scenarios/synproxy/synproxy.nft");
        scenario.assets.insert("synproxy.nft".to_owned(), rules.as_bytes().to_vec());
        scenario.assets.insert("nginx.conf".to_owned(), b"daemon off;\n".to_vec());
        scenario
    }

    #[test]
    fn each_alone_leaves_a_scenario_or_none_and_never_more() {
        let scenario = synproxy();
        let found = Ingredients::of(&scenario);
        assert!(found.all.iter().any(|it| it.kind == IngredientKind::Rule));
        for at in 0..found.all.len() {
            let Some(less) = found.without(&BTreeSet::from([at])) else { continue };
            assert_ne!(less, found.without(&BTreeSet::new()).unwrap(), "{:?}", found.all[at]);
            let kept = serde_json::to_vec(&less).unwrap();
            assert!(Scenario::from_kept(&kept).is_ok());
        }
        let all: BTreeSet<usize> = (0..found.all.len()).collect();
        assert_eq!(found.without(&all), None, "no node under test is left");
    }

    #[test]
    fn what_makes_a_lock_up_be_told_early_stays() {
        let text = include_str!("../../../../scenarios/duplicate-rules/scenario.toml");
        let mut scenario = Scenario::parse("x", "x", text).unwrap().scenario().clone();
        let sysctls = |scenario: &Scenario| {
            let found = Ingredients::of(scenario).all;
            found.iter().filter(|it| it.kind == IngredientKind::Sysctl).count()
        };
        assert_eq!(sysctls(&scenario), 0);
        let node = scenario.nodes.get_mut("app").unwrap();
        node.sysctl.insert("net.ipv4.ip_forward".to_owned(), SysctlValue::Number(1));
        node.sysctl.insert("kernel.pid_max".to_owned(), SysctlValue::Number(4096));
        assert_eq!(sysctls(&scenario), 2);
    }

    #[test]
    fn a_node_goes_with_all_that_is_on_it() {
        let scenario = synproxy();
        let found = Ingredients::of(&scenario);
        let server =
            found.all.iter().position(|it| it.kind == IngredientKind::Node && it.name == "server");
        let less = found.without(&BTreeSet::from([server.unwrap()])).unwrap();
        assert!(less.services.is_empty() && less.links.is_empty() && less.setup.len() == 1);
        assert!(
            !less.assets.contains_key("nginx.conf") && less.assets.contains_key("synproxy.nft")
        );
    }
}
