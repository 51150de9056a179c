//! Bisections with what follows from them: runs that go on from their answers, and the reduction of the scenario.

use std::path::Path;
use std::process::ExitCode;

use kbisect_core::run::{Because, Further, JournalLine, OutcomeWord, Plan, RunEvent};
use kbisect_report::plain::file_name;
use kbisect_report::{Dossier, read_journal_of, words};

use super::bisect as alone;
use super::context::{Base, existing_run};
use super::culprit::Telling;
use super::ending::{tell, write};
use super::further::{begin, between, due, fix_is_between, what_came};
use super::journal::Journal;
use super::kept::resume_command;
use super::minimize::minimize;
use super::resume as resumed;
use super::symptom::{line, may_ask};
use crate::cli::{AgainArgs, BisectArgs, Global, MachineArgs, MinimizeArgs, ResumeArgs};
use crate::{errors, exit, output};

/// Bisects a range.
///
/// # Errors
/// What cannot be used; those of the trials; an interruption.
pub fn bisect(args: &BisectArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let telling = Telling::default();
    let (code, folder) = alone::bisect(args, global, &telling)?;
    let Some(folder) = folder else { return Ok(code) };
    let code = go_on(&as_resumed(&folder, args), code, global, &telling)?;
    if !args.minimize || Dossier::read(&folder)?.bad().is_none() {
        return Ok(code);
    }
    let smaller = MinimizeArgs {
        run: folder,
        setting: args.trial.setting.clone(),
        workers: args.workers,
        machine: args.machine.clone(),
    };
    minimize(&smaller, global)?;
    Ok(code)
}

/// Goes on with an interrupted run.
///
/// # Errors
/// Those of the run; a journal that is damaged, in use, or has no plan.
pub fn resume(args: &ResumeArgs, global: &Global) -> anyhow::Result<ExitCode> {
    let telling = Telling::default();
    let args = ResumeArgs { run: existing_run(&args.run, &args.again.results)?, ..args.clone() };
    let code = resumed::resume(&args, global, &telling)?;
    go_on(&args, code, global, &telling)
}

/// A run that goes on with the machines and workers of another one.
fn as_resumed(folder: &Path, args: &BisectArgs) -> ResumeArgs {
    let machine = &args.machine;
    let again = AgainArgs {
        results: folder.parent().unwrap_or(folder).to_owned(),
        qemu: machine.qemu.clone(),
        image: machine.image.clone(),
        workers: args.workers.workers,
        pool: args.pool.clone(),
    };
    ResumeArgs { run: folder.to_owned(), budget: None, again, junit: None }
}

/// Whether somebody at the terminal wants to know which version mended what was found. Where that cannot be looked
/// for nobody is asked: the answer stands.
fn is_wanted(plan: &Plan, lines: &[JournalLine], global: &Global) -> anyhow::Result<bool> {
    let Some((failing, newest)) = fix_is_between(plan, lines).filter(|_| may_ask(global)) else {
        return Ok(false);
    };
    let mut base = Base::new(global)?;
    let series = between(&mut base, &failing, &newest);
    base.ui.finish();
    // With none between them the newest is the one.
    let Some(among) = series.ok().map(|series| series.len() - 1).filter(|among| *among > 1) else {
        return Ok(false);
    };
    output::prompt(&words::look_for_fix(&failing, &newest, among));
    let answer = line(&base).unwrap_or_default();
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Goes on from a run that is over, if its answer asks for it. `code` is that run's.
///
/// # Errors
/// Those of the run that goes on.
fn go_on(
    args: &ResumeArgs,
    code: ExitCode,
    global: &Global,
    telling: &Telling,
) -> anyhow::Result<ExitCode> {
    let folder = &args.run;
    let lines = read_journal_of(folder)?.lines;
    let events = || lines.iter().map(|line| &line.event);
    let began = events().find_map(|event| match event {
        RunEvent::Began { plan } => Some(plan.as_ref()),
        _ => None,
    });
    let Some(plan) = began else { return Ok(code) };
    let because = match due(plan, &lines) {
        None if is_wanted(plan, &lines, global)? => Some(Because::Fix),
        because => because,
    };
    let Some(because) = because else { return Ok(code) };
    let known = events().find_map(|event| match event {
        RunEvent::WentOn { run_id, .. } => Some(run_id.clone()),
        _ => None,
    });
    let begun = match known {
        Some(run_id) => Ok(run_id),
        None => begin(folder, plan, because, &lines, global),
    };
    let mut ended = Ok(exit::code(exit::NO_CULPRIT));
    let found = match begun {
        Ok(run_id) if file_name(&run_id) == run_id && !run_id.starts_with('.') => {
            let next = folder.with_file_name(&run_id);
            let before = [telling.before.as_slice(), std::slice::from_ref(folder)].concat();
            if before.contains(&next) {
                return Err(anyhow::anyhow!("the runs lead in a circle: {}", next.display()));
            }
            let image = next.join("image");
            let image = image.is_dir().then_some(image).or_else(|| args.again.image.clone());
            let again = AgainArgs { image, ..args.again.clone() };
            let args = ResumeArgs { run: next.clone(), budget: None, again, ..args.clone() };
            let telling = Telling { before };
            ended = resumed::resume(&args, global, &telling)
                .and_then(|code| go_on(&args, code, global, &telling));
            what_came(&next, run_id, because)?
        }
        Ok(run_id) => return Err(anyhow::anyhow!("`{run_id}` is no name of a run")),
        Err(error)
            if because != Because::Fix && errors::class(&error) == exit::Class::Interrupted =>
        {
            let machine = MachineArgs {
                qemu: args.again.qemu.clone(),
                image: args.again.image.clone(),
                ..MachineArgs::default()
            };
            let root = telling.root().unwrap_or(folder);
            let hint = format!("resume with: {}", resume_command(root, global, &machine));
            return Err(errors::interrupted("interrupted", Some(hint)));
        }
        Err(error) => {
            let reason = errors::message(&error);
            if !global.json {
                output::say(&words::not_gone_on(because, &reason));
            }
            vec![Further {
                because,
                run_id: String::new(),
                outcome: OutcomeWord::Aborted,
                commit: None,
                sides: None,
                revert: None,
                reason: Some(reason),
            }]
        }
    };
    let base = Base::new(global)?;
    let mut journal = Journal::resume(folder, &base.ui)?;
    let was_cut_off =
        found.iter().any(|it| it.outcome == OutcomeWord::Aborted && !it.run_id.is_empty());
    let is_new = |further: &Further| {
        let known = |event: &RunEvent| matches!(event, RunEvent::Further { further: it } if **it == *further);
        !events().any(known)
    };
    for further in found.into_iter().filter(is_new) {
        journal.append(RunEvent::Further { further: Box::new(further) })?;
    }
    base.ui.finish();
    let answers = telling.culprit(global, true);
    if let Some(answer) = write(&answers, &journal, folder)?
        && (global.json || telling.root().is_none())
    {
        tell(&answers, &answer, global)?;
    }
    let ended = match ended {
        Err(error) if because == Because::Fix => {
            errors::report(&error, false);
            code
        }
        ended => ended?,
    };
    Ok(match because {
        // The answer stands, whether or not it is known when it was mended.
        Because::Fix => code,
        Because::StillFails if !was_cut_off => code,
        Because::Drill | Because::StillFails => ended,
    })
}
