//! What a trial found: verdict, symptom, checks, record.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::boot::{Booted, Deadlines};
use crate::disturbed::Disturbed;
use crate::evidence::Evidence;
use crate::fault::ScenarioFault;
use crate::inject::Injected;
use crate::kernel::Kernel;
pub use crate::symptom::{LossPlace, Match, Matching, Packets, Symptom, SymptomKind};
pub use crate::verdict::{Untestable, Verdict, VerdictKind};

/// The phases of a trial, in order.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// QEMU starts, the kernel boots, user space says hello.
    Boot,
    /// Nodes, interfaces, addresses, set-up steps.
    Setup,
    /// The application is started and becomes ready.
    Workload,
    /// Steps against the running application.
    Replay,
    /// Checks.
    Checks,
    /// Evidence is read from the guests.
    Collect,
    /// The candidate machine is switched off.
    Off,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Self; 7] = [
        Self::Boot,
        Self::Setup,
        Self::Workload,
        Self::Replay,
        Self::Checks,
        Self::Collect,
        Self::Off,
    ];
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boot => "boot",
            Self::Setup => "setup",
            Self::Workload => "workload",
            Self::Replay => "replay",
            Self::Checks => "checks",
            Self::Collect => "collect",
            Self::Off => "off",
        })
    }
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CheckStatus {
    /// As expected.
    Pass,
    /// Not as expected.
    Fail,
    /// Failed, but only recorded.
    Recorded,
    /// It says nothing: the trial ended before, or the check could not tell.
    NotRun,
}

/// One check's result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckResult {
    /// Name.
    pub name: String,
    /// Outcome.
    pub status: CheckStatus,
    /// What was seen.
    pub detail: String,
    /// Seconds it took.
    #[serde(default)]
    pub wall_s: f64,
}

/// A kernel report that was found on a console, in the record of a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConsoleReport {
    /// Class.
    pub kind: SymptomKind,
    /// Stable title.
    pub title: String,
    /// Phase in which it was seen.
    pub phase: Phase,
    /// Whether the kernel could not go on.
    pub fatal: bool,
    /// The log, relative to the trial's folder, where that is not the candidate machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<String>,
    /// 1-based line of the console log.
    pub line: usize,
    /// Other accepted titles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alt_titles: Vec<String>,
    /// Functions on the stack, innermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<String>,
    /// The report itself, bounded.
    pub text: String,
}

/// Something that a kernel refused, as the scenario lets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AcceptedRefusal {
    /// The step.
    pub step: String,
    /// Its node.
    pub node: String,
    /// How it ended, and what was said.
    pub said: String,
}

impl fmt::Display for AcceptedRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, node, said } = self;
        write!(f, "step `{step}` on {node} was refused, which the scenario accepts: {said}")
    }
}

/// Frames of one wire, as the harness carried them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WireCount {
    /// Wire name, as in the scenario's `links`.
    pub wire: String,
    /// Node that sent.
    pub from: String,
    /// Frames carried.
    pub frames: u64,
    /// Bytes carried.
    pub bytes: u64,
    /// Frames that could not be delivered (the other end was gone).
    pub undelivered: u64,
}

/// How the candidate came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BootKind {
    /// It booted.
    Cold,
    /// It went on from a state that was saved when user space was up.
    Restored,
}

/// Names one boot of a kernel: trials that go on from one saved state have it in common with the trial
/// that booted.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct BootId(pub String);

/// Everything that a trial leaves behind, beside its files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TrialRecord {
    /// Number within the run, from 1.
    pub number: u32,
    /// The kernel.
    pub kernel: Kernel,
    /// The verdict.
    pub verdict: VerdictKind,
    /// Set when bad.
    pub symptom: Option<Symptom>,
    /// What is wrong with the scenario, when that is the verdict; what may be, when bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<ScenarioFault>,
    /// Why the kernel cannot answer, when that is the verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untestable: Option<Untestable>,
    /// Why in words, when it has no answer; of a trial that a search took, also why a failure does not
    /// count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The checks.
    pub checks: Vec<CheckResult>,
    /// Seconds per phase, by phase name.
    pub timings_s: BTreeMap<String, f64>,
    /// Seconds from the first process to the last.
    pub wall_s: f64,
    /// Reports on the candidate's console.
    #[serde(default)]
    pub reports: Vec<ConsoleReport>,
    /// What was refused and accepted as such.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<AcceptedRefusal>,
    /// What was broken on purpose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub injected: Vec<Injected>,
    /// Remarks.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Frames per wire and direction.
    #[serde(default)]
    pub wires: Vec<WireCount>,
    /// Where packets of a failed check were lost, hop by hop.
    #[serde(default)]
    pub hops: Vec<String>,
    /// Counters of candidate nodes that rose from set-up to end and tell of losses.
    #[serde(default)]
    pub counters: Vec<String>,
    /// Rules that counted packets and connection tracking entries of failed connections, per node.
    #[serde(default)]
    pub state: Vec<String>,
    /// SHA-256 of the state that each node under test was in after its set-up and replay, of a scenario that has
    /// several ways to it. The states are files of the trial's folder, `states/NODE.txt`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub states: BTreeMap<String, String>,
    /// Beside all this: the state of a machine that crashed, its memory, files.
    #[serde(default, skip_serializing_if = "Evidence::is_empty")]
    pub evidence: Evidence,
    /// When it began, in milliseconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_ms: Option<u64>,
    /// Folder of the trial, relative to the run's. It is read from files of others too, and does not
    /// lead out of the run's folder.
    #[serde(deserialize_with = "below")]
    pub directory: String,
    /// `kvm` or `tcg`.
    pub accelerator: String,
    /// The machine that made it, where it was not the run's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Most memory of the host that its machines took, in MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u64>,
    /// What deadlines were multiplied by; absent when nothing ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadlines: Option<Deadlines>,
    /// How the candidate came up; absent when it was not started, and in records of before 0.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<BootKind>,
    /// The boot that it rests on; absent when the candidate was not started, and in older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<BootId>,
    /// How the kernel was booted for that, now or when its state was saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booted: Option<Booted>,
    /// When something on our own side was not alive, and whether that took the verdict away.
    #[serde(default, skip_serializing_if = "Disturbed::is_empty")]
    pub disturbed: Disturbed,
    /// `uname -r` as the guest said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The trial of an earlier run that this one is, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused: Option<Reused>,
    /// Exact command to repeat it.
    pub repeat: String,
}

/// A trial of an earlier run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reused {
    /// Name of that run's folder.
    pub run: String,
    /// Its number there.
    pub number: u32,
}

impl TrialRecord {
    /// Whether its kernel came up in a quicker way than users boot it: from a saved state, by its PVH
    /// entry, or without its tests. What such a trial shows, a boot has to confirm. Records without a
    /// word on it are of before there were such ways.
    pub fn is_quick(&self) -> bool {
        match self.boot {
            Some(BootKind::Restored) => true,
            Some(BootKind::Cold) => self.booted.as_ref().is_some_and(|booted| !booted.as_shipped),
            None => false,
        }
    }

    /// The verdict in its typed form.
    pub fn verdict(&self) -> Verdict {
        let reason = || self.reason.clone().unwrap_or_default();
        match (self.verdict, &self.symptom, &self.untestable, &self.fault) {
            (VerdictKind::Good, ..) => Verdict::Good,
            (VerdictKind::Bad, Some(symptom), ..) => Verdict::Bad(symptom.clone()),
            (VerdictKind::Skip, _, Some(why), _) => Verdict::Skip(why.clone()),
            // A record of before there were typed reasons.
            (VerdictKind::Skip, ..) => Verdict::Skip(Untestable::NoPackages { said: reason() }),
            (VerdictKind::ScenarioError, _, _, Some(fault)) => Verdict::Scenario(fault.clone()),
            _ => Verdict::Infra(reason()),
        }
    }

    /// The record where what may be the scenario's fault is: the failure says nothing of the kernel.
    pub fn as_fault(&self) -> Self {
        let mut record = self.clone();
        if let Some(fault) = &self.fault {
            record.verdict = VerdictKind::ScenarioError;
            (record.reason, record.symptom) = (Some(fault.to_string()), None);
        }
        record
    }
}

/// Reads a path that is relative and does not climb.
fn below<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let path = String::deserialize(deserializer)?;
    let climbs = path.starts_with('/') || path.split('/').any(|part| part == "..");
    if climbs || path.contains('\0') {
        return Err(serde::de::Error::custom("the folder of a trial is not in that of the run"));
    }
    Ok(path)
}
