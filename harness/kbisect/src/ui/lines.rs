//! Events as lines: what stays on the screen, and all there is when it is no terminal.

use std::time::Duration;

use kbisect_core::answer::Trial;
use kbisect_core::changes::WhatChanged;
use kbisect_core::evidence::Decoded;
use kbisect_core::gate::GatePlan;
use kbisect_core::run::{Aim, KernelPlan, RunEvent};
use kbisect_core::trial::CheckStatus;
use kbisect_report::words::{TESTS_ANSWER, goes_on, is_asked, symptom_choice, weighed};

use super::paint::{Ink, Paint};
use super::time::time;
use super::view::View;
use crate::cli::Range;

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// What stays: results and notes.
    Results,
    /// Phases too, where nothing else shows them.
    Phases,
    /// Checks and steps too.
    All,
}

/// The line for an event, if there is anything to say. `view` has taken the event already.
pub fn line(event: &RunEvent, view: &View, detail: Detail, paint: Paint) -> Option<String> {
    match event {
        RunEvent::Began { plan } => {
            let (count, old, new) = (plan.series.len(), plan.old_end.clone(), plan.new_end.clone());
            // Whoever runs the plan tells its warnings.
            Some(format!(
                "{}: {}, {count} kernels, {}",
                paint.ink(Ink::Bright, &plan.scenario),
                Range { old, new },
                plan.environment.accelerator
            ))
        }
        RunEvent::CheckBegan { plan, environment, .. } => {
            Some(format!("{}, {}", check_words(plan, paint), environment.accelerator))
        }
        RunEvent::SelftestBegan { plan, environment, .. } => {
            Some(format!("{}, {}", selftest_words(plan, paint), environment.accelerator))
        }
        RunEvent::MinimizeBegan { plan, environment, .. } => {
            Some(format!("{}, {}", minimize_words(plan, paint), environment.accelerator))
        }
        RunEvent::Resumed => Some("resuming where the run was interrupted".to_owned()),
        RunEvent::WentOn { run_id, because } => Some(goes_on(*because, run_id)),
        RunEvent::Further { .. } => None,
        RunEvent::Weighed { prior } => Some(format!("note: {}", weighed(&prior.told(None)))),
        RunEvent::BudgetSet { runs, seconds } => {
            let runs = runs.map(|runs| format!("{runs} runs in all"));
            let seconds = seconds.map(|seconds| time(Duration::from_secs(seconds)));
            let limit = runs.or(seconds).unwrap_or_else(|| "none".to_owned());
            Some(format!("note: the budget is another one now: {limit}"))
        }
        RunEvent::TrialBegan { .. } if detail == Detail::Results || view.is_single() => None,
        RunEvent::TrialBegan { number, aim, worker } => {
            let who = worker.map(|worker| format!(", worker {worker}")).unwrap_or_default();
            let what = view.trial(*number).map_or("the kernel", |trial| &trial.label);
            let why = match aim {
                Aim::Version { reason: Some(reason), .. } => format!(": {reason}"),
                Aim::Revert { changed: true, .. } => format!(": {TESTS_ANSWER}"),
                Aim::Beside { beside, .. } => format!(": {}", is_asked(*beside)),
                Aim::Version { reason: None, .. } | Aim::Cell { .. } | Aim::Revert { .. } => {
                    String::new()
                }
            };
            Some(format!("trial {}{who}: {what}{why}", place(*number, aim.estimated_left(), view)))
        }
        RunEvent::PhaseBegan { .. } if detail == Detail::Results => None,
        RunEvent::PhaseBegan { number, phase } => {
            let label = view.trial(*number).map_or("", |trial| &trial.label);
            Some(match label {
                // The only thing to try.
                "" => format!("{}{phase}", beside(view, *number)),
                label => format!("trial {number}: {label}: {phase}"),
            })
        }
        RunEvent::Checked { number, result } => {
            // Bars: the line of the trial names the symptom.
            let least = match result.status {
                CheckStatus::Fail => Detail::Phases,
                CheckStatus::Pass | CheckStatus::Recorded | CheckStatus::NotRun => Detail::All,
            };
            if detail < least {
                return None;
            }
            let word = match result.status {
                CheckStatus::Pass => "passed",
                CheckStatus::Fail => "failed",
                CheckStatus::Recorded => "failed (recorded only)",
                CheckStatus::NotRun => "not made",
            };
            let separator = if result.detail.is_empty() { "" } else { ": " };
            let trial = beside(view, *number);
            Some(format!("  {trial}check {} {word}{separator}{}", result.name, result.detail))
        }
        RunEvent::TrialEnded { record, taken, .. } => {
            let record = Trial::new(record, taken);
            let mut text = format!(
                "{:<10} {:<5} {:>5.1} s",
                record.kernel.label(),
                record.verdict,
                record.wall_s
            );
            // The word is padded before it is coloured: escape codes have no width.
            text = text.replacen(
                &format!(" {} ", record.verdict),
                &format!(" {} ", paint.verdict(record.verdict.word())),
                1,
            );
            if let Some(symptom) = &record.symptom {
                text.push_str(&format!("  {}: {}", symptom.kind, symptom.title));
            }
            if let Some(reason) = &record.reason {
                text.push_str(&format!("  {reason}"));
            }
            // Bars show it all the time.
            if detail > Detail::Results
                && let Some(known) = view.beliefs().brief().or_else(|| view.known())
            {
                text.push_str(&format!("  [{known}]"));
            }
            for news in view.beliefs().news() {
                text.push_str(&format!("\n{}: {news}", paint.ink(Ink::Warning, "note")));
            }
            Some(text)
        }
        RunEvent::ReferenceTried { record, .. } => Some(format!(
            "{} in the candidate's place, to tell whose fault it is: {}",
            record.kernel.label(),
            record.verdict()
        )),
        RunEvent::SymptomChosen { symptom, choice } => {
            let mut text = format!("note: {}", symptom_choice(symptom, choice));
            for news in view.beliefs().news() {
                text.push_str(&format!("\nnote: {news}"));
            }
            Some(text)
        }
        RunEvent::TrialCancelled { .. } if detail == Detail::Results => None,
        RunEvent::TrialCancelled { number, reason } => {
            Some(format!("trial {number}: ended without a verdict: {reason}"))
        }
        RunEvent::Note { text } => Some(format!("note: {text}")),
        RunEvent::Decoded { number, decoded: Decoded::Lines { source, .. } } => {
            Some(format!("trace of trial {number} decoded with {source}"))
        }
        RunEvent::Decoded { number, decoded: Decoded::Unavailable { reason } } => Some(format!(
            "trace of trial {number} not decoded: no debug information, because {reason}"
        )),
        // The summary has it.
        RunEvent::Forgone { .. } => None,
        RunEvent::Changes { changes } => match changes.as_ref() {
            // The summary has them.
            WhatChanged::Ranked(_) => None,
            WhatChanged::Unavailable { reason } => {
                Some(format!("what changed is not available, because {reason}"))
            }
        },
        // Told as an error, with what to do about it, or as the summary.
        RunEvent::Interrupted
        | RunEvent::ScenarioError { .. }
        | RunEvent::Failed { .. }
        | RunEvent::Ended { .. }
        | RunEvent::Decided { .. }
        | RunEvent::Completed
        | RunEvent::RunBegan { .. }
        | RunEvent::EnvironmentChanged { .. } => None,
    }
}

/// What a check tries: `check of 3 kernels with nat, vlan`.
pub fn check_words(plan: &GatePlan, paint: Paint) -> String {
    let kernels = match plan.rows().len() {
        1 => "1 kernel".to_owned(),
        count => format!("{count} kernels"),
    };
    let names: Vec<&str> = plan.scenarios.iter().map(|scenario| scenario.name.as_str()).collect();
    format!("check of {kernels} with {}", paint.ink(Ink::Bright, &names.join(", ")))
}

/// What a self-test tries: `self-test of nat on 6.12.57`.
#[must_use]
pub fn selftest_words(plan: &KernelPlan, paint: Paint) -> String {
    let scenario = paint.ink(Ink::Bright, &plan.scenario.name);
    format!("self-test of {scenario} on {}", plan.kernel.label())
}

/// What a reduction is of: `what the failure of nat on 6.12.57 needs`.
pub fn minimize_words(plan: &KernelPlan, paint: Paint) -> String {
    let scenario = paint.ink(Ink::Bright, &plan.scenario.name);
    format!("what the failure of {scenario} on {} needs", plan.kernel.label())
}

/// Where a trial stands: `3 of about 6`; under doubt only its number, since what is left is a range
/// that is told elsewhere.
pub fn place(number: u32, estimated_left: usize, view: &View) -> String {
    match view.beliefs().belief() {
        Some(_) => number.to_string(),
        // Of several, numbers are no measure: one that was cancelled leaves its own to another.
        None if view.trial(number).is_some_and(|trial| trial.worker.is_some()) => {
            format!("{number} of about {}", view.in_all().max(number as usize))
        }
        None => count(number, estimated_left),
    }
}

/// Which trial a line is about, where several run: `trial 3: 6.12.57: `.
pub fn beside(view: &View, number: u32) -> String {
    let Some(trial) = view.trial(number).filter(|trial| trial.worker.is_some()) else {
        return String::new();
    };
    format!("trial {number}: {}: ", trial.label)
}

/// `3 of about 6`.
fn count(number: u32, estimated_left: usize) -> String {
    format!("{number} of about {}", (number as usize + estimated_left).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use kbisect_core::search::{Direction, Mark};

    use super::super::view::tests::{began, ended, trial};
    use super::*;

    #[test]
    fn a_trial_on_one_line() {
        let view = View::default();
        let event = ended(3, 7, Some(Mark::Bad), 6.24);
        let line = line(&event, &view, Detail::Results, Paint::new(false)).unwrap();
        assert_eq!(line, "6.12.7     bad     6.2 s");
    }

    #[test]
    fn phases_are_for_those_who_see_no_bars() {
        let mut view = View::default();
        view.take(&began(Direction::Regression, 9), Duration::ZERO);
        let event = trial(3, 4, 4);
        view.take(&event, Duration::ZERO);
        let said = |detail| line(&event, &view, detail, Paint::new(false));
        assert_eq!(said(Detail::Results), None);
        assert_eq!(said(Detail::Phases).unwrap(), "trial 3 of about 6: 6.12.4");
    }

    #[test]
    fn lines_say_which_of_several_trials_they_are_about() {
        let mut view = View::default();
        view.take(&began(Direction::Regression, 9), Duration::ZERO);
        let mut said = |event: RunEvent| {
            view.take(&event, Duration::ZERO);
            line(&event, &view, Detail::All, Paint::new(false)).unwrap()
        };
        let began = said(super::super::view::tests::beside(3, 4, 4, Some(2)));
        assert_eq!(began, "trial 3 of about 4, worker 2: 6.12.4");
        said(super::super::view::tests::beside(4, 2, 3, Some(1)));
        let result = kbisect_core::trial::CheckResult {
            name: "http".to_owned(),
            status: CheckStatus::Pass,
            detail: String::new(),
            wall_s: 0.0,
        };
        assert_eq!(
            said(RunEvent::Checked { number: 3, result }),
            "  trial 3: 6.12.4: check http passed"
        );
        let reason = "moot".to_owned();
        let cancelled = said(RunEvent::TrialCancelled { number: 4, reason });
        assert_eq!(cancelled, "trial 4: ended without a verdict: moot");
    }
}
