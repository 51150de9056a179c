//! A trial to be made, as a value: it can be written down, and made elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::boot::Coming;
use crate::inject::Fault;
use crate::kernel::Kernel;
use crate::scenario::Scenario;

/// What a kernel is tried with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "Packed", into = "Packed")]
pub struct Subject {
    /// Name or path that finds the scenario again, for commands that are printed.
    pub name: String,
    /// The scenario, with its files.
    pub scenario: Arc<Scenario>,
    /// Name of its folder below the run's `lab`, where a run has several scenarios.
    pub folder: Option<String>,
    /// Whether its trials are in that folder below the run's, too, and not beside all others.
    pub apart: bool,
}

/// A trial to be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its number within the run, from 1; 0 for the reference kernel in the candidate's place.
    pub number: u32,
    /// The kernel.
    pub kernel: Kernel,
    /// How it comes up.
    pub coming: Coming,
    /// What it is tried with.
    pub subject: Subject,
    /// What is broken on purpose.
    pub fault: Option<Fault>,
    /// What is waited for less than by its own deadline.
    pub limits: Limits,
    /// Whether somebody wants to look into a node before it is over.
    pub shell: Option<ShellRequest>,
    /// Whether somebody decides of each thing that is done in it.
    #[serde(default)]
    pub by_hand: bool,
}

/// What is done less of than in other trials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Longest that a check is waited for in seconds, where that is less than its own deadline.
    pub check_s: Option<f64>,
    /// Longest that a service is waited for until it is ready.
    pub ready_s: Option<f64>,
    /// Whether nothing but the verdict is wanted: programs that tell of a node's state are not asked.
    #[serde(default)]
    pub brief: bool,
}

/// When a trial is held for a shell before it is taken down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShellRequest {
    /// Node to open the shell in; the first candidate node when not given.
    pub node: Option<String>,
    /// Also when the verdict is good.
    pub always: bool,
}

/// A subject as it is written down. Serde's shape of a scenario has no files.
#[derive(Serialize, Deserialize)]
struct Packed {
    name: String,
    scenario: Scenario,
    files: BTreeMap<String, Vec<u8>>,
    folder: Option<String>,
    apart: bool,
}

impl From<Packed> for Subject {
    fn from(packed: Packed) -> Self {
        let Packed { name, mut scenario, files, folder, apart } = packed;
        scenario.assets = files;
        Self { name, scenario: Arc::new(scenario), folder, apart }
    }
}

impl From<Subject> for Packed {
    fn from(subject: Subject) -> Self {
        let Subject { name, scenario, folder, apart } = subject;
        let files = scenario.assets.clone();
        Self { name, scenario: Arc::unwrap_or_clone(scenario), files, folder, apart }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_was_written_down_is_the_same_job() {
        let text = include_str!("../../../scenarios/connlimit/scenario.toml");
        let mut scenario = Scenario::parse("connlimit", "x", text).unwrap().scenario().clone();
        scenario.assets.insert("rules.v4".to_owned(), vec![0, 255, b'x']);
        let kernel = serde_json::json!({
            "version": "6.12.57", "package_version": "6.12.57-1", "flavour": "amd64",
            "source": "local", "id": "00",
        });
        let job = Job {
            number: 3,
            kernel: serde_json::from_value(kernel).unwrap(),
            coming: Coming::AsShipped,
            subject: Subject {
                name: "./mine".to_owned(),
                scenario: Arc::new(scenario),
                folder: Some("mine".to_owned()),
                apart: true,
            },
            fault: Some(Fault::WiresCut),
            limits: Limits { check_s: Some(2.5), ready_s: None, brief: true },
            shell: Some(ShellRequest { node: None, always: true }),
            by_hand: true,
        };
        let written = serde_json::to_string(&job).unwrap();
        assert_eq!(serde_json::from_str::<Job>(&written).unwrap(), job);
    }
}
