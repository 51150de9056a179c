//! The trials of a self-test: which are still to be made, and what came of them.

use super::faults::{FaultSight, never_fail, problems_of_faults, usual};
use std::collections::BTreeMap;

use super::result::{
    Control, SelftestResult, Sight, Traffic, Variation, ingredients, is_crash, problems, sight,
    traffic_effect,
};
use crate::inject::{Declared, Fault, Target};
use crate::run::{Environment, JournalLine, KernelPlan, RunEvent, Tried};
use crate::scenario::Scenario;
use crate::trial::{CheckStatus, Phase, TrialRecord, VerdictKind};

/// What one trial of a self-test is made with.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// The flavour; the scenario as it is without.
    pub flavour: Option<String>,
    /// What is broken on purpose.
    pub injected: Option<Fault>,
}

impl Asked {
    /// The name that finds the scenario again; `given` is that of the scenario as it is.
    #[must_use]
    pub fn name(&self, given: &str) -> String {
        self.flavour.as_ref().map_or_else(|| given.to_owned(), |name| format!("{given}:{name}"))
    }
}

/// How often a trial with a fault may fail for our own reasons: a fault of the peer does that each time, and is
/// an answer then.
const FAILURES: u32 = 2;

/// The trials of a self-test so far, of each the last one.
#[derive(Clone, Debug)]
pub struct Made<'a> {
    scenario: &'a Scenario,
    /// The scenario as it is, then its flavours; one that was named stands for itself.
    flavours: Vec<Option<&'a str>>,
    trials: Vec<(Asked, &'a TrialRecord)>,
    with_faults: bool,
    only: &'a [String],
}

impl<'a> Made<'a> {
    /// Reads the trials out of a journal. `given` is the scenario's name as it was typed.
    #[must_use]
    pub fn of(
        scenario: &'a Scenario,
        given: &str,
        events: impl IntoIterator<Item = &'a RunEvent>,
    ) -> Self {
        let mut trials: Vec<(Asked, &TrialRecord)> = Vec::new();
        let mut failures: BTreeMap<Asked, u32> = BTreeMap::new();
        for event in events {
            let RunEvent::TrialEnded { tried, record, .. } = event else { continue };
            let Tried::Scenario { scenario: name, injected, .. } = tried else { continue };
            let flavour = name.strip_prefix(given).and_then(|rest| rest.strip_prefix(':'));
            let asked = Asked { flavour: flavour.map(str::to_owned), injected: injected.clone() };
            if record.verdict == VerdictKind::Infra {
                let failed = failures.entry(asked.clone()).or_default();
                // A host that stood still says nothing of a fault.
                *failed += u32::from(record.disturbed.decided.is_none());
                if record.injected.is_empty() || *failed < FAILURES {
                    continue;
                }
            }
            trials.retain(|(known, _)| *known != asked);
            trials.push((asked, record));
        }
        let alone = scenario.name.contains(':');
        let names = scenario
            .flavours
            .keys()
            .filter(|name| !alone && scenario.way.as_ref() != Some(name))
            .filter(|name| scenario.clone().flavoured(name).is_some());
        let flavours = std::iter::once(None).chain(names.map(|name| Some(name.as_str()))).collect();
        Self { scenario, flavours, trials, with_faults: true, only: &[] }
    }

    /// Leaves out what a plan leaves out: all faults but the cut of all wires, or all but some, and the flavours.
    #[must_use]
    pub fn limited(self, plan: &'a KernelPlan) -> Self {
        let only = plan.only_faults.as_slice();
        let flavours = if only.is_empty() { self.flavours } else { vec![None] };
        Self { with_faults: !plan.no_faults, only, flavours, ..self }
    }

    /// Seconds that the longest check took without a fault.
    #[must_use]
    pub fn longest_check_s(&self, asked: &Asked) -> Option<f64> {
        let record = self.get(asked.flavour.as_deref(), None)?;
        record.checks.iter().map(|check| check.wall_s).reduce(f64::max)
    }

    fn get(&self, flavour: Option<&str>, injected: Option<&Fault>) -> Option<&'a TrialRecord> {
        let found = self.trials.iter().find(|(asked, _)| {
            asked.flavour.as_deref() == flavour && asked.injected.as_ref() == injected
        });
        found.map(|(_, record)| *record)
    }

    /// Whether a trial has told all that it will.
    #[must_use]
    pub fn is_answered(&self, name: &str, given: &str, injected: Option<&Fault>) -> bool {
        self.trials
            .iter()
            .any(|(asked, _)| asked.name(given) == name && asked.injected.as_ref() == injected)
    }

    /// What is still to be tried, as far as that is known; nothing when all was.
    #[must_use]
    pub fn open(&self) -> Vec<Asked> {
        let asked = |flavour: Option<&str>, injected: Option<Fault>| Asked {
            flavour: flavour.map(str::to_owned),
            injected,
        };
        let untried = |asked: &Asked| !self.trials.iter().any(|(known, _)| known == asked);
        let variations: Vec<Asked> = self
            .flavours
            .iter()
            .copied()
            .map(|flavour| asked(flavour, None))
            .filter(untried)
            .collect();
        if !variations.is_empty() {
            return variations;
        }
        let traffic = self.needs_traffic().then(|| asked(None, Some(Fault::WiresCut)));
        let control = self.control_of().into_iter().flat_map(|flavour| {
            let faults = self.faults_of(flavour).into_iter().map(|(declared, _)| declared.fault);
            std::iter::once(Fault::WiresCut)
                .chain(faults)
                .map(move |fault| asked(flavour, Some(fault)))
        });
        traffic.into_iter().chain(control).filter(untried).collect()
    }

    /// What is broken in a variation, and whether the scenario declares it.
    fn faults_of(&self, flavour: Option<&str>) -> Vec<(Declared, bool)> {
        let all = self.all_faults_of(flavour).into_iter();
        all.filter(|(declared, _)| declared.is_one_of(self.only)).collect()
    }

    fn all_faults_of(&self, flavour: Option<&str>) -> Vec<(Declared, bool)> {
        let Some(scenario) = self.flavoured(flavour).filter(|_| self.with_faults) else {
            return Vec::new();
        };
        let runs = |fault: &Fault| match fault.target() {
            Target::Service(name) => scenario.services.iter().any(|it| it.name == name),
            Target::Wires | Target::Link(..) | Target::Node(_) => true,
        };
        let own = scenario.faults.iter().cloned().map(|declared| (declared, true));
        let usual = usual(&scenario).into_iter().map(|declared| (declared, false));
        own.chain(usual).filter(|(declared, _)| runs(&declared.fault)).collect()
    }

    /// How many faults were not to be tried since others were chosen.
    fn left_out(&self) -> usize {
        let Some(flavour) = self.control_of() else { return 0 };
        self.all_faults_of(flavour).len() - self.faults_of(flavour).len()
    }

    fn faults(&self, run_dir: &str) -> Vec<FaultSight> {
        let Some(flavour) = self.control_of() else { return Vec::new() };
        let Some(whole) = self.get(flavour, None) else { return Vec::new() };
        let faults = self.faults_of(flavour).into_iter().filter_map(|(declared, own)| {
            let broken = self.get(flavour, Some(&declared.fault))?;
            Some(FaultSight::new(&declared, own, whole, broken, folder_of(run_dir, broken)))
        });
        faults.collect()
    }

    /// Whether a trial has to tell if a crash needs the traffic of the checks.
    fn needs_traffic(&self) -> bool {
        self.get(None, None).is_some_and(|record| {
            let crash = record.symptom.as_ref().is_some_and(is_crash);
            crash && record.timings_s.contains_key(&Phase::Checks.to_string())
        })
    }

    /// The good variation with the most checks, the first of them: its wires are cut.
    fn control_of(&self) -> Option<Option<&'a str>> {
        let good = self.flavours.iter().copied().filter_map(|flavour| {
            let record = self.get(flavour, None)?;
            (record.verdict == VerdictKind::Good).then_some((flavour, record.checks.len()))
        });
        good.reduce(|best, other| if other.1 > best.1 { other } else { best })
            .map(|(flavour, _)| flavour)
    }

    fn flavoured(&self, flavour: Option<&str>) -> Option<Scenario> {
        let scenario = self.scenario.clone();
        match flavour {
            None => Some(scenario),
            Some(name) => scenario.flavoured(name),
        }
    }

    fn variations(&self, run_dir: &str) -> Vec<Variation> {
        let mut variations: Vec<Variation> = Vec::new();
        for flavour in self.flavours.iter().copied() {
            let (Some(scenario), Some(record)) = (self.flavoured(flavour), self.get(flavour, None))
            else {
                continue;
            };
            let told = flavour.and_then(|name| self.scenario.flavours.get(name));
            let told = told.map(|flavour| ingredients(self.scenario, flavour)).unwrap_or_default();
            let default = flavour.and(variations.first());
            let folder = folder_of(run_dir, record);
            variations.push(Variation::new(&scenario, told, record, default, folder));
        }
        variations
    }

    fn traffic(&self, default: &Variation, run_dir: &str) -> Option<Traffic> {
        if !default.symptom.as_ref().is_some_and(is_crash) {
            return None;
        }
        let Some(cut) = self.get(None, Some(&Fault::WiresCut)) else {
            let detail = "it fails before the checks begin, so this was not tried".to_owned();
            return Some(Traffic { effect: None, detail, run_dir: None });
        };
        let verdict = cut.verdict();
        Some(Traffic {
            effect: Some(traffic_effect(default, &verdict)),
            detail: format!("with the wires cut: {verdict}"),
            run_dir: Some(folder_of(run_dir, cut)),
        })
    }

    fn control(&self, run_dir: &str) -> Control {
        let whole = self.scenario;
        let tried = self.control_of().and_then(|flavour| {
            let scenario = self.flavoured(flavour)?;
            let cut = self.get(flavour, Some(&Fault::WiresCut))?;
            Some((scenario, self.get(flavour, None)?, cut))
        });
        let Some((scenario, with_wires, cut)) = tried else {
            let none = |check| sight(whole, check, None, None);
            let checks = whole.checks.iter().map(none).collect();
            return Control { checks, ..Control::default() };
        };
        let mut checks = Vec::new();
        for check in &whole.checks {
            let of = |record: &'a TrialRecord| {
                record.checks.iter().find(|result| result.name == check.name)
            };
            let mut seen = sight(&scenario, check, of(with_wires), of(cut));
            if of(cut).is_some_and(|result| result.status == CheckStatus::NotRun) {
                seen.detail = format!("the control ended before: {}", cut.verdict());
            }
            checks.push(seen);
        }
        Control {
            variation: Some(scenario.name.clone()),
            verdict: Some(cut.verdict().to_string()),
            checks,
            run_dir: Some(folder_of(run_dir, cut)),
        }
    }
}

/// Checks that nothing makes fail, and a scenario that is not about the network at all.
fn unproved(scenario: &Scenario, control: &Control, faults: &[FaultSight]) -> Vec<String> {
    let sees = control.checks.iter().filter(|check| check.sight == Sight::Sees);
    let sees: Vec<String> = sees.map(|check| check.name.clone()).collect();
    let blind = |name: &str| {
        control.checks.iter().any(|check| {
            check.name == name && matches!(check.sight, Sight::Blind | Sight::NotShown)
        })
    };
    // Blind ones are named already.
    let never = never_fail(scenario, &sees, faults).into_iter().filter(|it| !blind(&it.name));
    let mut problems: Vec<String> =
        never.map(|check| format!("nothing makes check {} fail", check.name)).collect();
    if control.checks.iter().all(|check| check.sight == Sight::NoNetwork || !check.counts) {
        problems.push("no check uses the network".to_owned());
    }
    problems
}

/// The folder of a trial's variation, which holds its folder `trials`.
fn folder_of(run_dir: &str, record: &TrialRecord) -> String {
    match record.directory.split_once("/trials/") {
        Some((folder, _)) => format!("{run_dir}/{folder}"),
        None => run_dir.to_owned(),
    }
}

impl SelftestResult {
    /// The result of a self-test, from its journal; nothing while something is still to be tried.
    #[must_use]
    pub fn from_journal(lines: &[JournalLine], scenario: &Scenario, run_dir: &str) -> Option<Self> {
        let mut begun: Option<(&KernelPlan, &Environment)> = None;
        for line in lines {
            match &line.event {
                RunEvent::SelftestBegan { plan, environment, .. } => {
                    begun = Some((plan, environment));
                }
                RunEvent::EnvironmentChanged { environment } => {
                    begun = begun.map(|(plan, _)| (plan, environment.as_ref()));
                }
                _ => {}
            }
        }
        let (plan, environment) = begun?;
        let given = &plan.scenario.name;
        let made = Made::of(scenario, given, lines.iter().map(|line| &line.event)).limited(plan);
        if !made.open().is_empty() {
            return None;
        }
        let variations = made.variations(run_dir);
        let traffic = made.traffic(variations.first()?, run_dir);
        let control = made.control(run_dir);
        let faults = made.faults(run_dir);
        let mut problems = problems(&variations, &control);
        problems.extend(problems_of_faults(&faults));
        if !plan.no_faults && plan.only_faults.is_empty() && control.variation.is_some() {
            problems.extend(unproved(scenario, &control, &faults));
        }
        Some(Self {
            schema: "kbisect.selftest/1".to_owned(),
            scenario: given.clone(),
            kernel: plan.kernel.clone(),
            passed: problems.is_empty(),
            problems,
            variations,
            traffic,
            control,
            faults_left_out: made.left_out(),
            faults,
            environment: environment.clone(),
            run_dir: run_dir.to_owned(),
            tool_version: plan.tool_version.clone(),
        })
    }
}
