//! What will be done: the kernels, the place, the choices.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Beyond, SymptomName};
use crate::bayes::{self, History, HistoryError};
use crate::kernel::Kernel;
use crate::options::MachineChoices;
use crate::search::Direction;
use crate::verdict::Untestable;

/// What will be done. Serialisable, so that `--dry-run` prints it and a resumed run has no choice
/// left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// `kbisect.plan/2`.
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
    /// What a failure of the scenario means to people, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scenario_says: String,
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
    /// What is known beyond the newer end, where that is to be tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond: Option<Beyond>,
    /// The kernel of the reference nodes.
    pub reference: Kernel,
    /// Where and with what it runs.
    pub environment: Environment,
    /// Choices that change what is tried.
    pub options: PlanOptions,
    /// What the user must know before believing the answer.
    pub warnings: Vec<String>,
}

impl Plan {
    /// How the candidates descend from each other: a list, unless they are commits with merges among them.
    ///
    /// # Errors
    /// [`HistoryError`] of a plan that this program did not make.
    pub fn history(&self) -> Result<History, HistoryError> {
        let parents =
            |planned: &PlannedKernel| planned.commit.as_ref().map(|commit| commit.parents.clone());
        let all: Option<Vec<Vec<usize>>> = self.series.iter().map(parents).collect();
        let is_line = |parents: &[Vec<usize>]| {
            parents.iter().enumerate().skip(1).all(|(index, of)| *of == [index - 1])
        };
        match all.filter(|parents| !is_line(parents)) {
            Some(parents) => History::graph(parents),
            None => History::list(self.series.len()),
        }
    }
}

/// A candidate of the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedKernel {
    /// Identity.
    pub kernel: Kernel,
    /// Why it cannot be tested, when that is known beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untestable: Option<Untestable>,
    /// Bytes to download; an estimate where the source tells none.
    #[serde(default)]
    pub download_bytes: u64,
    /// The commit, where the series is one of commits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<PlannedCommit>,
}

/// A commit of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedCommit {
    /// Its id.
    pub id: String,
    /// Its tag, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Positions of its parents in the series; none for the older end.
    pub parents: Vec<usize>,
    /// First line of its message.
    pub subject: String,
}

impl PlannedCommit {
    /// What people call it: its tag, else the beginning of its id.
    pub fn label(&self) -> &str {
        self.tag.as_deref().unwrap_or_else(|| self.id.get(..12).unwrap_or(&self.id))
    }
}

/// What was chosen of commits, for a run over them and for one that goes on to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CommitChoices {
    /// Whether merges are followed to their first parents only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub first_parent: bool,
    /// Only commits that change something below these; all without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Whose compiler: `debian:bullseye`; the host's without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toolchain: Option<String>,
    /// The answer is not tested by a revert.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_revert: bool,
    /// Where the kernels are that somebody else built: a URL or a path with `{commit}` in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// All commits are taken for equally likely, whatever they change.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_prior: bool,
}

/// Where the commits of a plan come from, and how they are built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CommitsPlan {
    /// Folder of the git tree.
    pub repository: String,
    /// What was chosen.
    #[serde(flatten)]
    pub choices: CommitChoices,
    /// How the configuration comes about; its text is in the run's folder.
    pub configuration: ConfigurationKind,
    /// Commits whose changes are taken back in all that come after them: culprits that were found before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
}

/// The git tree in which the commit is looked for, once a release is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DrillPlan {
    /// Its folder.
    pub repository: String,
    /// What was chosen.
    #[serde(flatten)]
    pub choices: CommitChoices,
    /// File of the configuration; one that is derived without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
}

/// How a configuration comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigurationKind {
    /// What kbisect's machines and the scenario need, and nothing else.
    Derived,
    /// A whole one that the user gave, brought up to date for each commit.
    Given,
    /// Whoever built the kernels knows.
    Elsewhere,
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// The symptom that the user named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub symptom: Option<SymptomName>,
    /// Trials that run side by side.
    #[serde(skip_serializing_if = "is_one")]
    pub workers: NonZeroU32,
    /// One trial a version is enough: what a saved state showed is not shown with a boot again.
    #[serde(default)]
    pub quick: bool,
    /// Kernels boot in every trial; none goes on from a saved state.
    #[serde(default)]
    pub cold: bool,
    /// What else was chosen of how machines run.
    #[serde(default)]
    pub machine: MachineChoices,
    /// What is kept of failures.
    #[serde(flatten)]
    pub evidence: EvidenceChoices,
    /// What changed between the two sides is not looked up.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_changes: bool,
    /// Where the newest kernel passes, another run looks for the one that fixed it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fix: bool,
    /// Git repository whose log is ranked in place of the distribution's changelog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<String>,
    /// The series is one of commits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commits: Option<CommitsPlan>,
    /// Where another run looks for the commit, once a release is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drill: Option<DrillPlan>,
}

/// What is kept of failures, beside what always is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceChoices {
    /// The memory of a guest that crashed or hung.
    #[serde(default)]
    pub vmcore: bool,
    /// Source lines, by the kernel's debug package.
    #[serde(default)]
    pub debug_info: bool,
    /// Source lines, by this kernel with debug information.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vmlinux: Option<String>,
    /// Folder of modules with debug information.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debug_modules: Option<String>,
}

impl EvidenceChoices {
    /// Files and folders of the machine that the evidence is made with.
    pub fn named_paths(&self) -> impl Iterator<Item = &str> {
        [&self.vmlinux, &self.debug_modules].into_iter().flatten().map(String::as_str)
    }
}

impl PlanOptions {
    /// Files and folders of the machine that the run's evidence is made with.
    pub fn named_paths(&self) -> impl Iterator<Item = &str> {
        let commits = self.commits.as_ref().map(|commits| commits.repository.as_str());
        let drill = self.drill.as_ref();
        let config = drill.and_then(|drill| drill.config.as_deref());
        let drill = drill.map(|drill| drill.repository.as_str()).into_iter().chain(config);
        self.evidence.named_paths().chain(self.git.as_deref()).chain(commits).chain(drill)
    }
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            assume_old: false,
            assume_new: false,
            infra_retries: 0,
            doubt: None,
            budget_s: None,
            symptom: None,
            workers: NonZeroU32::MIN,
            quick: false,
            cold: false,
            machine: MachineChoices::default(),
            evidence: EvidenceChoices::default(),
            no_changes: false,
            fix: false,
            git: None,
            commits: None,
            drill: None,
        }
    }
}

fn is_one(workers: &NonZeroU32) -> bool {
    workers.get() == 1
}
