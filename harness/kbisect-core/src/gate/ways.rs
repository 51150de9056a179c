//! What a failure follows: the way that a state was reached by, that state, the application, or the kernel.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::boots::deciding;
use super::{GatePlan, GateTrial};
use crate::kernel::Kernel;
use crate::minimize::shows;
use crate::trial::{Symptom, TrialRecord, Verdict};

/// The ways of a scenario that are compared: names of scenarios of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaysPlan {
    /// The scenario, as typed.
    pub scenario: String,
    /// Its ways.
    pub ways: Vec<String>,
    /// The first way with the application stopped; nothing where the scenario has no service under test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

impl WaysPlan {
    /// Whether a scenario of the plan is only there to be compared with.
    #[must_use]
    pub fn is_control(plans: &[Self], scenario: &str) -> bool {
        plans.iter().any(|plan| plan.stopped.as_deref() == Some(scenario))
    }
}

/// Whether a failure comes and goes with something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Follows {
    /// It does.
    Yes,
    /// It is there whatever that is.
    No,
    /// The trials do not tell.
    Unknown,
}

/// What a trial says of the failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Shown {
    /// It is there.
    Shows,
    /// Nothing fails.
    Passes,
    /// Something else fails.
    Otherwise,
    /// No answer.
    Unknown,
}

/// One way, or the application stopped, on all kernels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WayRow {
    /// Its scenario in the plan.
    pub scenario: String,
    /// What each kernel showed, in the order of the plan.
    pub kernels: Vec<Shown>,
    /// Number of the state that it ends in, from 1: the same number is the same state. Nothing where that is not
    /// known of all ways.
    pub state: Option<usize>,
}

/// How the states of two ways differ at a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StateDifference {
    /// The node.
    pub node: String,
    /// What differs: `rules`, `routes` and the like.
    pub sections: Vec<String>,
    /// The first lines of it: `-` before what the first way has more often, `+` before what the other has.
    pub lines: Vec<String>,
    /// How many more there are.
    pub more: usize,
}

/// The states of two ways that differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatesCompared {
    /// Scenarios of the two, in the plan.
    pub ways: [String; 2],
    /// Folders of their trials, relative to the run's.
    pub directories: [String; 2],
    /// What differs, node by node.
    pub nodes: Vec<StateDifference>,
}

/// What a failure follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WaysAnswer {
    /// The scenario, as typed.
    pub scenario: String,
    /// The failure; nothing where no way shows one.
    pub symptom: Option<Symptom>,
    /// Labels of the kernels.
    pub kernels: Vec<String>,
    /// The ways, and the first one with the application stopped.
    pub rows: Vec<WayRow>,
    /// Whether the last row has the application stopped.
    pub stopped: bool,
    /// Whether it follows the kernel.
    pub kernel: Follows,
    /// Whether it follows the way.
    pub way: Follows,
    /// Whether it follows the state that the ways end in.
    pub state: Follows,
    /// Whether it follows the application.
    pub application: Follows,
    /// Two ways that end in different states, of which one shows it and the other does not, where there are such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub states: Option<StatesCompared>,
}

impl WaysAnswer {
    /// The answers of all scenarios whose ways are compared.
    #[must_use]
    pub fn all(plan: &GatePlan, trials: &[GateTrial]) -> Vec<Self> {
        plan.ways.iter().map(|ways| Self::of(ways, plan, trials)).collect()
    }

    fn of(ways: &WaysPlan, plan: &GatePlan, trials: &[GateTrial]) -> Self {
        let kernels: Vec<&Kernel> = plan.rows().into_iter().map(|(kernel, _)| kernel).collect();
        let record = |scenario: &str, kernel: &Kernel| deciding(trials, scenario, kernel);
        let names = || ways.ways.iter().chain(&ways.stopped);
        let symptom = ways.ways.iter().flat_map(|way| kernels.iter().map(move |it| (way, *it)));
        let symptom =
            symptom.filter_map(|(way, kernel)| record(way, kernel)?.symptom.clone()).next();
        let shown =
            |record: Option<&TrialRecord>| match (record.map(TrialRecord::verdict), &symptom) {
                (Some(Verdict::Good), _) => Shown::Passes,
                (Some(Verdict::Bad(_)), Some(symptom)) => {
                    let same = record.is_some_and(|record| shows(symptom, record));
                    if same { Shown::Shows } else { Shown::Otherwise }
                }
                _ => Shown::Unknown,
            };
        let states = states(&ways.ways, &kernels, record);
        let rows: Vec<WayRow> = names()
            .enumerate()
            .map(|(at, scenario)| WayRow {
                scenario: scenario.clone(),
                kernels: kernels.iter().map(|kernel| shown(record(scenario, kernel))).collect(),
                state: states.as_ref().and_then(|states| states.get(at).copied()),
            })
            .collect();
        let (of_ways, of_stopped) = rows.split_at(ways.ways.len());
        let (way, state) = by_way(of_ways, kernels.len());
        let pair = differing(of_ways, kernels.len());
        let compared = pair.and_then(|pair| {
            let named = pair.map(|row| row.scenario.clone());
            // The kernel that both have a state on.
            let records = kernels.iter().find_map(|kernel| {
                let both = [record(&named[0], kernel)?, record(&named[1], kernel)?];
                both.iter().all(|record| !record.states.is_empty()).then_some(both)
            })?;
            let directories = records.map(|record| record.directory.clone());
            let nodes = records[0]
                .states
                .iter()
                .filter(|(node, hash)| records[1].states.get(*node) != Some(*hash));
            let nodes = nodes.map(|(node, _)| StateDifference {
                node: node.clone(),
                sections: Vec::new(),
                lines: Vec::new(),
                more: 0,
            });
            Some(StatesCompared { ways: named, directories, nodes: nodes.collect() })
        });
        Self {
            scenario: ways.scenario.clone(),
            symptom,
            kernels: kernels.iter().map(|kernel| kernel.label().to_owned()).collect(),
            kernel: by_kernel(of_ways, kernels.len()),
            way,
            state,
            application: of_stopped
                .first()
                .map_or(Follows::Unknown, |row| by_application(&of_ways[0], row)),
            stopped: ways.stopped.is_some(),
            states: compared,
            rows,
        }
    }
}

/// Numbers of the states that ways end in, on the first kernel that tells it of all of them.
fn states<'a>(
    ways: &[String],
    kernels: &[&Kernel],
    record: impl Fn(&str, &Kernel) -> Option<&'a TrialRecord>,
) -> Option<Vec<usize>> {
    kernels.iter().find_map(|kernel| {
        let mut seen: Vec<&BTreeMap<String, String>> = Vec::new();
        let numbers = ways.iter().map(|way| {
            let states = &record(way, kernel)?.states;
            if states.is_empty() {
                return None;
            }
            let at = seen.iter().position(|other| *other == states).unwrap_or_else(|| {
                seen.push(states);
                seen.len() - 1
            });
            Some(at + 1)
        });
        numbers.collect()
    })
}

/// Rows that show it on a kernel, and those that pass.
fn split(rows: &[WayRow], kernel: usize) -> [Vec<&WayRow>; 2] {
    [Shown::Shows, Shown::Passes]
        .map(|wanted| rows.iter().filter(|row| row.kernels[kernel] == wanted).collect())
}

/// A row that shows it and one that does not, which end in different states.
fn differing(rows: &[WayRow], kernels: usize) -> Option<[&WayRow; 2]> {
    let shows = |row: &&WayRow| (0..kernels).any(|at| row.kernels[at] == Shown::Shows);
    let first = rows.iter().find(shows).or(rows.first())?;
    let other = |row: &&WayRow| row.state.is_some() && row.state != first.state;
    let other = rows.iter().filter(other).min_by_key(|row| shows(row))?;
    Some([first, other])
}

fn by_kernel(ways: &[WayRow], kernels: usize) -> Follows {
    let (mut shows, mut passes) = (0, 0);
    for kernel in 0..kernels {
        let [with, without] = split(ways, kernel);
        shows += usize::from(!with.is_empty());
        passes += usize::from(with.is_empty() && without.len() == ways.len());
    }
    match (shows, passes) {
        (1.., 1..) => Follows::Yes,
        (2.., 0) if shows == kernels => Follows::No,
        _ => Follows::Unknown,
    }
}

/// Whether it follows the way, and whether it follows the state.
fn by_way(ways: &[WayRow], kernels: usize) -> (Follows, Follows) {
    let known: Option<BTreeSet<usize>> = ways.iter().map(|row| row.state).collect();
    let mut told = false;
    let mut state = Follows::Unknown;
    for kernel in 0..kernels {
        let [with, without] = split(ways, kernel);
        if with.is_empty() {
            continue;
        }
        if without.is_empty() {
            told |= with.len() == ways.len() && ways.len() > 1;
            continue;
        }
        if known.is_none() {
            return (Follows::Unknown, Follows::Unknown);
        }
        let mixed = with.iter().any(|row| without.iter().any(|other| other.state == row.state));
        if mixed {
            return (Follows::Yes, Follows::No);
        }
        state = Follows::Yes;
    }
    match (state, told, known.map(|known| known.len())) {
        // What the state explains needs no other explanation.
        (Follows::Yes, ..) => (Follows::No, Follows::Yes),
        (_, true, Some(2..)) => (Follows::No, Follows::No),
        (_, true, _) => (Follows::No, Follows::Unknown),
        _ => (Follows::Unknown, Follows::Unknown),
    }
}

fn by_application(running: &WayRow, stopped: &WayRow) -> Follows {
    let pairs =
        || running.kernels.iter().zip(&stopped.kernels).filter(|(with, _)| **with == Shown::Shows);
    if pairs().any(|(_, without)| *without == Shown::Shows) {
        return Follows::No;
    }
    match pairs().any(|(_, without)| matches!(without, Shown::Passes | Shown::Otherwise)) {
        true => Follows::Yes,
        false => Follows::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(shown: &str, state: usize) -> WayRow {
        let kernels = shown.chars().map(|c| match c {
            'x' => Shown::Shows,
            '.' => Shown::Passes,
            'o' => Shown::Otherwise,
            _ => Shown::Unknown,
        });
        WayRow {
            scenario: format!("s:{shown}{state}"),
            kernels: kernels.collect(),
            state: (state > 0).then_some(state),
        }
    }

    #[test]
    fn a_failure_of_every_way_on_one_of_two_kernels_follows_the_kernel() {
        let rows = [row(".x", 1), row(".x", 1)];
        assert_eq!(by_kernel(&rows, 2), Follows::Yes);
        assert_eq!(by_way(&rows, 2), (Follows::No, Follows::Unknown));
        assert_eq!(by_way(&[row("x", 1), row("x", 2)], 1), (Follows::No, Follows::No));
        // One kernel tells nothing of kernels, and one that gave no answer neither.
        assert_eq!(by_kernel(&[row("x", 1), row("x", 1)], 1), Follows::Unknown);
        assert_eq!(by_kernel(&[row("?x", 1), row(".x", 1)], 2), Follows::Unknown);
        assert_eq!(by_kernel(&[row("xx", 1), row(".x", 1)], 2), Follows::No);
    }

    #[test]
    fn one_way_of_two_is_the_way_only_where_both_end_in_the_same_state() {
        assert_eq!(by_way(&[row("x", 1), row(".", 1)], 1), (Follows::Yes, Follows::No));
        assert_eq!(by_way(&[row("x", 1), row(".", 2)], 1), (Follows::No, Follows::Yes));
        assert_eq!(by_way(&[row("x", 0), row(".", 0)], 1), (Follows::Unknown, Follows::Unknown));
        // A way without an answer leaves it open.
        assert_eq!(by_way(&[row("x", 1), row("?", 1)], 1), (Follows::Unknown, Follows::Unknown));
        let rows = [row("x", 1), row(".", 1), row(".", 2)];
        assert_eq!(differing(&rows, 1).unwrap().map(|row| row.state), [Some(1), Some(2)]);
    }

    #[test]
    fn another_failure_without_the_application_is_not_that_one() {
        let follows = |with, without| by_application(&row(with, 1), &row(without, 0));
        assert_eq!(follows("x", "o"), Follows::Yes);
        assert_eq!(follows(".x", ".."), Follows::Yes);
        assert_eq!(follows("x", "x"), Follows::No);
        assert_eq!(follows("x", "?"), Follows::Unknown);
        assert_eq!(follows(".", "o"), Follows::Unknown);
    }
}
