//! Flavours: variations of a scenario.

use std::collections::{BTreeMap, BTreeSet};

use super::assets::AssetRef;
use super::cursor::{Item, Table};
use super::suggest::choices;
use super::topology::{Node, NodeKernel, check_node};
use super::{Action, Check, Expect, Flavour, Scenario, Service, Step, words};
use crate::inject::Target;
use crate::trial::SymptomKind;

/// What a flavour can leave out, repeat or change.
pub(super) struct Parts<'a> {
    pub nodes: &'a BTreeMap<String, Node>,
    pub steps: [&'a [Step]; 2],
    pub services: &'a [Service],
    pub checks: &'a [Check],
}

/// Reads `[flavours]`.
pub(super) fn read_flavours(
    table: &Table<'_>,
    parts: &Parts<'_>,
    assets: &mut Vec<AssetRef>,
) -> BTreeMap<String, Flavour> {
    let mut flavours = BTreeMap::new();
    for (name, item) in table.entries() {
        if let Err(message) = words::name(name) {
            item.wrong(message);
        }
        let Some(table) = item.table() else { continue };
        let summary = table.require("summary", "one line that says what is different");
        let summary = summary.and_then(|item| item.parsed(words::line)).unwrap_or_default();
        let (replace, without, repeat) =
            (table.get("replace"), table.get("without"), table.get("repeat"));
        let kernels = table.get("kernels");
        if [&replace, &without, &repeat, &kernels].iter().all(|item| item.is_none()) {
            item.wrong(
                "one of `replace`, `without`, `repeat`, `kernels` is needed: nothing is different",
            );
        }
        let flavour = Flavour {
            summary,
            says: table.get("says").and_then(|item| item.parsed(words::line)),
            replace: replace.map(|item| read_replace(&item, assets)).unwrap_or_default(),
            without: without.map(|item| read_without(&item, parts)).unwrap_or_default(),
            repeat: repeat.map(|item| read_repeat(&item, parts)).unwrap_or_default(),
            kernels: kernels.map(|item| read_kernels(&item, parts)).unwrap_or_default(),
            way: None,
            expect: table.get("expect").and_then(|item| read_expect(&item)),
        };
        table.finish();
        flavours.insert(name.to_owned(), flavour);
    }
    flavours
}

/// Reads `expect`: `good`, or the class of a symptom.
pub(super) fn read_expect(item: &Item<'_>) -> Option<Expect> {
    let bad = SymptomKind::ALL.into_iter().filter(|kind| kind.can_be_expected());
    let bad = bad.map(|kind| (kind.word(), Expect::Bad(kind)));
    let words: Vec<_> = std::iter::once(("good", Expect::Good)).chain(bad).collect();
    item.one_of(&words)
}

fn read_replace(item: &Item<'_>, assets: &mut Vec<AssetRef>) -> BTreeMap<String, String> {
    let mut replace = BTreeMap::new();
    let Some(files) = item.table() else { return replace };
    for (file, item) in files.entries() {
        match words::asset_path(file) {
            Ok(file) => {
                assets.push(AssetRef { path: file.clone(), key: item.path.clone() });
                replace.extend(AssetRef::read(&item, assets).map(|other| (file, other)));
            }
            Err(message) => item.wrong(message),
        }
    }
    replace
}

fn read_without(item: &Item<'_>, parts: &Parts<'_>) -> Vec<String> {
    let services = parts.services.iter().map(|service| service.name.as_str());
    let checks = parts.checks.iter().map(|check| check.name.as_str());
    let names: BTreeSet<&str> = step_names(parts).chain(services).chain(checks).collect();
    let mut without = Vec::new();
    for element in item.elements() {
        let Some(name) = element.parsed(words::line) else { continue };
        if !names.contains(name.as_str()) {
            let known = choices(&name, names.iter().copied());
            element.wrong(format!(
                "no step, service or check is named `{}` (there are: {known})",
                words::shown(&name)
            ));
        }
        without.push(name);
    }
    let left = |check: &&Check| !check.record_only && !without.contains(&check.name);
    if !parts.checks.is_empty() && !parts.checks.iter().any(|check| left(&check)) {
        item.wrong("no check is left that could fail");
    }
    without
}

fn read_repeat(item: &Item<'_>, parts: &Parts<'_>) -> BTreeMap<String, u32> {
    let mut repeat = BTreeMap::new();
    let Some(table) = item.table() else { return repeat };
    for (name, item) in table.entries() {
        if !step_names(parts).any(|step| step == name) {
            let names: BTreeSet<&str> = step_names(parts).collect();
            let known = choices(name, names);
            item.wrong(format!("no step is named `{}` (steps are: {known})", words::shown(name)));
        }
        repeat.extend(item.number(1..=10_000).map(|count| (name.to_owned(), count)));
    }
    repeat
}

fn read_kernels(item: &Item<'_>, parts: &Parts<'_>) -> BTreeMap<String, NodeKernel> {
    let mut kernels = BTreeMap::new();
    let Some(table) = item.table() else { return kernels };
    for (node, item) in table.entries() {
        check_node(&item, node, parts.nodes);
        kernels.extend(item.one_of(&NodeKernel::WORDS).map(|kernel| (node.to_owned(), kernel)));
    }
    let kernel_of = |(name, node): (&String, &Node)| *kernels.get(name).unwrap_or(&node.kernel);
    if !parts.nodes.iter().map(kernel_of).any(|kernel| kernel == NodeKernel::Candidate) {
        item.wrong("no node is left that runs the kernel under test");
    }
    kernels
}

/// The flavour of every scenario that has its application stopped: without the services under test.
pub const APPLICATION_STOPPED: &str = "application-stopped";

impl Scenario {
    /// The scenario in one of its flavours, or by one of its ways; `None` when it has no such flavour.
    #[must_use]
    pub fn flavoured(mut self, flavour: &str) -> Option<Self> {
        let chosen = match self.flavours.get(flavour) {
            Some(chosen) => chosen.clone(),
            None if flavour == APPLICATION_STOPPED => self.application_stopped()?,
            None => return None,
        };
        for (name, other) in &chosen.replace {
            let content = self.assets.get(other)?.clone();
            self.assets.insert(name.clone(), content);
        }
        if let Some(way) = chosen.way {
            self.go(flavour, way);
        }
        let stays = |name: &String| !chosen.without.contains(name);
        for steps in [&mut self.setup, &mut self.replay] {
            steps.retain(|step| stays(&step.name));
            for step in steps {
                step.repeat = chosen.repeat.get(&step.name).copied().unwrap_or(step.repeat);
            }
        }
        self.services.retain(|service| stays(&service.name));
        self.checks.retain(|check| stays(&check.name));
        for (name, kernel) in &chosen.kernels {
            self.nodes.get_mut(name)?.kernel = *kernel;
        }
        self.name = format!("{}:{flavour}", self.name);
        self.summary = chosen.summary;
        self.says = chosen.says.unwrap_or(self.says);
        self.expect = chosen.expect;
        Some(self)
    }

    /// Nothing without a service under test.
    fn application_stopped(&self) -> Option<Flavour> {
        let under_test = |service: &&Service| {
            self.nodes.get(&service.node).is_some_and(|node| node.kernel == NodeKernel::Candidate)
        };
        let mut without: Vec<String> =
            self.services.iter().filter(under_test).map(|service| service.name.clone()).collect();
        let names = without.join(", ");
        // What the replay does to them cannot be done.
        let done_to_them = |step: &&Step| match &step.action {
            Action::Fault(fault) => match fault.target() {
                Target::Service(name) => without.iter().any(|gone| gone == name),
                Target::Wires | Target::Link(..) | Target::Node(_) => false,
            },
            _ => false,
        };
        let steps = self.replay.iter().filter(done_to_them);
        let steps: Vec<String> = steps.map(|step| step.name.clone()).collect();
        without.extend(steps);
        (!without.is_empty()).then(|| Flavour {
            says: None,
            summary: format!("the application is stopped: {names}"),
            replace: BTreeMap::new(),
            without,
            repeat: BTreeMap::new(),
            kernels: BTreeMap::new(),
            way: None,
            expect: None,
        })
    }
}

fn step_names<'a>(parts: &Parts<'a>) -> impl Iterator<Item = &'a str> {
    parts.steps.into_iter().flatten().map(|step| step.name.as_str())
}
