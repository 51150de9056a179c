//! Runs of one kernel: a single trial, and self-tests. How they begin, and how they are resumed.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use kbisect_core::gate::GateOptions;
use kbisect_core::run::{EvidenceChoices, KernelPlan, RunEvent, is_over};
use kbisect_core::workers::Workers;
use kbisect_kernels::{Candidate, ReadyKernel};

use super::context::{Base, Context};
use super::ending::{Answers, conclude, finish};
use super::executor::{Work, execute_alone};
use super::files::{keep_image, keep_scenario, new_run};
use super::journal::Journal;
use super::kept::{Kept, resume_command};
use super::workers::workers;
use super::{kernels, plan};
use crate::cli::{Global, MachineArgs, ResumeArgs, SettingArgs};
use crate::errors;
use crate::settings::scenario::{LoadedScenario, load};

/// A run of one kernel, begun or resumed.
pub struct Lone {
    /// What trials have in common.
    pub context: Context,
    /// The kernel.
    pub candidate: Candidate,
    /// The scenario.
    pub loaded: LoadedScenario,
    /// The plan.
    pub plan: KernelPlan,
    /// How it is resumed.
    pub options: GateOptions,
    /// The journal.
    pub journal: Journal,
    /// The run's folder.
    pub folder: PathBuf,
    /// The options of machines.
    pub machine: MachineArgs,
}

/// What was asked for.
pub struct Wanted<'a> {
    /// The scenario.
    pub scenario: &'a str,
    /// The kernel; that of the reference nodes without.
    pub kernel: Option<&'a str>,
    /// How trials are made.
    pub setting: &'a SettingArgs,
    /// What is kept of failures.
    pub evidence: EvidenceChoices,
    /// How machines run.
    pub machine: &'a MachineArgs,
    /// How many trials run side by side.
    pub workers: Workers,
}

impl Lone {
    /// Finds everything that a run needs, and makes its folder. `what` begins its name.
    ///
    /// # Errors
    /// What cannot be found, fetched or written.
    pub fn prepare(
        wanted: &Wanted<'_>,
        loaded: LoadedScenario,
        base: Base,
        what: &str,
    ) -> anyhow::Result<Self> {
        plan::check_placement(wanted.setting.placement, &loaded.scenario)?;
        for warning in &loaded.warnings {
            base.ui.note(&format!("warning: {warning}"));
        }
        let named = wanted.kernel.map(|spec| base.catalog.resolve(spec)).transpose()?;
        for note in named.iter().flat_map(|candidate| &candidate.notes) {
            base.ui.note(note);
        }
        named.iter().try_for_each(plan::check_testable)?;
        let reference = kernels::reference(&base, wanted.setting.reference.as_deref())?;
        let candidate = match named {
            Some(candidate) => {
                // What cannot be fetched is told before there is a folder; what is stored is looked at by the
                // worker, and reading it twice takes longer than the rest.
                if candidate.download_bytes() > 0 {
                    let _ready: Result<ReadyKernel, _> = kernels::to_try(&base, &candidate)?;
                }
                candidate
            }
            None => base.catalog.resolve(&reference.kernel.id.0)?,
        };
        let (needs, placement) =
            ((&loaded.scenario.image, wanted.scenario), wanted.setting.placement);
        let context = Context::new(base, wanted.machine, needs, reference, placement)?
            .keeping(&wanted.evidence)
            .reusing(wanted.setting);
        context.base.begin_run();
        let name = &loaded.scenario.name;
        let what = format!("{what}{name}-{}", candidate.kernel.label());
        let (run_id, folder) = new_run(&wanted.setting.results, &what)?;
        keep_scenario(&folder, &loaded.scenario)?;
        keep_image(&folder, context.image_folder.as_deref())?;
        let plan = KernelPlan {
            run_id,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            command: std::env::args().collect(),
            kernel: candidate.kernel.clone(),
            scenario: loaded.planned(wanted.scenario),
            reference: context.reference.kernel.clone(),
            like: None,
            repeats: 1,
            no_faults: false,
            only_faults: Vec::new(),
            by_hand: false,
            evidence: wanted.evidence.clone(),
        };
        let options = GateOptions {
            workers: match wanted.workers {
                Workers::Auto => None,
                Workers::Count(count) => Some(count),
            },
            junit: None,
            cold: wanted.machine.cold,
            machine: context.choices,
        };
        let journal = Journal::create(&folder, &context.base.ui)?;
        let machine = wanted.machine.clone();
        Ok(Self { context, candidate, loaded, plan, options, journal, folder, machine })
    }

    /// Finds everything again.
    ///
    /// # Errors
    /// What is not there any more.
    pub fn again(
        args: &ResumeArgs,
        (plan, mut options): (KernelPlan, GateOptions),
        mut base: Base,
        mut journal: Journal,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        base.look_where([&plan.kernel, &plan.reference])?;
        let candidate = base.catalog.resolve(&plan.kernel.id.0)?;
        let loaded = LoadedScenario::kept(folder, &plan.scenario.sha256)?;
        let environment = journal.environment().cloned().unwrap_or_default();
        let kept = Kept {
            environment: &environment,
            machine: options.machine,
            cold: options.cold,
            reference: &plan.reference,
        };
        let machine = kept.machine(args);
        let subject = loaded.subject(&plan.scenario.name);
        for path in plan.evidence.named_paths() {
            base.ui.note(&format!("this run reads `{path}`"));
        }
        let context = kept.context(base, &machine, &subject)?.keeping(&plan.evidence);
        context.base.begin_run();
        journal.append(RunEvent::Resumed)?;
        journal.runs_in(context.environment())?;
        if let Some(Workers::Count(count)) = args.again.workers {
            options.workers = Some(count);
        }
        let folder = folder.to_owned();
        Ok(Self { context, candidate, loaded, plan, options, journal, folder, machine })
    }

    /// How many trials run side by side.
    pub fn workers(&self) -> usize {
        let wish = self.options.workers.map_or(Workers::Auto, Workers::Count);
        workers(wish, self.context.ground(), &self.loaded.scenario).get() as usize
    }

    /// Makes the trials, and tells how the run ended.
    ///
    /// # Errors
    /// What failed.
    pub fn finish<A: Answers>(
        mut self,
        answers: &A,
        global: &Global,
        trials: impl FnOnce(&mut Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<ExitCode> {
        let ended = trials(&mut self);
        self.context.base.ui.finish();
        let resume = resume_command(&self.folder, global, &self.machine);
        finish(answers, ended, &mut self.journal, &self.folder, global, &resume)
    }
}

/// Loads the scenario, before the archive is asked: a typing error is to show at once.
///
/// # Errors
/// Those of the scenario and of [`Base::new`].
pub fn load_first(
    name: &str,
    global: &Global,
    look: impl FnOnce(&LoadedScenario) -> anyhow::Result<()>,
) -> anyhow::Result<(LoadedScenario, Base)> {
    let loaded = load(name)?;
    look(&loaded)?;
    Ok((loaded, Base::new(global)?))
}

/// A run that is to be resumed.
pub struct Resumed<'a> {
    /// What was typed.
    pub args: &'a ResumeArgs,
    /// The base.
    pub base: Base,
    /// Its journal.
    pub journal: Journal,
    /// Its folder.
    pub folder: &'a Path,
    /// Options of all commands.
    pub global: &'a Global,
}

impl Resumed<'_> {
    /// Makes the trials that are left, and tells how the run ended; of one that is over only that.
    ///
    /// # Errors
    /// Options that mean nothing here; what is not there any more; those of the trials.
    pub fn finish<A: Answers>(
        self,
        begun: (KernelPlan, GateOptions),
        answers: &A,
        trials: impl FnOnce(&mut Lone) -> anyhow::Result<()>,
    ) -> anyhow::Result<ExitCode> {
        let Self { args, base, journal, folder, global } = self;
        check_resume(args)?;
        if is_over(journal.events()) {
            base.ui.finish();
            return conclude(answers, &journal, folder, global);
        }
        Lone::again(args, begun, base, journal, folder)?.finish(answers, global, trials)
    }
}

/// Has workers make the trials of a plan.
///
/// # Errors
/// Those of [`execute`].
pub fn make(
    context: &mut Context,
    folder: &Path,
    journal: &mut Journal,
    (workers, retries): (usize, u32),
    work: &mut dyn Work,
) -> anyhow::Result<()> {
    let (ended, probe) = execute_alone(context, folder, (workers, retries), journal, work)?;
    context.probe = probe;
    journal.runs_in(context.environment())?;
    ended
}

/// Refuses what only a bisection or a check can be resumed with.
///
/// # Errors
/// That it was given.
fn check_resume(args: &ResumeArgs) -> anyhow::Result<()> {
    let given = [("--budget", args.budget.is_some()), ("--junit", args.junit.is_some())];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((option, _)) => Err(errors::usage(
            format!("{option} is nothing that a run of one kernel knows"),
            format!("leave {option} out"),
        )),
    }
}
