//! What came of a check.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::boots::{boots_that_passed, deciding};
use super::{GatePlan, GateScenario, Map, WaysAnswer, WaysPlan};
use crate::fault::ScenarioFault;
use crate::kernel::Kernel;
use crate::run::{Environment, RunEvent, Tried};
use crate::trial::{CheckStatus, Match, Matching, Symptom, TrialRecord, Verdict};

/// Stands for failures of any kind among those that are allowed.
pub const ALL_BROKEN: &str = "all";

/// A trial of the matrix.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateTrial {
    /// The scenario.
    pub scenario: String,
    /// The trial: its members are members of this one.
    #[serde(flatten)]
    pub record: TrialRecord,
}

impl GateTrial {
    /// The trial that an event tells of, if it is one of a check.
    #[must_use]
    pub fn of(event: &RunEvent) -> Option<Self> {
        match event {
            RunEvent::TrialEnded { tried: Tried::Scenario { scenario, .. }, record, .. } => {
                Some(Self { scenario: scenario.clone(), record: record.as_ref().clone() })
            }
            _ => None,
        }
    }
}

/// What a kernel did with a scenario, seen from the baseline.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It passed.
    Good,
    /// It passed, and the baseline did not.
    Fixed,
    /// It failed as the baseline does.
    AlreadyBroken,
    /// It failed, and nothing shows that the baseline fails in the same way.
    Regressed,
    /// The kernel cannot answer.
    NotTested,
    /// kbisect or the host failed, or the run ended before.
    NoAnswer,
    /// The scenario is wrong, so that no kernel can answer.
    ScenarioError,
}

impl Standing {
    /// All of them, the ones that keep a kernel from passing last.
    pub const ALL: [Self; 7] = [
        Self::Good,
        Self::Fixed,
        Self::AlreadyBroken,
        Self::NotTested,
        Self::NoAnswer,
        Self::ScenarioError,
        Self::Regressed,
    ];

    /// The word for people.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Fixed => "fixed",
            Self::AlreadyBroken => "already broken",
            Self::Regressed => "regressed",
            Self::NotTested => "not tested",
            Self::NoAnswer => "no answer",
            Self::ScenarioError => "scenario error",
        }
    }
}

/// What a standing rests on, beside what its trial says.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Grounds {
    /// The trial alone.
    #[default]
    Trial,
    /// Nothing: there was no trial.
    NotTried,
    /// The baseline fails, this way.
    BaselineFails(Symptom),
    /// The baseline passes; or fails alike, and passes these checks.
    BaselinePasses(Vec<String>),
    /// The baseline fails in another way.
    BaselineDiffers(Symptom),
    /// The baseline fails alike.
    BaselineAlike(Matching),
    /// The baseline gives no answer.
    BaselineSilent,
    /// So many boots as shipped passed, after a quick trial that failed.
    Boots(usize),
}

/// One kernel with one scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cell {
    /// The scenario.
    pub scenario: String,
    /// The kernel.
    pub kernel: Kernel,
    /// Whether the kernel was asked for; a baseline that was only named as such decides nothing.
    pub under_test: bool,
    /// Whether what is broken already was allowed by name.
    #[serde(default)]
    pub allowed: bool,
    /// How it stands.
    pub standing: Standing,
    /// Set when it failed.
    pub symptom: Option<Symptom>,
    /// What is wrong with the scenario, if that is how it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<ScenarioFault>,
    /// What that rests on.
    #[serde(skip)]
    pub grounds: Grounds,
    /// What the standing rests on, unless it passed as the baseline did.
    pub reason: Option<String>,
    /// Number of the trial that decided.
    pub trial: Option<u32>,
}

/// How many cells under test stand how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Passed, as at the baseline.
    pub good: usize,
    /// Passed, unlike the baseline.
    pub fixed: usize,
    /// Failed as the baseline does.
    pub already_broken: usize,
    /// Failed, unlike the baseline.
    pub regressed: usize,
    /// The kernel cannot answer.
    pub not_tested: usize,
    /// kbisect or the host failed, or the run ended before.
    pub no_answer: usize,
    /// The scenario is wrong.
    #[serde(default)]
    pub scenario_error: usize,
}

impl Counts {
    /// The count of a standing.
    #[must_use]
    pub fn of(&self, standing: Standing) -> usize {
        match standing {
            Standing::Good => self.good,
            Standing::Fixed => self.fixed,
            Standing::AlreadyBroken => self.already_broken,
            Standing::Regressed => self.regressed,
            Standing::NotTested => self.not_tested,
            Standing::NoAnswer => self.no_answer,
            Standing::ScenarioError => self.scenario_error,
        }
    }

    fn count(cells: &[Cell]) -> Self {
        let of = |standing| {
            cells.iter().filter(|cell| cell.under_test && cell.standing == standing).count()
        };
        Self {
            good: of(Standing::Good),
            fixed: of(Standing::Fixed),
            already_broken: of(Standing::AlreadyBroken),
            regressed: of(Standing::Regressed),
            not_tested: of(Standing::NotTested),
            no_answer: of(Standing::NoAnswer),
            scenario_error: of(Standing::ScenarioError),
        }
    }
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GateOutcome {
    /// Nothing regressed, and what had to be tested was.
    Passed,
    /// Something regressed.
    Regressed,
    /// Nothing regressed, but not all was tested.
    NotTested,
    /// Nothing regressed, and a scenario is wrong.
    ScenarioError,
    /// Nothing regressed, and something is broken already that was not allowed to be.
    AlreadyBroken,
    /// The run ended before it had all answers.
    Aborted,
}

/// The result of a check: the document `kbisect.check/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateResult {
    /// `kbisect.check/1`.
    pub schema: String,
    /// How it ended.
    pub outcome: GateOutcome,
    /// Why it was aborted.
    pub reason: Option<String>,
    /// How many kernels and scenarios stand how, those under test only.
    pub counts: Counts,
    /// What was to be tried: its members are members of this document.
    #[serde(flatten)]
    pub plan: GatePlan,
    /// The matrix, kernel by kernel; the baseline comes first unless it is under test.
    pub cells: Vec<Cell>,
    /// The history of each scenario over the kernels, series by series, where a range was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maps: Vec<Map>,
    /// What failures follow, for scenarios whose ways are compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "followed")]
    pub ways: Vec<WaysAnswer>,
    /// All trials in their order, those that failed for our own reasons included.
    pub trials: Vec<GateTrial>,
    /// Where it ran.
    pub environment: Environment,
    /// Seconds that all of it took.
    pub wall_s: f64,
    /// Folder of the run.
    pub run_dir: String,
}

/// What a result is made of, beside its plan and trials.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GateEnd {
    /// Why the run ended early.
    pub aborted: Option<String>,
    /// Where it ran.
    pub environment: Environment,
    /// Seconds that all of it took.
    pub wall_s: f64,
    /// Folder of the run.
    pub run_dir: String,
}

impl GateResult {
    /// Judges the trials.
    #[must_use]
    pub fn new(plan: GatePlan, trials: Vec<GateTrial>, end: GateEnd) -> Self {
        let cells = cells(&plan, &trials);
        let counts = Counts::count(&cells);
        let broken = cells.iter().any(|cell| {
            cell.under_test && cell.standing == Standing::AlreadyBroken && !cell.allowed
        });
        let untested = plan.kernels.iter().any(|kernel| !has_answer(&cells, kernel));
        let outcome = match &end.aborted {
            Some(_) => GateOutcome::Aborted,
            None if counts.no_answer > 0 => GateOutcome::Aborted,
            None if counts.regressed > 0 => GateOutcome::Regressed,
            None if counts.scenario_error > 0 => GateOutcome::ScenarioError,
            None if broken => GateOutcome::AlreadyBroken,
            // Leave for gaps is none for a kernel that is nothing but gaps.
            None if counts.not_tested > 0 && (!plan.allow_skips || untested) => {
                GateOutcome::NotTested
            }
            None => GateOutcome::Passed,
        };
        let maps = if plan.ranges.is_empty() { Vec::new() } else { Map::all(&plan, &trials) };
        let ways = WaysAnswer::all(&plan, &trials);
        Self {
            schema: "kbisect.check/1".to_owned(),
            outcome,
            reason: end.aborted,
            counts,
            plan,
            cells,
            maps,
            ways,
            trials,
            environment: end.environment,
            wall_s: end.wall_s,
            run_dir: end.run_dir,
        }
    }

    /// The trial that decided a cell.
    #[must_use]
    pub fn trial(&self, cell: &Cell) -> Option<&TrialRecord> {
        let number = cell.trial?;
        self.trials.iter().map(|trial| &trial.record).find(|record| record.number == number)
    }
}

/// Whether a kernel gave any answer.
fn has_answer(cells: &[Cell], kernel: &Kernel) -> bool {
    cells.iter().filter(|cell| cell.kernel.id == kernel.id).any(|cell| match cell.standing {
        Standing::Good | Standing::Fixed | Standing::AlreadyBroken | Standing::Regressed => true,
        Standing::NotTested | Standing::NoAnswer | Standing::ScenarioError => false,
    })
}

/// Names of the checks that failed, in order.
fn failed_checks(record: &TrialRecord) -> Vec<&str> {
    let failed = record.checks.iter().filter(|check| check.status == CheckStatus::Fail);
    failed.map(|check| check.name.as_str()).collect()
}

/// Whether what is broken was allowed to be: each check that fails, by name. What is no check, such
/// as a panic or refused rules, comes with `all` alone.
fn is_allowed(plan: &GatePlan, record: &TrialRecord) -> bool {
    let named = |name: &str| plan.allow_broken.iter().any(|allowed| allowed == name);
    let of_checks = record.symptom.as_ref().is_some_and(|symptom| symptom.kind.is_of_checks());
    let failed = failed_checks(record);
    named(ALL_BROKEN) || of_checks && !failed.is_empty() && failed.into_iter().all(named)
}

/// The trial that showed that a scenario is wrong.
fn wrong<'a>(trials: &'a [GateTrial], scenario: &str) -> Option<&'a TrialRecord> {
    let shows = |record: &&TrialRecord| matches!(record.verdict(), Verdict::Scenario(_));
    let of_scenario = trials.iter().filter(|trial| trial.scenario == scenario);
    of_scenario.map(|trial| &trial.record).find(shows)
}

fn cells(plan: &GatePlan, trials: &[GateTrial]) -> Vec<Cell> {
    let last = |scenario: &str, kernel: &Kernel| deciding(trials, scenario, kernel);
    let mut cells = Vec::new();
    for (kernel, under_test) in plan.rows() {
        for GateScenario { name, .. } in &plan.scenarios {
            // Where the scenario is wrong, one kernel is enough.
            let record = last(name, kernel).or_else(|| wrong(trials, name));
            let baseline = plan.baseline.as_ref();
            let at_baseline = baseline.map(|baseline| last(name, baseline));
            let (standing, mut grounds) = match record {
                None if plan.canary => (Standing::NotTested, Grounds::NotTried),
                None => (Standing::NoAnswer, Grounds::NotTried),
                // Compared with itself it would be said to fail as itself.
                Some(TrialRecord { symptom: Some(_), .. })
                    if baseline.is_some_and(|baseline| baseline.id == kernel.id) =>
                {
                    (Standing::AlreadyBroken, Grounds::Trial)
                }
                Some(record) => stand(record, at_baseline),
            };
            if standing == Standing::Good
                && let Some(boots) = boots_that_passed(trials, name, kernel)
            {
                grounds = Grounds::Boots(boots);
            }
            cells.push(Cell {
                scenario: name.clone(),
                kernel: kernel.clone(),
                under_test: under_test && !WaysPlan::is_control(&plan.ways, name),
                allowed: standing == Standing::AlreadyBroken
                    && record.is_some_and(|record| is_allowed(plan, record)),
                standing,
                symptom: record.and_then(|record| record.symptom.clone()),
                fault: record
                    .filter(|_| standing == Standing::ScenarioError)
                    .and_then(|record| record.fault.clone()),
                grounds,
                reason: None,
                trial: record.map(|record| record.number),
            });
        }
    }
    cells
}

/// How a verdict stands to that of the baseline: none without a baseline, an inner none when the
/// baseline was not tried. What the baseline does not excuse is a regression.
fn stand(record: &TrialRecord, at_baseline: Option<Option<&TrialRecord>>) -> (Standing, Grounds) {
    let baseline = at_baseline.map(|tried| tried.map(TrialRecord::verdict));
    let symptom = match record.verdict() {
        Verdict::Skip(_) => return (Standing::NotTested, Grounds::Trial),
        Verdict::Infra(_) => return (Standing::NoAnswer, Grounds::Trial),
        Verdict::Scenario(_) => return (Standing::ScenarioError, Grounds::Trial),
        Verdict::Good => {
            return match baseline {
                Some(Some(Verdict::Bad(was))) => (Standing::Fixed, Grounds::BaselineFails(was)),
                _ => (Standing::Good, Grounds::Trial),
            };
        }
        Verdict::Bad(symptom) => symptom,
    };
    // A failure of one check is no licence for another.
    let before = at_baseline.flatten().map(failed_checks).unwrap_or_default();
    let more: Vec<String> = failed_checks(record)
        .into_iter()
        .filter(|check| !before.contains(check))
        .map(str::to_owned)
        .collect();
    match baseline {
        None => (Standing::Regressed, Grounds::Trial),
        Some(Some(Verdict::Bad(was))) => {
            let matching = was.matching(&symptom);
            match matching.how {
                Match::Different => (Standing::Regressed, Grounds::BaselineDiffers(was)),
                _ if !more.is_empty() => (Standing::Regressed, Grounds::BaselinePasses(more)),
                Match::Title | Match::AltTitle | Match::Stack => {
                    (Standing::AlreadyBroken, Grounds::BaselineAlike(matching))
                }
            }
        }
        Some(Some(Verdict::Good)) => (Standing::Regressed, Grounds::BaselinePasses(Vec::new())),
        Some(Some(Verdict::Skip(_) | Verdict::Infra(_) | Verdict::Scenario(_)) | None) => {
            (Standing::Regressed, Grounds::BaselineSilent)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::SymptomKind;

    /// A record with a verdict and checks that failed.
    fn record(verdict: Verdict, failed: &[&str]) -> TrialRecord {
        let kernel = serde_json::json!({
            "version": "6.12.1", "package_version": "6.12.1", "flavour": "amd64",
            "architecture": "amd64", "source": "test", "id": "x",
        });
        let check = |name: &&str| serde_json::json!({"name": name, "status": "fail", "detail": "no", "wall_s": 1.0});
        let text = match &verdict {
            Verdict::Skip(why) => Some(why.to_string()),
            Verdict::Infra(text) => Some(text.clone()),
            _ => None,
        };
        serde_json::from_value(serde_json::json!({
            "number": 1, "kernel": kernel, "verdict": verdict.word(),
            "symptom": verdict.symptom(), "reason": text,
            "checks": failed.iter().map(check).collect::<Vec<_>>(),
            "timings_s": {}, "wall_s": 1.0, "directory": "x", "accelerator": "tcg", "repeat": "x",
        }))
        .unwrap()
    }

    fn bad(kind: SymptomKind, title: &str, failed: &[&str]) -> TrialRecord {
        let symptom = Symptom {
            kind,
            title: title.to_owned(),
            detail: String::new(),
            place: None,
            alt_titles: Vec::new(),
            frames: Vec::new(),
            lacks: Vec::new(),
            loss: None,
        };
        record(Verdict::Bad(symptom), failed)
    }

    #[test]
    fn only_the_same_failure_at_the_baseline_excuses_one() {
        let fails = bad(SymptomKind::CheckFailed, "check failed: payload", &["payload"]);
        let panics = bad(SymptomKind::Panic, "panic in a", &[]);
        let skip = record(
            Verdict::Skip(crate::trial::Untestable::NoBoot { said: "it ended early".to_owned() }),
            &[],
        );
        let good = record(Verdict::Good, &[]);
        let stands = |record, baseline| stand(record, baseline).0;
        assert_eq!(stands(&fails, None), Standing::Regressed);
        assert_eq!(stands(&fails, Some(Some(&good))), Standing::Regressed);
        assert_eq!(stands(&fails, Some(Some(&fails))), Standing::AlreadyBroken);
        assert_eq!(stands(&fails, Some(Some(&panics))), Standing::Regressed);
        assert_eq!(stands(&fails, Some(Some(&skip))), Standing::Regressed);
        assert_eq!(stands(&fails, Some(None)), Standing::Regressed);
        assert_eq!(stands(&good, Some(Some(&fails))), Standing::Fixed);
        assert_eq!(stands(&good, Some(Some(&skip))), Standing::Good);
        assert_eq!(stands(&skip, Some(Some(&skip))), Standing::NotTested);
        let ours = record(Verdict::Infra("oom".to_owned()), &[]);
        assert_eq!(stands(&ours, Some(Some(&ours))), Standing::NoAnswer);
        let title = "check failed: payload";
        let more = bad(SymptomKind::CheckFailed, title, &["payload", "dns"]);
        assert_eq!(stands(&more, Some(Some(&fails))), Standing::Regressed);
        assert_eq!(stands(&fails, Some(Some(&more))), Standing::AlreadyBroken);
    }

    #[test]
    fn all_standings_are_counted() {
        assert_eq!(Standing::ALL.len(), 7);
        let counts = Counts {
            good: 1,
            fixed: 2,
            already_broken: 3,
            regressed: 4,
            not_tested: 5,
            no_answer: 6,
            scenario_error: 7,
        };
        assert_eq!(Standing::ALL.map(|s| counts.of(s)).iter().sum::<usize>(), 28);
    }
}
