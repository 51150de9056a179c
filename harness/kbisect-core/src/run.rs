//! A run: its plan, its events, and the result that follows from them.
//!
//! The journal is the list of events. Everything that a report says is a function of it, so that a
//! report made again later is the same, byte by byte.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bayes;
use crate::evidence::Decoded;
use crate::kernel::Kernel;
use crate::mark::is_lack;
use crate::method::Method;
use crate::search::{Direction, Mark, Outcome, Role};
use crate::trial::{CheckResult, Phase, Symptom, SymptomKind, TrialRecord};

/// What will be done. Serialisable, so that `--dry-run` prints it and a resumed run has no choice
/// left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// `kbisect.plan/1`.
    pub schema: String,
    /// Run id: folder name below the results folder.
    pub run_id: String,
    /// kbisect's version.
    pub tool_version: String,
    /// The command as typed.
    pub command: Vec<String>,
    /// Scenario name.
    pub scenario: String,
    /// Scenario summary.
    pub scenario_summary: String,
    /// SHA-256 over the scenario's files.
    pub scenario_sha256: String,
    /// What is looked for.
    pub direction: Direction,
    /// The older end, as typed.
    pub old_end: String,
    /// The newer end, as typed.
    pub new_end: String,
    /// The candidates, oldest first.
    pub series: Vec<PlannedKernel>,
    /// The kernel of the reference nodes.
    pub reference: Kernel,
    /// Where and with what it runs.
    pub environment: Environment,
    /// Choices that change what is tried.
    pub options: PlanOptions,
    /// What the user must know before believing the answer.
    pub warnings: Vec<String>,
}

/// A candidate of the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedKernel {
    /// Identity.
    pub kernel: Kernel,
    /// Why it cannot be tested, when that is known beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untestable: Option<String>,
    /// Bytes to download.
    #[serde(default)]
    pub download_bytes: u64,
}

/// Where a run takes place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// QEMU version.
    pub qemu: String,
    /// `kvm` or `tcg`.
    pub accelerator: String,
    /// Why not KVM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accelerator_reason: Option<String>,
    /// Key of the root image.
    pub image: String,
    /// `uname -sr` of the host.
    pub host: String,
    /// Processors of the host.
    pub cpus: usize,
    /// `split` or `single`.
    pub placement: String,
}

/// Choices that change what is tried.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PlanOptions {
    /// The old end is taken for granted.
    pub assume_old: bool,
    /// The new end is taken for granted.
    pub assume_new: bool,
    /// How often a trial that failed for our own reasons is repeated.
    pub infra_retries: u32,
    /// The search under doubt and its choices; plain halving without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubt: Option<bayes::Settings>,
    /// Seconds after which the search under doubt ends, whatever is known by then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_s: Option<u64>,
    /// The memory of kernels that crash or hang is dumped.
    #[serde(default)]
    pub vmcore: bool,
    /// The trace of the culprit is decoded with the distribution's debug package.
    #[serde(default)]
    pub debug_info: bool,
    /// The trace of the culprit is decoded with this vmlinux.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vmlinux: Option<String>,
    /// Folder with the debug information of modules that goes with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debug_modules: Option<String>,
}

/// Begins what is said of rules that do not load on the good end.
pub const FAULT_OF_SCENARIO: &str =
    "rules that do not load on a kernel that should be good are the scenario's fault";

/// Follows what is said of a good end that lacks the same feature as the bad one.
const LACK_AT_BOTH_ENDS: &str =
    ": both lack what the scenario requires, so it does not fit this range";

/// Follows `good` or `bad` in the reason of a run that ended at an end without an answer.
pub const NO_ANSWER: &str = "end of the range gives no answer";

/// One event of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum RunEvent {
    /// The run begins.
    Began {
        /// Its plan.
        plan: Box<Plan>,
    },
    /// The run goes on after an interruption.
    Resumed,
    /// A trial begins.
    TrialBegan {
        /// Number, from 1.
        number: u32,
        /// Position in the series.
        index: usize,
        /// Why this kernel.
        role: Role,
        /// Trials still to come with this one, if none is skipped; without luck, under doubt.
        estimated_left: usize,
        /// Why, in words, where it is not plain.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A phase of a trial begins.
    PhaseBegan {
        /// Trial.
        number: u32,
        /// Phase.
        phase: Phase,
    },
    /// A check ended.
    Checked {
        /// Trial.
        number: u32,
        /// Result.
        result: CheckResult,
    },
    /// A trial ended.
    TrialEnded {
        /// Position in the series.
        index: usize,
        /// Everything about it.
        record: Box<TrialRecord>,
        /// What it tells the search; nothing when it was our own failure.
        mark: Option<Mark>,
    },
    /// The trace of a failed trial was decoded, or could not be.
    Decoded {
        /// Trial.
        number: u32,
        /// What came of it.
        decoded: Decoded,
    },
    /// Something the user should know.
    Note {
        /// One line.
        text: String,
    },
    /// The run was stopped by the user; it can be resumed.
    Interrupted,
    /// The run cannot go on; it can be resumed when the cause is gone.
    Failed {
        /// Why.
        error: String,
    },
    /// The search is over.
    Ended {
        /// How.
        outcome: Outcome,
    },
    /// The search under doubt is over.
    Decided {
        /// How.
        ending: bayes::Ending,
    },
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JournalLine {
    /// Milliseconds since 1970-01-01 UTC.
    pub at_ms: u64,
    /// The event.
    #[serde(flatten)]
    pub event: RunEvent,
}

/// The word for how a bisection ended. The contract's closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeWord {
    /// One kernel brought the change.
    Found,
    /// The same, though kernels elsewhere gave no answer.
    FoundDespiteSkips,
    /// Kernels without an answer lie between: one of several.
    Range,
    /// The bad end is good.
    NotReproduced,
    /// The good end is bad.
    GoodFails,
    /// No answer.
    Aborted,
}

/// How sure the answer is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Confidence {
    /// `confirmed` (by the stop rule of the search under doubt), `unconfirmed` (each version was
    /// tried once, or the search ended before) or `none`.
    pub level: String,
    /// In words.
    pub statement: String,
}

/// One kernel of the series and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeriesEntry {
    /// Identity.
    pub kernel: Kernel,
    /// `good`, `bad`, `skip`, `infra`, `untestable`, or `untested`.
    pub verdict: String,
    /// Why, for skips.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Under doubt: its runs, counted, and what is believed of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub belief: Option<bayes::VersionBelief>,
}

/// What the search under doubt believes at its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Doubt {
    /// Probability that the change came with one of the candidates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Failure rate of bad kernels, with the interval that holds it with 90 % probability.
    pub bad_rate: bayes::Estimate,
    /// Failure rate of good kernels, likewise.
    pub good_rate: bayes::Estimate,
    /// Candidates that hold the change with 95 % probability: positions in the series.
    pub credible: Vec<usize>,
    /// Probability that the good end is bad as well.
    pub good_end_bad: f64,
    /// Probability that nothing changed.
    pub nothing: f64,
    /// Runs that the search counted.
    pub runs: u32,
    /// What the user should know of the answers.
    pub notices: Vec<bayes::Notice>,
}

/// The result of a bisection: the document `kbisect.bisect/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BisectResult {
    /// `kbisect.bisect/1`.
    pub schema: String,
    /// How it ended.
    pub outcome: OutcomeWord,
    /// Newest good kernel below the first bad one (not with `--find-fix`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good: Option<Kernel>,
    /// First bad kernel (not with `--find-fix`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_bad: Option<Kernel>,
    /// Newest bad kernel below the first good one (with `--find-fix`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_bad: Option<Kernel>,
    /// First good kernel (with `--find-fix`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_good: Option<Kernel>,
    /// Kernels that can have brought the change; one when found.
    pub candidates: Vec<Kernel>,
    /// The symptom that was looked for.
    pub symptom: Option<Symptom>,
    /// How sure the answer is.
    pub confidence: Confidence,
    /// Why there is no answer, when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Under doubt: failure rates, credible candidates, what is left unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Doubt>,
    /// All trials in order.
    pub trials: Vec<TrialRecord>,
    /// The series with what became of each kernel.
    pub series: Vec<SeriesEntry>,
    /// What the user must know before believing the answer.
    pub warnings: Vec<String>,
    /// Scenario name.
    pub scenario: String,
    /// Regression or fix.
    pub direction: Direction,
    /// The kernel of the reference nodes.
    pub reference: Kernel,
    /// Where it ran.
    pub environment: Environment,
    /// Seconds that the run took, without the time between an interruption and its resumption.
    pub wall_s: f64,
    /// Folder of the run.
    pub run_dir: String,
    /// Command that repeats the trial of the first bad kernel, or of the bad end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<String>,
    /// kbisect's version.
    pub tool_version: String,
}

/// The result of one trial: the document `kbisect.run/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunResult {
    /// `kbisect.run/1`.
    pub schema: String,
    /// Scenario name.
    pub scenario: String,
    /// The trial: its verdict, symptom, checks and timings are members of this document.
    #[serde(flatten)]
    pub trial: TrialRecord,
    /// The kernel of the reference nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Kernel>,
    /// Where it ran.
    pub environment: Environment,
    /// Folder of the run.
    pub run_dir: String,
    /// kbisect's version.
    pub tool_version: String,
}

/// The symptom that the search looks for: that of the first bad trial of the bad end, or, when that
/// end is taken for granted, of the first bad trial at all.
#[must_use]
pub fn target_symptom<'a>(events: impl IntoIterator<Item = &'a RunEvent>) -> Option<&'a Symptom> {
    events.into_iter().find_map(|event| match event {
        RunEvent::TrialEnded { record, mark: Some(Mark::Bad), .. } => record.symptom.as_ref(),
        _ => None,
    })
}

impl BisectResult {
    /// Makes the result from a journal; `None` when the journal has no plan.
    #[must_use]
    pub fn from_journal(lines: &[JournalLine], run_dir: &str) -> Option<Self> {
        let events: Vec<RunEvent> = lines.iter().map(|line| line.event.clone()).collect();
        let plan = events.iter().find_map(|event| match event {
            RunEvent::Began { plan } => Some(plan.as_ref().clone()),
            _ => None,
        })?;
        let outcome = events.iter().rev().find_map(|event| match event {
            RunEvent::Ended { outcome } => Some(outcome.clone()),
            _ => None,
        });
        let trials: Vec<(usize, TrialRecord)> = events
            .iter()
            .filter_map(|event| match event {
                RunEvent::TrialEnded { index, record, .. } => {
                    Some((*index, record.as_ref().clone()))
                }
                _ => None,
            })
            .collect();
        let mut trials = trials;
        for event in &events {
            if let RunEvent::Decoded { number, decoded } = event {
                let of_trial = trials.iter_mut().map(|(_, record)| record);
                let of_trial = of_trial.filter(|record| record.number == *number);
                of_trial.for_each(|record| record.evidence.decoded = Some(decoded.clone()));
            }
        }
        let kernel = |index: usize| plan.series.get(index).map(|planned| planned.kernel.clone());
        let mut result = Self {
            schema: "kbisect.bisect/1".to_owned(),
            outcome: OutcomeWord::Aborted,
            last_good: None,
            first_bad: None,
            last_bad: None,
            first_good: None,
            candidates: Vec::new(),
            symptom: target_symptom(&events).cloned(),
            confidence: Confidence { level: "none".to_owned(), statement: "no answer".to_owned() },
            reason: None,
            doubt: None,
            series: series_of(&plan, &trials),
            warnings: plan.warnings.clone(),
            scenario: plan.scenario.clone(),
            direction: plan.direction,
            reference: plan.reference.clone(),
            environment: plan.environment.clone(),
            wall_s: wall_seconds(lines),
            run_dir: run_dir.to_owned(),
            repeat: None,
            tool_version: plan.tool_version.clone(),
            trials: trials.iter().map(|(_, record)| record.clone()).collect(),
        };
        let method = Method::replay(&plan, &events).ok();
        let ends = match method.as_ref().and_then(Method::doubt) {
            Some(search) => {
                let ending = events.iter().rev().find_map(|event| match event {
                    RunEvent::Decided { ending } => Some(ending.clone()),
                    _ => None,
                });
                result.conclude_doubt(search, ending, &events)
            }
            None => result.conclude(outcome, &events, &kernel),
        };
        if let Some((old, new)) = ends {
            match plan.direction {
                Direction::Regression => {
                    (result.last_good, result.first_bad) = (kernel(old), kernel(new))
                }
                Direction::Fix => (result.last_bad, result.first_good) = (kernel(old), kernel(new)),
            }
        }
        let shown = match plan.direction {
            Direction::Regression => result.first_bad.as_ref(),
            Direction::Fix => result.last_bad.as_ref(),
        };
        let told = |id| {
            trials.iter().map(|(_, record)| record).find(|record| Some(&record.kernel.id) == id)
        };
        let bad = trials.iter().map(|(_, record)| record).find(|record| record.verdict == "bad");
        result.repeat =
            told(shown.map(|kernel| &kernel.id)).or(bad).map(|record| record.repeat.clone());
        Some(result)
    }

    /// Fills in what the outcome says; gives the positions around the change.
    fn conclude(
        &mut self,
        outcome: Option<Outcome>,
        events: &[RunEvent],
        kernel: &dyn Fn(usize) -> Option<Kernel>,
    ) -> Option<(usize, usize)> {
        let tried = |index: usize| {
            events.iter().any(
                |event| matches!(event, RunEvent::TrialEnded { index: at, mark: Some(_), .. } if *at == index),
            )
        };
        let once = |around: Option<(usize, usize)>, more: &str| {
            let neighbours = match around.map(|(old, new)| (tried(old), tried(new))) {
                Some((true, true)) => "; both neighbours of the change were tried",
                Some((false, false)) => "; both neighbours of the change were taken for granted",
                Some(_) => "; one neighbour of the change was taken for granted, not tried",
                None => "",
            };
            Confidence {
                level: "unconfirmed".to_owned(),
                statement: format!("each version was tried once{neighbours}{more}"),
            }
        };
        match outcome {
            Some(Outcome::Found { last_old, first_new }) => {
                self.outcome = OutcomeWord::Found;
                self.candidates = kernel(first_new).into_iter().collect();
                self.confidence = once(Some((last_old, first_new)), "");
                Some((last_old, first_new))
            }
            Some(Outcome::FoundDespiteSkips { last_old, first_new, .. }) => {
                self.outcome = OutcomeWord::FoundDespiteSkips;
                self.candidates = kernel(first_new).into_iter().collect();
                self.confidence =
                    once(Some((last_old, first_new)), "; other versions gave no answer");
                Some((last_old, first_new))
            }
            Some(Outcome::Range { last_old, first_new, possible, .. }) => {
                self.outcome = OutcomeWord::Range;
                self.candidates = possible.into_iter().filter_map(kernel).collect();
                self.confidence = once(
                    None,
                    "; versions between the two gave no answer: the change came with one of them",
                );
                Some((last_old, first_new))
            }
            Some(Outcome::NotReproduced) => {
                self.outcome = OutcomeWord::NotReproduced;
                self.reason = Some("the end that should be bad is good".to_owned());
                None
            }
            Some(Outcome::GoodFails) => {
                self.outcome = OutcomeWord::GoodFails;
                let fault = self.fault_of_scenario(good_end_is_last(self.direction));
                let lack = self.symptom.as_ref().is_some_and(is_lack);
                let misfit = if lack { LACK_AT_BOTH_ENDS } else { "" };
                self.reason =
                    Some(format!("the end that should be good fails as well{misfit}{fault}"));
                None
            }
            Some(Outcome::EndSkipped { which }) => {
                let end = if which == Role::BadEnd { "bad" } else { "good" };
                let last = (which == Role::BadEnd) == (self.direction == Direction::Regression);
                let entry = if last { self.series.last() } else { self.series.first() };
                let why = entry.and_then(|entry| entry.reason.as_deref());
                let mut reason = format!("the {end} {NO_ANSWER}");
                if let Some(why) = why {
                    reason = format!("{reason}: {why}");
                }
                if which == Role::GoodEnd {
                    reason += &self.fault_of_scenario(good_end_is_last(self.direction));
                }
                self.reason = Some(reason);
                None
            }
            None => {
                self.reason = stopped(events);
                None
            }
        }
    }
}

/// Why a run ended before its search did.
pub(crate) fn stopped(events: &[RunEvent]) -> Option<String> {
    events.iter().rev().find_map(|event| match event {
        RunEvent::Failed { error } => Some(error.clone()),
        RunEvent::Interrupted => Some("interrupted".to_owned()),
        _ => None,
    })
}

/// Whether the good end is the last of the series.
pub(crate) fn good_end_is_last(direction: Direction) -> bool {
    direction == Direction::Fix
}

impl BisectResult {
    /// What it means when rules do not even load on the end that should be good.
    pub(crate) fn fault_of_scenario(&self, last: bool) -> String {
        let entry = if last { self.series.last() } else { self.series.first() };
        let refused = self.trials.iter().rev().find_map(|trial| {
            let symptom = trial.symptom.as_ref()?;
            let here = entry.is_some_and(|entry| entry.kernel.id == trial.kernel.id);
            (here && symptom.kind == SymptomKind::RulesRefused).then_some(&symptom.detail)
        });
        match refused {
            Some(said) => format!("; {FAULT_OF_SCENARIO}: {said}"),
            None => String::new(),
        }
    }
}

fn series_of(plan: &Plan, trials: &[(usize, TrialRecord)]) -> Vec<SeriesEntry> {
    plan.series
        .iter()
        .enumerate()
        .map(|(index, planned)| {
            let last = trials.iter().rev().find(|(at, _)| *at == index).map(|(_, record)| record);
            let (verdict, reason) = match (last, &planned.untestable) {
                (Some(record), _) => (record.verdict.clone(), record.reason.clone()),
                (None, Some(reason)) => ("untestable".to_owned(), Some(reason.clone())),
                (None, None) => ("untested".to_owned(), None),
            };
            SeriesEntry { kernel: planned.kernel.clone(), verdict, reason, belief: None }
        })
        .collect()
}

/// Sums the time between events, leaving out the gap before each resumption, and the time that it
/// took to decode a trace: that can be done days later.
#[must_use]
pub fn wall_seconds(lines: &[JournalLine]) -> f64 {
    let millis: u64 = lines
        .windows(2)
        .filter(|pair| !matches!(pair[1].event, RunEvent::Resumed | RunEvent::Decoded { .. }))
        .map(|pair| pair[1].at_ms.saturating_sub(pair[0].at_ms))
        .sum();
    millis as f64 / 1000.0
}
