//! Whether the checks of a scenario can fail, and which of its ingredients a failure needs.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::faults::FaultSight;
use crate::kernel::Kernel;
use crate::run::Environment;
use crate::scenario::{Check, Flavour, Scenario};
use crate::trial::{
    CheckResult, CheckStatus, Match, Symptom, SymptomKind, TrialRecord, Verdict, VerdictKind,
};

/// The result of `kbisect scenario selftest`: the document `kbisect.selftest/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SelftestResult {
    /// `kbisect.selftest/1`.
    pub schema: String,
    /// Scenario name or path, as it was given.
    pub scenario: String,
    /// The kernel of all trials.
    pub kernel: Kernel,
    /// Whether every verdict is the expected one, and every check that counts is shown to see.
    pub passed: bool,
    /// Why not; empty when it passed.
    pub problems: Vec<String>,
    /// The scenario as it is, then its flavours.
    pub variations: Vec<Variation>,
    /// Whether the failure needs traffic during the checks; nothing when the scenario does not crash
    /// the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
    /// The negative control: what the checks say of cut wires.
    pub control: Control,
    /// What was broken, one thing at a time, in the variation of the negative control.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<FaultSight>,
    /// How many faults were not tried since others were chosen (`--fault`).
    #[serde(default, skip_serializing_if = "is_none")]
    pub faults_left_out: usize,
    /// Where it ran.
    pub environment: Environment,
    /// Folder that holds a run for each trial.
    pub run_dir: String,
    /// kbisect's version.
    pub tool_version: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_none(count: &usize) -> bool {
    *count == 0
}

/// The scenario, or a flavour of it, in one trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Variation {
    /// `SCENARIO`, or `SCENARIO:FLAVOUR`.
    pub name: String,
    /// One line.
    pub summary: String,
    /// What a flavour leaves out or has otherwise.
    pub ingredients: Vec<String>,
    /// `good`, `bad` or `skip`.
    pub verdict: VerdictKind,
    /// Set when bad.
    pub symptom: Option<Symptom>,
    /// Why, when skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the scenario expects: `good`, or the class of a symptom.
    pub expected: Option<String>,
    /// Whether the verdict is that; nothing when nothing is expected.
    pub as_expected: Option<bool>,
    /// What a flavour changes.
    pub effect: Option<Effect>,
    /// Folder of its run.
    pub run_dir: String,
    /// Seconds that the trial took.
    pub wall_s: f64,
}

/// What leaving something out changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// The failure is gone: it needs what was left out.
    Necessary,
    /// The same failure, so it does not need that.
    NotNecessary,
    /// Another failure.
    OtherFailure,
    /// Good as it is, but not so.
    Breaks,
    /// Good both ways.
    StaysGood,
    /// The kernel could not answer.
    NoAnswer,
}

/// The scenario once more, with wires that are cut when the checks begin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Traffic {
    /// What becomes of the failure; nothing when it comes before the checks, so that nothing was tried.
    pub effect: Option<Effect>,
    /// What was seen.
    pub detail: String,
    /// Folder of its run.
    pub run_dir: Option<String>,
}

/// The negative control.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Control {
    /// The variation whose wires were cut: a good one with the most checks. Nothing when none is good.
    pub variation: Option<String>,
    /// Its verdict with the wires cut.
    pub verdict: Option<String>,
    /// The checks of the scenario, in order.
    pub checks: Vec<CheckSight>,
    /// Folder of its run.
    pub run_dir: Option<String>,
}

/// What a check says of cut wires.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckSight {
    /// Name.
    pub name: String,
    /// Whether its failure counts; if not, it is only recorded.
    pub counts: bool,
    /// What came of it.
    pub sight: Sight,
    /// What it said with the wires cut, or why it said nothing.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// Whether a check sees that the wires are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sight {
    /// It fails.
    Sees,
    /// It passes although it is about traffic.
    Blind,
    /// It passes, and does not use the network.
    NoNetwork,
    /// It was not made.
    NotShown,
}

impl Variation {
    /// Makes the entry of a trial. `default` is the one of the scenario as it is, for a flavour.
    #[must_use]
    pub fn new(
        scenario: &Scenario,
        ingredients: Vec<String>,
        trial: &TrialRecord,
        default: Option<&Self>,
        run_dir: String,
    ) -> Self {
        let verdict = trial.verdict();
        Self {
            name: scenario.name.clone(),
            summary: scenario.summary.clone(),
            ingredients,
            verdict: verdict.kind(),
            symptom: verdict.symptom().cloned(),
            reason: trial.reason.clone(),
            expected: scenario.expect.map(|expect| expect.to_string()),
            as_expected: scenario.expect.map(|expect| expect.is_met_by(&verdict)),
            effect: default.map(|default| effect(default, &verdict)),
            run_dir,
            wall_s: trial.wall_s,
        }
    }

    /// Whether it is good.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.verdict == VerdictKind::Good
    }
}

/// What a change does to the verdict of the scenario as it is.
#[must_use]
pub fn effect(default: &Variation, changed: &Verdict) -> Effect {
    match (&default.symptom, changed) {
        (_, Verdict::Skip(_) | Verdict::Infra(_) | Verdict::Scenario(_)) => Effect::NoAnswer,
        (None, _) if !default.is_good() => Effect::NoAnswer,
        (None, Verdict::Good) => Effect::StaysGood,
        (None, Verdict::Bad(_)) => Effect::Breaks,
        (Some(_), Verdict::Good) => Effect::Necessary,
        (Some(before), Verdict::Bad(now)) if before.compare(now) == Match::Different => {
            Effect::OtherFailure
        }
        (Some(_), Verdict::Bad(_)) => Effect::NotNecessary,
    }
}

/// Whether the kernel itself fails: only then do cut wires say whether the failure needs traffic. A
/// check of traffic fails with them in any case.
#[must_use]
pub fn is_crash(symptom: &Symptom) -> bool {
    use SymptomKind as Kind;
    matches!(symptom.kind, Kind::Panic | Kind::Oops | Kind::Warning | Kind::Hang | Kind::Reboot)
}

/// What cut wires do to a crash: a check that fails instead is no other failure of the kernel.
#[must_use]
pub fn traffic_effect(default: &Variation, cut: &Verdict) -> Effect {
    match (effect(default, cut), cut.symptom()) {
        (Effect::OtherFailure, Some(symptom)) if !is_crash(symptom) => Effect::Necessary,
        (effect, _) => effect,
    }
}

/// What a flavour leaves out or has otherwise, a line each.
#[must_use]
pub fn ingredients(scenario: &Scenario, flavour: &Flavour) -> Vec<String> {
    let steps = || scenario.setup.iter().chain(&scenario.replay);
    let without = flavour.without.iter().map(|name| format!("without `{name}`"));
    let repeat = flavour.repeat.iter().map(|(name, times)| {
        let before = steps().find(|step| step.name == *name).map_or(1, |step| step.repeat);
        let plural = if *times == 1 { "time" } else { "times" };
        format!("`{name}` {times} {plural} in place of {before}")
    });
    let replace = flavour.replace.iter().map(|(old, new)| format!("{new} in place of {old}"));
    let usual = scenario.way.iter().filter(|_| flavour.way.is_some());
    let way = usual.map(|usual| format!("another way than `{usual}`"));
    way.chain(without).chain(repeat).chain(replace).collect()
}

/// What a check of the scenario says of cut wires. `whole` and `cut` are its results without and with
/// the cut, if the variation has it.
#[must_use]
pub fn sight(
    scenario: &Scenario,
    check: &Check,
    whole: Option<&CheckResult>,
    cut: Option<&CheckResult>,
) -> CheckSight {
    // One that is only recorded can fail in a good trial, too.
    let fails_anyway = whole.is_some_and(|result| result.status != CheckStatus::Pass);
    let uses = uses_network(scenario, check);
    let (sight, detail) = match cut {
        None => (Sight::NotShown, "no good variation of the scenario has it".to_owned()),
        Some(result) if fails_anyway => {
            (Sight::NotShown, format!("it fails with whole wires too: {}", result.detail))
        }
        Some(result) => {
            let sight = match result.status {
                CheckStatus::Fail | CheckStatus::Recorded => Sight::Sees,
                CheckStatus::Pass if uses => Sight::Blind,
                CheckStatus::Pass => Sight::NoNetwork,
                CheckStatus::NotRun => Sight::NotShown,
            };
            (sight, result.detail.clone())
        }
    };
    let advice = (sight == Sight::Blind).then(|| check.probe.advice().to_owned());
    CheckSight { name: check.name.clone(), counts: !check.record_only, sight, detail, advice }
}

/// Whether a check says that it is about traffic between nodes.
fn uses_network(scenario: &Scenario, check: &Check) -> bool {
    if !scenario.links.values().any(|link| link.contains_key(&check.node)) {
        return false;
    }
    let leaves = |to: IpAddr| {
        let own = scenario.addresses().any(|(node, at)| node == check.node && at == to);
        !own && !to.is_loopback()
    };
    match check.probe.server() {
        Some(server) => leaves(server.at.ip()),
        None => check.probe.uses_network(),
    }
}

/// What keeps a self-test from passing.
#[must_use]
pub fn problems(variations: &[Variation], control: &Control) -> Vec<String> {
    let mut problems = Vec::new();
    for variation in variations {
        if let (Some(expected), Some(false)) = (&variation.expected, variation.as_expected) {
            let got = match (&variation.symptom, &variation.reason) {
                (Some(symptom), _) => symptom.to_string(),
                (None, Some(reason)) => format!("{}: {reason}", variation.verdict),
                (None, None) => variation.verdict.to_string(),
            };
            problems.push(format!("{} is expected to be {expected}, and is {got}", variation.name));
        }
    }
    if control.variation.is_none() {
        problems.push("no negative control: the scenario is not good in any variation".to_owned());
    }
    for check in control.checks.iter().filter(|check| check.counts) {
        match check.sight {
            Sight::Blind => problems.push(format!("check {} is blind", check.name)),
            Sight::NotShown if control.variation.is_some() => {
                problems.push(format!("check {} is not shown to see", check.name));
            }
            Sight::Sees | Sight::NoNetwork | Sight::NotShown => {}
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
schema = "kbisect.scenario/1"
summary = "x"
[nodes.a]
kernel = "candidate"
[nodes.b]
kernel = "reference"
[nodes.lone]
kernel = "reference"
[links.lan]
a = { name = "eth0", addresses = ["192.0.2.10/24"] }
b = { name = "eth0", addresses = ["192.0.2.1/24"] }
[[setup]]
name = "rules"
node = "a"
run = "true"
repeat = 3
[[checks]]
name = "far"
node = "a"
http = { url = "http://192.0.2.1/" }
[[checks]]
name = "own"
node = "a"
http = { url = "http://192.0.2.10/" }
[[checks]]
name = "local"
node = "a"
command = { run = "true" }
[[checks]]
name = "payload"
node = "a"
command = { run = "true", payload = true }
[[checks]]
name = "lone"
node = "lone"
command = { run = "true", payload = true }
[[checks]]
name = "ping"
node = "a"
record_only = true
command = { run = "true", connection = { tcp = "192.0.2.1:80" } }
[flavours.less]
summary = "less"
repeat = { rules = 1 }
without = ["ping"]
"#;

    fn scenario() -> Scenario {
        Scenario::parse("x", "scenario.toml", TEXT).expect("valid").scenario().clone()
    }

    fn result(status: CheckStatus) -> CheckResult {
        CheckResult { name: String::new(), status, detail: String::new(), wall_s: 0.0 }
    }

    fn sights(status: CheckStatus) -> Vec<CheckSight> {
        let scenario = scenario();
        let checks = scenario.checks.iter();
        let whole = result(CheckStatus::Pass);
        checks.map(|check| sight(&scenario, check, Some(&whole), Some(&result(status)))).collect()
    }

    #[test]
    fn a_check_of_traffic_that_passes_with_cut_wires_is_blind() {
        use Sight::{Blind, NoNetwork};
        let found = sights(CheckStatus::Pass);
        let kinds: Vec<Sight> = found.iter().map(|check| check.sight).collect();
        assert_eq!(kinds, [Blind, NoNetwork, NoNetwork, Blind, NoNetwork, Blind]);
        for check in &found {
            assert_eq!(check.advice.is_some(), check.sight == Blind, "{}", check.name);
        }
        let control =
            Control { variation: Some("x".to_owned()), checks: found, ..Control::default() };
        let expected = ["check far is blind", "check payload is blind"];
        assert_eq!(problems(&[], &control), expected, "what is only recorded does not count");
    }

    #[test]
    fn silence_proves_nothing() {
        let checks = sights(CheckStatus::NotRun);
        assert!(checks.iter().all(|check| check.sight == Sight::NotShown));
        let control = Control { variation: Some("x".to_owned()), checks, ..Control::default() };
        assert_eq!(problems(&[], &control).len(), 5);
        assert_eq!(problems(&[], &Control::default()).len(), 1, "no control at all");
        let failed = sights(CheckStatus::Fail);
        assert!(failed.iter().all(|check| check.sight == Sight::Sees));
        let (scenario, recorded) = (scenario(), result(CheckStatus::Recorded));
        let ping = sight(&scenario, &scenario.checks[5], Some(&recorded), Some(&recorded));
        assert_eq!(ping.sight, Sight::NotShown, "it fails in any case");
    }

    fn variation(symptom: Option<(SymptomKind, &str)>) -> Variation {
        let symptom = symptom.map(|(kind, title)| symptom_of(kind, title));
        Variation {
            name: "x".to_owned(),
            summary: String::new(),
            ingredients: Vec::new(),
            verdict: if symptom.is_some() { VerdictKind::Bad } else { VerdictKind::Good },
            symptom,
            reason: None,
            expected: None,
            as_expected: None,
            effect: None,
            run_dir: String::new(),
            wall_s: 0.0,
        }
    }

    fn symptom_of(kind: SymptomKind, title: &str) -> Symptom {
        Symptom {
            kind,
            title: title.to_owned(),
            detail: String::new(),
            place: None,
            alt_titles: Vec::new(),
            frames: Vec::new(),
            lacks: Vec::new(),
            loss: None,
        }
    }

    #[test]
    fn what_heals_is_necessary() {
        let bad = |kind, title| Verdict::Bad(symptom_of(kind, title));
        let hang = variation(Some((SymptomKind::Hang, "h")));
        assert_eq!(effect(&hang, &Verdict::Good), Effect::Necessary);
        assert_eq!(effect(&hang, &bad(SymptomKind::Hang, "h")), Effect::NotNecessary);
        let other = bad(SymptomKind::CheckFailed, "c");
        assert_eq!(effect(&hang, &other), Effect::OtherFailure);
        assert_eq!(traffic_effect(&hang, &other), Effect::Necessary);
        assert_eq!(traffic_effect(&hang, &bad(SymptomKind::Oops, "o")), Effect::OtherFailure);
        assert_eq!(
            effect(&hang, &Verdict::Skip(crate::trial::Untestable::NoBoot { said: String::new() })),
            Effect::NoAnswer
        );
        let good = variation(None);
        assert_eq!(effect(&good, &Verdict::Good), Effect::StaysGood);
        assert_eq!(effect(&good, &other), Effect::Breaks);
    }

    #[test]
    fn an_unexpected_verdict_is_named() {
        let hang = Variation {
            expected: Some("good".to_owned()),
            as_expected: Some(false),
            ..variation(Some((SymptomKind::Hang, "h")))
        };
        let control = Control { variation: Some("x".to_owned()), ..Control::default() };
        let found = problems(&[hang], &control);
        assert_eq!(found, ["x is expected to be good, and is hang: h"]);
    }

    #[test]
    fn a_flavours_ingredients_are_told() {
        let scenario = scenario();
        let told = ingredients(&scenario, &scenario.flavours["less"]);
        assert_eq!(told, ["without `ping`", "`rules` 1 time in place of 3"]);
    }
}
