//! `kbisect scenario selftest`: the scenario, its flavours, and the wires cut.

use std::path::Path;
use std::process::ExitCode;

use kbisect_core::answer::{Taken, Trial};
use kbisect_core::boot::Coming;
use kbisect_core::gate::GateOptions;
use kbisect_core::inject::Declared;
use kbisect_core::job::{Limits, Subject};
use kbisect_core::run::{
    Aim, EvidenceChoices, JournalLine, KernelPlan, RunEvent, RunResult, Tried,
};
use kbisect_core::scenario::Scenario;
use kbisect_core::selftest::{Asked, Made, SelftestResult, usual};
use kbisect_core::trial::{TrialRecord, Verdict};
use kbisect_report::Style;

use super::dry_run;
use super::ending::{Answers, not_begun};
use super::executor::{Crew, Task, With, Work};
use super::files::{keep_scenario, kept_scenario, plain, write_json};
use super::journal::Journal;
use super::lone::{Lone, Resumed, Wanted, load_first, make};
use super::single::write_result;
use crate::cli::{Global, SelftestArgs};
use crate::settings::scenario::LoadedScenario;
use crate::{errors, exit};

/// How often a trial that failed for our own reasons is tried again.
const RETRIES: u32 = 1;
/// Shortest time, in seconds, that a check is given with a fault.
const SHORTEST_LIMIT_S: f64 = 1.5;
/// How many times as long as without a fault the checks may take with one.
const SLACK: f64 = 3.0;

/// Runs the trials of a self-test.
///
/// # Errors
/// Bad arguments, the host's failures, a wrong scenario, an interruption.
pub fn selftest(args: &SelftestArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let (loaded, base) =
        load_first(&args.scenario, global, |it| known_faults(&it.scenario, &args.fault))?;
    if args.setting.dry_run {
        let kernel = dry_run::kernel(&base, args.kernel.as_deref(), &args.setting)?;
        let scenario = &loaded.scenario;
        let trials = dry_run::of_selftest(&kernel, scenario, args);
        let command = "scenario selftest";
        return dry_run::show(command, &base, &args.setting, (trials, Vec::new()), global);
    }
    let wanted = Wanted {
        scenario: &args.scenario,
        kernel: args.kernel.as_deref(),
        setting: &args.setting,
        evidence: EvidenceChoices::default(),
        machine: &args.machine,
        workers: args.workers.wish(),
    };
    let mut lone = Lone::prepare(&wanted, loaded, base, "selftest-")?;
    lone.plan.no_faults = args.no_faults;
    lone.plan.only_faults.clone_from(&args.fault);
    lone.journal.append(RunEvent::SelftestBegan {
        plan: Box::new(lone.plan.clone()),
        options: Box::new(lone.options.clone()),
        environment: Box::new(lone.context.environment()),
    })?;
    lone.finish(&Proof, global, try_all)
}

/// Refuses a text that is in the name of no fault.
fn known_faults(scenario: &Scenario, texts: &[String]) -> anyhow::Result<()> {
    let faults: Vec<Declared> =
        usual(scenario).into_iter().chain(scenario.faults.clone()).collect();
    let unknown =
        |text: &&String| !faults.iter().any(|fault| fault.is_one_of(std::slice::from_ref(text)));
    let Some(text) = texts.iter().find(unknown) else { return Ok(()) };
    let names: Vec<String> = faults.iter().map(|fault| format!("`{}`", fault.name)).collect();
    Err(errors::usage(
        format!("no fault of the self-test has `{text}` in its name"),
        format!("there are {}", names.join(", ")),
    ))
}

/// Goes on with a self-test that was interrupted.
///
/// # Errors
/// As [`selftest`].
pub(super) fn resume_selftest(
    resumed: Resumed<'_>,
    begun: (KernelPlan, GateOptions),
) -> anyhow::Result<ExitCode> {
    resumed.finish(begun, &Proof, try_all)
}

fn try_all(lone: &mut Lone) -> anyhow::Result<()> {
    let workers = lone.workers();
    let Lone { context, candidate, loaded, plan, journal, folder, .. } = lone;
    let mut work = Variations { loaded, plan, candidate };
    make(context, folder, journal, (workers, RETRIES), &mut work)?;
    journal.append(RunEvent::Completed)
}

/// The trials of a self-test.
struct Variations<'a> {
    loaded: &'a LoadedScenario,
    plan: &'a KernelPlan,
    candidate: &'a kbisect_kernels::Candidate,
}

impl Variations<'_> {
    fn made<'a>(&'a self, journal: &'a Journal) -> Made<'a> {
        Made::of(&self.loaded.scenario, &self.plan.scenario.name, journal.events())
            .limited(self.plan)
    }

    fn is_answered(&self, journal: &Journal, task: &Task) -> bool {
        let (name, injected) = asked(task);
        self.made(journal).is_answered(name, &self.plan.scenario.name, injected)
    }

    /// What a trial is made with: each variation has a folder of its own, which is as that of a run.
    fn with(&self, asked: &Asked, journal: &Journal) -> With {
        let whole = &self.loaded.scenario;
        let flavoured = asked.flavour.as_ref().and_then(|name| whole.clone().flavoured(name));
        let scenario = flavoured.unwrap_or_else(|| whole.clone());
        let fault = asked.injected.clone();
        let suffix = fault.as_ref().map(|fault| format!("-{fault}")).unwrap_or_default();
        let folder = plain(&format!("{}{suffix}", scenario.name));
        let subject = Subject {
            name: asked.name(&self.plan.scenario.name),
            scenario: scenario.into(),
            folder: Some(folder),
            apart: true,
        };
        // A check that was through in no time need not be waited for to its own deadline.
        let longest = fault.as_ref().and_then(|_| self.made(journal).longest_check_s(asked));
        let check_s = longest.map(|seconds| SHORTEST_LIMIT_S.max(seconds * SLACK));
        let brief = fault.is_some();
        With { fault, limits: Limits { check_s, ready_s: None, brief }, ..With::only(subject) }
    }
}

fn asked(task: &Task) -> (&str, Option<&kbisect_core::inject::Fault>) {
    (&task.with.subject.name, task.with.fault.as_ref())
}

impl Work for Variations<'_> {
    fn hand_out(&mut self, crew: &mut Crew<'_>) -> anyhow::Result<()> {
        let open = self.made(crew.journal).open();
        let name = &self.plan.scenario.name;
        let mut left = open.len();
        for next in open {
            let given = next.name(name);
            if crew.tasks.iter().any(|task| asked(task) == (&*given, next.injected.as_ref())) {
                continue;
            }
            let Some(worker) = crew.idle() else { break };
            let with = self.with(&next, crew.journal);
            if let Some(folder) = &with.subject.folder {
                keep_scenario(&crew.folder.join(folder), &with.subject.scenario)?;
            }
            let aim = Aim::Cell {
                scenario: given,
                kernel: Box::new(self.plan.kernel.clone()),
                injected: next.injected,
                without: Vec::new(),
                estimated_left: left,
            };
            left -= 1;
            crew.start(worker, aim, self.candidate.clone(), Coming::Any, with);
        }
        Ok(())
    }

    fn ended(
        &mut self,
        crew: &mut Crew<'_>,
        _: usize,
        task: Task,
        record: Box<TrialRecord>,
    ) -> anyhow::Result<()> {
        let (scenario, injected) = asked(&task);
        let tried = Tried::Scenario {
            scenario: scenario.to_owned(),
            injected: injected.cloned(),
            without: Vec::new(),
        };
        let (mark, taken) = (None, Taken::default());
        let ended = RunEvent::TrialEnded { tried, record: record.clone(), mark, taken };
        crew.journal.append(ended)?;
        self.write(crew, &task, &record)?;
        match record.verdict() {
            Verdict::Infra(_) if !self.is_answered(crew.journal, &task) => {
                crew.try_again(task, &record)
            }
            Verdict::Scenario(fault) if task.with.fault.is_none() => {
                crew.fail(errors::scenario(fault));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn close(&mut self, _: &mut Crew<'_>) -> anyhow::Result<()> {
        Ok(())
    }
}

impl Variations<'_> {
    /// Writes the result of one trial into the folder of its variation.
    fn write(&self, crew: &Crew<'_>, task: &Task, record: &TrialRecord) -> anyhow::Result<()> {
        let Some(name) = &task.with.subject.folder else { return Ok(()) };
        let folder = crew.folder.join(name);
        let mut record = record.clone();
        if let Some(below) = record.directory.strip_prefix(&format!("{name}/")) {
            record.directory = below.to_owned();
        }
        let result = RunResult {
            schema: "kbisect.run/1".to_owned(),
            scenario: task.with.subject.name.clone(),
            trial: Trial::from(record),
            rates: None,
            reference: Some(self.plan.reference.clone()),
            environment: crew.context.environment(),
            run_dir: folder.display().to_string(),
            tool_version: self.plan.tool_version.clone(),
        };
        write_result(&folder, &result)
    }
}

/// The answer of a self-test: whether the scenario's checks can fail.
pub struct Proof;

impl Answers for Proof {
    type Answer = SelftestResult;
    const TELLS_PARTS: bool = false;

    fn read(&self, lines: &[JournalLine], folder: &Path) -> anyhow::Result<Option<SelftestResult>> {
        let scenario = kept_scenario(folder).map_err(|_| not_begun(folder))?;
        Ok(SelftestResult::from_journal(lines, &scenario, &folder.display().to_string()))
    }

    fn write(
        &self,
        result: &SelftestResult,
        _: &[JournalLine],
        folder: &Path,
    ) -> anyhow::Result<()> {
        write_json(&folder.join("result.json"), result)
    }

    fn text(&self, result: &SelftestResult, _: Style) -> String {
        kbisect_report::terminal_summary_selftest(result)
    }

    fn code(&self, result: &SelftestResult) -> u8 {
        if result.passed { exit::OK } else { exit::NOT_AS_EXPECTED }
    }
}
