//! The bisection: the search is asked, a trial answers, the journal remembers.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use kbisect_core::bayes::{Ending, Purpose};
use kbisect_core::job::Subject;
use kbisect_core::run::{Plan, RevertStep, RevertTest, RunEvent, end_of_search, is_over};
use kbisect_core::search::{Direction, Outcome, Role};
use kbisect_core::trial::Untestable;
use kbisect_core::workers::Workers;
use kbisect_kernels::{Candidate, Progress, ResolveError, SeriesFile};
use kbisect_report::{Dossier, words};

use super::beside::{self, BesideTrials};
use super::commits::{self, ChosenCommits};
use super::context::{Base, Context, Ground, machines, placement_of};
use super::culprit::Telling;
use super::decode::{Decoder, Sources};
use super::ending::{conclude, finish};
use super::executor::execute_alone;
use super::files::{keep_image, keep_scenario, new_run};
use super::forgone::forgone;
use super::further;
use super::journal::Journal;
use super::kept::{Kept, new_budget, resume_command};
use super::kernels;
use super::plan::{check_placement, check_symptom, check_testable, check_work, plan, show};
use super::ranker::{Origin, Ranker};
use super::remote::Pools;
use super::revert::Revert;
use super::search::Search;
use super::symptom;
use super::workers::workers;
use crate::cli::{BisectArgs, Global, MachineArgs, Range, ResumeArgs, Series};
use crate::exit::Class;
use crate::settings::scenario::LoadedScenario;
use crate::{errors, exit, output, settings};

/// Bisects a range. Gives the run's folder, if there is one and something may follow from it.
///
/// # Errors
/// What cannot be used; those of the trials; an interruption.
pub fn bisect(
    args: &BisectArgs,
    global: &Global,
    telling: &Telling,
) -> anyhow::Result<(ExitCode, Option<PathBuf>)> {
    check_symptom(args)?;
    let loaded = settings::scenario::load(&args.trial.scenario)?;
    check_placement(args.trial.setting.placement, &loaded.scenario)?;
    // Before the archive is asked: a typing error is to show at once.
    let wanted = match &args.series {
        Series::Range(range) => Wanted::Between(range),
        Series::File(path) => Wanted::Listed(series_file(path)?),
    };
    let tree = commits::tree(global, &args.commits)?;
    let commits = match (&tree, &wanted) {
        (Some(tree), Wanted::Between(range)) => {
            let (choices, kind) = commits::choices(global, &args.commits)?;
            Some(ChosenCommits::find(tree, range, &choices, kind)?)
        }
        (Some(_), Wanted::Listed(_)) => {
            return Err(errors::usage(
                "the commits of a git tree are not listed in a file",
                "give a range, GOOD..BAD, or leave out --source",
            ));
        }
        (None, _) if args.commits.is_given() && args.commits.drill.is_none() => {
            return Err(errors::usage(
                "--first-parent, --config, --toolchain, --no-revert and paths are about commits, and no git tree is named",
                "add --source git:PATH or --drill git:PATH",
            ));
        }
        (None, _) => None,
    };
    if commits.is_some() && args.fix {
        return Err(errors::usage(
            "--fix goes on to the newest kernel of a series, and the range is one of commits",
            "look for the fix with --find-fix, in a range that begins with the bad commit",
        ));
    }
    if commits.is_some() && args.commits.drill.is_some() {
        return Err(errors::usage(
            "--drill goes on from releases to commits, and the range is one of commits already",
            "leave out --drill, or --source git:PATH",
        ));
    }
    let mut base = Base::new(global)?;
    for warning in &loaded.warnings {
        base.ui.note(&format!("warning: {warning}"));
    }
    let dry = args.trial.setting.dry_run;
    let configuration = match &commits {
        Some(commits) if !dry => {
            let config = args.commits.config.as_deref();
            Some(commits.configuration(config, &loaded.scenario, &base)?)
        }
        _ => None,
    };
    let series = match (&commits, &wanted) {
        (Some(commits), _) => match &configuration {
            Some(configuration) => commits.candidates(configuration.clone(), &base)?,
            None => commits.shown(&base)?,
        },
        (None, Wanted::Between(range)) => between(&mut base, range, args.yes, global)?,
        (None, Wanted::Listed(file)) => file.resolve(&base.catalog)?,
    };
    for end in [series.first(), series.last()].into_iter().flatten() {
        check_testable(end)?;
    }
    base.note_missing(&series);
    check_work(args, &series)?;
    further::check_drill(args, &series)?;
    let name = args.trial.scenario.clone();
    if dry {
        let code = dry_run(args, base, &loaded, (&series, commits.as_ref()), global)?;
        return Ok((code, None));
    }
    let reference = kernels::reference(&base, args.trial.setting.reference.as_deref())?;
    let (placement, needs) = (args.trial.setting.placement, (&loaded.scenario.image, &*name));
    let pools = Pools::of(&args.pool, &base.settings, args.workers.workers.is_none())?;
    let context = Context::new(base, &args.machine, needs, reference, placement)?
        .keeping(&args.trial.evidence.choices())
        .reusing(&args.trial.setting)
        .with_pools(pools);
    let what = format!("{}-{}", loaded.scenario.name, args.series);
    context.base.begin_run();
    let (run_id, folder) = new_run(&args.trial.setting.results, &what)?;
    let plan = plan(args, context.ground(), &loaded, &run_id, (&series, commits.as_ref()));
    if let Some(configuration) = &configuration {
        commits::keep(&folder, configuration)?;
    }
    keep_scenario(&folder, &loaded.scenario)?;
    keep_image(&folder, context.image_folder.as_deref())?;
    let mut journal = Journal::create(&folder, &context.base.ui)?;
    journal.append(RunEvent::Began { plan: Box::new(plan.clone()) })?;
    let (machine, workers) = (&args.machine, plan.options.workers);
    let folder = &*folder;
    let subject = loaded.subject(&name);
    let bisection = Bisection {
        context: &context,
        subject,
        plan,
        series,
        folder,
        journal,
        machine,
        workers,
        telling,
    };
    let code = bisection.finish(global)?;
    // Whoever has seen enough wants nothing that follows from it either.
    let goes_on = !context.base.interrupt.is_set();
    Ok((code, goes_on.then(|| folder.to_owned())))
}

/// The kernels of a range. Versions that left the archive are looked for where all are that were released, if that
/// is wanted.
fn between(
    base: &mut Base,
    range: &Range,
    yes: bool,
    global: &Global,
) -> anyhow::Result<Vec<Candidate>> {
    let error = match base.catalog.series(&range.old, &range.new) {
        Ok(series) => return Ok(series),
        Err(error) => error,
    };
    // It may be why, and not have been told since it was earlier today.
    let warnings = base.catalog.warnings().iter();
    warnings.for_each(|warning| base.ui.note(warning));
    let service = match &error {
        ResolveError::Unknown { elsewhere, .. } => {
            elsewhere.iter().copied().find(|it| it.is_service && it.other_vendor().is_none())
        }
        _ => None,
    };
    let Some(service) = service.filter(|_| !base.settings.offline) else {
        return Err(error.into());
    };
    let is_wanted = yes
        || (symptom::may_ask(global)
            && base.ui.pause(|| {
                output::say(&error.to_string());
                output::prompt(&words::look_into(service.title));
                let answer = symptom::line(base).unwrap_or_else(|| "n".to_owned());
                matches!(answer.trim(), "" | "y" | "Y" | "yes")
            }));
    base.go_on()?;
    if !is_wanted {
        return Err(error.into());
    }
    base.look_into([service])?;
    Ok(base.catalog.series(&range.old, &range.new)?)
}

/// Prints the plan. Nothing is fetched or built for it.
fn dry_run(
    args: &BisectArgs,
    base: Base,
    loaded: &LoadedScenario,
    series: (&[Candidate], Option<&ChosenCommits>),
    global: &Global,
) -> anyhow::Result<ExitCode> {
    let setting = &args.trial.setting;
    let reference = kernels::planned_reference(&base, setting.reference.as_deref())?;
    let (qemu, probe) = machines(&base, &args.machine)?;
    let image = args.machine.image_definition()?.with_packages(&loaded.scenario.image.packages)?;
    let ground = Ground {
        base: &base,
        qemu: &qemu,
        probe: &probe,
        image: &image.key(),
        reference: &reference,
        placement: placement_of(setting.placement),
        choices: args.machine.choices(&base.settings),
    };
    let plan = plan(args, ground, loaded, "(not begun)", series);
    base.ui.finish();
    show(&plan, global).map(|()| exit::code(exit::OK))
}

/// Goes on with a bisection that was interrupted.
///
/// # Errors
/// As [`bisect`].
pub(super) fn resume_bisection(
    args: &ResumeArgs,
    plan: Plan,
    (mut base, mut journal): (Base, Journal),
    folder: &Path,
    global: &Global,
    telling: &Telling,
) -> anyhow::Result<ExitCode> {
    if args.junit.is_some() {
        return Err(errors::usage(
            "a bisection writes no JUnit XML while it runs",
            "leave --junit out; `kbisect report RUN --format junit` has it",
        ));
    }
    let budget = match args.budget {
        Some(budget) => new_budget(budget, &plan, &journal)?,
        None => None,
    };
    for path in plan.options.named_paths() {
        base.ui.note(&format!("this run reads `{path}`"));
    }
    let is_tested = RevertTest::of(&plan, journal.events())
        .is_none_or(|test| test.next(journal.events(), &[]) == RevertStep::Done);
    let is_asked = beside::due(&plan, journal.events()).is_some();
    if budget.is_none() && is_over(journal.events()) && is_tested && !is_asked {
        // Nothing is left to try; the reports are written again.
        base.ui.finish();
        let is_last = further::due(&plan, &journal.lines).is_none();
        return conclude(&telling.culprit(global, is_last), &journal, folder, global);
    }
    let kernels = plan.series.iter().map(|planned| &planned.kernel);
    base.look_where(kernels.chain([&plan.reference]))?;
    let series = match &plan.options.commits {
        Some(of) => commits::again(&plan, of, folder, &base)?,
        None => again(&base, &plan)?,
    };
    let kept = Kept {
        environment: &plan.environment,
        machine: plan.options.machine,
        cold: plan.options.cold,
        reference: &plan.reference,
    };
    let machine = kept.machine(args);
    let loaded = LoadedScenario::kept(folder, &plan.scenario_sha256)?;
    let subject = loaded.subject(&plan.scenario);
    let pools = Pools::of(&args.again.pool, &base.settings, args.again.workers.is_none())?;
    let context =
        kept.context(base, &machine, &subject)?.keeping(&plan.options.evidence).with_pools(pools);
    context.base.begin_run();
    if journal.lines.len() > 1 {
        journal.append(RunEvent::Resumed)?;
    }
    journal.runs_in(context.environment())?;
    if let Some(event) = budget {
        journal.append(event)?;
    }
    let wish = args.again.workers.unwrap_or(Workers::Count(plan.options.workers));
    let workers = workers(wish, context.ground(), &subject.scenario);
    let machine = &machine;
    let context = &context;
    Bisection { context, subject, plan, series, folder, journal, machine, workers, telling }
        .finish(global)
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

/// Whether it is the bad end that gave no answer, if the search ended for want of one.
fn end_skipped<'a>(
    events: impl IntoIterator<Item = &'a RunEvent, IntoIter: DoubleEndedIterator>,
) -> Option<bool> {
    match end_of_search(events)? {
        RunEvent::Ended { outcome: Outcome::EndSkipped { which } } => Some(*which == Role::BadEnd),
        RunEvent::Decided { ending: Ending::EndSkipped { which } } => {
            Some(*which == Purpose::BadEnd)
        }
        _ => None,
    }
}

/// Whether two builds failed alike: other lines of one file are the same place.
fn is_same_error(one: &str, other: &str) -> bool {
    let plain = |said: &str| said.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    plain(one) == plain(other)
}

/// Finds the planned kernels again.
fn again(base: &Base, plan: &Plan) -> anyhow::Result<Vec<Candidate>> {
    let known = base.catalog.series(&plan.old_end, &plan.new_end).unwrap_or_default();
    plan.series
        .iter()
        .map(|planned| {
            let id = &planned.kernel.id;
            match known.iter().find(|candidate| candidate.kernel.id == *id) {
                Some(candidate) => Ok(candidate.clone()),
                None => kernels::again(base, &planned.kernel),
            }
        })
        .collect()
}

/// A bisection with all that it takes.
struct Bisection<'a> {
    context: &'a Context,
    subject: Subject,
    plan: Plan,
    series: Vec<Candidate>,
    folder: &'a Path,
    journal: Journal,
    machine: &'a MachineArgs,
    workers: NonZeroU32,
    telling: &'a Telling,
}

impl Bisection<'_> {
    /// Runs to the end, and tells how it ended.
    fn finish(mut self, global: &Global) -> anyhow::Result<ExitCode> {
        for warning in &self.plan.warnings {
            self.context.base.ui.note(&format!("warning: {warning}"));
        }
        let ended = self
            .search(symptom::may_ask(global))
            .and_then(|()| self.decode())
            .and_then(|()| self.changes())
            .and_then(|()| self.revert())
            .and_then(|()| self.beside())
            .and_then(|()| self.forgone())
            .and_then(|()| self.before_drill());
        self.context.base.ui.finish();
        let root = self.telling.root().unwrap_or(self.folder);
        let resume = resume_command(root, global, self.machine);
        let is_last = further::due(&self.plan, &self.journal.lines).is_none();
        let answers = self.telling.culprit(global, is_last || ended.is_err());
        finish(&answers, ended, &mut self.journal, self.folder, global, &resume)
    }

    fn search(&mut self, may_ask: bool) -> anyhow::Result<()> {
        let mut search = Search::new(&self.plan, &self.series, &self.subject, may_ask);
        let crew = (self.workers.get() as usize, self.plan.options.infra_retries);
        execute_alone(self.context, self.folder, crew, &mut self.journal, &mut search)?.0?;
        self.check_builds()
    }

    /// Whether the compiler is at fault: an end does not build, and the other one does not either, for the
    /// same reason.
    fn check_builds(&mut self) -> anyhow::Result<()> {
        let base = &self.context.base;
        let Some(is_bad) = end_skipped(self.journal.events()) else { return Ok(()) };
        let regression = self.plan.direction == Direction::Regression;
        let is_newer = is_bad == regression;
        let (Some(older), Some(newer)) = (self.series.first(), self.series.last()) else {
            return Ok(());
        };
        let (tried, other) = if is_newer { (newer, older) } else { (older, newer) };
        let said = self.journal.events().rev().find_map(|event| match event {
            RunEvent::TrialEnded { record, .. } if record.kernel.id == tried.kernel.id => {
                match &record.untestable {
                    Some(Untestable::NoBuild { said }) => Some(said.clone()),
                    _ => None,
                }
            }
            _ => None,
        });
        let Some(said) = said else { return Ok(()) };
        match kernels::to_try(base, other)? {
            Err(Untestable::NoBuild { said: too }) if is_same_error(&said, &too) => {
                Err(errors::infrastructure(
                    format!("neither end builds, for the same reason: {too}"),
                    "this compiler cannot build the tree with this configuration; give another one with \
                     --config FILE, or use another compiler",
                ))
            }
            _ => Ok(()),
        }
    }

    /// Whoever wants to stop wants no other run either.
    fn before_drill(&self) -> anyhow::Result<()> {
        match self.plan.options.drill {
            Some(_) => self.context.base.go_on(),
            None => Ok(()),
        }
    }

    /// Tests the answer, if it is one commit. Whatever keeps it from that is told: the answer stays.
    fn revert(&mut self) -> anyhow::Result<()> {
        let context = self.context;
        let events = self.journal.events();
        let due = Revert::due(&self.plan, &self.subject, &self.series, events, &context.base);
        let Some(mut work) = due else { return Ok(()) };
        let crew = (self.workers.get() as usize, self.plan.options.infra_retries);
        let ended = execute_alone(context, self.folder, crew, &mut self.journal, &mut work)
            .and_then(|(ended, _)| ended);
        let Err(error) = ended else { return Ok(()) };
        if context.base.interrupt.is_set() || errors::class(&error) == Class::Interrupted {
            return Err(error);
        }
        let text = words::revert_not_made(&errors::message(&error));
        self.journal.append(RunEvent::Note { text })
    }

    /// Tries what the end of the search asks for. Whatever keeps it from that is told: the answer stays, also when
    /// somebody has seen enough.
    fn beside(&mut self) -> anyhow::Result<()> {
        let context = self.context;
        let events = self.journal.events();
        let (plan, subject) = (&self.plan, &self.subject);
        let due = BesideTrials::due(plan, subject, &self.series, events, &context.base);
        let crew = (self.workers.get() as usize, self.plan.options.infra_retries);
        let ended = due.and_then(|due| match due {
            Some(mut work) => {
                execute_alone(context, self.folder, crew, &mut self.journal, &mut work)?.0
            }
            None => Ok(()),
        });
        let Err(error) = ended else { return Ok(()) };
        let Some(beside) = beside::due(&self.plan, self.journal.events()) else { return Ok(()) };
        let text = words::not_asked(beside, &errors::message(&error));
        self.journal.append(RunEvent::Note { text })
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

    /// Looks up what staying on the last good kernel forgoes.
    fn forgone(&mut self) -> anyhow::Result<()> {
        let base = &self.context.base;
        if self.plan.options.no_changes || base.interrupt.is_set() {
            return Ok(());
        }
        let progress = base.progress();
        let work = self.ranker(progress.as_ref());
        let forgone = forgone(&self.journal.lines, &work, &|| base.interrupt.is_set());
        match forgone.filter(|_| !base.interrupt.is_set()) {
            Some(forgone) => self.journal.append(RunEvent::Forgone { forgone: Box::new(forgone) }),
            None => Ok(()),
        }
    }

    fn ranker<'a>(&'a self, progress: &'a dyn Progress) -> Ranker<'a> {
        let origin = match &self.plan.options.git {
            Some(folder) => Origin::Git(PathBuf::from(folder)),
            None => Origin::Archive,
        };
        Ranker { settings: &self.context.base.settings, progress, origin }
    }

    /// Ranks what changed between the two sides, if there are two. Whatever keeps it from that is
    /// told, and is no failure of the run.
    fn changes(&mut self) -> anyhow::Result<()> {
        // A commit is the change itself.
        if self.plan.options.no_changes || self.plan.options.commits.is_some() {
            return Ok(());
        }
        let base = &self.context.base;
        let dossier = Dossier::of_journal(self.folder, self.journal.lines.clone(), None)?;
        let progress = base.progress();
        let work = self.ranker(progress.as_ref());
        let changes = work.of_run(&dossier, Some(&self.subject.scenario), None);
        // What was cut off is no fact.
        if let Some(changes) = changes.filter(|_| !base.interrupt.is_set()) {
            self.journal.append(RunEvent::Changes { changes: Box::new(changes) })?;
        }
        Ok(())
    }
}
