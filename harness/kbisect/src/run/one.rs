//! `kbisect run`: one trial.

use std::path::Path;
use std::process::ExitCode;

use kbisect_core::answer::Taken;
use kbisect_core::bayes::Answer;
use kbisect_core::boot::Coming;
use kbisect_core::boots::Boots;
use kbisect_core::gate::GateOptions;
use kbisect_core::job::{ShellRequest, Subject};
use kbisect_core::run::{Aim, KernelPlan, RunEvent, Tried};
use kbisect_core::scenario::Scenario;
use kbisect_core::trial::{TrialRecord, VerdictKind};
use kbisect_core::whose::{Whose, whose};
use kbisect_kernels::Candidate;
use kbisect_report::words::all_planned;

use super::decode::{Decoder, Sources};
use super::dry_run;
use super::executor::{Crew, Task, With, Work};
use super::lone::{Lone, Resumed, Wanted, load_first, make};
use super::single::Single;
use crate::cli::{Global, RunArgs, ShellOn};
use crate::errors;
use kbisect_core::workers::Workers;

/// Runs one trial.
///
/// # Errors
/// Bad arguments, the host's failures, an interruption.
pub fn run_one(args: &RunArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let mut like = None;
    let (loaded, base) = load_first(&args.trial.scenario, global, |loaded| {
        check_shell(args, &loaded.scenario)?;
        like = args.like.as_deref().map(earlier).transpose()?;
        Ok(())
    })?;
    let (name, setting) = (&args.trial.scenario, &args.trial.setting);
    if setting.dry_run {
        let kernel = dry_run::kernel(&base, Some(&args.kernel), setting)?;
        let planned = (vec![dry_run::trial(&kernel, name, None)], all_planned(&loaded.scenario));
        return dry_run::show("run", &base, setting, planned, global);
    }
    let wanted = Wanted {
        scenario: &args.trial.scenario,
        kernel: Some(&args.kernel),
        setting: &args.trial.setting,
        evidence: args.trial.evidence.choices(),
        machine: &args.machine,
        workers: Workers::Auto,
    };
    let mut lone = Lone::prepare(&wanted, loaded, base, "")?;
    lone.plan.like = like.and_then(|record| record.symptom).map(Box::new);
    lone.plan.by_hand = args.step;
    lone.plan.repeats = args.repeat.unwrap_or(1);
    lone.journal.append(RunEvent::RunBegan {
        plan: Box::new(lone.plan.clone()),
        options: Box::new(lone.options.clone()),
        environment: Box::new(lone.context.environment()),
    })?;
    let shell = args
        .shell
        .as_ref()
        .map(|node| ShellRequest { node: node.clone(), always: args.shell_on == ShellOn::Always });
    lone.finish(&Single, global, |lone| try_it(lone, shell))
}

/// Goes on with a trial that was interrupted: it is made again.
///
/// # Errors
/// As [`run_one`].
pub(super) fn resume_one(
    resumed: Resumed<'_>,
    begun: (KernelPlan, GateOptions),
) -> anyhow::Result<ExitCode> {
    resumed.finish(begun, &Single, |lone| try_it(lone, None))
}

fn try_it(lone: &mut Lone, shell: Option<ShellRequest>) -> anyhow::Result<()> {
    let Lone { context, candidate, loaded, plan, journal, folder, .. } = lone;
    let subject = loaded.subject(&plan.scenario.name);
    let mut work =
        Once { candidate, subject, shell, plan, boots: Boots::default(), answer: None, made: 0 };
    for event in journal.events() {
        if let RunEvent::TrialEnded { record, .. } = event {
            work.count(record);
        }
    }
    make(context, folder, journal, (1, 0), &mut work)?;
    let base = &context.base;
    if let (Some(record), Some(sources)) = (work.answer, Sources::of(&context.evidence)) {
        let work =
            Decoder { store: &base.store, settings: &base.settings, progress: base.progress() };
        let decoded = work.record(&record, &sources);
        if let Some(decoded) = decoded.filter(|_| !base.interrupt.is_set()) {
            journal.append(RunEvent::Decoded { number: record.number, decoded })?;
        }
    }
    journal.append(RunEvent::Completed)
}

/// One trial, as often as it is wanted, and one of the reference kernel where that tells whose fault a failure is.
struct Once<'a> {
    candidate: &'a Candidate,
    subject: Subject,
    shell: Option<ShellRequest>,
    plan: &'a KernelPlan,
    /// A few trials go on from one boot, then another takes its place.
    boots: Boots,
    /// The first that is bad, else the last.
    answer: Option<Box<TrialRecord>>,
    made: u32,
}

impl Once<'_> {
    fn count(&mut self, record: &TrialRecord) {
        self.made += 1;
        let answer = match record.verdict {
            VerdictKind::Good => Answer::Pass,
            VerdictKind::Bad => Answer::Fail,
            VerdictKind::Skip => Answer::Skip,
            VerdictKind::Infra | VerdictKind::ScenarioError => Answer::Infra,
        };
        self.boots.record(0, record, answer);
        if self.answer.as_ref().is_none_or(|known| known.verdict != VerdictKind::Bad) {
            self.answer = Some(Box::new(record.clone()));
        }
    }
}

impl Work for Once<'_> {
    fn hand_out(&mut self, crew: &mut Crew<'_>) -> anyhow::Result<()> {
        let left = self.plan.repeats.saturating_sub(self.made);
        let Some(worker) = crew.idle().filter(|_| left > 0) else { return Ok(()) };
        let aim = Aim::Cell {
            scenario: self.subject.name.clone(),
            kernel: Box::new(self.candidate.kernel.clone()),
            injected: None,
            without: Vec::new(),
            estimated_left: left as usize,
        };
        let (shell, by_hand) = (self.shell.take(), self.plan.by_hand);
        let with = With { shell, by_hand, ..With::only(self.subject.clone()) };
        let coming = if self.made == 0 { Coming::Any } else { self.boots.come_up(0) };
        self.boots.begin(0);
        crew.start(worker, aim, self.candidate.clone(), coming, with);
        Ok(())
    }

    fn ended(
        &mut self,
        crew: &mut Crew<'_>,
        _: usize,
        _: Task,
        record: Box<TrialRecord>,
    ) -> anyhow::Result<()> {
        let matching = match (&self.plan.like, &record.symptom) {
            (Some(was), Some(symptom)) => Some(was.matching(symptom)),
            _ => None,
        };
        let taken = Taken { matching, ..Taken::default() };
        self.count(&record);
        let tried = Tried::Scenario {
            scenario: self.subject.name.clone(),
            injected: None,
            without: Vec::new(),
        };
        crew.journal.append(RunEvent::TrialEnded { tried, record, mark: None, taken })
    }

    fn close(&mut self, crew: &mut Crew<'_>) -> anyhow::Result<()> {
        let Some(record) = &self.answer else { return Ok(()) };
        let told = |event: &RunEvent| matches!(event, RunEvent::ReferenceTried { .. });
        // A kernel that is the reference kernel has told already.
        let is_it = record.kernel.id == self.plan.reference.id;
        if !is_it
            && whose(record, false, None) == Whose::AskReference
            && !crew.journal.events().any(told)
        {
            crew.ask_reference(&self.subject, None)?;
        }
        Ok(())
    }
}

/// Reads the record of an earlier trial.
fn earlier(path: &Path) -> anyhow::Result<TrialRecord> {
    let refuse = |why: String| {
        errors::usage(
            format!("cannot compare with `{}`: {why}", path.display()),
            "give the trial.json of a trial's folder",
        )
    };
    let text = std::fs::read(path).map_err(|error| refuse(error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| refuse(error.to_string()))
}

/// Refuses a shell in a node that does not exist, before anything boots.
fn check_shell(args: &RunArgs, scenario: &Scenario) -> anyhow::Result<()> {
    let Some(Some(node)) = &args.shell else { return Ok(()) };
    if scenario.nodes.contains_key(node) {
        return Ok(());
    }
    let nodes: Vec<&str> = scenario.nodes.keys().map(String::as_str).collect();
    Err(errors::usage(
        format!("scenario {} has no node `{node}` for a shell", scenario.name),
        format!("nodes are: {}", nodes.join(", ")),
    ))
}
