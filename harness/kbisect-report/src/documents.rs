//! The JSON documents that are not the result of a run: what `detect`, `doctor`, `kernels list` and
//! `scenario list` print with `--json`, and what any command prints when it fails.

use std::collections::BTreeMap;

use kbisect_core::changes::WhatChanged;
use kbisect_core::console::{Report, ReportKind};
use kbisect_core::evidence::Decoded;
use kbisect_core::kernel::Kernel;
use kbisect_core::scenario::{Node, NodeKernel, Scenario};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a command failed: the document `kbisect.error/1`, printed in place of a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorDocument {
    /// `kbisect.error/1`.
    pub schema: String,
    /// Why, with its causes in one line.
    pub error: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl ErrorDocument {
    /// Makes the document.
    pub fn new(error: impl Into<String>, hint: Option<String>) -> Self {
        Self { schema: "kbisect.error/1".to_owned(), error: error.into(), hint }
    }
}

/// The configuration that commits are built with for a scenario: the document `kbisect.config/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigDocument {
    /// `kbisect.config/1`.
    pub schema: String,
    /// Scenario, as it was named.
    pub scenario: String,
    /// The commit.
    pub commit: String,
    /// Options by name, without `CONFIG_`: `y`, `n`, a number, or a text in quotes.
    pub options: BTreeMap<String, String>,
    /// Modules and options that the scenario requires and the tree does not have.
    pub unknown: Vec<String>,
}

impl ConfigDocument {
    /// Makes the document.
    pub fn new(
        scenario: &str,
        commit: &str,
        options: BTreeMap<String, String>,
        unknown: Vec<String>,
    ) -> Self {
        let (scenario, commit) = (scenario.to_owned(), commit.to_owned());
        Self { schema: "kbisect.config/1".to_owned(), scenario, commit, options, unknown }
    }
}

/// Failures found in console logs: the document `kbisect.detect/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DetectDocument {
    /// `kbisect.detect/1`.
    pub schema: String,
    /// The failures, in the order of the logs.
    pub reports: Vec<DetectedReport>,
    /// The logs, when several were read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<ScannedFile>,
}

/// One of several console logs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScannedFile {
    /// Its name as it was given.
    pub file: String,
    /// How many reports are from it.
    pub reports: usize,
}

impl DetectDocument {
    /// Makes the document of one log from what the classifier found.
    pub fn new(reports: &[Report]) -> Self {
        Self {
            schema: "kbisect.detect/1".to_owned(),
            reports: reports.iter().map(DetectedReport::from).collect(),
            files: Vec::new(),
        }
    }

    /// Makes the document of logs, by name. With more than one, each report names its log.
    pub fn of_files(logs: &[(String, Vec<Report>)]) -> Self {
        if let [(_, reports)] = logs {
            return Self::new(reports);
        }
        let of_file = |(file, reports): &(String, Vec<Report>)| {
            let named = |report| DetectedReport { file: Some(file.clone()), ..report };
            reports.iter().map(DetectedReport::from).map(named).collect::<Vec<_>>()
        };
        let scanned = |(file, reports): &(String, Vec<Report>)| ScannedFile {
            file: file.clone(),
            reports: reports.len(),
        };
        Self {
            reports: logs.iter().flat_map(of_file).collect(),
            files: logs.iter().map(scanned).collect(),
            ..Self::new(&[])
        }
    }
}

/// One failure found in a console log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DetectedReport {
    /// The log, when several were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Class.
    pub kind: ReportKind,
    /// Stable title: nothing in it changes with the build.
    pub title: String,
    /// The function to blame, without suffixes and offsets.
    pub function: Option<String>,
    /// The module that holds the function.
    pub module: Option<String>,
    /// The trace is missing, cut off or mixed with another one.
    pub corrupted: bool,
    /// 1-based line of the log at which the report starts.
    pub line: usize,
    /// The report as printed, cleaned of control sequences, bounded.
    pub text: String,
    /// The kernel did not go on.
    pub fatal: bool,
    /// Not about the kernel: user space gave up, or a test made the kernel report.
    pub suppressed: bool,
    /// Other titles for the same failure.
    pub alt_titles: Vec<String>,
    /// Functions of the trace, innermost first.
    pub frames: Vec<String>,
}

impl From<&Report> for DetectedReport {
    fn from(report: &Report) -> Self {
        Self {
            file: None,
            kind: report.kind,
            title: report.title.clone(),
            function: report.function.clone(),
            module: report.module.clone(),
            corrupted: report.corrupted,
            line: report.line,
            text: report.text.clone(),
            fatal: report.fatal,
            suppressed: report.suppressed,
            alt_titles: report.alt_titles.clone(),
            frames: report.frames.clone(),
        }
    }
}

/// Whether this host can run trials: the document `kbisect.doctor/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DoctorDocument {
    /// `kbisect.doctor/1`.
    pub schema: String,
    /// What was looked at, in the order of the terminal's list.
    pub checks: Vec<DoctorCheck>,
    /// How guests will run.
    pub accelerator: DoctorAccelerator,
    /// Seconds that a trial is expected to take; nothing when it could not be measured.
    pub expected_trial_s: Option<f64>,
    /// Whether a trial can run: no check failed.
    pub ready: bool,
}

impl DoctorDocument {
    /// Makes the document; it is ready when no check failed.
    pub fn new(
        checks: Vec<DoctorCheck>,
        accelerator: DoctorAccelerator,
        expected_trial_s: Option<f64>,
    ) -> Self {
        let ready = checks.iter().all(|check| check.status != DoctorStatus::Fail);
        let schema = "kbisect.doctor/1".to_owned();
        Self { schema, checks, accelerator, expected_trial_s, ready }
    }
}

/// One thing that the doctor looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DoctorCheck {
    /// Short stable name: `qemu`, `kvm`, `memory`.
    pub name: String,
    /// Whether it will do.
    pub status: DoctorStatus,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Whether something will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DoctorStatus {
    /// As needed.
    Ok,
    /// Trials run, but slower or with less.
    Warn,
    /// No trial can run.
    Fail,
}

/// How guests run, as the doctor found it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DoctorAccelerator {
    /// `kvm` or `tcg`.
    pub accelerator: String,
    /// Why not KVM.
    pub reason: Option<String>,
}

/// The kernels that are known: the document `kbisect.kernels/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct KernelsDocument {
    /// `kbisect.kernels/1`.
    pub schema: String,
    /// The kernels, oldest first.
    pub kernels: Vec<ListedKernel>,
}

impl KernelsDocument {
    /// Makes the document.
    pub fn new(kernels: Vec<ListedKernel>) -> Self {
        Self { schema: "kbisect.kernels/1".to_owned(), kernels }
    }
}

/// One kernel that is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListedKernel {
    /// Identity.
    pub kernel: Kernel,
    /// Whether it can be booted.
    pub state: ListedState,
    /// Why it cannot be tested.
    pub reason: Option<String>,
    /// Bytes to download before it can be booted; 0 when stored, an estimate where the source tells none.
    pub bytes: u64,
    /// Suites that hold it; empty for a kernel that was added by hand.
    pub suites: Vec<String>,
    /// Name given by the user.
    pub name: Option<String>,
}

/// Whether a listed kernel can be booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ListedState {
    /// In the local store, ready.
    Stored,
    /// In an archive.
    Downloadable,
    /// Known, but it cannot be tested.
    Untestable,
}

/// Files with the debug information of a kernel: the document `kbisect.debug/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DebugDocument {
    /// `kbisect.debug/1`.
    pub schema: String,
    /// Identity.
    pub kernel: Kernel,
    /// Package and version.
    pub package: String,
    /// The kernel with symbols and line numbers.
    pub vmlinux: String,
    /// Modules that were asked for and found, by name.
    pub modules: BTreeMap<String, String>,
}

/// Traces with source lines: the document `kbisect.decode/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DecodeDocument {
    /// `kbisect.decode/1`.
    pub schema: String,
    /// The traces, in the order of the log.
    pub traces: Vec<DecodedTrace>,
}

/// The trace of one report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DecodedTrace {
    /// Title of the report.
    pub title: String,
    /// 1-based line of the log at which the report starts.
    pub line: usize,
    /// The trace, or why there are no source lines.
    #[serde(flatten)]
    pub decoded: Decoded,
}

/// What changed between two kernels: the document `kbisect.changes/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChangesDocument {
    /// `kbisect.changes/1`.
    pub schema: String,
    /// The changes, the most suspect first, or why they are not known.
    #[serde(flatten)]
    pub changes: WhatChanged,
}

/// The scenarios that are known: the document `kbisect.scenarios/1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScenariosDocument {
    /// `kbisect.scenarios/1`.
    pub schema: String,
    /// The scenarios, by name.
    pub scenarios: Vec<ListedScenario>,
}

impl ScenariosDocument {
    /// Makes the document.
    pub fn new(scenarios: Vec<ListedScenario>) -> Self {
        Self { schema: "kbisect.scenarios/1".to_owned(), scenarios }
    }
}

/// One scenario that is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListedScenario {
    /// Name.
    pub name: String,
    /// One line.
    pub summary: String,
    /// Its folder; nothing for one that is part of the program.
    pub path: Option<String>,
    /// Names of its nodes.
    pub nodes: Vec<String>,
    /// Names of its checks, in order.
    pub checks: Vec<String>,
    /// What is built of each node; `scenario show` alone says it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub built: Vec<BuiltNode>,
}

/// What is built of one node before its steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BuiltNode {
    /// Name.
    pub node: String,
    /// `candidate` or `reference`.
    pub kernel: String,
    /// What it stands for; empty where the scenario does not say.
    pub role: String,
    /// Interfaces on links.
    pub interfaces: Vec<BuiltInterface>,
    /// Arguments of `ip link add`, in order.
    pub devices: Vec<String>,
    /// Addresses of devices by their names, with prefix lengths.
    pub addresses: BTreeMap<String, Vec<String>>,
    /// Arguments of `ip route add`, in order.
    pub routes: Vec<String>,
    /// sysctls with their values.
    pub sysctls: BTreeMap<String, String>,
}

/// An interface on a link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BuiltInterface {
    /// Link.
    pub link: String,
    /// Name in the node.
    pub name: String,
    /// Addresses with prefix lengths.
    pub addresses: Vec<String>,
    /// VRF or bridge that it is put under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<String>,
    /// In bytes; the kernel's own without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
}

impl BuiltNode {
    /// The nodes of a scenario, in the order of their names.
    #[must_use]
    pub fn all(scenario: &Scenario) -> Vec<Self> {
        let of = |(name, node): (&String, &Node)| {
            let interfaces = scenario.links.iter().filter_map(|(link, ends)| {
                let interface = ends.get(name)?;
                Some(BuiltInterface {
                    link: link.clone(),
                    name: interface.name.clone(),
                    addresses: interface.addresses.clone(),
                    master: interface.master.clone(),
                    mtu: interface.mtu,
                })
            });
            let kernel = match node.kernel {
                NodeKernel::Candidate => "candidate",
                NodeKernel::Reference => "reference",
            };
            let sysctls = node.sysctl.iter().map(|(key, value)| (key.clone(), value.to_string()));
            Self {
                node: name.clone(),
                kernel: kernel.to_owned(),
                role: node.role.clone(),
                interfaces: interfaces.collect(),
                devices: node.devices.clone(),
                addresses: node.addresses.clone(),
                routes: node.routes.clone(),
                sysctls: sysctls.collect(),
            }
        };
        scenario.nodes.iter().map(of).collect()
    }
}
