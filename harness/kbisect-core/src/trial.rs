//! What a trial found: verdict, symptom, checks, record.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::boot::{Booted, Deadlines};
use crate::disturbed::Disturbed;
use crate::evidence::Evidence;
use crate::fault::ScenarioFault;
use crate::kernel::Kernel;
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

/// How a kernel failed, in classes that can be compared. The contract's closed list.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum SymptomKind {
    /// The kernel stopped itself.
    Panic,
    /// A fault in the kernel that it tried to survive.
    Oops,
    /// `WARNING` and other reports that are not fatal.
    Warning,
    /// Lock-up, stall, or silence.
    Hang,
    /// The machine restarted or switched itself off without a word.
    Reboot,
    /// Replies (or requests to a server under test) arrived and were lost inside a node.
    LostIngress,
    /// Packets that should have left a node did not.
    LostEgress,
    /// A check failed in another way.
    CheckFailed,
    /// The packet filter refused the rules.
    RulesRefused,
    /// A service ended or did not become ready.
    ServiceDown,
    /// User space was not reached.
    BootFailed,
}

impl SymptomKind {
    /// Whether a scenario that is wrong fails in this way.
    #[must_use]
    pub fn can_be_the_scenarios(self) -> bool {
        matches!(self, Self::CheckFailed | Self::RulesRefused | Self::ServiceDown)
    }
}

impl fmt::Display for SymptomKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Panic => "panic",
            Self::Oops => "oops",
            Self::Warning => "warning",
            Self::Hang => "hang",
            Self::Reboot => "reboot",
            Self::LostIngress => "lost-ingress",
            Self::LostEgress => "lost-egress",
            Self::CheckFailed => "check-failed",
            Self::RulesRefused => "rules-refused",
            Self::ServiceDown => "service-down",
            Self::BootFailed => "boot-failed",
        })
    }
}

/// How a kernel failed, comparable between kernels: kind + title + where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Symptom {
    /// Class.
    pub kind: SymptomKind,
    /// One line without numbers that change from run to run.
    pub title: String,
    /// What was seen this time, with the numbers.
    pub detail: String,
    /// Node, wire or check that it was seen at.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Other titles of the same report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alt_titles: Vec<String>,
    /// Functions on the stack, innermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frames: Vec<String>,
    /// Features that the kernel lacks, when that is the failure: nothing was booted then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
    /// Where packets were lost, when that is the failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<Box<LossPlace>>,
}

/// Where packets were lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LossPlace {
    /// The node that had them and did not use them, or did not hand them on.
    pub node: String,
    /// Which way they went.
    pub packets: Packets,
    /// Node that opened the connection.
    pub client: String,
    /// Node and port that it was for, or the address when no node has it.
    pub server: String,
}

/// Which way packets of a connection go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Packets {
    /// To the server.
    Requests,
    /// Back.
    Replies,
}

/// Why two symptoms count as the same, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Match {
    /// Same class and same title.
    Title,
    /// Their sets of titles intersect.
    AltTitle,
    /// Both are crashes, with functions of the stack in common.
    Stack,
    /// Different failures.
    Different,
}

/// How a symptom compares with the one that is looked for, and what that rests on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Matching {
    /// The verdict.
    pub how: Match,
    /// `kind: title` of the symptom that is looked for.
    pub target: String,
    /// The title that both have, when it is an alternative one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Functions that both stacks have, when those decide; innermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub functions: Vec<String>,
}

impl fmt::Display for Matching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.how {
            Match::Title => f.write_str("same kind and title"),
            Match::AltTitle => {
                write!(f, "same alternative title `{}`", self.title.as_deref().unwrap_or_default())
            }
            Match::Stack => write!(f, "shared stack functions {}", self.functions.join(", ")),
            Match::Different => write!(f, "different from `{}`", self.target),
        }
    }
}

/// Most shared functions that are named.
const MAX_SHARED: usize = 8;

impl Symptom {
    /// Compares two symptoms; see [`Symptom::matching`].
    #[must_use]
    pub fn compare(&self, other: &Self) -> Match {
        self.matching(other).how
    }

    /// Compares a symptom with this one, which is looked for, and says what the answer rests on.
    ///
    /// A crash of the same bug has other words on other kernels (`BUG: stack guard page was hit`
    /// became `Oops: stack guard page`), and a stack that ran over stops in another function each
    /// time. So for crashes two common functions beside the general entry code are enough.
    #[must_use]
    pub fn matching(&self, other: &Self) -> Matching {
        let found =
            |how, title, functions| Matching { how, target: self.to_string(), title, functions };
        let crash = |symptom: &Self| matches!(symptom.kind, SymptomKind::Panic | SymptomKind::Oops);
        let both_crash = crash(self) && crash(other);
        if self.kind != other.kind && !both_crash {
            return found(Match::Different, None, Vec::new());
        }
        if self.title == other.title {
            return found(Match::Title, None, Vec::new());
        }
        let titles = |symptom: &Self| {
            std::iter::once(symptom.title.clone())
                .chain(symptom.alt_titles.clone())
                .collect::<Vec<_>>()
        };
        if let Some(title) = titles(self).into_iter().find(|title| titles(other).contains(title)) {
            return found(Match::AltTitle, Some(title), Vec::new());
        }
        let mut common: Vec<String> = Vec::new();
        for frame in other.frames.iter().filter(|frame| !is_general(frame)) {
            if self.frames.contains(frame) && !common.contains(frame) {
                common.push(frame.clone());
            }
        }
        if both_crash && common.len() >= 2 {
            common.truncate(MAX_SHARED);
            return found(Match::Stack, None, common);
        }
        found(Match::Different, None, Vec::new())
    }
}

/// Functions that are on nearly every stack and therefore say nothing.
fn is_general(frame: &str) -> bool {
    const PREFIXES: [&str; 12] = [
        "entry_",
        "do_syscall",
        "__x64_sys",
        "__se_sys",
        "__do_sys",
        "x64_sys",
        "asm_",
        "ret_from",
        "kthread",
        "do_softirq",
        "__do_softirq",
        "handle_softirqs",
    ];
    const NAMES: [&str; 14] = [
        "__sys_connect",
        "__sys_connect_file",
        "__local_bh_enable_ip",
        "net_rx_action",
        "process_backlog",
        "__netif_receive_skb",
        "nf_hook_slow",
        "worker_thread",
        "process_one_work",
        "common_interrupt",
        "exc_page_fault",
        "do_exit",
        "dump_stack",
        "panic",
    ];
    PREFIXES.iter().any(|prefix| frame.starts_with(prefix)) || NAMES.contains(&frame)
}

impl fmt::Display for Symptom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.title)
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
    /// Not made: the trial ended before.
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
    /// Exact command to repeat it.
    pub repeat: String,
}

impl TrialRecord {
    /// Whether its kernel came up in a quicker way than users boot it: from a saved state, by its PVH
    /// entry, or without its tests. What such a trial shows, a boot has to confirm. Records without a
    /// word on it are of before there were such ways.
    #[must_use]
    pub fn is_quick(&self) -> bool {
        match self.boot {
            Some(BootKind::Restored) => true,
            Some(BootKind::Cold) => self.booted.as_ref().is_some_and(|booted| !booted.as_shipped),
            None => false,
        }
    }

    /// The verdict in its typed form.
    #[must_use]
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
    #[must_use]
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

#[cfg(test)]
mod tests {
    use super::*;

    fn crash(kind: SymptomKind, title: &str, frames: &[&str]) -> Symptom {
        Symptom {
            kind,
            title: title.to_owned(),
            detail: String::new(),
            place: None,
            alt_titles: Vec::new(),
            frames: frames.iter().map(|frame| (*frame).to_owned()).collect(),
            lacks: Vec::new(),
            loss: None,
        }
    }

    #[test]
    fn one_bug_matches_itself_across_kernels_with_other_words() {
        let old = crash(
            SymptomKind::Panic,
            "BUG: stack guard page was hit in nft_do_chain",
            &["nft_do_chain", "nft_synproxy_do_eval", "synproxy_send_tcp"],
        );
        let new = crash(
            SymptomKind::Oops,
            "Oops: stack guard page in ip_output",
            &["ip_output", "synproxy_send_tcp", "nft_synproxy_do_eval"],
        );
        let matching = old.matching(&new);
        assert_eq!(matching.how, Match::Stack);
        assert_eq!(matching.functions, ["synproxy_send_tcp", "nft_synproxy_do_eval"]);
        assert!(matching.to_string().contains("nft_synproxy_do_eval"), "{matching}");
        assert_eq!(old.compare(&old), Match::Title);
    }

    #[test]
    fn an_unrelated_crash_is_another_symptom() {
        let target = crash(SymptomKind::Panic, "panic in a", &["a", "b", "do_syscall_64", "panic"]);
        let other = crash(SymptomKind::Panic, "panic in c", &["c", "d", "do_syscall_64", "panic"]);
        assert_eq!(target.compare(&other), Match::Different);
    }

    #[test]
    fn a_crash_never_matches_lost_packets() {
        let crash = crash(SymptomKind::Panic, "x", &["a", "b"]);
        let lost = Symptom { kind: SymptomKind::LostIngress, ..crash.clone() };
        assert_eq!(crash.compare(&lost), Match::Different);
    }
}
