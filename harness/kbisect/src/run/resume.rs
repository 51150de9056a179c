//! Goes on with runs that were interrupted.

use std::process::ExitCode;

use kbisect_core::run::{RunEvent, RunKind};

use super::bisect::resume_bisection;
use super::check::resume_check;
use super::context::{Base, existing_run};
use super::culprit::Telling;
use super::journal::Journal;
use super::lone::Resumed;
use super::minimize::resume_minimize;
use super::one::resume_one;
use super::selftest::resume_selftest;
use crate::cli::{Global, ResumeArgs};
use crate::errors;

/// Goes on with an interrupted run, which another one may have begun.
///
/// # Errors
/// Those of the run; a journal that is damaged, in use, or has no plan.
pub fn resume(args: &ResumeArgs, global: &Global, telling: &Telling) -> anyhow::Result<ExitCode> {
    let folder = existing_run(&args.run, &args.again.results)?;
    let base = Base::new(global)?;
    let journal = Journal::resume(&folder, &base.ui)?;
    let began = journal.events().find(|event| RunKind::of([*event]).is_some());
    match began.cloned() {
        Some(RunEvent::Began { plan }) => {
            return resume_bisection(args, *plan, (base, journal), &folder, global, telling);
        }
        Some(RunEvent::CheckBegan { plan, options, .. }) => {
            return resume_check(args, (*plan, *options), base, journal, &folder, global);
        }
        Some(RunEvent::RunBegan { plan, options, .. }) => {
            let folder = &*folder;
            let resumed = Resumed { args, base, journal, folder, global };
            return resume_one(resumed, (*plan, *options));
        }
        Some(RunEvent::SelftestBegan { plan, options, .. }) => {
            let folder = &*folder;
            let resumed = Resumed { args, base, journal, folder, global };
            return resume_selftest(resumed, (*plan, *options));
        }
        Some(RunEvent::MinimizeBegan { plan, options, .. }) => {
            let folder = &*folder;
            let resumed = Resumed { args, base, journal, folder, global };
            return resume_minimize(resumed, (*plan, *options));
        }
        _ => {}
    }
    Err(errors::usage(
        format!(
            "the journal of {} has no plan: the run was stopped before it began",
            folder.display()
        ),
        "begin a new run",
    ))
}
