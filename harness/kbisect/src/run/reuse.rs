//! `--reuse`: trials of earlier runs with the same inputs stand for new ones. Never without being asked for.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use kbisect_core::boot::Coming;
use kbisect_core::job::{Job, Limits};
use kbisect_core::kernel::Kernel;
use kbisect_core::options::MachineChoices;
use kbisect_core::run::{Environment, RunEvent, Tried};
use kbisect_core::scenario::Scenario;
use kbisect_core::trial::{BootKind, Reused, TrialRecord, VerdictKind};
use kbisect_report::{read_journal_of, words};

use super::files::{folders, write_json};
use crate::settings::scenario::load_kept;

/// Trials of earlier runs, each of which stands for one new trial at most.
pub struct Earlier {
    /// The newest run first.
    trials: Vec<Known>,
    taken: Mutex<BTreeSet<usize>>,
}

/// A trial of an earlier run.
struct Known {
    /// Folder of its run.
    run: PathBuf,
    /// The scenario that it was made with.
    scenario: std::sync::Arc<Scenario>,
    record: TrialRecord,
}

/// What has to be the same, beside the kernel and the scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
    /// Where and with what it runs.
    pub environment: Environment,
    /// kbisect's version.
    pub tool_version: String,
    /// Identity of the kernel of the reference nodes.
    pub reference: String,
    /// How machines run.
    pub machine: MachineChoices,
}

impl Inputs {
    /// Inputs as they are compared.
    #[must_use]
    pub fn new(
        environment: &Environment,
        version: &str,
        reference: &Kernel,
        machine: MachineChoices,
    ) -> Self {
        // Why it is no KVM changes nothing.
        let environment = Environment { accelerator_reason: None, ..environment.clone() };
        Self {
            environment,
            tool_version: version.to_owned(),
            reference: reference.id.0.clone(),
            machine,
        }
    }
}

impl Earlier {
    /// Finds the trials below a results folder that were made with these inputs; those that failed not where the
    /// memory of guests is wanted. What cannot be read is none.
    #[must_use]
    pub fn find(results: &Path, inputs: &Inputs, with_memory: bool) -> Self {
        let mut runs: Vec<PathBuf> = fs::read_dir(results)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        // Their names begin with the time.
        runs.sort_by(|one, other| other.file_name().cmp(&one.file_name()));
        let found = runs.iter().flat_map(|run| trials_of(run, inputs));
        let serves = |known: &Known| !with_memory || known.record.verdict == VerdictKind::Good;
        let trials = found.filter(serves).collect();
        Self { trials, taken: Mutex::default() }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.trials.len()
    }

    /// A trial that stands for a job, if there is one: its files are copied to `folder`, which is `relative` to
    /// the run's, and its record is that of the job.
    ///
    /// # Errors
    /// Files that cannot be copied or written.
    pub fn take(
        &self,
        job: &Job,
        folder: &Path,
        relative: &str,
    ) -> io::Result<Option<TrialRecord>> {
        if job.fault.is_some()
            || job.limits != Limits::default()
            || job.shell.is_some()
            || job.by_hand
        {
            return Ok(None);
        }
        let fits = |known: &Known| {
            known.record.kernel.id == job.kernel.id
                && comes_up(job.coming, &known.record)
                && *known.scenario == *job.subject.scenario
        };
        let found = {
            let mut taken = self.taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let found =
                (0..self.trials.len()).find(|at| !taken.contains(at) && fits(&self.trials[*at]));
            taken.extend(found);
            found
        };
        let Some(known) = found.map(|at| &self.trials[at]) else { return Ok(None) };
        copy(&known.run.join(&known.record.directory), folder)?;
        let run = known.run.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut record = known.record.clone();
        let reused = Reused { run, number: record.number };
        record.notes.push(words::reused(&reused));
        record.reused = Some(reused);
        record.number = job.number;
        record.directory = relative.to_owned();
        write_json(&folder.join("trial.json"), &record).map_err(io::Error::other)?;
        Ok(Some(record))
    }
}

/// Whether a kernel came up as a trial asks for.
fn comes_up(coming: Coming, record: &TrialRecord) -> bool {
    match coming {
        Coming::Any => true,
        Coming::Cold | Coming::Renew => record.boot == Some(BootKind::Cold),
        Coming::AsShipped => record.boot == Some(BootKind::Cold) && !record.is_quick(),
    }
}

fn trials_of(run: &Path, inputs: &Inputs) -> Vec<Known> {
    let Ok(journal) = read_journal_of(run) else { return Vec::new() };
    let mut now: Option<Inputs> = None;
    // Scenarios by the names that trials are tried with; those of a bisection have one.
    let mut scenarios: Vec<(Option<String>, PathBuf)> = Vec::new();
    let mut found: Vec<(Option<String>, TrialRecord)> = Vec::new();
    for line in journal.lines {
        match line.event {
            RunEvent::Began { plan } => {
                let (environment, machine) = (&plan.environment, plan.options.machine);
                now = Some(Inputs::new(environment, &plan.tool_version, &plan.reference, machine));
                scenarios = vec![(None, run.join("scenario"))];
            }
            RunEvent::RunBegan { plan, options, environment } if !plan.by_hand => {
                now = Some(Inputs::new(
                    &environment,
                    &plan.tool_version,
                    &plan.reference,
                    options.machine,
                ));
                scenarios = vec![(Some(plan.scenario.name.clone()), run.join("scenario"))];
            }
            RunEvent::CheckBegan { plan, options, environment } => {
                now = Some(Inputs::new(
                    &environment,
                    &plan.tool_version,
                    &plan.reference,
                    options.machine,
                ));
                let names: Vec<String> = plan.scenarios.iter().map(|it| it.name.clone()).collect();
                let below = |folder: &str| run.join("scenarios").join(folder).join("scenario");
                scenarios = folders(&names)
                    .into_iter()
                    .map(|(name, folder)| (Some(name), below(&folder)))
                    .collect();
            }
            RunEvent::EnvironmentChanged { environment } => {
                if let Some(now) = &mut now {
                    now.environment = Environment { accelerator_reason: None, ..*environment };
                }
            }
            RunEvent::TrialEnded { tried, record, .. } if now.as_ref() == Some(inputs) => {
                let name = match tried {
                    Tried::Version { .. } => None,
                    Tried::Scenario { scenario, injected: None, without } if without.is_empty() => {
                        Some(scenario)
                    }
                    Tried::Scenario { .. } | Tried::Revert { .. } | Tried::Beside { .. } => {
                        continue;
                    }
                };
                if is_answer(&record) {
                    found.push((name, *record));
                }
            }
            _ => {}
        }
    }
    let mut known = Vec::new();
    for (name, folder) in scenarios {
        let of_scenario: Vec<TrialRecord> =
            found.iter().filter(|(of, _)| *of == name).map(|(_, record)| record.clone()).collect();
        if of_scenario.is_empty() {
            continue;
        }
        let Ok(loaded) = load_kept(&folder) else { continue };
        let scenario = std::sync::Arc::new(loaded.scenario);
        let run = run.to_owned();
        known.extend(of_scenario.into_iter().map(|record| Known {
            run: run.clone(),
            scenario: std::sync::Arc::clone(&scenario),
            record,
        }));
    }
    known
}

/// Whether a trial of its own has an answer that nothing speaks against.
fn is_answer(record: &TrialRecord) -> bool {
    let answers = matches!(record.verdict, VerdictKind::Good | VerdictKind::Bad);
    let is_of_here = record.reused.is_none() && record.place.is_none();
    answers && is_of_here && record.injected.is_empty() && record.disturbed.is_empty()
}

/// Copies a folder. What is neither a file nor a folder stays where it is.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
