//! Ways: the same state reached by different steps, such as by an automation and by hand.

use std::collections::BTreeMap;

use super::check::Check;
use super::cursor::Table;
use super::flavours::read_expect;
use super::model::{Expect, Flavour, Scenario, Step, Way};
use super::words;

impl Way {
    fn of(name: &str, [setup, replay]: [&[Step]; 2], checks: &[Check]) -> Self {
        let steps = |steps: &[Step]| {
            let goes = |step: &&Step| step.way.as_deref().is_none_or(|way| way == name);
            steps.iter().filter(goes).cloned().collect()
        };
        let mut way = Self { setup: steps(setup), replay: steps(replay), checks: Vec::new() };
        way.checks = checks.iter().filter(|check| way.has_steps_of(check)).cloned().collect();
        way
    }

    /// Whether a check can be made: what it waits for, or does again, is a step of the way.
    fn has_steps_of(&self, check: &Check) -> bool {
        let is_there =
            |name: &str| self.setup.iter().chain(&self.replay).any(|it| it.name == *name);
        check.after.as_deref().into_iter().chain(check.probe.does_again()).all(is_there)
    }
}

/// The names of ways, in the order of the file.
pub(super) fn names<'a>(setup: &'a [Step], replay: &'a [Step]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for name in setup.iter().chain(replay).filter_map(|step| step.way.as_deref()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What `[ways.NAME]` says.
#[derive(Default)]
struct Told {
    summary: Option<String>,
    expect: Option<Option<Expect>>,
}

fn read_told(table: Option<Table<'_>>) -> Vec<(String, Told)> {
    let mut told = Vec::new();
    for (name, item) in table.iter().flat_map(Table::entries) {
        if let Err(message) = words::name(name) {
            item.wrong(message);
        }
        let Some(table) = item.table() else { continue };
        let summary = table.get("summary").and_then(|item| item.parsed(words::line));
        let expect = table.get("expect").map(|item| read_expect(&item));
        table.finish();
        told.push((name.to_owned(), Told { summary, expect }));
    }
    told
}

/// Makes a flavour of each way, and tells what is wrong with them. Gives the usual one. A way that only
/// `[ways.NAME]` names has no steps of its own.
pub(super) fn add_ways(
    top: &Table<'_>,
    steps: [&[Step]; 2],
    checks: &[Check],
    expect: Option<Expect>,
    flavours: &mut BTreeMap<String, Flavour>,
) -> Option<String> {
    let mut told = read_told(top.get("ways").and_then(|item| item.table()));
    let mut all: Vec<String> = names(steps[0], steps[1]).into_iter().map(str::to_owned).collect();
    for (name, _) in &told {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    if let [only] = &all[..] {
        let message = format!("`{only}` is the only `way`: another one is needed, or none");
        top.findings.wrong("replay", message);
    }
    for name in &all {
        let at = told.iter().position(|(other, _)| other == name);
        let about = at.map(|at| told.swap_remove(at).1).unwrap_or_default();
        let way = Way::of(name, steps, checks);
        if !checks.is_empty() && way.checks.iter().all(|check| check.record_only) {
            let message = format!("none is made by the way `{name}`, or none that could fail");
            top.findings.wrong("checks", message);
        }
        let flavour = Flavour {
            says: None,
            summary: about.summary.unwrap_or_else(|| format!("by the way `{name}`")),
            replace: BTreeMap::new(),
            without: Vec::new(),
            repeat: BTreeMap::new(),
            kernels: BTreeMap::new(),
            way: Some(way),
            expect: about.expect.unwrap_or(expect),
        };
        if flavours.insert(name.clone(), flavour).is_some() {
            let message = format!("`{name}` is a `way` too: give one of them another name");
            top.findings.wrong("flavours", message);
        }
    }
    all.into_iter().next()
}

impl Scenario {
    /// The ways that it can go, the one that it goes without being told first; none where it has no choice.
    #[must_use]
    pub fn ways(&self) -> Vec<&str> {
        let usual = self.way.as_deref();
        let ways = self.flavours.iter().filter(|(_, flavour)| flavour.way.is_some());
        let others = ways.map(|(name, _)| name.as_str()).filter(|name| Some(*name) != usual);
        usual.into_iter().chain(others).collect()
    }

    /// Leaves out the steps of other ways than the first. What is wrong with the file is known by then.
    pub(super) fn go_the_usual_way(&mut self) {
        let usual = self.way.clone();
        let way = usual.as_ref().and_then(|name| self.flavours.get(name)?.way.clone());
        if let (Some(name), Some(way)) = (usual, way) {
            self.go(&name, way);
        }
    }

    /// Takes the steps of a way, and what checks can be made by it.
    pub(super) fn go(&mut self, name: &str, way: Way) {
        let Way { setup, replay, checks } = way;
        (self.setup, self.replay, self.checks) = (setup, replay, checks);
        self.way = Some(name.to_owned());
    }
}
