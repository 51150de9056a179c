//! What came of a reduction: the document `kbisect.minimize/1`.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ingredients::{IngredientKind, Ingredients};
use super::search::{Reduction, Tries, Want};
use crate::kernel::Kernel;
use crate::run::{Environment, JournalLine, KernelPlan, RunEvent, Tried};
use crate::scenario::Scenario;
use crate::trial::{Match, Symptom, TrialRecord, VerdictKind};

/// The result of `kbisect minimize`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MinimizeResult {
    /// `kbisect.minimize/1`.
    pub schema: String,
    /// How it ended.
    pub outcome: MinimizeOutcome,
    /// Scenario, as it was named.
    pub scenario: String,
    /// The kernel.
    pub kernel: Kernel,
    /// The failure.
    pub symptom: Symptom,
    /// What the failure needs: without any of them it is another one, or none.
    pub needs: Vec<Told>,
    /// What it does not need.
    pub not_needed: Vec<Told>,
    /// In one sentence.
    pub statement: String,
    /// Trials that were made.
    pub trials: u32,
    /// How often a failure had to be missing before that was believed.
    pub repeats: u32,
    /// Folder of the smallest scenario that shows the failure; it can be run.
    pub scenario_dir: Option<String>,
    /// Where it ran.
    pub environment: Environment,
    /// Folder of the run.
    pub run_dir: String,
    /// kbisect's version.
    pub tool_version: String,
}

/// How a reduction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MinimizeOutcome {
    /// What is left is all needed.
    Minimized,
    /// The failure did not show again with the whole scenario.
    NotReproduced,
}

/// An ingredient in a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Told {
    /// Its kind.
    pub kind: IngredientKind,
    /// What people call it.
    pub name: String,
    /// How often it is there.
    pub count: u32,
}

/// How often a trial without some ingredients may fail for our own reasons: a peer without its address, say,
/// fails so each time, and then the failure is not to be seen without them.
const FAILURES: u32 = 2;

/// What a journal tells of a reduction.
pub fn tried<'a>(
    symptom: &Symptom,
    events: impl IntoIterator<Item = &'a RunEvent>,
) -> BTreeMap<BTreeSet<usize>, Tries> {
    let mut found: BTreeMap<BTreeSet<usize>, Tries> = BTreeMap::new();
    let mut failures: BTreeMap<BTreeSet<usize>, u32> = BTreeMap::new();
    for event in events {
        let RunEvent::TrialEnded { tried: Tried::Scenario { without, .. }, record, .. } = event
        else {
            continue;
        };
        let gone: BTreeSet<usize> = without.iter().map(|at| *at as usize).collect();
        if record.verdict == VerdictKind::Infra {
            let failed = failures.entry(gone.clone()).or_default();
            // A host that stood still says nothing of what is left out.
            *failed += u32::from(record.disturbed.decided.is_none());
            if gone.is_empty() || *failed < FAILURES {
                continue;
            }
        }
        let tries = found.entry(gone).or_default();
        if shows(symptom, record) { tries.same += 1 } else { tries.other += 1 }
    }
    found
}

/// Whether a trial shows the failure.
#[must_use]
pub fn shows(symptom: &Symptom, record: &TrialRecord) -> bool {
    record.symptom.as_ref().is_some_and(|other| symptom.compare(other) != Match::Different)
}

impl Reduction {
    /// The reduction of a scenario.
    #[must_use]
    pub fn of(ingredients: &Ingredients<'_>, repeats: u32) -> Self {
        Self { classes: ingredients.classes(), repeats: repeats.max(1) }
    }

    /// As [`Reduction::next`]; what leaves no scenario needs no trial.
    #[must_use]
    pub fn next_of(
        &self,
        ingredients: &Ingredients<'_>,
        tried: &mut BTreeMap<BTreeSet<usize>, Tries>,
        pending: &[BTreeSet<usize>],
    ) -> Want {
        loop {
            match self.next(tried, pending) {
                Want::Try(gone) if ingredients.without(&gone).is_none() => {
                    tried.insert(gone, Tries { same: 0, other: self.repeats });
                }
                want => return want,
            }
        }
    }
}

impl MinimizeResult {
    /// The result, from the journal; nothing while something is still to be tried. The sentence is
    /// left to whoever says it.
    #[must_use]
    pub fn from_journal(lines: &[JournalLine], scenario: &Scenario, run_dir: &str) -> Option<Self> {
        let mut begun: Option<(&KernelPlan, &Environment)> = None;
        for line in lines {
            match &line.event {
                RunEvent::MinimizeBegan { plan, environment, .. } => {
                    begun = Some((plan, environment));
                }
                RunEvent::EnvironmentChanged { environment } => {
                    begun = begun.map(|(plan, _)| (plan, environment.as_ref()));
                }
                _ => {}
            }
        }
        let (plan, environment) = begun?;
        let symptom = plan.like.as_deref()?;
        let ingredients = Ingredients::of(scenario);
        let mut known = tried(symptom, lines.iter().map(|line| &line.event));
        let trials = known.values().map(|tries| tries.same + tries.other).sum();
        let reduction = Reduction::of(&ingredients, plan.repeats);
        let (outcome, gone) = match reduction.next_of(&ingredients, &mut known, &[]) {
            Want::Try(_) => return None,
            Want::Done(gone) => (MinimizeOutcome::Minimized, gone),
            Want::NotReproduced => (MinimizeOutcome::NotReproduced, BTreeSet::new()),
        };
        let told = |at: usize| {
            let ingredient = &ingredients.all[at];
            let (kind, name, count) = (ingredient.kind, ingredient.name.clone(), ingredient.count);
            Told { kind, name, count }
        };
        let found = outcome == MinimizeOutcome::Minimized;
        // What went with its node is not there to be needed.
        let left = ingredients.without(&gone);
        let present = |at: &usize| {
            let mut less = gone.clone();
            less.insert(*at);
            ingredients.without(&less) != left
        };
        let (out, kept): (Vec<usize>, Vec<usize>) =
            (0..ingredients.all.len()).partition(|at| gone.contains(at));
        let needs = kept.into_iter().filter(present).filter(|_| found).map(told).collect();
        Some(Self {
            schema: "kbisect.minimize/1".to_owned(),
            outcome,
            scenario: plan.scenario.name.clone(),
            kernel: plan.kernel.clone(),
            symptom: symptom.clone(),
            needs,
            not_needed: out.into_iter().map(told).collect(),
            statement: String::new(),
            trials,
            repeats: plan.repeats,
            scenario_dir: found.then(|| format!("{run_dir}/minimal/scenario")),
            environment: environment.clone(),
            run_dir: run_dir.to_owned(),
            tool_version: plan.tool_version.clone(),
        })
    }

    /// The smallest scenario that shows the failure.
    #[must_use]
    pub fn minimal(lines: &[JournalLine], scenario: &Scenario) -> Option<Scenario> {
        let plan = lines.iter().find_map(|line| match &line.event {
            RunEvent::MinimizeBegan { plan, .. } => Some(plan),
            _ => None,
        })?;
        let ingredients = Ingredients::of(scenario);
        let mut known = tried(plan.like.as_deref()?, lines.iter().map(|line| &line.event));
        match Reduction::of(&ingredients, plan.repeats).next_of(&ingredients, &mut known, &[]) {
            Want::Done(gone) => ingredients.without(&gone),
            Want::Try(_) | Want::NotReproduced => None,
        }
    }
}
