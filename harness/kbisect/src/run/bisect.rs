//! The bisection: the search is asked, a trial answers, the journal remembers.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use kbisect_core::method::Method;
use kbisect_core::run::{BisectResult, OutcomeWord, Plan, RunEvent, end_of_search, wall_seconds};
use kbisect_core::workers::Workers;
use kbisect_kernels::{Candidate, SeriesFile};
use kbisect_report::{Dossier, Format, GATE_JOURNAL_NAME};

use super::changes::{Origin, Ranker};
use super::check::resume_check;
use super::context::{Base, Context, existing_run};
use super::decode::{Decoder, Sources};
use super::dispatch::Dispatch;
use super::files::{keep_image, keep_scenario, kept_scenario, new_run, write_json, write_whole};
use super::journal::Journal;
use super::kernels;
use super::plan::{check_symptom, check_testable, check_work, plan, show};
use super::pool::{Labs, with_workers};
use super::resume::{accelerator_of, budget_s, new_budget, resume_command};
use super::symptom;
use super::workers::workers;
use crate::cli::{self, BisectArgs, EvidenceArgs, Global, MachineArgs, Range, ResumeArgs, Series};
use crate::exit::Class;
use crate::settings::scenario::LoadedScenario;
use crate::{errors, exit, output, settings};

/// Bisects a range.
pub fn bisect(args: &BisectArgs, global: &Global) -> anyhow::Result<ExitCode> {
    check_symptom(args)?;
    let loaded = settings::scenario::load(&args.trial.scenario)?;
    // Before the archive is asked: a typing error is to show at once.
    let wanted = match &args.series {
        Series::Range(range) => Wanted::Between(range),
        Series::File(path) => Wanted::Listed(series_file(path)?),
    };
    let base = Base::new(global)?;
    for warning in &loaded.warnings {
        base.ui.note(&format!("warning: {warning}"));
    }
    let series = match &wanted {
        Wanted::Between(range) => base.catalog.series(&range.old, &range.new)?,
        Wanted::Listed(file) => file.resolve(&base.catalog)?,
    };
    for end in [series.first(), series.last()].into_iter().flatten() {
        check_testable(end)?;
    }
    base.note_missing(&series);
    check_work(args, &series)?;
    let reference = kernels::reference(&base, args.trial.setting.reference.as_deref())?;
    let name = args.trial.scenario.clone();
    let context =
        Context::new(base, &args.machine, loaded, &name, reference, args.trial.setting.placement)?
            .keeping(&args.trial.evidence);
    if args.dry_run {
        let plan = plan(args, &context, "(not begun)", &series);
        context.base.ui.finish();
        return show(&plan, global).map(|()| exit::code(exit::OK));
    }
    let what = format!("{}-{}", context.scenario.name, args.series);
    context.base.begin_run();
    let (run_id, folder) = new_run(&args.trial.setting.results, &what)?;
    let plan = plan(args, &context, &run_id, &series);
    keep_scenario(&folder, &context.scenario)?;
    keep_image(&folder, context.image_folder.as_deref())?;
    let mut journal = Journal::create(&folder, &context.base.ui)?;
    journal.append(RunEvent::Began { plan: Box::new(plan.clone()) })?;
    let (machine, workers) = (&args.machine, plan.options.workers);
    let folder = &*folder;
    Bisection { context: &context, plan, series, folder, journal, machine, workers }.finish(global)
}

/// Goes on with an interrupted run.
///
/// # Errors
/// As [`bisect`]; a journal that is damaged or in use.
pub fn resume(args: &ResumeArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let folder = existing_run(&args.run, &args.results)?;
    if folder.join(GATE_JOURNAL_NAME).is_file() {
        return resume_check(args, &folder, global);
    }
    if args.junit.is_some() {
        return Err(errors::usage(
            "a bisection writes no JUnit XML while it runs",
            "leave --junit out; `kbisect report RUN --format junit` has it",
        ));
    }
    let mut base = Base::new(global)?;
    let mut journal = Journal::resume(&folder, &base.ui)?;
    let Some(plan) = journal.events().find_map(|event| match event {
        RunEvent::Began { plan } => Some(plan.as_ref().clone()),
        _ => None,
    }) else {
        return Err(errors::usage(
            format!(
                "the journal of {} has no plan: the run was stopped before it began",
                folder.display()
            ),
            "begin a new run",
        ));
    };
    let budget = match args.budget {
        Some(budget) => new_budget(budget, &plan, &journal)?,
        None => None,
    };
    if budget.is_none() && end_of_search(journal.events()).is_some() {
        // Nothing is left to try; the reports are written again.
        base.ui.finish();
        return conclude(&journal, &folder, global);
    }
    for path in plan.options.named_paths() {
        base.ui.note(&format!("the plan of this run has `{path}` read for its report"));
    }
    let kernels = plan.series.iter().map(|planned| &planned.kernel);
    base.look_where(kernels.chain([&plan.reference]))?;
    let series = again(&base, &plan)?;
    let scenario = kept_scenario(&folder)?;
    let accel = accelerator_of(&plan.environment);
    let machine = MachineArgs {
        accel,
        qemu: args.qemu.clone(),
        image: args.image.clone(),
        cold: plan.options.cold,
        ..MachineArgs::from(plan.options.machine)
    };
    let placement = match plan.environment.placement.as_str() {
        "single" => cli::Placement::Single,
        _ => cli::Placement::Split,
    };
    let reference = kernels::reference(&base, Some(&plan.reference.id.0))
        .or_else(|_| kernels::reference(&base, Some(plan.reference.package_version.as_str())))?;
    let loaded = LoadedScenario {
        scenario,
        sha256: plan.scenario_sha256.clone(),
        origin: folder.display().to_string(),
        warnings: Vec::new(),
    };
    let context = Context::new(base, &machine, loaded, &plan.scenario, reference, placement)?
        .keeping(&EvidenceArgs {
            vmcore: plan.options.vmcore,
            debug_info: plan.options.debug_info,
            vmlinux: plan.options.vmlinux.clone().map(PathBuf::from),
            debug_modules: plan.options.debug_modules.clone().map(PathBuf::from),
        });
    if context.image.key != plan.environment.image {
        return Err(errors::infrastructure(
            "the root image is not the one that the run began with",
            "user space must be the same in all trials of a run: use the same kbisect (and --image, if \
             it was given), or begin anew",
        ));
    }
    context.base.begin_run();
    journal.append(RunEvent::Resumed)?;
    if let Some(event) = budget {
        journal.append(event)?;
    }
    let wish = args.workers.unwrap_or(Workers::Count(plan.options.workers));
    let workers = workers(wish, &context);
    let (folder, machine) = (&*folder, &machine);
    Bisection { context: &context, plan, series, folder, journal, machine, workers }.finish(global)
}

/// The kernels that were asked for.
enum Wanted<'a> {
    Between(&'a Range),
    Listed(SeriesFile),
}

/// Reads a list of kernels.
fn series_file(path: &Path) -> anyhow::Result<SeriesFile> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        errors::usage(
            format!("cannot read the series `{name}`: {error}"),
            "give a range, GOOD..BAD, or a .toml file that lists kernels",
        )
    })?;
    Ok(SeriesFile::parse(&name, &text)?)
}

/// Finds the planned kernels again.
fn again(base: &Base, plan: &Plan) -> anyhow::Result<Vec<Candidate>> {
    let known = base.catalog.series(&plan.old_end, &plan.new_end).unwrap_or_default();
    plan.series
        .iter()
        .map(|planned| {
            let id = &planned.kernel.id;
            if let Some(candidate) = known.iter().find(|candidate| candidate.kernel.id == *id) {
                return Ok(candidate.clone());
            }
            let found = base.catalog.resolve(&id.0).or_else(|error| match planned.kernel.variant {
                // Its version is that of the stock kernel, which is another one.
                Some(_) => Err(error),
                None => base.catalog.resolve(planned.kernel.package_version.as_str()),
            });
            found.with_context(|| {
                format!(
                    "kernel {} of the run is neither in the store nor in its source",
                    planned.kernel.label()
                )
            })
        })
        .collect()
}

/// A bisection with all that it takes.
pub(super) struct Bisection<'a> {
    pub(super) context: &'a Context,
    pub(super) plan: Plan,
    pub(super) series: Vec<Candidate>,
    pub(super) folder: &'a Path,
    pub(super) journal: Journal,
    machine: &'a MachineArgs,
    workers: NonZeroU32,
}

impl Bisection<'_> {
    /// Runs to the end, and tells how it ended.
    fn finish(mut self, global: &Global) -> anyhow::Result<ExitCode> {
        for warning in &self.plan.warnings {
            self.context.base.ui.note(&format!("warning: {warning}"));
        }
        let result = self
            .drive(symptom::may_ask(global))
            .and_then(|()| self.decode())
            .and_then(|()| self.changes());
        self.context.base.ui.finish();
        match result {
            Ok(()) => conclude(&self.journal, self.folder, global),
            Err(error) => {
                let class = errors::class(&error);
                let event = match (class, errors::fault(&error)) {
                    (_, Some(fault)) => RunEvent::ScenarioError { fault: fault.clone() },
                    (Class::Interrupted, None) => RunEvent::Interrupted,
                    (_, None) => RunEvent::Failed { error: errors::message(&error) },
                };
                let resume = resume_command(self.folder, global, self.machine);
                let hint = match (class, errors::hint(&error)) {
                    (Class::Interrupted, _) => format!("go on with: {resume}"),
                    (_, Some(hint)) => format!("{hint}; then go on with: {resume}"),
                    (_, None) => format!("when the cause is gone, go on with: {resume}"),
                };
                let error = match class {
                    Class::Interrupted => errors::interrupted("interrupted", Some(hint)),
                    // To go on would be in vain: the run keeps the scenario that it began with.
                    Class::Scenario => error,
                    Class::Usage | Class::Infrastructure => {
                        errors::infrastructure(errors::message(&error), hint)
                    }
                };
                // The disk may be the very thing that failed.
                let _ = self.journal.append(event);
                let Ok(result) = write_results(&self.journal, self.folder) else {
                    return Err(error);
                };
                if !global.json {
                    return Err(error);
                }
                // The document of a run is its result, also when that is `aborted`.
                errors::report(&error, false);
                output::json(&result)?;
                Ok(exit::code(errors::class(&error).code(false)))
            }
        }
    }

    fn drive(&mut self, may_ask: bool) -> anyhow::Result<()> {
        let labs = Labs { folder: self.folder, lab: None };
        let count = self.workers.get() as usize;
        let context = self.context;
        let (done, _) =
            with_workers(context, labs, count, |pool| Dispatch::new(self, pool, may_ask).finish())?;
        done
    }

    /// Finds the source lines of the culprit's trace, if that was asked for.
    fn decode(&mut self) -> anyhow::Result<()> {
        let base = &self.context.base;
        let Some(sources) = Sources::of(&self.context.evidence) else { return Ok(()) };
        let dossier = Dossier::of_journal(self.folder, self.journal.lines.clone(), None)?;
        let Some(record) = dossier.bad() else { return Ok(()) };
        let work =
            Decoder { store: &base.store, settings: &base.settings, progress: base.progress() };
        let decoded = work.record(record, &sources);
        if let Some(decoded) = decoded.filter(|_| !base.interrupt.is_set()) {
            self.journal.append(RunEvent::Decoded { number: record.number, decoded })?;
        }
        Ok(())
    }

    /// Ranks what changed between the two sides, if there are two. Whatever keeps it from that is
    /// told, and is no failure of the run.
    fn changes(&mut self) -> anyhow::Result<()> {
        if self.plan.options.no_changes {
            return Ok(());
        }
        let base = &self.context.base;
        let origin = match &self.plan.options.git {
            Some(folder) => Origin::Git(PathBuf::from(folder)),
            None => Origin::Archive,
        };
        let dossier = Dossier::of_journal(self.folder, self.journal.lines.clone(), None)?;
        let progress = base.progress();
        let work = Ranker { settings: &base.settings, progress: progress.as_ref(), origin };
        let changes = work.of_run(&dossier, Some(&self.context.scenario), None);
        // What was cut off is no fact.
        if let Some(changes) = changes.filter(|_| !base.interrupt.is_set()) {
            self.journal.append(RunEvent::Changes { changes: Box::new(changes) })?;
        }
        Ok(())
    }

    /// Replays the journal into a fresh search.
    pub(super) fn search_so_far(&self) -> anyhow::Result<Method> {
        let events: Vec<&RunEvent> = self.journal.events().collect();
        Ok(Method::replay(&self.plan, events)?)
    }

    /// Whether the time that the search may take is over.
    pub(super) fn is_spent(&self) -> bool {
        let spent = wall_seconds(&self.journal.lines);
        budget_s(&self.plan, &self.journal).is_some_and(|budget| spent >= budget as f64)
    }
}

/// Writes the reports and prints the summary.
fn conclude(journal: &Journal, folder: &Path, global: &Global) -> anyhow::Result<ExitCode> {
    let result = write_results(journal, folder)?;
    if global.json {
        output::json(&result)?;
    } else {
        output::print(&kbisect_report::terminal_summary(&result, super::colors(global)))?;
    }
    let found = matches!(result.outcome, OutcomeWord::Found | OutcomeWord::FoundDespiteSkips);
    Ok(exit::code(if found { exit::OK } else { exit::NO_CULPRIT }))
}

pub(super) fn write_results(journal: &Journal, folder: &Path) -> anyhow::Result<BisectResult> {
    let result = BisectResult::from_journal(&journal.lines, &folder.display().to_string())
        .context("the journal has no plan")?;
    write_json(&folder.join("result.json"), &result)?;
    let dossier = Dossier::of_journal(folder, journal.lines.clone(), None)?;
    write_whole(&folder.join("report.html"), kbisect_report::html(&dossier).as_bytes())?;
    write_whole(&folder.join("report.md"), Format::Markdown.render(&dossier)?.as_bytes())?;
    Ok(result)
}
